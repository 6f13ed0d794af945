//! What a check came to.

/// What a check came to: the label `outcome`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// The request may pass.
    Allow,
    /// The caller failed.
    Deny,
    /// We failed.
    Fault,
}

impl Outcome {
    /// Gives the label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Fault => "fault",
        }
    }
}
