//! How much a platform lets be tried.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// The longest window: a day, after which nobody remembers why they wait.
const MAX_WINDOW_SECONDS: u64 = 86_400;

/// How many credentials of one client may be under way at once at one scheme: a quarter of all that are
/// verified at once.
const UNDER_WAY: u32 = 1024;

/// How many passwords of one client are hashed or wait for that at once: less than half of those that
/// may where there are two cores.
const HASHED_AT_ONCE: u32 = 8;

/// How much a platform lets be tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many attempts may fail in a window before none is looked at any more.
    pub failures: u32,
    /// How long a window is, in whole seconds.
    pub window: Duration,
    /// What attempts take from, whether they fail or not; `None`: nothing.
    pub bucket: Option<Bucket>,
    /// How many attempts may be under way at once in this process, whatever comes of them; `None`: as
    /// many as may still fail.
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

impl Limits {
    /// Gives the same where each attempt has a password hashed.
    #[must_use]
    pub fn hashing(self) -> Self {
        let under_way = Some(HASHED_AT_ONCE);
        Self { under_way, ..self }
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
    /// How many credentials from one client may turn out to be nobody's at one scheme; `null`: any
    /// number. What is known to be good is not touched.
    pub scheme: Option<RawOfScheme>,
}

/// How many credentials from one client (an IPv4 address, a /64 of IPv6) may turn out to be nobody's at
/// one scheme.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOfScheme {
    /// How many in a window before the others of that window are refused, unless they were good lately.
    pub failures: u32,
    /// How long a window is, 86400 at most.
    pub window_seconds: u64,
}

impl Default for RawOfScheme {
    /// Some devices with a key that is good no more, behind one address, do not reach it: each is looked
    /// up twelve times a minute at most.
    fn default() -> Self {
        Self {
            failures: 300,
            window_seconds: 60,
        }
    }
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            failures: 20,
            window_seconds: 300,
            bucket: None,
            scheme: Some(RawOfScheme::default()),
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
    /// Gives how many credentials of one client may be nobody's at one scheme; `None`: any number.
    #[must_use]
    pub fn of_scheme(&self) -> Option<Limits> {
        self.scheme.map(|it| Limits {
            failures: it.failures,
            window: Duration::from_secs(it.window_seconds),
            bucket: None,
            under_way: Some(UNDER_WAY),
        })
    }

    /// Tells of limits that could not be meant, each at its key.
    pub fn check(&self, complain: &mut impl FnMut(&str, &str)) {
        if self.failures == 0 {
            complain("/failures", "must be above 0: nobody could get in");
        }
        if !(1..=MAX_WINDOW_SECONDS).contains(&self.window_seconds) {
            complain("/window_seconds", "from 1 to 86400 (a day)");
        }
        if let Some(it) = self.scheme {
            if it.failures == 0 {
                complain("/scheme/failures", "must be above 0: nobody could get in");
            }
            if !(1..=MAX_WINDOW_SECONDS).contains(&it.window_seconds) {
                complain("/scheme/window_seconds", "from 1 to 86400 (a day)");
            }
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
