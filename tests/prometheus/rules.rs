//! The alerts as they are written: promtool takes them, each is tried in minutes, caused in a test, and has its place in
//! the runbook.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::firing::CAUSED;
use crate::support::prometheus::{ALERTS, in_seconds, promtool};

const UNIT_TESTS: &str = include_str!("alerts.test.yaml");
const RUNBOOK: &str = include_str!("../../deploy/RUNBOOK.md");
const RUNBOOK_URL: &str =
    "https://github.com/portcullis-authz/portcullis/blob/main/deploy/RUNBOOK.md#";

fn parsed(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).expect("YAML")
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

/// Gives the rules, by their names.
fn rules() -> Vec<(String, Value)> {
    let alerts = parsed(ALERTS);
    let rules = list(&alerts, "groups")
        .iter()
        .flat_map(|it| list(it, "rules"));
    let named = rules.map(|it| {
        let name = it["alert"].as_str().expect("an alert");
        (name.to_owned(), it.clone())
    });
    named.collect()
}

fn names() -> BTreeSet<String> {
    rules().into_iter().map(|(name, _)| name).collect()
}

fn path(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    path.to_str().expect("a path").to_owned()
}

#[test]
fn promtool_takes_the_rules_and_they_do_what_their_unit_tests_say() {
    let rules = path("deploy/helm/portcullis/files/alerts.yaml");
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", &rules]);
    promtool(&["test", "rules", &path("tests/prometheus/alerts.test.yaml")]);
}

#[test]
fn each_alert_has_unit_tests_in_which_it_fires_and_in_which_it_does_not_and_nothing_else_has() {
    let tests = parsed(UNIT_TESTS);
    let (mut fires, mut does_not) = (BTreeSet::new(), BTreeSet::new());
    for group in list(&tests, "tests") {
        let name = group["name"].as_str().expect("a name");
        let (alert, _) = name.split_once(": ").expect("an alert and a promise");
        for tried in list(group, "promql_expr_test") {
            let samples = list(tried, "exp_samples");
            let is_its = |it: &Value| {
                let labels = it["labels"].as_str().expect("labels");
                labels.contains(&format!("alertname=\"{alert}\""))
            };
            assert!(samples.iter().all(is_its), "{name}: {samples:?}");
            let which = if samples.is_empty() {
                &mut does_not
            } else {
                &mut fires
            };
            which.insert(alert.to_owned());
        }
    }
    assert_eq!(fires, names());
    assert_eq!(does_not, names());
}

#[test]
fn each_alert_is_caused_by_a_test() {
    let caused: BTreeSet<_> = CAUSED.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(caused.len(), CAUSED.len(), "one twice");
    assert_eq!(
        caused,
        names(),
        "left: those in tests/prometheus/firing.rs, right: those in alerts.yaml"
    );
}

#[test]
fn each_alert_leads_to_its_heading_in_the_runbook_and_each_heading_has_its_alert() {
    let headings = RUNBOOK.lines().filter_map(|it| it.strip_prefix("## "));
    let headings: Vec<_> = headings
        .filter(|it| it.starts_with("Portcullis"))
        .map(str::to_owned)
        .collect();
    let once: BTreeSet<_> = headings.iter().cloned().collect();
    assert_eq!(once.len(), headings.len(), "a heading twice");
    assert_eq!(
        once,
        names(),
        "left: the headings `## Portcullis…` of deploy/RUNBOOK.md, right: the alerts"
    );
    for (name, rule) in rules() {
        let url = format!("{RUNBOOK_URL}{}", name.to_ascii_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], url, "{name}");
    }
}

#[test]
fn seconds_take_the_place_of_minutes_where_rules_look_back_or_wait_and_nowhere_else() {
    let text = "a[5m] offset 10m > 5m for: 1m\nfor: x [m] [90s] 10m";
    let want = "a[5s] offset 10s > 5m for: 1s\nfor: x [m] [90s] 10m";
    assert_eq!(in_seconds(text), want);
    let changed = in_seconds(ALERTS);
    let differ = ALERTS.lines().zip(changed.lines()).filter(|(a, b)| a != b);
    assert!(differ.count() >= rules().len());
}
