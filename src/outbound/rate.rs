//! How often something is asked: so many times a second on average, and more at once only up to a
//! bound (the generic cell rate algorithm, ITU-T I.371).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts what is asked, for everybody who asks.
#[derive(Debug)]
pub(crate) struct Rate {
    /// After how long one more may be asked.
    each: Duration,
    /// How far ahead of their time they may be asked.
    ahead: Duration,
    /// When as many as may be at once may be asked again; `None`: nothing was asked yet.
    whole: Mutex<Option<Instant>>,
}

impl Rate {
    /// Lets `per_second` be asked, and `burst` at once; 0 counts as 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self {
            each,
            ahead: each * (burst.max(1) - 1),
            whole: Mutex::default(),
        }
    }

    /// Tells whether one may be asked now; if so, it counts as asked.
    pub(crate) fn take(&self) -> bool {
        let now = Instant::now();
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let next = whole.map_or(now, |it| it.max(now));
        if next.duration_since(now) > self.ahead {
            return false;
        }
        *whole = Some(next + self.each);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_asked_at_once_and_after_it_so_many_a_second() {
        let rate = Rate::new(50, 4);
        let taken = |times: usize| (0..times).filter(|_| rate.take()).count();
        for (pass, asked, want) in [
            (0, 10, 4),
            (19, 10, 0),
            (1, 10, 1),
            (60, 10, 3),
            // Never more than the burst, however long nobody asked.
            (3_600_000, 10, 4),
            (1000, 4, 4),
        ] {
            tokio::time::advance(Duration::from_millis(pass)).await;
            assert_eq!(taken(asked), want, "{pass} ms later");
        }
        let slowest = Rate::new(0, 0);
        assert!(slowest.take() && !slowest.take());
    }
}
