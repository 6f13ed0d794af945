//! What the accounts of a file are found by, against what the directory's are.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use crate::decision::Fault;
use crate::directory::file::stored::{Checks, ROWS_AT_ONCE};
use crate::directory::names::{AccountName, account_names};
use crate::directory::pepper::Digest;
use crate::directory::records::Account;
use crate::directory::{Index, MAX_HINTS};

/// The accounts' indexes; with those by which one account is found.
const INDEXES: [(Index, bool); 4] = [
    (Index::AccountKey, true),
    (Index::AccountName, false),
    (Index::PhoneNumber, false),
    (Index::Realm, true),
];

/// A name, and the places of the file where it stands: by row, the last pointer within it.
type Shared<'a> = (Cow<'a, [u8]>, BTreeMap<usize, String>);

impl Checks<'_> {
    /// An API key and a realm are one account's; a name or a number may be shared, by no more
    /// accounts than an index entry names.
    pub(super) async fn account_names(&mut self) -> Result<(), Fault> {
        let entries = self.entries;
        for (index, is_of_one) in INDEXES {
            let mut shared: BTreeMap<Cow<'_, [u8]>, BTreeMap<usize, String>> = BTreeMap::new();
            for (row, entry) in entries.accounts.iter().enumerate() {
                let key = entry.api_key.iter().map(|it| AccountName {
                    index: Index::AccountKey,
                    field: "api_key".to_owned(),
                    value: Cow::Borrowed(it.expose()),
                });
                let names = account_names(&entry.record).into_iter().chain(key);
                for name in names.filter(|it| it.index == index) {
                    let pointer = format!("accounts/{row}/{}", name.field);
                    shared.entry(name.value).or_default().insert(row, pointer);
                }
            }
            let shared: Vec<_> = shared.into_iter().collect();
            for shared in shared.chunks(ROWS_AT_ONCE) {
                self.names_of_others(index, is_of_one, shared).await?;
            }
        }
        Ok(())
    }

    async fn names_of_others(
        &mut self,
        index: Index,
        is_of_one: bool,
        shared: &[Shared<'_>],
    ) -> Result<(), Fault> {
        let (directory, entries) = (self.directory, self.entries);
        let in_file: HashSet<_> = entries.accounts.iter().map(|it| &it.record.id).collect();
        let digest = |it: &Shared<'_>| directory.digests(&entries.platform, index, &[&it.0]);
        let digests: Vec<_> = shared.iter().map(digest).collect();
        let named = self.named(index, &digests).await?;
        for (((_, rows), digests), mut others) in shared.iter().zip(&digests).zip(named) {
            others.retain(|it| !in_file.contains(it));
            let Some(pointer) = rows.values().last().filter(|_| !others.is_empty()) else {
                continue;
            };
            if is_of_one {
                self.name_of_another(pointer, index, digests, &others)
                    .await?;
            } else if rows.len() + others.len() > MAX_HINTS {
                let message = format!(
                    "more than {MAX_HINTS} accounts of the file and the directory share it"
                );
                self.problem(pointer, &message);
            }
        }
        Ok(())
    }

    /// Adds a problem where one of these accounts confirms what the row at `pointer` claims.
    async fn name_of_another(
        &mut self,
        pointer: &str,
        index: Index,
        digests: &[Digest],
        ids: &[String],
    ) -> Result<(), Fault> {
        let (directory, platform) = (self.directory, &self.entries.platform);
        let accounts = self.records::<Account>(ids.iter().map(String::as_str));
        let mut accounts = accounts.await?.into_iter().flatten();
        if let Some(other) = accounts.find(|it| directory.confirms(platform, it, index, digests)) {
            let message = format!("the same as of account {} of the directory", other.id);
            self.problem(pointer, &message);
        }
        Ok(())
    }
}
