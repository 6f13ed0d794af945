//! The breaker as a link has it: by the clock, and with what it decides in the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::breaker::{Breaker, Pass, Turn};
use super::login::Login;

/// The breaker of a link, shared with the task that connects.
#[derive(Clone)]
pub(super) struct Guard(Arc<Mutex<Breaker>>);

impl Guard {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Breaker::new(Instant::now()))))
    }

    /// As [`Breaker::admit`], now.
    pub(super) fn admit(&self) -> Option<Pass> {
        self.breaker().admit(Instant::now())
    }

    /// As [`Breaker::hurry`].
    pub(super) fn hurry(&self) {
        self.breaker().hurry(Instant::now());
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Breaker::note`].
    pub(super) fn note(&self, login: &Login, pass: Pass, askers: u32, is_answered: bool) {
        let turn = self
            .breaker()
            .note(pass, askers, is_answered, Instant::now());
        tell(login, turn);
    }

    /// As [`Breaker::close`].
    pub(super) fn close(&self, login: &Login) {
        let turn = self.breaker().close(Instant::now());
        tell(login, turn);
    }
}

fn tell(login: &Login, turn: Option<Turn>) {
    match turn {
        Some(Turn::Opened) => tracing::error!(
            address = login.address(),
            "the store does not answer; until it does, what is asked of it fails at once"
        ),
        Some(Turn::Closed) => {
            tracing::info!(address = login.address(), "the store answers again");
        }
        None => {}
    }
}
