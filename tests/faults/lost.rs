//! A Redis that is away, slow or cut off.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::faults::site::{KNOWN, OTHER, PATIENCE, Site, config, nobodys};
use crate::support::free_port;
use crate::support::http::fetch;
use crate::support::proxy::{Proxy, Way};
use crate::support::redis::{Product, RedisServer};
use crate::support::sample;
use crate::support::server::Server;

/// Keeps what is written, also where it is killed.
const LASTING: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[tokio::test]
async fn down_at_the_start_it_is_a_503_and_not_ready_until_it_comes() {
    let port = free_port();
    let config = config(&format!("redis://127.0.0.1:{port}"), "");
    let server = Server::launch(&config, &sample::files());
    server.await_log("listening", PATIENCE);
    let site = Site::before(server);
    site.refuses(KNOWN).await;
    site.refuses(&nobodys()).await;
    let (is_ready, says) = site.readiness();
    assert!(!is_ready);
    assert!(says.contains("Connection refused"), "{says}");
    let alive = fetch(site.server.admin(), "/healthz").expect("an admin listener");
    assert_eq!(alive.status, 200);

    let _redis = RedisServer::start_at(Product::Redis, port, &[]);
    site.server.await_ready();
    site.import();
    site.recovers().await;
}

#[tokio::test]
async fn killed_in_the_run_it_is_a_503_for_whom_nobody_remembers_and_for_the_others_after_the_grace()
 {
    let mut redis = RedisServer::start_with(Product::Redis, &LASTING);
    let site = Site::start(&config(&redis.url(), ", watch_grace_seconds: 3")).await;
    redis.kill();
    assert_eq!(site.status(KNOWN).await, 200);
    site.refuses(OTHER).await;
    site.refuses(&nobodys()).await;
    site.await_change(KNOWN, 200, 503).await;
    site.refuses(KNOWN).await;
    let (is_ready, says) = site.readiness();
    assert!(
        is_ready,
        "others that share the Redis are no better: {says}"
    );
    assert!(says.contains("not told of"), "{says}");
    redis.restart();
    site.recovers().await;
}

#[tokio::test]
async fn slow_it_is_a_503_after_one_try_and_whom_we_remember_is_not_touched() {
    let redis = RedisServer::start(Product::Redis);
    let proxy = Proxy::to(redis.address());
    let site = Site::start(&config(&proxy.url(), ", watch_grace_seconds: 1")).await;
    let before = proxy.accepted();
    // Longer than a command may take (50 ms), and shorter than a heartbeat may.
    proxy.set(Way::Slow(Duration::from_millis(120)));
    // Well beyond the grace.
    for _ in 0..6 {
        site.refuses(OTHER).await;
        assert_eq!(site.status(KNOWN).await, 200);
    }
    assert!(site.readiness().0);
    assert_eq!(
        proxy.accepted(),
        before,
        "slow is no reason to connect anew"
    );
    proxy.set(Way::Open);
    site.recovers().await;
}

#[tokio::test]
async fn cut_off_in_whatever_way_it_is_a_503_until_the_way_is_open_again() {
    let redis = RedisServer::start(Product::Redis);
    let proxy = Proxy::to(redis.address());
    let site = Site::start(&config(&proxy.url(), ", watch_grace_seconds: 1")).await;
    for way in [Way::Hole, Way::Deaf, Way::HalfClosed, Way::Cut] {
        proxy.set(way);
        assert_eq!(site.status(KNOWN).await, 200, "{way:?}");
        site.refuses(&nobodys()).await;
        site.await_change(KNOWN, 200, 503).await;
        site.refuses(KNOWN).await;
        assert!(site.readiness().0);
        proxy.set(Way::Open);
        site.recovers().await;
    }
}

/// A key of a directory that ends.
const ENDING: &str = "a-key-that-ends-00000004";

#[tokio::test]
async fn whom_it_was_chosen_to_let_in_from_memory_is_let_in_until_the_credential_ends() {
    let redis = RedisServer::start(Product::Redis);
    let config = config(&redis.url(), ", watch_grace_seconds: 1")
        + "\ncache: { stale_if_fault_seconds: 3600 }";
    let site = Site::start(&config).await;
    let end = SystemTime::now() + Duration::from_secs(6);
    let shown = Timestamp::try_from(end).expect("a time");
    let row = format!("{{ id: k-3, account: a-1, secret: {ENDING}, valid_to: {shown:.0} }}");
    let directory = format!("mine:\n  api_keys:\n    - {row}\n");
    site.server.command("import -", &directory);
    site.await_status(ENDING, 200).await;
    assert_eq!(site.status(ENDING).await, 200);
    redis.pause();
    site.await_change(ENDING, 200, 503).await;
    let over = SystemTime::now().duration_since(end - Duration::from_secs(1));
    let over = over.expect("not before its end");
    assert!(over < Duration::from_secs(3), "{over:?} too long");
    assert!(site.metrics().contains(r#"outcome="allow",cache="stale""#));
    assert_eq!(site.status(KNOWN).await, 200, "which does not end");
}
