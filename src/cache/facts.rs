//! What rules need to know besides the identity: where an account stands.
//!
//! Kept as outcomes are, with the generations of the records that were read, so that an account
//! that moves below another counts there at once. Loaded by whoever asks, since it is a few reads
//! and nothing to compute.

use std::sync::Arc;

use crate::cache::Cache;
use crate::credential::Fingerprint;
use crate::decision::Fault;
use crate::directory::generations::Notes;
use crate::directory::reads::Reads;
use crate::identity::Lineage;

/// A fact, and what it stands on.
#[derive(Debug)]
pub(super) struct Known {
    lineage: Arc<Lineage>,
    notes: Notes,
    /// The first millisecond in which it counts no more, in Unix milliseconds.
    ends: u64,
}

impl Cache {
    /// Tells where an account stands. One without a record stands below nobody.
    ///
    /// # Errors
    /// A fault when the store does not answer, or accounts stand below themselves.
    pub async fn lineage(
        &self,
        key: Fingerprint,
        platform: &str,
        account: &str,
    ) -> Result<Arc<Lineage>, Fault> {
        let key = key.as_u128();
        let directory = &self.0.directory;
        let now = self.now();
        let is_good = |it: &Known| now < it.ends && self.is_true(&it.notes, now);
        let known = self.0.lineages.get(&key);
        let known = known.or_else(|| self.0.strangers.get(&key));
        if let Some(known) = known.filter(|it| is_good(it)) {
            return Ok(Arc::clone(&known.lineage));
        }
        let reads = Reads::begin(directory, platform);
        let line = reads.lineage(account).await?;
        let lineage = Arc::new(Lineage {
            account: account.to_owned(),
            ancestors: line.into_iter().skip(1).map(|it| it.id).collect(),
        });
        let limits = &self.0.limits;
        let ttl = if lineage.ancestors.is_empty() {
            limits.denial_ttl
        } else {
            limits.ttl
        };
        let ends = now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let notes = reads.finish();
        if notes.are_complete() {
            let known = Known {
                lineage: Arc::clone(&lineage),
                notes,
                ends,
            };
            let into = if lineage.ancestors.is_empty() {
                &self.0.strangers
            } else {
                &self.0.lineages
            };
            into.insert(key, Arc::new(known));
        }
        Ok(lineage)
    }
}
