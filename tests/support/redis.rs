//! A Redis or Valkey server of a test's own, on a free port, empty at the start and after every restart.
//!
//! ```ignore
//! let mut server = RedisServer::start(Product::Valkey);
//! let config = format!("store: {{ url: {} }}", server.url());
//! server.pause(); // takes connections and bytes, answers nothing: a hung machine
//! server.resume(); // … and answers all that was asked meanwhile
//! server.stop(); // refuses connections: a dead one
//! server.restart(); // the same address, with nothing in it
//! ```
//!
//! - [`RedisServer::start_with`] takes options of the server's command line, for passwords, TLS, replicas and the like.
//! - [`RedisServer::start_with_roles`] has a user for each role, as `deploy/RUNNING.md` says.
//! - It saves nothing and is killed when its value is dropped, paused or not.
//! - Ready means that it has said so in its log, so that servers with TLS or passwords need no care.
//! - The binaries are those that `./tests/run` installs, or what `PORTCULLIS_TEST_REDIS` and `PORTCULLIS_TEST_VALKEY`
//!   name; a missing one fails the test.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use super::process::{Process, command};
use super::{free_port, installed, loopback, server_dir};

/// The users that `deploy/RUNNING.md` has for who serves and who issues.
pub const USERS: &str = include_str!("../../deploy/redis/users.acl");
pub const SIDECAR: &str = "portcullis-sidecar";
pub const ISSUER: &str = "portcullis-issuer";
/// Who may do everything.
pub const ADMIN: &str = "admin";
pub const PASSWORD: &str = "a-password-of-the-tests";

const STARTUP_PATIENCE: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Copy, Debug)]
pub enum Product {
    Redis,
    Valkey,
}

/// A server; dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    product: Product,
    port: u16,
    options: Vec<String>,
    dir: TempDir,
    /// Who may do what, where that is set.
    users: Option<NamedTempFile>,
}

impl RedisServer {
    /// Starts one and waits until it takes connections.
    pub fn start(product: Product) -> Self {
        Self::start_with(product, &[])
    }

    /// As [`RedisServer::start`], with further options, in which `{port}` stands for its port. They override its own:
    /// `--port 0 --tls-port {port}` makes it take TLS only.
    pub fn start_with(product: Product, options: &[&str]) -> Self {
        Self::start_at(product, free_port(), options)
    }

    /// As [`RedisServer::start_with`], on a port that was given by [`free_port`] before.
    pub fn start_at(product: Product, port: u16, options: &[&str]) -> Self {
        let dir = server_dir();
        let options = options
            .iter()
            .map(|it| it.replace("{port}", &port.to_string()));
        let options: Vec<_> = options.collect();
        let process = spawn(product, port, &options, dir.path());
        Self {
            process,
            product,
            port,
            options,
            dir,
            users: None,
        }
    }

    /// As [`RedisServer::start_with`], with the users of `deploy/redis/users.acl`, `default` and [`ADMIN`] besides. Of all
    /// but `default`, which is off, the password is [`PASSWORD`].
    pub fn start_with_roles(product: Product, options: &[&str]) -> Self {
        let file = NamedTempFile::new().expect("a temporary file");
        let hash = Sha256::digest(PASSWORD);
        let hash: String = hash.iter().map(|it| format!("{it:02x}")).collect();
        let users = USERS
            .replace("SHA256_OF_SIDECAR_PASSWORD", &hash)
            .replace("SHA256_OF_ISSUER_PASSWORD", &hash);
        let users = format!("{users}user {ADMIN} on #{hash} ~* &* +@all\n");
        fs::write(file.path(), users).expect("a temporary file");
        let path = file.path().to_str().expect("a path").to_owned();
        Self {
            users: Some(file),
            ..Self::start_with(product, &[options, &["--aclfile", &path]].concat())
        }
    }

    /// Begins one with these users, which it refuses to start with.
    pub fn refusing(product: Product, users: &Path) -> Process {
        let (name, binary) = binary(product);
        let mut command = command(binary);
        command.args(["--port", &free_port().to_string(), "--aclfile"]);
        command.arg(users);
        Process::spawn(name, command)
    }

    /// Its address with this user of [`RedisServer::start_with_roles`], for clients other than ours.
    pub fn url_of(&self, user: &str) -> String {
        format!("redis://{user}:{PASSWORD}@{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// Its address as a store URL, without TLS.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Freezes it (SIGSTOP).
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`RedisServer::pause`].
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Ends it in an orderly way; its connections are closed.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was, after [`RedisServer::stop`] or instead.
    pub fn restart(&mut self) {
        self.stop();
        self.process = spawn(self.product, self.port, &self.options, self.dir.path());
    }
}

fn spawn(product: Product, port: u16, options: &[String], dir: &Path) -> Process {
    let (name, binary) = binary(product);
    let mut command = command(binary);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(dir)
        .args(options);
    let process = Process::spawn(name, command);
    process.await_log("Ready to accept connections", STARTUP_PATIENCE);
    process
}

/// The same places as in `./tests/run`.
pub fn binary(product: Product) -> (&'static str, PathBuf) {
    let (name, variable) = match product {
        Product::Redis => ("redis-server", "PORTCULLIS_TEST_REDIS"),
        Product::Valkey => ("valkey-server", "PORTCULLIS_TEST_VALKEY"),
    };
    (name, installed(name, variable))
}
