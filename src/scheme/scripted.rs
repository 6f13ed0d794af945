//! A scheme for tests: it vouches for what it is told to, and counts how often it was asked.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::credential::{Credential, Place};
use crate::decision::{Denial, Failure};
use crate::directory::reads::Reads;
use crate::identity::Identity;
use crate::request::RequestView;
use crate::scheme::{Scheme, Verified};

/// What it says, after it has read the account `a1`.
#[derive(Debug)]
pub(crate) struct Scripted {
    /// The next verdicts; the last one is repeated.
    pub(crate) verdicts: Mutex<Vec<Result<Identity, Failure>>>,
    /// How often it was asked.
    pub(crate) asked: AtomicUsize,
    /// A verification takes one permit after it has read.
    pub(crate) gate: Semaphore,
    /// How long what it says may be kept.
    pub(crate) kept_at_most: Option<Duration>,
}

impl Scripted {
    pub(crate) fn saying(verdicts: Vec<Result<Identity, Failure>>) -> Self {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Self {
            verdicts: Mutex::new(verdicts),
            asked: AtomicUsize::new(0),
            gate,
            kept_at_most: None,
        }
    }

    /// Lets no verification end until the test adds permits.
    pub(crate) fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Scheme for Scripted {
    fn places(&self) -> &[Place] {
        &[]
    }

    fn decode(&self, _: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        Ok(None)
    }

    fn verify<'a>(
        &'a self,
        _: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            reads.account("a1").await?;
            self.gate.acquire().await.expect("never closed").forget();
            let mut verdicts = self
                .verdicts
                .lock()
                .expect("no test panics while holding it");
            let verdict = if verdicts.len() > 1 {
                verdicts.remove(0)
            } else {
                verdicts[0].clone()
            };
            verdict.map(Verified::vouch)
        })
    }

    fn is_unguessable(&self) -> bool {
        true
    }

    fn kept_at_most(&self) -> Option<Duration> {
        self.kept_at_most
    }
}
