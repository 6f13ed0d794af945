//! What goes on from one configuration to the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::decision::Fault;
use crate::issue::notes::Notes;
use crate::issue::turns::Turns;

/// What goes on.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    pub(super) answered: AtomicU64,
    /// The second in which a request without a context was last told of.
    pub(super) told: AtomicU64,
    pub(super) notes: Notes,
    /// Of those who read much.
    pub(super) turns: Turns,
    /// Whether attempts cannot be written down.
    pub(super) unwritten: AtomicBool,
}

impl Lasting {
    /// Logs that attempts cannot be written down, and once they can be again.
    pub(super) fn tell_of_notes(&self, written: Result<(), &Fault>) {
        let failed = written.is_err();
        match (written, self.unwritten.swap(failed, Ordering::Relaxed)) {
            (Ok(()), true) => tracing::info!("attempts to log in are written down again"),
            (Err(fault), false) => {
                tracing::error!("attempts to log in wait to be written down: {fault}");
            }
            (Ok(()), false) | (Err(_), true) => {}
        }
    }
}
