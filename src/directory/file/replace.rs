//! One directory file in the place of another, in a store that a server has in use.
//!
//! Only what differs between the two is touched, so that what a command has done to a record stays
//! until its own row changes, and what commands and clients have added stays. New and changed records are
//! written before any is removed: whoever is in both files is known throughout. What was revoked of
//! a record that is removed is remembered, in case that it comes back.

use std::collections::HashMap;

use serde::Serialize;

use crate::credential::{Fingerprinter, Secret};
use crate::decision::{Dependency, Fault};
use crate::directory::decoding::decode;
use crate::directory::file::entries::{AccountEntry, KeyEntry, UserEntry};
use crate::directory::file::{DirectoryFile, Entries, Existing, Forms};
use crate::directory::records::{Account, ApiKey, RecordKind, User};
use crate::directory::writing::{Record, WRITE_ATTEMPTS};
use crate::directory::{Directory, store_fault};
use crate::store::DeleteIf;

/// What a directory was filled with.
#[derive(Debug)]
pub struct Filled {
    fingerprinter: Fingerprinter,
    /// The rows of the last file; `None` where it is not known whether one was written.
    rows: HashMap<RowName, Option<Row>>,
    removed: Removed,
}

/// A record's platform, kind and id.
type RowName = (String, RecordKind, String);

/// What tells a row from others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Row {
    said: u128,
    /// The forms in which its password was stored, where it may have one.
    forms: Forms,
}

/// Records that were removed, as they were.
#[derive(Debug, Default)]
struct Removed {
    accounts: HashMap<(String, String), Account>,
    users: HashMap<(String, String), User>,
    api_keys: HashMap<(String, String), ApiKey>,
}

/// What it came to that a file took another's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replaced {
    /// Records of the file.
    pub records: usize,
    /// Those of them that were new, or whose rows had changed.
    pub written: usize,
    /// Records that were removed.
    pub removed: usize,
}

impl Filled {
    /// With nothing yet.
    #[must_use]
    pub fn new(fingerprinter: Fingerprinter) -> Self {
        Self {
            fingerprinter,
            rows: HashMap::new(),
            removed: Removed::default(),
        }
    }
}

impl DirectoryFile {
    /// A file that holds nobody.
    #[must_use]
    pub fn nobody() -> Self {
        let platforms = Vec::new();
        Self { platforms }
    }

    /// Makes the directory hold what the file says instead of what it was filled with before. `forms`
    /// is as in [`DirectoryFile::import`].
    ///
    /// # Errors
    /// A fault when the store does not take it; what was written until then stays, and the next file
    /// is written whole.
    pub async fn replace(
        mut self,
        directory: &Directory,
        filled: &mut Filled,
        forms: impl Fn(&str) -> Forms,
    ) -> Result<Replaced, Fault> {
        let rows = self.rows(&filled.fingerprinter, &forms);
        let mut gone: Vec<_> = filled.rows.keys().cloned().collect();
        gone.retain(|it| !rows.contains_key(it));
        let known = |it: &RowName| filled.rows.get(it).copied().flatten();
        self.leave_out(|it| known(it) == rows[it]);
        let said = |it: Option<Row>| it.map(|it| it.said);
        let reformed = self.split_off(|it| said(known(it)) == said(rows[it]));
        let (records, written) = (rows.len(), self.len() + reformed.len());
        // Until all is done, nobody knows what is.
        let unknown = rows.keys().cloned().map(|it| (it, None));
        filled.rows.extend(unknown);
        for entries in &self.platforms {
            filled.removed.bring_back(directory, entries).await?;
        }
        // Their rows say what they said, so what commands did to their records stays.
        reformed
            .import(directory, Existing::KeepButForms, &forms, |_| ())
            .await?;
        self.import(directory, Existing::Replace, forms, |_| ())
            .await?;
        // A key before its user, a user before its account.
        gone.sort_by_key(|it| match it.1 {
            RecordKind::Key => 0,
            RecordKind::User => 1,
            RecordKind::Account => 2,
        });
        let removed = gone.len();
        for name in gone {
            filled.removed.take_out(directory, name).await?;
        }
        filled.rows = rows;
        Ok(Replaced {
            records,
            written,
            removed,
        })
    }

    fn rows(
        &self,
        by: &Fingerprinter,
        forms: &impl Fn(&str) -> Forms,
    ) -> HashMap<RowName, Option<Row>> {
        let mut rows = HashMap::new();
        for entries in &self.platforms {
            let platform = &entries.platform;
            let of_users = forms(platform);
            let mut add = |kind, id: &str, secrets: &[Option<&[u8]>], record: String| {
                let mut parts = vec![record.as_bytes()];
                for secret in secrets {
                    // An empty one is not the same as none.
                    let tag: &[u8] = if secret.is_some() { b"some" } else { b"none" };
                    parts.extend([tag, secret.unwrap_or_default()]);
                }
                let name = (platform.clone(), kind, id.to_owned());
                let said = by.of(&parts).as_u128();
                let forms = match kind {
                    RecordKind::User => of_users,
                    RecordKind::Account | RecordKind::Key => Forms::default(),
                };
                rows.insert(name, Some(Row { said, forms }));
            };
            let bytes = |it: &Option<Secret>| it.as_ref().map(|it| it.expose().to_vec());
            for AccountEntry { record, api_key } in &entries.accounts {
                let secret = bytes(api_key);
                add(
                    RecordKind::Account,
                    &record.id,
                    &[secret.as_deref()],
                    text(record),
                );
            }
            for entry in &entries.users {
                let secrets = [
                    &entry.password,
                    &entry.ha1b,
                    &entry.md5,
                    &entry.sha1,
                    &entry.totp,
                ];
                let secrets = secrets.map(bytes);
                let mut secrets: Vec<_> = secrets.iter().map(Option::as_deref).collect();
                secrets.push(entry.argon2.as_deref().map(str::as_bytes));
                add(
                    RecordKind::User,
                    &entry.record.id,
                    &secrets,
                    text(&entry.record),
                );
            }
            for KeyEntry { record, secret } in &entries.api_keys {
                let secret = bytes(secret);
                add(
                    RecordKind::Key,
                    &record.id,
                    &[secret.as_deref()],
                    text(record),
                );
            }
        }
        rows
    }

    fn leave_out(&mut self, is_known: impl Fn(&RowName) -> bool) {
        for Entries {
            platform,
            accounts,
            users,
            api_keys,
        } in &mut self.platforms
        {
            let is_new = |kind, id: &String| !is_known(&(platform.clone(), kind, id.clone()));
            accounts.retain(|it| is_new(RecordKind::Account, &it.record.id));
            users.retain(|it| is_new(RecordKind::User, &it.record.id));
            api_keys.retain(|it| is_new(RecordKind::Key, &it.record.id));
        }
    }

    /// Takes users out into a file of their own.
    fn split_off(&mut self, goes: impl Fn(&RowName) -> bool) -> Self {
        let mut platforms = Vec::new();
        for Entries {
            platform, users, ..
        } in &mut self.platforms
        {
            let goes = |it: &mut UserEntry| {
                goes(&(platform.clone(), RecordKind::User, it.record.id.clone()))
            };
            platforms.push(Entries {
                users: users.extract_if(.., goes).collect(),
                platform: platform.clone(),
                accounts: Vec::new(),
                api_keys: Vec::new(),
            });
        }
        Self { platforms }
    }
}

fn text(record: &impl Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

impl Removed {
    /// Puts records back that the entries bring again, switched off until they are written over.
    async fn bring_back(&mut self, to: &Directory, entries: &Entries) -> Result<(), Fault> {
        let platform = &entries.platform;
        let name = |id: &String| (platform.clone(), id.clone());
        for AccountEntry { record, .. } in &entries.accounts {
            if let Some(it) = self.accounts.get(&name(&record.id)) {
                let disabled = true;
                let it = Account {
                    disabled,
                    ..it.clone()
                };
                put_back(to, platform, it).await?;
                self.accounts.remove(&name(&record.id));
            }
        }
        for UserEntry { record, .. } in &entries.users {
            if let Some(it) = self.users.get(&name(&record.id)) {
                let disabled = true;
                let it = User {
                    disabled,
                    ..it.clone()
                };
                put_back(to, platform, it).await?;
                self.users.remove(&name(&record.id));
            }
        }
        for KeyEntry { record, .. } in &entries.api_keys {
            if let Some(it) = self.api_keys.get(&name(&record.id)) {
                let disabled = true;
                let it = ApiKey {
                    disabled,
                    ..it.clone()
                };
                put_back(to, platform, it).await?;
                self.api_keys.remove(&name(&record.id));
            }
        }
        Ok(())
    }

    /// Removes a record, and remembers it.
    async fn take_out(
        &mut self,
        of: &Directory,
        (platform, kind, id): RowName,
    ) -> Result<(), Fault> {
        match kind {
            RecordKind::Account => {
                let old = of.remove(&platform, &id).await?;
                self.accounts.extend(old.map(|it| ((platform, id), it)));
            }
            RecordKind::User => {
                let old = of.remove(&platform, &id).await?;
                self.users.extend(old.map(|it| ((platform, id), it)));
            }
            RecordKind::Key => {
                let old = of.remove(&platform, &id).await?;
                self.api_keys.extend(old.map(|it| ((platform, id), it)));
            }
        }
        Ok(())
    }
}

/// Writes a record, unless another has taken its place.
async fn put_back<R: Record>(to: &Directory, platform: &str, record: R) -> Result<(), Fault> {
    let id = record.id().to_owned();
    let keep = |old: Option<R>| Ok::<_, Fault>(old.unwrap_or_else(|| record.clone()));
    to.update(platform, &id, keep).await.map(drop)
}

impl Directory {
    /// Removes a record, then what it is found by, and gives it; `None` where it is not there.
    ///
    /// # Errors
    /// A fault when the store does not take it, or the record cannot be read.
    async fn remove<R: Record>(&self, platform: &str, id: &str) -> Result<Option<R>, Fault> {
        let key = self.record_key(R::KIND, platform, id);
        for _ in 0..WRITE_ATTEMPTS {
            let Some(old) = self.value(&key).await? else {
                return Ok(None);
            };
            let record: R = decode(&key, &old)?;
            let deleted = self.store().delete(&key, DeleteIf::Equal(&old)).await;
            if deleted.map_err(store_fault)? {
                for hint in self.hints(platform, &record) {
                    self.withdraw_hint::<R>(platform, &hint, id).await?;
                }
                return Ok(Some(record));
            }
        }
        let detail = "a record is being changed by too many writers at once";
        Err(Fault::new(Dependency::Internal, detail))
    }
}
