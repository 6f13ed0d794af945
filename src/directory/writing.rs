//! Writing records with what they are found by, one key at a time.
//!
//! Hints first, inert as long as no record confirms them; then the record, as the commit; then the
//! hints that nothing confirms any more. Every write is a compare-and-set on what was read, so that
//! no writer undoes another's change, least of all a revocation. A record that would not differ is
//! not written again, so that nobody's verdict is forgotten for nothing.
//!
//! A hint may be withdrawn while another writer counts on it. So each side looks again: a writer at
//! its hints after the commit, and whoever withdraws one at the record afterwards. Whichever comes
//! last sees the other and puts the hint back.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::decision::{Dependency, Fault};
use crate::directory::decoding::decode;
use crate::directory::index::{insert_hint, most_hints};
use crate::directory::pepper::Digest;
use crate::directory::records::{Account, ApiKey, RecordKind, User};
use crate::directory::seal::Sealed;
use crate::directory::{Directory, Index, store_fault};
use crate::store::{Change, DeleteIf, PutIf};

/// How often a write that lost a race against another writer is tried again.
pub(super) const WRITE_ATTEMPTS: usize = 16;

/// A record of the directory.
pub trait Record: Clone + DeserializeOwned + Send + Serialize + Sync + 'static {
    /// Its kind.
    const KIND: RecordKind;

    /// Its id.
    fn id(&self) -> &str;

    /// Everything that it is found by, besides its id.
    fn claims(&self, directory: &Directory, platform: &str) -> Vec<(Index, Digest)>;

    /// The digests that stand in it.
    fn digests(&self) -> Vec<&Digest>;

    /// What stands in it sealed.
    fn sealed(&self) -> Option<&Sealed> {
        None
    }
}

impl Record for Account {
    const KIND: RecordKind = RecordKind::Account;

    fn id(&self) -> &str {
        &self.id
    }

    fn claims(&self, directory: &Directory, platform: &str) -> Vec<(Index, Digest)> {
        directory.account_digests(platform, self)
    }

    fn digests(&self) -> Vec<&Digest> {
        self.api_key.iter().collect()
    }
}

impl Record for ApiKey {
    const KIND: RecordKind = RecordKind::Key;

    fn id(&self) -> &str {
        &self.id
    }

    /// Former secrets as well: whoever still presents one is told that it has ended.
    fn claims(&self, directory: &Directory, platform: &str) -> Vec<(Index, Digest)> {
        let digests = self.digests().into_iter();
        let secrets = digests.map(|it| (Index::ApiKey, it.clone()));
        secrets.chain(directory.listed(platform, self)).collect()
    }

    fn digests(&self) -> Vec<&Digest> {
        let former = self.former.iter().map(|it| &it.secret);
        self.secret.iter().chain(former).collect()
    }
}

impl Record for User {
    const KIND: RecordKind = RecordKind::User;

    fn id(&self) -> &str {
        &self.id
    }

    fn claims(&self, directory: &Directory, platform: &str) -> Vec<(Index, Digest)> {
        directory.user_digests(platform, self)
    }

    fn digests(&self) -> Vec<&Digest> {
        self.md5
            .iter()
            .chain(&self.sha1)
            .chain(&self.ha1b)
            .collect()
    }

    fn sealed(&self) -> Option<&Sealed> {
        self.totp.as_ref()
    }
}

/// What an update did to the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// The record was there and differed.
    Changed,
    /// The record was not there.
    Created,
    /// The record was there, just so.
    Unchanged,
}

/// A record as it stands after an update.
#[derive(Clone, Debug)]
pub struct Updated<R> {
    /// The record.
    pub record: R,
    /// What that took.
    pub written: Written,
}

impl Directory {
    /// Writes what `change` makes of a record as it is stored, `None` where it is not. Where another
    /// writer comes first, `change` is asked again with what that one wrote. The id must stay.
    ///
    /// # Errors
    /// What `change` refuses with; a fault when the store does not answer, the record cannot be
    /// read, or too many records share what it is found by.
    pub async fn update<R: Record, E: From<Fault>>(
        &self,
        platform: &str,
        id: &str,
        change: impl Fn(Option<R>) -> Result<R, E> + Send,
    ) -> Result<Updated<R>, E> {
        let key = self.record_key(R::KIND, platform, id);
        let mut stale = Vec::new();
        for _ in 0..WRITE_ATTEMPTS {
            let old = self.value(&key).await?;
            let before: Option<R> = old.as_deref().map(|it| decode(&key, it)).transpose()?;
            let claimed = before.as_ref().map(|it| self.hints(platform, it));
            let record = change(before)?;
            let value = encode(&record)?;
            let wanted = self.hints(platform, &record);
            self.ensure_hints(&wanted, id).await?;
            let written = match old.as_deref() {
                None => Written::Created,
                Some(old) if old == value => Written::Unchanged,
                Some(_) => Written::Changed,
            };
            if written != Written::Unchanged {
                let condition = old.as_deref().map_or(PutIf::Absent, PutIf::Equal);
                let put = self.0.store.put(&key, &value, condition, None).await;
                if !put.map_err(store_fault)? {
                    stale.extend(wanted);
                    continue;
                }
                // The store's watch tells of it too, and may be a moment behind.
                self.0.generations.raise(Change::Key(&key));
                self.ensure_hints(&wanted, id).await?;
            }
            stale.extend(claimed.unwrap_or_default());
            for hint in stale.iter().filter(|it| !wanted.contains(it)) {
                self.withdraw_hint::<R>(platform, hint, id).await?;
            }
            return Ok(Updated { record, written });
        }
        Err(internal("a record is being changed by too many writers at once").into())
    }

    /// Writes an account and what it is found by, and tells whether it is new or differs.
    ///
    /// # Errors
    /// A fault when the store does not take it, or too many records share a name.
    pub async fn put_account(&self, platform: &str, account: &Account) -> Result<bool, Fault> {
        self.put(platform, account).await
    }

    /// Writes a user and what it is found by, and tells whether it is new or differs.
    ///
    /// # Errors
    /// A fault when the store does not take it, or too many records share a name.
    pub async fn put_user(&self, platform: &str, user: &User) -> Result<bool, Fault> {
        self.put(platform, user).await
    }

    /// Writes an API key and what it is found by, and tells whether it is new or differs.
    ///
    /// # Errors
    /// A fault when the store does not take it.
    pub async fn put_api_key(&self, platform: &str, key: &ApiKey) -> Result<bool, Fault> {
        self.put(platform, key).await
    }

    async fn put<R: Record>(&self, platform: &str, record: &R) -> Result<bool, Fault> {
        let change = |_| Ok::<_, Fault>(record.clone());
        let updated = self.update(platform, record.id(), change).await?;
        Ok(updated.written != Written::Unchanged)
    }

    /// The index entries that must name the record.
    pub(super) fn hints<R: Record>(&self, platform: &str, record: &R) -> Vec<String> {
        let claims = record.claims(self, platform);
        claims
            .iter()
            .map(|it| self.index_key(platform, it.0, &it.1))
            .collect()
    }

    /// Writes what `change` makes of the value of a key by which nothing else is found, `None` where
    /// it is not there, and gives it. Where another writer comes first, `change` is asked again;
    /// `Ok(None)` where that happened `attempts` times.
    ///
    /// # Errors
    /// What `change` refuses with; a fault when the store does not take it, or the value cannot be
    /// read.
    pub(super) async fn swap<T: DeserializeOwned + Serialize, E: From<Fault>>(
        &self,
        key: &str,
        ttl: Option<Duration>,
        attempts: usize,
        change: impl Fn(Option<T>) -> Result<T, E> + Send,
    ) -> Result<Option<T>, E> {
        for _ in 0..attempts {
            let old = self.value(key).await?;
            let new = change(old.as_deref().map(|it| decode(key, it)).transpose()?)?;
            let value = encode(&new)?;
            let condition = old.as_deref().map_or(PutIf::Absent, PutIf::Equal);
            let put = self.0.store.put(key, &value, condition, ttl).await;
            if put.map_err(store_fault)? {
                return Ok(Some(new));
            }
        }
        Ok(None)
    }

    /// Tells whether the record itself claims one of the digests in an index.
    pub(super) fn confirms<R: Record>(
        &self,
        platform: &str,
        record: &R,
        index: Index,
        digests: &[Digest],
    ) -> bool {
        let among = |claimed: &Digest| digests.iter().any(|it| it.matches(claimed));
        let claims = record.claims(self, platform);
        claims.iter().any(|it| it.0 == index && among(&it.1))
    }

    /// Adds the id to those index entries that do not name it.
    pub(super) async fn ensure_hints(&self, hints: &[String], id: &str) -> Result<(), Fault> {
        let found = self.values(hints).await?;
        let named = |value: &[u8]| {
            serde_json::from_slice::<Vec<String>>(value)
                .is_ok_and(|ids| ids.iter().any(|it| it == id))
        };
        for (hint, value) in hints.iter().zip(found) {
            if !value.as_deref().is_some_and(named) {
                let most = most_hints(hint);
                self.change_hint(hint, |ids| insert_hint(ids, id, most))
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes the id out of an index entry that the record does not confirm.
    pub(super) async fn withdraw_hint<R: Record>(
        &self,
        platform: &str,
        hint: &str,
        id: &str,
    ) -> Result<(), Fault> {
        let without = |ids: &mut Vec<String>| {
            ids.retain(|it| it != id);
            Ok(())
        };
        self.change_hint(hint, without).await?;
        let now: Option<R> = self.stored(&self.record_key(R::KIND, platform, id)).await?;
        let hint = hint.to_owned();
        if now.is_some_and(|it| self.hints(platform, &it).contains(&hint)) {
            self.ensure_hints(&[hint], id).await?;
        }
        Ok(())
    }

    /// Changes an index entry; one that names nobody any more is removed.
    async fn change_hint(
        &self,
        key: &str,
        change: impl Fn(&mut Vec<String>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for _ in 0..WRITE_ATTEMPTS {
            let old = self.value(key).await?;
            let mut ids: Vec<String> = match &old {
                Some(it) => decode(key, it)?,
                None => Vec::new(),
            };
            change(&mut ids)?;
            let value = encode(&ids)?;
            let store = &self.0.store;
            let done = match old.as_deref() {
                None if ids.is_empty() => Ok(true),
                None => store.put(key, &value, PutIf::Absent, None).await,
                Some(old) if old == value => Ok(true),
                Some(old) if ids.is_empty() => store.delete(key, DeleteIf::Equal(old)).await,
                Some(old) => store.put(key, &value, PutIf::Equal(old), None).await,
            };
            if done.map_err(store_fault)? {
                return Ok(());
            }
        }
        Err(internal(
            "an index entry is being changed by too many writers at once",
        ))
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|_| internal("a record cannot be encoded"))
}

pub(super) fn internal(detail: &'static str) -> Fault {
    Fault::new(Dependency::Internal, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use futures_core::future::BoxFuture;

    use crate::clock::Clock;
    use crate::credential::Fingerprinter;
    use crate::directory::pepper::Peppers;
    use crate::proof::Prover;
    use crate::store::embedded::Embedded;
    use crate::store::{Cursor, Page, Sink, Store, StoreError};

    use super::*;

    /// A store in which another writer comes first, once: before the write of a key, it writes, or
    /// with `None` deletes, another.
    #[derive(Debug)]
    struct Contended {
        store: Embedded,
        rival: Mutex<Option<Rival>>,
    }

    #[derive(Debug)]
    struct Rival {
        before: String,
        key: String,
        value: Option<Vec<u8>>,
    }

    impl Contended {
        async fn let_rival_come_first(&self, key: &str) -> Result<(), StoreError> {
            let due = {
                let mut rival = self.rival.lock().expect("no test panics with it");
                rival.take_if(|it| it.before == key)
            };
            let Some(rival) = due else { return Ok(()) };
            match rival.value {
                Some(value) => {
                    self.store
                        .put(&rival.key, &value, PutIf::Always, None)
                        .await
                }
                None => self.store.delete(&rival.key, DeleteIf::Always).await,
            }?;
            Ok(())
        }
    }

    impl Store for Contended {
        fn get<'a>(
            &'a self,
            keys: &'a [String],
        ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
            self.store.get(keys)
        }

        fn put<'a>(
            &'a self,
            key: &'a str,
            value: &'a [u8],
            condition: PutIf<'a>,
            ttl: Option<Duration>,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async move {
                self.let_rival_come_first(key).await?;
                self.store.put(key, value, condition, ttl).await
            })
        }

        fn delete<'a>(
            &'a self,
            key: &'a str,
            condition: DeleteIf<'a>,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async move {
                let done = self.store.delete(key, condition).await;
                self.let_rival_come_first(key).await?;
                done
            })
        }

        fn touch<'a>(
            &'a self,
            key: &'a str,
            ttl: Duration,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            self.store.touch(key, ttl)
        }

        fn add<'a>(
            &'a self,
            key: &'a str,
            amount: u64,
            ttl: Duration,
        ) -> BoxFuture<'a, Result<u64, StoreError>> {
            self.store.add(key, amount, ttl)
        }

        fn scan<'a>(
            &'a self,
            prefix: &'a str,
            cursor: Option<Cursor>,
        ) -> BoxFuture<'a, Result<Page, StoreError>> {
            self.store.scan(prefix, cursor)
        }

        fn watch(&self, sink: Sink) {
            self.store.watch(sink);
        }

        fn lease(&self) -> crate::store::lease::Lease {
            self.store.lease()
        }
    }

    fn directory() -> (Directory, Arc<Contended>) {
        let store = Arc::new(Contended {
            store: Embedded::memory(Clock::system()).unwrap(),
            rival: Mutex::default(),
        });
        let prover = Prover::new(Fingerprinter::random().unwrap(), 100, 1).unwrap();
        let peppers = Peppers::ephemeral().unwrap();
        let opened = Arc::clone(&store) as Arc<dyn Store>;
        let directory = Directory::new(opened, peppers, prover, Clock::system());
        (directory, store)
    }

    fn john() -> User {
        User {
            id: "u".into(),
            username: Some("John".into()),
            ..User::default()
        }
    }

    fn disable(user: Option<User>) -> Result<User, Fault> {
        Ok(User {
            disabled: true,
            ..user.unwrap_or_default()
        })
    }

    #[tokio::test]
    async fn a_change_between_the_read_and_the_write_is_not_lost() {
        let (directory, store) = directory();
        directory.put_user("p", &john()).await.unwrap();
        let raised = User {
            generation: 7,
            ..john()
        };
        *store.rival.lock().unwrap() = Some(Rival {
            before: "pc:u:p:u".into(),
            key: "pc:u:p:u".into(),
            value: Some(serde_json::to_vec(&raised).unwrap()),
        });
        let updated = directory.update("p", "u", disable).await.unwrap();
        assert_eq!(updated.written, Written::Changed);
        let stored = directory.user("p", "u").await.unwrap().unwrap();
        assert_eq!((stored.generation, stored.disabled), (7, true));
    }

    #[tokio::test]
    async fn what_two_make_new_at_once_is_new_for_one() {
        let (directory, store) = directory();
        *store.rival.lock().unwrap() = Some(Rival {
            before: "pc:u:p:u".into(),
            key: "pc:u:p:u".into(),
            value: Some(serde_json::to_vec(&john()).unwrap()),
        });
        let change = |old: Option<User>| Ok::<_, Fault>(old.unwrap_or_default());
        let updated = directory.update("p", "u", change).await.unwrap();
        assert_eq!(updated.written, Written::Unchanged);
        assert_eq!(updated.record, john());
    }

    #[tokio::test]
    async fn a_hint_that_is_withdrawn_during_a_write_is_put_back() {
        let (directory, store) = directory();
        let hint = directory.hints("p", &john()).remove(0);
        *store.rival.lock().unwrap() = Some(Rival {
            before: "pc:u:p:u".into(),
            key: hint.clone(),
            value: None,
        });
        directory.put_user("p", &john()).await.unwrap();
        let named = directory.value(&hint).await.unwrap().unwrap();
        assert_eq!(named, r#"["u"]"#);
    }

    #[tokio::test]
    async fn a_record_that_is_written_during_a_withdrawal_gets_its_hint_back() {
        let (directory, store) = directory();
        let hint = directory.hints("p", &john()).remove(0);
        let hints = [hint.clone()];
        directory.ensure_hints(&hints, "u").await.unwrap();
        *store.rival.lock().unwrap() = Some(Rival {
            before: hint.clone(),
            key: "pc:u:p:u".into(),
            value: Some(serde_json::to_vec(&john()).unwrap()),
        });
        let withdrawn = directory.withdraw_hint::<User>("p", &hint, "u").await;
        withdrawn.unwrap();
        let named = directory.value(&hint).await.unwrap().unwrap();
        assert_eq!(named, r#"["u"]"#);
    }

    #[tokio::test]
    async fn an_index_entry_that_names_nobody_is_removed() {
        let (directory, _) = directory();
        directory.put_user("p", &john()).await.unwrap();
        let renamed = User {
            username: Some("Jim".into()),
            ..john()
        };
        directory.put_user("p", &renamed).await.unwrap();
        let old = directory.hints("p", &john()).remove(0);
        let new = directory.hints("p", &renamed).remove(0);
        assert_eq!(directory.value(&old).await.unwrap(), None);
        assert!(directory.value(&new).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_not_overwritten() {
        let (directory, store) = directory();
        let put = store.put("pc:u:p:u", b"not JSON", PutIf::Always, None);
        assert!(put.await.unwrap());
        let fault = directory.update("p", "u", disable).await.unwrap_err();
        assert_eq!(fault.dependency(), Dependency::Store);
        let left = directory.value("pc:u:p:u").await.unwrap().unwrap();
        assert_eq!(left, &b"not JSON"[..]);
    }
}
