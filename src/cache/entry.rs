//! What is kept of an outcome.

use std::sync::Arc;

use crate::cache::Outcome;
use crate::cache::ahead::Renewal;
use crate::decision::Denial;
use crate::directory::generations::Notes;
use crate::identity::Holder;

/// What is kept. Cheap to clone, and small: there it stands among what the cache needs for it, and has no memory of its own.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) outcome: Result<Arc<Holder>, Arc<Denial>>,
    pub(super) notes: Notes,
    /// When it is verified anew although it counts still.
    pub(super) renewal: Option<Arc<Renewal>>,
    /// For how long it counts, in milliseconds from when the first of what it stands on was read: 49 days at most.
    pub(super) lasts: u32,
    /// Whether its scheme says how long it may count.
    pub(super) is_capped: bool,
}

impl Entry {
    pub(super) fn outcome(self) -> Outcome {
        self.outcome.map_err(Arc::unwrap_or_clone)
    }

    /// The first millisecond in which it counts no more, in Unix milliseconds.
    pub(super) fn ends(&self) -> u64 {
        self.notes.begun().saturating_add(self.lasts.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_takes_few_bytes() {
        // With what the cache adds, a piece of 96 bytes.
        assert!(size_of::<Entry>() + 24 <= 88, "{}", size_of::<Entry>());
    }
}
