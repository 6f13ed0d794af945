//! The store inside the process: a redb database in memory or in one file.
//!
//! Apart so that a server needs nothing beside it. The file belongs to one process; another that
//! opens it is turned away, so commands go through the running server. It has no replicas and keeps
//! no history.

mod group;
mod writing;

use std::{
    fmt,
    fs::OpenOptions,
    io, mem,
    ops::Bound,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, StorageBackend,
    backends::{FileBackend, InMemoryBackend},
};
use tokio::{sync::Mutex, task};

use self::{
    group::{Job, cut_off, job},
    writing::{Condition, ENTRIES, EXPIRIES, Entry, Writing, live},
};
use crate::{
    clock::Clock,
    store::{
        Cursor, DeleteIf, Page, PutIf, Sink, Sinks, Store, StoreError, check_key, check_prefix,
        check_value, lease::Lease, not_a_counter, ttl_milliseconds,
    },
};

/// Pages that redb keeps of a file; its own default is 1 GiB.
const FILE_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// In memory the cache is a second copy, so only enough to gather writes in.
const MEMORY_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// How many entries one call of `scan` looks at.
const PAGE_ENTRIES: usize = 500;

/// A store in this process. Lifetimes go by its clock.
pub struct Embedded {
    path: Option<PathBuf>,
    shared: Arc<Shared>,
    /// What the next transaction is to do.
    waiting: std::sync::Mutex<Vec<Box<dyn Job>>>,
    /// redb has one writer at a time; waiting here costs a task, waiting there a thread.
    turn: Arc<Mutex<()>>,
}

impl Embedded {
    /// Makes an empty store that is gone when it is dropped.
    ///
    /// # Errors
    /// Only if redb cannot set itself up.
    pub fn memory(clock: Clock) -> Result<Self, StoreError> {
        Self::over(InMemoryBackend::new(), MEMORY_CACHE_BYTES, None, clock).map_err(fault)
    }

    /// Opens the store in a file, which is made, for its owner only, if it does not exist. Blocks.
    /// Writing then needs a Tokio runtime, and is on the disk when the call returns.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the file is not a store, [`StoreError::Unavailable`] if it cannot
    /// be opened, [`StoreError::InUse`] if another process has it open.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let failed = |error: String| unusable(&format!("{}: {error}", path.display()));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| failed(error.to_string()))?;
        let backend = FileBackend::new(file).map_err(|error| failed(error.to_string()))?;
        let opened = Self::over(backend, FILE_CACHE_BYTES, Some(path.to_owned()), clock);
        opened.map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
            error => fault(error),
        })
    }

    fn over(
        backend: impl StorageBackend,
        cache_bytes: usize,
        path: Option<PathBuf>,
        clock: Clock,
    ) -> Result<Self, redb::Error> {
        let shared = Shared {
            clock,
            database: Database::builder()
                .set_cache_size(cache_bytes)
                .create_with_backend(backend)?,
            sinks: Sinks::default(),
        };
        shared.create_tables()?;
        Ok(Self {
            path,
            shared: Arc::new(shared),
            waiting: std::sync::Mutex::default(),
            turn: Arc::default(),
        })
    }

    /// Does `work` in a transaction with whatever else waits for one, and gives what it gave once that
    /// is on the disk. What has begun goes to its end even if the caller has gone.
    async fn write<T, J>(&self, work: J) -> Result<T, StoreError>
    where
        T: Send + 'static,
        J: FnOnce(&mut Writing<'_>) -> Result<T, redb::Error> + Send + 'static,
    {
        let (job, mut outcome) = job(work);
        self.waiting().push(job);
        let turn = tokio::select! {
            biased;
            told = &mut outcome => return told.unwrap_or_else(|_| Err(cut_off())),
            turn = Arc::clone(&self.turn).lock_owned() => turn,
        };
        let jobs = mem::take(&mut *self.waiting());
        let shared = Arc::clone(&self.shared);
        let run = move || {
            shared.write(jobs);
            drop(turn);
        };
        if self.path.is_none() {
            // Memory takes microseconds, less than the way to another thread and back.
            run();
        } else {
            // A panic is told by the outcome that never comes.
            let _ = task::spawn_blocking(run).await;
        }
        outcome.await.unwrap_or_else(|_| Err(cut_off()))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Box<dyn Job>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Embedded {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        Box::pin(async move {
            keys.iter().try_for_each(|key| check_key(key))?;
            self.shared.values(keys).map_err(fault)
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            check_value(value)?;
            let ttl = ttl.map(ttl_milliseconds).transpose()?;
            let (key, value) = (key.to_owned(), value.to_vec());
            let condition = Condition::from(condition);
            self.write(move |writing| writing.put(&key, &value, &condition, ttl))
                .await
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            let key = key.to_owned();
            let condition = Condition::from(condition);
            self.write(move |writing| writing.delete(&key, &condition))
                .await
        })
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            let ttl = ttl_milliseconds(ttl)?;
            let key = key.to_owned();
            self.write(move |writing| writing.touch(&key, ttl)).await
        })
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            let ttl = ttl_milliseconds(ttl)?;
            let owned = key.to_owned();
            let sum = self
                .write(move |writing| writing.add(&owned, amount, ttl))
                .await?;
            sum.ok_or_else(|| not_a_counter(key))
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            self.shared.page(prefix, cursor.as_ref()).map_err(fault)
        })
    }

    fn watch(&self, sink: Sink) {
        self.shared.sinks.add(sink);
    }

    fn lease(&self) -> Lease {
        Lease::endless()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a write takes along to another thread.
struct Shared {
    clock: Clock,
    database: Database,
    sinks: Sinks,
}

impl Shared {
    /// Makes the tables of a new database, since a reader cannot; checks those of an old one.
    fn create_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(EXPIRIES)?;
        Ok(transaction.commit()?)
    }

    fn entries(&self) -> Result<ReadOnlyTable<&'static str, Entry>, redb::Error> {
        Ok(self.database.begin_read()?.open_table(ENTRIES)?)
    }

    fn values(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, redb::Error> {
        let entries = self.entries()?;
        let now = self.clock.unix_milliseconds();
        let value = |key: &String| {
            let entry = live(&entries, key, now)?;
            Ok(entry.map(|entry| Bytes::copy_from_slice(entry.value().1)))
        };
        keys.iter().map(value).collect()
    }

    fn page(&self, prefix: &str, after: Option<&Cursor>) -> Result<Page, redb::Error> {
        let from = match after {
            Some(Cursor(key)) => Bound::Excluded(key.as_str()),
            None => Bound::Included(prefix),
        };
        let now = self.clock.unix_milliseconds();
        let mut page = Page::default();
        let range = self.entries()?.range::<&str>((from, Bound::Unbounded))?;
        for (index, entry) in range.enumerate() {
            let (key, entry) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            if entry.value().0 > now {
                page.keys.push(key.value().to_owned());
            }
            if index + 1 == PAGE_ENTRIES {
                page.next = Some(Cursor(key.value().to_owned()));
                break;
            }
        }
        Ok(page)
    }
}

/// Sorts what redb says by what one can do about it.
fn fault(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            unusable(&error.to_string())
        }
        error @ (redb::Error::Corrupted(_)
        | redb::Error::Io(_)
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::UpgradeRequired(_)) => StoreError::Corrupt(error.to_string()),
        error => unusable(&error.to_string()),
    }
}

fn unusable(why: &str) -> StoreError {
    let advice = "check that its file may be written and its disk has space left";
    StoreError::Unavailable(format!("{why}; {advice}"))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering},
        },
        time::UNIX_EPOCH,
    };

    use redb::ReadableTableMetadata;

    use super::*;
    use crate::store::embedded::writing::CLEARED_PER_WRITE;

    const MINUTE: Duration = Duration::from_secs(60);

    fn clock_at(seconds: &Arc<AtomicU64>) -> Clock {
        let seconds = Arc::clone(seconds);
        Clock::from_fn(move || UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::Relaxed)))
    }

    fn recorded(store: &Embedded) -> Arc<Mutex<Vec<String>>> {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&changes);
        store.watch(Arc::new(move |change| {
            let mut changes = sink.lock().expect("no test panics while it holds this");
            changes.push(format!("{change:?}"));
        }));
        changes
    }

    async fn set(store: &Embedded, key: &str, ttl: Option<Duration>) {
        let written = store.put(key, b"v", PutIf::Always, ttl).await;
        assert_eq!(written, Ok(true), "{key}");
    }

    fn rows(store: &Embedded) -> (u64, u64) {
        let transaction = store.shared.database.begin_read().expect("a read begins");
        let expiries = transaction.open_table(EXPIRIES).expect("the table exists");
        let entries = store.shared.entries().expect("the table exists");
        (
            entries.len().expect("a length"),
            expiries.len().expect("a length"),
        )
    }

    #[tokio::test]
    async fn changes_are_reported_before_the_write_returns_and_only_those_of_verdicts() {
        let store = Embedded::memory(Clock::system()).expect("a store");
        let changes = recorded(&store);
        let mut seen = 0;
        let mut news = move || {
            let changes = changes.lock().expect("no test panics while it holds this");
            let new = changes[seen..].to_vec();
            seen = changes.len();
            new
        };
        let reported = [r#"Key("k")"#];

        set(&store, "k", None).await;
        assert_eq!(news(), reported, "put");
        assert_eq!(store.put("k", b"w", PutIf::Absent, None).await, Ok(false));
        assert_eq!(store.delete("k", DeleteIf::Equal(b"w")).await, Ok(false));
        assert_eq!(store.touch("k", MINUTE).await, Ok(true));
        assert_eq!(store.add("count", 1, MINUTE).await, Ok(1));
        assert!(news().is_empty(), "refused conditions, touch and add");
        assert_eq!(store.delete("k", DeleteIf::Always).await, Ok(true));
        assert_eq!(news(), reported, "delete");
    }

    #[tokio::test]
    async fn one_write_clears_a_bounded_part_of_what_ended_and_the_next_go_on() {
        let seconds = Arc::default();
        let store = Embedded::memory(clock_at(&seconds)).expect("a store");
        for index in 0..CLEARED_PER_WRITE + 1 {
            set(&store, &format!("k{index}"), Some(MINUTE)).await;
        }
        seconds.store(60, Ordering::Relaxed);
        let changes = recorded(&store);

        set(&store, "other", None).await;
        assert_eq!(rows(&store), (2, 1));
        // A write that does nothing itself clears as well.
        assert_eq!(store.delete("absent", DeleteIf::Always).await, Ok(false));
        assert_eq!(rows(&store), (1, 0));
        let reports = changes
            .lock()
            .expect("no test panics while it holds this")
            .len();
        assert_eq!(reports, CLEARED_PER_WRITE + 2);
    }

    #[tokio::test]
    async fn an_entry_has_one_row_by_expiry_however_often_it_is_written() {
        let store = Embedded::memory(clock_at(&Arc::default())).expect("a store");
        set(&store, "k", Some(MINUTE)).await;
        set(&store, "k", Some(MINUTE * 2)).await;
        assert_eq!(store.touch("k", MINUTE * 3).await, Ok(true));
        assert_eq!(rows(&store), (1, 1));
        set(&store, "k", None).await;
        assert_eq!(rows(&store), (1, 0));
    }

    #[tokio::test]
    async fn a_file_keeps_what_was_written_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.redb");
        let store = Embedded::open(&path, Clock::system()).expect("a new file");
        set(&store, "k", None).await;
        drop(store);

        let store = Embedded::open(&path, Clock::system()).expect("the same file");
        let found = store.get(&["k".to_owned()]).await;
        assert_eq!(found, Ok(vec![Some(Bytes::from_static(b"v"))]));
        let mode = fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_opened_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| {
            let opened = Embedded::open(&folder.path().join(name), Clock::system());
            opened.map(|_| ()).expect_err(name)
        };
        fs::write(folder.path().join("text"), "not a store\n".repeat(1000)).expect("a file");
        let _owner =
            Embedded::open(&folder.path().join("taken"), Clock::system()).expect("a store");

        assert!(
            matches!(open("text"), StoreError::Corrupt(_)),
            "{}",
            open("text")
        );
        let taken = open("taken");
        assert!(matches!(taken, StoreError::InUse(_)), "{taken}");
        assert!(taken.to_string().contains("taken is open in another"));
        let nowhere = open("no/folder");
        assert!(matches!(nowhere, StoreError::Unavailable(_)), "{nowhere}");
        assert!(nowhere.to_string().contains("no/folder: No such file"));
    }

    #[tokio::test]
    async fn debug_shows_no_contents() {
        let store = Embedded::memory(Clock::system()).expect("a store");
        let written = store
            .put("hidden-key", b"hidden-value", PutIf::Always, None)
            .await;
        assert_eq!(written, Ok(true));
        assert_eq!(format!("{store:?}"), "Embedded { path: None, .. }");
    }
}
