//! That many who want the same to be asked at once have it asked once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use super::view::Place;

/// Whose turn it is to ask.
#[derive(Default)]
pub(super) struct Turns {
    turn: AsyncMutex<()>,
    /// How often each was asked since the start.
    begun: Mutex<BTreeMap<Place, u64>>,
}

impl Turns {
    /// Has a server asked, one at a time, unless it was asked from when this was called on: then the answer is as good.
    pub(super) async fn take(&self, from: &Place, ask: impl Future<Output = ()>) {
        let before = self.begun(from, 0);
        let _turn = self.turn.lock().await;
        if self.begun(from, 0) == before {
            self.begun(from, 1);
            ask.await;
        }
    }

    fn begun(&self, from: &Place, more: u64) -> u64 {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let count = begun.entry(from.clone()).or_default();
        *count += more;
        *count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn however_many_want_it_while_it_is_asked_a_server_is_asked_once_more() {
        let place = |port| Place {
            host: "one".to_owned(),
            port,
        };
        let (one, other) = (place(1), place(2));
        let (turns, asked) = (Turns::default(), AtomicUsize::new(0));
        let ask = async || {
            asked.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        };
        let many = async || {
            join_all((0..100).map(|_| turns.take(&one, ask()))).await;
            asked.swap(0, Ordering::Relaxed)
        };
        // Who comes while it is asked may know of something later.
        assert_eq!(many().await, 2);
        assert_eq!(many().await, 2);
        tokio::join!(turns.take(&one, ask()), turns.take(&other, ask()));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
