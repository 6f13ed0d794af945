//! What of that which is remembered still counts, and how long it may.
//!
//! Apart from how it is come by. Two things make it untrue: a change, which the generations show, and that nobody would
//! tell of one, which the store's lease shows.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::ahead::Renewal;
use crate::cache::{Cache, Inner, Outcome, milliseconds};
use crate::credential::Fingerprint;
use crate::decision::{Dependency, Fault};
use crate::directory::accounts::REMEMBERED;
use crate::directory::generations::Notes;
use crate::identity::Holder;

/// How long what was read counts while nobody tells of changes that others make, in milliseconds.
const UNTOLD: u64 = 1000;

/// Tells whether so little time has passed since `begun` that nobody need tell of changes. If the clock was set back since,
/// nobody knows.
fn is_new(begun: u64, now: u64) -> bool {
    now.checked_sub(begun).is_some_and(|it| it < UNTOLD)
}

impl Cache {
    /// Tells whether the credential was good when it was verified last, within an hour: whoever presents
    /// it has not made it up. It may be good no more, and admits nobody.
    #[must_use]
    pub fn was_good(&self, key: Fingerprint) -> bool {
        self.0.good.knows(key.as_u128(), self.now())
    }

    /// Tells whether the credential was refused when it was verified, within an hour: whoever presents it again learns
    /// nothing new.
    #[must_use]
    pub fn was_refused(&self, key: Fingerprint) -> bool {
        self.0.refused.knows(key.as_u128(), self.now())
    }

    /// Gives whose the credential was, although that is known no more: where the store fails, word of changes
    /// may be lost for a while longer than it is relied on otherwise. Never what has expired or is known to have
    /// changed, and never what another server is asked about.
    #[must_use]
    pub fn stale(&self, key: Fingerprint, fault: &Fault) -> Option<Arc<Holder>> {
        let Inner {
            limits, directory, ..
        } = &*self.0;
        let now = self.now();
        let entry = self.0.identities.get(&key.as_u128())?;
        let relied_on = directory.lease().end();
        let identity = entry.outcome.as_ref().ok()?;
        let is_good = fault.dependency() == Dependency::Store
            && now < relied_on.saturating_add(milliseconds(limits.stale_if_fault))
            && identity
                .expires()
                .is_none_or(|it| now < it.saturating_mul(1000))
            && (!entry.is_capped || now < entry.ends())
            && directory.generations().is_current(&entry.notes);
        is_good.then(|| Arc::clone(identity))
    }

    /// Tells whether what was read counts still: nothing of it has changed as far as it is
    /// told, and changes are told, or it is too new for that to matter.
    pub(super) fn is_true(&self, notes: &Notes, now: u64) -> bool {
        let directory = &self.0.directory;
        let is_told = directory.lease().holds(now) || is_new(notes.begun(), now);
        // Last: a lease that was just taken up counts for what was read since all was made untrue.
        is_told && directory.generations().is_current(notes)
    }

    /// Why changes are not told of, in words for operators; `None` where they are.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.directory.lease().trouble()
    }

    /// Why the store may lose what was written although nothing fails, in words for operators; `None` where it does not.
    #[must_use]
    pub fn evicts(&self) -> Option<String> {
        self.0.directory.store().evicts()
    }

    /// What the store has to do without, although nothing fails, in words for operators; `None` where that is nothing.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        self.0.directory.store().lacks()
    }

    /// Tells whether what was read counts for a grace after the last word of changes: not where there was never one, or
    /// where it cannot be relied on.
    #[must_use]
    pub fn has_grace(&self) -> bool {
        self.0.directory.lease().end() > 0
    }

    /// How lately an account must have been read so that it need not be read again for what counts so long at most: a tenth
    /// of that.
    pub(super) fn accounts_within(&self, cap: Option<Duration>) -> Duration {
        let ttl = self.0.limits.ttl;
        (cap.map_or(ttl, |it| it.min(ttl)) / 10).min(REMEMBERED)
    }

    /// How long an outcome is good, in milliseconds, and when it is verified anew before. What was
    /// learnt together must not end together, so an identity's lifetime is spread over a tenth
    /// either side, by its key.
    pub(super) fn lifetime(
        &self,
        now: u64,
        key: u128,
        outcome: &Outcome,
        cap: Option<Duration>,
    ) -> (u64, Option<Renewal>) {
        let Ok(identity) = outcome else {
            return (milliseconds(self.0.limits.denial_ttl), None);
        };
        let spread = 900 + u64::try_from(key % 201).expect("below 201");
        let ttl = milliseconds(self.0.limits.ttl) * spread / 1000;
        let ttl = cap.map_or(ttl, |it| milliseconds(it).min(ttl));
        let left = identity
            .expires()
            .map(|it| it.saturating_mul(1000).saturating_sub(now));
        match left {
            // To ask anew would not make it last longer.
            Some(left) if left <= ttl => (left, None),
            _ if cap.is_some() => (ttl, Some(Renewal::ahead_of(now, ttl))),
            _ => (ttl, None),
        }
    }
}
