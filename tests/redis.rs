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

#[tokio::test]
async fn what_one_server_changes_holds_at_another_that_remembers_otherwise() {
    let redis = RedisServer::start(Product::Redis);
    let one = sample::start(&sample::on_store(&redis.url()));
    one.command("import -", sample::DIRECTORY);
    let other = start(&redis);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(other.grpc(), upstream.address()).start();
    let mine = Request::new("GET", "/orders/7")
        .header("host", sample::MINE)
        .header("x-my-key", sample::MY_KEY);
    let told = || {
        let metrics = fetch(other.admin(), "/metrics").expect("an admin listener");
        metrics.text().contains("portcullis_store_watch_up 1")
    };
    let deadline = Instant::now() + PATIENCE;
    while !told() {
        assert!(Instant::now() < deadline, "never told of changes");
    }
    for (command, status) in [
        ("key disable --platform mine k-1", 401),
        ("key enable --platform mine k-1", 200),
        ("key revoke --platform mine k-1", 401),
    ] {
        let before = if status == 401 { 200 } else { 401 };
        for _ in 0..2 {
            assert_eq!(
                exchange(envoy.plain(), &mine).await.status,
                before,
                "{command}"
            );
        }
        one.command(command, "");
        let begun = Instant::now();
        while exchange(envoy.plain(), &mine).await.status != status {
            // What is remembered counts for a minute, a denial for five seconds.
            assert!(begun.elapsed() < Duration::from_secs(1), "{command}");
        }
    }
}

#[tokio::test]
async fn whom_a_server_knows_passes_for_the_grace_after_the_redis_has_gone_and_then_as_chosen() {
    for (stale, then) in [(0, 503), (3600, 200)] {
        let redis = RedisServer::start(Product::Redis);
        let config = sample::on_store(&redis.url());
        sample::start(&config).command("import -", sample::DIRECTORY);
        let config = config.replace(
            "timeout_ms: 10000",
            "timeout_ms: 50, watch_grace_seconds: 1",
        ) + &format!("\ncache: {{ stale_if_fault_seconds: {stale} }}");
        let server = sample::start(&config);
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address()).start();
        let with = |key: &str| {
            Request::new("GET", "/orders/7")
                .header("host", sample::MINE)
                .header("x-my-key", key)
        };
        let (known, unknown) = (with(sample::MY_KEY), with(sample::MY_BARE_KEY));
        assert_eq!(exchange(envoy.plain(), &known).await.status, 200);
        redis.pause();
        assert_eq!(
            exchange(envoy.plain(), &known).await.status,
            200,
            "within the grace"
        );
        assert_eq!(
            exchange(envoy.plain(), &unknown).await.status,
            503,
            "not remembered"
        );
        let shown = || fetch(server.admin(), "/readyz").expect("an admin listener");
        let deadline = Instant::now() + PATIENCE;
        let counts = "not told of, so what is remembered counts for `store.watch_grace_seconds`";
        while !shown().text().contains(counts) {
            assert!(Instant::now() < deadline, "{}", shown().text());
        }
        assert_eq!(
            shown().status,
            200,
            "others that share the Redis are no better"
        );
        // The grace ends within seconds, and what follows does not end.
        let mut last = 200;
        while last == 200 && !is_stale(&server) && Instant::now() < deadline {
            last = exchange(envoy.plain(), &known).await.status;
        }
        assert_eq!((last, is_stale(&server)), (then, then == 200));
        redis.resume();
        let mut answer = exchange(envoy.plain(), &unknown).await;
        while answer.status != 200 && Instant::now() < deadline {
            answer = exchange(envoy.plain(), &unknown).await;
        }
        assert_eq!(answer.status, 200, "no restart");
    }
}

/// Whether somebody was let in from memory, after its time.
fn is_stale(server: &Server) -> bool {
    let metrics = fetch(server.admin(), "/metrics").expect("an admin listener");
    metrics.text().contains(r#"outcome="allow",cache="stale""#)
}

#[tokio::test]
async fn a_password_that_changed_counts_from_the_next_connection_on_without_a_restart() {
    let redis = RedisServer::start_with(Product::Redis, &["--requirepass", "one"]);
    let config = sample::on_store(&redis.url());
    let config = config.replace(
        "timeout_ms: 10000",
        "timeout_ms: 10000, password_file: redis.password",
    );
    let files = sample::files();
    let files = [&files[..], &[("redis.password", "one")]].concat();
    let server = Server::start_with(&config, &files);
    server.command("import -", sample::DIRECTORY);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address()).start();

    let url = redis.url().replace("redis://", "redis://:one@");
    let client = redis::Client::open(url).expect("a client");
    let mut admin = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let mut tell = async |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let told = command.query_async::<redis::Value>(&mut admin).await;
        told.unwrap_or_else(|it| panic!("{words:?}: {it}"));
    };
    tell(&["CONFIG", "SET", "requirepass", "two"]).await;
    server.write("redis.password", "two");
    server.await_log("another configuration is in force", PATIENCE);
    tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;

    let unknown = Request::new("GET", "/orders/7")
        .header("host", sample::MINE)
        .header("x-my-key", sample::MY_BARE_KEY);
    let deadline = Instant::now() + PATIENCE;
    let mut answer = exchange(envoy.plain(), &unknown).await;
    while answer.status != 200 && Instant::now() < deadline {
        answer = exchange(envoy.plain(), &unknown).await;
    }
    assert_eq!(answer.status, 200, "{}", server.log());
}
