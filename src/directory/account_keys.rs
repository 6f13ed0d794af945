//! The API keys of an account, for whoever manages them.
//!
//! They are found by several index entries an account, over which they are spread by their ids: an
//! import that writes many at a time does not wait for one entry. No verdict stands on what is listed
//! here.

use std::collections::BTreeSet;

use crate::credential::Secret;
use crate::decision::Fault;
use crate::directory::decoding::decode_all;
use crate::directory::pepper::Digest;
use crate::directory::records::ApiKey;
use crate::directory::{Directory, Index};

/// Over how many index entries an account's keys are spread.
const PARTS: u8 = 16;

/// How many keys one of them names; what does not fit is not listed. So an account's list holds some
/// 16,000 keys, which is more than one shows page by page.
pub(super) const MAX_LISTED: usize = 1024;

/// How many keys are read in one round trip: few, since verdicts wait on the same connection.
const KEYS_AT_ONCE: usize = 16;

impl Directory {
    /// Gives an API key, if it is one of this account's.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn key_of_account(
        &self,
        platform: &str,
        account: &str,
        id: &str,
    ) -> Result<Option<ApiKey>, Fault> {
        let key: Option<ApiKey> = self.stored(&self.api_key_key(platform, id)).await?;
        Ok(key.filter(|it| it.is_of(account)))
    }

    /// Gives all API keys of an account that are listed, by id.
    ///
    /// # Errors
    /// A fault when the store does not answer or a record cannot be read.
    pub async fn keys_of_account(
        &self,
        platform: &str,
        account: &str,
    ) -> Result<Vec<ApiKey>, Fault> {
        let ids = self.key_ids_of_account(platform, account).await?;
        self.keys_of_account_among(platform, account, &ids).await
    }

    /// Gives those of these API keys, in this order, that are an account's.
    ///
    /// # Errors
    /// A fault when the store does not answer or a record cannot be read.
    pub async fn keys_of_account_among(
        &self,
        platform: &str,
        account: &str,
        ids: &[String],
    ) -> Result<Vec<ApiKey>, Fault> {
        let ids = ids.iter().map(|it| self.api_key_key(platform, it));
        let ids: Vec<_> = ids.collect();
        let mut keys = Vec::with_capacity(ids.len());
        for ids in ids.chunks(KEYS_AT_ONCE) {
            let found: Vec<Option<ApiKey>> = decode_all(ids, self.values(ids).await?)?;
            keys.extend(found.into_iter().flatten().filter(|it| it.is_of(account)));
        }
        Ok(keys)
    }

    /// Counts the API keys of an account, a little too many where some have just gone.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn count_keys_of_account(
        &self,
        platform: &str,
        account: &str,
    ) -> Result<usize, Fault> {
        let ids = self.key_ids_of_account(platform, account).await?;
        Ok(ids.len())
    }

    /// Gives a key's secret as records hold it, under the newest pepper.
    #[must_use]
    pub fn key_digest(&self, platform: &str, secret: &Secret) -> Digest {
        self.digest(platform, Index::ApiKey, &[secret.expose()])
    }

    /// Gives all that a record may hold where this is one of its secrets; see [`ApiKey::presented`].
    #[must_use]
    pub fn key_digests(&self, platform: &str, secret: &Secret) -> Vec<Digest> {
        self.digests(platform, Index::ApiKey, &[secret.expose()])
    }

    /// The index entries by which a key is listed, under each pepper.
    pub(super) fn listed(&self, platform: &str, key: &ApiKey) -> Vec<(Index, Digest)> {
        let Some(account) = &key.account else {
            return Vec::new();
        };
        let sum = key.id.bytes().fold(0, u8::wrapping_add);
        let digests = self.part(platform, account, sum % PARTS).into_iter();
        digests.map(|it| (Index::KeyAccount, it)).collect()
    }

    /// Gives the ids of all API keys of an account that are listed, in order: a few too many where some
    /// have just gone.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn key_ids_of_account(
        &self,
        platform: &str,
        account: &str,
    ) -> Result<Vec<String>, Fault> {
        let parts = (0..PARTS).flat_map(|it| self.part(platform, account, it));
        let parts = parts.map(|it| self.index_key(platform, Index::KeyAccount, &it));
        let parts: Vec<_> = parts.collect();
        let lists: Vec<Option<Vec<String>>> = decode_all(&parts, self.values(&parts).await?)?;
        let ids: BTreeSet<_> = lists.into_iter().flatten().flatten().collect();
        Ok(ids.into_iter().collect())
    }

    fn part(&self, platform: &str, account: &str, part: u8) -> Vec<Digest> {
        let values: [&[u8]; 2] = [account.as_bytes(), &[part]];
        self.digests(platform, Index::KeyAccount, &values)
    }
}

impl ApiKey {
    fn is_of(&self, account: &str) -> bool {
        self.account.as_deref() == Some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::Bench;
    use crate::store::PutIf;

    fn directory() -> Directory {
        Bench::new().directory
    }

    fn key(id: impl Into<String>, account: &str) -> ApiKey {
        ApiKey {
            id: id.into(),
            account: Some(account.into()),
            ..ApiKey::default()
        }
    }

    async fn listed(directory: &Directory, account: &str) -> Vec<String> {
        let keys = directory.keys_of_account("p", account).await.unwrap();
        keys.into_iter().map(|it| it.id).collect()
    }

    #[tokio::test]
    async fn an_account_lists_its_own_keys_and_only_those_that_say_so_themselves() {
        let directory = directory();
        for id in ["k-3", "k-1", "k-2"] {
            directory.put_api_key("p", &key(id, "a")).await.unwrap();
        }
        directory.put_api_key("p", &key("k-4", "b")).await.unwrap();
        directory.put_api_key("q", &key("k-5", "a")).await.unwrap();
        let nobodys = ApiKey {
            account: None,
            ..key("k-6", "")
        };
        directory.put_api_key("p", &nobodys).await.unwrap();
        assert_eq!(listed(&directory, "a").await, ["k-1", "k-2", "k-3"]);
        assert_eq!(listed(&directory, "b").await, ["k-4"]);
        assert_eq!(listed(&directory, "").await, [""; 0]);

        // It moves, and what named it before names it no more.
        directory.put_api_key("p", &key("k-2", "b")).await.unwrap();
        assert_eq!(listed(&directory, "a").await, ["k-1", "k-3"]);
        assert_eq!(listed(&directory, "b").await, ["k-2", "k-4"]);
        assert_eq!(directory.count_keys_of_account("p", "a").await.unwrap(), 2);

        // A stale entry names nothing.
        let hint = directory.hints("p", &key("k-4", "a")).pop().unwrap();
        let stale = br#"["k-4","gone"]"#;
        let put = directory.store().put(&hint, stale, PutIf::Always, None);
        put.await.unwrap();
        assert!(!listed(&directory, "a").await.contains(&"k-4".to_owned()));
        for (account, id, found) in [
            ("a", "k-1", true),
            ("b", "k-1", false),
            ("a", "k-4", false),
            ("a", "k-6", false),
            ("", "k-6", false),
        ] {
            let key = directory.key_of_account("p", account, id).await.unwrap();
            assert_eq!(key.is_some(), found, "{account} {id}");
        }
    }

    #[tokio::test]
    async fn a_key_is_written_also_where_the_list_of_its_account_is_full() {
        let directory = directory();
        let hint = directory.hints("p", &key("k", "a")).pop().unwrap();
        let full: Vec<_> = (0..MAX_LISTED).map(|it| format!("other-{it}")).collect();
        let full = serde_json::to_vec(&full).unwrap();
        let put = directory.store().put(&hint, &full, PutIf::Always, None);
        put.await.unwrap();
        directory.put_api_key("p", &key("k", "a")).await.unwrap();
        let found = directory.key_of_account("p", "a", "k").await.unwrap();
        assert!(found.is_some());
        assert_eq!(listed(&directory, "a").await, [""; 0]);
    }
}
