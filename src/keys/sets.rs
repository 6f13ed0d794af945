//! The key sets of issuers that are in use, over several configurations.
//!
//! Whoever asks for one that is come by in the same way, for the same scheme of the same platform,
//! gets the same: so what an issuer said last outlives a reload, and its outage is not felt then.
//! They are in use as long as anybody has one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::keys::remote::{KeySet, Settings};
use crate::outbound::Outbound;
use crate::telemetry::FetchedKeySet;

/// The key sets in use. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct KeySets(Arc<Mutex<Vec<InUse>>>);

#[derive(Debug)]
struct InUse {
    /// The platform and the scheme: two have nothing in common, not even how often they may ask.
    whose: (String, String),
    set: Weak<KeySet>,
}

impl KeySets {
    /// Gives the set of a platform's scheme that is come by so, the one in use where there is one.
    /// All of these are asked for through one `outbound`.
    ///
    /// # Errors
    /// That the cryptography of this build does not work.
    pub fn get(
        &self,
        (platform, scheme): (&str, &str),
        settings: Settings,
        outbound: &Outbound,
    ) -> Result<Arc<KeySet>, &'static str> {
        let mut in_use = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|it| it.set.strong_count() > 0);
        let whose = (platform.to_owned(), scheme.to_owned());
        let theirs = in_use.iter().filter(|it| it.whose == whose);
        let mut theirs = theirs.filter_map(|it| it.set.upgrade());
        if let Some(set) = theirs.find(|it| it.is_come_by(&settings)) {
            return Ok(set);
        }
        let set = Arc::new(KeySet::new(settings, outbound)?);
        in_use.push(InUse {
            whose,
            set: Arc::downgrade(&set),
        });
        Ok(set)
    }

    /// Tells how each set in use stands whose keys were ever asked for.
    #[must_use]
    pub fn fetched(&self) -> Vec<FetchedKeySet> {
        let in_use = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fetched = in_use.iter().filter_map(|it| {
            let (fails, age) = it.set.upgrade()?.fetching()?;
            let (platform, scheme) = it.whose.clone();
            Some(FetchedKeySet {
                platform,
                scheme,
                fails,
                age,
            })
        });
        fetched.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::keys::Source;

    use super::*;

    fn settings(url: &str, keep: u64) -> Settings {
        Settings {
            issuer: "issuer".to_owned(),
            source: Source::KeySet(url.to_owned()),
            algorithms: Vec::new(),
            keep: Duration::from_secs(keep),
            cool_down: Duration::ZERO,
        }
    }

    #[test]
    fn a_set_is_the_same_as_long_as_it_is_in_use_and_come_by_in_the_same_way() {
        let (sets, outbound) = (KeySets::default(), Outbound::default());
        let get = |whose, url, keep| sets.get(whose, settings(url, keep), &outbound).unwrap();
        let (mine, url) = (("p", "s"), "https://a/keys");
        let first = get(mine, url, 1);
        let other = [
            get(("q", "s"), url, 1),
            get(("p", "t"), url, 1),
            get(mine, "https://b/keys", 1),
            get(mine, url, 2),
        ];
        assert!(other.iter().all(|it| !Arc::ptr_eq(it, &first)));
        // What was asked for besides and came to nothing does not push it out.
        drop(other);
        assert!(Arc::ptr_eq(&first, &get(mine, url, 1)));
        // Nobody has asked for a key.
        assert!(sets.fetched().is_empty());
        let gone = Arc::downgrade(&first);
        drop(first);
        assert!(gone.upgrade().is_none());
    }
}
