//! Word of what changes in a Redis or Valkey, whoever changes it, and how long its last word counts.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis::clock::Clock;
use portcullis::store::redis::{Redis, Settings, Watched};
use portcullis::store::{Change, PutIf, Store, StoreError};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};
use support::proxy::{Proxy, Way};
use support::redis::{Product, RedisServer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(1);
const EVERYTHING: &str = "everything";

/// A store that follows its server, and all that it was told.
struct Following {
    store: Redis,
    told: UnboundedReceiver<String>,
    lags: UnboundedReceiver<Duration>,
}

fn follow(server: &RedisServer, login: Option<(&str, &str)>) -> Following {
    follow_at(server.url(), login)
}

fn follow_at(url: String, login: Option<(&str, &str)>) -> Following {
    follow_by(Clock::system(), url, login)
}

fn follow_by(clock: Clock, url: String, login: Option<(&str, &str)>) -> Following {
    let (lag, lags) = unbounded_channel();
    let watched = Watched {
        prefix: "pc:",
        canary_prefix: "pcw:",
        call_prefix: "pc:n:",
        grace: GRACE,
        stale: Duration::ZERO,
        clock,
        lag: Arc::new(move |it| {
            let _ = lag.send(it);
        }),
    };
    let store = Redis::new(Settings {
        password: login.map(|(_, it)| portcullis::credential::Secret::new(it.as_bytes())),
        timeout: PATIENCE,
        url,
        username: login.map(|(it, _)| it.to_owned()),
        watched: Some(watched),
        ..Settings::default()
    });
    let store = store.expect("a store");
    let (tell, told) = unbounded_channel();
    store.watch(Arc::new(move |change: Change<'_>| {
        let word = match change {
            Change::Everything => EVERYTHING.to_owned(),
            Change::Key(key) => key.to_owned(),
        };
        let _ = tell.send(word);
    }));
    Following { store, told, lags }
}

impl Following {
    /// Waits until it is told of this, and gives what it was told of before.
    async fn await_word(&mut self, want: &str) -> Vec<String> {
        let mut before = Vec::new();
        let told = timeout(PATIENCE, async {
            loop {
                match self.told.recv().await.expect("a store that lives") {
                    word if word == want => break,
                    word => before.push(word),
                }
            }
        });
        told.await
            .unwrap_or_else(|_| panic!("never told of {want}, but of {before:?}"));
        before
    }

    async fn await_lease(&self, holds: bool) {
        let mut tick = interval(Duration::from_millis(5));
        let comes = timeout(PATIENCE, async {
            while self.store.lease().holds(now()) != holds {
                tick.tick().await;
            }
        });
        comes
            .await
            .unwrap_or_else(|_| panic!("the lease: {:?}", self.store.lease()));
    }
}

fn now() -> u64 {
    Clock::from_fn(SystemTime::now).unix_milliseconds()
}

async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("a connection")
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &str) -> T {
    let mut command = cmd("");
    command.clear();
    command.arg(words.split(' ').collect::<Vec<_>>());
    command.query_async(connection).await.expect("an answer")
}

async fn what_anybody_changes_is_told_of(product: Product) {
    let server = RedisServer::start(product);
    let mut following = follow(&server, None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    let other = &mut connect(&server).await;

    for words in ["SET pc:a 1", "SET pc:a 2", "DEL pc:a", "SET pc:b 1 PX 1"] {
        ask::<redis::Value>(other, words).await;
        let key = words.split(' ').nth(1).expect("a key");
        following.await_word(key).await;
    }
    // By the server, when it comes to clear it away.
    following.await_word("pc:b").await;

    // Nobody's business: keys that change no verdict, and somebody else's.
    for words in [
        "SET pcu:a 1",
        "SET other 1",
        "SET pcw:another 1",
        "SET pc:last 1",
    ] {
        ask::<redis::Value>(other, words).await;
    }
    assert_eq!(following.await_word("pc:last").await, Vec::<String>::new());

    ask::<()>(other, "FLUSHALL").await;
    following.await_word(EVERYTHING).await;
    let lag = timeout(PATIENCE, following.lags.recv()).await;
    let lag = lag
        .expect("a lag within seconds")
        .expect("a store that lives");
    assert!(lag < PATIENCE, "{lag:?}");
}

async fn word_that_is_cut_off_comes_again_and_all_that_was_read_before_counts_as_changed(
    product: Product,
) {
    let server = RedisServer::start(product);
    let mut following = follow(&server, None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    let other = &mut connect(&server).await;
    for _ in 0..3 {
        ask::<redis::Value>(other, "CLIENT KILL TYPE normal SKIPME yes").await;
        ask::<redis::Value>(other, "SET pc:unheard 1").await;
        following.await_word(EVERYTHING).await;
        ask::<redis::Value>(other, "SET pc:heard 1").await;
        following.await_word("pc:heard").await;
        following.await_lease(true).await;
    }
}

async fn the_last_word_of_a_server_that_hangs_counts_for_the_grace_and_no_longer(product: Product) {
    let server = RedisServer::start(product);
    let mut following = follow(&server, None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    let before = now();
    server.pause();
    let end = following.store.lease().end();
    let grace = u64::try_from(GRACE.as_millis()).expect("few");
    assert!(end > before, "what is known counts on");
    following.await_lease(false).await;
    // A heartbeat that was answered before the server hung counts from when it was asked.
    let last = following.store.lease().end();
    assert!(
        last <= before + grace + 300,
        "{} ms too long",
        last - before
    );
    assert!(following.store.lease().trouble().is_some());
    server.resume();
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    assert_eq!(following.store.lease().trouble(), None);
}

async fn the_last_word_counts_no_longer_where_the_clock_is_set_back(product: Product) {
    let server = RedisServer::start(product);
    let proxy = Proxy::to(server.address());
    let back = Arc::new(AtomicU64::new(0));
    let set_back = Arc::clone(&back);
    let clock = Clock::from_fn(move || {
        SystemTime::now() - Duration::from_secs(set_back.load(Ordering::Relaxed))
    });
    let mut following = follow_by(clock.clone(), proxy.url(), None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    // Whoever connects anew waits for longer than the grace.
    proxy.set(Way::Hole);
    let begun = Instant::now();
    back.store(3600, Ordering::Relaxed);
    let mut tick = interval(Duration::from_millis(5));
    let lease = following.store.lease();
    let holds = || lease.holds(clock.unix_milliseconds());
    assert!(holds());
    let ends = timeout(PATIENCE, async {
        while holds() {
            tick.tick().await;
        }
    });
    ends.await.expect("the lease ends");
    let counted = begun.elapsed();
    assert!(counted < GRACE + GRACE, "{counted:?}");
    proxy.set(Way::Open);
    following.await_word(EVERYTHING).await;
    assert!(holds());
}

async fn a_primary_that_becomes_a_replica_is_trusted_no_more(product: Product) {
    let (server, new) = (RedisServer::start(product), RedisServer::start(product));
    let mut following = follow(&server, None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    let other = &mut connect(&server).await;
    let port = new.address().port();
    ask::<()>(other, &format!("REPLICAOF 127.0.0.1 {port}")).await;
    following.await_word(EVERYTHING).await;
    following.await_lease(false).await;
    let refused = AtomicBool::new(false);
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        while !refused.load(Ordering::Relaxed) {
            tick.tick().await;
            let read = following.store.get(&["pc:a".to_owned()]).await;
            let is_refusal = |it: &StoreError| it.to_string().contains("it is a replica");
            refused.store(read.as_ref().is_err_and(is_refusal), Ordering::Relaxed);
        }
    });
    comes.await.expect("a replica is not read from");

    ask::<()>(other, "REPLICAOF NO ONE").await;
    following.await_lease(true).await;
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        while following
            .store
            .put("pc:a", b"1", PutIf::Always, None)
            .await
            .is_err()
        {
            tick.tick().await;
        }
    });
    comes.await.expect("a primary is written to");
}

/// An old primary that was thought dead lives on, and old connections through the address still lead to it.
async fn what_is_read_and_what_is_told_of_come_from_one_server_also_when_another_takes_its_place(
    product: Product,
) {
    let (old, new) = (RedisServer::start(product), RedisServer::start(product));
    let (on_old, on_new) = (&mut connect(&old).await, &mut connect(&new).await);
    ask::<()>(on_old, "SET pc:a old").await;
    ask::<()>(on_new, "SET pc:a new").await;
    for told_first in [true, false] {
        let proxy = Proxy::to(old.address());
        let mut following = follow_at(proxy.url(), None);
        following.await_word(EVERYTHING).await;
        following.await_lease(true).await;
        let read = async |store: &Redis| {
            let found = store.get(&["pc:a".to_owned()]).await.ok()?.pop()??;
            Some(String::from_utf8_lossy(&found).into_owned())
        };
        assert_eq!(read(&following.store).await.as_deref(), Some("old"));

        // One of its two connections is led to the other server: that on which it is told, or the other.
        proxy.lead_new_to(new.address());
        let clients: String = ask(on_old, "CLIENT LIST").await;
        let own: i64 = ask(on_old, "CLIENT ID").await;
        let is_meant = |line: &&str| {
            let tracks = line
                .split(' ')
                .any(|it| it.starts_with("flags=") && it.contains('t'));
            tracks == told_first && !line.starts_with(&format!("id={own} "))
        };
        let line = clients.lines().find(is_meant).expect("a connection");
        let id = line.split(' ').next().expect("an id").replace('=', " ");
        ask::<i64>(on_old, &format!("CLIENT KILL {id}")).await;
        let mut tick = interval(Duration::from_millis(5));
        let comes = timeout(PATIENCE, async {
            while read(&following.store).await.as_deref() != Some("new") {
                tick.tick().await;
            }
        });
        comes.await.expect("the old server is read from no more");
        // Everything that was read from the old one counts as changed, and the new one tells, once it is followed.
        following.await_word(EVERYTHING).await;
        let told = timeout(PATIENCE, async {
            let moment = Duration::from_millis(50);
            let mut is_told = false;
            while !is_told {
                ask::<()>(on_new, "SET pc:b 1").await;
                is_told = timeout(moment, following.await_word("pc:b")).await.is_ok();
            }
        });
        told.await.expect("told of what changes where it is read");
        following.await_lease(true).await;
    }
}

/// As after a failover by other means than sentinels: the connection on which it is told is lost, and the other stays at the
/// server that is a replica now.
async fn a_replica_is_left_although_another_server_tells_of_changes(product: Product) {
    let (old, new) = (RedisServer::start(product), RedisServer::start(product));
    let (on_old, on_new) = (&mut connect(&old).await, &mut connect(&new).await);
    ask::<()>(on_old, "SET pc:a old").await;
    ask::<()>(on_new, "SET pc:a new").await;
    let proxy = Proxy::to(old.address());
    let mut following = follow_at(proxy.url(), None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    let read = async || following.store.get(&["pc:a".to_owned()]).await;
    assert_eq!(read().await.expect("well")[0].as_deref(), Some(&b"old"[..]));
    proxy.lead_new_to(new.address());
    let clients: String = ask(on_old, "CLIENT LIST").await;
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let tracks = |words: &Vec<String>| {
        let mut words = words.iter();
        words.any(|it| it.starts_with("flags=") && it.contains('t'))
    };
    let told = clients.lines().map(words).find(tracks);
    let id = told.expect("a connection")[0].replace("id=", "");
    let mut both = redis::pipe();
    both.atomic();
    both.cmd("CLIENT").arg("KILL").arg("ID").arg(id);
    // Nobody listens there, so it keeps what it has.
    both.cmd("REPLICAOF").arg("127.0.0.1").arg(1);
    let both = both.query_async::<redis::Value>(on_old).await;
    both.expect("another server told of changes");
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        loop {
            if read()
                .await
                .is_ok_and(|it| it[0].as_deref() == Some(b"new"))
            {
                break;
            }
            tick.tick().await;
        }
    });
    comes.await.expect("the replica is read from no more");
    following.await_lease(true).await;
}

async fn a_server_that_does_not_tell_is_used_and_never_relied_on(product: Product) {
    let mut options = vec!["--user", "clerk", "on", ">right", "~*", "+@all"];
    options.extend(["-client|tracking", "-client|trackinginfo"]);
    let server = RedisServer::start_with(product, &options);
    let following = follow(&server, Some(("clerk", "right")));
    let mut tick = interval(Duration::from_millis(5));
    let trouble = || following.store.lease().trouble().unwrap_or_default();
    let comes = timeout(PATIENCE, async {
        while !trouble().contains("does not do CLIENT TRACKING") {
            tick.tick().await;
        }
    });
    comes.await.unwrap_or_else(|_| panic!("{}", trouble()));
    let put = following.store.put("pc:a", b"1", PutIf::Always, None).await;
    assert_eq!(put, Ok(true));
    assert!(!following.store.lease().holds(now()));
}

async fn a_call_is_answered_in_the_canary_once_what_came_before_it_was_told_of(product: Product) {
    let server = RedisServer::start(product);
    let mut following = follow(&server, None);
    following.await_word(EVERYTHING).await;
    following.await_lease(true).await;
    let other = &mut connect(&server).await;
    let mut tick = interval(Duration::from_millis(1));
    // More than are answered together, one after the other.
    for number in 0..40 {
        ask::<redis::Value>(other, &format!("SET pc:a {number}")).await;
        ask::<redis::Value>(other, &format!("SET pc:n:call-{number} 1 PX 10000")).await;
        let answered = timeout(PATIENCE, async {
            loop {
                tick.tick().await;
                let canaries: Vec<String> = ask(other, "KEYS pcw:*").await;
                let [canary] = &canaries[..] else { continue };
                let calls: String = ask(other, &format!("GET {canary}")).await;
                if calls.split(' ').any(|it| it == format!("call-{number}")) {
                    break;
                }
            }
        });
        answered.await.expect("an answer");
        let told = std::iter::from_fn(|| following.told.try_recv().ok());
        let told: Vec<_> = told.collect();
        assert_eq!(told, ["pc:a".to_owned(), format!("pc:n:call-{number}")]);
    }
}

/// Each of them on each product.
macro_rules! on_both {
    ($($promise:ident)*) => {
        mod on_redis {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::Product::Redis).await;
            })*
        }
        mod on_valkey {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::Product::Valkey).await;
            })*
        }
    };
}

on_both! {
    what_anybody_changes_is_told_of
    word_that_is_cut_off_comes_again_and_all_that_was_read_before_counts_as_changed
    the_last_word_of_a_server_that_hangs_counts_for_the_grace_and_no_longer
    the_last_word_counts_no_longer_where_the_clock_is_set_back
    a_primary_that_becomes_a_replica_is_trusted_no_more
    a_replica_is_left_although_another_server_tells_of_changes
    what_is_read_and_what_is_told_of_come_from_one_server_also_when_another_takes_its_place
    a_server_that_does_not_tell_is_used_and_never_relied_on
    a_call_is_answered_in_the_canary_once_what_came_before_it_was_told_of
}
