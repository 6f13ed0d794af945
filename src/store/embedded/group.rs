//! Writes that share a transaction: one wait for the disk for all that came while it was busy.
//!
//! Apart from what a write does to the tables, and from who asks for it. A write is told of only
//! once the transaction that it is part of is on the disk, so sharing one costs no write its
//! durability; and each sees what those before it did, as if they had taken turns.

use tokio::sync::oneshot;

use super::writing::Writing;
use super::{Shared, fault};
use crate::store::{Change, StoreError};

/// A write that waits for a transaction.
pub(super) trait Job: Send {
    /// Whether whoever asked has gone, so that it need not begin.
    fn is_abandoned(&self) -> bool;

    /// Does it, within a transaction.
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), redb::Error>;

    /// Tells whoever asked what became of the transaction.
    fn tell(self: Box<Self>, became: Result<(), StoreError>);
}

/// A write, with whoever waits for what it gives.
struct Waiting<T, J> {
    work: Option<J>,
    given: Option<T>,
    asker: oneshot::Sender<Result<T, StoreError>>,
}

/// Makes a job of what is to be done, and gives where its outcome will be told.
pub(super) fn job<T, J>(work: J) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    J: FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send + 'static,
{
    let (asker, outcome) = oneshot::channel();
    let waiting = Waiting {
        work: Some(work),
        given: None,
        asker,
    };
    (Box::new(waiting), outcome)
}

impl<T, J> Job for Waiting<T, J>
where
    T: Send,
    J: FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.asker.is_closed()
    }

    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), redb::Error> {
        if let Some(work) = self.work.take() {
            self.given = Some(work(writing)?);
        }
        Ok(())
    }

    fn tell(self: Box<Self>, became: Result<(), StoreError>) {
        let Self { given, asker, .. } = *self;
        let outcome = became.and_then(|()| given.ok_or_else(cut_off));
        // Nobody to tell is nobody's failure: the write stays.
        let _ = asker.send(outcome);
    }
}

/// What a write is told that was not done to its end.
pub(super) fn cut_off() -> StoreError {
    StoreError::Unavailable("a write was cut off".to_owned())
}

impl Shared {
    /// Does the jobs in one transaction, all of them or none, and tells each of them.
    pub(super) fn write(&self, mut jobs: Vec<Box<dyn Job>>) {
        jobs.retain(|it| !it.is_abandoned());
        if jobs.is_empty() {
            return;
        }
        let became = self.commit(&mut jobs).map_err(fault);
        for job in jobs {
            job.tell(became.clone());
        }
    }

    fn commit(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut writing = Writing::begin(&transaction, self.clock.unix_milliseconds())?;
        for job in jobs {
            writing.clear()?;
            job.run(&mut writing)?;
        }
        let Some(changed) = writing.finish() else {
            return Ok(transaction.abort()?);
        };
        let committed = transaction.commit();
        // A commit that failed may have reached the disk nevertheless, so it is reported as well.
        for key in &changed {
            self.sinks.report(Change::Key(key));
        }
        Ok(committed?)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::clock::Clock;
    use crate::store::embedded::writing::Condition;
    use crate::store::embedded::{Embedded, FILE_CACHE_BYTES};
    use crate::store::{PutIf, Store};

    /// A disk that counts how often it was waited for.
    #[derive(Debug)]
    struct Disk(InMemoryBackend, Arc<AtomicUsize>);

    impl StorageBackend for Disk {
        fn len(&self) -> Result<u64, io::Error> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
            self.0.read(offset, out)
        }

        fn set_len(&self, len: u64) -> Result<(), io::Error> {
            self.0.set_len(len)
        }

        fn sync_data(&self) -> Result<(), io::Error> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
            self.0.write(offset, data)
        }
    }

    fn store() -> (Arc<Embedded>, Arc<AtomicUsize>) {
        let waits = Arc::default();
        let disk = Disk(InMemoryBackend::new(), Arc::clone(&waits));
        let path = Some("of a disk".into());
        let store = Embedded::over(disk, FILE_CACHE_BYTES, path, Clock::system()).unwrap();
        (Arc::new(store), waits)
    }

    fn put(
        key: &'static str,
        condition: PutIf<'static>,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<bool, StoreError>>) {
        job(move |it| it.put(key, b"v", &Condition::from(condition), None))
    }

    async fn is_there(store: &Embedded, key: &str) -> bool {
        store.get(&[key.to_owned()]).await.unwrap()[0].is_some()
    }

    #[tokio::test]
    async fn writes_that_come_while_the_disk_is_busy_share_the_next_wait() {
        let (store, waits) = store();
        let count = |before: usize| waits.load(Ordering::Relaxed) - before;
        let before = count(0);
        store.put("a", b"v", PutIf::Always, None).await.unwrap();
        let one = count(before);
        assert!(one > 0);

        let busy = Arc::clone(&store.turn).lock_owned().await;
        let before = count(0);
        let writes: Vec<_> = (0..20)
            .map(|number| {
                let store = Arc::clone(&store);
                let key = number.to_string();
                tokio::spawn(async move { store.put(&key, b"v", PutIf::Always, None).await })
            })
            .collect();
        while store.waiting().len() < writes.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(count(before), 0);
        drop(busy);
        for write in writes {
            assert_eq!(write.await.unwrap(), Ok(true));
        }
        assert_eq!(count(before), one);
    }

    #[tokio::test]
    async fn each_sees_what_those_before_it_did() {
        let (store, _) = store();
        let (first, won) = put("a", PutIf::Absent);
        let (second, lost) = put("a", PutIf::Absent);
        store.shared.write(vec![first, second]);
        assert_eq!(won.await.unwrap(), Ok(true));
        assert_eq!(lost.await.unwrap(), Ok(false));
    }

    #[tokio::test]
    async fn where_one_fails_none_is_done_and_all_are_told() {
        let (store, _) = store();
        let (first, done) = put("a", PutIf::Always);
        let (second, failed) =
            job::<bool, _>(|_| Err(redb::Error::Corrupted("in this test".to_owned())));
        let (third, never) = put("b", PutIf::Always);
        store.shared.write(vec![first, second, third]);
        for told in [done, failed, never] {
            assert!(matches!(told.await.unwrap(), Err(StoreError::Corrupt(_))));
        }
        assert!(!is_there(&store, "a").await && !is_there(&store, "b").await);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_does_not_begin() {
        let (store, _) = store();
        let (abandoned, gone) = put("a", PutIf::Always);
        drop(gone);
        let (other, done) = put("b", PutIf::Always);
        store.shared.write(vec![abandoned, other]);
        assert_eq!(done.await.unwrap(), Ok(true));
        assert!(!is_there(&store, "a").await && is_there(&store, "b").await);
    }
}
