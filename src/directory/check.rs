//! The check value: which peppers a store was written under.
//!
//! Under a wrong pepper nothing in the store is found, and everybody would be denied as unknown.
//! So the store remembers its peppers by their ids, and a process whose peppers it does not know
//! refuses to start.

use bytes::Bytes;
use thiserror::Error;

use crate::decision::{Dependency, Fault};
use crate::directory::{Directory, store_fault};
use crate::store::PutIf;

/// Where the ids stand, as a JSON list.
const KEY: &str = "pc:m:peppers";

/// How often a write that lost a race against another process is tried again.
const WRITE_ATTEMPTS: usize = 16;

/// Why the peppers of the configuration are not taken.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The store does not answer.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store was written under other peppers.
    #[error(
        "the store was written under another pepper (id {written}) than those of \
         `store.pepper_files` (id {given}): every credential would be unknown. Give the pepper \
         that the store was written with; to change it, list the new one before the old one"
    )]
    Wrong {
        /// The ids that the store knows.
        written: String,
        /// The ids of the configuration.
        given: String,
    },
}

impl Directory {
    /// Confirms that the store was written under one of the peppers in force, and notes the newest
    /// one in it. An empty store takes any.
    ///
    /// # Errors
    /// Where it was written under others, or does not answer.
    pub async fn confirm_peppers(&self) -> Result<(), CheckError> {
        let given = self.pepper_ids();
        for _ in 0..WRITE_ATTEMPTS {
            let (old, mut written) = self.written_under().await?;
            if given.first().is_some_and(|it| written.contains(it)) {
                return Ok(());
            }
            written.extend(given.first().cloned());
            let value =
                serde_json::to_vec(&written).map_err(|_| internal("ids cannot be encoded"))?;
            let condition = old.as_deref().map_or(PutIf::Absent, PutIf::Equal);
            if self
                .store()
                .put(KEY, &value, condition, None)
                .await
                .map_err(store_fault)?
            {
                return Ok(());
            }
        }
        Err(internal("the store's check value is being changed by too many writers at once").into())
    }

    /// Tells whether the store was written under one of the peppers in force, or is empty, without
    /// noting anything in it.
    ///
    /// # Errors
    /// Where it was written under others, or does not answer.
    pub async fn check_peppers(&self) -> Result<(), CheckError> {
        self.written_under().await.map(drop)
    }

    /// Gives the check value and the ids in it, of which one is in force if there are any.
    async fn written_under(&self) -> Result<(Option<Bytes>, Vec<String>), CheckError> {
        let value = self.value(KEY).await?;
        let written: Vec<String> = match &value {
            Some(it) => serde_json::from_slice(it)
                .map_err(|_| internal("the store's check value cannot be read"))?,
            None => Vec::new(),
        };
        let given = self.pepper_ids();
        if written.is_empty() || written.iter().any(|it| given.contains(it)) {
            return Ok((value, written));
        }
        Err(CheckError::Wrong {
            written: written.join(", "),
            given: given.join(", "),
        })
    }

    fn pepper_ids(&self) -> Vec<String> {
        self.0.peppers.iter().map(|it| it.id()).collect()
    }
}

fn internal(detail: &'static str) -> Fault {
    Fault::new(Dependency::Internal, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::credential::{Fingerprinter, Secret};
    use crate::directory::pepper::{MIN_PEPPER_BYTES, Peppers};
    use crate::proof::Prover;
    use crate::store::Store;
    use crate::store::embedded::Embedded;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_store_is_opened_only_with_a_pepper_that_it_was_written_under() {
        let store: Arc<dyn Store> = Arc::new(Embedded::memory(Clock::system()).unwrap());
        let open = async |fills: &[u8]| {
            let keys = fills
                .iter()
                .map(|it| Secret::new([*it; MIN_PEPPER_BYTES]))
                .collect();
            let prover = Prover::new(Fingerprinter::random().unwrap(), 1, 1).unwrap();
            let peppers = Peppers::new(keys).unwrap();
            let directory = Directory::new(store.clone(), peppers, prover, Clock::system());
            let checked = directory.check_peppers().await;
            let confirmed = directory.confirm_peppers().await;
            assert_eq!(checked.is_ok(), confirmed.is_ok());
            confirmed
        };
        assert!(open(&[1]).await.is_ok());
        assert!(open(&[1]).await.is_ok());
        assert!(matches!(open(&[2]).await, Err(CheckError::Wrong { .. })));
        assert!(open(&[2, 1]).await.is_ok());
        assert!(open(&[2]).await.is_ok());
        assert!(matches!(open(&[3]).await, Err(CheckError::Wrong { .. })));
    }
}
