//! A Redis whose primary is wherever its sentinels say.
//!
//! What it does when all is well stands in the suite of all stores (`store.rs`), and what an Envoy sees of a failover in
//! `faults/sentinels.rs`.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock::Clock;
use portcullis::credential::Secret;
use portcullis::store::redis::{Redis, Settings, Watched};
use portcullis::store::{Change, PutIf, Replicas, Store, StoreError};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};
use support::free_port;
use support::redis::Product;
use support::sentinel::{SERVICE, Sentinels};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const AMPLE: Duration = Duration::from_secs(10);

/// A store that follows its primary, and all that it was told.
struct Following {
    store: Redis,
    /// `None`: that everything may have changed.
    told: UnboundedReceiver<Option<String>>,
}

fn settings(url: &str) -> Settings {
    Settings {
        timeout: AMPLE,
        url: url.to_owned(),
        ..Settings::default()
    }
}

impl Following {
    /// Waits until it is told of changes.
    async fn start(url: &str, grace: Duration) -> Self {
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
            ..settings(url)
        });
        let store = store.expect("a store");
        let (tell, told) = unbounded_channel();
        store.watch(Arc::new(move |change: Change<'_>| {
            let _ = tell.send(match change {
                Change::Everything => None,
                Change::Key(key) => Some(key.to_owned()),
            });
        }));
        let following = Self { store, told };
        following.await_lease(true).await;
        following
    }

    fn holds(&self) -> bool {
        self.store
            .lease()
            .holds(Clock::system().unix_milliseconds())
    }

    async fn await_lease(&self, holds: bool) {
        poll(&format!("the lease: {holds}"), async || {
            (self.holds() == holds).then_some(())
        })
        .await;
    }

    /// Waits until it is told of this.
    async fn await_word(&mut self, want: Option<&str>) {
        let told = timeout(PATIENCE, async {
            while self
                .told
                .recv()
                .await
                .expect("a store that lives")
                .as_deref()
                != want
            {}
        });
        told.await
            .unwrap_or_else(|_| panic!("never told of {want:?}"));
    }

    async fn read(&self) -> Result<Option<String>, StoreError> {
        let found = self.store.get(&["pc:a".to_owned()]).await?;
        let text = |it: &_| String::from_utf8_lossy(it).into_owned();
        Ok(found[0].as_deref().map(text))
    }

    async fn write(&self, value: &str) -> Result<bool, StoreError> {
        let put = self
            .store
            .put("pc:a", value.as_bytes(), PutIf::Always, None);
        put.await
    }

    async fn await_written(&self, value: &str) {
        poll("a write", async || self.write(value).await.ok()).await;
    }

    /// Waits until the replica has what was written. One that was made a replica a moment ago may
    /// be told so twice, and is not asked for longer than a revocation may wait.
    async fn await_confirmed(&self) {
        let want = Replicas {
            connected: 1,
            confirmed: 1,
        };
        poll("a replica that has it", async || {
            (self.store.confirm("pc:n:1").await == Ok(want)).then_some(())
        })
        .await;
    }

    /// Demands that it reads, writes and is told what anybody changes at this server.
    async fn is_at(&mut self, group: &Sentinels, number: usize) {
        let server = &mut group.connect(number).await;
        let there = server.clone();
        // One that was replaced a moment ago may take a write that is lost with it.
        poll("a write there", async || {
            self.write("here").await.ok()?;
            let found = ask::<Option<String>>(&mut there.clone(), "GET pc:a").await;
            (found.as_deref() == Some("here")).then_some(())
        })
        .await;
        self.await_lease(true).await;
        ask::<()>(server, "SET pc:b 1").await;
        self.await_word(Some("pc:b")).await;
    }
}

async fn poll<T>(what: &str, attempt: impl AsyncFn() -> Option<T>) -> T {
    let mut tick = interval(Duration::from_millis(2));
    let comes = timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            if let Some(found) = attempt().await {
                return found;
            }
        }
    });
    comes.await.unwrap_or_else(|_| panic!("never came: {what}"))
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &str) -> T {
    let mut command = cmd("");
    command.clear();
    command.arg(words.split(' ').collect::<Vec<_>>());
    let answer = command.query_async(connection).await;
    answer.unwrap_or_else(|error| panic!("{words}: {error}"))
}

#[tokio::test]
async fn a_primary_that_gives_its_place_away_is_left_and_what_was_written_before_is_read_after() {
    for product in [Product::Redis, Product::Valkey] {
        let group = Sentinels::start(product).await;
        // Long enough that it ends by being taken back alone.
        let mut following = Following::start(&group.url(), 100 * PATIENCE).await;
        following.await_word(None).await;
        for from in [0, 1] {
            assert_eq!(following.write("before").await, Ok(true));
            following.await_confirmed().await;
            let (to, ()) = tokio::join!(group.failover(), following.await_lease(false));
            assert_eq!(to, 1 - from);
            following.await_lease(true).await;
            let read = poll("a read", async || following.read().await.ok()).await;
            assert_eq!(read.as_deref(), Some("before"));
            following.await_word(None).await;
            following.is_at(&group, to).await;
            group.await_replica(from).await;
            group.await_in_step().await;
        }
    }
}

#[tokio::test]
async fn a_primary_that_is_killed_is_replaced_and_not_read_when_it_comes_back_empty() {
    let mut group = Sentinels::start(Product::Redis).await;
    let mut following = Following::start(&group.url(), Duration::from_millis(300)).await;
    following.await_word(None).await;
    following.await_written("before").await;
    following.await_confirmed().await;
    let old = group.kill_primary().await;
    following.await_lease(false).await;
    let new = group.await_takeover(old).await;
    following.await_lease(true).await;
    let read = poll("a read", async || following.read().await.ok()).await;
    assert_eq!(read.as_deref(), Some("before"));
    following.is_at(&group, new).await;

    // It takes itself for a primary until a sentinel has told it otherwise.
    group.restart(old);
    let reads = async {
        loop {
            // Sentinels that set things right may end connections.
            match following.read().await {
                Ok(found) => assert_eq!(found.as_deref(), Some("here")),
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
            }
        }
    };
    tokio::select! {
        () = group.await_replica(old) => {}
        () = reads => {}
    }
    following.is_at(&group, new).await;
}

#[tokio::test]
async fn an_old_primary_that_lives_on_behind_a_partition_is_left_within_two_seconds() {
    let group = Sentinels::start(Product::Redis).await;
    let mut following = Following::start(&group.url(), 100 * PATIENCE).await;
    following.await_written("old").await;
    following.is_at(&group, 0).await;
    let new = &mut group.connect(1).await;
    ask::<()>(new, "REPLICAOF NO ONE").await;
    ask::<()>(new, "SET pc:a new").await;
    let begun = Instant::now();
    group.have_say(&[0, 1, 2], 1).await;
    poll("the new primary", async || {
        let read = following.read().await.ok().flatten();
        (read.as_deref() == Some("new")).then_some(())
    })
    .await;
    // Two seconds, and what a machine that does much else takes.
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    following.await_word(None).await;
    following.is_at(&group, 1).await;
    // Who takes only its own word for it would still be there.
    let old = &mut group.connect(0).await;
    let role: Vec<redis::Value> = ask(old, "ROLE").await;
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
}

#[tokio::test]
async fn one_sentinel_that_says_otherwise_changes_nothing() {
    let group = Sentinels::builder(Product::Redis).replicas(2).start().await;
    let new = group.failover().await;
    let mut following = Following::start(&group.url(), PATIENCE).await;
    following.is_at(&group, new).await;
    // It counts from the beginning, and so knows of no replacement.
    group.have_say(&[0], 0).await;
    let mut rounds = interval(Duration::from_millis(100));
    for _ in 0..30 {
        rounds.tick().await;
        assert!(following.holds());
        assert_eq!(following.read().await, Ok(Some("here".to_owned())));
    }
    // Also to whoever comes later.
    Following::start(&group.url(), PATIENCE)
        .await
        .is_at(&group, new)
        .await;
}

#[tokio::test]
async fn without_an_answer_of_sentinels_the_primary_that_they_named_last_is_used() {
    let group = Sentinels::start(Product::Redis).await;
    let mut following = Following::start(&group.url(), 100 * PATIENCE).await;
    following.await_written("before").await;
    for number in 0..3 {
        group.pause_sentinel(number);
    }
    let server = &mut group.connect(0).await;
    for _ in 0..2 {
        assert_eq!(following.read().await, Ok(Some("before".to_owned())));
        following.is_at(&group, 0).await;
        following.await_written("before").await;
        // New connections, too.
        ask::<u64>(server, "CLIENT KILL TYPE normal SKIPME yes").await;
        following.await_word(None).await;
        poll("a read", async || following.read().await.ok()).await;
    }
    for number in 0..3 {
        group.resume_sentinel(number);
    }
    let new = group.failover().await;
    following.is_at(&group, new).await;
}

#[tokio::test]
async fn sentinels_that_do_not_answer_are_named_although_the_store_works() {
    let group = Sentinels::start(Product::Redis).await;
    let [one, ..] = group.sentinel_addresses();
    let nobody = free_port();
    let url = format!("redis-sentinel://{one},127.0.0.1:{nobody}/{SERVICE}");
    let some = format!("1 of 2 sentinels do not answer (127.0.0.1:{nobody}: Connection refused");
    for (url, want) in [(url, Some(some)), (group.url(), None)] {
        let store = Redis::new(settings(&url)).expect("a store");
        poll("the store", async || {
            store.get(&["pc:a".to_owned()]).await.ok()
        })
        .await;
        // A busy machine may be too late with an answer.
        poll(&format!("{want:?}"), async || {
            let lacks = store.lacks();
            let is_wanted = match &want {
                Some(want) => lacks.is_some_and(|it| it.starts_with(want)),
                None => lacks.is_none(),
            };
            is_wanted.then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn who_is_not_found_is_told_of_by_its_cause() {
    // As documented.
    let rights = "+sentinel|get-master-addr-by-name +sentinel|master";
    assert!(include_str!("../deploy/RUNNING.md").contains(rights));
    let rights = &format!("user clerk on >right -@all {rights}\n");
    let group = Sentinels::builder(Product::Redis).sentinel_lines(rights);
    let group = group.start().await;
    let [one, two, three] = group.sentinel_addresses();
    let nobody = free_port();
    let login = |url: String, login: Option<(&str, &str)>| Settings {
        sentinel_username: login.map(|(it, _)| it.to_owned()),
        sentinel_password: login.map(|(_, it)| Secret::new(it.as_bytes())),
        ..settings(&url)
    };
    let some = format!("redis-sentinel://127.0.0.1:{nobody},{one}/{SERVICE}");
    let none = format!("redis-sentinel://127.0.0.1:{nobody}/{SERVICE}");
    let refused = format!("no sentinel answers (127.0.0.1:{nobody}: Connection refused");
    let other = format!("redis-sentinel://{one},{two},{three}/other");
    let server = group.server(0).address();
    let no_sentinel = format!("redis-sentinel://{server}/{SERVICE}");
    let unknown = "no sentinel that answers knows `other`";
    for (settings, want) in [
        (login(group.url(), None), None),
        (login(some, None), None),
        (login(group.url(), Some(("clerk", "right"))), None),
        (
            login(group.url(), Some(("clerk", "wrong"))),
            Some("(WRONGPASS); check `store.sentinel_username` and `store.sentinel_password_file`"),
        ),
        (login(none, None), Some(&*refused)),
        (login(other, None), Some(unknown)),
        (login(no_sentinel, None), Some("it is no sentinel")),
    ] {
        let store = Redis::new(settings).expect("a store");
        // A busy machine may be too late with its answer.
        poll(&format!("{want:?}"), async || {
            let read = store.get(&["pc:a".to_owned()]).await;
            let is_wanted = match (read, want) {
                (Err(StoreError::Unavailable(why)), Some(want)) => why.contains(want),
                (read, want) => read.is_ok() == want.is_none(),
            };
            is_wanted.then_some(())
        })
        .await;
        assert_eq!(store.was_reached(), want.is_none());
    }
}
