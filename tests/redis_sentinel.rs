//! A Redis whose primary is wherever its sentinels say.

mod support;

use support::redis::Product;
use support::sentinel::Sentinels;

#[tokio::test]
async fn trial() {
    for product in [Product::Redis, Product::Valkey] {
        let begun = std::time::Instant::now();
        let mut group = Sentinels::start(product).await;
        eprintln!("start {:?}", begun.elapsed());
        assert_eq!(group.primary().await, 0);
        assert_eq!(group.failover().await, 1);
        eprintln!("failover {:?}", begun.elapsed());
        group.await_replica(0).await;
        group.await_in_step().await;
        eprintln!("in step {:?}", begun.elapsed());
        assert_eq!(group.kill_primary().await, 1);
        assert_eq!(group.await_takeover(1).await, 0);
        eprintln!("takeover {:?}", begun.elapsed());
        group.restart(1);
        group.await_replica(1).await;
        eprintln!("back {:?}", begun.elapsed());
    }
}
