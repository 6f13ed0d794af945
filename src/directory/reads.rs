//! Reading the directory so that a verdict knows when it has become stale.
//!
//! A verdict is built from records. [`Reads`] notes the generation of each record's slot *before*
//! it reads it, absent records included; whoever keeps the verdict keeps the notes, and a change
//! of any of the records, seen by the store's watch, makes the notes differ. A load that was in
//! flight during the change is thus stale by construction. A scheme reads through here and
//! nowhere else; it sees only the records of its own platform.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::directory::check;
use crate::directory::decoding::{decode, decode_all};
use crate::directory::generations::Notes;
use crate::directory::platforms::Platform;
use crate::directory::records::{Account, ApiKey, User};
use crate::directory::writing::Record;
use crate::directory::{Directory, Index, store_fault};
use crate::proof::Prover;
use crate::store::KEY_BYTES_MAX;

/// How many accounts may stand in one line, the lowest included.
pub const MAX_LINEAGE: usize = 16;

/// One verdict's reads.
#[derive(Debug)]
pub struct Reads {
    directory: Directory,
    platform: String,
    notes: Mutex<Notes>,
    /// The platform's record, which is read along with whatever is read first.
    own: OnceLock<Option<Bytes>>,
    again: bool,
    /// Accounts that were read less than so many milliseconds ago need not be read again.
    accounts_within: Option<u64>,
}

impl Reads {
    /// Begins to read for one verdict about one platform's credential.
    #[must_use]
    pub fn begin(directory: &Directory, platform: &str) -> Self {
        let now = directory.clock().unix_milliseconds();
        let notes = Mutex::new(directory.generations().begin(now));
        Self {
            directory: directory.clone(),
            platform: platform.to_owned(),
            notes,
            own: OnceLock::new(),
            again: false,
            accounts_within: None,
        }
    }

    /// Begins to read for a verdict that is there, still counts, and is to be reached anew.
    #[must_use]
    pub fn begin_again(directory: &Directory, platform: &str) -> Self {
        Self {
            again: true,
            ..Self::begin(directory, platform)
        }
    }

    /// The same, where an account that was read so lately need not be read again: only for a credential that nobody can
    /// guess, since it takes less time than for one that is nobody's.
    #[must_use]
    pub fn knowing_accounts(self, within: Option<Duration>) -> Self {
        let milliseconds = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        Self {
            accounts_within: within.map(milliseconds),
            ..self
        }
    }

    /// Tells whether the verdict is there already, so that whoever presents the credential is known.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again
    }

    /// Gives the notes, to be kept with the verdict.
    #[must_use]
    pub fn finish(self) -> Notes {
        self.notes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Proves secrets against what was read.
    #[must_use]
    pub fn prover(&self) -> &Prover {
        self.directory.prover()
    }

    /// The time of this verdict, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.directory.clock().unix_seconds()
    }

    /// Gives the generation of the platform. Costs no round trip once anything has been read.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn platform_generation(&self) -> Result<u64, Fault> {
        if self.own.get().is_none() {
            self.values(&mut Vec::new()).await?;
        }
        let record = self.own.get().and_then(Option::as_deref);
        let key = self.directory.platform_key(&self.platform);
        let platform = record.map(|it| decode::<Platform>(&key, it)).transpose()?;
        Ok(platform.unwrap_or_default().generation)
    }

    /// Gives an account by its id.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn account(&self, id: &str) -> Result<Option<Account>, Fault> {
        let account = self.shared_account(id).await?;
        Ok(account.map(Arc::unwrap_or_clone))
    }

    /// The same, for whoever only looks at it.
    ///
    /// # Errors
    /// As [`Reads::account`].
    pub async fn shared_account(&self, id: &str) -> Result<Option<Arc<Account>>, Fault> {
        let key = self.directory.account_key(&self.platform, id);
        let Some(within) = self.accounts_within else {
            return Ok(self.record(key).await?.map(Arc::new));
        };
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let accounts = &self.directory.0.accounts;
        let mut keys = vec![key];
        // Before it is looked at, as before it is read.
        self.note(&keys);
        if let Some(known) = accounts.get(&self.directory, &keys[0], within) {
            self.notes().note_time(known.notes.begun());
            return Ok(Some(Arc::clone(&known.account)));
        }
        let alone = Self::begin(&self.directory, &self.platform);
        alone.note(&keys);
        let Some(record) = self.values(&mut keys).await?.pop().flatten() else {
            return Ok(None);
        };
        let key = keys.swap_remove(0);
        let account: Arc<Account> = decode(&key, &record).map(Arc::new)?;
        accounts.keep(key, &account, alone.finish(), record.len());
        Ok(Some(account))
    }

    /// Gives an account and those above it, from itself upwards; nothing where it has no record. An
    /// ancestor without a record ends the line.
    ///
    /// # Errors
    /// As [`Reads::account`], and for a line that is longer than any, such as one in a circle.
    pub async fn lineage(&self, id: &str) -> Result<Vec<Account>, Fault> {
        let mut line: Vec<Account> = Vec::new();
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            if line.len() == MAX_LINEAGE {
                let detail = "an account has more accounts above it than there can be";
                return Err(Fault::new(Dependency::Store, detail));
            }
            let Some(account) = self.account(&id).await? else {
                break;
            };
            next = account.parent.clone();
            line.push(account);
        }
        Ok(line)
    }

    /// Gives a user by its id.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn user(&self, id: &str) -> Result<Option<User>, Fault> {
        self.record(self.directory.user_key(&self.platform, id))
            .await
    }

    /// Gives the users whom the index names for these values, each confirmed by its own record:
    /// an index entry is a hint, and a stale hint admits nobody.
    ///
    /// # Errors
    /// A fault when the store does not answer or a record cannot be read.
    pub async fn users(&self, index: Index, values: &[&[u8]]) -> Result<Vec<User>, Fault> {
        self.confirmed(index, values).await
    }

    /// Gives the accounts whom the index names for these values, each confirmed by its own record
    /// likewise; [`crate::directory::MAX_HINTS`] of them at most.
    ///
    /// # Errors
    /// A fault when the store does not answer or a record cannot be read.
    pub async fn accounts(&self, index: Index, values: &[&[u8]]) -> Result<Vec<Account>, Fault> {
        self.confirmed(index, values).await
    }

    /// Gives the API key with this secret. Behind a secret that was rotated away, it ends when that
    /// one does.
    ///
    /// # Errors
    /// A fault when the store does not answer or a record cannot be read.
    pub async fn api_key(&self, secret: &Secret) -> Result<Option<ApiKey>, Fault> {
        let digests = self
            .directory
            .digests(&self.platform, Index::ApiKey, &[secret.expose()]);
        let keys: Vec<_> = digests
            .iter()
            .map(|it| self.directory.index_key(&self.platform, Index::ApiKey, it))
            .collect();
        let ids = self.hints(keys).await?;
        let keys: Vec<_> = ids
            .iter()
            .map(|it| self.directory.api_key_key(&self.platform, it))
            .collect();
        let found: Vec<Option<ApiKey>> = self.records(keys).await?;
        let mut found = found.into_iter().flatten();
        Ok(found.find_map(|it| it.presented(&digests)))
    }

    async fn confirmed<R: Record>(&self, index: Index, values: &[&[u8]]) -> Result<Vec<R>, Fault> {
        let (directory, platform) = (&self.directory, &self.platform);
        let digests = directory.digests(platform, index, values);
        let keys: Vec<_> = digests
            .iter()
            .map(|it| directory.index_key(platform, index, it))
            .collect();
        let ids = self.hints(keys).await?;
        let keys: Vec<_> = ids
            .iter()
            .map(|it| directory.record_key(R::KIND, platform, it))
            .collect();
        let found: Vec<Option<R>> = self.records(keys).await?;
        let found = found.into_iter().flatten();
        Ok(found
            .filter(|it| directory.confirms(platform, it, index, &digests))
            .collect())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, keys: &[String]) {
        let generations = self.directory.generations();
        let mut notes = self.notes();
        for key in keys {
            generations.note(&mut notes, key);
        }
    }

    async fn hints(&self, keys: Vec<String>) -> Result<Vec<String>, Fault> {
        let lists: Vec<Option<Vec<String>>> = self.records(keys).await?;
        // One record is hinted at under each pepper; tried twice, it would tell that it exists.
        let mut ids: Vec<String> = Vec::new();
        for id in lists.into_iter().flatten().flatten() {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn platform(&self) -> &str {
        &self.platform
    }

    pub(super) async fn record<T: DeserializeOwned>(
        &self,
        key: String,
    ) -> Result<Option<T>, Fault> {
        // Nothing has so long a name, and what a client calls so is no fault of ours.
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        Ok(self.records(vec![key]).await?.pop().flatten())
    }

    pub(super) async fn records<T: DeserializeOwned>(
        &self,
        mut keys: Vec<String>,
    ) -> Result<Vec<Option<T>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.values(&mut keys).await?;
        decode_all(&keys, found)
    }

    /// Reads in one round trip, after noting the keys; what is read along is appended to them. The check values of where
    /// they are kept come last, so that what is missing was missing while they were there.
    pub(super) async fn values(&self, keys: &mut Vec<String>) -> Result<Vec<Option<Bytes>>, Fault> {
        let with_own = self.own.get().is_none();
        keys.reserve_exact(2);
        if with_own {
            keys.push(self.directory.platform_key(&self.platform));
        }
        self.note(keys);
        let (store, read) = (self.directory.store(), keys.len());
        for index in 0..read {
            let share = store.share(&keys[index]);
            let is_of_share = |it: &String| it.strip_prefix(check::KEY) == Some(share);
            if !keys[read..].iter().any(is_of_share) {
                keys.push([check::KEY, share].concat());
            }
        }
        let mut found = store.get(keys).await.map_err(store_fault)?;
        for check in found.drain(read..) {
            self.directory.heed_check_value(check.as_ref())?;
        }
        if with_own {
            // Two first reads at once may both have brought it; either was noted before.
            let _ = self.own.set(found.pop().flatten());
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_core::future::BoxFuture;

    use super::*;
    use crate::directory::bench::Bench;
    use crate::store::{Cursor, DeleteIf, Page, PutIf, Sink, Store, StoreError};

    /// A store in which a key changes as soon as anything was read, and before the reader has it.
    #[derive(Debug)]
    struct Changing {
        inner: Arc<dyn Store>,
        key: String,
    }

    impl Store for Changing {
        fn get<'a>(
            &'a self,
            keys: &'a [String],
        ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
            Box::pin(async move {
                let read = self.inner.get(keys).await;
                self.inner
                    .put(&self.key, b"{}", PutIf::Always, None)
                    .await?;
                read
            })
        }

        fn put<'a>(
            &'a self,
            key: &'a str,
            value: &'a [u8],
            condition: PutIf<'a>,
            ttl: Option<Duration>,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            self.inner.put(key, value, condition, ttl)
        }

        fn delete<'a>(
            &'a self,
            key: &'a str,
            condition: DeleteIf<'a>,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            self.inner.delete(key, condition)
        }

        fn touch<'a>(
            &'a self,
            key: &'a str,
            ttl: Duration,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            self.inner.touch(key, ttl)
        }

        fn add<'a>(
            &'a self,
            key: &'a str,
            amount: u64,
            ttl: Duration,
        ) -> BoxFuture<'a, Result<u64, StoreError>> {
            self.inner.add(key, amount, ttl)
        }

        fn scan<'a>(
            &'a self,
            prefix: &'a str,
            cursor: Option<Cursor>,
        ) -> BoxFuture<'a, Result<Page, StoreError>> {
            self.inner.scan(prefix, cursor)
        }

        fn watch(&self, sink: Sink) {
            self.inner.watch(sink);
        }

        fn lease(&self) -> crate::store::lease::Lease {
            self.inner.lease()
        }
    }

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_stale_by_the_time_it_was_read() {
        for (changes, is_current) in [
            ("pc:u:p:there", false),
            ("pc:u:p:absent", false),
            ("pc:p:p", false),
            ("pc:u:p:another", true),
        ] {
            let bench = Bench::new();
            let john = User {
                id: "there".into(),
                ..User::default()
            };
            bench.directory.put_user("p", &john).await.unwrap();
            let directory = bench.directory.over(Arc::new(Changing {
                inner: bench.directory.shared_store(),
                key: changes.to_owned(),
            }));
            let reads = Reads::begin(&directory, "p");
            let keys = ["there", "absent"].map(|it| directory.user_key("p", it));
            let read = reads.values(&mut keys.into()).await.unwrap();
            let read: Vec<_> = read.iter().map(Option::is_some).collect();
            assert_eq!(read, [true, false], "{changes}: as it was before");
            let notes = reads.finish();
            assert_eq!(
                directory.generations().is_current(&notes),
                is_current,
                "{changes}"
            );
        }
    }

    #[tokio::test]
    async fn who_is_called_by_more_than_any_record_is_nobody_and_no_fault() {
        let bench = Bench::new();
        let reads = Reads::begin(&bench.directory, "p");
        let id = "4".repeat(KEY_BYTES_MAX);
        assert!(reads.lineage(&id).await.unwrap().is_empty());
        assert_eq!(reads.user(&id).await.unwrap(), None);
    }
}
