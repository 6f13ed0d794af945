//! What operators look at: the status page, metrics, liveness, readiness; and the keys with which upstreams verify
//! assertions. Plain HTTP on a listener of its own, on loopback unless told otherwise; it changes
//! nothing and shows no secret.

mod plain;
pub mod status;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;

use crate::admin::plain::plain;
use crate::admin::status::Overview;
use crate::cache::Cache;
use crate::current::Current;
use crate::keys::asserting::AssertionKeys;
use crate::keys::sets;
use crate::otlp::Gather;
use crate::platform::{Platform, Platforms};
use crate::telemetry::Metrics;

/// Whether Checks may be sent here, and why not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// It has only begun.
    #[default]
    Starting,
    /// The store was not reached yet, for this reason; it is asked again and again.
    StoreNotReached(String),
    /// The configuration is in force, the store was reached, and no drain has begun.
    Ready,
    /// It is about to end.
    Draining,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("not ready: starting"),
            Self::StoreNotReached(why) => {
                write!(
                    f,
                    "not ready: the store was not reached yet, trying again ({why})"
                )
            }
            Self::Ready => f.write_str("ready"),
            Self::Draining => f.write_str("not ready: draining, about to end"),
        }
    }
}

/// The standing of this process, shared by those who set it and those who show it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<RwLock<Standing>>);

impl Readiness {
    /// Says how it stands.
    pub fn set(&self, standing: Standing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Tells how it stands.
    #[must_use]
    pub fn get(&self) -> Standing {
        let standing = self.0.read().unwrap_or_else(PoisonError::into_inner);
        standing.clone()
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    cache: Cache,
    readiness: Readiness,
    key_sets: Current<KeySets>,
    overview: Overview,
}

/// The key sets that there are to show or to tell of.
#[derive(Debug)]
pub struct KeySets {
    /// Those of platforms that assert, as they are shown.
    asserting: HashMap<Arc<str>, String>,
    /// Those of issuers, which are fetched.
    issuers: sets::KeySets,
}

impl KeySets {
    /// Those of each of these platforms that asserts under these keys, and of these issuers.
    #[must_use]
    pub fn of(platforms: &Platforms, keys: &AssertionKeys, issuers: sets::KeySets) -> Self {
        let asserting = platforms.iter().filter(|it| it.assertion.is_some());
        let key_set = |it: &Arc<Platform>| (Arc::clone(&it.name), keys.jwks(&it.name).to_string());
        Self {
            asserting: asserting.map(key_set).collect(),
            issuers,
        }
    }
}

/// Gives the status page at `/` and what it asks for, the endpoints `/metrics`, `/healthz` and `/readyz`, and
/// `/platforms/NAME/jwks.json` for each of these key sets.
pub fn router(
    metrics: Arc<Metrics>,
    cache: Cache,
    readiness: Readiness,
    key_sets: Current<KeySets>,
    overview: Overview,
) -> Router {
    Router::new()
        .route("/", get(status::show_page))
        .route("/status.json", get(status::show_values))
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(show_readiness))
        .route("/platforms/{name}/jwks.json", get(show_key_set))
        .with_state(Shown {
            metrics,
            cache,
            readiness,
            key_sets,
            overview,
        })
}

/// Gives what gives the metrics of `/metrics` as messages.
pub fn gather(
    metrics: Arc<Metrics>,
    cache: Cache,
    readiness: Readiness,
    key_sets: Current<KeySets>,
) -> Gather {
    Box::new(move || {
        look(&metrics, &cache, &readiness, &key_sets.get());
        metrics.families()
    })
}

/// Looks at what is not counted as it happens, before metrics are read.
fn look(metrics: &Metrics, cache: &Cache, readiness: &Readiness, key_sets: &KeySets) {
    let (identities, denials) = cache.entries();
    metrics.note_cache_entries("identity", identities);
    metrics.note_cache_entries("denial", denials);
    metrics.note_watch(cache.trouble().is_none());
    metrics.note_evicts(cache.evicts().is_some());
    metrics.note_ready(readiness.get() == Standing::Ready);
    metrics.note_key_sets(key_sets.issuers.fetched());
}

/// `OpenMetrics` 1.0, or the text format before it (0.0.4) where only that is asked for.
async fn show_metrics(State(shown): State<Shown>, headers: HeaderMap) -> impl IntoResponse {
    look(
        &shown.metrics,
        &shown.cache,
        &shown.readiness,
        &shown.key_sets.get(),
    );
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted: Vec<_> = accepted.filter_map(|it| it.to_str().ok()).collect();
    let wants = |it: &str| accepted.iter().any(|accepted| accepted.contains(it));
    let text = shown.metrics.render();
    let (content_type, text) = match wants("text/plain") && !wants("application/openmetrics-text") {
        true => ("text/plain; version=0.0.4; charset=utf-8", plain(&text)),
        false => (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        ),
    };
    ([(header::CONTENT_TYPE, content_type)], text)
}

async fn show_readiness(State(shown): State<Shown>) -> (StatusCode, String) {
    let standing = shown.readiness.get();
    let status = if standing == Standing::Ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut text = format!("{standing}\n");
    if let Some(trouble) = shown.cache.trouble() {
        // Not a reason to be taken out: all who share the store may be told nothing.
        let counts = counts_untold(&shown.cache);
        text.push_str(&format!(
            "changes in the store are not told of, so what is remembered counts {counts}: {trouble}\n"
        ));
    }
    if let Some(evicts) = shown.cache.evicts() {
        text.push_str(&format!("the store may lose what was written: {evicts}\n"));
    }
    if let Some(lacks) = shown.cache.lacks() {
        text.push_str(&format!(
            "the store lacks something that it can do without: {lacks}\n"
        ));
    }
    if let Some(refused) = shown.overview.configured.get().refused {
        let since = i64::try_from(refused.since).ok();
        let since = since.and_then(|it| Timestamp::from_second(it).ok());
        let since = since.unwrap_or_default();
        let problems = match refused.problems {
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        text.push_str(&format!(
            "a new configuration was refused at {since} with {problems}, which the log names; the one before is in force\n"
        ));
    }
    (status, text)
}

/// How long what is remembered counts while changes are not told of.
fn counts_untold(cache: &Cache) -> &'static str {
    match cache.has_grace() {
        true => "for `store.watch_grace_seconds` after the last word, then for a second",
        false => "for a second at most",
    }
}

/// RFC 7517 §8.5.1. Verifiers may keep it for some minutes: a key stands there before it signs.
async fn show_key_set(State(shown): State<Shown>, Path(name): Path<String>) -> Response {
    let key_sets = shown.key_sets.get();
    let Some(key_set) = key_sets.asserting.get(&*name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, key_set.clone()).into_response()
}
