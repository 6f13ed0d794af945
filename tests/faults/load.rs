//! What a Redis that hangs or loses its connections costs, with many who ask.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::faults::site::{
    KNOWN, OTHER, PATIENCE, Site, await_info, config, connect, info, nobodys, tell, with,
};
use crate::support::client::{Request, exchange};
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{MINE, on_store, start};

/// How many made-up keys are tried, and by how many at once.
const FLOOD: usize = 3000;
const AT_ONCE: usize = 30;

#[tokio::test]
async fn a_flood_of_made_up_keys_at_a_redis_that_hangs_costs_little_and_delays_nobody_we_know() {
    let redis = RedisServer::start(Product::Redis);
    let site = Site::start(&config(&redis.url(), ", watch_grace_seconds: 3600")).await;
    let before = site.server.memory();
    redis.pause();
    let mut flood = JoinSet::new();
    for worker in 0..AT_ONCE {
        let mut client = site.client().await;
        flood.spawn(async move {
            let mut waits = [0; 4];
            for number in 0..FLOOD / AT_ONCE {
                let key = format!("a-made-up-key-{worker}-{number}");
                let answer = client.exchange(&with(&key).to_bytes()).await;
                assert_eq!(answer.status, 503, "{key}");
                let wait = answer.header("retry-after").map(str::parse::<usize>);
                waits[wait.expect("a wait").expect("seconds")] += 1;
            }
            waits
        });
    }
    let mut client = site.client().await;
    let mut took = Vec::new();
    let mut waits = [0; 4];
    while !flood.is_empty() {
        while let Some(done) = flood.try_join_next() {
            for (all, of_one) in waits.iter_mut().zip(done.expect("no panic")) {
                *all += of_one;
            }
        }
        let asked = Instant::now();
        let answer = client.exchange(&with(KNOWN).to_bytes()).await;
        assert_eq!(answer.status, 200);
        took.push(asked.elapsed());
    }
    // Those who were refused together do not come back together.
    assert!(waits[1..].iter().all(|it| *it > FLOOD / 5), "{waits:?}");
    took.sort_unstable();
    let median = took[took.len() / 2];
    // All share two cores here; who waited for the Redis would wait for 50 ms on top.
    assert!(median < Duration::from_millis(50), "{median:?}");
    let waited = waited(&site);
    let all = 0.05 * FLOOD as f64;
    assert!(waited < all / 10.0, "{waited} s of {all}");
    let more = site.server.memory().saturating_sub(before);
    assert!(more < 64 * 1024 * 1024, "{more} bytes");

    // Given up, it costs next to nothing; at times one finds out whether it answers again.
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(site.status(&nobodys()).await, 503);
        fastest = fastest.min(asked.elapsed());
    }
    assert!(fastest < Duration::from_millis(40), "{fastest:?}");
    let log = site.server.log();
    assert_eq!(log.matches("the store does not answer").count(), 1, "{log}");

    redis.resume();
    site.recovers().await;
    site.server.await_log("the store answers again", PATIENCE);
}

/// How long the store was waited for, all who read taken together, in seconds.
fn waited(site: &Site) -> f64 {
    let name = "portcullis_store_duration_seconds_sum{operation=\"get\"} ";
    let metrics = site.metrics();
    let sum = metrics.lines().find_map(|it| it.strip_prefix(name));
    sum.expect("a sum").parse().expect("a number")
}

/// How many keys are known before connections are lost.
const KEYS: usize = 40;
const PASSWORDS: [&str; 3] = ["one", "two", "three"];

/// Many keys, and users whose passwords take a while to verify.
fn directory() -> String {
    let mut text = "mine:\n  users:\n".to_owned();
    for name in PASSWORDS {
        text += &format!("    - {{ id: {name}, username: {name}, password: {name}-password }}\n");
    }
    text += "  api_keys:\n";
    for number in 0..KEYS {
        let key = key(number);
        text += &format!("    - {{ id: s-{number}, account: a-1, secret: {key} }}\n");
    }
    text
}

fn key(number: usize) -> String {
    format!("one-of-many-keys-{number:04}")
}

/// Asks with a password, which is right and may do nothing; gives how long it took.
async fn log_in(site: &Site, name: &str) -> Duration {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    let login = BASE64_STANDARD.encode(format!("{name}:{name}-password"));
    let request = Request::new("GET", "/admin/a")
        .header("host", MINE)
        .header("authorization", format!("Basic {login}"));
    let begun = Instant::now();
    let answer = exchange(site.envoy.plain(), &request).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    begun.elapsed()
}

#[tokio::test]
async fn after_lost_connections_each_is_read_once_more_when_it_asks_and_no_password_is_hashed_again()
 {
    let redis = RedisServer::start(Product::Redis);
    let site = Site::before(start(&on_store(&redis.url())));
    site.server.command("import -", &directory());
    site.await_metric("portcullis_store_watch_up 1").await;
    let mut direct = connect(&redis).await;
    await_info(&mut direct, "connected_clients:3").await;
    let before = info(&mut direct, "cmdstat_get").await;
    for number in 0..KEYS {
        assert_eq!(site.status(&key(number)).await, 200);
    }
    let reads = info(&mut direct, "cmdstat_get").await - before;
    let mut hashing = Vec::new();
    for name in PASSWORDS {
        hashing.push(log_in(&site, name).await);
    }

    let mut remembering = Vec::new();
    for _ in 0..3 {
        tell::<u64>(&mut direct, "CLIENT KILL TYPE normal SKIPME yes").await;
        // One to ask on, one to be told on, and ours.
        await_info(&mut direct, "tracking_clients:1").await;
        await_info(&mut direct, "connected_clients:3").await;
        let before = info(&mut direct, "cmdstat_get").await;
        for _ in 0..3 {
            for number in 0..KEYS {
                assert_eq!(site.status(&key(number)).await, 200);
            }
        }
        let again = info(&mut direct, "cmdstat_get").await - before;
        assert!(again <= reads, "{again} after {reads}");
        assert!(again > 0, "all that was read before counts as changed");
        for name in PASSWORDS {
            remembering.push(log_in(&site, name).await);
        }
    }
    let (first, later) = (hashing.iter().min(), remembering.iter().min());
    let (first, later) = (*first.expect("three"), *later.expect("nine"));
    assert!(later * 2 < first, "{later:?} after {first:?}");
    let log = site.server.log();
    assert!(!log.contains("could not be decided"), "{log}");
    assert_eq!(site.status(OTHER).await, 401);
}
