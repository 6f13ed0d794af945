//! What operators look at: metrics, liveness, readiness. Plain HTTP on a listener of its own, on
//! loopback unless told otherwise; it changes nothing and shows no secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::cache::Cache;
use crate::telemetry::Metrics;

/// Whether Checks may be sent here: the configuration is in force, the store was reached, and no
/// drain has begun.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Tells whether.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    cache: Cache,
    readiness: Readiness,
}

/// Gives the endpoints `/metrics`, `/healthz` and `/readyz`.
pub fn router(metrics: Arc<Metrics>, cache: Cache, readiness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(Shown {
            metrics,
            cache,
            readiness,
        })
}

async fn show_metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let (identities, denials) = shown.cache.entries();
    shown.metrics.note_cache_entries("identity", identities);
    shown.metrics.note_cache_entries("denial", denials);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        [(header::CONTENT_TYPE, content_type)],
        shown.metrics.render(),
    )
}

async fn show_readiness(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    if shown.readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting, or draining\n",
        )
    }
}
