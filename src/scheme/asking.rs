//! What the schemes share that ask somebody else about each token: how much is asked at once, and
//! how much of it for one client.
//!
//! Whoever sends made-up tokens has them asked about like anybody's. So one client's take a part of
//! the places only, and what is known already is asked about again in places of its own: a flood of
//! junk makes newcomers wait, and nobody who is in.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::directory::reads::Reads;
use crate::outbound::Outbound;

/// How many tokens that are not known are asked about at once; a further one is a fault and does not
/// wait.
const IN_FLIGHT: usize = 32;

/// How many of those one client may have: a quarter.
const OF_ONE: u32 = 8;

/// How many tokens that are known are asked about again at once. One that finds no place is tried
/// again before its end.
const AGAIN: usize = 32;

/// The longest window: a day, after which nobody remembers why they wait.
const MAX_WINDOW_SECONDS: u64 = 86_400;

/// How long a window is, unless settings say else.
const WINDOW_SECONDS: u64 = 60;

/// Asks for one scheme.
#[derive(Debug)]
pub(crate) struct Asker {
    first: Outbound,
    again: Outbound,
}

impl Asker {
    /// Makes one with places of its own.
    pub(crate) fn new(outbound: &Outbound) -> Self {
        Self {
            first: outbound.with_own_bound(IN_FLIGHT),
            again: outbound.with_own_bound(AGAIN),
        }
    }

    /// Asks about tokens that are not known no more often than this. Those that are known are asked
    /// about as often as they are used and end.
    pub(crate) fn with_rate(self, per_second: u32, burst: u32) -> Self {
        Self {
            first: self.first.with_rate(per_second, burst),
            ..self
        }
    }

    /// Gives what asks for this verdict.
    pub(crate) fn of(&self, reads: &Reads) -> &Outbound {
        if reads.is_again() {
            &self.again
        } else {
            &self.first
        }
    }
}

/// How much one client (an IPv4 address, a /64 of IPv6) may have asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// How many tokens that turn out to be nobody's, in a window.
    pub failures: u32,
    /// How long a window is, in whole seconds.
    pub window: Duration,
    /// How many at once.
    pub under_way: u32,
}

/// An allowance as settings write it.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAllowance {
    /// How many tokens from one client (an IPv4 address, a /64 of IPv6) may turn out to be nobody's
    /// in a window before no further one of it is asked about. What is known already is not touched.
    failures: Option<u32>,
    /// How long a window is, in seconds, 86400 at most; 60, if absent.
    window_seconds: Option<u64>,
}

impl RawAllowance {
    /// Gives the allowance, with so many failures where the settings do not say, and tells of
    /// settings that could not be meant.
    pub(crate) fn check(self, usual: u32, complain: &mut impl FnMut(&str, &str)) -> Allowance {
        let failures = self.failures.unwrap_or(usual);
        if failures == 0 {
            complain("/throttle/failures", "must be above 0: nobody could get in");
        }
        let window = self.window_seconds.unwrap_or(WINDOW_SECONDS);
        if !(1..=MAX_WINDOW_SECONDS).contains(&window) {
            complain("/throttle/window_seconds", "from 1 to 86400 (a day)");
        }
        Allowance {
            failures,
            window: Duration::from_secs(window),
            under_way: OF_ONE,
        }
    }
}
