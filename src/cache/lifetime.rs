//! How long what a credential came to is good.

use std::time::Duration;

use crate::cache::ahead::Renewal;
use crate::cache::{Cache, Outcome};

impl Cache {
    /// How long an outcome is good, in milliseconds, and when it is verified anew before. What was
    /// learnt together must not end together, so an identity's lifetime is spread over a tenth
    /// either side, by its key.
    pub(super) fn lifetime(
        &self,
        now: u64,
        key: u128,
        outcome: &Outcome,
        cap: Option<Duration>,
    ) -> (u64, Renewal) {
        let Ok(identity) = outcome else {
            return (milliseconds(self.0.limits.denial_ttl), Renewal::never());
        };
        let spread = 900 + u64::try_from(key % 201).expect("below 201");
        let ttl = milliseconds(self.0.limits.ttl) * spread / 1000;
        let ttl = cap.map_or(ttl, |it| milliseconds(it).min(ttl));
        let left = identity
            .expires
            .map(|it| it.saturating_mul(1000).saturating_sub(now));
        match left {
            // To ask anew would not make it last longer.
            Some(left) if left <= ttl => (left, Renewal::never()),
            _ if cap.is_some() => (ttl, Renewal::ahead_of(now, ttl)),
            _ => (ttl, Renewal::never()),
        }
    }
}

pub(super) fn milliseconds(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
