//! What the rules answer where they do not admit.

use crate::decision::Denial;

/// Why a request is not admitted, or not yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is denied.
    Denied(Denial),
    /// It cannot be judged without the [`Lineage`](crate::identity::Lineage) of this account: load it, and ask again.
    NeedsLineage(String),
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
