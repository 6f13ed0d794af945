//! What a server is to tell of.

use std::fmt;
use std::time::Duration;

use super::super::canary::Lag;
use crate::clock::Clock;

/// What is to be told of, and how long its last word counts.
#[derive(Clone)]
pub struct Watched {
    /// What the names of keys begin with whose changes matter.
    pub prefix: &'static str,
    /// What the name of this process's canary begins with: a key that it writes to see how long word
    /// of that takes. Apart from `prefix`, so that nobody else is told.
    pub canary_prefix: &'static str,
    /// What the name of a call begins with, within `prefix`: a key whose name, less this, the canary then holds.
    pub call_prefix: &'static str,
    /// How long what was read counts after the last word.
    pub grace: Duration,
    /// How long beyond that it may where the server fails.
    pub stale: Duration,
    /// The time.
    pub clock: Clock,
    /// Is told how long word of the canary took.
    pub lag: Lag,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("prefix", &self.prefix)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
