//! What each credential came to lately: fingerprint → outcome.
//!
//! Identities and denials stand in caches of their own, so that a flood of random credentials
//! cannot push out real ones. An outcome is kept with the generations that it was built on, and a hit compares
//! them: what changed since is a miss. Concurrent misses of one key share one flight; the flight
//! runs on a task of its own and lands in the cache even when nobody waits any more. A fault is
//! never kept. An identity that its scheme lets be kept for a while only is verified anew ahead of
//! its end, while it is in use, so that nobody waits for that.

mod ahead;
mod entry;
mod facts;
mod flight;
mod kept;
mod lately;
mod shared;
mod trust;
mod unverified;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cache::entry::Entry;
use crate::cache::facts::Known;
use crate::cache::flight::Flight;
use crate::cache::kept::{Kept, KeyHasher, kept};
use crate::cache::lately::Lately;
use crate::cache::shared::Shared;
use crate::clock::Clock;
use crate::credential::Fingerprint;
use crate::decision::{Denial, Dependency, Failure, Fault};
use crate::directory::Directory;
use crate::directory::reads::Reads;
use crate::identity::Holder;
use crate::outbound::PATIENCE;

pub use unverified::{Begin, End, Unverified};

/// How long a verification may take, whoever waits for it: a slow issuer's HTTP answer and what is
/// read besides, so that it is the issuer that is told of.
const FLIGHT: Duration = PATIENCE.saturating_add(Duration::from_millis(500));

/// How many credentials are verified at once; further ones are faults, so that a store that hangs
/// costs bounded memory.
const MAX_FLIGHTS: usize = 4096;

/// How many more may be under way to verify anew what is known, so that no flood of others keeps them
/// from it.
const RESERVED_FLIGHTS: usize = 1024;

/// How often a flight that landed stale, because a record changed meanwhile, is flown again.
const FLIGHTS: usize = 3;

/// After one of how many insertions the cache puts them in their order. It would do so anyway, but where somebody asks: what
/// it keeps would then stand among what requests need for a moment, and leave holes there that nothing fits.
const SETTLED_OF: u128 = 8;

/// Sizes and lifetimes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Identities kept.
    pub capacity: u64,
    /// How long an identity is kept, give or take a tenth.
    pub ttl: Duration,
    /// Denials kept.
    pub denial_capacity: u64,
    /// How long a denial is kept.
    pub denial_ttl: Duration,
    /// How long an identity counts beyond all that, where the store fails.
    pub stale_if_fault: Duration,
}

/// What a credential came to.
pub type Outcome = Result<Arc<Holder>, Denial>;

/// What is known of a credential.
#[derive(Clone, Debug)]
pub struct Hit {
    /// What it came to.
    pub outcome: Outcome,
    /// Whether whoever was told is to have it verified anew ([`Cache::renew`]), without waiting.
    pub is_due: bool,
}

/// The caches of all platforms. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    limits: Limits,
    directory: Directory,
    clock: Clock,
    identities: Kept<Entry>,
    denials: Kept<Entry>,
    /// What came to an identity when it was verified last.
    good: Arc<Lately>,
    /// What came to a denial.
    refused: Arc<Lately>,
    shared: Arc<Shared>,
    lineages: Kept<Arc<Known>>,
    /// Those of accounts that stand below nobody: a client may name any number of them.
    strangers: Kept<Arc<Known>>,
    flights: Arc<Mutex<HashMap<u128, Flight, BuildHasherDefault<KeyHasher>>>>,
    /// The second in which a fault was last told that nobody waited for.
    told: Arc<AtomicU64>,
}

type Landing = Result<Entry, Fault>;

impl Cache {
    /// Makes empty caches before the directory.
    #[must_use]
    pub fn new(limits: Limits, directory: Directory) -> Self {
        // An identity's lifetime is spread over a tenth either side.
        let spread = |ttl: Duration| ttl.mul_f64(1.1);
        Self(Arc::new(Inner {
            limits,
            clock: directory.clock().clone(),
            identities: kept(
                limits.capacity,
                spread(limits.ttl.saturating_add(limits.stale_if_fault)),
            ),
            denials: kept(limits.denial_capacity, spread(limits.denial_ttl)),
            good: Arc::new(Lately::new(limits.capacity)),
            refused: Arc::new(Lately::new(limits.denial_capacity)),
            shared: Arc::default(),
            lineages: kept(limits.capacity, limits.ttl),
            strangers: kept(limits.denial_capacity, limits.denial_ttl),
            flights: Arc::default(),
            told: Arc::default(),
            directory,
        }))
    }

    /// Gives these caches before the same directory under other peppers; what is known is shared.
    #[must_use]
    pub fn before(&self, directory: Directory) -> Self {
        let known = Inner::clone(&self.0);
        Self(Arc::new(Inner { directory, ..known }))
    }

    /// Gives what the credential came to, if that is known and still true in this millisecond.
    #[must_use]
    pub fn hit(&self, key: Fingerprint, now: u64) -> Option<Hit> {
        let key = key.as_u128();
        let entry = self
            .0
            .identities
            .get(&key)
            .or_else(|| self.0.denials.get(&key))?;
        let is_good = now < entry.ends() && self.is_true(&entry.notes, now);
        is_good.then(|| Hit {
            is_due: entry.renewal.as_ref().is_some_and(|it| it.is_due(now)),
            outcome: entry.outcome(),
        })
    }

    /// Has what is known verified anew, by a flight that nobody waits for. Whatever it comes to is
    /// told to the next who asks; a fault changes nothing.
    pub fn renew(&self, it: &Unverified) {
        // Too many flights are the trouble of those who wait for one.
        let _ = self.board(it, true);
    }

    /// Gives what the credential comes to, by verifying it or by a flight under way for the same key.
    ///
    /// # Errors
    /// A denial where it may not be verified now, a fault when it cannot be told now.
    pub async fn load(&self, it: &Unverified) -> Result<Outcome, Failure> {
        for _ in 0..FLIGHTS {
            let landed = self.board(it, false)?.landing().await;
            let aborted = || Fault::new(Dependency::Internal, "a verification was aborted");
            let entry = landed.ok_or_else(aborted)??;
            // A flight that was boarded after a change may have read before it.
            if self.0.directory.generations().is_current(&entry.notes) {
                return Ok(entry.outcome());
            }
        }
        let detail = "the records of a verdict keep changing while it is built";
        Err(Fault::new(Dependency::Store, detail).into())
    }

    /// How many identities and denials are kept, about.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        let count = |it: &Kept<Entry>| {
            // What came last is counted by then only.
            it.run_pending_tasks();
            it.entry_count()
        };
        (count(&self.0.identities), count(&self.0.denials))
    }

    fn now(&self) -> u64 {
        self.0.clock.unix_milliseconds()
    }

    /// Joins the flight for the key, or starts one, `again` where what it is to tell is known.
    fn board(&self, it: &Unverified, again: bool) -> Result<Flight, Failure> {
        let key = it.key.as_u128();
        let mut flights = self
            .0
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).filter(|it| !it.is_aborted()) {
            return Ok(flight.clone());
        }
        let reserved = if again { RESERVED_FLIGHTS } else { 0 };
        if flights.len() >= MAX_FLIGHTS + reserved {
            let detail = "too many credentials are being verified";
            return Err(Fault::new(Dependency::Internal, detail).into());
        }
        let end = it.begin.as_ref().map(|begin| begin()).transpose()?;
        let (flight, pilot) = Flight::begin();
        flights.insert(key, flight.clone());
        drop(flights);
        let (cache, it) = (self.clone(), it.clone());
        tokio::spawn(async move {
            let arrival = Arrival { cache: &cache, key };
            let late = |_| Fault::new(Dependency::Deadline, "a verification took too long");
            let flown = tokio::time::timeout(FLIGHT, cache.fly(&it, again)).await;
            let landing = flown.map_err(late);
            let landing = landing.and_then(|it| it);
            if let (Some(end), Ok(entry)) = (end, &landing) {
                end(entry.outcome.as_ref().err().map(Arc::as_ref));
            }
            drop(arrival);
            if let Err(fault) = &landing
                && pilot.is_alone()
            {
                cache.tell(fault);
            }
            pilot.land(landing);
        });
        Ok(flight)
    }

    /// Logs a fault that nobody waited for, one a second: those who gave up know of a deadline only.
    fn tell(&self, fault: &Fault) {
        let second = self.0.clock.unix_seconds();
        if self.0.told.swap(second, Ordering::Relaxed) != second {
            let dependency = fault.dependency().name();
            tracing::error!(
                dependency,
                "a verification failed after all had given up: {fault}"
            );
        }
    }

    async fn fly(&self, it: &Unverified, again: bool) -> Landing {
        let (key, scheme) = (it.key.as_u128(), &*it.scheme);
        let begin = if again {
            Reads::begin_again
        } else {
            Reads::begin
        };
        let reads = begin(&self.0.directory, &it.platform);
        let within = scheme
            .is_unguessable()
            .then(|| self.accounts_within(scheme.kept_at_most()));
        let reads = reads.knowing_accounts(within);
        let outcome = match scheme.verify(&it.credential, &reads).await {
            Ok(verified) => Ok(Arc::new(self.0.shared.holder(verified.into_identity()))),
            Err(Failure::Denied(denial)) => Err(denial),
            Err(Failure::Fault(fault)) => return Err(fault),
        };
        let now = self.now();
        let (lifetime, renewal) = self.lifetime(now, key, &outcome, scheme.kept_at_most());
        let notes = reads.finish();
        // What lets somebody in counts from when the oldest of it was read.
        let from = if outcome.is_ok() { notes.begun() } else { now };
        let lasts = from.saturating_add(lifetime).saturating_sub(notes.begun());
        let entry = Entry {
            outcome: outcome.map_err(Arc::new),
            notes,
            renewal: renewal.map(Arc::new),
            lasts: u32::try_from(lasts).unwrap_or(u32::MAX),
            is_capped: scheme.kept_at_most().is_some(),
        };
        if entry.notes.are_complete() {
            let (into, other) = match &entry.outcome {
                Ok(_) => (&self.0.identities, &self.0.denials),
                Err(_) => (&self.0.denials, &self.0.identities),
            };
            other.invalidate(&key);
            into.insert(key, entry.clone());
            if key.is_multiple_of(SETTLED_OF) {
                into.run_pending_tasks();
            }
            match &entry.outcome {
                Ok(_) => self.0.good.note(key, now),
                Err(_) => {
                    self.0.good.forget(key);
                    self.0.refused.note(key, now);
                }
            }
        }
        Ok(entry)
    }
}

fn milliseconds(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

/// Takes a flight off the board when it lands, also by a panic: the next request starts anew.
struct Arrival<'c> {
    cache: &'c Cache,
    key: u128,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut flights = self
            .cache
            .0
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{Credential, Fingerprinter, Place, Secret};
    use crate::decision::Reason;
    use crate::directory::pepper::Peppers;
    use crate::directory::records::Account;
    use crate::identity::Identity;
    use crate::proof::Prover;
    use crate::scheme::scripted::Scripted;
    use crate::store::Change;
    use crate::store::embedded::Embedded;
    use crate::store::lease::Lease;
    use std::time::UNIX_EPOCH;

    struct Bench {
        cache: Cache,
        directory: Directory,
        seconds: Arc<AtomicU64>,
        key: Fingerprint,
    }

    /// When a bench begins, in Unix seconds.
    const START: u64 = 1_000_000;

    impl Bench {
        fn new() -> Self {
            Self::told(Lease::endless(), Duration::ZERO)
        }

        fn hit(&self, key: Fingerprint) -> Option<Hit> {
            self.cache.hit(key, self.cache.now())
        }

        /// One that is told of changes as long as the lease holds.
        fn told(lease: Lease, stale_if_fault: Duration) -> Self {
            let seconds = Arc::new(AtomicU64::new(START));
            let shared = Arc::clone(&seconds);
            let clock = Clock::from_fn(move || {
                UNIX_EPOCH + Duration::from_secs(shared.load(Ordering::SeqCst))
            });
            let fingerprinter = Fingerprinter::random().unwrap();
            let store = Arc::new(Embedded::memory(clock.clone()).unwrap());
            let prover = Prover::new(fingerprinter.clone(), 10, 1).unwrap();
            let directory = Directory::new(store, Peppers::ephemeral().unwrap(), prover, clock);
            let directory = directory.with_lease(lease);
            let limits = Limits {
                capacity: 100,
                ttl: Duration::from_secs(60),
                denial_capacity: 10,
                denial_ttl: Duration::from_secs(5),
                stale_if_fault,
            };
            let cache = Cache::new(limits, directory.clone());
            Self {
                cache,
                directory,
                seconds,
                key: fingerprinter.of(&[b"k"]),
            }
        }

        fn pass(&self, seconds: u64) {
            self.seconds.fetch_add(seconds, Ordering::SeqCst);
        }

        async fn change(&self) {
            let account = Account {
                id: "a1".into(),
                ..Account::default()
            };
            let disabled = self.seconds.load(Ordering::SeqCst).is_multiple_of(2);
            self.directory
                .put_account(
                    "p",
                    &Account {
                        disabled,
                        ..account
                    },
                )
                .await
                .unwrap();
            self.pass(1);
        }

        async fn load(&self, scheme: &Arc<Scripted>) -> Result<Outcome, Failure> {
            self.cache.load(&unverified(self.key, scheme)).await
        }
    }

    fn unverified(key: Fingerprint, scheme: &Arc<Scripted>) -> Unverified {
        let place = Place::Header("x".into());
        Unverified {
            key,
            platform: "p".into(),
            scheme: scheme.clone(),
            credential: Arc::new(Credential::new(place, "", Secret::new(*b"s"))),
            begin: None,
        }
    }

    #[tokio::test]
    async fn who_stands_on_an_account_that_was_remembered_counts_from_when_that_was_read() {
        let bench = Bench::new();
        bench.change().await;
        let scheme = Arc::new(Scripted::saying(vec![Ok(john())]));
        bench.load(&scheme).await.unwrap().unwrap();
        let read = bench.cache.now();
        bench.pass(5);
        let other = Fingerprinter::random().unwrap().of(&[b"other"]);
        let it = unverified(other, &scheme);
        let outcome = bench.cache.load(&it).await.unwrap();
        let (lifetime, _) = bench.cache.lifetime(0, other.as_u128(), &outcome, None);
        let left = read + lifetime - bench.cache.now();
        bench.pass(left / 1000);
        assert!(bench.hit(other).is_some());
        bench.pass(1);
        assert!(bench.hit(other).is_none());
    }

    fn john() -> Identity {
        Identity {
            user: Some("john".into()),
            ..Identity::default()
        }
    }

    fn scripted(verdicts: Vec<Result<Identity, Failure>>) -> Arc<Scripted> {
        Arc::new(Scripted::saying(verdicts))
    }

    #[tokio::test]
    async fn an_identity_is_kept_until_a_record_it_stands_on_changes() {
        let bench = Bench::new();
        let scheme = scripted(vec![Ok(john())]);
        assert!(bench.hit(bench.key).is_none());
        let loaded = bench.load(&scheme).await.unwrap().unwrap();
        assert_eq!(loaded.identity(), john());
        assert!(bench.hit(bench.key).is_some());
        // The account did not exist when it was read: that it does now is a change.
        bench.change().await;
        assert!(bench.hit(bench.key).is_none());
    }

    #[tokio::test]
    async fn outcomes_end_with_their_lifetime_and_with_the_credential() {
        let bench = Bench::new();
        let ends = bench.seconds.load(Ordering::SeqCst) + 10;
        let short = scripted(vec![Ok(Identity {
            expires: Some(ends),
            ..john()
        })]);
        bench.load(&short).await.unwrap().unwrap();
        bench.pass(9);
        assert!(bench.hit(bench.key).is_some());
        bench.pass(1);
        assert!(bench.hit(bench.key).is_none());

        bench
            .load(&scripted(vec![Ok(john())]))
            .await
            .unwrap()
            .unwrap();
        bench.pass(53);
        assert!(bench.hit(bench.key).is_some());
        bench.pass(14);
        assert!(bench.hit(bench.key).is_none());

        let denied = scripted(vec![Err(Denial::new(Reason::Unknown, "x").into())]);
        assert!(bench.load(&denied).await.unwrap().is_err());
        assert!(bench.hit(bench.key).unwrap().outcome.is_err());
        bench.pass(5);
        assert!(bench.hit(bench.key).is_none());
    }

    /// A verification whose scheme lets what it says be kept for 30 seconds.
    fn capped(verdicts: Vec<Result<Identity, Failure>>) -> Arc<Scripted> {
        let mut scheme = Scripted::saying(verdicts);
        scheme.kept_at_most = Some(Duration::from_secs(30));
        Arc::new(scheme)
    }

    /// Hits, and has it verified anew where that is due; waits until the flight has landed.
    async fn hit_and_renew(bench: &Bench, scheme: &Arc<Scripted>) -> Hit {
        let hit = bench.hit(bench.key).expect("still known");
        if hit.is_due {
            bench.cache.renew(&unverified(bench.key, scheme));
            while !bench.cache.0.flights.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        }
        hit
    }

    #[tokio::test]
    async fn an_identity_in_use_is_verified_anew_ahead_of_its_end_and_nobody_waits() {
        let bench = Bench::new();
        let gone = Denial::new(Reason::Unknown, "x");
        let fault = Fault::new(Dependency::Facebook, "down");
        let scheme = capped(vec![
            Ok(john()),
            Ok(john()),
            Err(fault.into()),
            Err(gone.into()),
        ]);
        bench.load(&scheme).await.unwrap().unwrap();
        bench.pass(23);
        assert!(!hit_and_renew(&bench, &scheme).await.is_due);
        bench.pass(1);
        assert!(hit_and_renew(&bench, &scheme).await.is_due);
        // Renewed: good for another 30 seconds.
        bench.pass(23);
        assert!(!hit_and_renew(&bench, &scheme).await.is_due);
        bench.pass(1);
        // A fault changes nothing, and it is tried again before the end.
        assert!(hit_and_renew(&bench, &scheme).await.is_due);
        assert!(!hit_and_renew(&bench, &scheme).await.is_due);
        bench.pass(2);
        assert!(hit_and_renew(&bench, &scheme).await.outcome.is_ok());
        // What came of it is a denial.
        let denied = hit_and_renew(&bench, &scheme).await;
        assert!(denied.outcome.is_err() && !denied.is_due);
        assert_eq!(scheme.asked(), 4);
    }

    #[tokio::test]
    async fn what_cannot_last_longer_is_not_verified_anew() {
        let bench = Bench::new();
        let ends = bench.seconds.load(Ordering::SeqCst) + 30;
        let ending = Identity {
            expires: Some(ends),
            ..john()
        };
        for scheme in [capped(vec![Ok(ending)]), scripted(vec![Ok(john())])] {
            bench.load(&scheme).await.unwrap().unwrap();
            bench.pass(29);
            assert!(!bench.hit(bench.key).unwrap().is_due);
            bench.pass(40);
            assert!(bench.hit(bench.key).is_none());
        }
    }

    #[tokio::test]
    async fn a_fault_is_told_to_whoever_waits_and_never_kept() {
        let bench = Bench::new();
        let fault = Fault::new(Dependency::Store, "down");
        let scheme = scripted(vec![Err(fault.into()), Ok(john())]);
        assert!(bench.load(&scheme).await.is_err());
        assert!(bench.hit(bench.key).is_none());
        assert!(bench.load(&scheme).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn concurrent_misses_of_one_key_are_verified_once() {
        let bench = Bench::new();
        let scheme = scripted(vec![Ok(john())]);
        scheme.close();
        let release = async {
            while scheme.asked() == 0 {
                tokio::task::yield_now().await;
            }
            scheme.gate.add_permits(1);
        };
        let load = || bench.load(&scheme);
        let (one, two, three, ()) = tokio::join!(load(), load(), load(), release);
        assert!([one, two, three].into_iter().all(|it| it.unwrap().is_ok()));
        assert_eq!(scheme.asked(), 1);
    }

    #[tokio::test]
    async fn a_load_in_flight_during_a_change_is_not_believed() {
        let bench = Bench::new();
        let revoked = Denial::new(Reason::Disabled, "x");
        let scheme = scripted(vec![Ok(john()), Err(revoked.into())]);
        scheme.close();
        let change = async {
            while scheme.asked() == 0 {
                tokio::task::yield_now().await;
            }
            // The first flight has read; what it read changes before it lands.
            bench.change().await;
            scheme.gate.add_permits(2);
        };
        let (outcome, ()) = tokio::join!(bench.load(&scheme), change);
        assert_eq!(outcome.unwrap().unwrap_err().reason(), Reason::Disabled);
        assert_eq!(scheme.asked(), 2);
    }

    #[tokio::test]
    async fn a_flight_lands_in_the_cache_even_when_nobody_waits_any_more() {
        let bench = Bench::new();
        let scheme = scripted(vec![Ok(john())]);
        scheme.close();
        let impatient = tokio::time::timeout(Duration::ZERO, bench.load(&scheme)).await;
        assert!(impatient.is_err());
        scheme.gate.add_permits(1);
        while bench.hit(bench.key).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(scheme.asked(), 1);
    }

    /// What lets a verification begin while fewer than two are under way, and counts denials.
    fn counting(under_way: &Arc<()>, denials: &Arc<AtomicU64>) -> Begin {
        let (under_way, denials) = (Arc::clone(under_way), Arc::clone(denials));
        Arc::new(move || {
            if Arc::strong_count(&under_way) > 3 {
                return Err(Denial::throttled(Duration::from_secs(1)));
            }
            let (held, denials) = (Arc::clone(&under_way), Arc::clone(&denials));
            Ok(Box::new(move |denial: Option<&Denial>| {
                denials.fetch_add(denial.map_or(0, |_| 1), Ordering::SeqCst);
                drop(held);
            }))
        })
    }

    #[tokio::test]
    async fn a_verification_is_let_begin_once_for_all_who_wait_and_its_end_is_told_to_nobody_too() {
        let bench = Bench::new();
        let scheme = scripted(vec![Err(Denial::new(Reason::Wrong, "x").into())]);
        scheme.close();
        let (under_way, denials) = (Arc::new(()), Arc::<AtomicU64>::default());
        let begin = counting(&under_way, &denials);
        let fingerprinter = Fingerprinter::random().unwrap();
        let of = |name: &[u8]| Unverified {
            begin: Some(Arc::clone(&begin)),
            ..unverified(fingerprinter.of(&[name]), &scheme)
        };
        let (one, two, three) = (of(b"1"), of(b"2"), of(b"3"));
        // Each gives up at once.
        for it in [&one, &one, &one, &two, &one] {
            let impatient = tokio::time::timeout(Duration::ZERO, bench.cache.load(it)).await;
            assert!(impatient.is_err());
        }
        match bench.cache.load(&three).await {
            Err(Failure::Denied(it)) => assert_eq!(it.reason(), Reason::Throttled),
            other => panic!("{other:?}"),
        }
        assert!(bench.hit(three.key).is_none(), "not kept");
        scheme.gate.add_permits(3);
        while !bench.cache.0.flights.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!((scheme.asked(), denials.load(Ordering::SeqCst)), (2, 2));
        assert!(bench.cache.load(&three).await.unwrap().is_err());
        assert_eq!(denials.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn no_flood_of_verifications_keeps_what_is_known_from_being_verified_anew() {
        let bench = Bench::new();
        let (flood, scheme) = (scripted(vec![Ok(john())]), capped(vec![Ok(john())]));
        bench.load(&scheme).await.unwrap().unwrap();
        bench.pass(24);
        flood.close();
        let fingerprinter = Fingerprinter::random().unwrap();
        for index in 0..MAX_FLIGHTS {
            let key = fingerprinter.of(&[&index.to_be_bytes()]);
            drop(bench.cache.board(&unverified(key, &flood), false).unwrap());
        }
        let key = fingerprinter.of(&[b"one more"]);
        let refused = bench.cache.load(&unverified(key, &flood)).await;
        assert!(matches!(refused, Err(Failure::Fault(_))));
        assert!(bench.hit(bench.key).unwrap().is_due);
        bench.cache.renew(&unverified(bench.key, &scheme));
        let flights = bench.cache.0.flights.lock().unwrap();
        assert!(flights.contains_key(&bench.key.as_u128()), "begun");
    }

    #[tokio::test]
    async fn a_flood_of_denials_does_not_push_out_an_identity() {
        let bench = Bench::new();
        bench
            .load(&scripted(vec![Ok(john())]))
            .await
            .unwrap()
            .unwrap();
        let denied = scripted(vec![Err(Denial::new(Reason::Unknown, "x").into())]);
        let fingerprinter = Fingerprinter::random().unwrap();
        for index in 0..1000_u32 {
            let key = fingerprinter.of(&[&index.to_be_bytes()]);
            let loaded = bench.cache.load(&unverified(key, &denied)).await;
            loaded.unwrap().unwrap_err();
        }
        assert!(bench.hit(bench.key).is_some());
        bench.cache.0.denials.run_pending_tasks();
        assert!(bench.cache.entries().1 <= 10);
    }

    fn store_fault() -> Fault {
        Fault::new(Dependency::Store, "away")
    }

    #[tokio::test]
    async fn what_nobody_tells_of_counts_for_a_second() {
        for verdict in [Ok(john()), Err(Denial::new(Reason::Unknown, "").into())] {
            let bench = Bench::told(Lease::ended("nobody tells"), Duration::ZERO);
            bench.load(&scripted(vec![verdict])).await.unwrap().ok();
            assert!(bench.hit(bench.key).is_some());
            bench.pass(1);
            assert!(bench.hit(bench.key).is_none());
        }
    }

    #[tokio::test]
    async fn what_was_told_of_counts_until_the_last_word_is_too_old_and_again_when_word_comes() {
        let lease = Lease::ended("not yet");
        let bench = Bench::told(lease.clone(), Duration::ZERO);
        lease.extend((START + 5) * 1000);
        bench.load(&scripted(vec![Ok(john())])).await.unwrap().ok();
        bench.pass(4);
        assert!(bench.hit(bench.key).is_some());
        bench.pass(1);
        assert!(bench.hit(bench.key).is_none());
        assert!(bench.cache.stale(bench.key, &store_fault()).is_none());
        lease.extend((START + 10) * 1000);
        assert!(bench.hit(bench.key).is_some());
    }

    #[tokio::test]
    async fn what_is_stale_counts_only_as_long_as_was_chosen_and_while_the_store_fails() {
        let lease = Lease::ended("not yet");
        let bench = Bench::told(lease.clone(), Duration::from_secs(100));
        lease.extend((START + 5) * 1000);
        bench.load(&scripted(vec![Ok(john())])).await.unwrap().ok();
        let stale = |fault: &Fault| bench.cache.stale(bench.key, fault).is_some();
        bench.pass(104);
        assert!(bench.hit(bench.key).is_none());
        assert!(stale(&store_fault()));
        for other in [
            Dependency::Internal,
            Dependency::KeySet,
            Dependency::Deadline,
        ] {
            assert!(!stale(&Fault::new(other, "")), "{other:?}");
        }
        bench.pass(1);
        assert!(!stale(&store_fault()));
    }

    #[tokio::test]
    async fn what_has_expired_or_changed_or_was_denied_or_is_capped_is_never_stale() {
        let expiring = Identity {
            expires: Some(START + 20),
            ..john()
        };
        let capped = Scripted {
            kept_at_most: Some(Duration::from_secs(20)),
            ..Scripted::saying(vec![Ok(john())])
        };
        let denied = Err(Denial::new(Reason::Unknown, "").into());
        for (case, scheme, at_first) in [
            ("expires", scripted(vec![Ok(expiring)]), true),
            ("capped", Arc::new(capped), true),
            ("denied", scripted(vec![denied]), false),
        ] {
            let bench = Bench::told(Lease::endless(), Duration::from_secs(1000));
            bench.load(&scheme).await.unwrap().ok();
            let stale = || bench.cache.stale(bench.key, &store_fault()).is_some();
            bench.pass(10);
            assert_eq!(stale(), at_first, "{case}");
            bench.pass(10);
            assert!(!stale(), "{case}");
        }

        let bench = Bench::told(Lease::endless(), Duration::from_secs(1000));
        bench.load(&scripted(vec![Ok(john())])).await.unwrap().ok();
        bench.directory.generations().raise(Change::Everything);
        assert!(
            bench.cache.stale(bench.key, &store_fault()).is_none(),
            "changed"
        );
    }
}
