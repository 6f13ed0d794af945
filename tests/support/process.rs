//! A child process on a leash, with its output kept.
//!
//! Apart from [`super::envoy`] and [`super::server`], which differ in what they start and when it is ready, and share
//! all of this. It knows nothing of what the process does.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

const STARTUP_PATIENCE: Duration = Duration::from_secs(30);
const STARTUP_PAUSE: Duration = Duration::from_millis(10);
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A running process; dropping it ends it, and prints its output if the test is failing.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    leash: Child,
    output: Arc<Output>,
}

/// What the process wrote to its standard output and error, in the order in which it arrived.
#[derive(Debug, Default)]
struct Output {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    text: String,
    pipes_open: usize,
}

/// Makes a command that will run in a process session of its own, so that a signal to the tests is not also its.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program).stdin(Stdio::null());
    command
}

impl Process {
    /// Starts a command made by [`command`]; `name` is how failures call it.
    pub fn spawn(name: &'static str, command: Command) -> Self {
        Self::spawn_with(name, command, None)
    }

    /// As [`Process::spawn`], with a temporary directory of its own.
    ///
    /// Whoever made the directory removes it; where the test process ends without (as with a server that all tests of
    /// it share), the directory goes with the process.
    pub fn spawn_in(dir: &Path, name: &'static str, command: Command) -> Self {
        Self::spawn_with(name, command, Some(dir))
    }

    fn spawn_with(name: &'static str, mut command: Command, dir: Option<&Path>) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let output = Arc::new(Output::default());
        output.follow(child.stdout.take().expect("a piped output"));
        output.follow(child.stderr.take().expect("a piped output"));
        let leash = leash(child.id(), dir);
        Self {
            name,
            child,
            leash,
            output,
        }
    }

    /// Calls `attempt` until it gives something, at short intervals.
    ///
    /// Panics when the process ends before that, or after 30 seconds; `state` is what it was hoped to become.
    pub fn await_start<T>(&self, state: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let name = self.name;
        let begun = Instant::now();
        while begun.elapsed() < STARTUP_PATIENCE {
            if let Some(found) = attempt() {
                return found;
            }
            let ended = self.output.ended_within(STARTUP_PAUSE);
            assert!(!ended, "{name} ended before it was {state}");
        }
        panic!("{name} was not {state} after {STARTUP_PATIENCE:?}");
    }

    /// Gives its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives all that the process has written so far.
    pub fn log(&self) -> String {
        self.output.written().text.clone()
    }

    /// Waits until the process has written `text`; panics when it ends without, or after `patience`.
    pub fn await_log(&self, text: &str, patience: Duration) {
        let (written, _) = self
            .output
            .changed
            .wait_timeout_while(self.output.written(), patience, |written| {
                !written.text.contains(text) && written.pipes_open > 0
            })
            .expect("a reader of output does not panic");
        let found = written.text.contains(text);
        drop(written);
        assert!(found, "{} did not write {text:?}", self.name);
    }

    /// Sends a signal by its name, as `TERM` or `HUP`.
    pub fn signal(&self, signal: &str) {
        // The child is not reaped before this value ends, so the id is still its own.
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "kill", signal])
            .arg(self.child.id().to_string())
            .output()
            .expect("a shell");
        assert!(
            sent.status.success(),
            "cannot signal {}: {sent:?}",
            self.name
        );
    }

    /// Waits until the process ends by itself and gives how; panics after `patience`.
    pub fn await_end(&mut self, patience: Duration) -> ExitStatus {
        assert!(
            self.output.ended_within(patience),
            "{} still runs after {patience:?}",
            self.name
        );
        self.child
            .wait()
            .expect("a child of ours can be waited for")
    }

    /// Asks the process to end (SIGTERM), kills it when it does not within five seconds, and gives how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        if let Ok(Some(status)) = self.child.try_wait() {
            return status;
        }
        self.signal("TERM");
        if !self.output.ended_within(END_PATIENCE) {
            self.child.kill().expect("a child of ours can be killed");
        }
        self.child
            .wait()
            .expect("a child of ours can be waited for")
    }

    /// Ends the process at once, as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours can be killed");
        self.child
            .wait()
            .expect("a child of ours can be waited for");
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the test harness captures it and shows it on failure"
    )]
    fn drop(&mut self) {
        // Before the child is reaped: a leash let go later could hit another process with its id.
        let _ = self.leash.kill();
        let _ = self.leash.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "-- output of {} --\n{}-- end of output of {} --",
                self.name,
                self.log(),
                self.name
            );
        }
    }
}

impl Output {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written
            .lock()
            .expect("a reader of output does not panic")
    }

    fn follow(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        output.written().pipes_open += 1;
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
                output
                    .written()
                    .text
                    .push_str(&String::from_utf8_lossy(&line));
                output.changed.notify_all();
                line.clear();
            }
            output.written().pipes_open -= 1;
            output.changed.notify_all();
        });
    }

    fn ended_within(&self, patience: Duration) -> bool {
        let (written, _) = self
            .changed
            .wait_timeout_while(self.written(), patience, |written| written.pipes_open > 0)
            .expect("a reader of output does not panic");
        written.pipes_open == 0
    }
}

/// Starts a watcher that kills `process` and removes `dir`, where there is one, once the pipe to it closes, which is when the test process
/// ends, however it does.
fn leash(process: u32, dir: Option<&Path>) -> Child {
    let script = r#"read -r _; kill -s KILL "$1"; shift; rm -rf -- "$@""#;
    command("sh")
        .args(["-c", script, "leash"])
        .arg(process.to_string())
        .args(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}
