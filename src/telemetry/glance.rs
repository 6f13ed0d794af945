//! What happened lately, for people who look at the status page.
//!
//! Kept here since a metric tells nobody what it was a moment ago. Everything is bounded, and what it costs is paid by
//! a tick each second ([`Metrics::look`]), not by decisions: these are counted as ever, and of denials so few are kept
//! a second that a flood pays a load of an atomic for it.

mod refusals;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::decision::{CacheUse, Dependency};
use crate::telemetry::tally::CheckLabels;
use crate::telemetry::{FaultLabels, Metrics, Outcome};

pub use refusals::{KEPT, Refusals, Refused};

/// How many looks are kept: two minutes of them, at one a second.
pub const LOOKS: usize = 120;

/// What checks came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counted {
    /// Those that may pass.
    pub allowed: u64,
    /// Those that may not.
    pub denied: u64,
    /// Those where we failed.
    pub faults: u64,
    /// Those whose credential was known, and counted still.
    pub known: u64,
    /// Those that had a credential.
    pub presented: u64,
    /// Failures of ours, in the order of [`Dependency::ALL`].
    pub failures: [u64; Dependency::ALL.len()],
}

impl Counted {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.allowed + self.denied + self.faults
    }

    /// What these are more than others, which were counted before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    /// These and others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        self.with(others, u64::saturating_add)
    }

    fn with(&self, other: &Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            allowed: of(self.allowed, other.allowed),
            denied: of(self.denied, other.denied),
            faults: of(self.faults, other.faults),
            known: of(self.known, other.known),
            presented: of(self.presented, other.presented),
            failures: std::array::from_fn(|it| of(self.failures[it], other.failures[it])),
        }
    }
}

/// What happened between one look and the next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// How long that was.
    pub took: Duration,
    /// What was decided.
    pub counted: Counted,
    /// The longest that word of a change took, where one came.
    pub lag: Option<Duration>,
}

/// What happened lately.
#[derive(Debug, Default)]
pub struct Glance {
    /// Denials and faults, one by one.
    pub refusals: Refusals,
    /// Every counter of checks: its family does not tell which there are.
    checks: Mutex<HashMap<CheckLabels, Counter>>,
    /// The longest that word of a change took since the last look, in microseconds and one; 0 where none came.
    lag: AtomicU64,
    looks: Mutex<Looks>,
    certificates: Family<ListenerLabels, Gauge>,
}

#[derive(Debug, Default)]
struct Looks {
    before: Counted,
    kept: VecDeque<Look>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ListenerLabels {
    listener: &'static str,
}

impl Glance {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "Until when the certificate that a listener shows is valid, in Unix seconds",
            self.certificates.clone(),
        );
    }

    /// Has a counter of checks looked at, too.
    pub(super) fn watch(&self, labels: &CheckLabels, counter: &Counter) {
        lock(&self.checks).insert(labels.clone(), counter.clone());
    }

    pub(super) fn note_lag(&self, lag: Duration) {
        let lag = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.lag.fetch_max(lag.saturating_add(1), Ordering::Relaxed);
    }

    /// Gives what the last looks saw, the newest last.
    #[must_use]
    pub fn looks(&self) -> Vec<Look> {
        lock(&self.looks).kept.iter().copied().collect()
    }
}

impl Metrics {
    /// What happened lately.
    #[must_use]
    pub fn glance(&self) -> &Glance {
        &self.glance
    }

    /// Notes until when the certificate that a listener shows is valid, in Unix seconds.
    pub fn note_certificate(&self, listener: &'static str, valid_until: u64) {
        let valid_until = i64::try_from(valid_until).unwrap_or(i64::MAX);
        let certificates = &self.glance.certificates;
        certificates
            .get_or_create(&ListenerLabels { listener })
            .set(valid_until);
    }

    /// How many lines of the audit were not written.
    #[must_use]
    pub fn audit_dropped(&self) -> u64 {
        self.audit_dropped.get()
    }

    /// What was counted since the process began.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for (labels, counter) in lock(&self.glance.checks).iter() {
            let checks = counter.get();
            let is = |outcome: Outcome| labels.outcome == outcome.name();
            let by = |cache: CacheUse| labels.cache == cache.name();
            for (counts, sum) in [
                (is(Outcome::Allow), &mut counted.allowed),
                (is(Outcome::Deny), &mut counted.denied),
                (is(Outcome::Fault), &mut counted.faults),
                (by(CacheUse::Hit) || by(CacheUse::Stale), &mut counted.known),
                (!by(CacheUse::None), &mut counted.presented),
            ] {
                *sum += if counts { checks } else { 0 };
            }
        }
        counted.failures = Dependency::ALL.map(|it| {
            let dependency = it.name();
            let faults = self.faults.get(&FaultLabels { dependency });
            faults.map_or(0, |it| it.get())
        });
        counted
    }

    /// Looks what happened since the last look, which was so long ago.
    pub fn look(&self, took: Duration) {
        let counted = self.counted();
        let lag = self.glance.lag.swap(0, Ordering::Relaxed);
        let mut looks = lock(&self.glance.looks);
        let look = Look {
            took,
            counted: counted.since(&looks.before),
            lag: lag.checked_sub(1).map(Duration::from_micros),
        };
        looks.before = counted;
        if looks.kept.len() == LOOKS {
            looks.kept.pop_front();
        }
        looks.kept.push_back(look);
        drop(looks);
        self.glance.refusals.go_on();
    }
}

/// Nothing is left half done where somebody panics.
fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::decision::Fault;
    use crate::telemetry::Tally;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_look_tells_what_was_decided_since_the_last_one_of_all_platforms_and_reloads() {
        let metrics = Arc::new(Metrics::default());
        let first = Tally::of(&metrics, "first", "key");
        let second = Tally::of(&metrics, "second", "");
        first.count(Outcome::Allow, CacheUse::Hit, SECOND);
        first.count(Outcome::Allow, CacheUse::Miss, SECOND);
        metrics.look(SECOND);
        // As a reload makes it: the counter is the one that was there.
        let first = Tally::of(&metrics, "first", "key");
        first.count(Outcome::Allow, CacheUse::Hit, SECOND);
        first.count(Outcome::Allow, CacheUse::Stale, SECOND);
        second.count(Outcome::Deny, CacheUse::None, SECOND);
        second.count(Outcome::Fault, CacheUse::Miss, SECOND);
        metrics.count_fault(&Fault::new(Dependency::Store, "down"));
        metrics.look(2 * SECOND);
        let mut failures = [0; Dependency::ALL.len()];
        failures[Dependency::Store as usize] = 1;
        let before = Counted {
            allowed: 2,
            known: 1,
            presented: 2,
            ..Counted::default()
        };
        let since = Counted {
            allowed: 2,
            denied: 1,
            faults: 1,
            known: 2,
            presented: 3,
            failures,
        };
        let looks = metrics.glance().looks();
        let seen: Vec<_> = looks.iter().map(|it| (it.took, it.counted)).collect();
        assert_eq!(seen, [(SECOND, before), (2 * SECOND, since)]);
        assert_eq!(metrics.counted(), before.and(&since));
        assert_eq!(metrics.counted().all(), 6);
    }

    #[test]
    fn the_longest_lag_between_two_looks_is_told_and_no_look_is_kept_for_ever() {
        let metrics = Metrics::default();
        for lag in [3, 7, 5] {
            metrics.note_revocation_lag(Duration::from_millis(lag));
        }
        metrics.look(SECOND);
        metrics.note_revocation_lag(Duration::ZERO);
        metrics.look(SECOND);
        metrics.look(SECOND);
        let lags: Vec<_> = metrics.glance().looks().iter().map(|it| it.lag).collect();
        let longest = Some(Duration::from_millis(7));
        assert_eq!(lags, [longest, Some(Duration::ZERO), None]);
        for _ in 0..2 * LOOKS {
            metrics.look(SECOND);
        }
        assert_eq!(metrics.glance().looks().len(), LOOKS);
    }
}
