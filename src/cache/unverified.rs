//! What is to be verified, and what that takes.

use std::fmt;
use std::sync::Arc;

use crate::credential::{Credential, Fingerprint};
use crate::decision::Denial;
use crate::scheme::Scheme;

/// Lets a verification begin, or refuses it. Asked once for all who wait for the same.
pub type Begin = Arc<dyn Fn() -> Result<End, Denial> + Send + Sync>;

/// Told when the verification is over whose beginning gave it, also where nobody waits any more, and
/// to which denial it came; dropped where it came to nothing.
pub type End = Box<dyn FnOnce(Option<&Denial>) + Send>;

/// A credential that is to be verified. Cheap to clone.
#[derive(Clone)]
pub struct Unverified {
    /// What it is kept under.
    pub key: Fingerprint,
    /// The platform's name.
    pub platform: Arc<str>,
    /// What verifies it.
    pub scheme: Arc<dyn Scheme>,
    /// The credential.
    pub credential: Arc<Credential>,
    /// What lets it be verified; `None`: nothing is asked.
    pub begin: Option<Begin>,
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unverified({}, {:?})", self.platform, self.credential)
    }
}
