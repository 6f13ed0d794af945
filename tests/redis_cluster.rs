//! A Redis Cluster as the store.

mod support;

use support::cluster::Cluster;
use support::redis::Product;

#[tokio::test]
async fn smoke() {
    for product in [Product::Redis, Product::Valkey] {
        let begun = std::time::Instant::now();
        let mut cluster = Cluster::start(product).await;
        println!("up {:?}", begun.elapsed());
        let key = cluster.key_on(0, "k").await;
        let slot = cluster.slot(&key).await;
        let _: String = cluster.ask(0, &format!("SET {key} 1")).await;
        cluster.migrate_slot(slot, 0, 1).await;
        let begun = std::time::Instant::now();
        let new = cluster.failover(0).await;
        println!("failover {:?}", begun.elapsed());
        cluster.await_whole().await;
        println!("whole {:?}", begun.elapsed());
        let begun = std::time::Instant::now();
        cluster.kill(new);
        cluster.await_takeover(new).await;
        println!("kill {:?}", begun.elapsed());
        cluster.restart(new);
        cluster.await_whole().await;
        println!("whole {:?}", begun.elapsed());
    }
}
