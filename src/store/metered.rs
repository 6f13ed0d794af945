//! A store that tells how long each operation of another takes.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use prometheus_client::metrics::histogram::Histogram;

use crate::store::lease::Lease;
use crate::store::{Cursor, DeleteIf, Page, PutIf, Replicas, Sink, Store, StoreError};
use crate::telemetry::Metrics;

/// Passes every operation on, and notes its duration by its name, whether it succeeded or not.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    /// Of each operation that there was one of, so that none is looked for twice.
    durations: [OnceLock<Histogram>; Operation::Touch as usize + 1],
}

/// What a store is asked.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Confirm,
    Delete,
    Get,
    Put,
    PutAll,
    Scan,
    Touch,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Confirm => "confirm",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Put => "put",
            Self::PutAll => "put_all",
            Self::Scan => "scan",
            Self::Touch => "touch",
        }
    }
}

impl Metered {
    /// Puts the meter before a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            inner,
            metrics,
            durations: Default::default(),
        }
    }

    fn meter<'a, T: 'a>(
        &'a self,
        operation: Operation,
        work: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let done = work.await;
            let durations = self.durations[operation as usize]
                .get_or_init(|| self.metrics.store_durations(operation.name()));
            durations.observe(begun.elapsed().as_secs_f64());
            done
        })
    }
}

impl Store for Metered {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.meter(Operation::Get, self.inner.get(keys))
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.meter(Operation::Put, self.inner.put(key, value, condition, ttl))
    }

    fn put_all<'a>(
        &'a self,
        values: &'a [(String, Bytes)],
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.meter(Operation::PutAll, self.inner.put_all(values, ttl))
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.meter(Operation::Delete, self.inner.delete(key, condition))
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.meter(Operation::Touch, self.inner.touch(key, ttl))
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.meter(Operation::Add, self.inner.add(key, amount, ttl))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.meter(Operation::Scan, self.inner.scan(prefix, cursor))
    }

    fn confirm<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Replicas, StoreError>> {
        self.meter(Operation::Confirm, self.inner.confirm(key))
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
