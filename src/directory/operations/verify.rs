//! Looking through the store for what does not fit together, and putting right what can be.
//!
//! Nothing found here ever admits anybody: a hint counts only if its record confirms it. What is
//! found is litter, or a record that its owner cannot be found by. A record that cannot be read is
//! only named: it is for a backup to bring back. What stands under a pepper that is not configured
//! is left alone too, since the configuration may be what is wrong. Only the platforms of the
//! configuration are looked through.

mod others;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::decision::Fault;
use crate::directory::decoding::{decode, key_digest};
use crate::directory::index::{Most, most_hints};
use crate::directory::operations::send;
use crate::directory::operations::verify::others::Pages;
use crate::directory::operations::words::{Line, OperationError};
use crate::directory::pepper::{Digest, Standing};
use crate::directory::records::{Account, ApiKey, RecordKind, User};
use crate::directory::walk::Walk;
use crate::directory::writing::Record;
use crate::directory::{Directory, Index, store_fault};
use crate::store::DeleteIf;

/// What was found, in numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Verified {
    /// Records looked at.
    pub records: usize,
    /// Index entries looked at.
    pub index_entries: usize,
    /// Ids in index entries that no record confirms, and security settings of no account.
    pub orphaned: usize,
    /// Records that an index entry lacks.
    pub unindexed: usize,
    /// What cannot be read: records, index entries, what sessions are made of, security settings and
    /// what holds for a platform.
    pub unreadable: usize,
    /// Records and index entries under a pepper that is not configured.
    pub unknown_pepper: usize,
    /// Records, sessions and revocations under a pepper that is not the newest. Of records, the next
    /// import that brings the secret renews them, or a rotation; the others end by themselves.
    pub old_pepper: usize,
    /// Whether the store was let forget peppers under which nothing stands any more.
    #[serde(default)]
    pub old_peppers_forgotten: bool,
    /// How many of the findings were put right.
    pub repaired: usize,
    /// Legacy forms of passwords, by platform.
    pub legacy: BTreeMap<String, Legacy>,
}

/// How many users have a legacy form of their password stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Legacy {
    /// MD5 of `login@domain:domain:password` (SIP).
    pub ha1b: usize,
    /// MD5 of `username:password`.
    pub md5: usize,
    /// SHA-1 of `username:password`.
    pub sha1: usize,
}

impl Verified {
    /// How many findings are still so.
    #[must_use]
    pub fn left(&self) -> usize {
        let found = self.orphaned + self.unindexed + self.unreadable + self.unknown_pepper;
        found.saturating_sub(self.repaired)
    }
}

/// Looks through the platforms; each finding is a row.
pub(super) async fn verify(
    directory: &Directory,
    platforms: impl Iterator<Item = &str>,
    repair: bool,
    lines: &mpsc::Sender<Line>,
) -> Result<Verified, OperationError> {
    let mut verified = Verified::default();
    for platform in platforms {
        let mut visit = Visit {
            directory,
            platform,
            repair,
            lines,
            verified: &mut verified,
        };
        // First, so that what is lost with an unreadable index entry is then written anew.
        visit.index().await?;
        visit.records::<Account>().await?;
        visit.records::<ApiKey>().await?;
        visit.users().await?;
        visit.sessions().await?;
        visit.security().await?;
        visit.platform().await?;
    }
    if repair && verified.old_pepper + verified.unknown_pepper + verified.unreadable == 0 {
        verified.old_peppers_forgotten = directory.forget_old_peppers().await?;
    }
    Ok(verified)
}

struct Visit<'a> {
    directory: &'a Directory,
    platform: &'a str,
    repair: bool,
    lines: &'a mpsc::Sender<Line>,
    verified: &'a mut Verified,
}

impl Visit<'_> {
    async fn index(&mut self) -> Result<(), OperationError> {
        let prefix = format!("pc:i:{}:", self.platform);
        let mut pages = Pages::begin(prefix.clone());
        while let Some(page) = pages.next(self.directory).await? {
            self.index_page(&prefix, page).await?;
        }
        Ok(())
    }

    async fn index_page(
        &mut self,
        prefix: &str,
        page: Vec<(String, Bytes)>,
    ) -> Result<(), OperationError> {
        for (key, value) in &page {
            let name = key.strip_prefix(prefix).unwrap_or_default();
            let Some((index, digest)) = parse_index(name) else {
                continue;
            };
            self.verified.index_entries += 1;
            if self.directory.0.peppers.standing(&digest) == Standing::Unknown {
                self.verified.unknown_pepper += 1;
                self.found("unknown_pepper", "index entry", name, key, false)
                    .await?;
                continue;
            }
            let Ok(ids) = decode::<Vec<String>>(key, value) else {
                self.verified.unreadable += 1;
                let store = self.directory.store();
                let mut repaired = false;
                if self.repair {
                    let deleted = store.delete(key, DeleteIf::Equal(value)).await;
                    repaired = deleted.map_err(store_fault)?;
                }
                self.found("unreadable", "index entry", name, key, repaired)
                    .await?;
                continue;
            };
            for id in ids {
                match index.kind() {
                    RecordKind::Account => self.hint::<Account>(key, name, &id).await?,
                    RecordKind::Key => self.hint::<ApiKey>(key, name, &id).await?,
                    RecordKind::User => self.hint::<User>(key, name, &id).await?,
                }
            }
        }
        Ok(())
    }

    /// Looks whether the record confirms the hint.
    async fn hint<R: Record>(
        &mut self,
        key: &str,
        name: &str,
        id: &str,
    ) -> Result<(), OperationError> {
        let (directory, platform) = (self.directory, self.platform);
        let record_key = directory.record_key(R::KIND, platform, id);
        let value = directory.value(&record_key).await?;
        // Of an unreadable record nobody can tell what it confirms.
        let confirms = value.is_some_and(|it| {
            let record = decode::<R>(&record_key, &it);
            record.map_or(true, |it| {
                directory.hints(platform, &it).iter().any(|it| it == key)
            })
        });
        if confirms {
            return Ok(());
        }
        self.verified.orphaned += 1;
        if self.repair {
            directory.withdraw_hint::<R>(platform, key, id).await?;
        }
        self.found("orphaned", "index entry", name, key, self.repair)
            .await
    }

    async fn users(&mut self) -> Result<(), OperationError> {
        let legacy = self.records::<User>().await?;
        self.verified
            .legacy
            .insert(self.platform.to_owned(), legacy);
        Ok(())
    }

    async fn records<R: Verifiable>(&mut self) -> Result<Legacy, OperationError> {
        let mut legacy = Legacy::default();
        let mut walk = Walk::<R>::begin(self.directory, self.platform);
        while let Some(page) = walk.next().await? {
            for met in page {
                self.verified.records += 1;
                match met.record {
                    Some(record) => {
                        record.count_legacy(&mut legacy);
                        self.record(&record).await?;
                    }
                    None => {
                        self.verified.unreadable += 1;
                        let kind = R::KIND.to_string();
                        let key = self.directory.record_key(R::KIND, self.platform, &met.id);
                        self.found("unreadable", &kind, &met.id, &key, false)
                            .await?;
                    }
                }
            }
        }
        Ok(legacy)
    }

    async fn record<R: Record>(&mut self, record: &R) -> Result<(), OperationError> {
        let kind = R::KIND.to_string();
        let id = record.id();
        let key = self.directory.record_key(R::KIND, self.platform, id);
        let peppers = &self.directory.0.peppers;
        let digests = record.digests();
        let standings = digests.iter().map(|it| peppers.standing(it));
        let sealed = record.sealed().map(|it| peppers.standing_of_seal(it));
        let standings: Vec<_> = standings.chain(sealed).collect();
        if standings.contains(&Standing::Unknown) {
            self.verified.unknown_pepper += 1;
            self.found("unknown_pepper", &kind, id, &key, false).await?;
        }
        self.verified.old_pepper += usize::from(standings.contains(&Standing::Old));
        let hints = self.directory.hints(self.platform, record);
        if self.is_indexed(&hints, id).await? {
            return Ok(());
        }
        self.verified.unindexed += 1;
        if self.repair {
            self.directory.ensure_hints(&hints, id).await?;
        }
        self.found("unindexed", &kind, id, &key, self.repair).await
    }

    async fn is_indexed(&self, hints: &[String], id: &str) -> Result<bool, Fault> {
        let values = self.directory.values(hints).await?;
        let names = |(key, value): (&String, Option<Bytes>)| {
            let ids = value.and_then(|it| decode::<Vec<String>>(key, &it).ok());
            let ids = ids.unwrap_or_default();
            // What does not fit into a list goes without.
            ids.iter().any(|it| it == id) || most_hints(key) == Most::Listed(ids.len())
        };
        Ok(hints.iter().zip(values).all(names))
    }

    async fn found(
        &mut self,
        finding: &str,
        kind: &str,
        name: &str,
        key: &str,
        repaired: bool,
    ) -> Result<(), OperationError> {
        self.verified.repaired += usize::from(repaired);
        let row = json!({
            "finding": finding,
            "platform": self.platform,
            "kind": kind,
            "digest": key_digest(key),
            "id": name,
            "repaired": repaired,
        });
        match row {
            Value::Object(row) => send(self.lines, Line::Row(row)).await,
            _ => Ok(()),
        }
    }
}

/// A record that is looked at.
trait Verifiable: Record {
    /// Counts the legacy forms in it.
    fn count_legacy(&self, _: &mut Legacy) {}
}

impl Verifiable for Account {}

impl Verifiable for ApiKey {}

impl Verifiable for User {
    fn count_legacy(&self, legacy: &mut Legacy) {
        legacy.ha1b += usize::from(self.ha1b.is_some());
        legacy.md5 += usize::from(self.md5.is_some());
        legacy.sha1 += usize::from(self.sha1.is_some());
    }
}

/// Reads what stands behind the platform in the name of an index entry.
fn parse_index(name: &str) -> Option<(Index, Digest)> {
    let (index, digest) = name.split_once(':')?;
    let index = Index::ALL.into_iter().find(|it| it.name() == index)?;
    Some((index, Digest::try_from(digest).ok()?))
}
