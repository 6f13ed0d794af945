//! When an identity is verified anew although it still counts.
//!
//! Where a scheme asks a server on the internet, whoever comes after the end would wait for it. So
//! the first who comes when most of the time is over has it asked, and goes on with what is known.
//! What nobody comes for ends and costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// When it is due, in percent of the lifetime.
const DUE: u64 = 80;

/// How often it is tried again until the end where the answer does not come.
const ATTEMPTS: u64 = 4;

/// When the next to come is to have it verified anew.
#[derive(Debug)]
pub(super) struct Renewal {
    /// In Unix milliseconds.
    next: AtomicU64,
    /// How long after an attempt comes another, in milliseconds.
    pause: u64,
}

impl Renewal {
    /// When most of `lifetime`, in milliseconds from `now`, is over.
    pub(super) fn ahead_of(now: u64, lifetime: u64) -> Self {
        let before = lifetime / 100 * DUE;
        Self {
            next: AtomicU64::new(now.saturating_add(before)),
            pause: ((lifetime - before) / ATTEMPTS).max(1),
        }
    }

    /// Tells whether it is due; of those who come at once, one is told so.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let later = now.saturating_add(self.pause);
        next <= now
            && self
                .next
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_four_fifths_for_one_and_again_where_nothing_came_of_that() {
        let renewal = Renewal::ahead_of(1_000_000, 60_000);
        for (at, want) in [
            (0, false),
            (47_999, false),
            (48_000, true),
            (48_000, false),
            (50_999, false),
            (51_000, true),
            (59_000, true),
        ] {
            assert_eq!(renewal.is_due(1_000_000 + at), want, "{at}");
        }
    }
}
