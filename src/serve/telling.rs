//! What a collector is told while the service runs, and at its end.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::look;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::otlp::{Otlp, Settings};
use crate::telemetry::Metrics;

/// How long a collector may take for what it was not told before.
const FLUSH: Duration = Duration::from_secs(2);

/// Begins to tell a collector what `/metrics` shows, and what is handed over to it.
pub(super) fn start(
    settings: &Settings,
    instance: u64,
    cache: &Cache,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Otlp {
    let (counted, cache) = (Arc::clone(metrics), cache.clone());
    let gather = Box::new(move || {
        look(&counted, &cache);
        counted.families()
    });
    Otlp::start(settings, instance, gather, clock, metrics)
}

/// Tells it what it was not told yet, as far as there is time.
pub(super) async fn end(otlp: &Otlp) {
    if tokio::time::timeout(FLUSH, otlp.flush()).await.is_err() {
        tracing::warn!("the collector did not take the last spans and metrics in time");
    }
}
