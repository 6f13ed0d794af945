//! Every way in which a Redis fails, as the client of a real Envoy sees it that would let failures of Check pass.
//!
//! Whoever is not remembered gets a 503 in the platform's format, within the deadline; never a 401, which would have
//! clients throw good credentials away, and never what they asked for. Whoever is remembered passes as long as is set. It ends
//! without a restart of ours. Each is a row of the table of what may happen; that a clock goes wrong is not among them: ends
//! are compared with this machine's clock alone, and lifetimes in the store go by the store's.

mod support;

/// In `tests/faults/`.
mod faults {
    mod emptied;
    mod failovers;
    mod load;
    mod lost;
    mod refusals;
    mod sentinels;
    mod site;
}
