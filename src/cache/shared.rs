//! Terms of identities, each once: most who are let in are on terms that many others are on.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::identity::{Holder, Identity, Terms};

/// How many terms are found again. Where there are more, the table is begun anew: those who share go on doing so, and who
/// comes next shares with who comes after.
const MAX_TERMS: usize = 4096;

/// Terms that somebody has. Those that nobody has any more take some bytes until their place is taken.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// By a hash of them: of two that have one, the later is found.
    known: Mutex<HashMap<u64, Weak<Terms>>>,
    hashing: RandomState,
}

impl Shared {
    /// Makes of an identity what is kept of it.
    pub(super) fn holder(&self, identity: Identity) -> Holder {
        Holder::sharing(identity, |it| self.once(it))
    }

    /// Gives equal terms that somebody has, or else these.
    fn once(&self, terms: Terms) -> Arc<Terms> {
        let hash = self.hashing.hash_one(&terms);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let equal = known.get(&hash).and_then(Weak::upgrade);
        if let Some(equal) = equal.filter(|it| **it == terms) {
            return equal;
        }
        if known.len() >= MAX_TERMS {
            known.clear();
        }
        let terms = Arc::new(terms);
        known.insert(hash, Arc::downgrade(&terms));
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_scope(scope: &str) -> Identity {
        Identity {
            scopes: vec![scope.to_owned()],
            ..Identity::default()
        }
    }

    #[test]
    fn who_is_let_in_on_the_same_terms_shares_them_and_nobody_else_does() {
        let shared = Shared::default();
        let one = shared.holder(Identity {
            key: Some("k1".into()),
            ..with_scope("a")
        });
        let twin = shared.holder(with_scope("a"));
        assert!(Arc::ptr_eq(&one.terms, &twin.terms));
        let changes: [fn(&mut Identity); 7] = [
            |it| it.platform = "p".into(),
            |it| it.scheme = "s".into(),
            |it| it.scopes.push("b".into()),
            |it| it.roles.push("r".into()),
            |it| drop(it.claims.insert("tier".into(), "gold".into())),
            |it| it.allowed_addresses.push("10.0.0.0/8".parse().unwrap()),
            |it| it.only_scopes = true,
        ];
        for change in changes {
            let mut identity = with_scope("a");
            change(&mut identity);
            let other = shared.holder(identity.clone());
            assert_eq!(other.identity(), identity);
            assert_ne!(other.terms, one.terms);
        }
    }

    #[test]
    fn terms_that_nobody_is_on_are_not_kept_and_so_many_are_known_at_most() {
        let shared = Shared::default();
        let terms = Arc::downgrade(&shared.holder(with_scope("gone")).terms);
        assert!(terms.upgrade().is_none());
        for scope in 0..=MAX_TERMS {
            shared.holder(with_scope(&scope.to_string()));
        }
        assert!(shared.known.lock().unwrap().len() <= MAX_TERMS);
        let one = shared.holder(with_scope("after"));
        let twin = shared.holder(with_scope("after"));
        assert!(Arc::ptr_eq(&one.terms, &twin.terms));
    }
}
