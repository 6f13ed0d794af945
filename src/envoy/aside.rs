//! Where a Check waits that cannot be answered at once: not on the thread of its connection, where
//! others' Checks are.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

/// The runtime with many threads, where stores, issuers and password hashes are waited for.
#[derive(Clone, Debug)]
pub(super) struct Aside(Handle);

impl Aside {
    /// Takes the runtime that this is called on.
    ///
    /// # Panics
    /// Outside of one.
    #[must_use]
    pub(super) fn here() -> Self {
        Self(Handle::current())
    }

    /// Works here as far as it goes without waiting, and there from then on. It ends where what is given
    /// is dropped.
    ///
    /// # Errors
    /// Where the work panicked while it waited.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        mut work: Pin<Box<impl Future<Output = T> + Send + 'static>>,
    ) -> Result<T, JoinError> {
        let at_once = poll_fn(|context| {
            // What is begun here, a task or a timer, is to outlive the connection.
            let _there = self.0.enter();
            Poll::Ready(work.as_mut().poll(context))
        });
        if let Poll::Ready(done) = at_once.await {
            return Ok(done);
        }
        let mut waiting = JoinSet::new();
        waiting.spawn_on(work, &self.0);
        match waiting.join_next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;
    use tokio::task;

    use super::*;

    fn runtime() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads")
    }

    fn here() -> ThreadId {
        thread::current().id()
    }

    #[test]
    fn what_waits_for_nothing_stays_and_what_waits_goes_on_elsewhere() {
        let (connections, others) = (runtime(), runtime());
        let aside = Aside(others.handle().clone());
        connections.block_on(async {
            assert_eq!(
                aside.run(Box::pin(async { here() })).await.expect("done"),
                here()
            );
            let waits = async {
                let begun = here();
                task::yield_now().await;
                (begun, here())
            };
            let (begun, ended) = aside.run(Box::pin(waits)).await.expect("done");
            assert_eq!(begun, here());
            assert_ne!(ended, here());
            assert_eq!(ended, others.spawn(async { here() }).await.expect("done"));
        });
    }

    #[test]
    fn what_is_begun_before_it_waits_is_begun_elsewhere() {
        let (connections, others) = (runtime(), runtime());
        let aside = Aside(others.handle().clone());
        let begun = async { Handle::current().id() };
        let id = connections
            .block_on(aside.run(Box::pin(begun)))
            .expect("done");
        assert_eq!(id, others.handle().id());
    }

    #[test]
    fn nobody_waits_on_for_who_is_gone() {
        let others = runtime();
        let aside = Aside(others.handle().clone());
        let (held, dropped) = oneshot::channel::<()>();
        let never = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        others.block_on(async {
            let mut waiting = Box::pin(aside.run(Box::pin(never)));
            poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await;
            drop(waiting);
            dropped.await.expect_err("that it was dropped");
        });
    }

    #[test]
    fn a_panic_elsewhere_is_told() {
        let others = runtime();
        let aside = Aside(others.handle().clone());
        let work = async {
            task::yield_now().await;
            panic!("on purpose");
        };
        let done: Result<(), _> = others.block_on(aside.run(Box::pin(work)));
        assert!(done.is_err_and(|it| it.is_panic()));
    }
}
