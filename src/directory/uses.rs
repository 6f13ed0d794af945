//! When API keys were used last, about: for people, so that they find those that nobody needs.
//!
//! Noted where a key is verified, which happens once in a while for a key in use and not for each
//! request, and written beside that, what comes within a moment together: nobody waits for it, and what cannot be written
//! is forgotten.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{mem, time::Duration};

use bytes::Bytes;
use tokio::sync::Mutex as AsyncMutex;

use crate::decision::Fault;
use crate::directory::Directory;
use crate::directory::reads::Reads;
use crate::directory::records::ApiKey;
use crate::store::Store;

/// A key's use is written once in so many seconds by each process.
const PERIOD: u64 = 60;

/// How long it is remembered.
const REMEMBERED: Duration = Duration::from_hours(24 * 366);

/// Of how many keys a process remembers that they were written.
const MAX_KEYS: usize = 20_000;

/// How long what comes is gathered before it is written.
const GATHERING: Duration = Duration::from_millis(100);

/// How many wait to be written; further ones are forgotten.
const MAX_WAITING: usize = 1024;

/// How many are written together.
const TOGETHER: usize = 128;

/// What a process has written lately.
pub(super) struct Uses {
    written: Mutex<Written>,
    hashing: RandomState,
}

#[derive(Default)]
struct Written {
    /// When, in Unix seconds, by a hash of the key's name in the store: of two keys that share one, a use may not be
    /// written.
    at: HashMap<u64, u64>,
    /// The second in which it was looked through for old ones, which is not worth it again before the next.
    swept: u64,
}

/// Uses that wait to be written: names in the store, and when in Unix seconds, as it is written.
#[derive(Default)]
pub(super) struct Waiting {
    uses: Mutex<Vec<(String, Bytes)>>,
    /// One writes at a time: where that is slow, others wait here and not in the way of what verifications ask.
    writing: AsyncMutex<()>,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            written: Mutex::default(),
            hashing: RandomState::new(),
        }
    }
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uses(..)")
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting(..)")
    }
}

impl Waiting {
    fn uses(&self) -> MutexGuard<'_, Vec<(String, Bytes)>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what there is.
    async fn write(&self, store: &dyn Store) {
        let _turn = self.writing.lock().await;
        let uses = mem::take(&mut *self.uses());
        for uses in uses.chunks(TOGETHER) {
            if let Err(error) = store.put_all(uses, Some(REMEMBERED)).await {
                tracing::debug!("the use of API keys is not written down: {error}");
            }
        }
    }
}

impl Uses {
    /// Tells whether a use is to be written now, and counts it as written.
    fn begin(&self, name: &str, now: u64) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.hashing.hash_one(name);
        let recent = |at: u64| now < at.saturating_add(PERIOD);
        if written.at.get(&name).is_some_and(|at| recent(*at)) {
            return false;
        }
        if written.at.len() >= MAX_KEYS && written.swept != now {
            written.at.retain(|_, at| recent(*at));
            written.swept = now;
        }
        if written.at.len() >= MAX_KEYS {
            return false;
        }
        written.at.insert(name, now);
        true
    }
}

impl Reads {
    /// Notes that a key is used now. It is written in the background, if at all.
    pub fn note_use(&self, key: &ApiKey) {
        let (directory, now) = (self.directory(), self.now());
        let name = directory.last_use_key(self.platform(), &key.id);
        let mut uses = directory.0.waiting.uses();
        if uses.len() >= MAX_WAITING || !directory.0.uses.begin(&name, now) {
            return;
        }
        uses.push((name, now.to_string().into()));
        // Whoever comes first has the others written as well.
        if uses.len() > 1 {
            return;
        }
        drop(uses);
        let (store, waiting) = (directory.shared_store(), Arc::clone(&directory.0.waiting));
        tokio::spawn(async move {
            tokio::time::sleep(GATHERING).await;
            waiting.write(&*store).await;
        });
    }
}

impl Directory {
    /// Writes what was noted of uses and waits to be written.
    pub async fn write_uses(&self) {
        self.0.waiting.write(self.store()).await;
    }

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
        ["pcu:k:", platform, ":", id].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::{Bench, START};

    #[tokio::test(start_paused = true)]
    async fn uses_are_written_after_a_moment_or_once_that_is_asked_for() {
        let bench = Bench::new();
        let note = |id: &str| {
            let id = id.to_owned();
            bench.reads("p").note_use(&ApiKey {
                id,
                ..ApiKey::default()
            });
        };
        let used = async || bench.directory.last_uses("p", &["a", "b", "c"]).await;
        note("a");
        note("b");
        assert_eq!(used().await.unwrap(), [None; 3]);
        tokio::time::sleep(2 * GATHERING).await;
        let now = Some(START);
        assert_eq!(used().await.unwrap(), [now, now, None]);
        note("c");
        bench.directory.write_uses().await;
        assert_eq!(used().await.unwrap(), [now; 3]);
    }

    #[tokio::test]
    async fn of_more_uses_than_may_wait_the_last_are_forgotten() {
        let bench = Bench::new();
        let reads = bench.reads("p");
        let ids: Vec<_> = (0..=MAX_WAITING).map(|it| it.to_string()).collect();
        for id in &ids {
            let id = id.clone();
            reads.note_use(&ApiKey {
                id,
                ..ApiKey::default()
            });
        }
        bench.directory.write_uses().await;
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let mut used = bench.directory.last_uses("p", &ids).await.unwrap();
        assert_eq!(used.pop(), Some(None));
        assert!(used.iter().all(Option::is_some));
    }

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
