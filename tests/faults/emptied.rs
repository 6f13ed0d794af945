//! A Redis without what was in it, or with something else.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::faults::site::{KNOWN, OTHER, PATIENCE, Site, config, connect, nobodys, tell};
use crate::support::cluster::Cluster;
use crate::support::redis::{Product, RedisServer};
use crate::support::sample;

#[tokio::test]
async fn emptied_by_accident_it_is_a_503_until_it_is_filled_and_nobody_is_unknown() {
    for restarted in [false, true] {
        let mut redis = RedisServer::start(Product::Redis);
        let config = &config(&redis.url(), "");
        let site = Site::start(config).await;
        let nobodys = &*nobodys();
        assert_eq!(site.status(nobodys).await, 401);
        if restarted {
            redis.restart();
        } else {
            tell::<()>(&mut connect(&redis).await, "FLUSHALL").await;
        }
        site.await_change(KNOWN, 200, 503).await;
        for key in [KNOWN, OTHER, nobodys] {
            site.await_status(key, 503).await;
            site.refuses(key).await;
        }
        assert!(site.readiness().0);
        // On a busy machine, the first may have been told that it does not answer.
        let begun = Instant::now();
        while !site.server.log().contains("it was emptied") {
            assert!(begun.elapsed() < PATIENCE, "never told why");
            site.refuses(nobodys).await;
        }

        // To look is not to fill.
        for command in ["key list --platform mine", "store verify"] {
            site.server.command(command, "");
        }
        // Nor is to change what is not there, and to say that it is revoked would be untrue.
        for command in [
            "key revoke k-1 --platform mine",
            "platform revoke --platform mine",
        ] {
            let (status, _, told) = site.server.try_command(command, "");
            assert!(
                !status.success() && told.contains("it was emptied"),
                "{told}"
            );
        }
        site.refuses(nobodys).await;
        // Nor is another pepper.
        site.server.write("newer", &"n".repeat(32));
        site.server
            .configure(&config.replace("[pepper]", "[newer, pepper]"));
        site.server.signal("HUP");
        site.server.await_log("until it can be told", PATIENCE);
        site.refuses(nobodys).await;
        site.import();
        site.recovers().await;
        site.await_metric("config_reloads_total{outcome=\"ok\"} 1")
            .await;
        site.recovers().await;
    }
}

#[tokio::test]
async fn of_a_cluster_of_which_a_part_was_emptied_that_part_is_a_503_and_nobody_is_unknown() {
    let cluster = Cluster::start(Product::Redis).await;
    let site = Site::start(&config(&cluster.url(), "")).await;
    let nobodys = &*nobodys();
    assert_eq!(site.status(nobodys).await, 401);
    let key = "pc:k:mine:k-1";
    let emptied = cluster.owner(cluster.slot(key).await).await;
    let _: String = cluster.ask(emptied, "FLUSHALL").await;
    site.await_change(KNOWN, 200, 503).await;
    site.refuses(KNOWN).await;
    // Only where it is not kept there is somebody unknown.
    let strangers = ["stranger-1", "stranger-2", "stranger-3", "stranger-4"];
    for stranger in strangers {
        let status = site.status(stranger).await;
        assert!([401, 503].contains(&status), "{stranger}: {status}");
    }
    // Another that starts now finds the rest there, and does not take the cluster for a new one.
    let another = Site::before(sample::start(&config(&cluster.url(), "")));
    another.await_status(KNOWN, 503).await;
    another.refuses(KNOWN).await;
    site.import();
    site.recovers().await;
    another.await_status(KNOWN, 200).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_a_503_that_names_it_and_is_not_remembered() {
    let redis = RedisServer::start(Product::Redis);
    let site = Site::start(&config(&redis.url(), "")).await;
    let mut direct = connect(&redis).await;
    let key = "pc:k:mine:k-2";
    for broken in ["{broken", "[1]", "7"] {
        tell::<()>(&mut direct, &format!("COPY {key} kept")).await;
        tell::<()>(&mut direct, &format!("SET {key} {broken}")).await;
        site.await_status(OTHER, 503).await;
        site.refuses(OTHER).await;
        assert_eq!(site.status(KNOWN).await, 200, "others are not touched");
        assert_eq!(site.status(&nobodys()).await, 401);
        let digest = Sha256::digest(key);
        let digest: String = digest[..8].iter().map(|it| format!("{it:02x}")).collect();
        let says = format!("the key with digest {digest} cannot be read");
        site.server.await_log(&says, PATIENCE);
        assert!(site.readiness().0);

        let begun = Instant::now();
        tell::<()>(&mut direct, &format!("RENAME kept {key}")).await;
        site.await_change(OTHER, 503, 200).await;
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}
