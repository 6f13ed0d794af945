//! Single tokens that are good no more, kept by digest until they would have ended anyway.
//!
//! Apart from generations, which kill every token of a user or account at once. Whoever revokes
//! and whoever asks name a token by the same parts, so a token is found under any pepper in force.

use std::time::Duration;

use serde::de::IgnoredAny;

use crate::decision::Fault;
use crate::directory::pepper::Digest;
use crate::directory::reads::Reads;
use crate::directory::{Directory, store_fault};
use crate::store::PutIf;

/// How much longer than its token an entry is kept, in seconds: the greatest leeway that a scheme
/// may grant to a token's end, and as much again for clocks that differ.
const SLACK: u64 = 120;

/// What a token's text is digested for.
const PRESENTED: &[u8] = b"presented token";

impl Directory {
    /// Tells whether a text is the token that was digested ([`Reads::text_digest`]), in constant time.
    #[must_use]
    pub fn is_text_of(&self, token: &str, digest: &Digest) -> bool {
        self.peppers().is_mac(PRESENTED, token.as_bytes(), digest)
    }

    /// Revokes the token of these parts, which ends at `until` in Unix seconds.
    ///
    /// # Errors
    /// A fault when the store does not take it: the token is not revoked then.
    pub async fn revoke(&self, platform: &str, parts: &[&[u8]], until: u64) -> Result<(), Fault> {
        let digest = self.0.peppers.digest(&revoked(platform, parts));
        self.revoke_digest(platform, &digest, until).await
    }

    /// Revokes the token that [`Reads::revocation_digest`] gave this digest for, likewise.
    ///
    /// # Errors
    /// A fault when the store does not take it: the token is not revoked then.
    pub async fn revoke_digest(
        &self,
        platform: &str,
        digest: &Digest,
        until: u64,
    ) -> Result<(), Fault> {
        let left = until.saturating_sub(self.clock().unix_seconds());
        let ttl = Duration::from_secs(left.saturating_add(SLACK)).min(crate::store::TTL_MAX);
        let key = self.revocation_key(platform, digest);
        self.store()
            .put(&key, b"1", PutIf::Always, Some(ttl))
            .await
            .map_err(store_fault)?;
        Ok(())
    }

    fn revocation_key(&self, platform: &str, digest: &Digest) -> String {
        format!("pc:x:{platform}:{digest}")
    }
}

impl Reads {
    /// Gives what the token of these parts is revoked by, without the parts: it tells nothing of
    /// them.
    #[must_use]
    pub fn revocation_digest(&self, parts: &[&[u8]]) -> Digest {
        let parts = revoked(self.platform(), parts);
        self.directory().0.peppers.digest(&parts)
    }

    /// Tells whether the token of this digest ([`Reads::revocation_digest`]) was revoked.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn is_digest_revoked(&self, digest: &Digest) -> Result<bool, Fault> {
        let key = self.directory().revocation_key(self.platform(), digest);
        let found: Option<IgnoredAny> = self.record(key).await?;
        Ok(found.is_some())
    }

    /// Digests the very text of a token, so that it can be told again without being kept.
    #[must_use]
    pub fn text_digest(&self, token: &str) -> Digest {
        let peppers = self.directory().peppers();
        peppers.mac(PRESENTED, token.as_bytes())
    }

    /// Tells whether the token of these parts was revoked.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn is_revoked(&self, parts: &[&[u8]]) -> Result<bool, Fault> {
        let directory = self.directory();
        let digests = directory
            .0
            .peppers
            .digests(&revoked(self.platform(), parts));
        let keys: Vec<_> = digests
            .iter()
            .map(|it| directory.revocation_key(self.platform(), it))
            .collect();
        let found: Vec<Option<IgnoredAny>> = self.records(keys).await?;
        Ok(found.iter().any(Option::is_some))
    }
}

fn revoked<'p>(platform: &'p str, parts: &[&'p [u8]]) -> Vec<&'p [u8]> {
    let mut all = vec![platform.as_bytes(), b"revoked"];
    all.extend_from_slice(parts);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::{Bench, START};

    #[tokio::test]
    async fn a_revoked_token_stays_so_until_it_has_ended_and_makes_verdicts_stale() {
        let bench = Bench::new();
        let parts: [&[u8]; 2] = [b"token", b"a.b.c"];
        let reads = bench.reads("p");
        assert!(!reads.is_revoked(&parts).await.unwrap());
        let notes = reads.finish();
        assert!(bench.directory.generations().is_current(&notes));

        let revoke = bench.directory.revoke("p", &parts, START + 60);
        revoke.await.unwrap();
        assert!(!bench.directory.generations().is_current(&notes));
        assert!(bench.reads("p").is_revoked(&parts).await.unwrap());
        let others: [(&str, &[&[u8]]); 3] = [
            ("q", &parts),
            ("p", &[b"jti", b"a.b.c"]),
            ("p", &[b"tokena.b.c"]),
        ];
        for (platform, parts) in others {
            assert!(!bench.reads(platform).is_revoked(parts).await.unwrap());
        }
        let other: [&[u8]; 2] = [b"jti", b"7"];
        let digest = bench.reads("p").revocation_digest(&other);
        let revoke = bench.directory.revoke_digest("p", &digest, START + 60);
        revoke.await.unwrap();
        assert!(bench.reads("p").is_revoked(&other).await.unwrap());
        assert!(!bench.reads("q").is_revoked(&other).await.unwrap());

        bench.pass(Duration::from_secs(60 + SLACK - 1));
        assert!(bench.reads("p").is_revoked(&parts).await.unwrap());
        bench.pass(Duration::from_secs(1));
        assert!(!bench.reads("p").is_revoked(&parts).await.unwrap());
    }
}
