//! Telling the store what failed here, and hearing from it what failed everywhere.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::decision::Fault;
use crate::directory::failures::Counter;
use crate::throttle::{Failed, Throttle, lock};

/// How often the store is told.
const TICK: Duration = Duration::from_secs(1);

/// How many counters are written at a tick, the highest first; the others wait for the next.
pub(super) const WRITES_A_TICK: usize = 128;

/// How many counters wait at most; what seldom failed is told when it fails again.
pub(super) const KEPT: usize = 1024;

/// How many counters that are over the limit are read at a tick, in one round trip, in turn.
pub(super) const READS_A_TICK: usize = 1024;

/// Where reading goes on.
#[derive(Debug, Default)]
pub(super) struct Turn {
    read_to: u128,
}

impl Throttle {
    /// Adds what has failed since the last time to the shared counters, and reads back their sums
    /// and those of counters that are over the limit: who was lifted elsewhere is lifted here.
    pub async fn sync(&self) {
        let mut turn = self.0.turn.lock().await;
        let done = match self.write().await {
            Ok(()) => self.read(&mut turn).await,
            failed => failed,
        };
        match done {
            Ok(()) if self.0.lost.swap(false, Ordering::Relaxed) => {
                tracing::info!("failed attempts are counted together with other processes again");
            }
            Err(fault) if !self.0.lost.swap(true, Ordering::Relaxed) => {
                tracing::error!("failed attempts are counted by this process alone: {fault}");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Syncs each second, for ever.
    pub async fn run(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sync().await;
        }
    }

    async fn write(&self) -> Result<(), Fault> {
        let keys: Vec<_> = lock(&self.0.tracked).changed.keys().copied().collect();
        let sum = |key| self.look(key, Failed::sum);
        let mut changed: Vec<_> = keys
            .into_iter()
            .filter_map(|it| Some((sum(it)?, it)))
            .collect();
        changed.sort_unstable_by_key(|it| Reverse(it.0));
        for (_, key) in changed.drain(KEPT.min(changed.len())..) {
            lock(&self.0.tracked).changed.remove(&key);
        }
        for (_, key) in changed.into_iter().take(WRITES_A_TICK) {
            let Some((counter, told)) = self.look(key, |it| (it.counter.clone(), it.pending))
            else {
                continue;
            };
            let sum = match told {
                0 => None,
                told => Some(self.0.directory.add_failures(&counter, told).await?),
            };
            self.note(key, &counter, |failed| {
                failed.pending = failed.pending.saturating_sub(told);
                failed.shared = sum.unwrap_or(failed.shared);
            });
        }
        Ok(())
    }

    async fn read(&self, turn: &mut Turn) -> Result<(), Fault> {
        let keys: Vec<_> = {
            let over = &lock(&self.0.tracked).over;
            let rest = over.range(turn.read_to..);
            let begin = over.range(..turn.read_to);
            rest.chain(begin)
                .take(READS_A_TICK)
                .map(|it| *it.0)
                .collect()
        };
        turn.read_to = keys.last().map_or(0, |it| it.wrapping_add(1));
        let counter = |key| Some((key, self.look(key, |it| it.counter.clone())?));
        let (keys, counters): (Vec<_>, Vec<_>) = keys.into_iter().filter_map(counter).unzip();
        let sums = self.0.directory.failures(&counters).await?;
        for ((key, counter), sum) in keys.iter().zip(&counters).zip(sums) {
            self.note(*key, counter, |failed| failed.shared = sum);
        }
        Ok(())
    }

    /// Looks at the failures under a key. Where there are none, as its window is over or it was
    /// forgotten, it is tracked no longer.
    fn look<T>(&self, key: u128, at: impl FnOnce(&Failed) -> T) -> Option<T> {
        let now = self.0.directory.clock().unix_seconds();
        if let Some(known) = self.find(key)
            && let Some(failed) = &lock(&known).failed
            && failed.counter.ends() > now
        {
            return Some(at(failed));
        }
        let mut tracked = lock(&self.0.tracked);
        tracked.changed.remove(&key);
        tracked.over.remove(&key);
        None
    }

    /// Notes what the store said of a counter, unless another window has begun meanwhile, and
    /// tracks the key on where there is something left to tell or to ask.
    fn note(&self, key: u128, counter: &Counter, change: impl FnOnce(&mut Failed)) {
        let Some(shared) = self.find(key) else {
            return;
        };
        let mut tracked = lock(&self.0.tracked);
        // Locked throughout, so that a failure that comes in between is not taken for told.
        let mut known = lock(&shared);
        let Some(failed) = known.failed.as_mut().filter(|it| it.counter == *counter) else {
            return;
        };
        change(failed);
        if failed.pending == 0 {
            tracked.changed.remove(&key);
        }
        if failed.is_over() {
            self.hold(&mut tracked.over, key, &shared);
        } else {
            tracked.over.remove(&key);
        }
    }
}
