//! A directory for tests, in memory, whose clock goes when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Clock;
use crate::credential::Fingerprinter;
use crate::directory::Directory;
use crate::directory::pepper::Peppers;
use crate::directory::reads::Reads;
use crate::proof::Prover;
use crate::store::Store;
use crate::store::embedded::Embedded;

/// When a bench begins, in Unix seconds.
pub(crate) const START: u64 = 1_700_000_000;

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) directory: Directory,
    store: Arc<dyn Store>,
    seconds: Arc<AtomicU64>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let seconds = Arc::new(AtomicU64::new(START));
        let shared = Arc::clone(&seconds);
        let now = move || UNIX_EPOCH + Duration::from_secs(shared.load(Ordering::SeqCst));
        let clock = Clock::from_fn(now);
        let store: Arc<dyn Store> = Arc::new(Embedded::memory(clock.clone()).unwrap());
        let prover = Prover::new(Fingerprinter::random().unwrap(), 1000, 1).unwrap();
        let peppers = Peppers::ephemeral().unwrap();
        let directory = Directory::new(Arc::clone(&store), peppers, prover, clock);
        Self {
            directory,
            store,
            seconds,
        }
    }

    /// Gives the same directory as another process has it, through a store that is made of this one's.
    pub(crate) fn through(&self, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Directory {
        let store = wrap(Arc::clone(&self.store));
        let prover = self.directory.prover().clone();
        let clock = self.directory.clock().clone();
        Directory::new(store, self.directory.peppers().clone(), prover, clock)
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn reads(&self, platform: &str) -> Reads {
        Reads::begin(&self.directory, platform)
    }
}
