//! A primary that gives its place to another server, or leaves it.

use redis::aio::MultiplexedConnection;

use crate::faults::site::{KNOWN, OTHER, Site, await_info, config, connect, nobodys, tell};
use crate::support::proxy::Proxy;
use crate::support::redis::{Product, RedisServer};

/// A primary, a replica that has all that it has, and a server of ours that reaches whoever is behind the proxy.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
    proxy: Proxy,
    site: Site,
}

impl Pair {
    async fn start(settings: &str) -> Self {
        let primary = RedisServer::start(Product::Redis);
        let proxy = Proxy::to(primary.address());
        let site = Site::start(&config(&proxy.url(), settings)).await;
        let port = primary.address().port().to_string();
        let options = ["--replicaof", "127.0.0.1", &port];
        let options = [&options[..], &["--replica-serve-stale-data", "no"]].concat();
        let replica = RedisServer::start_with(Product::Redis, &options);
        await_info(&mut connect(&replica).await, "master_link_status:up").await;
        // That took seconds, and a machine that was held up meanwhile reads once more whom it remembered.
        site.learn().await;
        Self {
            primary,
            replica,
            proxy,
            site,
        }
    }

    /// Makes the replica a primary.
    async fn promote(&self) -> MultiplexedConnection {
        let mut replica = connect(&self.replica).await;
        tell::<()>(&mut replica, "REPLICAOF NO ONE").await;
        replica
    }

    /// Leads all to the new primary; whom it has revoked meanwhile is let in by nobody's memory.
    async fn follow(&self, new: &mut MultiplexedConnection) {
        tell::<u64>(new, "DEL pc:k:mine:k-1").await;
        self.proxy.lead_to(self.replica.address());
        self.site.await_status(OTHER, 200).await;
        self.site.await_metric("portcullis_store_watch_up 1").await;
        self.site.await_status(&nobodys(), 401).await;
        for _ in 0..10 {
            assert_eq!(self.site.status(KNOWN).await, 401);
        }
    }
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_believed_no_more_and_the_new_one_is() {
    let pair = Pair::start(", watch_grace_seconds: 3600").await;
    let mut new = pair.promote().await;
    let mut old = connect(&pair.primary).await;
    let port = pair.replica.address().port();
    tell::<()>(&mut old, &format!("REPLICAOF 127.0.0.1 {port}")).await;
    // What is remembered goes with the place, long before the grace ends.
    pair.site.await_change(KNOWN, 200, 503).await;
    pair.site.refuses(KNOWN).await;
    pair.site.refuses(&nobodys()).await;
    let (is_ready, says) = pair.site.readiness();
    let counts = "what is remembered counts for a second at most: ";
    assert!(is_ready && says.contains(counts), "{says}");
    pair.follow(&mut new).await;
}

#[tokio::test]
async fn a_primary_that_crashes_is_lost_until_another_is_there() {
    let mut pair = Pair::start(", watch_grace_seconds: 3600").await;
    pair.primary.kill();
    assert_eq!(pair.site.status(KNOWN).await, 200, "within the grace");
    pair.site.refuses(OTHER).await;
    pair.site.refuses(&nobodys()).await;
    let mut new = pair.promote().await;
    pair.follow(&mut new).await;
}

#[tokio::test]
async fn a_replica_that_lost_its_primary_is_read_by_nobody() {
    let mut pair = Pair::start(", watch_grace_seconds: 1").await;
    pair.primary.kill();
    await_info(&mut connect(&pair.replica).await, "master_link_status:down").await;
    // Whoever watches over the two has not decided yet: MASTERDOWN.
    pair.proxy.lead_to(pair.replica.address());
    pair.site.refuses(OTHER).await;
    pair.site.refuses(&nobodys()).await;
    pair.site.await_change(KNOWN, 200, 503).await;
    let mut new = pair.promote().await;
    pair.follow(&mut new).await;
}
