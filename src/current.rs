//! What is in force, and may be replaced while it is in use.
//!
//! Apart so that one place says how: whoever looks takes no lock and waits for nobody, since every
//! Check looks once; what was looked at stays whole until whoever looked has done with it.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Something that is in force. Clones share it.
pub struct Current<T>(Arc<ArcSwap<T>>);

impl<T> Current<T> {
    /// Gives what is in force now; it stays as it is, also where another takes its place meanwhile.
    #[must_use]
    pub fn get(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// Puts another in its place, for whoever looks from now on.
    pub fn put(&self, it: T) {
        self.0.store(Arc::new(it));
    }
}

impl<T> From<T> for Current<T> {
    fn from(it: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(it)))
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_stays_while_another_takes_its_place() {
        let current = Current::from("old".to_owned());
        let (shared, looked_at) = (current.clone(), current.get());
        shared.put("new".to_owned());
        assert_eq!((looked_at.as_str(), current.get().as_str()), ("old", "new"));
    }
}
