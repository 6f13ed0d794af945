//! A store whose process dies after so many writes: what comes after them does not happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::store::{Cursor, DeleteIf, Page, PutIf, Sink, Store, StoreError};

/// Passes so many writes on, and then none any more.
#[derive(Debug)]
pub(crate) struct Cut {
    inner: Arc<dyn Store>,
    writes_left: AtomicUsize,
    then: fn() -> StoreError,
}

impl Cut {
    pub(crate) fn after(writes: usize, inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            writes_left: AtomicUsize::new(writes),
            then: dead,
        }
    }

    /// Passes none on, since that is forbidden.
    pub(crate) fn forbidding(inner: Arc<dyn Store>) -> Self {
        Self {
            then: || StoreError::Forbidden("no permissions".to_owned()),
            ..Self::after(0, inner)
        }
    }

    fn write(&self) -> Result<(), StoreError> {
        let less = |it: usize| it.checked_sub(1);
        let left = self
            .writes_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        left.map(|_| ()).map_err(|_| (self.then)())
    }
}

fn dead() -> StoreError {
    StoreError::Unavailable("the process is dead".to_owned())
}

impl Store for Cut {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.inner.get(keys)
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.write()?;
            self.inner.put(key, value, condition, ttl).await
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.write()?;
            self.inner.delete(key, condition).await
        })
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.write()?;
            self.inner.touch(key, ttl).await
        })
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.write()?;
            self.inner.add(key, amount, ttl).await
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.scan(prefix, cursor)
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

    fn lease(&self) -> crate::store::lease::Lease {
        self.inner.lease()
    }
}
