//! What every store promises, as one suite of behaviours that runs on each backend.
//!
//! A new backend is a constructor of [`Backend`] and one line at the end. A behaviour takes a fresh
//! store, moves time by [`Backend::pass`], and waits for reports instead of assuming when they come.

mod support;

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use portcullis::{
    clock::Clock,
    store::{
        COUNTER_MAX, Change, DeleteIf, KEY_BYTES_MAX, PutIf, Store, StoreError, TTL_MAX,
        VALUE_BYTES_MAX,
        embedded::Embedded,
        redis::{Redis, Settings},
    },
};
use support::cluster::Cluster;
use support::redis::{Product, RedisServer};
use support::sentinel::Sentinels;
use tokio::{
    runtime::Handle,
    sync::OnceCell,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::{self, JoinSet},
    time::timeout,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

type Passing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store that nobody else uses, and the power over its time.
struct Backend {
    store: Arc<dyn Store>,
    pass: Box<dyn Fn(Duration) -> Passing + Send + Sync>,
    /// What the store lives in, where it is not the store itself.
    _home: Box<dyn Any + Send + Sync>,
}

impl Backend {
    fn memory() -> Self {
        Self::embedded((), Embedded::memory)
    }

    fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.redb");
        Self::embedded(folder, |clock| Embedded::open(&path, clock))
    }

    fn redis() -> Self {
        Self::server(Product::Redis)
    }

    fn valkey() -> Self {
        Self::server(Product::Valkey)
    }

    fn embedded(
        home: impl Any + Send + Sync,
        open: impl FnOnce(Clock) -> Result<Embedded, StoreError>,
    ) -> Self {
        let milliseconds = Arc::new(AtomicU64::new(1_700_000_000_000));
        let now = Arc::clone(&milliseconds);
        let clock =
            Clock::from_fn(move || UNIX_EPOCH + Duration::from_millis(now.load(Ordering::SeqCst)));
        Self {
            store: Arc::new(open(clock).expect("a store")),
            pass: Box::new(move |time| {
                let time = u64::try_from(time.as_millis()).expect("tests pass short times");
                milliseconds.fetch_add(time, Ordering::SeqCst);
                Box::pin(async {})
            }),
            _home: Box::new(home),
        }
    }

    fn server(product: Product) -> Self {
        let server = RedisServer::start(product);
        let url = server.url();
        Self::remote(url.clone(), vec![url], Box::new(server))
    }

    /// One in a cluster that others have used before and will use after.
    async fn cluster(cluster: &Cluster) -> Self {
        let mut primaries = Vec::new();
        for node in cluster.primaries(0).await {
            let _: String = cluster.ask(node, "FLUSHALL").await;
            primaries.push(cluster.node(node).url());
        }
        Self::remote(cluster.url(), primaries, Box::new(()))
    }

    /// All are in one group, which is started once, each in a database of its own.
    fn sentinel() -> Self {
        static GROUP: OnceCell<Sentinels> = OnceCell::const_new();
        static DATABASES: AtomicU64 = AtomicU64::new(0);
        let number = DATABASES.fetch_add(1, Ordering::SeqCst);
        let started = GROUP.get_or_init(|| async {
            let databases = ["--databases", "100"];
            let group = Sentinels::builder(Product::Redis).options(&databases);
            let group = group.start().await;
            // Not the one that was there first.
            group.failover().await;
            group
        });
        let found = async {
            let group = started.await;
            (group.url(), group.primary_address().await)
        };
        let (url, primary) = task::block_in_place(|| Handle::current().block_on(found));
        let primary = format!("redis://{primary}/{number}");
        Self::remote(format!("{url}/{number}"), vec![primary], Box::new(()))
    }

    /// The clock of a server cannot be moved, so time passes by shortening what every key has left. A lifetime begun
    /// is taken as whole again, or the time that the test itself takes would add up.
    fn remote(url: String, primaries: Vec<String>, home: Box<dyn Any + Send + Sync>) -> Self {
        const PASS: &str = "\
            for _, key in ipairs(redis.call('KEYS', '*')) do
              local left = redis.call('PTTL', key)
              if left >= 0 then
                local whole = math.ceil(left / 1000) * 1000
                redis.call('PEXPIRE', key, string.format('%d', whole - ARGV[1]))
              end
            end";
        let settings = Settings {
            timeout: 10 * SECOND,
            url,
            ..Settings::default()
        };
        let client = |url: String| ::redis::Client::open(url).expect("a client");
        let clients: Vec<_> = primaries.into_iter().map(client).collect();
        Self {
            store: Arc::new(Redis::new(settings).expect("a store")),
            pass: Box::new(move |time| {
                let clients = clients.clone();
                Box::pin(async move {
                    for client in clients {
                        let connected = client.get_multiplexed_async_connection().await;
                        let mut connection = connected.expect("a connection");
                        let mut pass = ::redis::cmd("EVAL");
                        pass.arg(PASS).arg(0).arg(time.as_millis().to_string());
                        let passed = pass.exec_async(&mut connection).await;
                        passed.expect("an answer");
                    }
                })
            }),
            _home: home,
        }
    }

    /// Lets this much time go by for the store.
    async fn pass(&self, time: Duration) {
        (self.pass)(time).await;
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        let found = self.store.get(&[key.to_owned()]).await.expect("an answer");
        let [value] = <[_; 1]>::try_from(found).expect("one answer to one key");
        value
    }

    async fn put(&self, key: &str, value: &str, condition: PutIf<'_>) -> bool {
        let put = self.store.put(key, value.as_bytes(), condition, None);
        put.await.expect("an answer")
    }

    async fn put_for(&self, key: &str, value: &str, condition: PutIf<'_>, ttl: Duration) -> bool {
        let put = self.store.put(key, value.as_bytes(), condition, Some(ttl));
        put.await.expect("an answer")
    }

    async fn delete(&self, key: &str, condition: DeleteIf<'_>) -> bool {
        self.store.delete(key, condition).await.expect("an answer")
    }

    async fn touch(&self, key: &str, ttl: Duration) -> bool {
        self.store.touch(key, ttl).await.expect("an answer")
    }

    async fn add(&self, key: &str, amount: u64) -> u64 {
        self.store
            .add(key, amount, MINUTE)
            .await
            .expect("an answer")
    }

    /// Puts many keys that end before a minute, so that a store that clears a few ended ones in
    /// passing has not come to those that end later when a test looks at them.
    async fn crowd(&self) {
        for index in 0..200 {
            self.put_for(&format!("crowd:{index}"), "", PutIf::Always, MINUTE / 2)
                .await;
        }
    }

    /// Scans to the end. Gives the different keys and the number of pages.
    async fn scan(&self, prefix: &str) -> (BTreeSet<String>, usize) {
        let (mut keys, mut pages, mut cursor) = (BTreeSet::new(), 0, None);
        loop {
            let page = self.store.scan(prefix, cursor).await.expect("an answer");
            keys.extend(page.keys);
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                return (keys, pages);
            }
        }
    }

    fn watch(&self) -> Reports {
        let (sender, receiver) = unbounded_channel();
        self.store.watch(Arc::new(move |change| {
            let key = match change {
                Change::Everything => None,
                Change::Key(key) => Some(key.to_owned()),
            };
            // A report after the test's end has nobody to hear it.
            let _ = sender.send(key);
        }));
        Reports(receiver)
    }
}

/// What a sink was told; `None` stands for everything.
struct Reports(UnboundedReceiver<Option<String>>);

impl Reports {
    /// Waits until `key` is reported, by itself or with everything.
    async fn wait_for(&mut self, key: &str) {
        loop {
            let report = timeout(10 * SECOND, self.0.recv()).await;
            let report = report.unwrap_or_else(|_| panic!("{key} was not reported"));
            if report
                .expect("the store lives")
                .is_none_or(|reported| reported == key)
            {
                return;
            }
        }
    }
}

fn set<const N: usize>(keys: [&str; N]) -> BTreeSet<String> {
    keys.map(str::to_owned).into()
}

#[track_caller]
fn assert_refused<T: fmt::Debug>(answer: Result<T, StoreError>, case: &str) {
    match answer {
        Err(StoreError::Refused(_)) => {}
        other => panic!("{case}: {other:?}"),
    }
}

async fn get_answers_several_keys_in_the_order_asked(at: Backend) {
    at.put("a", "1", PutIf::Always).await;
    at.put("b", "", PutIf::Always).await;
    let keys = ["b", "absent", "a", "b"].map(str::to_owned);
    let want = [Some(""), None, Some("1"), Some("")];
    let found = at.store.get(&keys).await.expect("an answer");
    assert_eq!(found, want.map(|value| value.map(Bytes::from)));
    assert_eq!(at.store.get(&[]).await, Ok(Vec::new()));
}

async fn put_writes_only_if_its_condition_holds(at: Backend) {
    let cases: [(&str, Option<&str>, PutIf<'_>, bool); 8] = [
        ("absent, of nothing", None, PutIf::Absent, true),
        ("absent, of something", Some("old"), PutIf::Absent, false),
        ("always, of nothing", None, PutIf::Always, true),
        ("always, of something", Some("old"), PutIf::Always, true),
        ("equal, of nothing", None, PutIf::Equal(b""), false),
        (
            "equal, of the same",
            Some("old"),
            PutIf::Equal(b"old"),
            true,
        ),
        ("equal, of another", Some("old"), PutIf::Equal(b"ol"), false),
        ("equal, of an empty one", Some(""), PutIf::Equal(b""), true),
    ];
    for (name, before, condition, want) in cases {
        if let Some(value) = before {
            at.put(name, value, PutIf::Always).await;
        }
        assert_eq!(at.put(name, "new", condition).await, want, "{name}");
        let after = if want { Some("new") } else { before };
        assert_eq!(at.get(name).await, after.map(Bytes::from), "{name}");
    }
}

async fn delete_removes_only_if_its_condition_holds(at: Backend) {
    let cases: [(&str, Option<&str>, DeleteIf<'_>, bool); 6] = [
        ("always, of nothing", None, DeleteIf::Always, false),
        ("always, of something", Some("old"), DeleteIf::Always, true),
        ("equal, of nothing", None, DeleteIf::Equal(b""), false),
        (
            "equal, of the same",
            Some("old"),
            DeleteIf::Equal(b"old"),
            true,
        ),
        (
            "equal, of another",
            Some("old"),
            DeleteIf::Equal(b"older"),
            false,
        ),
        (
            "equal, of an empty one",
            Some(""),
            DeleteIf::Equal(b""),
            true,
        ),
    ];
    for (name, before, condition, want) in cases {
        if let Some(value) = before {
            at.put(name, value, PutIf::Always).await;
        }
        assert_eq!(at.delete(name, condition).await, want, "{name}");
        let after = if want { None } else { before };
        assert_eq!(at.get(name).await, after.map(Bytes::from), "{name}");
    }
}

async fn a_key_lives_as_long_as_the_last_put_said(at: Backend) {
    at.put_for("minute", "v", PutIf::Always, MINUTE).await;
    at.put_for("longer", "v", PutIf::Always, MINUTE).await;
    at.put_for("longer", "v", PutIf::Equal(b"v"), MINUTE * 3)
        .await;
    at.put_for("for ever", "v", PutIf::Always, MINUTE).await;
    at.put("for ever", "v", PutIf::Always).await;
    at.put("no longer for ever", "v", PutIf::Always).await;
    at.put_for("no longer for ever", "v", PutIf::Always, MINUTE)
        .await;
    // A write that is not made leaves the lifetime alone.
    at.put_for("unmoved", "v", PutIf::Always, MINUTE).await;
    at.put_for("unmoved", "w", PutIf::Absent, MINUTE * 3).await;

    at.pass(MINUTE - SECOND).await;
    assert_eq!(at.scan("").await.0.len(), 5, "before the minute is over");
    at.pass(SECOND * 2).await;
    assert_eq!(at.scan("").await.0, set(["for ever", "longer"]), "after it");
    at.pass(MINUTE * 2).await;
    assert_eq!(at.scan("").await.0, set(["for ever"]), "after three");
}

async fn what_is_put_together_is_there_as_if_it_was_put_one_by_one(at: Backend) {
    at.put("b", "old", PutIf::Always).await;
    let many: Vec<_> = ["a", "b", "c"]
        .map(|it| (it.to_owned(), Bytes::from(format!("{it}'s"))))
        .into();
    let put = async |some: &[(String, Bytes)], ttl| at.store.put_all(some, ttl).await;
    assert_eq!(put(&[], None).await, Ok(()));
    assert_eq!(put(&many[..2], Some(MINUTE)).await, Ok(()));
    assert_eq!(put(&many[2..], None).await, Ok(()));
    for (key, value) in &many {
        assert_eq!(at.get(key).await.as_ref(), Some(value), "{key}");
    }
    let wrong = [(String::new(), Bytes::new())];
    let refused = put(&wrong, None).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    at.pass(MINUTE + SECOND).await;
    assert_eq!(at.scan("").await.0, set(["c"]));
}

async fn an_expired_key_is_absent_to_every_operation(at: Backend) {
    let keys = ["get", "absent", "equal", "delete", "delete equal", "touch"];
    for key in keys {
        at.put_for(key, "old", PutIf::Always, MINUTE).await;
    }
    at.add("add", 5).await;
    at.crowd().await;
    at.pass(MINUTE + SECOND).await;

    assert_eq!(at.scan("").await.0, set([]));
    assert_eq!(at.get("get").await, None);
    assert!(!at.put("equal", "new", PutIf::Equal(b"old")).await);
    assert!(!at.delete("delete", DeleteIf::Always).await);
    assert!(!at.delete("delete equal", DeleteIf::Equal(b"old")).await);
    assert!(!at.touch("touch", MINUTE).await);
    assert_eq!(at.add("add", 1).await, 1);
    assert!(at.put("absent", "new", PutIf::Absent).await);
    assert_eq!(at.scan("").await.0, set(["absent", "add"]));
}

async fn a_prolonged_key_outlives_the_clearing_of_ended_ones(at: Backend) {
    for key in ["put", "put for ever", "touched", "anew"] {
        at.put_for(key, "v", PutIf::Always, MINUTE).await;
    }
    at.put_for("put", "v", PutIf::Always, MINUTE * 3).await;
    at.put("put for ever", "v", PutIf::Always).await;
    at.touch("touched", MINUTE * 3).await;
    at.delete("anew", DeleteIf::Always).await;
    at.put("anew", "v", PutIf::Always).await;
    at.pass(MINUTE * 2).await;
    at.put("any", "v", PutIf::Always).await;
    let left = set(["any", "anew", "put", "put for ever", "touched"]);
    assert_eq!(at.scan("").await.0, left);
}

async fn touch_sets_the_lifetime_of_what_exists(at: Backend) {
    for key in ["untouched", "longer", "shorter"] {
        at.put_for(key, "v", PutIf::Always, MINUTE).await;
    }
    at.put("no longer for ever", "v", PutIf::Always).await;
    assert!(at.touch("longer", MINUTE * 3).await);
    assert!(at.touch("shorter", SECOND).await);
    assert!(at.touch("no longer for ever", MINUTE * 3).await);

    at.pass(SECOND * 2).await;
    let left = set(["longer", "no longer for ever", "untouched"]);
    assert_eq!(at.scan("").await.0, left, "after two seconds");
    at.pass(MINUTE).await;
    assert_eq!(
        at.get("longer").await.as_deref(),
        Some(&b"v"[..]),
        "the value stays"
    );
    assert_eq!(
        at.scan("").await.0,
        set(["longer", "no longer for ever"]),
        "after a minute"
    );
    at.pass(MINUTE * 2).await;
    assert_eq!(at.scan("").await.0, set([]), "after three");
}

async fn touch_brings_nothing_back(at: Backend) {
    assert!(!at.touch("never there", MINUTE).await);
    at.put_for("expired", "v", PutIf::Always, MINUTE).await;
    at.put("deleted", "v", PutIf::Always).await;
    at.delete("deleted", DeleteIf::Always).await;
    at.crowd().await;
    at.pass(MINUTE + SECOND).await;
    assert!(!at.touch("expired", MINUTE).await);
    assert!(!at.touch("deleted", MINUTE).await);
    assert_eq!(at.scan("").await.0, set([]));
}

async fn add_counts_from_nothing_and_keeps_the_first_lifetime(at: Backend) {
    assert_eq!(at.add("n", 0).await, 0);
    assert_eq!(at.add("n", 5).await, 5);
    at.pass(MINUTE - SECOND).await;
    assert_eq!(at.add("n", 2).await, 7);
    assert_eq!(
        at.get("n").await.as_deref(),
        Some(&b"7"[..]),
        "it reads as digits"
    );
    at.pass(SECOND * 2).await;
    assert_eq!(at.get("n").await, None, "later additions do not prolong it");
    assert_eq!(at.add("n", 1).await, 1, "it starts anew");

    // One that was put for ever stays for ever.
    at.put("for ever", "41", PutIf::Always).await;
    assert_eq!(at.add("for ever", 1).await, 42);
    at.pass(MINUTE * 2).await;
    assert_eq!(at.get("for ever").await.as_deref(), Some(&b"42"[..]));
}

async fn add_refuses_what_is_no_number_and_leaves_it(at: Backend) {
    let full = COUNTER_MAX.to_string();
    for value in ["", "seven", "7 ", "1.5", &full, "99999999999999999999"] {
        at.put("n", value, PutIf::Always).await;
        assert_refused(at.store.add("n", 1, MINUTE).await, value);
        assert_eq!(
            at.get("n").await,
            Some(Bytes::from(value.to_owned())),
            "{value:?}"
        );
    }
    assert_refused(
        at.store.add("new", COUNTER_MAX + 1, MINUTE).await,
        "too much at once",
    );
    assert_eq!(at.get("new").await, None);
    assert_eq!(at.add("new", COUNTER_MAX).await, COUNTER_MAX);
}

async fn scan_lists_exactly_the_keys_with_the_prefix(at: Backend) {
    let keys = [
        "pc:u:a",
        "pc:u:a:1",
        "pc:u:ab",
        "pc:u:b",
        "pc:u:",
        "pc:u",
        "pc:v",
        "pc:u:\u{e4}",
    ];
    for key in keys {
        at.put(key, "v", PutIf::Always).await;
    }
    // Characters that mean something in a Redis pattern mean themselves.
    for key in ["glob:*", "glob:x", "glob:[x]", "glob:?", "glob:\\"] {
        at.put(key, "v", PutIf::Always).await;
    }
    let cases = [
        ("pc:u:a", set(["pc:u:a", "pc:u:a:1", "pc:u:ab"])),
        ("pc:u:a:", set(["pc:u:a:1"])),
        ("pc:u:ab", set(["pc:u:ab"])),
        ("pc:u:\u{e4}", set(["pc:u:\u{e4}"])),
        ("pc:u:c", set([])),
        ("pc:v", set(["pc:v"])),
        ("glob:*", set(["glob:*"])),
        ("glob:[x]", set(["glob:[x]"])),
        ("glob:?", set(["glob:?"])),
        ("glob:\\", set(["glob:\\"])),
    ];
    for (prefix, want) in cases {
        assert_eq!(at.scan(prefix).await.0, want, "{prefix}");
    }
    assert_eq!(at.scan("").await.0.len(), 13);
}

async fn scan_pages_through_many_keys(at: Backend) {
    const MANY: usize = 1100;
    let key = |index: usize| format!("many:{index}");
    let mut writes = JoinSet::new();
    for index in 0..MANY {
        let store = Arc::clone(&at.store);
        let ttl = (index % 2 == 1).then_some(MINUTE);
        writes.spawn(async move { store.put(&key(index), b"v", PutIf::Always, ttl).await });
    }
    assert!(
        writes
            .join_all()
            .await
            .into_iter()
            .all(|written| written == Ok(true))
    );
    at.put("manz", "v", PutIf::Always).await;

    let (keys, pages) = at.scan("many:").await;
    assert_eq!(keys, (0..MANY).map(key).collect());
    assert!(pages > 1, "no page is that long");

    // What exists throughout is listed, though others go while the scan is under way.
    let first = at.store.scan("many:", None).await.expect("an answer");
    at.pass(MINUTE + SECOND).await;
    let (mut keys, mut cursor) = (BTreeSet::from_iter(first.keys), first.next);
    while cursor.is_some() {
        let page = at.store.scan("many:", cursor).await.expect("an answer");
        keys.extend(page.keys);
        cursor = page.next;
    }
    let staying: BTreeSet<_> = (0..MANY).step_by(2).map(key).collect();
    assert!(keys.is_superset(&staying));
    assert_eq!(at.scan("many:").await.0, staying);
}

async fn of_many_puts_if_absent_one_wins(at: Backend) {
    let mut racers = JoinSet::new();
    for racer in 0..100 {
        let store = Arc::clone(&at.store);
        racers.spawn(async move {
            let value = racer.to_string();
            let won = store
                .put("k", value.as_bytes(), PutIf::Absent, Some(MINUTE))
                .await;
            won.expect("an answer").then_some(value)
        });
    }
    let winners: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(at.get("k").await, winners.first().cloned().map(Bytes::from));
}

async fn of_many_compare_and_sets_one_wins(at: Backend) {
    at.put("k", "old", PutIf::Always).await;
    let mut racers = JoinSet::new();
    for racer in 0..100 {
        let store = Arc::clone(&at.store);
        racers.spawn(async move {
            let value = racer.to_string();
            let won = store
                .put("k", value.as_bytes(), PutIf::Equal(b"old"), None)
                .await;
            won.expect("an answer").then_some(value)
        });
    }
    let winners: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(at.get("k").await, winners.first().cloned().map(Bytes::from));
}

async fn of_many_deletes_one_wins(at: Backend) {
    at.put("k", "v", PutIf::Always).await;
    let mut racers = JoinSet::new();
    for _ in 0..100 {
        let store = Arc::clone(&at.store);
        racers.spawn(async move { store.delete("k", DeleteIf::Equal(b"v")).await });
    }
    let answers = racers.join_all().await;
    assert_eq!(
        answers.iter().filter(|answer| **answer == Ok(true)).count(),
        1
    );
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == Ok(false))
            .count(),
        99
    );
}

async fn concurrent_adds_sum_up(at: Backend) {
    let mut adders = JoinSet::new();
    for amount in 1..=100 {
        let store = Arc::clone(&at.store);
        adders.spawn(async move { store.add("n", amount, MINUTE).await.expect("an answer") });
    }
    let sums = BTreeSet::from_iter(adders.join_all().await);
    assert_eq!(sums.len(), 100, "each saw a sum of its own");
    assert_eq!(sums.last(), Some(&5050));
    assert_eq!(at.add("n", 0).await, 5050);
}

async fn puts_and_deletes_are_reported_to_every_watcher(at: Backend) {
    let mut watchers = [at.watch(), at.watch()];
    at.put("k", "1", PutIf::Absent).await;
    for watcher in &mut watchers {
        watcher.wait_for("k").await;
    }
    at.put("k", "2", PutIf::Equal(b"1")).await;
    for watcher in &mut watchers {
        watcher.wait_for("k").await;
    }
    at.delete("k", DeleteIf::Always).await;
    for watcher in &mut watchers {
        watcher.wait_for("k").await;
    }
}

async fn expiry_is_reported_to_every_watcher(at: Backend) {
    let mut watchers = [at.watch(), at.watch()];
    at.put_for("short", "v", PutIf::Always, MINUTE).await;
    for watcher in &mut watchers {
        watcher.wait_for("short").await;
    }
    at.pass(MINUTE + SECOND).await;
    // A store may come to it only with the next write.
    at.put("other", "v", PutIf::Always).await;
    for watcher in &mut watchers {
        watcher.wait_for("short").await;
    }
}

async fn what_is_out_of_bounds_is_refused_and_what_is_just_within_is_not(at: Backend) {
    let longest = "k".repeat(KEY_BYTES_MAX);
    for key in [String::new(), format!("{longest}k")] {
        let case = format!("a key of {} bytes", key.len());
        assert_refused(at.store.get(&["k".to_owned(), key.clone()]).await, &case);
        assert_refused(at.store.put(&key, b"v", PutIf::Always, None).await, &case);
        assert_refused(at.store.delete(&key, DeleteIf::Always).await, &case);
        assert_refused(at.store.touch(&key, MINUTE).await, &case);
        assert_refused(at.store.add(&key, 1, MINUTE).await, &case);
    }
    assert_refused(
        at.store
            .scan(&format!("{longest}k"), None)
            .await
            .map(|_| ()),
        "a prefix",
    );
    let largest = "v".repeat(VALUE_BYTES_MAX);
    let larger = format!("{largest}v");
    let put = at
        .store
        .put("k", larger.as_bytes(), PutIf::Always, None)
        .await;
    assert_refused(put, "a value");
    for ttl in [
        Duration::ZERO,
        Duration::from_micros(999),
        TTL_MAX + SECOND,
        Duration::MAX,
    ] {
        let case = format!("a lifetime of {ttl:?}");
        assert_refused(
            at.store.put("k", b"v", PutIf::Always, Some(ttl)).await,
            &case,
        );
        assert_refused(at.store.touch("k", ttl).await, &case);
        assert_refused(at.store.add("k", 1, ttl).await, &case);
    }
    assert_eq!(at.scan("").await.0, set([]), "nothing was written");

    assert!(at.put_for(&longest, &largest, PutIf::Always, TTL_MAX).await);
    assert_eq!(at.get(&longest).await, Some(Bytes::from(largest)));
    assert_eq!(at.scan(&longest).await.0, set([&longest]));
}

async fn errors_and_debug_show_no_value(at: Backend) {
    at.put("k", "hidden", PutIf::Always).await;
    let error = at
        .store
        .add("k", 1, MINUTE)
        .await
        .expect_err("not a number");
    let shown = format!("{error} {error:?} {:?}", at.store);
    assert!(!shown.contains("hidden"), "{shown}");
}

/// Has `$run` run all behaviours on one backend, and further ones that not all have. A behaviour that is missing here
/// is dead code, which does not pass the lints.
macro_rules! every_behaviour {
    ($run:ident, $backend:ident $(, $further:ident)*) => {
        $run!($backend:
            a_key_lives_as_long_as_the_last_put_said,
            a_prolonged_key_outlives_the_clearing_of_ended_ones,
            add_counts_from_nothing_and_keeps_the_first_lifetime,
            add_refuses_what_is_no_number_and_leaves_it,
            an_expired_key_is_absent_to_every_operation,
            concurrent_adds_sum_up,
            delete_removes_only_if_its_condition_holds,
            errors_and_debug_show_no_value,
            get_answers_several_keys_in_the_order_asked,
            of_many_compare_and_sets_one_wins,
            of_many_deletes_one_wins,
            of_many_puts_if_absent_one_wins,
            put_writes_only_if_its_condition_holds,
            puts_and_deletes_are_reported_to_every_watcher,
            scan_lists_exactly_the_keys_with_the_prefix,
            scan_pages_through_many_keys,
            touch_brings_nothing_back,
            touch_sets_the_lifetime_of_what_exists,
            what_is_put_together_is_there_as_if_it_was_put_one_by_one,
            what_is_out_of_bounds_is_refused_and_what_is_just_within_is_not,
            $($further,)*
        );
    };
}

/// Runs each on a store of its own.
macro_rules! run_apart {
    ($backend:ident: $($behaviour:ident),+ $(,)?) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    super::$behaviour(super::Backend::$backend()).await;
                }
            )+
        }
    };
}

/// Runs one after the other in one cluster, which takes seconds to come up.
macro_rules! run_in_turn {
    ($backend:ident: $($behaviour:ident),+ $(,)?) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $backend() {
            let cluster = Cluster::start(Product::Redis).await;
            $(
                eprintln!("{}", stringify!($behaviour));
                $behaviour(Backend::$backend(&cluster).await).await;
            )+
        }
    };
}

every_behaviour!(run_apart, file, expiry_is_reported_to_every_watcher);
every_behaviour!(run_apart, memory, expiry_is_reported_to_every_watcher);
// Not yet told of expiry: that takes a watcher of the server's own messages.
every_behaviour!(run_apart, redis);
every_behaviour!(run_apart, sentinel);
every_behaviour!(run_apart, valkey);
every_behaviour!(run_in_turn, cluster);
