//! Turns of those who read much from the store, so that verdicts, which wait on the same connection,
//! do not wait for long.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::decision::Denial;

/// How many have a turn at once.
const AT_ONCE: usize = 2;

/// How many of one account may have one or wait: it does not fill the queue for all others.
const OF_ACCOUNT: usize = 4;

/// How long one waits: less than a request may take, so that it is told to come again.
const PATIENCE: Duration = Duration::from_secs(2);

/// When one that is sent away may come again.
const AGAIN: Duration = Duration::from_secs(1);

/// A platform and an account of it.
type Whose = (String, String);

/// Who has a turn, and who waits for one, first come, first served.
#[derive(Debug)]
pub(super) struct Turns {
    places: Semaphore,
    /// How many of an account have a turn or wait; none is left out.
    under_way: Mutex<HashMap<Whose, usize>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            under_way: Mutex::default(),
        }
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    _place: SemaphorePermit<'t>,
    _waiter: Waiter<'t>,
}

/// One of an account's, until it is dropped.
#[derive(Debug)]
struct Waiter<'t> {
    turns: &'t Turns,
    whose: Whose,
}

impl Turns {
    /// Waits for a turn for an account, 2 seconds at most.
    ///
    /// # Errors
    /// A denial (429) where it does not come in time, or 4 of the account are there already.
    pub(super) async fn take(&self, platform: &str, account: &str) -> Result<Turn<'_>, Denial> {
        let busy = || Denial::throttled(AGAIN);
        let waiter = self.enter(platform, account).ok_or_else(busy)?;
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        Ok(Turn {
            // It is never closed.
            _place: place.ok().and_then(Result::ok).ok_or_else(busy)?,
            _waiter: waiter,
        })
    }

    fn enter(&self, platform: &str, account: &str) -> Option<Waiter<'_>> {
        let whose = (platform.to_owned(), account.to_owned());
        let mut under_way = self.under_way();
        let count = under_way.entry(whose.clone()).or_default();
        if *count >= OF_ACCOUNT {
            return None;
        }
        *count += 1;
        Some(Waiter { turns: self, whose })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let whose = std::mem::take(&mut self.whose);
        if let Entry::Occupied(mut count) = self.turns.under_way().entry(whose) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::decision::Reason;

    #[tokio::test]
    async fn so_many_have_a_turn_at_once_and_others_wait_for_one_to_end() {
        tokio::time::pause();
        let turns = Turns::default();
        let first = turns.take("p", "a").await.unwrap();
        let second = turns.take("p", "b").await.unwrap();
        let mut third = pin!(turns.take("p", "c"));
        let waits = tokio::time::timeout(PATIENCE / 2, third.as_mut()).await;
        assert!(waits.is_err(), "a third has a turn");
        drop(first);
        let third = third.await.unwrap();
        // Nobody waits for ever.
        let late = turns.take("p", "d").await.unwrap_err();
        assert_eq!(late.reason(), Reason::Throttled);
        assert_eq!(late.retry_after(), Some(AGAIN));
        drop((second, third));
        assert!(turns.under_way().is_empty(), "{turns:?}");
        turns.take("p", "d").await.unwrap();
    }

    #[tokio::test]
    async fn one_account_leaves_room_in_the_queue_for_others() {
        tokio::time::pause();
        let turns = Turns::default();
        let entered: Vec<_> = (0..OF_ACCOUNT).map(|_| turns.enter("p", "a")).collect();
        assert!(entered.iter().all(Option::is_some));
        assert_eq!(
            turns.take("p", "a").await.unwrap_err().reason(),
            Reason::Throttled
        );
        for (platform, account) in [("p", "b"), ("q", "a")] {
            turns.take(platform, account).await.unwrap();
        }
        drop(entered);
        turns.take("p", "a").await.unwrap();
    }
}
