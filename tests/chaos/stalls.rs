//! When the machine had no time for us: it runs other work as well, and whoever is not let run cannot be in time.
//!
//! The kernel tells of each thread how long it was ready to run and had no core (`/proc/PID/task/TID/schedstat`).

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::history::Stall;

const LOOK: Duration = Duration::from_millis(20);
/// What is shorter is within every bound.
const STALL: Duration = Duration::from_millis(20);

/// Whom to look at: ids of processes of the system, and which of ours each is; `None`: what all of ours need.
pub(crate) type Whom = Arc<Mutex<Vec<(u32, Option<usize>)>>>;

/// Looks on a thread of its own.
#[derive(Debug)]
pub(crate) struct Stalls {
    ends: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<Stall>>,
}

impl Stalls {
    pub(crate) fn look(begun: Instant, whom: Whom) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let (mut stalls, mut known) = (Vec::new(), HashMap::new());
            while !end.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                let all = whom.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for (id, process) in all {
                    stalls.extend(stall(&mut known, id).map(|(waited, looked)| {
                        let end = looked.saturating_duration_since(begun);
                        let begin = end.saturating_sub(waited + LOOK);
                        Stall {
                            process,
                            begin,
                            end,
                        }
                    }));
                }
            }
            stalls
        });
        Self { ends, thread }
    }

    /// Gives all that was found.
    pub(crate) fn end(self) -> Vec<Stall> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only looks")
    }
}

/// How long the thread of a process that waited longest has waited since the last look, where that counts.
fn stall(known: &mut HashMap<String, u64>, id: u32) -> Option<(Duration, Instant)> {
    // Threads and whole processes end at any time.
    let tasks = fs::read_dir(format!("/proc/{id}/task")).ok()?;
    let mut longest = 0;
    for task in tasks.flatten() {
        let path = task.path().join("schedstat");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let waited = text.split_whitespace().nth(1);
        let Some(waited) = waited.and_then(|it| it.parse::<u64>().ok()) else {
            continue;
        };
        let before = known.insert(path.display().to_string(), waited);
        longest = longest.max(waited.saturating_sub(before.unwrap_or(waited)));
    }
    let longest = Duration::from_nanos(longest);
    (longest > STALL).then(|| (longest, Instant::now()))
}
