//! A store that remembers which keys of another are read, and changes nothing in it: for `explain`.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::store::{Cursor, DeleteIf, Page, PutIf, Sink, Store, StoreError};

/// A key that was read. Its value is not kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// The key, which holds no credential and no personal data.
    pub key: String,
    /// Whether there was a value.
    pub found: bool,
}

/// Passes every operation on, so that a store in memory can be filled; from [`Recorded::begin`] on
/// it remembers the keys of reads that were answered, and refuses to write. What it remembers grows
/// until [`Recorded::take`]: not for a server.
#[derive(Debug)]
pub struct Recorded {
    inner: Arc<dyn Store>,
    /// `None` before it begins.
    reads: Mutex<Option<Vec<Read>>>,
}

impl Recorded {
    /// Puts the recorder before a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let reads = Mutex::default();
        Self { inner, reads }
    }

    /// Begins to remember reads and to refuse writes.
    pub fn begin(&self) {
        self.reads().get_or_insert_default();
    }

    /// Gives what was read since the last call, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Read> {
        self.reads().as_mut().map(mem::take).unwrap_or_default()
    }

    fn reads(&self) -> MutexGuard<'_, Option<Vec<Read>>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a write, unless this has begun.
    fn write<'a, T: Send + 'a>(
        &self,
        work: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        if self.reads().is_none() {
            return work;
        }
        let refused = "this store is only being looked at".to_owned();
        Box::pin(async { Err(StoreError::Refused(refused)) })
    }
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
            if let Some(reads) = self.reads().as_mut() {
                reads.extend(read);
            }
            Ok(values)
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.write(self.inner.put(key, value, condition, ttl))
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.write(self.inner.delete(key, condition))
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.write(self.inner.touch(key, ttl))
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.write(self.inner.add(key, amount, ttl))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.scan(prefix, cursor)
    }

    fn watch(&self, sink: Sink) {
        self.inner.watch(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::embedded::Embedded;

    #[tokio::test]
    async fn from_the_beginning_on_reads_are_remembered_and_nothing_is_written() {
        let inner = Arc::new(Embedded::memory(Clock::system()).unwrap());
        let store = Recorded::new(inner);
        let put = store.put("a", b"1", PutIf::Always, None).await;
        assert!(put.unwrap());
        store.get(&["a".to_owned()]).await.unwrap();
        assert_eq!(store.take(), []);

        store.begin();
        let read = |key: &str, found| Read {
            key: key.to_owned(),
            found,
        };
        store.get(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(store.take(), [read("a", true), read("b", false)]);
        assert_eq!(store.take(), []);
        let ttl = Duration::from_secs(1);
        assert!(store.put("b", b"1", PutIf::Always, None).await.is_err());
        assert!(store.delete("a", DeleteIf::Always).await.is_err());
        assert!(store.touch("a", ttl).await.is_err());
        assert!(store.add("c", 1, ttl).await.is_err());
        store.get(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(store.take(), [read("a", true), read("b", false)]);
    }
}
