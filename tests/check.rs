//! The Check RPC without an Envoy: what only a broken or a hostile one could send, and what an answer is made of.
//!
//! Every answer that is read here is held against what is true of all of them first: see `check/asking.rs`. How
//! decisions look through a real Envoy is in `tests/envoy.rs`.

mod support;

/// In `tests/check/`.
mod check {
    mod answers;
    mod asking;
    mod assertions;
    mod bad_input;
    mod captured;
    mod facebook;
    mod faults;
    mod google;
    mod introspection;
    mod key_sets;
    mod neighbours;
    mod operations;
    mod pitfalls;
    mod reload;
    mod spoofs;
}
