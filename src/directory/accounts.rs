//! Accounts that were read lately: many credentials act for one, and none of them need wait for it again.
//!
//! Only where the credential cannot be guessed: it would show in time that there is whom another names.
//!
//! One counts only while every change is told of and none of it was, as an outcome does; and whoever stands on it
//! notes when it was read, so that nothing counts longer for it.

use std::sync::Arc;

use moka::sync::Cache as Moka;

use crate::directory::Directory;
use crate::directory::generations::Notes;
use crate::directory::records::Account;

/// How many are remembered. Each takes a few hundred bytes.
const MAX_REMEMBERED: u64 = 10_000;

/// For how long, in milliseconds: no word of a change is to be missed for longer, whatever goes wrong.
const REMEMBERED: u64 = 60_000;

/// Those of all platforms, by the key of the record.
#[derive(Debug)]
pub(super) struct Accounts(Moka<String, Arc<Read>>);

/// An account as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) account: Account,
    pub(super) notes: Notes,
}

impl Default for Accounts {
    fn default() -> Self {
        Self(Moka::new(MAX_REMEMBERED))
    }
}

impl Accounts {
    /// Gives an account that still is as it was read.
    pub(super) fn get(&self, directory: &Directory, key: &str) -> Option<Arc<Read>> {
        let now = directory.clock().unix_milliseconds();
        let read = self.0.get(key)?;
        let age = now.checked_sub(read.notes.begun())?;
        let counts = age < REMEMBERED
            && directory.lease().holds(now)
            && directory.generations().is_current(&read.notes);
        counts.then_some(read)
    }

    /// Remembers one that was read after these notes of it were taken.
    pub(super) fn keep(&self, key: String, account: &Account, notes: Notes) {
        let account = account.clone();
        self.0.insert(key, Arc::new(Read { account, notes }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::directory::bench::{Bench, START};
    use crate::directory::reads::Reads;
    use crate::store::lease::Lease;
    use crate::store::recorded::Recorded;
    use crate::store::{Change, PutIf};

    fn account(id: &str) -> Account {
        Account {
            id: id.to_owned(),
            ..Account::default()
        }
    }

    /// A directory with an account, and what is read there.
    async fn directory() -> (Bench, Directory, Arc<Recorded>) {
        let bench = Bench::new();
        let directory = &bench.directory;
        directory.put_account("p", &account("a")).await.unwrap();
        let recorded = Arc::new(Recorded::new(directory.shared_store()));
        let directory = directory.over(Arc::clone(&recorded) as _);
        (bench, directory, recorded)
    }

    async fn change(bench: &Bench) {
        let shut = serde_json::to_vec(&Account {
            disabled: true,
            ..account("a")
        });
        let (store, shut) = (bench.directory.store(), shut.unwrap());
        let put = store.put("pc:a:p:a", &shut, PutIf::Always, None).await;
        assert!(put.unwrap());
    }

    /// Tells whether the store was asked for the account.
    async fn asks(directory: &Directory, recorded: &Recorded) -> bool {
        let reads = Reads::begin(directory, "p").knowing_accounts(true);
        assert!(reads.account("a").await.unwrap().is_some());
        !recorded.take().is_empty()
    }

    #[tokio::test]
    async fn an_account_is_asked_for_again_once_it_changes_or_a_minute_has_passed() {
        let (bench, directory, recorded) = directory().await;
        assert!(asks(&directory, &recorded).await);
        assert!(!asks(&directory, &recorded).await);
        bench
            .directory
            .put_account("p", &account("b"))
            .await
            .unwrap();
        assert!(!asks(&directory, &recorded).await, "another changed");
        change(&bench).await;
        assert!(asks(&directory, &recorded).await, "it changed");
        directory.generations().raise(Change::Everything);
        assert!(asks(&directory, &recorded).await, "nobody told of all");
        bench.pass(Duration::from_secs(59));
        assert!(!asks(&directory, &recorded).await);
        bench.pass(Duration::from_secs(1));
        assert!(asks(&directory, &recorded).await, "after a minute");
    }

    #[tokio::test]
    async fn where_no_change_would_be_told_of_nothing_is_remembered() {
        let (_bench, directory, recorded) = directory().await;
        assert!(asks(&directory, &recorded).await);
        let untold = directory.with_lease(Lease::ended("for a test"));
        assert!(asks(&untold, &recorded).await);
        assert!(asks(&untold, &recorded).await);
        assert!(!asks(&directory, &recorded).await);
    }

    #[tokio::test]
    async fn an_account_that_is_not_there_is_asked_for_each_time() {
        let (_bench, directory, recorded) = directory().await;
        for _ in 0..2 {
            let reads = Reads::begin(&directory, "p").knowing_accounts(true);
            assert_eq!(reads.account("absent").await.unwrap(), None);
            assert!(!recorded.take().is_empty());
        }
    }

    #[tokio::test]
    async fn what_stands_on_a_remembered_account_is_as_old_as_that_and_ends_with_it() {
        let (bench, directory, recorded) = directory().await;
        asks(&directory, &recorded).await;
        bench.pass(Duration::from_secs(30));
        let reads = Reads::begin(&directory, "p").knowing_accounts(true);
        reads.account("a").await.unwrap();
        assert!(recorded.take().is_empty());
        let notes = reads.finish();
        assert_eq!(notes.begun(), START * 1000);
        assert!(directory.generations().is_current(&notes));
        change(&bench).await;
        assert!(!directory.generations().is_current(&notes));
    }
}
