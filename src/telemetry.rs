//! What Portcullis tells its operator: counters, durations, the log, the audit.
//!
//! Labels come from closed sets only: names in the configuration, reasons, dependencies. Nothing
//! that a client sends ever becomes a label. This room counts; it does not decide what is worth
//! counting, and it opens no port.

pub mod audit;
mod calls;
mod durations;
pub mod glance;
mod labels;
mod log;
mod outcome;
mod standing;
mod tally;
mod traceparent;

use std::time::Duration;

use prometheus_client::encoding::prometheus_protobuf;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::decision::Fault;
use crate::telemetry::calls::Calls;
use crate::telemetry::durations::{BUCKETS, Durations};
use crate::telemetry::glance::Glance;
use crate::telemetry::labels::{
    CacheLabels, CheckLabels, DenialLabels, DurationLabels, FaultLabels, IssuedLabels,
    LegacyLabels, OperationLabels, ReloadLabels, SignalLabels,
};
use crate::telemetry::standing::Standing;

pub use calls::{METHOD, status_name};
pub use log::{LogFormat, check_filter, start_log};
pub use outcome::Outcome;
pub use standing::FetchedKeySet;
pub use tally::{DenialTally, Tally};
pub use traceparent::Parent;

/// Upper bounds of the buckets for word of a change, in seconds: it is quicker than a check may be.
const LAG_BUCKETS: [f64; 10] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.25,
];

/// The process's metrics. Dashboards rely on the names, which `deploy/RUNNING.md` lists.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    checks: Family<CheckLabels, Counter>,
    durations: Family<DurationLabels, Durations>,
    calls: Calls,
    denials: Family<DenialLabels, Counter>,
    faults: Family<FaultLabels, Counter>,
    issued: Family<IssuedLabels, Counter>,
    forgotten: Counter,
    audit_dropped: Counter,
    spans_dropped: Counter,
    otlp_failures: Family<SignalLabels, Counter>,
    legacy: Family<LegacyLabels, Counter>,
    cache_entries: Family<CacheLabels, Gauge>,
    store_durations: Family<OperationLabels, Histogram, fn() -> Histogram>,
    standing: Standing,
    revocation_lag: Histogram,
    reloads: Family<ReloadLabels, Counter>,
    config_loaded: Gauge,
    config_hash: Gauge,
    glance: Glance,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("portcullis");
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let durations = Family::default();
        let metrics = Self {
            checks: Family::default(),
            calls: Calls::beside(&durations),
            durations,
            denials: Family::default(),
            faults: Family::default(),
            issued: Family::default(),
            forgotten: Counter::default(),
            audit_dropped: Counter::default(),
            spans_dropped: Counter::default(),
            otlp_failures: Family::default(),
            legacy: Family::default(),
            cache_entries: Family::default(),
            store_durations: Family::new_with_constructor(histogram),
            standing: Standing::default(),
            revocation_lag: Histogram::new(LAG_BUCKETS),
            reloads: Family::default(),
            config_loaded: Gauge::default(),
            config_hash: Gauge::default(),
            glance: Glance::default(),
            registry: Registry::default(),
        };
        registry.register("checks", "Decided checks", metrics.checks.clone());
        registry.register(
            "check_duration_seconds",
            "How long checks took",
            metrics.durations.clone(),
        );
        registry.register(
            "denials",
            "Denied checks by reason",
            metrics.denials.clone(),
        );
        registry.register(
            "faults",
            "Failures of ours by dependency",
            metrics.faults.clone(),
        );
        registry.register(
            "issued",
            "What clients asked to be given",
            metrics.issued.clone(),
        );
        registry.register(
            "attempts_forgotten",
            "Attempts to log in that were not written down",
            metrics.forgotten.clone(),
        );
        registry.register(
            "audit_dropped",
            "Lines of the audit that were not written",
            metrics.audit_dropped.clone(),
        );
        registry.register(
            "spans_dropped",
            "Spans of sampled checks that no collector has taken",
            metrics.spans_dropped.clone(),
        );
        registry.register(
            "otlp_failures",
            "Times that a collector did not take what it was told",
            metrics.otlp_failures.clone(),
        );
        registry.register(
            "legacy_credentials",
            "Weaker forms of passwords that were met as the password came by",
            metrics.legacy.clone(),
        );
        registry.register(
            "cache_entries",
            "Entries in the caches",
            metrics.cache_entries.clone(),
        );
        registry.register(
            "store_duration_seconds",
            "How long operations of the store took",
            metrics.store_durations.clone(),
        );
        metrics.standing.register(registry);
        registry.register(
            "revocation_lag_seconds",
            "How long word of a change in the store took to come here",
            metrics.revocation_lag.clone(),
        );
        registry.register(
            "config_reloads",
            "Configurations that were to take another's place",
            metrics.reloads.clone(),
        );
        registry.register(
            "config_loaded_timestamp_seconds",
            "When the configuration in force was put in force, in Unix seconds",
            metrics.config_loaded.clone(),
        );
        registry.register(
            "config_hash",
            "Tells the text of the configuration in force from another",
            metrics.config_hash.clone(),
        );
        metrics.glance.register(registry);
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running build", version);
        all.register_collector(Box::new(metrics.calls.clone()));
        Self {
            registry: all,
            ..metrics
        }
    }
}

impl Metrics {
    /// Counts a failure of ours.
    pub fn count_fault(&self, fault: &Fault) {
        self.faults
            .get_or_create(&FaultLabels {
                dependency: fault.dependency().name(),
            })
            .inc();
    }

    /// Counts a `kind` of credential that a client asked for, and whether it was `issued`, `revoked`,
    /// `refused`, or a `fault`.
    pub fn count_issued(&self, platform: &str, kind: &'static str, outcome: &'static str) {
        let labels = IssuedLabels {
            platform: platform.to_owned(),
            kind,
            outcome,
        };
        self.issued.get_or_create(&labels).inc();
    }

    /// Counts attempts to log in that are not written down, as too many waited.
    pub fn count_forgotten(&self, attempts: usize) {
        let attempts = u64::try_from(attempts).unwrap_or(u64::MAX);
        self.forgotten.inc_by(attempts);
    }

    /// Counts lines of the audit that are not written.
    pub fn count_audit_dropped(&self, lines: u64) {
        self.audit_dropped.inc_by(lines);
    }

    /// Counts spans that no collector has taken.
    pub fn count_spans_dropped(&self, spans: u64) {
        self.spans_dropped.inc_by(spans);
    }

    /// Counts that a collector did not take `metrics` or `traces`.
    pub fn count_otlp_failure(&self, signal: &'static str) {
        let labels = SignalLabels { signal };
        self.otlp_failures.get_or_create(&labels).inc();
    }

    /// Counts a call of Check that ended otherwise than by an allow or a denial, by its status; those two are
    /// known from their checks.
    pub fn count_call(&self, status: Code, took: Duration) {
        self.calls.count(status, took);
    }

    /// Counts a user with a weaker form of a password, met as the password came by, and whether that was
    /// `replaced` or `left`.
    pub fn count_legacy(&self, platform: &str, form: &'static str, outcome: &'static str) {
        let labels = LegacyLabels {
            platform: platform.to_owned(),
            form,
            outcome,
        };
        self.legacy.get_or_create(&labels).inc();
    }

    /// Gives where it is noted how long an operation of the store takes, in seconds.
    #[must_use]
    pub fn store_durations(&self, operation: &'static str) -> Histogram {
        let labels = OperationLabels { operation };
        self.store_durations.get_or_create_owned(&labels)
    }

    /// Notes how long word of a change took.
    pub fn note_revocation_lag(&self, lag: Duration) {
        self.revocation_lag.observe(lag.as_secs_f64());
        self.glance.note_lag(lag);
    }

    /// Counts a configuration that was to take another's place, by whether it did.
    pub fn count_reload(&self, done: bool) {
        let outcome = if done { "ok" } else { "invalid" };
        self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// Notes which configuration is in force, and since when, in Unix seconds.
    pub fn note_config(&self, hash: u64, now: u64) {
        self.config_loaded
            .set(i64::try_from(now).unwrap_or(i64::MAX));
        // Whoever reads it may hold it in 53 bits.
        self.config_hash.set((hash >> 16).cast_signed());
    }

    /// Notes how many entries a cache holds.
    pub fn note_cache_entries(&self, kind: &'static str, entries: u64) {
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.cache_entries
            .get_or_create(&CacheLabels { kind })
            .set(entries);
    }

    /// Writes everything as Prometheus reads it (the `OpenMetrics` 1.0 text format).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail; what was written until then is still worth showing.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Gives the same as messages.
    #[must_use]
    pub fn families(&self) -> Vec<MetricFamily> {
        // As there: writing to memory does not fail.
        prometheus_protobuf::encode(&self.registry).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::decision::{CacheUse, Dependency, Reason};

    #[test]
    fn metrics_have_the_names_that_dashboards_rely_on() {
        let metrics = Arc::new(Metrics::default());
        let took = Duration::from_millis(1);
        let tally = Tally::of(&metrics, "mine", "key");
        tally.count(Outcome::Allow, CacheUse::Hit, took);
        DenialTally::of(&metrics, "mine").count(Reason::Wrong);
        metrics.count_fault(&Fault::new(Dependency::Store, "down"));
        metrics.count_forgotten(3);
        metrics.count_audit_dropped(2);
        metrics.count_spans_dropped(4);
        metrics.count_otlp_failure("traces");
        metrics.count_reload(true);
        metrics.count_reload(false);
        metrics.note_config(u64::MAX, 1_700_000_000);
        metrics.note_cache_entries("identity", 7);
        metrics.store_durations("get").observe(took.as_secs_f64());
        metrics.note_watch(true);
        metrics.note_evicts(true);
        metrics.note_ready(true);
        metrics.note_certificate("grpc", 1_800_000_000);
        let text = metrics.render();
        for line in [
            r#"portcullis_checks_total{platform="mine",scheme="key",outcome="allow",cache="hit"} 1"#,
            r#"portcullis_check_duration_seconds_count{outcome="allow",cache="hit"} 1"#,
            r#"portcullis_denials_total{platform="mine",reason="wrong"} 1"#,
            r#"portcullis_faults_total{dependency="store"} 1"#,
            "portcullis_attempts_forgotten_total 3",
            "portcullis_audit_dropped_total 2",
            "portcullis_spans_dropped_total 4",
            r#"portcullis_otlp_failures_total{signal="traces"} 1"#,
            r#"portcullis_cache_entries{kind="identity"} 7"#,
            r#"portcullis_store_duration_seconds_count{operation="get"} 1"#,
            "portcullis_store_watch_up 1",
            "portcullis_store_evicts 1",
            "portcullis_ready 1",
            r#"portcullis_config_reloads_total{outcome="ok"} 1"#,
            r#"portcullis_config_reloads_total{outcome="invalid"} 1"#,
            "portcullis_config_loaded_timestamp_seconds 1700000000",
            "portcullis_config_hash 281474976710655",
            r#"portcullis_certificate_expiry_timestamp_seconds{listener="grpc"} 1800000000"#,
            r#"portcullis_build_info{version=""#,
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
