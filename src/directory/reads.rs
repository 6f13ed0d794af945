//! Reading the directory so that a verdict knows when it has become stale.
//!
//! A verdict is built from records. [`Reads`] notes the generation of each record's slot *before*
//! it reads it, absent records included; whoever keeps the verdict keeps the notes, and a change
//! of any of the records, seen by the store's watch, makes the notes differ. A load that was in
//! flight during the change is thus stale by construction. A scheme reads through here and
//! nowhere else; it sees only the records of its own platform.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use crate::credential::Secret;
use crate::decision::Fault;
use crate::directory::decoding::decode_all;
use crate::directory::records::{Account, ApiKey, User};
use crate::directory::{Directory, Index};
use crate::proof::Prover;
use crate::store::Change;

/// Slots of the generation table. Two records in one slot cost a miss, never a wrong verdict.
const SLOTS: usize = 65_536;

/// How many records a kept verdict may stand on. One that read more is used once and not kept.
const MAX_NOTES: usize = 8;

/// How often each record has changed, by slot, and all of them together.
pub struct Generations {
    slots: Box<[AtomicU64]>,
    global: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default)
                .take(SLOTS)
                .collect(),
            global: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations")
            .field("global", &self.global)
            .finish_non_exhaustive()
    }
}

impl Generations {
    /// Makes every verdict that stands on what changed stale.
    pub fn raise(&self, change: Change<'_>) {
        let counter = match change {
            Change::Everything => &self.global,
            Change::Key(key) => &self.slots[slot(key)],
        };
        counter.fetch_add(1, Ordering::Release);
    }

    /// Tells whether nothing that the notes were taken from has changed since.
    #[must_use]
    pub fn is_current(&self, notes: &Notes) -> bool {
        notes.global == self.global.load(Ordering::Acquire)
            && notes
                .records
                .iter()
                .all(|it| it.1 == self.slots[usize::from(it.0)].load(Ordering::Acquire))
    }

    fn begin(&self) -> Notes {
        Notes {
            global: self.global.load(Ordering::Acquire),
            records: Vec::new(),
            too_many: false,
        }
    }

    fn note(&self, notes: &mut Notes, key: &str) {
        let slot = slot(key);
        if notes.records.iter().any(|it| usize::from(it.0) == slot) {
            return;
        }
        if notes.records.len() == MAX_NOTES {
            notes.too_many = true;
            return;
        }
        let generation = self.slots[slot].load(Ordering::Acquire);
        notes.records.push((slot as u16, generation));
    }
}

fn slot(key: &str) -> usize {
    // Keys are not chosen by callers who gain by a collision, which costs one miss; no secret key.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % SLOTS
}

/// The generations that a verdict was built on.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    global: u64,
    records: Vec<(u16, u64)>,
    too_many: bool,
}

impl Notes {
    /// Tells whether the notes cover everything that was read, so that the verdict may be kept.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        !self.too_many
    }
}

/// One verdict's reads.
#[derive(Debug)]
pub struct Reads {
    directory: Directory,
    platform: String,
    notes: Mutex<Notes>,
}

impl Reads {
    /// Begins to read for one verdict about one platform's credential.
    #[must_use]
    pub fn begin(directory: &Directory, platform: &str) -> Self {
        let notes = Mutex::new(directory.generations().begin());
        Self {
            directory: directory.clone(),
            platform: platform.to_owned(),
            notes,
        }
    }

    /// Gives the notes, to be kept with the verdict.
    #[must_use]
    pub fn finish(self) -> Notes {
        self.notes
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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

    /// Gives an account by its id.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn account(&self, id: &str) -> Result<Option<Account>, Fault> {
        self.record(self.directory.account_key(&self.platform, id))
            .await
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
        let digests = self.directory.digests(&self.platform, index, values);
        let keys: Vec<_> = digests
            .iter()
            .map(|it| self.directory.index_key(&self.platform, index, it))
            .collect();
        let ids = self.hints(keys).await?;
        let keys: Vec<_> = ids
            .iter()
            .map(|it| self.directory.user_key(&self.platform, it))
            .collect();
        let users: Vec<Option<User>> = self.records(keys).await?;
        let confirms = |user: &User| {
            let claimed = self.directory.user_digests(&self.platform, user);
            claimed
                .iter()
                .any(|it| it.0 == index && digests.iter().any(|d| d.matches(&it.1)))
        };
        Ok(users.into_iter().flatten().filter(confirms).collect())
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
        Ok(self.records(vec![key]).await?.pop().flatten())
    }

    pub(super) async fn records<T: DeserializeOwned>(
        &self,
        keys: Vec<String>,
    ) -> Result<Vec<Option<T>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        {
            let mut notes = self
                .notes
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            for key in &keys {
                self.directory.generations().note(&mut notes, key);
            }
        }
        let found = self.directory.values(&keys).await?;
        decode_all(&keys, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_taken_before_a_change_are_stale_after_it() {
        let generations = Generations::default();
        let mut notes = generations.begin();
        generations.note(&mut notes, "pc:u:p:1");
        assert!(generations.is_current(&notes));
        generations.raise(Change::Key("pc:u:p:2"));
        assert!(generations.is_current(&notes));
        generations.raise(Change::Key("pc:u:p:1"));
        assert!(!generations.is_current(&notes));

        let notes = generations.begin();
        generations.raise(Change::Everything);
        assert!(!generations.is_current(&notes));
    }

    #[test]
    fn a_verdict_on_more_records_than_can_be_noted_says_so() {
        let generations = Generations::default();
        let mut notes = generations.begin();
        for index in 0..MAX_NOTES {
            generations.note(&mut notes, &format!("pc:u:p:{index}"));
        }
        generations.note(&mut notes, "pc:u:p:0");
        assert!(notes.are_complete());
        generations.note(&mut notes, "pc:u:p:one more");
        assert!(!notes.are_complete());
    }
}
