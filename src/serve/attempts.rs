//! What goes on while the service runs: attempts are counted together with others and written down, and metrics are
//! looked at.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::current::Current;
use crate::issue::core::Core;
use crate::telemetry::Metrics;
use crate::throttle::Throttle;

/// How often attempts to log in are written down.
const NOTES_TICK: Duration = Duration::from_secs(1);

/// How often metrics are looked at.
const LOOK_TICK: Duration = Duration::from_secs(1);

/// Looks at metrics each second until the service stops.
pub(super) async fn look(metrics: Arc<Metrics>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(LOOK_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let now = Instant::now();
                metrics.look(now - std::mem::replace(&mut last, now));
            }
            _ = stopped.wait_for(|it| *it) => return,
        }
    }
}

/// Counts failed attempts together with other processes until the service stops, to the last.
pub(super) async fn count_attempts(throttle: Throttle, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = throttle.clone().run() => {}
        _ = stopped.wait_for(|it| *it) => {}
    }
    throttle.sync().await;
}

/// Writes attempts to log in each second until the service stops, then all that wait.
pub(super) async fn write_attempts(issuing: Current<Core>, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(NOTES_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Between writes only: what was taken is written.
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.wait_for(|it| *it) => break,
        }
        let issuing = Core::clone(&issuing.get());
        issuing.write_attempts().await;
    }
    let issuing = Core::clone(&issuing.get());
    while issuing.write_attempts().await {}
}

/// Writes what is left to be written of failed attempts and of uses of keys, for whoever stops.
pub(super) async fn write_last(issuing: &Core) {
    while issuing.write_attempts().await {}
    issuing.directory().write_uses().await;
}
