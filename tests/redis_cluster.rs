//! A Redis Cluster as the store: keys on their primaries, word of changes from all of them, and what becomes of either when
//! a primary fails or slots move. The behaviours of every store run on one in `tests/store.rs`.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis::clock::Clock;
use portcullis::store::redis::{Redis, Settings, Watched};
use portcullis::store::{Change, PutIf, Replicas, Store, StoreError};
use support::cluster::Cluster;
use support::free_port;
use support::redis::{Product, RedisServer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(5);
const EVERYTHING: &str = "everything";

/// A store that follows its cluster, and all that it was told.
struct Following {
    store: Arc<Redis>,
    told: UnboundedReceiver<String>,
}

fn settings(cluster: &Cluster) -> Settings {
    Settings {
        timeout: Duration::from_secs(2),
        url: cluster.url(),
        ..Settings::default()
    }
}

fn follow(cluster: &Cluster) -> Following {
    follow_as(settings(cluster), GRACE)
}

fn follow_as(settings: Settings, grace: Duration) -> Following {
    let watched = Watched {
        prefix: "pc:",
        canary_prefix: "pcw:",
        call_prefix: "pc:n:",
        grace,
        stale: Duration::ZERO,
        clock: Clock::system(),
        lag: Arc::new(|_| ()),
    };
    let store = Redis::new(Settings {
        watched: Some(watched),
        ..settings
    });
    let store = Arc::new(store.expect("a store"));
    let (tell, told) = unbounded_channel();
    store.watch(Arc::new(move |change: Change<'_>| {
        let word = match change {
            Change::Everything => EVERYTHING.to_owned(),
            Change::Key(key) => key.to_owned(),
        };
        let _ = tell.send(word);
    }));
    Following { store, told }
}

impl Following {
    /// Waits until it is told of this.
    async fn await_word(&mut self, want: &str) {
        let told = timeout(PATIENCE, async {
            while self.told.recv().await.expect("a store that lives") != want {}
        });
        told.await
            .unwrap_or_else(|_| panic!("never told of {want}"));
    }

    async fn await_lease(&self, holds: bool) {
        let mut tick = interval(Duration::from_millis(5));
        let comes = timeout(PATIENCE, async {
            while self.store.lease().holds(now()) != holds {
                tick.tick().await;
            }
        });
        let lease = || format!("the lease: {:?}", self.store.lease().trouble());
        comes.await.unwrap_or_else(|_| panic!("{}", lease()));
    }

    /// Forgets what it was told.
    fn drain(&mut self) {
        while self.told.try_recv().is_ok() {}
    }

    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        let found = self.store.get(&[key.to_owned()]).await?.pop().flatten();
        Ok(found.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// Reads until it is not a fault, and gives what it was then.
    async fn await_read(&self, key: &str) -> Option<String> {
        let mut tick = interval(Duration::from_millis(5));
        let comes = timeout(PATIENCE, async {
            loop {
                match self.read(key).await {
                    Ok(found) => break found,
                    Err(StoreError::Unavailable(_)) => tick.tick().await,
                    Err(other) => panic!("{other}"),
                };
            }
        });
        comes.await.expect("an answer")
    }
}

fn now() -> u64 {
    Clock::from_fn(SystemTime::now).unix_milliseconds()
}

async fn put(store: &Redis, key: &str, value: &str) {
    let put = store.put(key, value.as_bytes(), PutIf::Always, None).await;
    assert_eq!(put, Ok(true), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_all_is_read_and_told_of_at_the_new_primary() {
    for product in [Product::Redis, Product::Valkey] {
        let mut cluster = Cluster::start(product).await;
        let mut following = follow(&cluster);
        let other = follow(&cluster);
        following.await_lease(true).await;
        other.await_lease(true).await;
        let mut primary = 0;
        let key = cluster.key_on(primary, "pc:a").await;
        put(&other.store, &key, "1").await;
        following.await_word(&key).await;

        for how in ["gracefully", "hanging", "killed"] {
            following.drain();
            let gone = primary;
            match how {
                "gracefully" => primary = cluster.failover(gone).await,
                "hanging" => {
                    primary = cluster.replica_of(gone).await;
                    cluster.node(gone).pause();
                    cluster.await_takeover(gone).await;
                }
                _ => {
                    primary = cluster.replica_of(gone).await;
                    cluster.kill(gone);
                    cluster.await_takeover(gone).await;
                }
            }
            // All that was read before counts as changed; the lease was taken back, and holds again.
            following.await_word(EVERYTHING).await;
            following.await_lease(true).await;
            assert_eq!(
                following.await_read(&key).await.as_deref(),
                Some("1"),
                "{how}"
            );
            let direct: String = cluster.ask(primary, &format!("SET {key} 2")).await;
            assert_eq!(direct, "OK");
            following.await_word(&key).await;
            assert_eq!(
                following.read(&key).await.expect("well").as_deref(),
                Some("2")
            );
            other.await_read(&key).await;
            put(&other.store, &key, "1").await;
            following.await_word(&key).await;
            match how {
                "gracefully" => {}
                "hanging" => cluster.node(gone).resume(),
                _ => cluster.restart(gone),
            }
            cluster.await_whole().await;
            following.await_lease(true).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_does_not_outlast_any_primary_that_hangs() {
    let cluster = Cluster::start(Product::Redis).await;
    let grace = Duration::from_secs(1);
    let mut following = follow_as(settings(&cluster), grace);
    for primary in 0..3 {
        following.await_lease(true).await;
        following.drain();
        let replica = cluster.replica_of(primary).await;
        cluster.node(replica).pause();
        cluster.node(primary).pause();
        let before = now();
        following.await_lease(false).await;
        let grace = u64::try_from(grace.as_millis()).expect("few");
        let last = following.store.lease().end();
        let late = last.saturating_sub(before + grace);
        assert!(late <= 300, "{late} ms too long");
        let trouble = following.store.lease().trouble().unwrap_or_default();
        let address = cluster.node(primary).address().to_string();
        assert!(trouble.contains(&address), "{trouble}");
        cluster.node(primary).resume();
        cluster.node(replica).resume();
        following.await_word(EVERYTHING).await;
        following.await_lease(true).await;
        assert_eq!(following.store.lease().trouble(), None);
        cluster.await_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_primary_has_is_a_fault_while_it_fails_and_all_else_is_there() {
    let options = ["--cluster-require-full-coverage", "no"];
    let mut cluster = Cluster::start_with(Product::Redis, &options).await;
    let following = follow(&cluster);
    following.await_lease(true).await;
    let mut keys = Vec::new();
    for node in 0..3 {
        let key = cluster.key_on(node, "pc:a").await;
        put(&following.store, &key, "1").await;
        keys.push(key);
    }
    let replica = cluster.replica_of(2).await;
    for how in ["hangs", "is dead"] {
        match how {
            "hangs" => {
                cluster.node(replica).pause();
                cluster.node(2).pause();
            }
            _ => {
                cluster.kill(replica);
                cluster.kill(2);
            }
        }
        let faults = async || {
            let failed = following.read(&keys[2]).await;
            assert!(
                matches!(failed, Err(StoreError::Unavailable(_))),
                "{failed:?}"
            );
            let all = following.store.get(&keys).await;
            assert!(matches!(all, Err(StoreError::Unavailable(_))), "{all:?}");
            for key in &keys[..2] {
                assert_eq!(
                    following.await_read(key).await.as_deref(),
                    Some("1"),
                    "{how}"
                );
            }
        };
        faults().await;
        // The others take it for dead, and go on without.
        let mut tick = interval(Duration::from_millis(50));
        let missed = timeout(PATIENCE, async {
            loop {
                let nodes: String = cluster.ask(0, "CLUSTER NODES").await;
                if nodes.contains("fail ") {
                    break;
                }
                tick.tick().await;
            }
        });
        missed.await.expect("taken for dead");
        faults().await;
        if how == "hangs" {
            cluster.node(2).resume();
            cluster.node(replica).resume();
            cluster.await_whole().await;
            assert_eq!(following.await_read(&keys[2]).await.as_deref(), Some("1"));
            following.await_lease(true).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_move_are_never_absent_and_told_of_where_they_are() {
    for product in [Product::Redis, Product::Valkey] {
        let cluster = Cluster::start(product).await;
        let mut following = follow(&cluster);
        following.await_lease(true).await;
        // Many keys of one slot.
        let slot = cluster.slot("{tag}").await;
        let from = cluster.owner(slot).await;
        let to = (from + 1) % 3;
        let keys: Vec<_> = (0..200).map(|it| format!("pc:{{tag}}{it}")).collect();
        for key in &keys {
            put(&following.store, key, "1").await;
        }
        let reader = {
            let (store, keys) = (Arc::clone(&following.store), keys.clone());
            tokio::spawn(async move {
                let mut reads = 0_u64;
                loop {
                    for some in keys.chunks(20) {
                        let found = store.get(some).await.expect("the store is well");
                        let absent = found.iter().filter(|it| it.is_none()).count();
                        assert_eq!(absent, 0, "of {}", some.len());
                        reads += 1;
                    }
                    tokio::task::yield_now().await;
                    if reads == u64::MAX {
                        break;
                    }
                }
            })
        };
        let lister = {
            let (store, keys) = (Arc::clone(&following.store), keys.clone());
            tokio::spawn(async move {
                loop {
                    let (mut found, mut cursor) = (BTreeSet::new(), None);
                    loop {
                        let page = store.scan("pc:{", cursor).await.expect("well");
                        found.extend(page.keys);
                        cursor = page.next;
                        if cursor.is_none() {
                            break;
                        }
                    }
                    let missing = keys.iter().filter(|it| !found.contains(*it)).count();
                    assert_eq!(missing, 0, "all are listed");
                    tokio::task::yield_now().await;
                }
            })
        };
        for (from, to) in [(from, to), (to, from), (from, to)] {
            following.drain();
            cluster.begin_migration(slot, from, to).await;
            let mut left = keys.len();
            while left > 0 {
                cluster.migrate_keys(slot, from, to, 20).await;
                left = left.saturating_sub(20);
                if left == 100 {
                    // Where some keys are here and some there, each is written where it is, or where it will be.
                    for key in &keys {
                        let old = following.read(key).await.expect("well").expect("there");
                        let equal = PutIf::Equal(old.as_bytes());
                        let replaced = following.store.put(key, b"2", equal, None).await;
                        assert_eq!(replaced, Ok(true), "{key}");
                    }
                    let new = "pc:{tag}new".to_owned();
                    assert_eq!(following.read(&new).await, Ok(None));
                    following.drain();
                    // By another, at the server that takes the slot.
                    let mut direct = cluster.connect(to).await;
                    let mut set = ::redis::pipe();
                    set.cmd("ASKING")
                        .ignore()
                        .cmd("SET")
                        .arg(&new)
                        .arg("1")
                        .ignore();
                    set.exec_async(&mut direct).await.expect("a write");
                    following.await_word(&new).await;
                    assert_eq!(
                        following.read(&new).await.expect("well").as_deref(),
                        Some("1")
                    );
                    let deleted = following
                        .store
                        .delete(&new, portcullis::store::DeleteIf::Always);
                    assert_eq!(deleted.await, Ok(true));
                }
            }
            while cluster.migrate_keys(slot, from, to, 20).await > 0 {}
            cluster.end_migration(slot, from, to).await;
            following.drain();
            let direct: String = cluster.ask(to, &format!("SET {} 3", keys[0])).await;
            assert_eq!(direct, "OK");
            following.await_word(&keys[0]).await;
            assert!(!reader.is_finished() && !lister.is_finished());
            assert!(
                following.store.lease().holds(now()),
                "both are followed all along"
            );
        }
        for task in [reader, lister] {
            task.abort();
            let ended = task.await.expect_err("it goes on for ever");
            assert!(ended.is_cancelled(), "{ended}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_who_issues_suffice_for_a_cluster() {
    let file = include_str!("../deploy/redis/users.acl");
    let line = file
        .lines()
        .find(|it| it.starts_with("user portcullis-issuer "));
    let rights = line
        .expect("a user")
        .replace("#SHA256_OF_ISSUER_PASSWORD", ">right");
    let rights = format!("--{rights}");
    let rights: Vec<_> = rights.split(' ').collect();
    let cluster = Cluster::start_with(Product::Redis, &rights).await;
    let login = Settings {
        password: Some(portcullis::credential::Secret::new(*b"right")),
        username: Some("portcullis-issuer".to_owned()),
        ..settings(&cluster)
    };
    let mut following = follow_as(login, GRACE);
    following.await_lease(true).await;
    let slot = cluster.slot("{tag}").await;
    let from = cluster.owner(slot).await;
    let to = (from + 1) % 3;
    let key = "pc:{tag}1";
    put(&following.store, key, "1").await;
    cluster.begin_migration(slot, from, to).await;
    cluster.migrate_keys(slot, from, to, 10).await;
    assert_eq!(
        following.read(key).await.expect("well").as_deref(),
        Some("1")
    );
    let equal = PutIf::Equal(b"1");
    assert_eq!(following.store.put(key, b"2", equal, None).await, Ok(true));
    cluster.end_migration(slot, from, to).await;
    assert_eq!(
        following.read(key).await.expect("well").as_deref(),
        Some("2")
    );
    following.await_word(key).await;
    let page = following.store.scan("pc:", None).await;
    assert!(page.is_ok(), "{page:?}");
    let confirmed = following.store.confirm("pcu:w").await;
    assert_eq!(confirmed.map(|it| it.confirmed), Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_taken_out_of_the_cluster_is_waited_for_no_more() {
    let cluster = Cluster::start(Product::Redis).await;
    let bus = free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let mut another = RedisServer::start_at(Product::Redis, free_port(), &options);
    let client = redis::Client::open(another.url()).expect("a client");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connection.await.expect("a connection");
    let mut ask = async |words: &str| {
        let mut command = redis::cmd("");
        command.clear();
        command.arg(words.split(' ').collect::<Vec<_>>());
        command
            .query_async::<String>(&mut connection)
            .await
            .unwrap()
    };
    let port = another.address().port();
    let meet = format!("CLUSTER MEET 127.0.0.1 {port} {bus}");
    cluster.ask::<String>(0, &meet).await;
    let id = ask("CLUSTER MYID").await;
    let mut tick = interval(Duration::from_millis(20));
    for node in 0..cluster.count() {
        let known = timeout(PATIENCE, async {
            while !cluster
                .ask::<String>(node, "CLUSTER NODES")
                .await
                .contains(&id)
            {
                tick.tick().await;
            }
        });
        known.await.expect("an acquaintance");
    }
    let grace = Duration::from_secs(1);
    let following = follow_as(settings(&cluster), grace);
    let mut await_followed = async |is_followed: bool| {
        let comes = timeout(PATIENCE, async {
            loop {
                let clients = ask("CLIENT LIST").await;
                let mut words = clients.split_whitespace();
                if words.any(|it| it.starts_with("flags=") && it.contains('t')) == is_followed {
                    break;
                }
                tick.tick().await;
            }
        });
        comes
            .await
            .unwrap_or_else(|_| panic!("is followed: {}", !is_followed));
    };
    await_followed(true).await;
    following.await_lease(true).await;
    for node in 0..cluster.count() {
        let forget = format!("CLUSTER FORGET {id}");
        cluster.ask::<String>(node, &forget).await;
    }
    await_followed(false).await;
    another.kill();
    let long = u64::try_from(2 * grace.as_millis()).expect("few");
    let (killed, mut tick) = (now(), interval(Duration::from_millis(20)));
    let held = timeout(PATIENCE, async {
        while following.store.lease().end() < killed + long {
            tick.tick().await;
        }
    });
    held.await.expect("what is remembered counts without it");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_those_of_the_primary_that_has_fewest() {
    let cluster = Cluster::start(Product::Redis).await;
    let store = Redis::new(settings(&cluster)).expect("a store");
    let one = Replicas {
        connected: 1,
        confirmed: 1,
    };
    assert_eq!(store.confirm("pcu:w").await, Ok(one));
    let replica = cluster.replica_of(1).await;
    cluster.node(replica).pause();
    let none = Replicas {
        confirmed: 0,
        ..one
    };
    assert_eq!(store.confirm("pcu:w").await, Ok(none));
}

#[tokio::test]
async fn a_server_that_is_none_of_a_cluster_or_not_there_is_a_fault_that_says_so() {
    let server = RedisServer::start(Product::Redis);
    let free = support::loopback(free_port());
    for (address, want) in [
        (server.address(), "it does not belong to a cluster"),
        (free, "Connection refused"),
    ] {
        let settings = Settings {
            timeout: PATIENCE,
            url: format!("redis-cluster://{address}"),
            ..Settings::default()
        };
        let store = Redis::new(settings).expect("a store");
        let failed = store.get(&["pc:a".to_owned()]).await;
        let Err(StoreError::Unavailable(why)) = failed else {
            panic!("{failed:?}")
        };
        assert!(
            why.contains(want) && why.contains(&address.to_string()),
            "{why}"
        );
        assert!(!store.was_reached() && store.places().is_empty());
    }
}
