//! The directory: a platform's accounts, users and API keys over the store's single-key primitives.
//!
//! This is the key schema, in one place. A record is one key; an index entry (`name → ids`) is
//! another, and only a hint: the record it names must itself confirm it, so a stale entry never
//! admits. Hints are therefore written first and removed last, and the record's own write is the
//! commit. No credential and no personal data stands in a key's name: names are digested.
//!
//! ```text
//! pc:a:PLATFORM:ID            account          pc:i:PLATFORM:KIND:DIGEST   ids, as a JSON list
//! pc:u:PLATFORM:ID            user
//! pc:k:PLATFORM:ID            API key          pc:t:PLATFORM:DIGEST        a session's user, as a hint
//! pc:s:PLATFORM:USER          session          pc:x:PLATFORM:DIGEST        a revoked token
//! pc:p:PLATFORM               the platform itself: its generation
//! pc:m:peppers                ids of the peppers it was written under, as a JSON list
//! pc:m:peppers{number}        in a cluster, in each slot: that it was filled
//! pc:c:PLATFORM:ACCOUNT       what an account says about ways to log in
//! pc:n:NAME                   a call to all processes, for seconds
//! pcu:s:PLATFORM:DIGEST       is there while a session is in use
//! pcu:o:PLATFORM:DIGEST       a claim that was granted, once
//! pcu:f:PLATFORM:DIGEST:END   how many attempts of one client against one target failed
//! pcu:a:PLATFORM:ACCOUNT      the latest attempts to log in to an account
//! pcu:k:PLATFORM:ID           when an API key was used last
//! pcu:w                       there for a second, so that replicas confirm all before it
//! pcw:NAME                    canary of a process that watches: the calls it has heard
//! ```
//!
//! What begins with `pcu:` or `pcw:` changes no verdict and is untracked.
//!
//! It decides nothing; schemes do, reading through [`reads::Reads`].

pub mod account_keys;
pub(crate) mod accounts;
pub mod attempts;
#[cfg(test)]
pub(crate) mod bench;
pub mod check;
pub mod decoding;
pub mod failures;
pub mod file;
pub mod generations;
mod index;
pub mod names;
pub mod once;
pub mod operations;
pub mod pepper;
pub mod platforms;
pub mod reads;
pub mod records;
pub mod revocations;
pub mod rights;
pub mod seal;
pub mod security;
pub mod sessions;
pub mod spread;
pub mod totp;
pub mod upgrades;
pub mod uses;
pub mod walk;
pub mod writing;

pub use index::{Index, MAX_HINTS};

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::decision::{Dependency, Fault};
use crate::directory::accounts::Accounts;
use crate::directory::decoding::decode;
use crate::directory::generations::Generations;
use crate::directory::names::{account_names, with_parts};
use crate::directory::pepper::{Digest, Peppers};
use crate::directory::records::{Account, RecordKind, User};
use crate::directory::upgrades::Upgrades;
use crate::directory::uses::{Uses, Waiting};
use crate::proof::Prover;
use crate::store::lease::Lease;
use crate::store::{Store, StoreError};

/// What the keys begin with that change no verdict.
const UNTRACKED: &str = "pcu:";

/// What the names of records and hints begin with: whose changes change verdicts.
pub const TRACKED: &str = "pc:";

/// The directory of every platform in the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    peppers: Peppers,
    prover: Prover,
    clock: Clock,
    generations: Arc<Generations>,
    accounts: Accounts,
    uses: Arc<Uses>,
    waiting: Arc<Waiting>,
    /// `None`: weaker forms of passwords are let be.
    upgrades: Option<Arc<Upgrades>>,
    lease: Lease,
    /// Whether the store was seen to be one that is filled; see [`check`].
    was_filled: Arc<AtomicBool>,
    /// The check value that its peppers were last compared with.
    compared: Arc<Mutex<Bytes>>,
}

impl Directory {
    /// Opens the directory in a store, and watches the store from now on.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, peppers: Peppers, prover: Prover, clock: Clock) -> Self {
        let generations = Arc::new(Generations::default());
        let raised = Arc::clone(&generations);
        store.watch(Arc::new(move |change| raised.raise(change)));
        Self(Arc::new(Inner {
            lease: store.lease(),
            store,
            peppers,
            prover,
            clock,
            generations,
            accounts: Accounts::default(),
            uses: Arc::default(),
            waiting: Arc::default(),
            upgrades: None,
            was_filled: Arc::default(),
            compared: Arc::default(),
        }))
    }

    /// Gives this directory over `store`, which holds or leads to the same. Changes are heard of
    /// through the store that this one was opened in.
    #[must_use]
    pub fn over(&self, store: Arc<dyn Store>) -> Self {
        let Inner {
            store: _,
            peppers,
            prover,
            clock,
            generations,
            accounts: _,
            uses,
            waiting: _,
            upgrades: _,
            lease,
            was_filled,
            compared,
        } = &*self.0;
        Self(Arc::new(Inner {
            store,
            peppers: peppers.clone(),
            prover: prover.clone(),
            clock: clock.clone(),
            generations: Arc::clone(generations),
            accounts: Accounts::default(),
            uses: Arc::clone(uses),
            waiting: Arc::default(),
            upgrades: None,
            lease: lease.clone(),
            was_filled: Arc::clone(was_filled),
            compared: Arc::clone(compared),
        }))
    }

    /// Gives this directory under other peppers.
    #[must_use]
    pub fn under(&self, peppers: Peppers) -> Self {
        let over = self.over(self.shared_store());
        Self(Arc::new(Inner {
            peppers,
            waiting: Arc::clone(&self.0.waiting),
            compared: Arc::default(),
            ..Arc::into_inner(over.0).expect("its only owner")
        }))
    }

    /// Gives this directory, where passwords that come by take the place of weaker forms of them.
    #[must_use]
    pub fn upgrading(&self, upgrades: Upgrades) -> Self {
        let over = self.over(self.shared_store());
        Self(Arc::new(Inner {
            upgrades: Some(Arc::new(upgrades)),
            waiting: Arc::clone(&self.0.waiting),
            ..Arc::into_inner(over.0).expect("its only owner")
        }))
    }

    /// The same, where word of changes may be relied on so long.
    #[cfg(test)]
    pub(crate) fn with_lease(&self, lease: Lease) -> Self {
        let over = self.over(self.shared_store());
        Self(Arc::new(Inner {
            lease,
            ..Arc::into_inner(over.0).expect("its only owner")
        }))
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// The peppers that it is kept under.
    #[must_use]
    pub fn peppers(&self) -> &Peppers {
        &self.0.peppers
    }

    /// The same, for whoever puts something before it; see [`Directory::over`].
    #[must_use]
    pub fn shared_store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0.store)
    }

    /// Proves secrets against stored verifiers.
    #[must_use]
    pub fn prover(&self) -> &Prover {
        &self.0.prover
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Which records have changed how often.
    #[must_use]
    pub fn generations(&self) -> &Generations {
        &self.0.generations
    }

    /// Until when every change is heard of, so that what was read counts as long as its generation does.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// Gives an account by its id, for whoever is about to change it. Verdicts read through
    /// [`reads::Reads`].
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn account(&self, platform: &str, id: &str) -> Result<Option<Account>, Fault> {
        self.stored(&self.account_key(platform, id)).await
    }

    /// Gives a user by its id, likewise.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn user(&self, platform: &str, id: &str) -> Result<Option<User>, Fault> {
        self.stored(&self.user_key(platform, id)).await
    }

    /// Digests what a record is found by, under the newest pepper.
    #[must_use]
    pub fn digest(&self, platform: &str, index: Index, values: &[&[u8]]) -> Digest {
        with_parts(platform, index, values, |it| self.0.peppers.digest(it))
    }

    fn digests(&self, platform: &str, index: Index, values: &[&[u8]]) -> Vec<Digest> {
        with_parts(platform, index, values, |it| self.0.peppers.digests(it))
    }

    /// Everything that a user is found by. Names and links are digested under each pepper, so that a record
    /// confirms a hint that was written under the old one.
    fn user_digests(&self, platform: &str, user: &User) -> Vec<(Index, Digest)> {
        let names = user.username.iter().chain(&user.email);
        let names = names.flat_map(|it| self.digests(platform, Index::Login, &[it.as_bytes()]));
        let legacy = [
            (Index::Ha1b, &user.ha1b),
            (Index::Md5, &user.md5),
            (Index::Sha1, &user.sha1),
        ];
        let legacy = legacy
            .into_iter()
            .filter_map(|(index, it)| Some((index, it.clone()?)));
        let links = user.links.iter().flat_map(|it| {
            let values = [it.issuer.as_bytes(), it.subject.as_bytes()];
            self.digests(platform, Index::Link, &values)
        });
        let links = links.map(|it| (Index::Link, it));
        let names = names.map(|it| (Index::Login, it));
        names.chain(links).chain(legacy).collect()
    }

    /// Everything that an account is found by; names likewise.
    fn account_digests(&self, platform: &str, account: &Account) -> Vec<(Index, Digest)> {
        let names = account_names(account).into_iter();
        let names = names.flat_map(|it| {
            let digests = self.digests(platform, it.index, &[&it.value]).into_iter();
            digests.map(move |digest| (it.index, digest))
        });
        let key = account.api_key.clone();
        names.chain(key.map(|it| (Index::AccountKey, it))).collect()
    }

    fn account_key(&self, platform: &str, id: &str) -> String {
        self.record_key(RecordKind::Account, platform, id)
    }

    fn user_key(&self, platform: &str, id: &str) -> String {
        self.record_key(RecordKind::User, platform, id)
    }

    fn api_key_key(&self, platform: &str, id: &str) -> String {
        self.record_key(RecordKind::Key, platform, id)
    }

    fn record_key(&self, kind: RecordKind, platform: &str, id: &str) -> String {
        // Each verdict names some, and to format them costs several times as much.
        ["pc:", kind.letter(), ":", platform, ":", id].concat()
    }

    fn index_key(&self, platform: &str, index: Index, digest: &Digest) -> String {
        let digest = digest.to_string();
        ["pc:i:", platform, ":", index.name(), ":", &digest].concat()
    }

    async fn stored<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        let value = self.value(key).await?;
        value.map(|it| decode(key, &it)).transpose()
    }

    async fn value(&self, key: &str) -> Result<Option<Bytes>, Fault> {
        let mut values = self.values(&[key.to_owned()]).await?;
        Ok(values.pop().flatten())
    }

    async fn values(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.0.store.get(keys).await.map_err(store_fault)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is used with map_err")]
fn store_fault(error: StoreError) -> Fault {
    Fault::new(Dependency::Store, error.to_string())
}
