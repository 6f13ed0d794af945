//! A verification under way, and all who wait for what it comes to.
//!
//! Most have one who waits, who comes once and is woken once: a channel that many may read again and again costs several
//! times as much.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::cache::Landing;

/// Where all who wait for one flight meet.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight(Arc<Mutex<Stage>>);

#[derive(Debug)]
enum Stage {
    /// Under way, and these are to be woken.
    Flying(Vec<Waker>),
    Landed(Landing),
    /// It ended without coming to anything.
    Aborted,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Flying(Vec::new())
    }
}

/// Whoever flies it; dropped before it has landed, it is aborted.
#[derive(Debug)]
pub(super) struct Pilot(Flight);

impl Flight {
    /// Begins one that nobody waits for yet.
    pub(super) fn begin() -> (Self, Pilot) {
        let flight = Self::default();
        (flight.clone(), Pilot(flight))
    }

    /// Waits for what it comes to; `None` where that is nothing.
    pub(super) async fn landing(&self) -> Option<Landing> {
        let mut seat = Seat {
            flight: self,
            at: None,
        };
        poll_fn(|context| seat.poll(context)).await
    }

    /// Tells whether it came to nothing.
    pub(super) fn is_aborted(&self) -> bool {
        matches!(*self.stage(), Stage::Aborted)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, stage: Stage) {
        let before = mem::replace(&mut *self.stage(), stage);
        if let Stage::Flying(waiting) = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// Somebody who waits. Many may wait for one flight, each for a part of its time only: nobody looks at the others', and who
/// gives up is held on to by nothing.
struct Seat<'f> {
    flight: &'f Flight,
    /// Which of those to be woken this is.
    at: Option<usize>,
}

impl Seat<'_> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<Landing>> {
        match &mut *self.flight.stage() {
            Stage::Landed(landing) => Poll::Ready(Some(landing.clone())),
            Stage::Aborted => Poll::Ready(None),
            Stage::Flying(waiting) => {
                match self.at.and_then(|it| waiting.get_mut(it)) {
                    Some(own) => own.clone_from(context.waker()),
                    None => {
                        self.at = Some(waiting.len());
                        waiting.push(context.waker().clone());
                    }
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let Some(at) = self.at else { return };
        if let Stage::Flying(waiting) = &mut *self.flight.stage()
            && let Some(own) = waiting.get_mut(at)
        {
            own.clone_from(Waker::noop());
        }
    }
}

impl Pilot {
    /// Tells whether nobody waits any more, nor can come to wait, once it is off the board.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0.0) == 1
    }

    /// Tells all who wait what it came to.
    pub(super) fn land(self, landing: Landing) {
        self.0.end(Stage::Landed(landing));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        if matches!(*self.0.stage(), Stage::Flying(_)) {
            self.0.end(Stage::Aborted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use futures_util::future::join_all;

    use super::*;
    use crate::decision::{Dependency, Fault};

    fn landing() -> Landing {
        Err(Fault::new(Dependency::Internal, "landed"))
    }

    #[tokio::test]
    async fn all_who_wait_are_told_and_who_comes_later_too() {
        let (flight, pilot) = Flight::begin();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let flight = flight.clone();
                tokio::spawn(async move { flight.landing().await.is_some() })
            })
            .collect();
        // So that they wait by then.
        tokio::task::yield_now().await;
        pilot.land(landing());
        for told in join_all(waiting).await {
            assert!(told.expect("a task that ends"));
        }
        assert!(flight.landing().await.is_some());
    }

    #[tokio::test]
    async fn one_that_comes_to_nothing_leaves_nobody_waiting() {
        let (flight, pilot) = Flight::begin();
        let there = flight.clone();
        let waiting = tokio::spawn(async move { there.landing().await.is_none() });
        tokio::task::yield_now().await;
        drop(pilot);
        assert!(waiting.await.expect("a task that ends"));
        assert!(flight.landing().await.is_none());
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn whoever_asks_again_and_again_is_woken_once() {
        let (flight, pilot) = Flight::begin();
        let mut waiting = pin!(flight.landing());
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        for _ in 0..3 {
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        }
        assert!(!pilot.is_alone());
        pilot.land(landing());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn whoever_gives_up_is_neither_held_on_to_nor_woken() {
        let (flight, pilot) = Flight::begin();
        let woken = Arc::<Woken>::default();
        let poll = |landing: Pin<&mut dyn Future<Output = Option<Landing>>>, of: &Arc<Woken>| {
            let waker = Waker::from(Arc::clone(of));
            landing.poll(&mut Context::from_waker(&waker)).is_pending()
        };
        let mut stays = pin!(flight.landing());
        assert!(poll(stays.as_mut(), &woken));
        let gone = Arc::<Woken>::default();
        for _ in 0..3 {
            assert!(poll(pin!(flight.landing()), &gone));
        }
        assert_eq!(Arc::strong_count(&gone), 1);
        pilot.land(landing());
        let count = |of: &Arc<Woken>| of.0.load(Ordering::SeqCst);
        assert_eq!((count(&woken), count(&gone)), (1, 0));
    }
}
