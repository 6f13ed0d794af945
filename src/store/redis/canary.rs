//! How long word of a change takes, by a key that is changed for nothing else.
//!
//! It tells others three things: that its process is there, that it is told of changes, and which calls it has heard. A
//! call is a key that somebody writes behind a change; word comes in order, so who has heard the call has heard of
//! the change.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};
use tokio::sync::Notify;
use tokio::time;

use super::link::Link;
use super::reply;
use super::watch::Watched;

/// How long it lives when its process has gone, beyond the time for which what that process remembers may count: who is
/// not there relies on nothing any more.
const TTL: Duration = Duration::from_secs(5);
/// How long it may take to be written: word of changes does not wait for that.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many calls are answered together; whoever made an earlier one has long had its answer, or counts it as none.
const CALLS_MAX: usize = 16;
/// The longest name of a call that is answered, in bytes.
const CALL_BYTES_MAX: usize = 32;

/// Is told how long word of a change took.
pub type Lag = Arc<dyn Fn(Duration) + Send + Sync>;

/// A key that only this process writes, to see how long word of a change takes.
#[derive(Clone)]
pub(super) struct Canary(Arc<Flight>);

struct Flight {
    /// What its key begins with: all of it, but for a tag that keeps it on its server.
    name: String,
    /// `None` where no key can live on the server.
    key: RwLock<Option<Arc<str>>>,
    call_prefix: &'static str,
    begun: Instant,
    lag: Lag,
    /// In milliseconds.
    ttl: u64,
    /// Microseconds from `begun` to the release that is under way; 0 where none is.
    released: AtomicU64,
    /// The latest calls that were heard, the newest last.
    calls: Mutex<VecDeque<String>>,
    called: Notify,
}

/// What came of writing it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Release {
    Written,
    /// Where records are read and written there is a replica.
    AtReplica,
    Failed,
}

impl Canary {
    /// One of the process that calls itself so.
    pub(super) fn new(watched: &Watched, process: &str) -> Self {
        let name = format!("{}{process}", watched.canary_prefix);
        let counts = watched.grace.saturating_add(watched.stale);
        let ttl = counts.saturating_add(TTL).as_millis();
        Self(Arc::new(Flight {
            key: RwLock::new(Some(name.as_str().into())),
            name,
            call_prefix: watched.call_prefix,
            begun: Instant::now(),
            lag: Arc::clone(&watched.lag),
            ttl: u64::try_from(ttl).unwrap_or(u64::MAX),
            released: AtomicU64::new(0),
            calls: Mutex::default(),
            called: Notify::new(),
        }))
    }

    /// What its key begins with, and no other's.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    fn key(&self) -> Option<Arc<str>> {
        let key = self.0.key.read().unwrap_or_else(PoisonError::into_inner);
        key.clone()
    }

    /// Has it live where keys with this tag do; with `None` nowhere.
    pub(super) fn settle(&self, tag: Option<&str>) {
        let key = tag.map(|it| Arc::from(format!("{}{it}", self.0.name)));
        if self.key() == key {
            return;
        }
        *self.0.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        self.0.released.store(0, Ordering::Release);
        self.wake();
    }

    /// Writes it where records are read and written, with the calls that were heard.
    pub(super) async fn release(&self, link: &Link) -> Release {
        // Before its key is looked up: who settles it elsewhere after that awaits it no more.
        self.0.released.store(self.age().max(1), Ordering::Release);
        let Some(set) = self.written() else {
            return Release::Failed;
        };
        match time::timeout(PATIENCE, link.ask_one(&set)).await {
            Ok(Ok(Value::Okay)) => Release::Written,
            Ok(Ok(answer)) if reply::is_of_replica(&answer) => Release::AtReplica,
            Ok(_) | Err(_) => Release::Failed,
        }
    }

    /// The command that writes it.
    fn written(&self) -> Option<Pipeline> {
        let key = self.key()?;
        let calls = self.calls().iter().cloned().collect::<Vec<_>>().join(" ");
        let mut set = Pipeline::with_capacity(1);
        set.cmd("SET").arg(&*key).arg(calls);
        set.arg("PX").arg(self.0.ttl);
        Some(set)
    }

    /// Tells whether no word of the last release has come yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.released.load(Ordering::Acquire) != 0
    }

    /// Tells how long word of it took, and whether this was word of it. Word that comes again says nothing.
    pub(super) fn heard(&self, key: &str) -> bool {
        if !key.starts_with(self.name()) {
            return false;
        }
        // Where it lived before, it ends some time.
        if self.key().is_none_or(|it| *it != *key) {
            return true;
        }
        let released = self.0.released.swap(0, Ordering::AcqRel);
        if released != 0 {
            (self.0.lag)(Duration::from_micros(self.age().saturating_sub(released)));
        }
        true
    }

    /// Keeps in mind that a call was heard, if this is one, after everybody was told of what came before it. Costs no
    /// more however many come at once.
    pub(super) fn heed_call(&self, key: &str) {
        let Some(call) = key.strip_prefix(self.0.call_prefix) else {
            return;
        };
        let mut calls = self.calls();
        // Word of it comes again when it ends.
        if call.len() > CALL_BYTES_MAX || calls.iter().any(|it| it == call) {
            return;
        }
        if calls.len() == CALLS_MAX {
            calls.pop_front();
        }
        calls.push_back(call.to_owned());
        self.wake();
    }

    /// Has it written soon, so that its process is seen.
    pub(super) fn wake(&self) {
        self.0.called.notify_one();
    }

    /// Waits until it is to be written soon, such as for a call that it does not tell of.
    pub(super) async fn called(&self) {
        self.0.called.notified().await;
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn age(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn calls_are_told_once_and_no_more_of_them_than_a_few() {
        let canary = Canary::new(
            &Watched {
                prefix: "pc:",
                canary_prefix: "pcw:",
                call_prefix: "pc:n:",
                grace: Duration::from_secs(5),
                stale: Duration::from_secs(60),
                clock: Clock::system(),
                lag: Arc::new(|_| ()),
            },
            "process",
        );
        let told = || {
            let written = canary.written().expect("a key");
            let packed = written.get_packed_pipeline();
            String::from_utf8_lossy(&packed).into_owned()
        };
        for key in ["pc:u:mine:u-1", "pc:n:one", "pc:n:two", "pc:n:one"] {
            canary.heed_call(key);
        }
        assert!(told().contains("\r\none two\r\n"), "{}", told());
        // Longer than what the process remembers counts without word, or it would be taken for ended.
        assert!(told().contains("\r\nPX\r\n$5\r\n70000\r\n"), "{}", told());
        canary.heed_call(&format!("pc:n:{}", "x".repeat(CALL_BYTES_MAX + 1)));
        for number in 0..100_000 {
            canary.heed_call(&format!("pc:n:{number}"));
        }
        assert_eq!(canary.calls().len(), CALLS_MAX);
        assert!(told().contains(" 99998 99999\r\n"), "{}", told());
        assert!(!told().contains('x'));

        canary.settle(Some("{7}"));
        assert!(told().contains("\r\npcw:process{7}\r\n"), "{}", told());
        canary.settle(None);
        assert!(canary.written().is_none());
    }
}
