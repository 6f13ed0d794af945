//! The check value: which peppers a store was written under.
//!
//! Without the pepper that something was written under it is not found, and whoever it belongs to
//! would be denied as unknown. So the store remembers its peppers by their ids, and a process that
//! lacks one of them refuses to start. One under which nothing stands any more is forgotten
//! ([`Directory::forget_old_peppers`]).
//!
//! It also tells a store that was emptied from one in which somebody is unknown. Nobody removes it, so
//! where it has been and is no more, what else is missing says nothing: not that a credential is
//! unknown, and not that a token was never revoked. So every verdict reads it along. In a cluster a part may be emptied and
//! the rest be there, so each share of it has a check value of its own, beside which what is missing is missing; they are
//! written before the one with the ids, so where that one is, all have been.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::join_all;
use thiserror::Error;

use crate::decision::{Dependency, Fault};
use crate::directory::{Directory, store_fault};
use crate::store::{PutIf, StoreError};

/// Where the ids stand, as a JSON list. With a share appended: where it is noted that the share was filled.
pub const KEY: &str = "pc:m:peppers";

/// How often a write that lost a race against another process is tried again.
const WRITE_ATTEMPTS: usize = 16;

/// How many shares are noted as filled at once.
const SHARES_AT_ONCE: usize = 128;

/// Why the peppers of the configuration are not taken.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The store does not answer.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store was written under other peppers.
    #[error(
        "the store was written under another pepper (id {written}) than those of \
         `store.pepper_files` (id {given}): credentials that stand under it would be unknown. List \
         it as well; to change peppers, list the new one first and the old one behind it, until \
         `portcullis store verify --repair` says that nothing stands under the old one"
    )]
    Wrong {
        /// The ids that the store knows and the configuration lacks.
        written: String,
        /// The ids of the configuration.
        given: String,
    },
}

impl Directory {
    /// Confirms that every pepper that the store was written under is in force, and notes the newest
    /// one in it. An empty store takes any. Who may write no records writes none under its peppers either, so
    /// nothing is noted then.
    ///
    /// # Errors
    /// Where it was written under others, does not answer, or is empty and this user may not begin it.
    pub async fn confirm_peppers(&self) -> Result<(), CheckError> {
        self.note_peppers(true).await
    }

    /// The same for a store that was used before: one that was emptied takes none, or all would be
    /// unknown in it.
    ///
    /// # Errors
    /// As there, and a fault where it was emptied.
    pub async fn confirm_further_peppers(&self) -> Result<(), CheckError> {
        self.note_peppers(false).await
    }

    /// Has a store without the check value taken for one that was emptied, by whoever asks for what
    /// must be there.
    pub fn expect_filled(&self) {
        self.0.was_filled.store(true, Ordering::Relaxed);
    }

    async fn note_peppers(&self, takes_emptied: bool) -> Result<(), CheckError> {
        let given = self.pepper_ids();
        for _ in 0..WRITE_ATTEMPTS {
            let (old, mut written) = self.written_under().await?;
            if !takes_emptied {
                self.heed_check_value(old.as_ref())?;
            }
            if given.first().is_some_and(|it| written.contains(it)) {
                self.0.was_filled.store(true, Ordering::Relaxed);
                return Ok(());
            }
            if old.is_none() {
                self.fill_shares().await.map_err(|it| self.unnoted(it))?;
            }
            written.extend(given.first().cloned());
            let value =
                serde_json::to_vec(&written).map_err(|_| internal("ids cannot be encoded"))?;
            let condition = old.as_deref().map_or(PutIf::Absent, PutIf::Equal);
            let is_noted = match self.store().put(KEY, &value, condition, None).await {
                Err(StoreError::Forbidden(_)) if old.is_some() => true,
                put => put.map_err(|it| self.unnoted(it))?,
            };
            if is_noted {
                self.0.was_filled.store(true, Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(internal("the store's check value is being changed by too many writers at once").into())
    }

    /// The same, for whoever has just written all that is to be there: whatever was emptied away before is there again.
    ///
    /// # Errors
    /// As [`Directory::confirm_peppers`].
    pub async fn confirm_filled(&self) -> Result<(), CheckError> {
        self.fill_shares().await.map_err(|it| self.unnoted(it))?;
        self.confirm_peppers().await
    }

    /// Notes every share of a cluster as filled.
    async fn fill_shares(&self) -> Result<(), StoreError> {
        let shares = self.store().shares();
        for some in shares.chunks(SHARES_AT_ONCE).filter(|_| shares.len() > 1) {
            let keys: Vec<_> = some.iter().map(|it| format!("{KEY}{it}")).collect();
            let found = self.store().get(&keys).await?;
            let absent = keys.iter().zip(found).filter(|(_, it)| it.is_none());
            let noted = absent.map(|(key, _)| self.store().put(key, b"1", PutIf::Absent, None));
            for put in join_all(noted).await {
                put?;
            }
        }
        Ok(())
    }

    /// What comes of it that a check value could not be written.
    fn unnoted(&self, error: StoreError) -> Fault {
        if !matches!(error, StoreError::Forbidden(_)) {
            return store_fault(error);
        }
        // Until somebody has begun it, nobody is unknown in it.
        self.expect_filled();
        unbegun(&error)
    }

    /// Tells whether every pepper that the store was written under is in force, without noting
    /// anything in it.
    ///
    /// # Errors
    /// Where it was written under others, or does not answer.
    pub async fn check_peppers(&self) -> Result<(), CheckError> {
        self.written_under().await.map(drop)
    }

    /// Takes note of the check value as it was read after other records.
    ///
    /// # Errors
    /// A fault where there was one before: what was not found beside it was emptied away.
    pub(super) fn heed_check_value(&self, value: Option<&Bytes>) -> Result<(), Fault> {
        let was_filled = &self.0.was_filled;
        if let Some(value) = value {
            was_filled.store(true, Ordering::Relaxed);
            self.compare_peppers(value);
        } else if was_filled.load(Ordering::Relaxed) {
            let detail = "it was emptied, or never filled: who is unknown or revoked cannot be told \
                until the directory is restored from a backup, or imported and what was revoked revoked again";
            return Err(Fault::new(Dependency::Store, detail));
        }
        Ok(())
    }

    /// Logs it, once for each check value, where another process has begun to write under a pepper that is not in force here.
    fn compare_peppers(&self, value: &Bytes) {
        let mut compared = self
            .0
            .compared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *compared == *value {
            return;
        }
        value.clone_into(&mut compared);
        drop(compared);
        let written: Vec<String> = serde_json::from_slice(value).unwrap_or_default();
        let given = self.pepper_ids();
        let lacking: Vec<_> = written
            .into_iter()
            .filter(|it| !given.contains(it))
            .collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            tracing::error!(
                "the store is written under another pepper (id {lacking}) than those of `store.pepper_files`: whoever stands \
                 under it is unknown here until it is listed"
            );
        }
    }

    /// Lets the store forget every pepper but the newest, for whoever has seen that nothing stands
    /// under them; `false` where another process came first, or there is none to forget.
    ///
    /// # Errors
    /// As [`Directory::check_peppers`].
    pub async fn forget_old_peppers(&self) -> Result<bool, CheckError> {
        let (old, written) = self.written_under().await?;
        let newest: Vec<_> = self.pepper_ids().into_iter().take(1).collect();
        let Some(old) = old.filter(|_| written != newest) else {
            return Ok(false);
        };
        let value = serde_json::to_vec(&newest).map_err(|_| internal("ids cannot be encoded"))?;
        let put = self.store().put(KEY, &value, PutIf::Equal(&old), None);
        Ok(put.await.map_err(store_fault)?)
    }

    /// Gives the check value and the ids in it, all of which are in force.
    async fn written_under(&self) -> Result<(Option<Bytes>, Vec<String>), CheckError> {
        let value = self.value(KEY).await?;
        let written: Vec<String> = match &value {
            Some(it) => serde_json::from_slice(it)
                .map_err(|_| internal("the store's check value cannot be read"))?,
            None => Vec::new(),
        };
        let given = self.pepper_ids();
        let lacking: Vec<_> = written.iter().filter(|it| !given.contains(it)).collect();
        if lacking.is_empty() {
            return Ok((value, written));
        }
        let lacking: Vec<_> = lacking.into_iter().cloned().collect();
        Err(CheckError::Wrong {
            written: lacking.join(", "),
            given: given.join(", "),
        })
    }

    fn pepper_ids(&self) -> Vec<String> {
        self.0.peppers.iter().map(|it| it.id()).collect()
    }
}

fn unbegun(error: &StoreError) -> Fault {
    let detail = format!(
        "it is empty, and only a user that may write records begins it: import the directory with the rights of \
         `portcullis-issuer` ({error})"
    );
    Fault::new(Dependency::Store, detail)
}

fn internal(detail: &'static str) -> Fault {
    Fault::new(Dependency::Internal, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::credential::{Fingerprinter, Secret};
    use crate::directory::bench::Bench;
    use crate::directory::pepper::{MIN_PEPPER_BYTES, Peppers};
    use crate::directory::reads::Reads;
    use crate::proof::Prover;
    use crate::store::DeleteIf;
    use crate::store::Store;
    use crate::store::embedded::Embedded;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_store_is_opened_only_with_every_pepper_that_something_may_stand_under() {
        let store: Arc<dyn Store> = Arc::new(Embedded::memory(Clock::system()).unwrap());
        let directory = |fills: &[u8]| {
            let key = |it: &u8| Secret::new([*it; MIN_PEPPER_BYTES]);
            let peppers = Peppers::new(fills.iter().map(key).collect()).unwrap();
            let prover = Prover::new(Fingerprinter::random().unwrap(), 1, 1).unwrap();
            Directory::new(store.clone(), peppers, prover, Clock::system())
        };
        let open = async |fills: &[u8]| {
            let checked = directory(fills).check_peppers().await;
            let confirmed = directory(fills).confirm_peppers().await;
            assert_eq!(checked.is_ok(), confirmed.is_ok());
            !matches!(confirmed, Err(CheckError::Wrong { .. }))
        };
        assert!(open(&[1]).await, "an empty one");
        assert!(open(&[1]).await, "the one");
        assert!(!open(&[2]).await, "another");
        assert!(
            open(&[1, 2]).await,
            "a new one that nothing is written under"
        );
        assert!(open(&[1]).await, "so it may be left out again");
        assert!(open(&[2, 1]).await, "a new one to write under");
        assert!(!open(&[1]).await, "it may not be left out now");
        assert!(!open(&[2]).await, "nor the old one");
        assert!(!open(&[3, 2]).await);
        assert!(directory(&[2, 1]).forget_old_peppers().await.unwrap());
        assert!(!directory(&[2, 1]).forget_old_peppers().await.unwrap());
        assert!(open(&[2]).await, "nothing stood under the old one");
        assert!(!open(&[1]).await);
    }

    #[tokio::test]
    async fn that_another_process_writes_under_a_pepper_that_is_not_in_force_is_told_once() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let writer = log.reopen().unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(writer);
        let _told = tracing::subscriber::set_default(subscriber.finish());
        let bench = Bench::new();
        let told = async || {
            bench.reads("mine").user("u-1").await.unwrap();
            let log = std::fs::read_to_string(log.path()).unwrap();
            log.matches("under another pepper (id 1234abcd)").count()
        };
        bench.directory.confirm_peppers().await.unwrap();
        assert_eq!(told().await, 0);
        let mut both = bench.directory.pepper_ids();
        both.push("1234abcd".to_owned());
        let both = serde_json::to_vec(&both).unwrap();
        let put = bench.directory.store().put(KEY, &both, PutIf::Always, None);
        put.await.unwrap();
        assert_eq!(told().await, 1);
        assert_eq!(told().await, 1);
    }

    #[tokio::test]
    async fn in_a_store_that_was_emptied_nobody_is_unknown_and_nothing_was_never_revoked() {
        let bench = Bench::new();
        let directory = &bench.directory;
        let is_told = async || {
            let user = bench.reads("mine").user("u-1").await.map(|it| it.is_none());
            let raised = bench.reads("mine").platform_generation().await;
            assert_eq!(user.is_ok(), raised.is_ok());
            user.ok()
        };
        assert_eq!(is_told().await, Some(true), "one that nobody has filled");
        directory.confirm_peppers().await.unwrap();
        assert_eq!(is_told().await, Some(true));
        let reads = bench.reads("mine");
        assert_eq!(reads.platform_generation().await.unwrap(), 0);
        directory
            .store()
            .delete(KEY, DeleteIf::Always)
            .await
            .unwrap();
        assert_eq!(is_told().await, None);
        // Also where only what was read later may be missing.
        directory.confirm_further_peppers().await.unwrap_err();
        assert_eq!(is_told().await, None, "other peppers fill nothing");
        let fault = reads.user("u-1").await.unwrap_err();
        assert_eq!(fault.dependency(), Dependency::Store);
        assert!(fault.to_string().contains("emptied"), "{fault}");
        // Whoever puts something before the store knows it too.
        let over = directory.over(directory.shared_store());
        Reads::begin(&over, "mine").user("u-1").await.unwrap_err();
        directory.confirm_peppers().await.unwrap();
        assert_eq!(is_told().await, Some(true));
    }
}
