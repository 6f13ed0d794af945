//! Whatever befalls the store, the promises are kept: three processes on one store are asked at a steady rate while somebody
//! revokes and restores, and while the ways to the store, and its servers, fail in every manner that is known.
//!
//! `cargo test --test chaos` has a short run by a fixed seed, in which everything happens once. A long one, by a new
//! seed, which it tells; either lasts until all is to be recovered from:
//!
//! ```text
//! PORTCULLIS_CHAOS_SECONDS=600 cargo test --test chaos                              every fault, again and again
//! PORTCULLIS_CHAOS_SECONDS=3600 PORTCULLIS_CHAOS_EVERY=60 cargo test --test chaos   a soak: one fault a minute
//! ```
//!
//! | variable | what |
//! |---|---|
//! | `PORTCULLIS_CHAOS_SECONDS` | how long; it makes the run a long one |
//! | `PORTCULLIS_CHAOS_SEED` | draws the same faults at the same times, and the same questions, as the run that told it |
//! | `PORTCULLIS_CHAOS_TOPOLOGY` | `single` (without it), `sentinel`, `cluster` |
//! | `PORTCULLIS_CHAOS_EVERY` | from the begin of one fault to that of the next, in seconds; else they come as they come |
//!
//! What is demanded stands in `chaos/judge.rs`. On a machine with other work a run shows less: for as long as the kernel had no
//! core for one of ours, bounds are longer by that; the report tells how long that was, and `nice -n -10` before the command
//! makes it shorter. A long run leaves `series.csv`, `plot.svg`, `report.txt` and the logs of
//! the processes in `target/chaos/TOPOLOGY-SEED`.

mod support;

/// In `tests/chaos/`.
mod chaos {
    mod draw;
    mod emptied;
    mod estate;
    mod history;
    mod judge;
    mod judged;
    mod plan;
    mod report;
    mod run;
    mod runs;
    mod series;
    mod site;
    mod stalls;
    mod suffering;
    mod telling;
    mod times;
    mod topology;
    mod writing;
}
