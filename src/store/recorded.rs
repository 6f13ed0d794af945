//! A store that remembers which keys of another are read, and changes nothing in it: for `explain`.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::store::lease::Lease;
use crate::store::{Cursor, DeleteIf, Page, PutIf, Replicas, Sink, Store, StoreError};

/// A key that was read. Its value is not kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// The key, which holds no credential and no personal data.
    pub key: String,
    /// Whether there was a value.
    pub found: bool,
}

/// Remembers the keys of reads that were answered, and refuses to write. What it remembers grows
/// until [`Recorded::take`]: for one decision, not for a server's all.
#[derive(Debug)]
pub struct Recorded {
    inner: Arc<dyn Store>,
    reads: Mutex<Vec<Read>>,
}

impl Recorded {
    /// Puts the recorder before a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let reads = Mutex::default();
        Self { inner, reads }
    }

    /// Gives what was read since the last call, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Read> {
        mem::take(&mut self.reads())
    }

    fn reads(&self) -> MutexGuard<'_, Vec<Read>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    let refused = "this store is only being looked at".to_owned();
    Box::pin(async { Err(StoreError::Refused(refused)) })
}

impl Store for Recorded {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        Box::pin(async move {
            let values = self.inner.get(keys).await?;
            let read = keys.iter().zip(&values).map(|(key, value)| Read {
                key: key.clone(),
                found: value.is_some(),
            });
            self.reads().extend(read);
            Ok(values)
        })
    }

    fn put<'a>(
        &'a self,
        _: &'a str,
        _: &'a [u8],
        _: PutIf<'a>,
        _: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        refused()
    }

    fn delete<'a>(
        &'a self,
        _: &'a str,
        _: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        refused()
    }

    /// Tells what a real one would, and extends nothing: a session that is only looked at is as good
    /// as in use, and not used by that.
    fn touch<'a>(&'a self, key: &'a str, _: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let values = self.get(&[key.to_owned()]).await?;
            Ok(values.iter().all(Option::is_some))
        })
    }

    fn add<'a>(
        &'a self,
        _: &'a str,
        _: u64,
        _: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        refused()
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.scan(prefix, cursor)
    }

    fn confirm<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Replicas, StoreError>> {
        refused()
    }

    fn places(&self) -> Vec<String> {
        self.inner.places()
    }

    fn share(&self, key: &str) -> &'static str {
        self.inner.share(key)
    }

    fn shares(&self) -> Vec<&'static str> {
        self.inner.shares()
    }

    fn watch(&self, sink: Sink) {
        self.inner.watch(sink);
    }

    fn lease(&self) -> Lease {
        self.inner.lease()
    }

    fn was_reached(&self) -> bool {
        self.inner.was_reached()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::clock::Clock;
    use crate::store::embedded::Embedded;

    #[tokio::test]
    async fn reads_are_remembered_and_nothing_is_written() {
        let inner = Arc::new(Embedded::memory(Clock::system()).unwrap());
        let ttl = Duration::from_secs(3600);
        let put = inner.put("a", b"1", PutIf::Always, Some(ttl)).await;
        assert!(put.unwrap());
        let store = Recorded::new(inner.clone());
        let read = |key: &str, found| Read {
            key: key.to_owned(),
            found,
        };
        store.get(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(store.take(), [read("a", true), read("b", false)]);
        assert_eq!(store.take(), []);
        assert!(store.put("b", b"1", PutIf::Always, None).await.is_err());
        assert!(store.delete("a", DeleteIf::Always).await.is_err());
        assert!(store.add("c", 1, ttl).await.is_err());
        let keys = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let there = inner.get(&keys).await.unwrap();
        let there: Vec<_> = there.iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, false]);
    }

    #[tokio::test]
    async fn a_touch_tells_whether_the_key_is_there_and_extends_nothing() {
        let now = Arc::new(AtomicU64::default());
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed))
        });
        let inner = Arc::new(Embedded::memory(clock).unwrap());
        let ttl = Duration::from_secs(1);
        let put = inner.put("a", b"1", PutIf::Always, Some(ttl)).await;
        assert!(put.unwrap());
        let store = Recorded::new(inner);
        assert_eq!(store.touch("a", 10 * ttl).await, Ok(true));
        assert_eq!(store.touch("b", 10 * ttl).await, Ok(false));
        let keys: Vec<_> = store.take().into_iter().map(|it| it.found).collect();
        assert_eq!(keys, [true, false]);
        now.store(2, Ordering::Relaxed);
        assert_eq!(store.touch("a", ttl).await, Ok(false));
    }
}
