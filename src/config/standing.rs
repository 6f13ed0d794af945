//! What of a configuration stands as long as the process does.
//!
//! A new configuration that has another one stays out as a whole: what is in force is always what
//! one file says, and never a mixture that no file describes.

use crate::config::Config;
use crate::config::store::StoreKind;
use crate::document::Problem;
use crate::otlp::Settings;

/// Tells each setting that `new` has otherwise and that cannot change.
pub(super) fn changed(old: &Config, new: &Config) -> Vec<Problem> {
    let (was, is) = (&old.cache, &new.cache);
    let has_collectors = old.otlp.is_some() && new.otlp.is_some();
    let differs = [
        ("/listen/grpc", old.grpc != new.grpc),
        ("/listen/admin", old.admin != new.admin),
        ("/listen/issue", old.issue != new.issue),
        ("/listen/control", old.control != new.control),
        ("/listen/tls", old.tls.is_some() != new.tls.is_some()),
        (
            "/store/url",
            !is_same_store(&old.store.kind, &new.store.kind),
        ),
        (
            "/store/timeout_ms",
            timeout(&old.store.kind) != timeout(&new.store.kind),
        ),
        (
            "/store/watch_grace_seconds",
            old.store.watch_grace != new.store.watch_grace,
        ),
        ("/cache/capacity", was.capacity != is.capacity),
        ("/cache/ttl_seconds", was.ttl != is.ttl),
        (
            "/cache/denial_capacity",
            was.denial_capacity != is.denial_capacity,
        ),
        ("/cache/denial_ttl_seconds", was.denial_ttl != is.denial_ttl),
        (
            "/cache/stale_if_fault_seconds",
            was.stale_if_fault != is.stale_if_fault,
        ),
        (
            "/cache/proof_capacity",
            old.proof_capacity != new.proof_capacity,
        ),
        ("/telemetry/log", old.log != new.log),
        ("/telemetry/log_format", old.log_format != new.log_format),
        ("/telemetry/audit", old.audit != new.audit),
        (
            "/telemetry/otlp_endpoint",
            collector(old, |it| it.endpoint.clone()) != collector(new, |it| it.endpoint.clone()),
        ),
        (
            "/telemetry/otlp/metrics_seconds",
            has_collectors && collector(old, |it| it.every) != collector(new, |it| it.every),
        ),
        (
            "/telemetry/traces",
            has_collectors && collector(old, |it| it.traces) != collector(new, |it| it.traces),
        ),
    ];
    let message =
        "cannot change without a restart, so nothing of this configuration is put in force";
    let differs = differs.into_iter().filter(|it| it.1);
    differs
        .map(|(pointer, _)| new.problem(pointer, message))
        .collect()
}

fn collector<T>(config: &Config, of: impl Fn(&Settings) -> T) -> Option<T> {
    config.otlp.as_ref().map(of)
}

fn is_same_store(old: &StoreKind, new: &StoreKind) -> bool {
    match (old, new) {
        (StoreKind::Embedded(old), StoreKind::Embedded(new)) => old == new,
        (StoreKind::Memory, StoreKind::Memory) => true,
        (StoreKind::Redis(old), StoreKind::Redis(new)) => old.url == new.url,
        (StoreKind::Embedded(_) | StoreKind::Memory | StoreKind::Redis(_), _) => false,
    }
}

fn timeout(kind: &StoreKind) -> Option<std::time::Duration> {
    match kind {
        StoreKind::Redis(settings) => Some(settings.timeout),
        StoreKind::Embedded(_) | StoreKind::Memory => None,
    }
}
