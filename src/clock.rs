//! What time it is, as a value that is handed to whoever needs it.
//!
//! Apart from everything else so that no other module reads the system's time by itself: a test
//! then moves time by hand and never sleeps. It does not wait and it has no timers.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A source of wall-clock time; clones share it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Reads the system's clock.
    pub fn system() -> Self {
        Self::from_fn(SystemTime::now)
    }

    /// Asks `now` each time.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Gives the time now. Two calls may go backwards, as wall clocks do.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// Gives whole milliseconds since 1970; a time before that is 0.
    pub fn unix_milliseconds(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// Gives whole seconds since 1970 (`NumericDate`, RFC 7519 §2); a time before that is 0.
    pub fn unix_seconds(&self) -> u64 {
        self.since_epoch().as_secs()
    }

    fn since_epoch(&self) -> Duration {
        self.now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_is_cut_to_whole_units_and_starts_in_1970() {
        let after = |time: Duration| UNIX_EPOCH + time;
        let cases = [
            ("the epoch", UNIX_EPOCH, 0, 0),
            (
                "a part of a second",
                after(Duration::from_micros(1_999_999)),
                1,
                1_999,
            ),
            (
                "before the epoch",
                UNIX_EPOCH - Duration::from_secs(1),
                0,
                0,
            ),
        ];
        for (name, time, seconds, milliseconds) in cases {
            let clock = Clock::from_fn(move || time);
            assert_eq!(clock.now(), time, "{name}");
            assert_eq!(clock.unix_seconds(), seconds, "{name}");
            assert_eq!(clock.unix_milliseconds(), milliseconds, "{name}");
        }
    }
}
