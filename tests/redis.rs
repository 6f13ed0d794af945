//! A Redis that fails: one that hangs lets nobody in and nobody out, one under another pepper is not used at all.
//!
//! What servers on a Redis that works answer is in the tables of `tests/envoy.rs`.

mod support;

use std::time::{Duration, Instant};

use support::client::{Request, exchange};
use support::envoy::Envoy;
use support::free_port;
use support::http::fetch;
use support::redis::{Product, RedisServer};
use support::sample;
use support::server::Server;
use support::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a server on the sample configuration and this Redis, with the timeout that operations have by default.
fn start(redis: &RedisServer) -> Server {
    sample::start(&sample::on_store(&redis.url()).replace(", timeout_ms: 10000", ""))
}

#[tokio::test]
async fn a_redis_that_hangs_is_a_503_in_the_platforms_format_and_needs_no_restart() {
    let redis = RedisServer::start(Product::Redis);
    sample::start(&sample::on_store(&redis.url())).command("import -", sample::DIRECTORY);
    let server = start(&redis);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address())
        .failure_mode_allow()
        .check_timeout(Duration::from_secs(20))
        .start();
    let mine = Request::new("GET", "/orders/7")
        .header("host", sample::MINE)
        .header("x-my-key", sample::MY_KEY);

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
    let mut second = Server::launch(
        &sample::on_store(&redis.url()),
        &sample::files().map(|(name, text)| match name {
            "pepper" => (name, "another pepper, which is as long as the first"),
            _ => (name, text),
        }),
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
    let config = sample::on_store(&format!("redis://127.0.0.1:{port}"));
    let mut server = Server::launch(&config, &sample::files());
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
