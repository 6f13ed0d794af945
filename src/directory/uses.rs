//! When API keys were used last, about: for people, so that they find those that nobody needs.
//!
//! Noted where a key is verified, which happens once in a while for a key in use and not for each
//! request, and written beside that: nobody waits for it, and what cannot be written is forgotten.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::decision::Fault;
use crate::directory::Directory;
use crate::directory::reads::Reads;
use crate::directory::records::ApiKey;
use crate::store::PutIf;

/// A key's use is written once in so many seconds by each process.
const PERIOD: u64 = 60;

/// How long it is remembered.
const REMEMBERED: Duration = Duration::from_hours(24 * 366);

/// Of how many keys a process remembers that they were written.
const MAX_KEYS: usize = 20_000;

/// How many are written at once; further ones are forgotten.
const MAX_WRITES: usize = 32;

/// What a process has written lately.
pub(super) struct Uses {
    /// When, in Unix seconds, by a hash of the key's name in the store: of two keys that share one, a use may not be
    /// written.
    written: Mutex<HashMap<u64, u64>>,
    hashing: RandomState,
    writing: Arc<Semaphore>,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            written: Mutex::default(),
            hashing: RandomState::new(),
            writing: Arc::new(Semaphore::new(MAX_WRITES)),
        }
    }
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uses(..)")
    }
}

impl Uses {
    /// Tells whether a use is to be written now, and counts it as written.
    fn begin(&self, name: &str, now: u64) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.hashing.hash_one(name);
        let recent = |at: u64| now < at.saturating_add(PERIOD);
        if written.get(&name).is_some_and(|at| recent(*at)) {
            return false;
        }
        if written.len() >= MAX_KEYS {
            written.retain(|_, at| recent(*at));
        }
        if written.len() >= MAX_KEYS {
            return false;
        }
        written.insert(name, now);
        true
    }
}

impl Reads {
    /// Notes that a key is used now. It is written in the background, if at all.
    pub fn note_use(&self, key: &ApiKey) {
        let directory = self.directory();
        let (name, now) = (directory.last_use_key(self.platform(), &key.id), self.now());
        let uses = &directory.0.uses;
        let Ok(permit) = Arc::clone(&uses.writing).try_acquire_owned() else {
            return;
        };
        if !uses.begin(&name, now) {
            return;
        }
        let store = directory.shared_store();
        tokio::spawn(async move {
            let now = now.to_string();
            let put = store.put(&name, now.as_bytes(), PutIf::Always, Some(REMEMBERED));
            if let Err(error) = put.await {
                tracing::debug!("the use of an API key is not written down: {error}");
            }
            drop(permit);
        });
    }
}

impl Directory {
    /// Gives when each of these keys was used last, in Unix seconds, in their order; `None` where that
    /// is not known. Two processes may have written at once, so it may be a minute early.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn last_uses(&self, platform: &str, ids: &[&str]) -> Result<Vec<Option<u64>>, Fault> {
        let names = ids.iter().map(|it| self.last_use_key(platform, it));
        let found = self.values(&names.collect::<Vec<_>>()).await?;
        // It is for people to look at; what cannot be read is as good as not there.
        let seconds = |it: &[u8]| std::str::from_utf8(it).ok()?.parse().ok();
        Ok(found.iter().map(|it| seconds(it.as_deref()?)).collect())
    }

    fn last_use_key(&self, platform: &str, id: &str) -> String {
        format!("pcu:k:{platform}:{id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_minute_for_each_of_so_many_keys() {
        let uses = Uses::default();
        for (name, now, want) in [
            ("a", 1000, true),
            ("a", 1000, false),
            ("b", 1001, true),
            ("a", 1000 + PERIOD - 1, false),
            ("a", 1000 + PERIOD, true),
            ("a", 1001 + PERIOD, false),
            // The clock was set back.
            ("a", 900, false),
        ] {
            assert_eq!(uses.begin(name, now), want, "{name} {now}");
        }
        for key in 2..MAX_KEYS {
            assert!(uses.begin(&format!("k{key}"), 2000), "{key}");
        }
        assert!(uses.begin("one more", 2000), "in the place of old ones");
        for key in 0..2 {
            uses.begin(&format!("more{key}"), 2000);
        }
        assert!(!uses.begin("too many", 2000));
        assert!(uses.begin("too many", 2000 + PERIOD));
    }
}
