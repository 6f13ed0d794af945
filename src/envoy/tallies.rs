//! Where a check is counted: a row for each platform, with a place for each of its schemes.

use std::sync::Arc;

use crate::gate::Decision;
use crate::platform::{Platform, Platforms};
use crate::telemetry::{DenialTally, Metrics, Tally};

/// Where checks of these platforms are counted.
#[derive(Debug)]
pub(super) struct Tallies {
    rows: Vec<Row>,
    /// Where no platform answers.
    nobody: (Tally, DenialTally),
}

#[derive(Debug)]
struct Row {
    platform: Arc<Platform>,
    /// In the order of the platform.
    schemes: Vec<Tally>,
    /// Where no credential counted.
    none: Tally,
    denials: DenialTally,
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
                denials: DenialTally::of(metrics, &platform.name),
            }
        };
        Self {
            rows: platforms.iter().map(row).collect(),
            nobody: (Tally::of(metrics, "", ""), DenialTally::of(metrics, "")),
        }
    }

    /// Gives where a decision is counted, and why it denies, if so.
    pub(super) fn of_decision(&self, decision: &Decision) -> (&Tally, &DenialTally) {
        let row = decision.platform.as_ref().and_then(|platform| {
            let mut rows = self.rows.iter();
            let row = rows.find(|it| Arc::ptr_eq(&it.platform, platform))?;
            Some((platform, row))
        });
        let Some((platform, row)) = row else {
            return (&self.nobody.0, &self.nobody.1);
        };
        let is_its = |name: &Arc<str>| decision.scheme.as_ref().is_some_and(|it| it == name);
        let at = platform.schemes.iter().position(|it| is_its(&it.name));
        (at.map_or(&row.none, |it| &row.schemes[it]), &row.denials)
    }
}
