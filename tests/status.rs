//! The status page of the admin listener: what it says, to whom, and how it looks and behaves in a real browser.

#[path = "check/asking.rs"]
#[allow(dead_code, reason = "a part is used")]
mod asking;
mod support;

/// In `tests/status/`.
mod status {
    mod browsed;
    mod served;
    mod site;
}
