//! Checks, counted by handles that are taken once: to look up labels would cost more than a hit.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::decision::{CacheUse, Reason};
use crate::telemetry::durations::Durations;
use crate::telemetry::labels::{CheckLabels, DenialLabels, DurationLabels};
use crate::telemetry::{Metrics, Outcome};

/// How many outcomes there are, and how many ways to come by one.
const OUTCOMES: usize = 3;
const CACHE_USES: usize = CacheUse::ALL.len();

/// The checks of one platform that stood on one scheme. What never happened has no metric.
#[derive(Debug)]
pub struct Tally {
    metrics: Arc<Metrics>,
    platform: String,
    scheme: String,
    counted: [[OnceLock<(Counter, Durations)>; CACHE_USES]; OUTCOMES],
}

impl Tally {
    /// Counts for a platform and a scheme, by their names; both may be empty.
    #[must_use]
    pub fn of(metrics: &Arc<Metrics>, platform: &str, scheme: &str) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            platform: platform.to_owned(),
            scheme: scheme.to_owned(),
            counted: Default::default(),
        }
    }

    /// Counts a check, and how long it took.
    pub fn count(&self, outcome: Outcome, cache: CacheUse, took: Duration) {
        let counted = &self.counted[outcome as usize][cache as usize];
        let (checks, durations) = counted.get_or_init(|| self.take(outcome, cache));
        checks.inc();
        durations.note(took);
    }

    fn take(&self, outcome: Outcome, cache: CacheUse) -> (Counter, Durations) {
        let (outcome, cache) = (outcome.name(), cache.name());
        let labels = CheckLabels {
            platform: self.platform.clone(),
            scheme: self.scheme.clone(),
            outcome,
            cache,
        };
        let checks = self.metrics.checks.get_or_create(&labels).clone();
        self.metrics.glance.watch(&labels, &checks);
        let labels = DurationLabels { outcome, cache };
        let durations = self.metrics.durations.get_or_create(&labels).clone();
        (checks, durations)
    }
}

// A reason that is not among all of them would have no counter.
const _: () = assert!(Reason::Wrong as usize + 1 == Reason::ALL.len());

/// The denials of one platform by their reason, counted likewise.
#[derive(Debug)]
pub struct DenialTally {
    metrics: Arc<Metrics>,
    platform: String,
    counted: [OnceLock<Counter>; Reason::ALL.len()],
}

impl DenialTally {
    /// Counts for a platform, by its name, which may be empty.
    #[must_use]
    pub fn of(metrics: &Arc<Metrics>, platform: &str) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            platform: platform.to_owned(),
            counted: Default::default(),
        }
    }

    /// Counts why a check was denied.
    pub fn count(&self, reason: Reason) {
        let counted = self.counted[reason as usize].get_or_init(|| {
            let labels = DenialLabels {
                platform: self.platform.clone(),
                reason: reason.name(),
            };
            self.metrics.denials.get_or_create(&labels).clone()
        });
        counted.inc();
    }
}
