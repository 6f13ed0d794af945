//! What a collector is told of a running server, by OTLP: spans of Checks and metrics, nothing that a client chose, and
//! nothing that costs a Check.

#[path = "check/asking.rs"]
#[allow(dead_code, reason = "a part is used")]
mod asking;
mod support;

/// In `tests/otlp/`.
mod otlp {
    mod metrics;
    mod series;
    mod site;
    mod spans;
    mod trouble;
}
