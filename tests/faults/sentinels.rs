//! A primary that its sentinels replace.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::time::interval;

use crate::faults::site::{KNOWN, OTHER, Site, config, nobodys, tell};
use crate::support::redis::Product;
use crate::support::sentinel::Sentinels;

/// Starts a primary with a replica that has what the site's directory has.
async fn start(settings: &str) -> (Sentinels, Site) {
    let group = Sentinels::start(Product::Redis).await;
    let site = Site::start(&config(&group.url(), settings)).await;
    replicated(&mut group.connect(0).await).await;
    site.learn().await;
    (group, site)
}

/// Waits until the replica has all that was written.
async fn replicated(primary: &mut MultiplexedConnection) {
    // What is written on another connection counts once this one has written, too.
    tell::<redis::Value>(primary, "SET other 1").await;
    let has = tell::<u64>(primary, "WAIT 1 1500").await;
    assert_eq!(has, 1);
}

/// Revokes the key that all remember, and demands that this holds. Gives what the command says of how far it has come.
async fn revoke(site: &Site) -> String {
    let said = site.server.command("key revoke --platform mine k-1", "");
    assert!(said.contains("refused by 1 of 1 process"), "{said}");
    for _ in 0..10 {
        assert_eq!(site.status(KNOWN).await, 401);
    }
    said
}

#[tokio::test]
async fn replaced_while_it_lives_it_is_left_and_the_new_one_is_believed() {
    let (group, site) = start(", watch_grace_seconds: 3600").await;
    for from in [0, 1] {
        let replaced = group.failover();
        // Neither a wrong answer nor a failure of Check on the way, whoever asks.
        let asking = async {
            // Slowly: nobody may try as many keys as a fast machine would.
            let mut tick = interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                for (key, want) in [(KNOWN, 200), (OTHER, 200), (&nobodys(), 401)] {
                    let status = site.status(key).await;
                    assert!([want, 503].contains(&status), "{key}: {status}");
                }
            }
        };
        let new = tokio::select! {
            new = replaced => new,
            never = asking => never,
        };
        assert_eq!(new, 1 - from);
        site.recovers().await;
        group.await_replica(from).await;
        group.await_in_step().await;
    }
    // Who was made a replica a moment ago may be told so twice, and be none in between.
    revoke(&site).await;
    assert_eq!(site.envoy.statistic("http.plain.ext_authz.error"), 0);
}

#[tokio::test]
async fn killed_it_is_a_503_for_whom_nobody_remembers_until_another_takes_its_place() {
    let (mut group, site) = start(", watch_grace_seconds: 3600").await;
    // Two of three are needed for another.
    group.pause_sentinel(0);
    group.pause_sentinel(1);
    let old = 0;
    group.kill(old);
    assert_eq!(site.status(KNOWN).await, 200, "within the grace");
    site.refuses(OTHER).await;
    site.refuses(&nobodys()).await;
    group.resume_sentinel(0);
    group.resume_sentinel(1);
    let new = group.await_takeover(old).await;
    site.recovers().await;

    // The old one comes back empty, as a primary at first: who is in the directory would be nobody.
    group.restart(old);
    let asking = async {
        loop {
            // Sentinels that set things right may end connections.
            let status = site.status(OTHER).await;
            assert!([200, 503].contains(&status), "{status}");
        }
    };
    tokio::select! {
        () = group.await_replica(old) => {}
        () = asking => {}
    }
    group.await_in_step().await;
    replicated(&mut group.connect(new).await).await;
    let said = revoke(&site).await;
    assert!(said.contains("confirmed by 1 of 1 replica"), "{said}");
}

#[tokio::test]
async fn replaced_behind_a_partition_it_is_read_and_told_by_no_more() {
    let (group, site) = start(", watch_grace_seconds: 3600").await;
    let mut new = group.connect(1).await;
    tell::<()>(&mut new, "REPLICAOF NO ONE").await;
    tell::<u64>(&mut new, "DEL pc:k:mine:k-1").await;
    group.have_say(&[0, 1, 2], 1).await;
    // Whom the new primary has revoked, the old one still knows.
    site.await_status(KNOWN, 401).await;
    for _ in 0..10 {
        assert_eq!(site.status(KNOWN).await, 401);
    }
    site.await_status(OTHER, 200).await;
    site.server.await_log(
        "the sentinels name another primary",
        crate::faults::site::PATIENCE,
    );
}
