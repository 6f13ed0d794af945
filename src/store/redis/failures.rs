//! How often attempts have failed in a row.
//!
//! A server that refuses us is left alone for longer than one that is lost. Losses before the first refusal say nothing of
//! how long that lasts, so they do not count: a password that was wrong for a moment would cost half a minute.

use std::time::Duration;

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u32,
    /// The longest pause after such as the last.
    longest: Duration,
}

impl Failures {
    /// Begins anew: it did not fail.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes note of one, after which pauses are so, and gives how many before it count.
    pub(super) fn note(&mut self, (_, longest): (Duration, Duration)) -> u32 {
        if longest > self.longest {
            self.count = 0;
        }
        self.longest = longest;
        let before = self.count;
        self.count = before.saturating_add(1);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
    const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

    #[test]
    fn what_was_lost_before_a_refusal_does_not_make_the_pause_after_it_longer() {
        let mut failures = Failures::default();
        for (pauses, want) in [
            (LOST, 0),
            (LOST, 1),
            (LOST, 2),
            (REFUSED, 0),
            (REFUSED, 1),
            // No sooner than after as many losses.
            (LOST, 2),
            (LOST, 3),
            (REFUSED, 0),
        ] {
            assert_eq!(failures.note(pauses), want);
        }
        failures.forget();
        assert_eq!(failures.note(REFUSED), 0);
    }
}
