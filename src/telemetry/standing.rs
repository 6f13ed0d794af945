//! How things stand at the time when somebody looks.
//!
//! A key set may go, with its scheme or its platform, and its series must go with it: an alert on it would have no end.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::Metrics;

/// What is told of the process and the store.
#[derive(Debug, Default)]
pub(super) struct Standing {
    ready: Gauge,
    watch_up: Gauge,
    evicts: Gauge,
    key_sets: KeySets,
}

/// What is told of issuers' key sets, one series each.
#[derive(Debug, Default)]
struct KeySets {
    failing: Family<Labels, Gauge>,
    ages: Family<Labels, Gauge>,
    /// Which were told of last. Held while they are told of, so that none is missing meanwhile.
    told: Mutex<BTreeSet<Labels>>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Labels {
    platform: String,
    scheme: String,
}

/// The key set of a platform's scheme that is fetched, as it stands.
#[derive(Clone, Debug)]
pub struct FetchedKeySet {
    /// The platform's name.
    pub platform: String,
    /// The scheme's name.
    pub scheme: String,
    /// Whether the last attempt to fetch it failed.
    pub fails: bool,
    /// How long ago it was fetched; `None` where it never was.
    pub age: Option<Duration>,
}

impl Standing {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ready",
            "Whether Checks may be sent here",
            self.ready.clone(),
        );
        registry.register(
            "store_watch_up",
            "Whether changes in the store are told of",
            self.watch_up.clone(),
        );
        registry.register(
            "store_evicts",
            "Whether the store deletes records when it is full",
            self.evicts.clone(),
        );
        self.key_sets.register(registry);
    }
}

impl Metrics {
    /// Notes whether Checks may be sent here.
    pub fn note_ready(&self, ready: bool) {
        self.standing.ready.set(ready.into());
    }

    /// Notes whether changes in the store are told of.
    pub fn note_watch(&self, up: bool) {
        self.standing.watch_up.set(up.into());
    }

    /// Notes whether the store deletes records when it is full.
    pub fn note_evicts(&self, evicts: bool) {
        self.standing.evicts.set(evicts.into());
    }

    /// Notes how all key sets that are fetched stand. Of others nothing is told any more.
    pub fn note_key_sets(&self, all: impl IntoIterator<Item = FetchedKeySet>) {
        self.standing.key_sets.note(all);
    }
}

impl KeySets {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "key_set_failing",
            "Whether the key set of an issuer cannot be fetched",
            self.failing.clone(),
        );
        registry.register(
            "key_set_age_seconds",
            "How long ago the key set of an issuer was fetched",
            self.ages.clone(),
        );
    }

    /// Tells of these and no others.
    fn note(&self, all: impl IntoIterator<Item = FetchedKeySet>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = std::mem::take(&mut *told);
        for it in all {
            let labels = Labels {
                platform: it.platform,
                scheme: it.scheme,
            };
            self.failing.get_or_create(&labels).set(it.fails.into());
            if let Some(age) = it.age {
                let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                self.ages.get_or_create(&labels).set(age);
            }
            gone.remove(&labels);
            told.insert(labels);
        }
        for labels in gone {
            self.failing.remove(&labels);
            self.ages.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sets: &KeySets) -> Vec<String> {
        let mut registry = Registry::default();
        sets.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = text.lines().filter(|it| !it.starts_with('#'));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_set_that_was_never_fetched_has_no_age_and_one_that_is_gone_is_not_told_of() {
        let sets = KeySets::default();
        let of = |platform: &str, fails, age| FetchedKeySet {
            platform: platform.to_owned(),
            scheme: "oidc".to_owned(),
            fails,
            age,
        };
        sets.note([
            of("a", false, Some(Duration::from_millis(7900))),
            of("b", true, None),
        ]);
        assert_eq!(
            told(&sets),
            [
                r#"key_set_age_seconds{platform="a",scheme="oidc"} 7"#,
                r#"key_set_failing{platform="a",scheme="oidc"} 0"#,
                r#"key_set_failing{platform="b",scheme="oidc"} 1"#,
            ]
        );
        sets.note([of("b", false, Some(Duration::ZERO))]);
        assert_eq!(
            told(&sets),
            [
                r#"key_set_age_seconds{platform="b",scheme="oidc"} 0"#,
                r#"key_set_failing{platform="b",scheme="oidc"} 0"#,
            ]
        );
    }
}
