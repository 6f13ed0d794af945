//! What stands in the store beside records and their index: sessions, revocations, security settings
//! and the platform itself.

use std::collections::HashSet;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::decision::Fault;
use crate::directory::decoding::decode;
use crate::directory::operations::verify::Visit;
use crate::directory::operations::words::OperationError;
use crate::directory::pepper::{Digest, Standing};
use crate::directory::platforms::Platform;
use crate::directory::security::AuthModules;
use crate::directory::sessions::Session;
use crate::directory::{Directory, store_fault};
use crate::store::{Cursor, DeleteIf};

/// Everything whose key begins so, page by page, each key once.
pub(super) struct Pages {
    prefix: String,
    cursor: Option<Cursor>,
    ended: bool,
    seen: HashSet<String>,
}

impl Pages {
    pub(super) fn begin(prefix: String) -> Self {
        Self {
            prefix,
            cursor: None,
            ended: false,
            seen: HashSet::new(),
        }
    }

    /// Gives the next keys with their values; `None` at the end.
    pub(super) async fn next(
        &mut self,
        directory: &Directory,
    ) -> Result<Option<Vec<(String, Bytes)>>, Fault> {
        if self.ended {
            return Ok(None);
        }
        let page = directory.store().scan(&self.prefix, self.cursor.take());
        let mut page = page.await.map_err(store_fault)?;
        self.ended = page.next.is_none();
        self.cursor = page.next;
        page.keys.retain(|it| self.seen.insert(it.clone()));
        let values = directory.values(&page.keys).await?;
        let found = page.keys.into_iter().zip(values);
        Ok(Some(found.filter_map(|it| Some((it.0, it.1?))).collect()))
    }
}

impl Visit<'_> {
    /// Looks whether what sessions are made of can be read.
    pub(super) async fn sessions(&mut self) -> Result<(), OperationError> {
        self.readable::<Session>("session", "pc:s").await?;
        self.readable::<String>("session token", "pc:t").await?;
        self.readable::<IgnoredAny>("revocation", "pc:x").await
    }

    async fn readable<T: DeserializeOwned>(
        &mut self,
        kind: &str,
        begin: &str,
    ) -> Result<(), OperationError> {
        let prefix = format!("{begin}:{}:", self.platform);
        let mut pages = Pages::begin(prefix.clone());
        while let Some(page) = pages.next(self.directory).await? {
            for (key, value) in page {
                let name = key.strip_prefix(&prefix).unwrap_or_default();
                self.read::<T>(kind, name, &key, &value).await?;
                // Sessions are named by their users, what leads to them by digests.
                if let Ok(digest) = Digest::try_from(name) {
                    let standing = self.directory.peppers().standing(&digest);
                    self.verified.old_pepper += usize::from(standing == Standing::Old);
                }
            }
        }
        Ok(())
    }

    /// Tells whether a value can be read, and names it where not.
    async fn read<T: DeserializeOwned>(
        &mut self,
        kind: &str,
        name: &str,
        key: &str,
        value: &[u8],
    ) -> Result<bool, OperationError> {
        if decode::<T>(key, value).is_ok() {
            return Ok(true);
        }
        self.verified.unreadable += 1;
        self.found("unreadable", kind, name, key, false).await?;
        Ok(false)
    }

    /// Looks for what is said about logins of accounts that are gone: an account that came to bear
    /// the same id would have it said about it.
    pub(super) async fn security(&mut self) -> Result<(), OperationError> {
        const KIND: &str = "security settings";
        let prefix = self.directory.security_key(self.platform, "");
        let mut pages = Pages::begin(prefix.clone());
        while let Some(page) = pages.next(self.directory).await? {
            let id = |key: &str| key.strip_prefix(&prefix).unwrap_or_default().to_owned();
            let accounts = page.iter().map(|it| id(&it.0));
            let accounts = accounts.map(|it| self.directory.account_key(self.platform, &it));
            let accounts: Vec<_> = accounts.collect();
            let accounts = self.directory.values(&accounts).await?;
            for ((key, value), account) in page.iter().zip(accounts) {
                let id = id(key);
                let is_read = self.read::<AuthModules>(KIND, &id, key, value).await?;
                if account.is_some() || !is_read {
                    continue;
                }
                self.verified.orphaned += 1;
                let mut repaired = false;
                if self.repair {
                    let deleted = self.directory.store().delete(key, DeleteIf::Equal(value));
                    repaired = deleted.await.map_err(store_fault)?;
                }
                self.found("orphaned", KIND, &id, key, repaired).await?;
            }
        }
        Ok(())
    }

    /// Looks whether what holds for the platform as a whole can be read.
    pub(super) async fn platform(&mut self) -> Result<(), OperationError> {
        let name = self.platform;
        let key = self.directory.platform_key(name);
        if let Some(value) = self.directory.value(&key).await? {
            self.read::<Platform>("platform", name, &key, &value)
                .await?;
        }
        Ok(())
    }
}
