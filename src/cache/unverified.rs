//! What is to be verified.

use std::fmt;
use std::sync::Arc;

use crate::credential::{Credential, Fingerprint};
use crate::decision::Denial;
use crate::scheme::Scheme;

/// Told of a denial.
pub type OnDenial = Arc<dyn Fn(&Denial) + Send + Sync>;

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
    /// Told by whoever verifies it, also where nobody waits any more, that it came to a denial.
    pub on_denial: Option<OnDenial>,
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unverified({}, {:?})", self.platform, self.credential)
    }
}
