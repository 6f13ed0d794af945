//! Failed attempts, limited by who tries and what against, before anything is verified.
//!
//! Who tries is a block of client addresses, so whoever fails from elsewhere does not delay the
//! rightful user. Asking reads the process's own memory, whose size is bounded, and nothing else;
//! what failed is added to the shared counters and their sums are read back once a second
//! ([`Throttle::sync`]), so a flood of junk costs the store a bounded number of writes. A store that
//! does not answer changes nothing: what failed here goes on counting here.
//!
//! A platform may also have a token bucket, which every attempt takes from, failed or not. It
//! belongs to this process alone, as it is full again within seconds. Attempts under way may yet fail,
//! so of each process no more guesses are let begin than may still fail: many at once are no way
//! round. Where an attempt is limited for what it costs, so many may be under way.

mod bucket;
pub mod settings;
mod sync;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::credential::{Fingerprint, Fingerprinter};
use crate::decision::Denial;
use crate::directory::Directory;
use crate::directory::failures::{Counter, address_block};
use crate::throttle::bucket::Level;
use crate::throttle::settings::Limits;
use crate::throttle::sync::Turn;

/// An attempt: who tries, against what.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The platform's name.
    pub platform: &'a str,
    /// The client's address; all that are not known count as one.
    pub address: Option<IpAddr>,
    /// What is tried, such as an account's id.
    pub target: &'a str,
}

/// After how long to try again where attempts under way may yet succeed.
const MOMENT: Duration = Duration::from_secs(1);

/// An attempt under way: it counts as one that may fail until this is dropped, so also where whoever
/// made it has gone.
#[must_use = "the attempt is under way as long as this is held"]
pub struct Trying {
    throttle: Throttle,
    limits: Limits,
    platform: String,
    address: Option<IpAddr>,
    target: String,
    key: u128,
    known: Arc<Mutex<Known>>,
}

/// Limits attempts. Clones share what they know.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    directory: Directory,
    fingerprinter: Fingerprinter,
    capacity: usize,
    known: Cache<u128, Arc<Mutex<Known>>>,
    tracked: Arc<Mutex<Tracked>>,
    turn: Arc<tokio::sync::Mutex<Turn>>,
    /// Whether the store was told of as not answering.
    lost: Arc<AtomicBool>,
}

/// What is known of attempts from one block of addresses against one target.
#[derive(Debug, Default)]
struct Known {
    /// `None`: nothing failed in this window.
    failed: Option<Failed>,
    /// `None`: nothing was asked under a bucket.
    level: Option<Level>,
    /// How many are under way in this process.
    trying: u64,
}

impl Known {
    /// How long it is until fewer have failed than may; `None` where they have.
    fn left(&self, limits: &Limits, now: u64) -> Option<Duration> {
        let failed = self.failed.as_ref()?;
        let ends = failed.counter.ends().saturating_mul(1000);
        let over = ends > now && failed.sum() >= u64::from(limits.failures);
        over.then(|| Duration::from_millis(ends - now))
    }

    /// Lets an attempt begin.
    ///
    /// # Errors
    /// After how long to try again.
    fn begin(&mut self, limits: &Limits, now: u64) -> Result<(), Duration> {
        if let Some(left) = self.left(limits, now) {
            return Err(left);
        }
        let failed = self.failed.as_ref();
        let failed = failed.filter(|it| it.counter.ends().saturating_mul(1000) > now);
        let sum = failed.map_or(0, Failed::sum);
        let most = match limits.under_way {
            Some(most) => u64::from(most),
            None => u64::from(limits.failures).saturating_sub(sum),
        };
        if self.trying >= most {
            return Err(MOMENT);
        }
        if let Some(bucket) = limits.bucket {
            let level = self.level.get_or_insert_with(|| bucket.full(now));
            level.take(bucket, now)?;
        }
        self.trying += 1;
        Ok(())
    }
}

/// Failures in one window.
#[derive(Debug)]
struct Failed {
    counter: Counter,
    /// The limit that was last asked under.
    limit: u64,
    /// What the shared counter said.
    shared: u64,
    /// What it has not been told.
    pending: u64,
}

impl Failed {
    fn sum(&self) -> u64 {
        self.shared.saturating_add(self.pending)
    }

    fn is_over(&self) -> bool {
        self.sum() >= self.limit
    }
}

/// What the store is to be told or asked of, and what is under way; each at most as many as are
/// known. It is held here as well, so that no flood of others pushes it out. Whoever locks one of
/// those that are known as well locks this first.
#[derive(Debug, Default)]
struct Tracked {
    changed: Held,
    over: Held,
    trying: Held,
}

type Held = BTreeMap<u128, Arc<Mutex<Known>>>;

impl fmt::Debug for Trying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trying(..)")
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttle(..)")
    }
}

impl Throttle {
    /// Begins to count. About `capacity` blocks of addresses and targets are known at a time;
    /// the seldom seen are forgotten first.
    #[must_use]
    pub fn new(directory: Directory, fingerprinter: Fingerprinter, capacity: u64) -> Self {
        Self(Arc::new(Inner {
            directory,
            fingerprinter,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            known: Cache::new(capacity),
            tracked: Arc::default(),
            turn: Arc::default(),
            lost: Arc::default(),
        }))
    }

    /// Gives one that names counters as the same directory does under other peppers; what is known
    /// is shared.
    #[must_use]
    pub fn before(&self, directory: Directory) -> Self {
        let known = Inner::clone(&self.0);
        Self(Arc::new(Inner { directory, ..known }))
    }

    /// Lets an attempt begin, or refuses it. Under a bucket, what is let pass has taken its cost. What
    /// is given back is held until the attempt is over, and told if it has [failed](Trying::failed).
    ///
    /// # Errors
    /// A denial that says after how long to try again.
    pub fn ask(&self, limits: &Limits, attempt: &Attempt<'_>) -> Result<Trying, Denial> {
        let key = self.key(attempt).as_u128();
        let now = self.0.directory.clock().unix_milliseconds();
        let mut tracked = lock(&self.0.tracked);
        let known = self.0.known.get(&key).or_else(|| tracked.held(key));
        let known = known.unwrap_or_default();
        if limits.bucket.is_some() {
            self.0.known.insert(key, Arc::clone(&known));
        }
        if tracked.trying.len() >= self.0.capacity && !tracked.trying.contains_key(&key) {
            return Err(Denial::throttled(MOMENT));
        }
        let begun = lock(&known).begin(limits, now);
        begun.map_err(Denial::throttled)?;
        tracked.trying.insert(key, Arc::clone(&known));
        Ok(Trying {
            throttle: self.clone(),
            limits: *limits,
            platform: attempt.platform.to_owned(),
            address: attempt.address,
            target: attempt.target.to_owned(),
            key,
            known,
        })
    }

    /// Gives what the last ask of such an attempt took from its bucket, and what it left there; 0
    /// and 0 without a bucket.
    #[must_use]
    pub fn tokens(&self, limits: &Limits, attempt: &Attempt<'_>) -> (u32, u32) {
        let Some(bucket) = limits.bucket else {
            return (0, 0);
        };
        let known = self.find(self.key(attempt).as_u128());
        let level = known.and_then(|it| lock(&it).level);
        level.map_or((0, bucket.size), |it| it.last())
    }

    fn key(&self, attempt: &Attempt<'_>) -> Fingerprint {
        let block = address_block(attempt.address);
        let (platform, target) = (attempt.platform.as_bytes(), attempt.target.as_bytes());
        self.0
            .fingerprinter
            .of(&[b"throttle", platform, &block, target])
    }

    fn find(&self, key: u128) -> Option<Arc<Mutex<Known>>> {
        let known = self.0.known.get(&key);
        known.or_else(|| lock(&self.0.tracked).held(key))
    }

    fn track(&self, key: u128, known: &Arc<Mutex<Known>>, over: bool) {
        let mut tracked = lock(&self.0.tracked);
        self.hold(&mut tracked.changed, key, known);
        if over {
            self.hold(&mut tracked.over, key, known);
        }
    }

    /// Holds as long as there is room; what finds none is tried again when it fails again.
    fn hold(&self, held: &mut Held, key: u128, known: &Arc<Mutex<Known>>) {
        if held.len() < self.0.capacity {
            held.insert(key, Arc::clone(known));
        }
    }
}

impl Trying {
    /// Notes that the attempt has failed, and ends it.
    pub fn failed(self) {
        let mut known = lock(&self.known);
        let failed = match known.failed.take() {
            Some(failed) if failed.counter.ends() > self.now() => failed,
            past => Failed {
                counter: self.counter(past),
                limit: 0,
                shared: 0,
                pending: 0,
            },
        };
        let failed = known.failed.insert(failed);
        failed.limit = u64::from(self.limits.failures);
        failed.pending = failed.pending.saturating_add(1);
        let over = failed.is_over();
        drop(known);
        let inner = &self.throttle.0;
        inner.known.insert(self.key, Arc::clone(&self.known));
        self.throttle.track(self.key, &self.known, over);
    }

    fn now(&self) -> u64 {
        self.throttle.0.directory.clock().unix_seconds()
    }

    /// The counter of the window that it is now, after one that has passed.
    fn counter(&self, past: Option<Failed>) -> Counter {
        let directory = &self.throttle.0.directory;
        let (platform, window) = (&self.platform, self.limits.window);
        match past {
            Some(past) => directory.current_counter(platform, &past.counter),
            None => directory.failure_counter(platform, self.address, &self.target, window),
        }
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        let mut tracked = lock(&self.throttle.0.tracked);
        let mut known = lock(&self.known);
        known.trying = known.trying.saturating_sub(1);
        if known.trying == 0 {
            tracked.trying.remove(&self.key);
        }
    }
}

impl Tracked {
    fn held(&self, key: u128) -> Option<Arc<Mutex<Known>>> {
        let held = self.over.get(&key).or_else(|| self.changed.get(&key));
        held.or_else(|| self.trying.get(&key)).cloned()
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
