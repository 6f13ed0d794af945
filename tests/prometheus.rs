//! The chart's alerts and dashboard on a real Prometheus that scrapes the real server: each alert fires when its fault is
//! caused, and is quiet again once that is mended; each panel shows something; nothing is asked for that there is not.
//!
//! Prometheus takes the rules as they are, but that seconds stand in the place of minutes; the minutes themselves are
//! tried by promtool, in `tests/prometheus/alerts.test.yaml`.

#[path = "check/asking.rs"]
#[allow(dead_code, reason = "a part is used")]
mod asking;
mod support;

/// In `tests/prometheus/`.
mod prometheus {
    mod dashboard;
    mod firing;
    mod rules;
    mod scene;
}
