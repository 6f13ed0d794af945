//! A Redis that fails: one that hangs lets nobody in and nobody out, one under another pepper is not used at all.
//!
//! What servers on a Redis that works answer is in the tables of `tests/envoy.rs`.

mod support;

use std::time::{Duration, Instant};

use support::client::{Request, exchange};
use support::envoy::Envoy;
use support::redis::{Product, RedisServer};
use support::sample;
use support::server::Server;
use support::upstream::Upstream;

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
