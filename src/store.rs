//! Where records live: a few operations on single keys, and word of what changed.
//!
//! Apart from the directory, which knows what a record is, so that one key schema runs on an
//! embedded file, on Redis, Sentinel, Cluster and Valkey. For that reason no operation touches two
//! keys at once: there are no transactions over keys and no order among writes to different keys.
//! Values are opaque bytes here, except that a counter reads as its decimal digits.

#[cfg(test)]
pub(crate) mod cut;
pub mod embedded;
pub mod lease;
pub mod metered;
pub mod recorded;
pub mod redis;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::store::lease::Lease;

/// The longest key, and the longest prefix of a scan, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// The longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// The longest lifetime; what should live longer is put without one.
pub const TTL_MAX: Duration = Duration::from_hours(24 * 36_525);

/// The highest count, which is the highest that Redis counts to (INCRBY is signed).
pub const COUNTER_MAX: u64 = i64::MAX.unsigned_abs();

/// A key-value store.
///
/// Every operation is atomic with its condition, whoever else is writing. A key whose lifetime is
/// over is absent to all of them. A key is 1 to [`KEY_BYTES_MAX`] bytes, a value at most
/// [`VALUE_BYTES_MAX`], a lifetime from a millisecond to [`TTL_MAX`]; anything else is
/// [`StoreError::Refused`] before the store is asked. After [`StoreError::Unavailable`] a write may
/// or may not have been made. Dropping the future of a write does not take the write back.
pub trait Store: fmt::Debug + Send + Sync {
    /// Reads several keys in one round trip, and answers in the order asked: `None` where absent.
    /// The answers are not a snapshot: a write in between may show in one and not in another.
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>>;

    /// Writes a value if the condition holds, and tells whether it did. The key then lives for
    /// `ttl`, or with `None` for ever, whatever lifetime it had before.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Writes several values in any case, each as [`Store::put`] does, in one round trip where that can be. For what changes
    /// no verdict: nobody may count on hearing of it. Where some fail, one error is told, and others may have been written.
    fn put_all<'a>(
        &'a self,
        values: &'a [(String, Bytes)],
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            for (key, value) in values {
                self.put(key, value, PutIf::Always, ttl).await?;
            }
            Ok(())
        })
    }

    /// Removes a key if it exists and the condition holds, and tells whether it did.
    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Lets a key live for `ttl` from now, whatever lifetime it had before, if it exists, and tells
    /// whether it does. Never brings one back.
    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Adds to a counter and gives the sum. An absent counter starts from 0 and lives for `ttl`;
    /// later additions leave its lifetime alone. Refused where the key holds no number and beyond
    /// [`COUNTER_MAX`].
    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Lists the keys that begin with `prefix`, page by page; begin without a cursor, go on with
    /// [`Page::next`] of the same prefix. Pages come in no order and may be empty before the last.
    /// A key that exists throughout is listed at least once, any other at most by chance.
    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Calls `sink` for every change from now on, until the store is dropped.
    ///
    /// Reported are values that were put, keys that were deleted, and keys whose lifetime ended,
    /// these no sooner than the store comes to clear them away. `touch` and `add` change no verdict,
    /// so nobody may count on hearing of them. Some reports may be superfluous. Where the change was
    /// made through this very value, an embedded store reports it before the writing call returns.
    /// The sink runs in the way of writes: it must be quick and must not panic.
    fn watch(&self, sink: Sink);

    /// Waits until a replica has whatever was written before, half a second at most, and tells how many there are and
    /// how many have it. Where there is one, `key` is written for that, for a moment. A store in one process has none.
    fn confirm<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Replicas, StoreError>> {
        let _ = key;
        Box::pin(async { Ok(Replicas::default()) })
    }

    /// Gives what is appended to a key to have one on each server: word of changes comes in order from each, and in none
    /// from several, so whoever wants to be heard after a change says it everywhere. Elsewhere than in a cluster it is one place,
    /// and nothing is appended. Empty while they are not known.
    fn places(&self) -> Vec<String> {
        vec![String::new()]
    }

    /// Gives what is appended to a key to have one that is kept where this one is, and lost where it is. Elsewhere than in a
    /// cluster all is kept in one place, and nothing is appended.
    fn share(&self, key: &str) -> &'static str {
        let _ = key;
        ""
    }

    /// Gives all that [`Store::share`] may give.
    fn shares(&self) -> Vec<&'static str> {
        vec![""]
    }

    /// Tells until when those who [watch](Store::watch) hear of every change, whoever makes it.
    fn lease(&self) -> Lease;

    /// Why it may lose what was written although nothing fails, in words for operators; `None` where it does not, or
    /// that is not known.
    fn evicts(&self) -> Option<String> {
        None
    }

    /// What it has to do without, although nothing fails, in words for operators; `None` where that is nothing.
    fn lacks(&self) -> Option<String> {
        None
    }

    /// Tells whether the store has answered at least once since it was made, whatever became of it
    /// then. One inside the process always has.
    fn was_reached(&self) -> bool {
        true
    }
}

/// Who else has what was written; see [`Store::confirm`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Replicas {
    /// How many are connected.
    pub connected: usize,
    /// How many of them have it.
    pub confirmed: usize,
}

/// Whoever is told of changes; see [`Store::watch`].
pub type Sink = Arc<dyn Fn(Change<'_>) + Send + Sync>;

/// All who are told.
#[derive(Default)]
struct Sinks(RwLock<Vec<Sink>>);

impl Sinks {
    fn add(&self, sink: Sink) {
        let mut sinks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        sinks.push(sink);
    }

    fn report(&self, change: Change<'_>) {
        // Copied, so that no lock is held while a sink runs.
        let sinks = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for sink in &sinks {
            sink(change);
        }
    }
}

/// When to write a value.
#[derive(Clone, Copy)]
pub enum PutIf<'a> {
    /// If the key does not exist.
    Absent,
    /// In any case.
    Always,
    /// If the key exists and holds exactly this.
    Equal(&'a [u8]),
}

impl fmt::Debug for PutIf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Always => "Always",
            Self::Equal(_) => "Equal(..)",
        })
    }
}

/// When to remove a key.
#[derive(Clone, Copy)]
pub enum DeleteIf<'a> {
    /// In any case.
    Always,
    /// If it holds exactly this.
    Equal(&'a [u8]),
}

impl fmt::Debug for DeleteIf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "Always",
            Self::Equal(_) => "Equal(..)",
        })
    }
}

/// What may have changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change<'a> {
    /// Anything: reports were lost, so all that was read counts as changed.
    Everything,
    /// This key.
    Key(&'a str),
}

/// A part of what a scan lists.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Keys, whole, with the prefix.
    pub keys: Vec<String>,
    /// Where to go on; `None` after the last page.
    pub next: Option<Cursor>,
}

/// A place in a scan; means something only to the store that gave it.
#[derive(Clone, Debug)]
pub struct Cursor(String);

/// Why a store did not answer. Names sizes and causes, never a value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// What is stored cannot be read, and will not be by trying again.
    #[error("the store is damaged or was not written by portcullis: {0}; restore it from a backup")]
    Corrupt(String),
    /// Its access rules forbid this to the user that it is logged in to as.
    #[error("the store forbids it: {0}; deploy/redis/users.acl has what each role needs")]
    Forbidden(String),
    /// Its file, of this name, belongs to another process.
    #[error(
        "the store {0} is open in another process, such as a running server: stop that one, or let \
         commands ask it by the `listen.control` that it was started with"
    )]
    InUse(String),
    /// The call is one that no store takes; a defect of the caller or of a record it met.
    #[error("the store refused the call: {0}")]
    Refused(String),
    /// It cannot be reached or written now; it says why, and what to do where that can be known.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
}

fn check_key(key: &str) -> Result<(), StoreError> {
    match key.len() {
        0 => Err(StoreError::Refused("a key must not be empty".to_owned())),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(too_long("key", bytes, KEY_BYTES_MAX)),
    }
}

fn check_prefix(prefix: &str) -> Result<(), StoreError> {
    match prefix.len() {
        0..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(too_long("prefix", bytes, KEY_BYTES_MAX)),
    }
}

fn check_value(value: &[u8]) -> Result<(), StoreError> {
    match value.len() {
        0..=VALUE_BYTES_MAX => Ok(()),
        bytes => Err(too_long("value", bytes, VALUE_BYTES_MAX)),
    }
}

fn too_long(what: &str, bytes: usize, limit: usize) -> StoreError {
    StoreError::Refused(format!(
        "a {what} of {bytes} bytes, at most {limit} are allowed"
    ))
}

/// Gives a lifetime in milliseconds, the unit in which stores count.
fn ttl_milliseconds(ttl: Duration) -> Result<u64, StoreError> {
    u64::try_from(ttl.as_millis())
        .ok()
        .filter(|milliseconds| *milliseconds > 0 && ttl <= TTL_MAX)
        .ok_or_else(|| {
            StoreError::Refused(format!(
                "a lifetime of {ttl:?}, from 1 ms to {} days are allowed",
                TTL_MAX.as_secs() / 86_400
            ))
        })
}

fn not_a_counter(key: &str) -> StoreError {
    StoreError::Refused(format!(
        "{key} does not hold a number that can be added to; delete it to count anew"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_condition_shows_no_value() {
        assert_eq!(format!("{:?}", PutIf::Equal(b"v")), "Equal(..)");
        assert_eq!(format!("{:?}", DeleteIf::Equal(b"v")), "Equal(..)");
    }
}
