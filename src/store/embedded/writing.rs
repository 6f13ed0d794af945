//! One write transaction of the embedded store: the tables and what each operation does to them.
//!
//! Apart from the store so that everything here happens under redb's one writer, at one moment of
//! the clock, and is atomic for that reason. It neither commits nor reports: it says what changed.

use std::str;

use redb::{AccessGuard, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction};

use crate::store::{COUNTER_MAX, DeleteIf, PutIf};

/// When the entry ends, in Unix milliseconds ([`NEVER`]: it does not), and its value.
pub(super) type Entry = (u64, &'static [u8]);

pub(super) const ENTRIES: TableDefinition<'static, &str, Entry> = TableDefinition::new("entries");

/// The entries that end, by when: exactly one row for each, so that clearing needs no search.
pub(super) const EXPIRIES: TableDefinition<'static, (u64, &str), ()> =
    TableDefinition::new("expiries");

const NEVER: u64 = u64::MAX;

/// How many ended entries a write clears away. A write leaves at most one that will end, so a few
/// keep up, and none is made slow by the leavings of many.
pub(super) const CLEARED_PER_WRITE: usize = 16;

/// Reads an entry that has not ended by `now`.
pub(super) fn live<'t>(
    entries: &'t impl ReadableTable<&'static str, Entry>,
    key: &str,
    now: u64,
) -> Result<Option<AccessGuard<'t, Entry>>, StorageError> {
    Ok(entries.get(key)?.filter(|entry| entry.value().0 > now))
}

/// What must stand under a key for a write to happen; owned, since it goes to another thread.
pub(super) enum Condition {
    Absent,
    Always,
    Equal(Vec<u8>),
}

impl Condition {
    fn holds(&self, current: Option<&[u8]>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Always => true,
            Self::Equal(expected) => current == Some(expected),
        }
    }
}

impl From<PutIf<'_>> for Condition {
    fn from(condition: PutIf<'_>) -> Self {
        match condition {
            PutIf::Absent => Self::Absent,
            PutIf::Always => Self::Always,
            PutIf::Equal(expected) => Self::Equal(expected.to_vec()),
        }
    }
}

impl From<DeleteIf<'_>> for Condition {
    fn from(condition: DeleteIf<'_>) -> Self {
        match condition {
            DeleteIf::Always => Self::Always,
            DeleteIf::Equal(expected) => Self::Equal(expected.to_vec()),
        }
    }
}

/// The tables, open for writing, at one moment.
pub(super) struct Writing<'t> {
    entries: Table<'t, &'static str, Entry>,
    expiries: Table<'t, (u64, &'static str), ()>,
    now: u64,
    written: bool,
    changed: Vec<String>,
}

impl<'t> Writing<'t> {
    /// Opens the tables at `now`, in Unix milliseconds.
    pub(super) fn begin(transaction: &'t WriteTransaction, now: u64) -> Result<Self, redb::Error> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            expiries: transaction.open_table(EXPIRIES)?,
            now,
            written: false,
            changed: Vec::new(),
        })
    }

    /// Closes the tables. Gives the keys to report; `None` if there is nothing to commit.
    pub(super) fn finish(self) -> Option<Vec<String>> {
        self.written.then_some(self.changed)
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        value: &[u8],
        condition: &Condition,
        ttl: Option<u64>,
    ) -> Result<bool, redb::Error> {
        let holds = match live(&self.entries, key, self.now)? {
            Some(entry) => condition.holds(Some(entry.value().1)),
            None => condition.holds(None),
        };
        if holds {
            self.set(
                key,
                value,
                ttl.map_or(NEVER, |ttl| self.now.saturating_add(ttl)),
            )?;
            self.changed.push(key.to_owned());
        }
        Ok(holds)
    }

    pub(super) fn delete(&mut self, key: &str, condition: &Condition) -> Result<bool, redb::Error> {
        let holds = live(&self.entries, key, self.now)?
            .is_some_and(|entry| condition.holds(Some(entry.value().1)));
        if holds {
            self.remove(key)?;
        }
        Ok(holds)
    }

    pub(super) fn touch(&mut self, key: &str, ttl: u64) -> Result<bool, redb::Error> {
        let value = live(&self.entries, key, self.now)?.map(|entry| entry.value().1.to_vec());
        let Some(value) = value else {
            return Ok(false);
        };
        self.set(key, &value, self.now.saturating_add(ttl))?;
        Ok(true)
    }

    /// Gives the sum; `None`, with nothing written, if there is no number or it would be too high.
    pub(super) fn add(
        &mut self,
        key: &str,
        amount: u64,
        ttl: u64,
    ) -> Result<Option<u64>, redb::Error> {
        let (expires, count) = match live(&self.entries, key, self.now)? {
            Some(entry) => (entry.value().0, number(entry.value().1)),
            None => (self.now.saturating_add(ttl), Some(0)),
        };
        let sum = count
            .and_then(|count| count.checked_add(amount))
            .filter(|sum| *sum <= COUNTER_MAX);
        if let Some(sum) = sum {
            self.set(key, sum.to_string().as_bytes(), expires)?;
        }
        Ok(sum)
    }

    fn set(&mut self, key: &str, value: &[u8], expires: u64) -> Result<(), StorageError> {
        let replaced = self
            .entries
            .insert(key, (expires, value))?
            .map(|old| old.value().0);
        if let Some(replaced) = replaced {
            self.expiries.remove((replaced, key))?;
        }
        if expires != NEVER {
            self.expiries.insert((expires, key), ())?;
        }
        self.written = true;
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Result<(), StorageError> {
        let removed = self.entries.remove(key)?.map(|old| old.value().0);
        if let Some(expires) = removed {
            self.expiries.remove((expires, key))?;
        }
        self.written = true;
        self.changed.push(key.to_owned());
        Ok(())
    }

    /// Clears away some of what has ended; to be called for each write.
    pub(super) fn clear(&mut self) -> Result<(), StorageError> {
        let mut ended = Vec::new();
        let until = self.now.saturating_add(1);
        for row in self.expiries.range(..(until, ""))?.take(CLEARED_PER_WRITE) {
            ended.push(row?.0.value().1.to_owned());
        }
        ended.iter().try_for_each(|key| self.remove(key))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}
