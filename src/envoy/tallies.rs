//! Where a check is counted: a row for each platform, with a place for each of its schemes.

use std::sync::Arc;

use crate::gate::Decision;
use crate::platform::{Platform, Platforms};
use crate::telemetry::{Metrics, Tally};

/// Where checks of these platforms are counted.
#[derive(Debug)]
pub(super) struct Tallies {
    rows: Vec<Row>,
    /// Where no platform answers.
    nobody: Tally,
}

#[derive(Debug)]
struct Row {
    platform: Arc<Platform>,
    /// In the order of the platform.
    schemes: Vec<Tally>,
    /// Where no credential counted.
    none: Tally,
}

impl Tallies {
    pub(super) fn of(metrics: &Arc<Metrics>, platforms: &Platforms) -> Self {
        let row = |platform: &Arc<Platform>| {
            let tally = |scheme: &str| Tally::of(metrics, &platform.name, scheme);
            let schemes = platform.schemes.iter();
            Row {
                platform: Arc::clone(platform),
                schemes: schemes.map(|it| tally(&it.name)).collect(),
                none: tally(""),
            }
        };
        Self {
            rows: platforms.iter().map(row).collect(),
            nobody: Tally::of(metrics, "", ""),
        }
    }

    /// Gives where a decision is counted.
    pub(super) fn of_decision(&self, decision: &Decision) -> &Tally {
        let Some(platform) = &decision.platform else {
            return &self.nobody;
        };
        let row = self
            .rows
            .iter()
            .find(|it| Arc::ptr_eq(&it.platform, platform));
        let Some(row) = row else {
            return &self.nobody;
        };
        let is_its = |name: &Arc<str>| decision.scheme.as_ref().is_some_and(|it| it == name);
        let at = platform.schemes.iter().position(|it| is_its(&it.name));
        at.map_or(&row.none, |it| &row.schemes[it])
    }
}
