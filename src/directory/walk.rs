//! Walking over all records of one kind, page by page.
//!
//! Apart from [`crate::directory::reads`] because no verdict stands on a walk: it is for operators.
//! A directory may be larger than memory, so a walk keeps the ids that it has met, since a store may
//! list one twice, and one page of records.

use std::collections::HashSet;
use std::marker::PhantomData;

use crate::decision::Fault;
use crate::directory::decoding::decode;
use crate::directory::writing::Record;
use crate::directory::{Directory, store_fault};
use crate::store::Cursor;

/// A record as a walk meets it.
#[derive(Clone, Debug)]
pub struct Met<R> {
    /// Its id, from its key.
    pub id: String,
    /// `None` if it cannot be read.
    pub record: Option<R>,
}

/// A walk over the records of one kind and platform, each once. One that comes or goes meanwhile is
/// met by chance.
#[derive(Debug)]
pub struct Walk<R> {
    directory: Directory,
    prefix: String,
    cursor: Option<Cursor>,
    ended: bool,
    seen: HashSet<String>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Record> Walk<R> {
    /// Begins a walk.
    #[must_use]
    pub fn begin(directory: &Directory, platform: &str) -> Self {
        Self {
            directory: directory.clone(),
            prefix: directory.record_key(R::KIND, platform, ""),
            cursor: None,
            ended: false,
            seen: HashSet::new(),
            kind: PhantomData,
        }
    }

    /// Gives the next page, by id; it may be empty. `None` at the end.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn next(&mut self) -> Result<Option<Vec<Met<R>>>, Fault> {
        if self.ended {
            return Ok(None);
        }
        let store = self.directory.store();
        let page = store.scan(&self.prefix, self.cursor.take()).await;
        let mut page = page.map_err(store_fault)?;
        self.ended = page.next.is_none();
        self.cursor = page.next;
        page.keys.sort_unstable();
        let seen = &mut self.seen;
        let id = |key: &str| key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
        page.keys.retain(|it| seen.insert(id(it)));
        let values = self.directory.values(&page.keys).await?;
        let met = page.keys.iter().zip(values).filter_map(|(key, value)| {
            Some(Met {
                id: id(key),
                record: decode(key, &value?).ok(),
            })
        });
        Ok(Some(met.collect()))
    }
}
