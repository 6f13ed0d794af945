//! Accounts that were read lately: many credentials act for one, and none of them need wait for it again.
//!
//! Only where the credential cannot be guessed: it would show in time that there is whom another names.
//!
//! One counts only while every change is told of and none of it was: not in the grace that outcomes have after the last
//! word, since whoever was not let in before is not let in by what may have changed. Whoever stands on it notes when it
//! was read, so that nothing counts longer for it.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Moka;

use crate::directory::Directory;
use crate::directory::generations::Notes;
use crate::directory::records::Account;

/// How much memory they take together, about.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What one takes besides its record, and how much of it the record takes once it is read, for each of its bytes.
const OVERHEAD_BYTES: usize = 512;
const GROWTH: usize = 4;

/// For how long one is remembered at the longest, whoever asks: no word of a change is to be missed for longer, whatever
/// goes wrong.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(60);

/// Those of all platforms, by the key of the record.
#[derive(Debug)]
pub(super) struct Accounts(Moka<String, Arc<Read>>);

/// An account as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) account: Arc<Account>,
    pub(super) notes: Notes,
    /// The length of its record.
    bytes: usize,
}

impl Default for Accounts {
    fn default() -> Self {
        let accounts = Moka::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|key: &String, read: &Arc<Read>| {
                let bytes = OVERHEAD_BYTES + key.len() + GROWTH * read.bytes;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .time_to_live(REMEMBERED);
        Self(accounts.build())
    }
}

impl Accounts {
    /// Gives an account that still is as it was read, less than so many milliseconds ago.
    pub(super) fn get(&self, directory: &Directory, key: &str, within: u64) -> Option<Arc<Read>> {
        let now = directory.clock().unix_milliseconds();
        let read = self.0.get(key)?;
        let age = now.checked_sub(read.notes.begun())?;
        let counts = age < within
            && directory.lease().is_told(now)
            && directory.generations().is_current(&read.notes);
        counts.then_some(read)
    }

    /// Remembers one that was read after these notes of it were taken, from a record of so many bytes.
    pub(super) fn keep(&self, key: String, account: &Arc<Account>, notes: Notes, bytes: usize) {
        let read = Read {
            account: Arc::clone(account),
            notes,
            bytes,
        };
        self.0.insert(key, Arc::new(read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::{Bench, START};
    use crate::directory::generations::Generations;
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
        let reads = Reads::begin(directory, "p").knowing_accounts(Some(REMEMBERED));
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
    async fn while_no_word_comes_nothing_is_remembered_although_what_is_known_counts_on() {
        let (bench, directory, recorded) = directory().await;
        let lease = Lease::ended("for a test");
        let directory = directory.with_lease(lease.clone());
        lease.extend(u64::MAX);
        assert!(asks(&directory, &recorded).await);
        assert!(!asks(&directory, &recorded).await);
        lease.run_out("nothing is heard");
        assert!(lease.holds(bench.directory.clock().unix_milliseconds()));
        assert!(asks(&directory, &recorded).await);
    }

    #[test]
    fn however_large_records_are_what_is_remembered_is_bounded() {
        let accounts = Accounts::default();
        for number in 0..1000 {
            let key = format!("pc:a:p:{number}");
            let notes = Generations::default().begin(0);
            accounts.keep(key, &Arc::new(account("a")), notes, 64 * 1024);
        }
        accounts.0.run_pending_tasks();
        let (kept, bytes) = (accounts.0.entry_count(), accounts.0.weighted_size());
        assert!(
            (1..=64).contains(&kept) && bytes <= MAX_BYTES,
            "{kept} {bytes}"
        );
    }

    #[tokio::test]
    async fn an_account_that_is_not_there_is_asked_for_each_time() {
        let (_bench, directory, recorded) = directory().await;
        for _ in 0..2 {
            let reads = Reads::begin(&directory, "p").knowing_accounts(Some(REMEMBERED));
            assert_eq!(reads.account("absent").await.unwrap(), None);
            assert!(!recorded.take().is_empty());
        }
    }

    #[tokio::test]
    async fn what_stands_on_a_remembered_account_is_as_old_as_that_and_ends_with_it() {
        let (bench, directory, recorded) = directory().await;
        asks(&directory, &recorded).await;
        bench.pass(Duration::from_secs(30));
        let reads = Reads::begin(&directory, "p").knowing_accounts(Some(REMEMBERED));
        reads.account("a").await.unwrap();
        assert!(recorded.take().is_empty());
        let notes = reads.finish();
        assert_eq!(notes.begun(), START * 1000);
        assert!(directory.generations().is_current(&notes));
        change(&bench).await;
        assert!(!directory.generations().is_current(&notes));
    }
}
