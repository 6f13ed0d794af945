//! How long word of a change takes, by a key that is changed for nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::Pipeline;

/// How long it lives when its process has gone.
const TTL: Duration = Duration::from_secs(10);

/// Is told how long word of a change took.
pub type Lag = Arc<dyn Fn(Duration) + Send + Sync>;

/// A key that only this process writes, to see how long word of a change takes.
#[derive(Clone)]
pub(super) struct Canary(Arc<Flight>);

struct Flight {
    key: String,
    begun: Instant,
    lag: Lag,
    /// Microseconds from `begun` to the release that is under way; 0 where none is.
    released: AtomicU64,
}

impl Canary {
    pub(super) fn new(prefix: &str, lag: Lag) -> Self {
        let name = getrandom::u64().unwrap_or_default();
        Self(Arc::new(Flight {
            key: format!("{prefix}{name:016x}"),
            begun: Instant::now(),
            lag,
            released: AtomicU64::new(0),
        }))
    }

    pub(super) fn key(&self) -> &str {
        &self.0.key
    }

    /// Writes it, among other commands.
    pub(super) fn release(&self, all: &mut Pipeline) {
        let ttl = u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX);
        all.cmd("SET").arg(self.key()).arg(1).arg("PX").arg(ttl);
        self.0.released.store(self.age().max(1), Ordering::Release);
    }

    /// Tells how long word of it took, and whether this was word of it. Word that comes again says nothing.
    pub(super) fn heard(&self, key: &str) -> bool {
        if key != self.key() {
            return false;
        }
        let released = self.0.released.swap(0, Ordering::AcqRel);
        if released != 0 {
            (self.0.lag)(Duration::from_micros(self.age().saturating_sub(released)));
        }
        true
    }

    fn age(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
