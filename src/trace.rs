//! The steps of a decision, told to whoever listens while it is made.
//!
//! The rooms on the way of a request say what they did where they did it, so that `explain` shows
//! the very way that the RPC takes, and nothing has to be told twice. The RPC listens to nothing:
//! with [`Untraced`] no step is even put together. A step carries no secret: a credential is known
//! here by its place and its length.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::credential::{Credential, Place};
use crate::decision::{Denial, Failure};
use crate::identity::{Holder, Lineage};

/// Whoever is told the steps of one decision.
pub trait Trace: Sync {
    /// Takes the next step; one that does not listen leaves the closure uncalled.
    fn step(&self, step: impl FnOnce() -> Step);
}

/// Listens to nothing, at no cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untraced;

impl Trace for Untraced {
    #[inline]
    fn step(&self, _: impl FnOnce() -> Step) {}
}

/// One step of a decision.
#[derive(Clone, Debug)]
pub enum Step {
    /// Plain HTTP was judged.
    Https(Result<(), Denial>),
    /// Whom the rules are asked about; `None`: somebody without a credential.
    Identity(Option<Arc<Holder>>),
    /// A rule asked where the account of the path stands; the rules are looked at anew.
    Lineage(Arc<Lineage>),
    /// The path was read: its decoded segments, or why it has no one reading.
    Path(Result<Vec<String>, String>),
    /// A rule was found whose method and pattern fit.
    Rule(Box<Fit>),
    /// A scheme looked for its credential.
    Scheme {
        /// The scheme's name in the platform.
        scheme: Arc<str>,
        /// What it found, or why what it found is not to be read.
        found: Result<Option<Found>, Denial>,
    },
    /// A credential was verified, by a scheme or by the cache.
    Verified {
        /// The scheme's name in the platform.
        scheme: Arc<str>,
        /// Whether somebody vouches for it.
        outcome: Result<(), Failure>,
    },
}

/// A credential, as far as it may be shown. The length of its name stands in for the name: clients
/// put keys there too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where it stood.
    pub place: Place,
    /// The length of its public half, in bytes; 0 where the scheme has none.
    pub name_bytes: usize,
    /// The length of its secret half, in bytes.
    pub secret_bytes: usize,
}

impl Found {
    /// Measures a credential.
    #[must_use]
    pub fn of(credential: &Credential) -> Self {
        Self {
            place: credential.place().clone(),
            name_bytes: credential.name().len(),
            secret_bytes: credential.secret().expose().len(),
        }
    }
}

/// A rule whose method and pattern fit the request.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The method it was found for: the request's, or the one that the request tunnels.
    pub method: String,
    /// The pattern that fits, as it was written.
    pub pattern: String,
    /// What the pattern captured: names and decoded segments.
    pub captures: Vec<(String, String)>,
    /// What the rule demands of the identity.
    pub demands: Demands,
    /// Whether the rule leads to the issue listener.
    pub issue: bool,
    /// The rule's verdict, or why it was passed over.
    pub verdict: Result<Result<(), Denial>, PassedOver>,
}

/// Why a rule was passed over whose method and pattern fit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedOver {
    /// It leads to endpoints that issue, and the platform has none.
    NothingIssued,
    /// A header that it wants is not there, or a segment that it does not want is in what `**` takes.
    Request,
}

/// What a rule demands of an identity. Its fields are keys of `explain --json`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Demands {
    /// Nothing: no credential is needed.
    pub public: bool,
    /// One of these schemes; `None`: any.
    pub schemes: Option<Vec<String>>,
    /// One of these roles, if there are some.
    pub roles_any: Vec<String>,
    /// One of these scopes, if there are some.
    pub scopes_any: Vec<String>,
    /// What claims must be, in words.
    #[serde(default)]
    pub claims: Vec<String>,
    /// A relation to what the path names, as a configuration writes it.
    pub relation: Option<Cow<'static, str>>,
}
