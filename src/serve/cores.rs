//! One thread for each core, where connections live and what is known already is decided.
//!
//! A runtime of one thread wakes nobody to pass on what it has read, and writes the answers of a
//! connection together. What must wait for something waits on the runtime with many threads that made
//! these (`envoy::aside`), so that no connection waits for another's password or store.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The cores; dropping them ends what lives there.
#[derive(Debug)]
pub struct Cores(Vec<Core>);

/// A core: a runtime on a thread of its own.
#[derive(Debug)]
pub struct Core {
    runtime: Handle,
    /// Held by each connection that lives there, too.
    load: Arc<()>,
    _end: oneshot::Sender<()>,
}

impl Cores {
    /// Starts as many as this process may use, by its affinity and the quota of its cgroup.
    ///
    /// # Errors
    /// What the system says where it gives no thread.
    pub fn start() -> io::Result<Self> {
        Self::of(thread::available_parallelism().map_or(1, usize::from))
    }

    /// Starts so many. Where there are none, connections live where they are accepted.
    ///
    /// # Errors
    /// What the system says where it gives no thread.
    pub fn of(count: usize) -> io::Result<Self> {
        let cores = (0..count).map(Core::start);
        cores.collect::<io::Result<_>>().map(Self)
    }

    /// Gives the one that has the fewest connections. An Envoy has one connection for each of its workers, and one
    /// that comes anew is to take the place of the one that went.
    #[must_use]
    pub fn idlest(&self) -> Option<&Core> {
        self.0.iter().min_by_key(|it| it.connections())
    }
}

impl Core {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name(format!("check-{number}"))
            .spawn(move || {
                // All who could say something are gone: that is the end.
                let _ = runtime.block_on(ended);
            })?;
        Ok(Self {
            runtime: handle,
            load: Arc::default(),
            _end: end,
        })
    }

    /// Where its connections live.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Gives what a connection holds for as long as it lives there.
    #[must_use]
    pub fn load(&self) -> Arc<()> {
        Arc::clone(&self.load)
    }

    fn connections(&self) -> usize {
        Arc::strong_count(&self.load) - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn each_core_is_a_thread_that_ends_with_the_last_who_holds_it() {
        let cores = Cores::of(3).expect("threads");
        let mut threads = Vec::new();
        let mut ends = Vec::new();
        for core in &cores.0 {
            let here = core.runtime().spawn(async { thread::current().id() });
            threads.push(here.await.expect("done"));
            ends.push(core.runtime().spawn(std::future::pending::<()>()));
        }
        let own = thread::current().id();
        threads.push(own);
        let different: HashSet<_> = threads.into_iter().collect();
        assert_eq!(different.len(), 4);
        drop(cores);
        for end in ends {
            let over = end.await.expect_err("no task outlives its core");
            assert!(over.is_cancelled());
        }
    }

    #[test]
    fn each_connection_goes_to_the_core_that_has_the_fewest() {
        let cores = Cores::of(2).expect("threads");
        let mut held = [Vec::new(), Vec::new()];
        let connect = |held: &mut [Vec<Arc<()>>; 2]| {
            let core = cores.idlest().expect("a core");
            let which = usize::from(std::ptr::eq(core, &raw const cores.0[1]));
            held[which].push(core.load());
            [held[0].len(), held[1].len()]
        };
        for want in [[1, 0], [1, 1], [2, 1], [2, 2]] {
            assert_eq!(connect(&mut held), want);
        }
        held[1].clear();
        for want in [[2, 1], [2, 2], [3, 2]] {
            assert_eq!(connect(&mut held), want);
        }
        assert!(Cores::of(0).expect("no threads").idlest().is_none());
    }
}
