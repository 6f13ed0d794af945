//! How long checks took, counted without a lock: cores count together, and none waits for another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds of the duration buckets, in seconds: from a hit to Envoy's default timeout.
pub(super) const BUCKETS: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2,
];

/// The same in nanoseconds.
const BOUNDS: [u64; BUCKETS.len()] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
];

/// A histogram of durations. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// By the bound that is not passed; behind them what passes all.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What was counted until now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Reading {
    buckets: [u64; BUCKETS.len() + 1],
    nanoseconds: u64,
}

impl Durations {
    /// Counts one.
    #[inline]
    pub(super) fn note(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // The first ones are the likeliest.
        let passed = BOUNDS.iter().take_while(|it| **it < nanoseconds);
        let bucket = &self.0.buckets[passed.count()];
        bucket.fetch_add(1, Ordering::Relaxed);
        let sum = &self.0.nanoseconds;
        sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Reading {
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        Reading {
            buckets: std::array::from_fn(|it| read(&self.0.buckets[it])),
            nanoseconds: read(&self.0.nanoseconds),
        }
    }
}

impl Reading {
    /// Takes what another counted, too.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            buckets: std::array::from_fn(|it| self.buckets[it] + other.buckets[it]),
            nanoseconds: self.nanoseconds.wrapping_add(other.nanoseconds),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.buckets).collect();
        let seconds = Duration::from_nanos(self.nanoseconds).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(seconds, self.count(), &buckets, None)
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.read().encode(&mut encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_that_are_shown() {
        for (shown, bound) in BUCKETS.into_iter().zip(BOUNDS) {
            assert_eq!(Duration::from_nanos(bound).as_secs_f64(), shown);
        }
    }

    #[test]
    fn a_duration_is_counted_at_the_first_bound_that_it_does_not_pass() {
        let cases = [
            (Duration::ZERO, 0),
            (Duration::from_micros(50), 0),
            (Duration::from_nanos(50_001), 1),
            (Duration::from_millis(200), 11),
            (Duration::from_nanos(200_000_001), 12),
            (Duration::MAX, 12),
        ];
        for (took, bucket) in cases {
            let durations = Durations::default();
            durations.note(took);
            let mut buckets = [0; 13];
            buckets[bucket] = 1;
            assert_eq!(durations.read().buckets, buckets, "{took:?}");
        }
        let durations = Durations::default();
        for milliseconds in 1..=10 {
            durations.clone().note(Duration::from_millis(milliseconds));
        }
        let reading = durations.read();
        assert_eq!((reading.count(), reading.nanoseconds), (10, 55_000_000));
    }
}
