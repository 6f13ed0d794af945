//! What a probe is told, by the exit code: of a server that is ready, of one that is not, and of none.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::running::{CONFIG, DIRECTORY, Ran, bare};
use crate::support::server::Server;
use crate::support::{free_port, loopback};

const PATIENCE: Duration = Duration::from_secs(30);

/// For what a busy machine answers late.
const LONG: &str = "--timeout-ms 20000";

fn probe(words: &str) -> Ran {
    bare(
        ["healthcheck"].into_iter().chain(words.split_whitespace()),
        "",
    )
}

#[test]
fn a_ready_server_is_healthy_over_tcp_and_over_a_unix_socket() {
    let config = CONFIG.replace(
        r#"grpc: ["127.0.0.1:{grpc}"]"#,
        r#"grpc: ["127.0.0.1:{grpc}", "unix:{dir}/check.sock"]"#,
    );
    let server = Server::start_with(&config, &[("directory.yaml", DIRECTORY)]);
    let socket = server.path("check.sock");
    let mode = fs::symlink_metadata(&socket)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(
        mode & 0o7777,
        0o660,
        "an Envoy of the same group may connect, and nobody else"
    );
    let socket = format!("unix:{}", socket.display());
    for address in [server.grpc().to_string(), socket] {
        assert_eq!(probe(&format!("{LONG} {address}")).done(), "SERVING\n");
    }
}

#[test]
fn a_server_that_never_reached_its_store_lives_and_is_not_healthy() {
    let nobody = format!(
        "store: {{ url: redis://{}, pepper_files: [pepper] }}",
        loopback(free_port())
    );
    let config = CONFIG.replace("store: { directory_file: directory.yaml }", &nobody);
    let server = Server::launch(
        &config,
        &[("pepper", "a-pepper-of-more-than-32-bytes-for-this-test")],
    );
    server.await_log("listening", PATIENCE);
    let address = server.grpc().to_string();
    probe(&format!("{LONG} {address}")).failed(1, "is not to be sent Checks: NOT_SERVING");
    assert_eq!(
        probe(&format!("{LONG} --alive {address}")).done(),
        "NOT_SERVING\n"
    );
}

#[test]
fn whoever_asks_another_listener_than_that_of_grpc_is_told_which_to_ask() {
    let server = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)]);
    let admin = probe(&format!("{LONG} {}", server.admin()));
    admin.failed(
        1,
        "is it the gRPC listener (`listen.grpc`), and without TLS?",
    );
    assert!(!admin.err.contains("http2 error;"), "{admin:?}");
}

#[test]
fn without_an_answer_nobody_is_healthy_or_alive() {
    let gone = loopback(free_port()).to_string();
    // It takes connections, by its queue, and never says a word.
    let silent = TcpListener::bind(loopback(0)).expect("a port");
    let silent = silent.local_addr().expect("bound").to_string();
    for alive in ["", "--alive "] {
        probe(&format!("{alive}{gone}")).failed(1, "does not answer: Connection refused");
        probe(&format!("{alive}unix:/nowhere/check.sock"))
            .failed(1, "does not answer: No such file or directory");
        probe(&format!("--timeout-ms 50 {alive}{silent}"))
            .failed(1, "has not answered within 50ms");
    }
    for wrong in ["check.sock", "unix:", "127.0.0.1", "a b:1"] {
        let words = ["healthcheck", wrong];
        bare(words.into_iter(), "").failed(2, "an address is `HOST:PORT` or `unix:PATH`");
    }
}
