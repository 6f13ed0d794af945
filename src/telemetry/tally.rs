//! Checks, counted by handles that are taken once: to look up labels would cost more than a hit.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::decision::CacheUse;
use crate::telemetry::{Metrics, Outcome};

/// How many outcomes there are, and how many ways to come by one.
const OUTCOMES: usize = 3;
const CACHE_USES: usize = 4;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CheckLabels {
    pub(super) platform: String,
    pub(super) scheme: String,
    pub(super) outcome: &'static str,
    pub(super) cache: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct DurationLabels {
    pub(super) outcome: &'static str,
    pub(super) cache: &'static str,
}

/// The checks of one platform that stood on one scheme. What never happened has no metric.
#[derive(Debug)]
pub struct Tally {
    metrics: Arc<Metrics>,
    platform: String,
    scheme: String,
    counted: [[OnceLock<(Counter, Histogram)>; CACHE_USES]; OUTCOMES],
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
        durations.observe(took.as_secs_f64());
    }

    fn take(&self, outcome: Outcome, cache: CacheUse) -> (Counter, Histogram) {
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
