//! What holds for a platform as a whole: its generation, which every token and session carries, and
//! every key that acts for a user.
//!
//! Apart from the records of accounts and users because no file names it and nothing is found by it.

use serde::{Deserialize, Serialize};

use crate::decision::{Dependency, Fault};
use crate::directory::Directory;
use crate::directory::records::ApiKey;
use crate::directory::writing::WRITE_ATTEMPTS;

/// A platform as the directory knows it; one that has no record is as by default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Platform {
    /// Raised to revoke every token and session of the platform.
    pub generation: u64,
}

impl Directory {
    /// Gives a platform, for whoever is about to change it. Verdicts read through
    /// [`crate::directory::reads::Reads`].
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn platform(&self, name: &str) -> Result<Platform, Fault> {
        let record = self.stored(&self.platform_key(name)).await?;
        Ok(record.unwrap_or_default())
    }

    /// Raises a platform's generation, which revokes every token and session of it.
    ///
    /// # Errors
    /// A fault when the store does not take it: nothing is revoked then.
    pub async fn revoke_platform(&self, name: &str) -> Result<Platform, Fault> {
        let raise = |old: Option<Platform>| {
            let generation = old.unwrap_or_default().generation.saturating_add(1);
            Ok::<_, Fault>(Platform { generation })
        };
        let key = self.platform_key(name);
        let raised = self.swap(&key, None, WRITE_ATTEMPTS, raise).await?;
        raised.ok_or_else(|| {
            let detail = "a platform is being changed by too many writers at once";
            Fault::new(Dependency::Internal, detail)
        })
    }

    /// Gives the generations of the platform, the account and the user of a key as they are now, 0
    /// where there is none: the account is the user's, or the key's where the user has none. `None`
    /// where the key acts for no user.
    ///
    /// # Errors
    /// A fault when the store does not answer or a record cannot be read.
    pub(super) async fn key_generations(
        &self,
        platform: &str,
        key: &ApiKey,
    ) -> Result<Option<[u64; 3]>, Fault> {
        let Some(user) = &key.user else {
            return Ok(None);
        };
        let user = self.user(platform, user).await?.unwrap_or_default();
        let account = match user.account.as_ref().or(key.account.as_ref()) {
            Some(id) => self.account(platform, id).await?,
            None => None,
        };
        Ok(Some([
            self.platform(platform).await?.generation,
            account.map_or(0, |it| it.generation),
            user.generation,
        ]))
    }

    pub(super) fn platform_key(&self, name: &str) -> String {
        ["pc:p:", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use crate::directory::bench::Bench;

    #[tokio::test]
    async fn revoking_a_platform_raises_its_generation_and_no_others() {
        let bench = Bench::new();
        let generation = async |name: &str| {
            let read = bench.reads(name).platform_generation().await.unwrap();
            let stored = bench.directory.platform(name).await.unwrap().generation;
            assert_eq!(read, stored);
            read
        };
        assert_eq!(generation("p").await, 0);
        for want in [1, 2] {
            let raised = bench.directory.revoke_platform("p").await.unwrap();
            assert_eq!((raised.generation, generation("p").await), (want, want));
        }
        assert_eq!(generation("q").await, 0);
    }

    #[tokio::test]
    async fn whatever_was_read_is_stale_once_its_platform_is_revoked() {
        let bench = Bench::new();
        let (mine, others) = (bench.reads("p"), bench.reads("q"));
        for reads in [&mine, &others] {
            assert_eq!(reads.account("a").await.unwrap(), None);
        }
        let (mine, others) = (mine.finish(), others.finish());
        bench.directory.revoke_platform("p").await.unwrap();
        assert!(!bench.directory.generations().is_current(&mine));
        assert!(bench.directory.generations().is_current(&others));
    }
}
