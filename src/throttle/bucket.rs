//! The arithmetic of a token bucket, in thousandths, so that milliseconds count.

use std::time::Duration;

use crate::throttle::settings::Bucket;

/// How full a bucket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Level {
    thousandths: u64,
    /// When that was, in Unix milliseconds.
    at: u64,
    /// What the last ask took.
    taken: u32,
}

impl Bucket {
    /// Gives the bucket as it is before anybody took from it.
    pub(super) fn full(self, now: u64) -> Level {
        Level {
            thousandths: u64::from(self.size) * 1000,
            at: now,
            taken: 0,
        }
    }
}

impl Level {
    /// Takes the cost of an attempt; where there is less, takes that.
    ///
    /// # Errors
    /// After how long there is enough for one, if nobody takes anything until then.
    pub(super) fn take(&mut self, bucket: Bucket, now: u64) -> Result<(), Duration> {
        // A clock that went back brings nothing and takes nothing.
        let passed = now.saturating_sub(self.at);
        let (size, rate) = (u64::from(bucket.size), u64::from(bucket.per_second));
        let come_back = passed.saturating_mul(rate);
        let there = self.thousandths.saturating_add(come_back).min(size * 1000);
        let cost = u64::from(bucket.cost) * 1000;
        let taken = there.min(cost);
        *self = Self {
            thousandths: there - taken,
            at: now,
            taken: u32::try_from(taken / 1000).unwrap_or(u32::MAX),
        };
        if taken == cost {
            return Ok(());
        }
        Err(Duration::from_millis(cost.div_ceil(rate.max(1))))
    }

    /// Gives what the last ask took and left.
    pub(super) fn last(&self) -> (u32, u32) {
        let left = u32::try_from(self.thousandths / 1000).unwrap_or(u32::MAX);
        (self.taken, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_costs_thirty_five_of_a_hundred_and_ten_come_back_a_second() {
        let bucket = Bucket::default();
        let mut level = bucket.full(0);
        let wait = |it: u64| Err(Duration::from_millis(it));
        for (at, want, last) in [
            (0, Ok(()), (35, 65)),
            (0, Ok(()), (35, 30)),
            // Short: what is left goes, and the attempt is refused.
            (0, wait(3500), (30, 0)),
            (100, wait(3500), (1, 0)),
            (3_599, wait(3500), (34, 0)),
            (7_099, Ok(()), (35, 0)),
            // Back in time: nothing comes.
            (5_000, wait(3500), (0, 0)),
            // Never above its size.
            (1_000_000, Ok(()), (35, 65)),
        ] {
            assert_eq!(level.take(bucket, at), want, "{at}");
            assert_eq!(level.last(), last, "{at}");
        }
    }
}
