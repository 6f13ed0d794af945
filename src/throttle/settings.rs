//! How much a platform lets be tried.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// The longest window: a day, after which nobody remembers why they wait.
const MAX_WINDOW_SECONDS: u64 = 86_400;

/// How much a platform lets be tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many attempts may fail in a window before none is looked at any more.
    pub failures: u32,
    /// How long a window is, in whole seconds.
    pub window: Duration,
    /// What attempts take from, whether they fail or not; `None`: nothing.
    pub bucket: Option<Bucket>,
    /// How many attempts may be under way at once in this process; `None`: as many as may still fail.
    pub under_way: Option<u32>,
}

/// A token bucket, full at first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Bucket {
    /// How many tokens it holds.
    pub size: u32,
    /// How many come back in a second.
    pub per_second: u32,
    /// How many an attempt takes. One that finds fewer takes those and is refused.
    pub cost: u32,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            size: 100,
            per_second: 10,
            cost: 35,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        RawLimits::default().into()
    }
}

/// The limits as a configuration writes them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// How many attempts from one client (an IPv4 address, a /64 of IPv6) against one target may
    /// fail in a window before the others of that window are refused. Those under way count as if
    /// they failed until they are over.
    pub failures: u32,
    /// How long a window is, 86400 at most.
    pub window_seconds: u64,
    /// What attempts take from, whether they fail or not; `null`: nothing.
    pub bucket: Option<Bucket>,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            failures: 20,
            window_seconds: 300,
            bucket: None,
        }
    }
}

impl From<RawLimits> for Limits {
    fn from(raw: RawLimits) -> Self {
        Self {
            failures: raw.failures,
            window: Duration::from_secs(raw.window_seconds),
            bucket: raw.bucket,
            under_way: None,
        }
    }
}

impl RawLimits {
    /// Tells of limits that could not be meant, each at its key.
    pub fn check(&self, complain: &mut impl FnMut(&str, &str)) {
        if self.failures == 0 {
            complain("/failures", "must be above 0: nobody could get in");
        }
        if !(1..=MAX_WINDOW_SECONDS).contains(&self.window_seconds) {
            complain("/window_seconds", "from 1 to 86400 (a day)");
        }
        let Some(bucket) = self.bucket else { return };
        if bucket.cost == 0 || bucket.cost > bucket.size {
            complain("/bucket/cost", "from 1 to the bucket's `size`");
        }
        if bucket.per_second == 0 {
            complain(
                "/bucket/per_second",
                "must be above 0: an empty bucket would stay empty",
            );
        }
    }
}
