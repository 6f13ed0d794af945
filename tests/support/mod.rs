//! What the integration tests stand on: the real server, a real Envoy, an upstream that tells what reached it, and a
//! client that sends exactly the bytes it is told to.
//!
//! ```text
//! Client ──HTTP/1.1──▶ Envoy ──────────▶ Upstream      what reached it: upstream.seen()
//!                        │ Check (gRPC)
//!                        ▼
//!                      Server  ◀── CheckClient          the same question without an Envoy, as raw bytes
//! ```
//!
//! A test starts what it needs and lets it go out of scope:
//!
//! ```ignore
//! let server = Server::start(CONFIG);
//! let upstream = Upstream::start();
//! let envoy = Envoy::builder(server.grpc(), upstream.address()).start();
//! let request = Request::new("GET", "/v2/accounts").header("host", "crossbar.example.com");
//! let response = client::exchange(envoy.plain(), &request).await;
//! assert_eq!(response.status, 401);
//! assert!(upstream.seen().is_empty());
//! ```
//!
//! - Every process ([`process`]) runs in a session of its own, dies with the value that holds it and also when the
//!   test process is killed, and its output is printed when the test that holds it fails.
//! - [`redis`] starts the Redis and Valkey servers that several servers can share as their store.
//! - [`sentinel`] starts one with replicas and the sentinels that replace its primary.
//! - [`cluster`] starts a Redis Cluster of six of them.
//! - [`proxy`] is a way to a server that can be made slow, cut or led elsewhere.
//! - [`standin`] is a server on the internet that is asked, honest or not: [`provider`] publishes the keys of its tokens,
//!   [`google`] is one of them, [`facebook`] is Graph, and [`introspection`] tells of tokens.
//! - [`collector`] is told metrics and spans.
//! - [`prometheus`] scrapes servers and evaluates the chart's alerts.
//! - [`tls`] makes certificates, and is a client that presents one to an Envoy.
//! - [`sample`] is a configuration and a directory that most tests run on, and [`issuers`] sign the tokens that it takes.
//! - [`assertions`] are platforms that tell their upstreams who was admitted, and an upstream that verifies it.
//! - [`browser`] is a Chromium that opens pages.
//! - Nothing here is ever skipped: a missing Envoy, Redis, Valkey, Chromium or Prometheus fails the test and names
//!   `./tests/run`, which installs it.
//! - Everything binds loopback ports that are free at the time; tests run in parallel.
//! - Every wait has an end, and says what it waited for.
//! - Starting a process blocks the thread for its start-up (well under a second); all else that waits is `async`.
//!
//! Every test file compiles its own copy of this module and uses a part of it, hence the allowances below.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod assertions;
pub mod browser;
pub mod check;
pub mod client;
pub mod cluster;
pub mod collector;
pub mod envoy;
pub mod facebook;
pub mod google;
pub mod http;
pub mod introspection;
pub mod issuers;
pub mod process;
pub mod prometheus;
pub mod provider;
pub mod proxy;
pub mod redis;
pub mod sample;
pub mod sentinel;
pub mod server;
pub mod spoofs;
pub mod standin;
pub mod tls;
pub mod upstream;

use std::collections::HashSet;
use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;

use tempfile::TempDir;

/// Ports below those that the kernel gives to outgoing connections (`ip_local_port_range`), which would take one before
/// the process that it was found for.
const PORTS: std::ops::Range<u16> = 10_240..32_768;

/// Finds a port that nothing listens on, and never gives the same one twice in a test process.
///
/// For processes that cannot be told to choose one themselves. Nothing keeps it free until they bind it; it is drawn by
/// chance, so that a clash with another test process is rare.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    loop {
        let drawn = getrandom::u32().expect("randomness") % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(drawn).expect("one of them");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            continue;
        }
        let mut given = GIVEN.lock().expect("no test panics while choosing a port");
        if given.get_or_insert_default().insert(port) {
            return port;
        }
    }
}

/// Gives the binary that `./tests/run` puts in place under this name, or the one that this variable names.
pub fn installed(name: &str, variable: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let in_place = || {
        let home = env::var_os("PORTCULLIS_TEST_HOME").map(PathBuf::from);
        let home = home
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache/portcullis-tests")));
        home.map(|home| home.join(name))
    };
    let path = named
        .or_else(in_place)
        .unwrap_or_else(|| panic!("HOME, PORTCULLIS_TEST_HOME or {variable} in the environment"));
    assert!(
        path.is_file(),
        "no {name} at {}: run ./tests/run, which puts one there, or set {variable}",
        path.display()
    );
    path
}

/// Makes a directory for a server that waits for what it writes: in memory where there is such a place, so that nothing
/// else that is written on the machine holds it up.
pub fn server_dir() -> TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    dir.expect("a temporary directory")
}

/// Makes the address of a port on 127.0.0.1.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
