//! Where the work of a Check is done that cannot be answered at once: not on the thread of its connection,
//! where others' Checks are.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use tokio::runtime::Handle;

/// The runtime with many threads, where what a Check waits for is done.
#[derive(Clone, Debug)]
pub(super) struct Aside(Handle);

/// The work panicked.
#[derive(Debug)]
pub(super) struct BrokeOff;

impl Aside {
    /// Takes the runtime that this is called on.
    ///
    /// # Panics
    /// Outside of one.
    #[must_use]
    pub(super) fn here() -> Self {
        Self(Handle::current())
    }

    /// Waits here for the work, whose tasks and timers are begun there. It ends where what is given is dropped. It is
    /// taken where it is pinned, since one that is taken by value takes its room twice.
    ///
    /// # Errors
    /// Where the work panicked: else the connection would end, and Envoy's failure mode decide.
    pub(super) async fn run<T>(
        &self,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, BrokeOff> {
        poll_fn(|context| {
            let _there = self.0.enter();
            // Nothing of it is looked at after a panic.
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(polled) => polled.map(Ok),
                Err(_) => Err(BrokeOff).into(),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;
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
    fn who_waits_stays_and_what_is_waited_for_is_done_elsewhere() {
        let (connections, others) = (runtime(), runtime());
        let aside = Aside(others.handle().clone());
        connections.block_on(async {
            let work = async {
                let done = task::spawn(async { here() }).await;
                task::yield_now().await;
                (done.expect("done"), here(), Handle::current().id())
            };
            let (done, waited, id) = aside.run(pin!(work)).await.expect("done");
            assert_eq!(waited, here());
            assert_eq!(done, others.spawn(async { here() }).await.expect("done"));
            assert_eq!(id, others.handle().id());
        });
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
            let mut waiting = Box::pin(async { aside.run(pin!(never)).await });
            poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await;
            drop(waiting);
            dropped.await.expect_err("that it was dropped");
        });
    }

    #[tokio::test]
    async fn a_panic_is_told_whether_it_comes_at_once_or_later() {
        let aside = Aside::here();
        for times in [0, 1] {
            let work = async {
                for _ in 0..times {
                    task::yield_now().await;
                }
                panic!("on purpose");
            };
            let done: Result<(), _> = aside.run(pin!(work)).await;
            assert!(done.is_err(), "{times}");
        }
    }
}
