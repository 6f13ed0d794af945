//! What leaves a server besides answers: the audit says who was let in and who was not, and no secret leaves at all.

#[path = "check/asking.rs"]
#[allow(dead_code, reason = "a part is used")]
mod asking;
mod support;

/// In `tests/secrets/`.
mod secrets {
    mod audited;
    mod marked;
    mod marks;
    mod site;
}
