//! What the records of a file say against what the directory already holds: accounts that are not
//! there, logins, links and secrets of others, and keys that are to keep a secret that is not there.
//!
//! Apart from the checks of the file alone because it asks the store, which may change meanwhile:
//! what slips through then is refused by the write itself. It writes nothing.

mod accounts;
mod links;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use crate::credential::Secret;
use crate::decision::Fault;
use crate::directory::decoding::decode_all;
use crate::directory::file::references::OTHER_ACCOUNT;
use crate::directory::file::{DirectoryFile, Entries};
use crate::directory::names::login_key;
use crate::directory::pepper::Digest;
use crate::directory::records::{Account, ApiKey, RecordKind, User};
use crate::directory::walk::Walk;
use crate::directory::writing::Record;
use crate::directory::{Directory, Index, MAX_HINTS};
use crate::document::{Document, Problem};

/// How many rows are looked up in one round trip.
const ROWS_AT_ONCE: usize = 256;

impl DirectoryFile {
    /// Tells every problem that the records have with the directory. `document` is what they were
    /// parsed from.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn check_stored(
        &self,
        document: &Document,
        directory: &Directory,
    ) -> Result<Vec<Problem>, Fault> {
        let mut problems = Vec::new();
        for entries in &self.platforms {
            let mut checks = Checks {
                document,
                directory,
                entries,
                problems: &mut problems,
            };
            checks.accounts().await?;
            checks.account_names().await?;
            checks.keys().await?;
            checks.key_users().await?;
            checks.logins().await?;
            checks.links().await?;
        }
        problems.sort_by_key(|it| it.line);
        Ok(problems)
    }

    /// Counts the records that the directory does not have.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn count_new(&self, directory: &Directory) -> Result<usize, Fault> {
        let mut new = 0;
        for entries in &self.platforms {
            let key = |kind, id: &String| directory.record_key(kind, &entries.platform, id);
            let accounts = entries.accounts.iter();
            let accounts = accounts.map(|it| key(RecordKind::Account, &it.record.id));
            let users = entries.users.iter();
            let users = users.map(|it| key(RecordKind::User, &it.record.id));
            let api_keys = entries.api_keys.iter();
            let api_keys = api_keys.map(|it| key(RecordKind::Key, &it.record.id));
            let keys: Vec<_> = accounts.chain(users).chain(api_keys).collect();
            for keys in keys.chunks(ROWS_AT_ONCE) {
                let found = directory.values(keys).await?;
                new += found.iter().filter(|it| it.is_none()).count();
            }
        }
        Ok(new)
    }
}

struct Checks<'a> {
    document: &'a Document,
    directory: &'a Directory,
    entries: &'a Entries,
    problems: &'a mut Vec<Problem>,
}

impl Checks<'_> {
    fn problem(&mut self, pointer: &str, message: &str) {
        let pointer = format!("/{}/{pointer}", self.entries.platform);
        self.problems.push(self.document.problem(&pointer, message));
    }

    /// A platform may do without account records; where it has some, all accounts are among them.
    async fn accounts(&mut self) -> Result<(), Fault> {
        let entries = self.entries;
        let accounts = entries.accounts.iter().map(|it| &it.record.parent);
        let users = entries.users.iter().map(|it| &it.record.account);
        let api_keys = entries.api_keys.iter().map(|it| &it.record.account);
        let named = (accounts.enumerate().map(|it| ("accounts", "parent", it)))
            .chain(users.enumerate().map(|it| ("users", "account", it)))
            .chain(api_keys.enumerate().map(|it| ("api_keys", "account", it)));
        let in_file: HashSet<_> = entries.accounts.iter().map(|it| &it.record.id).collect();
        let named = named.filter_map(|(list, key, (index, id))| {
            let id = id.as_ref().filter(|it| !in_file.contains(it))?;
            Some((format!("{list}/{index}/{key}"), id))
        });
        let named: Vec<_> = named.collect();
        let mut missing: Vec<_> = named.iter().map(|it| it.1.as_str()).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut absent = HashSet::new();
        for ids in missing.chunks(ROWS_AT_ONCE) {
            let found = self.records::<Account>(ids.iter().copied()).await?;
            let lost = ids.iter().zip(found).filter(|it| it.1.is_none());
            absent.extend(lost.map(|it| *it.0));
        }
        if absent.is_empty() || (in_file.is_empty() && !self.has_accounts().await?) {
            return Ok(());
        }
        for (pointer, _) in named.iter().filter(|it| absent.contains(it.1.as_str())) {
            self.problem(pointer, "there is no such account");
        }
        Ok(())
    }

    async fn has_accounts(&self) -> Result<bool, Fault> {
        let mut walk = Walk::<Account>::begin(self.directory, &self.entries.platform);
        while let Some(page) = walk.next().await? {
            if !page.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A key without a secret keeps its own; a secret is of one key.
    async fn keys(&mut self) -> Result<(), Fault> {
        let (directory, platform) = (self.directory, &self.entries.platform);
        let in_file: HashSet<_> = self
            .entries
            .api_keys
            .iter()
            .map(|it| &it.record.id)
            .collect();
        for (chunk, entries) in self.entries.api_keys.chunks(ROWS_AT_ONCE).enumerate() {
            let stored = self.records::<ApiKey>(entries.iter().map(|it| it.record.id.as_str()));
            let stored = stored.await?;
            let digests = |secret: &Option<Secret>| match secret {
                Some(it) => directory.digests(platform, Index::ApiKey, &[it.expose()]),
                None => Vec::new(),
            };
            let digests: Vec<_> = entries.iter().map(|it| digests(&it.secret)).collect();
            let named = self.named(Index::ApiKey, &digests).await?;
            for (index, entry) in entries.iter().enumerate() {
                let row = format!("api_keys/{}/secret", chunk * ROWS_AT_ONCE + index);
                if entry.secret.is_none() && stored[index].is_none() {
                    let message = "required, since the directory does not have this key";
                    self.problem(&row, message);
                }
                let others = named[index].iter().filter(|it| !in_file.contains(it));
                let others = self.records::<ApiKey>(others.map(String::as_str)).await?;
                let same = |it: ApiKey| Some(it.presented(&digests[index])?.id);
                if let Some(id) = others.into_iter().flatten().find_map(same) {
                    self.problem(&row, &format!("the same as of key {id} of the directory"));
                }
            }
        }
        Ok(())
    }

    /// A key acts for a user of its own account.
    async fn key_users(&mut self) -> Result<(), Fault> {
        let entries = self.entries;
        let in_file: HashSet<_> = entries.users.iter().map(|it| &it.record.id).collect();
        let named = entries.api_keys.iter().enumerate();
        let named = named.filter_map(|(index, entry)| {
            let user = entry.record.user.as_ref()?;
            (!in_file.contains(user)).then_some((index, &entry.record, user))
        });
        let named: Vec<_> = named.collect();
        for named in named.chunks(ROWS_AT_ONCE) {
            let users = self.records::<User>(named.iter().map(|it| it.2.as_str()));
            for ((index, key, _), user) in named.iter().zip(users.await?) {
                let message = match user {
                    Some(user) if key.may_act_for(user.account.as_deref()) => continue,
                    Some(_) => OTHER_ACCOUNT,
                    None => "there is no such user",
                };
                self.problem(&format!("api_keys/{index}/user"), message);
            }
        }
        Ok(())
    }

    /// Within an account a login is one user; over all accounts, no more users than an index entry
    /// names may share it.
    async fn logins(&mut self) -> Result<(), Fault> {
        let (directory, platform) = (self.directory, &self.entries.platform);
        let mut namesakes: BTreeMap<Cow<'_, [u8]>, Vec<(usize, &str)>> = BTreeMap::new();
        for (index, entry) in self.entries.users.iter().enumerate() {
            let user = &entry.record;
            for (field, name) in [("username", &user.username), ("email", &user.email)] {
                let Some(name) = name else { continue };
                let rows = namesakes.entry(login_key(name.as_bytes())).or_default();
                if rows.last().is_none_or(|it| it.0 != index) {
                    rows.push((index, field));
                }
            }
        }
        let in_file: HashSet<_> = self.entries.users.iter().map(|it| &it.record.id).collect();
        let namesakes: Vec<_> = namesakes.into_iter().collect();
        for logins in namesakes.chunks(ROWS_AT_ONCE) {
            let digest =
                |it: &(Cow<'_, [u8]>, _)| directory.digests(platform, Index::Login, &[&it.0]);
            let digests: Vec<_> = logins.iter().map(digest).collect();
            let named = self.named(Index::Login, &digests).await?;
            for ((login, rows), named) in logins.iter().zip(named) {
                let others: Vec<_> = named.iter().filter(|it| !in_file.contains(it)).collect();
                if !others.is_empty() {
                    self.namesakes(login, rows, &others).await?;
                }
            }
        }
        Ok(())
    }

    async fn namesakes(
        &mut self,
        login: &[u8],
        rows: &[(usize, &str)],
        others: &[&String],
    ) -> Result<(), Fault> {
        let stored = self
            .records::<User>(others.iter().map(|it| it.as_str()))
            .await?;
        let has_it = |user: &User| {
            let mut names = user.username.iter().chain(&user.email);
            names.any(|it| *login_key(it.as_bytes()) == *login)
        };
        let stored: Vec<_> = stored.into_iter().flatten().filter(has_it).collect();
        for (index, field) in rows {
            let account = &self.entries.users[*index].record.account;
            let same = stored.iter().find(|it| it.account == *account);
            if let Some(same) = same {
                let message = format!(
                    "the same login as user {} of the directory, in the same account",
                    same.id
                );
                self.problem(&format!("users/{index}/{field}"), &message);
            }
        }
        if let Some((index, field)) = rows.last()
            && rows.len() + others.len() > MAX_HINTS
        {
            let message = format!(
                "more than {MAX_HINTS} users of the file and the directory share this login"
            );
            self.problem(&format!("users/{index}/{field}"), &message);
        }
        Ok(())
    }

    /// Gives for each row the ids that the index names for its digests.
    async fn named(&self, index: Index, rows: &[Vec<Digest>]) -> Result<Vec<Vec<String>>, Fault> {
        let key = |it| self.directory.index_key(&self.entries.platform, index, it);
        let keys: Vec<_> = rows.iter().flatten().map(key).collect();
        let found = decode_all::<Vec<String>>(&keys, self.directory.values(&keys).await?)?;
        let mut found = found.into_iter();
        let mut ids = |digests: &Vec<Digest>| {
            let named = found.by_ref().take(digests.len());
            let mut all: Vec<String> = named.flatten().flatten().collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        Ok(rows.iter().map(&mut ids).collect())
    }

    async fn records<R: Record>(
        &self,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Vec<Option<R>>, Fault> {
        let key = |id| {
            self.directory
                .record_key(R::KIND, &self.entries.platform, id)
        };
        let keys: Vec<_> = ids.map(key).collect();
        decode_all(&keys, self.directory.values(&keys).await?)
    }
}
