//! Two servers on one Redis: what one knows, the other knows, and a Redis that hangs lets nobody in and nobody out.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::client::{Request, exchange};
use support::envoy::Envoy;
use support::free_port;
use support::http::fetch;
use support::redis::{Product, RedisServer};
use support::sample::{
    ALADDIN, CALLIFY, CONFIG, CROSSBAR, DIRECTORY, INFOBIP, JOHN_MD5, MINE, MY_KEY, OPENTACT,
    SENDER_KEY,
};
use support::server::Server;
use support::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(30);

const PEPPER: &str = "an example of a pepper that is long enough";

fn start(redis: &RedisServer) -> Server {
    let store = format!(
        "store: {{ url: \"{}\", pepper_files: [pepper] }}",
        redis.url()
    );
    let config = CONFIG.replace("store: { directory_file: directory.yaml }", &store);
    let files = [("pepper", PEPPER), ("directory.yaml", DIRECTORY)];
    Server::start_with(&config, &files)
}

/// Loads the sample directory by the command, as an operator would.
fn import(server: &Server) {
    let done = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("import")
        .arg(server.path("directory.yaml"))
        .arg("--config")
        .arg(server.path("portcullis.yaml"))
        .output()
        .expect("the command runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn request(host: &str, path: &str, header: &str, value: &str) -> Request {
    Request::new("GET", path)
        .header("host", host)
        .header("x-forwarded-proto", "https")
        .header(header, value)
}

/// A credential of each platform and scheme, and how its request ends.
fn table() -> Vec<(&'static str, Request, u16)> {
    let account = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";
    let sender = format!("App {SENDER_KEY}");
    vec![
        (
            "crossbar basic",
            request(CROSSBAR, account, "authorization", JOHN_MD5),
            200,
        ),
        (
            "crossbar, a hash of nobody",
            request(CROSSBAR, account, "authorization", ALADDIN),
            401,
        ),
        (
            "opentact basic",
            request(OPENTACT, "/rest/auth", "authorization", CALLIFY),
            200,
        ),
        (
            "opentact, another platform's user",
            request(OPENTACT, "/rest/auth", "authorization", ALADDIN),
            401,
        ),
        (
            "opentact ha1b",
            request(
                OPENTACT,
                "/rest/auth",
                "x-auth-ha1b-token",
                "4e704e98102feb915109fe2ff0cef5da",
            ),
            200,
        ),
        (
            "opentact, HA1 instead of HA1B",
            request(
                OPENTACT,
                "/rest/auth",
                "x-auth-ha1b-token",
                "7f643f2ac14a1bc2acd37e13080c2389",
            ),
            401,
        ),
        (
            "infobip basic",
            request(INFOBIP, "/sms/3/reports", "authorization", ALADDIN),
            200,
        ),
        (
            "infobip key out of scope",
            request(INFOBIP, "/people/2/persons", "authorization", &sender),
            403,
        ),
        (
            "a key of one's own",
            request(MINE, "/orders/7", "x-my-key", MY_KEY),
            200,
        ),
        (
            "a key of nobody",
            request(MINE, "/orders/7", "x-my-key", "my-own-key-9999999"),
            401,
        ),
    ]
}

#[tokio::test]
async fn two_servers_on_one_redis_agree_on_every_credential() {
    let redis = RedisServer::start(Product::Redis);
    let servers = [start(&redis), start(&redis)];
    import(&servers[0]);
    for server in &servers {
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .check_timeout(Duration::from_secs(20))
            .start();
        for (name, request, want) in table() {
            let answer = exchange(envoy.plain(), &request).await;
            assert_eq!(answer.status, want, "{name}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_redis_that_hangs_is_a_503_in_the_platforms_format_and_needs_no_restart() {
    let redis = RedisServer::start(Product::Redis);
    let server = start(&redis);
    import(&server);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address())
        .failure_mode_allow()
        .check_timeout(Duration::from_secs(20))
        .start();
    let mine = request(MINE, "/orders/7", "x-my-key", MY_KEY);

    redis.pause();
    let begun = Instant::now();
    let answer = exchange(envoy.plain(), &mine).await;
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        (answer.status, answer.text()),
        (503, r#"{"trouble":"try again","status":503}"#)
    );
    assert!(answer.header("retry-after").is_some());
    assert!(upstream.seen().is_empty());

    redis.resume();
    let answer = exchange(envoy.plain(), &mine).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_server_with_another_pepper_refuses_to_start() {
    let redis = RedisServer::start(Product::Redis);
    let _first = start(&redis);
    let store = format!(
        "store: {{ url: \"{}\", pepper_files: [pepper] }}",
        redis.url()
    );
    let config = CONFIG.replace("store: { directory_file: directory.yaml }", &store);
    let mut second = Server::launch(
        &config,
        &[("pepper", "another pepper, which is as long as the first")],
    );
    let status = second.await_end(Duration::from_secs(20));
    assert_eq!(status.code(), Some(2));
    assert!(
        second.log().contains("written under another pepper"),
        "{}",
        second.log()
    );
}

#[tokio::test]
async fn a_store_that_is_not_there_at_start_is_told_once_and_by_readiness_until_it_is() {
    let port = free_port();
    let store = format!("store: {{ url: \"redis://127.0.0.1:{port}\", pepper_files: [pepper] }}");
    let config = CONFIG.replace("store: { directory_file: directory.yaml }", &store);
    let mut server = Server::launch(&config, &[("pepper", PEPPER)]);
    server.await_log("listening", PATIENCE);
    let readiness = || fetch(server.admin(), "/readyz").expect("an admin listener");
    let not_ready = readiness();
    assert_eq!(not_ready.status, 503);
    let body = String::from_utf8_lossy(&not_ready.body).into_owned();
    let says = "not ready: the store was not reached yet, trying again (";
    assert!(body.starts_with(says), "{body}");
    assert!(body.contains("Connection refused"), "{body}");
    assert_eq!(
        fetch(server.admin(), "/healthz").expect("alive").status,
        200
    );

    let _redis = RedisServer::start_at(Product::Redis, port, &[]);
    server.await_ready();
    let log = server.log();
    assert_eq!(log.matches("\"ERROR\"").count(), 1, "{log}");
    assert!(server.stop().success());
}
