//! How a dependency of ours failed: never an allow, and never the caller's doing.

use thiserror::Error;

/// What Portcullis depends on: the label of `portcullis_faults_total`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dependency {
    /// Our own time limit for a decision.
    Deadline,
    /// Facebook's Graph API.
    Facebook,
    /// Ourselves: a task that died, a record that cannot be read.
    Internal,
    /// An endpoint that tells of tokens (RFC 7662).
    Introspection,
    /// An issuer's key set.
    KeySet,
    /// The pool that computes password hashes.
    PasswordHash,
    /// The directory's store.
    Store,
}

impl Dependency {
    /// Every dependency.
    pub const ALL: [Self; 7] = [
        Self::Deadline,
        Self::Facebook,
        Self::Internal,
        Self::Introspection,
        Self::KeySet,
        Self::PasswordHash,
        Self::Store,
    ];

    /// Gives the name used in metrics and metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Facebook => "facebook",
            Self::Internal => "internal",
            Self::Introspection => "introspection",
            Self::KeySet => "key_set",
            Self::PasswordHash => "password_hash",
            Self::Store => "store",
        }
    }
}

/// Our failure: a dependency did not answer. Logged where it becomes an answer, never shown.
#[derive(Clone, Debug, Error)]
#[error("{}: {detail}", dependency.name())]
pub struct Fault {
    dependency: Dependency,
    detail: String,
}

impl Fault {
    /// Names what failed and how, in words for the log.
    #[must_use]
    pub fn new(dependency: Dependency, detail: impl Into<String>) -> Self {
        Self {
            dependency,
            detail: detail.into(),
        }
    }

    /// What failed.
    #[must_use]
    pub fn dependency(&self) -> Dependency {
        self.dependency
    }
}
