//! Limits over a store in memory and a clock that goes when it is told to, in one process and two.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::sync::{KEPT, WRITES_A_TICK};
use super::*;
use crate::clock::Clock;
use crate::decision::Reason;
use crate::directory::failures::Attempts;
use crate::directory::pepper::Peppers;
use crate::proof::Prover;
use crate::store::embedded::Embedded;
use crate::store::{Cursor, DeleteIf, Page, PutIf, Sink, Store, StoreError};
use crate::throttle::settings::Bucket;

const START: u64 = 1_700_000_000_000;

const LIMITS: Limits = Limits {
    failures: 3,
    window: Duration::from_secs(300),
    bucket: None,
    under_way: None,
};

/// A store that counts what it is asked, and does not answer where it is told to be down.
#[derive(Debug)]
struct Counted {
    inner: Embedded,
    adds: AtomicUsize,
    gets: AtomicUsize,
    down: AtomicBool,
}

impl Counted {
    fn up(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        let error = || StoreError::Unavailable("down".to_owned());
        (!down).then_some(()).ok_or_else(error)
    }
}

impl Store for Counted {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        Box::pin(async move {
            self.gets.fetch_add(1, Ordering::SeqCst);
            self.up()?;
            self.inner.get(keys).await
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.put(key, value, condition, ttl)
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.delete(key, condition)
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.touch(key, ttl)
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.adds.fetch_add(1, Ordering::SeqCst);
            self.up()?;
            self.inner.add(key, amount, ttl).await
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.scan(prefix, cursor)
    }

    fn watch(&self, sink: Sink) {
        self.inner.watch(sink);
    }

    fn lease(&self) -> crate::store::lease::Lease {
        self.inner.lease()
    }
}

/// A store, and processes that share it.
struct Desk {
    directory: Directory,
    store: Arc<Counted>,
    milliseconds: Arc<AtomicU64>,
}

impl Desk {
    fn new() -> Self {
        let milliseconds = Arc::new(AtomicU64::new(START));
        let shared = Arc::clone(&milliseconds);
        let now = move || UNIX_EPOCH + Duration::from_millis(shared.load(Ordering::SeqCst));
        let clock = Clock::from_fn(now);
        let store = Arc::new(Counted {
            inner: Embedded::memory(clock.clone()).unwrap(),
            adds: AtomicUsize::new(0),
            gets: AtomicUsize::new(0),
            down: AtomicBool::new(false),
        });
        let prover = Prover::new(Fingerprinter::random().unwrap(), 10, 1).unwrap();
        let peppers = Peppers::ephemeral().unwrap();
        let directory = Directory::new(Arc::clone(&store) as _, peppers, prover, clock);
        Self {
            directory,
            store,
            milliseconds,
        }
    }

    fn process(&self, capacity: u64) -> Throttle {
        let fingerprinter = Fingerprinter::random().unwrap();
        Throttle::new(self.directory.clone(), fingerprinter, capacity)
    }

    fn pass(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap();
        self.milliseconds.fetch_add(time, Ordering::SeqCst);
    }

    /// Seconds until the window of these attempts ends.
    fn rest(&self, of: &Attempt<'_>) -> u64 {
        let Attempt {
            platform,
            address,
            target,
        } = *of;
        let counter = self
            .directory
            .failure_counter(platform, address, target, LIMITS.window);
        counter.ends() - self.directory.clock().unix_seconds()
    }
}

fn from<'a>(address: &str, target: &'a str) -> Attempt<'a> {
    Attempt {
        platform: "p",
        address: address.parse().ok(),
        target,
    }
}

/// Fails, whatever the limit.
fn fail(throttle: &Throttle, times: u32, attempt: &Attempt<'_>) {
    let unlimited = Limits {
        failures: u32::MAX,
        ..LIMITS
    };
    for _ in 0..times {
        let mut trying = throttle.ask(&unlimited, attempt).unwrap();
        trying.limits = LIMITS;
        trying.failed();
    }
}

/// Gives the seconds to wait; `None`: none.
fn wait(throttle: &Throttle, attempt: &Attempt<'_>) -> Option<u64> {
    let denial = throttle.ask(&LIMITS, attempt).err()?;
    assert_eq!((denial.reason(), denial.status()), (Reason::Throttled, 429));
    Some(denial.retry_after().unwrap().as_secs())
}

#[test]
fn as_many_attempts_fail_as_are_allowed_and_then_one_waits_for_the_rest_of_the_window() {
    let desk = Desk::new();
    let throttle = desk.process(100);
    let attempt = from("192.0.2.1", "a");
    for _ in 0..LIMITS.failures {
        assert_eq!(wait(&throttle, &attempt), None);
        throttle.ask(&LIMITS, &attempt).unwrap().failed();
    }
    let rest = desk.rest(&attempt);
    assert!((1..=300).contains(&rest), "{rest}");
    assert_eq!(wait(&throttle, &attempt), Some(rest));
    desk.pass(Duration::from_secs(rest) - Duration::from_millis(1));
    assert_eq!(wait(&throttle, &attempt), Some(1));
    desk.pass(Duration::from_millis(1));
    assert_eq!(wait(&throttle, &attempt), None);
    // A new window counts from nothing, and is as long as they all are.
    fail(&throttle, 2, &attempt);
    assert_eq!(wait(&throttle, &attempt), None);
    fail(&throttle, 1, &attempt);
    assert_eq!(wait(&throttle, &attempt), Some(300));
}

#[test]
fn no_more_are_under_way_than_may_still_fail() {
    let desk = Desk::new();
    let throttle = desk.process(100);
    let attempt = from("192.0.2.1", "a");
    let begin = || throttle.ask(&LIMITS, &attempt).unwrap();
    let (one, two, three) = (begin(), begin(), begin());
    assert_eq!(wait(&throttle, &attempt), Some(1), "nothing has failed yet");
    let elsewhere = [from("192.0.2.2", "a"), from("192.0.2.1", "b")];
    assert!(elsewhere.iter().all(|it| wait(&throttle, it).is_none()));

    // One that is over, or whose client has gone, makes room for another one.
    drop(one);
    let one = begin();
    assert_eq!(wait(&throttle, &attempt), Some(1));
    // One that has failed makes none.
    one.failed();
    assert_eq!(wait(&throttle, &attempt), Some(1));
    two.failed();
    drop(three);
    let three = begin();
    assert_eq!(wait(&throttle, &attempt), Some(1));
    three.failed();
    assert_eq!(wait(&throttle, &attempt), Some(desk.rest(&attempt)));

    // What was let begin may fail in the window after.
    desk.pass(Duration::from_secs(desk.rest(&attempt)));
    let begun = [begin(), begin(), begin()];
    desk.pass(LIMITS.window);
    assert_eq!(wait(&throttle, &attempt), Some(1));
    begun.into_iter().for_each(Trying::failed);
    assert_eq!(wait(&throttle, &attempt), Some(300));
    assert_eq!(lock(&throttle.0.tracked).trying.len(), 0);
}

#[test]
fn where_a_limit_of_its_own_says_so_no_more_than_that_are_under_way() {
    let desk = Desk::new();
    let throttle = desk.process(100);
    let limits = Limits {
        under_way: Some(2),
        ..LIMITS
    };
    let ask = |address| throttle.ask(&limits, &from(address, "a"));
    let begun = [ask("192.0.2.1").unwrap(), ask("192.0.2.1").unwrap()];
    let waits = ask("192.0.2.1").unwrap_err();
    assert_eq!(waits.retry_after(), Some(MOMENT));
    assert!(ask("192.0.2.2").is_ok(), "another address");
    drop(begun);
    assert!(ask("192.0.2.1").is_ok());
}

#[test]
fn of_many_released_at_once_as_many_begin_as_may_fail() {
    let desk = Desk::new();
    let throttle = desk.process(100);
    let attempt = from("192.0.2.1", "a");
    let barrier = std::sync::Barrier::new(16);
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                barrier.wait();
                let trying = throttle.ask(&LIMITS, &attempt);
                begun.fetch_add(usize::from(trying.is_ok()), Ordering::SeqCst);
                // Held until everybody has asked.
                barrier.wait();
                drop(trying);
            });
        }
    });
    assert_eq!(begun.into_inner(), 3);
    assert_eq!(wait(&throttle, &attempt), None, "nothing has failed");
}

#[test]
fn what_is_under_way_is_no_more_forgotten_than_it_is_remembered() {
    const CAPACITY: u64 = 10;
    let desk = Desk::new();
    let throttle = desk.process(CAPACITY);
    let attempt = from("192.0.2.1", "victim");
    let begun = [(); 3].map(|()| throttle.ask(&LIMITS, &attempt).unwrap());
    for number in 0..1000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string();
        fail(&throttle, 1, &from(&address, "victim"));
        drop(throttle.ask(&LIMITS, &from(&address, "success")).unwrap());
    }
    throttle.0.known.run_pending_tasks();
    assert!(throttle.0.known.entry_count() <= CAPACITY);
    assert_eq!(wait(&throttle, &attempt), Some(1));
    begun.into_iter().for_each(drop);
    assert_eq!(lock(&throttle.0.tracked).trying.len(), 0);
    assert_eq!(wait(&throttle, &attempt), None);
}

#[test]
fn who_fails_from_elsewhere_or_at_something_else_delays_nobody() {
    let desk = Desk::new();
    let throttle = desk.process(20_000);
    let unknown = Attempt {
        address: None,
        ..from("", "victim")
    };
    let other_platform = Attempt {
        platform: "q",
        ..from("192.0.2.1", "victim")
    };
    fail(&throttle, 10_000, &from("192.0.2.1", "victim"));
    fail(&throttle, 10_000, &from("2001:db8:0:1::1", "victim"));
    for (attempt, waits) in [
        (from("192.0.2.1", "victim"), true),
        (from("::ffff:192.0.2.1", "victim"), true),
        (from("192.0.2.2", "victim"), false),
        (from("192.0.2.1", "other"), false),
        (from("2001:db8:0:1:ffff::2", "victim"), true),
        (from("2001:db8:0:2::1", "victim"), false),
        (unknown, false),
        (other_platform, false),
    ] {
        assert_eq!(wait(&throttle, &attempt).is_some(), waits, "{attempt:?}");
    }
    fail(&throttle, 3, &unknown);
    assert!(wait(&throttle, &unknown).is_some());
}

#[tokio::test]
async fn processes_count_together_with_one_write_for_what_failed_since_the_last() {
    let desk = Desk::new();
    let (one, two) = (desk.process(100), desk.process(100));
    let attempt = from("192.0.2.1", "a");
    fail(&one, 2, &attempt);
    one.sync().await;
    assert_eq!(desk.store.adds.load(Ordering::SeqCst), 1);
    assert_eq!(wait(&two, &attempt), None);
    fail(&two, 1, &attempt);
    assert_eq!(
        wait(&two, &attempt),
        None,
        "it has not heard of the others yet"
    );
    two.sync().await;
    let rest = desk.rest(&attempt);
    assert_eq!(wait(&two, &attempt), Some(rest));
    assert_eq!(
        wait(&one, &attempt),
        None,
        "it has not heard of the third yet"
    );
    fail(&one, 1, &attempt);
    one.sync().await;
    assert_eq!(wait(&one, &attempt), Some(rest));

    // Nothing new: nothing is written, and what is over the limit is read.
    let adds = desk.store.adds.load(Ordering::SeqCst);
    one.sync().await;
    assert_eq!(desk.store.adds.load(Ordering::SeqCst), adds);
    // The window over: nothing is asked.
    desk.pass(Duration::from_secs(rest));
    let gets = desk.store.gets.load(Ordering::SeqCst);
    one.sync().await;
    assert_eq!(desk.store.gets.load(Ordering::SeqCst), gets);
}

#[tokio::test]
async fn what_is_lifted_is_forgotten_by_every_process_at_its_next_sync() {
    let desk = Desk::new();
    let (one, two) = (desk.process(100), desk.process(100));
    let (first, second) = (from("192.0.2.1", "a"), from("2001:db8::1", "b"));
    let stop = async || {
        for throttle in [&one, &two] {
            fail(throttle, 3, &first);
            fail(throttle, 3, &second);
            throttle.sync().await;
        }
    };
    let waits = async || {
        let mut waits = Vec::new();
        for throttle in [&one, &two] {
            throttle.sync().await;
            waits.extend([&first, &second].map(|it| wait(throttle, it).is_some()));
        }
        waits
    };
    stop().await;
    assert_eq!(waits().await, [true; 4]);
    // Any address of the block.
    let of = Attempts::Of {
        address: "2001:db8::ffff".parse().ok(),
        target: "b".to_owned(),
    };
    assert_eq!(desk.directory.lift_failures("p", &of).await.unwrap(), 1);
    assert_eq!(waits().await, [true, false, true, false]);
    stop().await;
    let all = desk.directory.lift_failures("p", &Attempts::All).await;
    assert_eq!(all.unwrap(), 2);
    assert_eq!(waits().await, [false; 4]);
    let none = desk.directory.lift_failures("p", &Attempts::All).await;
    assert_eq!(none.unwrap(), 0);
}

#[tokio::test]
async fn a_flood_of_junk_costs_bounded_memory_and_writes_and_hides_nobody_who_fails_often() {
    const CAPACITY: u64 = 2000;
    let desk = Desk::new();
    let throttle = desk.process(CAPACITY);
    let attacker = from("198.51.100.1", "victim");
    fail(&throttle, 3, &attacker);
    for number in 0..10_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string();
        fail(&throttle, 1, &from(&address, "victim"));
    }
    throttle.0.known.run_pending_tasks();
    assert!(throttle.0.known.entry_count() <= CAPACITY);
    let tracked = lock(&throttle.0.tracked).changed.len();
    assert!(tracked as u64 <= CAPACITY, "{tracked}");
    assert!(wait(&throttle, &attacker).is_some());
    throttle.sync().await;
    assert_eq!(desk.store.adds.load(Ordering::SeqCst), WRITES_A_TICK);
    assert_eq!(
        lock(&throttle.0.tracked).changed.len(),
        KEPT - WRITES_A_TICK
    );
    let (counted, _) = desk.directory.counted_failures("p", None).await.unwrap();
    let highest = counted.iter().map(|it| it.failures).max();
    assert_eq!(highest, Some(3), "the highest goes first");
    throttle.sync().await;
    let adds = desk.store.adds.load(Ordering::SeqCst);
    assert_eq!(adds, 2 * WRITES_A_TICK, "the others follow");
}

#[tokio::test]
async fn a_store_that_does_not_answer_changes_nothing_and_is_caught_up_with() {
    let desk = Desk::new();
    let (one, two) = (desk.process(100), desk.process(100));
    let attempt = from("192.0.2.1", "a");
    desk.store.down.store(true, Ordering::SeqCst);
    fail(&one, 3, &attempt);
    one.sync().await;
    one.sync().await;
    assert!(wait(&one, &attempt).is_some());
    fail(&one, 1, &attempt);
    desk.store.down.store(false, Ordering::SeqCst);
    one.sync().await;
    assert!(wait(&one, &attempt).is_some());
    fail(&two, 1, &attempt);
    two.sync().await;
    assert!(wait(&two, &attempt).is_some());
    let (counted, _) = desk.directory.counted_failures("p", None).await.unwrap();
    assert_eq!(counted[0].failures, 5, "each was told once");
    // Down again, and nobody is lifted by that.
    desk.store.down.store(true, Ordering::SeqCst);
    two.sync().await;
    assert!(wait(&two, &attempt).is_some());
}

#[test]
fn a_bucket_is_taken_from_by_every_attempt_of_its_own_client_and_target() {
    let desk = Desk::new();
    let throttle = desk.process(100);
    let limits = Limits {
        bucket: Some(Bucket::default()),
        ..LIMITS
    };
    let attempt = from("192.0.2.1", "a");
    assert_eq!(throttle.tokens(&limits, &attempt), (0, 100));
    let ask = || {
        let asked = throttle.ask(&limits, &attempt).map(drop);
        asked.map_err(|it| it.retry_after().unwrap().as_secs())
    };
    for (want, tokens) in [(Ok(()), (35, 65)), (Ok(()), (35, 30)), (Err(4), (30, 0))] {
        assert_eq!(ask(), want);
        assert_eq!(throttle.tokens(&limits, &attempt), tokens);
    }
    let other = from("192.0.2.2", "a");
    assert!(throttle.ask(&limits, &other).is_ok());
    desk.pass(Duration::from_millis(3500));
    assert_eq!(ask(), Ok(()));
    assert_eq!(throttle.tokens(&LIMITS, &attempt), (0, 0), "no bucket");

    // Too many failures are refused whatever the bucket holds, and cost nothing of it.
    desk.pass(Duration::from_secs(10));
    fail(&throttle, 3, &attempt);
    assert!(ask().is_err());
    assert_eq!(throttle.tokens(&limits, &attempt), (35, 0));
}

#[test]
fn nothing_of_what_was_tried_stands_in_the_store_or_is_printed() {
    let desk = Desk::new();
    let throttle = desk.process(100);
    assert_eq!(format!("{throttle:?}"), "Throttle(..)");
    let counter = desk.directory.failure_counter(
        "p",
        "192.0.2.1".parse().ok(),
        "john@example.com",
        LIMITS.window,
    );
    let shown = format!("{counter:?}");
    assert!(
        !shown.contains("john") && !shown.contains("192.0.2"),
        "{shown}"
    );
}
