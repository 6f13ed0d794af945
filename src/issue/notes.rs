//! Attempts to log in, in memory until they are written down.
//!
//! Noting one takes no longer for an account that there is than for one that there is not, and asks
//! the store of neither: whose logins fail by the thousand costs it one write an account and second.
//! Where too much waits, what is oldest is forgotten.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::directory::attempts::{Attempt, MAX_ATTEMPTS};

/// Of how many accounts attempts wait.
const MAX_ACCOUNTS: usize = 1000;

/// An account, which there may not be.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Whose {
    /// Its platform's name.
    pub(super) platform: Arc<str>,
    /// Its id.
    pub(super) account: String,
}

/// What waits to be written.
#[derive(Default)]
pub(super) struct Notes(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Of each account the oldest first, [`MAX_ATTEMPTS`] at most: it remembers no more.
    attempts: HashMap<Whose, VecDeque<Attempt>>,
    /// The same accounts, whose turn is next first.
    turns: VecDeque<Whose>,
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notes(..)")
    }
}

impl Notes {
    /// Keeps an attempt. Gives how many others are forgotten for it.
    #[must_use]
    pub(super) fn add(&self, whose: Whose, attempt: Attempt) -> usize {
        self.lock().add(whose, [attempt])
    }

    /// Takes all attempts of the account whose turn it is, the oldest first.
    pub(super) fn take(&self) -> Option<(Whose, Vec<Attempt>)> {
        let mut waiting = self.lock();
        let whose = waiting.turns.pop_front()?;
        let attempts = waiting.attempts.remove(&whose).unwrap_or_default();
        Some((whose, attempts.into()))
    }

    /// Puts back what was taken and could not be written, before what came since; the account's turn
    /// comes last. Gives how many are forgotten for it.
    #[must_use]
    pub(super) fn put_back(&self, whose: Whose, attempts: Vec<Attempt>) -> usize {
        let mut waiting = self.lock();
        let since = waiting.attempts.get_mut(&whose).map(std::mem::take);
        waiting.add(whose, attempts.into_iter().chain(since.unwrap_or_default()))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn add(&mut self, whose: Whose, attempts: impl IntoIterator<Item = Attempt>) -> usize {
        let mut forgotten = 0;
        let kept = match self.attempts.entry(whose) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(new) => {
                self.turns.push_back(new.key().clone());
                new.insert(VecDeque::new())
            }
        };
        kept.extend(attempts);
        while kept.len() > MAX_ATTEMPTS {
            kept.pop_front();
            forgotten += 1;
        }
        while self.turns.len() > MAX_ACCOUNTS {
            let oldest = self.turns.pop_front();
            let oldest = oldest.and_then(|it| self.attempts.remove(&it));
            forgotten += oldest.map_or(0, |it| it.len());
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(account: usize) -> Whose {
        Whose {
            platform: "p".into(),
            account: account.to_string(),
        }
    }

    fn attempt(id: usize) -> Attempt {
        Attempt {
            id: id.to_string(),
            timestamp: 0,
            login: crate::directory::attempts::Login::default(),
        }
    }

    fn taken(notes: &Notes) -> Option<(String, Vec<String>)> {
        let (whose, attempts) = notes.take()?;
        let ids = attempts.into_iter().map(|it| it.id).collect();
        Some((whose.account, ids))
    }

    fn ids(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|it| it.to_string()).collect()
    }

    #[test]
    fn accounts_take_turns_each_with_all_of_its_attempts() {
        let notes = Notes::default();
        for (account, id) in [(7, 0), (8, 1), (7, 2)] {
            assert_eq!(notes.add(whose(account), attempt(id)), 0);
        }
        assert_eq!(
            taken(&notes),
            Some(("7".into(), vec!["0".into(), "2".into()]))
        );
        assert_eq!(notes.add(whose(7), attempt(3)), 0);
        assert_eq!(taken(&notes), Some(("8".into(), vec!["1".into()])));
        assert_eq!(taken(&notes), Some(("7".into(), vec!["3".into()])));
        assert_eq!(taken(&notes), None);
        assert_eq!(format!("{notes:?}"), "Notes(..)");
    }

    #[test]
    fn of_an_account_the_latest_hundred_wait_and_of_accounts_the_latest_thousand() {
        let notes = Notes::default();
        let forgotten = (0..MAX_ATTEMPTS + 5).map(|it| notes.add(whose(0), attempt(it)));
        assert_eq!(forgotten.sum::<usize>(), 5);
        let forgotten = (1..MAX_ACCOUNTS).map(|it| notes.add(whose(it), attempt(it)));
        assert_eq!(forgotten.sum::<usize>(), 0);
        assert_eq!(notes.add(whose(MAX_ACCOUNTS), attempt(1)), MAX_ATTEMPTS);
        assert_eq!(notes.add(whose(0), attempt(9)), 1, "the next oldest");
        let accounts: Vec<_> = std::iter::from_fn(|| taken(&notes)).collect();
        assert_eq!(accounts.len(), MAX_ACCOUNTS);
        assert_eq!(accounts[0].0, "2");
        assert_eq!(accounts.last(), Some(&("0".into(), vec!["9".into()])));
    }

    #[test]
    fn what_is_put_back_stands_before_what_came_since_and_waits_longest() {
        let notes = Notes::default();
        for id in 0..MAX_ATTEMPTS {
            assert_eq!(notes.add(whose(0), attempt(id)), 0);
        }
        let (back, attempts) = notes.take().unwrap();
        assert_eq!(notes.add(whose(1), attempt(0)), 0);
        assert_eq!(notes.add(whose(0), attempt(MAX_ATTEMPTS)), 0);
        assert_eq!(notes.put_back(back, attempts), 1, "no more than fit");
        assert_eq!(taken(&notes), Some(("1".into(), ids(0..1))));
        assert_eq!(taken(&notes), Some(("0".into(), ids(1..MAX_ATTEMPTS + 1))));

        let (back, attempts) = (whose(2), vec![attempt(2)]);
        assert_eq!(notes.add(whose(1), attempt(1)), 0);
        assert_eq!(notes.put_back(back, attempts), 0);
        assert_eq!(taken(&notes), Some(("1".into(), ids(1..2))));
        assert_eq!(taken(&notes), Some(("2".into(), ids(2..3))));
        assert_eq!(taken(&notes), None);
    }
}
