//! A directory in a Redis Cluster: how far a revocation has come is asked on every primary, whichever has the record.

use tokio::time::{interval, timeout};

use super::running::{ALADDIN, DIRECTORY, check, run};
use super::shared::{PATIENCE, PEPPER, await_check, config_at};
use crate::support::cluster::Cluster;
use crate::support::redis::Product;
use crate::support::server::Server;

const KEY: (&str, &str) = ("x-key", "a-key-from-the-file");

/// Waits until so many canaries are on each primary.
async fn await_canaries(cluster: &Cluster, asked: usize, count: usize) {
    let mut tick = interval(std::time::Duration::from_millis(10));
    let comes = timeout(PATIENCE, async {
        for node in cluster.primaries(asked).await {
            while cluster.ask::<Vec<String>>(node, "KEYS pcw:*").await.len() != count {
                tick.tick().await;
            }
        }
    });
    comes
        .await
        .expect("a canary of each process on each primary");
}

#[tokio::test]
async fn a_revocation_counts_on_every_server_and_each_says_so_on_every_primary() {
    let cluster = Cluster::start(Product::Redis).await;
    let config = config_at(&cluster.url());
    let servers = [(); 2].map(|()| Server::start_with(&config, &[("pepper", PEPPER)]));
    let imported = run(&servers[0], "import -", DIRECTORY).done();
    assert!(imported.starts_with("3 records: 3 created, "), "{imported}");
    await_canaries(&cluster, 0, 2).await;
    for server in &servers {
        await_check(server, KEY, "allow").await;
        await_check(server, ALADDIN, "allow").await;
        assert_eq!(check(server, KEY).await, "allow", "from memory");
    }
    let revoked = run(&servers[0], "key revoke k-1", "").done();
    for words in ["refused by 2 of 2 processes", "confirmed by 1 of 1 replica"] {
        assert!(revoked.contains(words), "{revoked}");
    }
    for server in &servers {
        assert_eq!(check(server, KEY).await, "revoked", "at once");
        assert_eq!(check(server, ALADDIN).await, "allow");
    }

    // The same after another primary has come.
    let primary = cluster.failover(1).await;
    await_canaries(&cluster, primary, 2).await;
    cluster.await_whole().await;
    for server in &servers {
        await_check(server, ALADDIN, "allow").await;
    }
    let mut tick = interval(std::time::Duration::from_millis(100));
    let refused = timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            let disabled = run(&servers[1], "user disable u-1", "").done();
            if disabled.contains("refused by 2 of 2 processes") {
                break;
            }
        }
    });
    refused.await.expect("both say so again");
    for server in &servers {
        assert_eq!(check(server, ALADDIN).await, "disabled");
    }

    let verified = run(&servers[0], "store verify", "").done();
    let whole = "3 records and 4 index entries: 0 orphaned";
    assert!(verified.starts_with(whole), "{verified}");

    // One of two that hangs is missed.
    servers[1].signal("STOP");
    let missed = run(&servers[0], "account disable acc-1", "").done();
    assert!(missed.contains("refused by 1 of 2 processes"), "{missed}");
    servers[1].signal("CONT");
}
