//! What the rules answer where they do not admit.

use std::sync::Arc;

use crate::decision::Denial;

/// Why a request is not admitted, or not yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is denied.
    Denied(Denial),
    /// It cannot be judged without the [`Lineage`](crate::identity::Lineage) of this account: load it, and ask again.
    NeedsLineage(String),
}

impl Refusal {
    /// Says which rule it is that refuses.
    pub(super) fn under(self, rule: &Arc<str>) -> Self {
        match self {
            Self::Denied(denial) => {
                Self::Denied(denial.telling(|it| it.rule = Some(Arc::clone(rule))))
            }
            Self::NeedsLineage(_) => self,
        }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
