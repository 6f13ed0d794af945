//! The product itself: `portcullis serve --config FILE`, as a process of its own.
//!
//! Knows the command line, the readiness endpoint and nothing else of the product, so that what the tests see is what
//! an operator sees.
//!
//! A configuration is the text of a YAML file in which these stand for what is only known at start:
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{grpc}` `{issue}` `{admin}` | free ports, one each |
//! | `{dir}` | a directory of the server's own, gone with it: for sockets, stores and further files |
//!
//! The `admin` listener must be there, as `admin: "127.0.0.1:{admin}"`: it tells when the server is ready.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::http::fetch;
use super::process::{Process, command};
use super::{free_port, loopback};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
const CONFIG_FILE: &str = "portcullis.yaml";

/// A server; dropping it kills it, since waiting for connections that a test still holds open would prove nothing.
#[derive(Debug)]
pub struct Server {
    process: Process,
    site: Site,
}

impl Server {
    /// Starts one and waits until it is ready; panics, with its output, when it does not come to that.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// As [`Server::start`], with further files `(name, text)` beside the configuration, placeholders and all.
    pub fn start_with(config: &str, files: &[(&str, &str)]) -> Self {
        let server = Self::launch(config, files);
        server.await_ready();
        server
    }

    /// Starts one and does not wait: for a server that should refuse to start, or that is not ready yet.
    pub fn launch(config: &str, files: &[(&str, &str)]) -> Self {
        let site = Site::new();
        site.write(CONFIG_FILE, config);
        for (name, text) in files {
            site.write(name, text);
        }
        let mut command = command(BINARY);
        command
            .arg("serve")
            .arg("--config")
            .arg(site.path(CONFIG_FILE));
        let process = Process::spawn_in(site.dir.path(), "portcullis", command);
        Self { process, site }
    }

    /// Waits until `/readyz` says 200.
    pub fn await_ready(&self) {
        self.process.await_start("ready", || {
            let answer = fetch(self.admin(), "/readyz").ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// Runs a command with this server's configuration, as an operator would: its words, and what it reads from standard
    /// input. Gives what it printed; panics where it failed.
    pub fn command(&self, words: &str, input: &str) -> String {
        let (status, out, err) = self.try_command(words, input);
        assert!(status.success(), "{words}: {out}{err}");
        out
    }

    /// The same, also where it fails: gives how it ended, and what it printed to standard output and error.
    pub fn try_command(&self, words: &str, input: &str) -> (ExitStatus, String, String) {
        let mut child = Command::new(BINARY)
            .args(words.split_whitespace())
            .arg("--config")
            .arg(self.path(CONFIG_FILE))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary that was built");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that reads nothing may be gone.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("a child of ours");
        let [out, err] =
            [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
        (output.status, out, err)
    }

    /// Where `{grpc}` stands.
    pub fn grpc(&self) -> SocketAddr {
        loopback(self.site.grpc)
    }

    /// Where `{issue}` stands.
    pub fn issue(&self) -> SocketAddr {
        loopback(self.site.issue)
    }

    /// Where `{admin}` stands.
    pub fn admin(&self) -> SocketAddr {
        loopback(self.site.admin)
    }

    /// The path of a file in `{dir}`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }

    /// Puts another configuration in the place of the one that it was started with, in one step.
    pub fn configure(&self, config: &str) {
        self.site.write(CONFIG_FILE, config);
    }

    /// Puts another file beside the configuration, or in the place of one, in one step.
    pub fn write(&self, name: &str, text: &str) {
        self.site.write(name, text);
    }

    /// Sends a signal by its name, as `HUP`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Gives how much memory it has, in bytes.
    pub fn memory(&self) -> u64 {
        let kilobytes = self.status("VmRSS:");
        let kilobytes = kilobytes.strip_suffix(" kB").expect("kilobytes");
        kilobytes.parse::<u64>().expect("a number") * 1024
    }

    /// Gives how many threads it has.
    pub fn threads(&self) -> u64 {
        self.status("Threads:").parse().expect("a number")
    }

    /// Gives how many descriptors it has open.
    pub fn descriptors(&self) -> u64 {
        let open = fs::read_dir(format!("/proc/{}/fd", self.process.id()));
        open.expect("a process that runs").count() as u64
    }

    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a process that runs");
        let line = status.lines().find_map(|it| it.strip_prefix(name));
        line.expect("a line of this name").trim().to_owned()
    }

    /// Gives the arguments that it was started with, as anybody on the machine sees them.
    pub fn arguments(&self) -> String {
        let arguments = fs::read(format!("/proc/{}/cmdline", self.process.id()));
        String::from_utf8_lossy(&arguments.expect("a process that runs")).into_owned()
    }

    /// Gives all that it has written to standard output and error.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it has written `text`; panics when it ends without, or after `patience`.
    pub fn await_log(&self, text: &str, patience: Duration) {
        self.process.await_log(text, patience);
    }

    /// Waits until it ends by itself and gives how; panics after `patience`.
    pub fn await_end(&mut self, patience: Duration) -> ExitStatus {
        self.process.await_end(patience)
    }

    /// Asks it to end and gives how it did.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.stop()
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// What one server has to itself.
#[derive(Debug)]
struct Site {
    dir: TempDir,
    grpc: u16,
    issue: u16,
    admin: u16,
}

impl Site {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            grpc: free_port(),
            issue: free_port(),
            admin: free_port(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Fills in the placeholders and puts the file in place by a rename, so that no reader sees half of it.
    fn write(&self, name: &str, text: &str) {
        let filled = text
            .replace("{grpc}", &self.grpc.to_string())
            .replace("{issue}", &self.issue.to_string())
            .replace("{admin}", &self.admin.to_string())
            .replace("{dir}", &self.dir.path().display().to_string());
        let unfinished = self.path(&format!("{name}.new"));
        fs::write(&unfinished, filled).expect("a writable temporary directory");
        rename(&unfinished, &self.path(name));
    }
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).expect("a rename within the temporary directory");
}
