//! A store that tells how long each operation of another takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::future::BoxFuture;

use crate::store::lease::Lease;
use crate::store::{Cursor, DeleteIf, Page, PutIf, Replicas, Sink, Store, StoreError};
use crate::telemetry::Metrics;

/// Passes every operation on, and notes its duration by its name, whether it succeeded or not.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Metered {
    /// Puts the meter before a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn meter<'a, T: 'a>(
        &'a self,
        operation: &'static str,
        work: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let done = work.await;
            self.metrics
                .note_store_operation(operation, begun.elapsed());
            done
        })
    }
}

impl Store for Metered {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.meter("get", self.inner.get(keys))
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.meter("put", self.inner.put(key, value, condition, ttl))
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.meter("delete", self.inner.delete(key, condition))
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.meter("touch", self.inner.touch(key, ttl))
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.meter("add", self.inner.add(key, amount, ttl))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.meter("scan", self.inner.scan(prefix, cursor))
    }

    fn confirm<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Replicas, StoreError>> {
        self.meter("confirm", self.inner.confirm(key))
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

    fn evicts(&self) -> Option<String> {
        self.inner.evicts()
    }

    fn lacks(&self) -> Option<String> {
        self.inner.lacks()
    }

    fn was_reached(&self) -> bool {
        self.inner.was_reached()
    }
}
