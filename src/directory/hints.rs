//! How many records an index entry may name, and what becomes of one more.

use crate::decision::Fault;
use crate::directory::account_keys::MAX_LISTED;
use crate::directory::writing::internal;
use crate::directory::{Index, MAX_HINTS};

/// How many records an index entry may name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Most {
    /// So many, and one more cannot be written.
    Demanded(usize),
    /// So many, and one more goes without.
    Listed(usize),
}

/// Gives it by the key of the entry.
pub(super) fn most_hints(hint: &str) -> Most {
    match hint.rsplit(':').nth(1) {
        Some(index) if index == Index::KeyAccount.name() => Most::Listed(MAX_LISTED),
        _ => Most::Demanded(MAX_HINTS),
    }
}

/// Adds an id to an entry.
///
/// # Errors
/// A fault where it must stand there and has no place.
pub(super) fn insert_hint(ids: &mut Vec<String>, id: &str, most: Most) -> Result<(), Fault> {
    if ids.iter().any(|it| it == id) {
        return Ok(());
    }
    match most {
        Most::Demanded(most) if ids.len() >= most => {
            return Err(internal("more records than can be tried share one name"));
        }
        Most::Listed(most) if ids.len() >= most => {}
        _ => ids.push(id.to_owned()),
    }
    Ok(())
}
