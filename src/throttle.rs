//! Failed attempts, limited by who tries and what against, before anything is verified.
//!
//! Who tries is a block of client addresses, so whoever fails from elsewhere does not delay the
//! rightful user. Asking reads the process's own memory, whose size is bounded, and nothing else;
//! what failed is added to the shared counters and their sums are read back once a second
//! ([`Throttle::sync`]), so a flood of junk costs the store a bounded number of writes. A store that
//! does not answer changes nothing: what failed here goes on counting here.
//!
//! A platform may also have a token bucket, which every attempt takes from, failed or not. It
//! belongs to this process alone, as it is full again within seconds. Attempts that are being
//! verified at the same time have not failed yet: how many those can be is for whoever verifies to
//! bound.

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

/// Limits attempts. Clones share what they know.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    directory: Directory,
    fingerprinter: Fingerprinter,
    capacity: usize,
    known: Cache<u128, Arc<Mutex<Known>>>,
    tracked: Mutex<Tracked>,
    turn: tokio::sync::Mutex<Turn>,
    /// Whether the store was told of as not answering.
    lost: AtomicBool,
}

/// What is known of attempts from one block of addresses against one target.
#[derive(Debug, Default)]
struct Known {
    /// `None`: nothing failed in this window.
    failed: Option<Failed>,
    /// `None`: nothing was asked under a bucket.
    level: Option<Level>,
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
    fn is_over(&self) -> bool {
        self.shared.saturating_add(self.pending) >= self.limit
    }
}

/// What the store is to be told or asked of; each at most as many as are known. It is held here as
/// well, so that no flood of others pushes it out.
#[derive(Debug, Default)]
struct Tracked {
    changed: Held,
    over: Held,
}

type Held = BTreeMap<u128, Arc<Mutex<Known>>>;

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
            tracked: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            lost: AtomicBool::new(false),
        }))
    }

    /// Lets an attempt be made, or refuses it. Under a bucket, what is let pass has taken its cost.
    ///
    /// # Errors
    /// A denial that says after how long to try again.
    pub fn ask(&self, limits: &Limits, attempt: &Attempt<'_>) -> Result<(), Denial> {
        let key = self.key(attempt).as_u128();
        let now = self.0.directory.clock().unix_milliseconds();
        let known = match limits.bucket {
            None => self.find(key),
            Some(_) => Some(self.known(key)),
        };
        let Some(known) = known else { return Ok(()) };
        let mut known = lock(&known);
        if let Some(failed) = &known.failed {
            let ends = failed.counter.ends().saturating_mul(1000);
            let sum = failed.shared.saturating_add(failed.pending);
            if ends > now && sum >= u64::from(limits.failures) {
                return Err(Denial::throttled(Duration::from_millis(ends - now)));
            }
        }
        let Some(bucket) = limits.bucket else {
            return Ok(());
        };
        let level = known.level.get_or_insert_with(|| bucket.full(now));
        level.take(bucket, now).map_err(Denial::throttled)
    }

    /// Notes that an attempt has failed.
    pub fn failed(&self, limits: &Limits, attempt: &Attempt<'_>) {
        let key = self.key(attempt).as_u128();
        let directory = &self.0.directory;
        let shared = self.known(key);
        let mut known = lock(&shared);
        let Attempt {
            platform,
            address,
            target,
        } = *attempt;
        let counter = match known.failed.take() {
            Some(failed) if failed.counter.ends() > directory.clock().unix_seconds() => {
                known.failed = Some(failed);
                None
            }
            Some(past) => Some(directory.current_counter(platform, &past.counter)),
            None => Some(directory.failure_counter(platform, address, target, limits.window)),
        };
        if let Some(counter) = counter {
            known.failed = Some(Failed {
                counter,
                limit: 0,
                shared: 0,
                pending: 0,
            });
        }
        let Some(failed) = &mut known.failed else {
            return;
        };
        failed.limit = u64::from(limits.failures);
        failed.pending = failed.pending.saturating_add(1);
        let over = failed.is_over();
        drop(known);
        self.track(key, &shared, over);
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

    fn known(&self, key: u128) -> Arc<Mutex<Known>> {
        self.0
            .known
            .get_with(key, || self.held(key).unwrap_or_default())
    }

    fn find(&self, key: u128) -> Option<Arc<Mutex<Known>>> {
        self.0.known.get(&key).or_else(|| self.held(key))
    }

    fn held(&self, key: u128) -> Option<Arc<Mutex<Known>>> {
        let tracked = lock(&self.0.tracked);
        let held = tracked.over.get(&key).or_else(|| tracked.changed.get(&key));
        held.cloned()
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

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
