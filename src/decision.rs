//! The verdicts' vocabulary: why a request is denied, and how a dependency of ours failed.
//!
//! Apart from everything else because each floor above speaks in these words, and because the
//! difference between the two carries a safety rule: a [`Denial`] is the caller's failure and may
//! be shown, a [`Fault`] is ours, is logged once, and is never an allow and never a 401.
//! Nothing here knows how an answer looks; that is the platform's error table.

mod about;
mod cache_use;
mod fault;

use std::fmt;
use std::time::Duration;

use thiserror::Error;

pub use crate::decision::about::About;
pub use crate::decision::cache_use::CacheUse;
pub use crate::decision::fault::{Dependency, Fault};

/// Why a request is denied: a closed list, the same words in metrics, audit, `explain` and presets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// The account that the caller names is not the one the credential belongs to.
    AccountMismatch,
    /// The credential may not be used from this client address.
    Address,
    /// Several credentials where the platform takes one, or they disagree.
    Conflict,
    /// The key or user is switched off.
    Disabled,
    /// The credential's lifetime has ended.
    Expired,
    /// The account is disabled or its trial has ended.
    Locked,
    /// The request, or the credential in it, cannot be read.
    Malformed,
    /// The request presents no credential where one is needed.
    Missing,
    /// No platform answers for this route.
    NoPlatform,
    /// No rule of the platform matches the request.
    NoRule,
    /// The credential's lifetime has not begun.
    NotYetValid,
    /// Readers could take the path for different things.
    Path,
    /// The platform wants HTTPS.
    PlainHttp,
    /// The identity stands in no accepted relation to the resource.
    Relation,
    /// The credential was revoked.
    Revoked,
    /// The identity lacks every role that the rule accepts.
    Role,
    /// The identity lacks every scope that the rule accepts.
    Scope,
    /// The rule does not accept this scheme.
    SchemeNotAccepted,
    /// A second factor is demanded.
    SecondFactor,
    /// Too many failed attempts.
    Throttled,
    /// A field is larger than anything legitimate.
    TooLarge,
    /// Nobody knows this credential.
    Unknown,
    /// The secret does not match.
    Wrong,
}

impl Reason {
    /// Every reason, in the order of their names.
    pub const ALL: [Self; 23] = [
        Self::AccountMismatch,
        Self::Address,
        Self::Conflict,
        Self::Disabled,
        Self::Expired,
        Self::Locked,
        Self::Malformed,
        Self::Missing,
        Self::NoPlatform,
        Self::NoRule,
        Self::NotYetValid,
        Self::Path,
        Self::PlainHttp,
        Self::Relation,
        Self::Revoked,
        Self::Role,
        Self::SchemeNotAccepted,
        Self::Scope,
        Self::SecondFactor,
        Self::Throttled,
        Self::TooLarge,
        Self::Unknown,
        Self::Wrong,
    ];

    /// Gives the name used in presets, metrics and metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountMismatch => "account_mismatch",
            Self::Address => "address",
            Self::Conflict => "conflict",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Locked => "locked",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::NoPlatform => "no_platform",
            Self::NoRule => "no_rule",
            Self::NotYetValid => "not_yet_valid",
            Self::Path => "path",
            Self::PlainHttp => "plain_http",
            Self::Relation => "relation",
            Self::Revoked => "revoked",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::SchemeNotAccepted => "scheme_not_accepted",
            Self::SecondFactor => "second_factor",
            Self::Throttled => "throttled",
            Self::TooLarge => "too_large",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
        }
    }

    /// Gives the HTTP status of a denial for this reason, unless the platform's error table says
    /// otherwise. RFC 9110 §15.5: 401 where other credentials could help, 403 where they could not.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::AccountMismatch
            | Self::Address
            | Self::Conflict
            | Self::Disabled
            | Self::Expired
            | Self::Malformed
            | Self::Missing
            | Self::NotYetValid
            | Self::Revoked
            | Self::SecondFactor
            | Self::TooLarge
            | Self::Unknown
            | Self::Wrong => 401,
            Self::Locked => 423,
            Self::NoPlatform
            | Self::NoRule
            | Self::PlainHttp
            | Self::Relation
            | Self::Role
            | Self::Scope
            | Self::SchemeNotAccepted => 403,
            Self::Path => 400,
            Self::Throttled => 429,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The caller's failure. Its detail goes to metadata and logs, never a credential in it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{reason}: {detail}")]
pub struct Denial {
    reason: Reason,
    detail: &'static str,
    status: u16,
    location: Option<Box<str>>,
    retry_after: Option<Duration>,
    since: Option<u64>,
    about: Option<Box<About>>,
}

impl Denial {
    /// Denies for `reason`. The detail is static text, so nothing of the request can leak into it.
    #[must_use]
    pub fn new(reason: Reason, detail: &'static str) -> Self {
        Self {
            reason,
            detail,
            status: reason.status(),
            location: None,
            retry_after: None,
            since: None,
            about: None,
        }
    }

    /// Denies because of something that ended at a time, in Unix seconds, which the client may know.
    #[must_use]
    pub fn ended(reason: Reason, detail: &'static str, since: u64) -> Self {
        Self {
            since: Some(since),
            ..Self::new(reason, detail)
        }
    }

    /// Denies a request that is malformed as a request, not as a credential: 400.
    #[must_use]
    pub fn bad_request(detail: &'static str) -> Self {
        Self {
            status: 400,
            ..Self::new(Reason::Malformed, detail)
        }
    }

    /// Denies a request for what is not there: 404.
    #[must_use]
    pub fn not_found(detail: &'static str) -> Self {
        Self {
            status: 404,
            ..Self::new(Reason::Unknown, detail)
        }
    }

    /// Denies for too many attempts, until `wait` is over: whole seconds, 1 or more.
    #[must_use]
    pub fn throttled(wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        Self {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Self::new(Reason::Throttled, "too many attempts")
        }
    }

    /// Tells whether nobody has issued what was presented: what was issued once is not made up, and
    /// nobody has many of it.
    #[must_use]
    pub fn is_made_up(&self) -> bool {
        matches!(
            self.reason,
            Reason::Malformed | Reason::Unknown | Reason::Wrong
        )
    }

    /// Sends the client to the same resource over HTTPS, with a 3xx status.
    #[must_use]
    pub fn redirect(status: u16, location: String) -> Self {
        Self {
            status,
            location: Some(location.into_boxed_str()),
            ..Self::new(Reason::PlainHttp, "the request came over plain HTTP")
        }
    }

    /// Says whom and what it is about.
    #[must_use]
    pub fn telling(mut self, tell: impl FnOnce(&mut About)) -> Self {
        tell(self.about.get_or_insert_default());
        self
    }

    /// Whom and what it is about, where that was said. No client is shown it.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.about.as_deref()
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The same for an operator's eyes, without anything the client sent.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        self.detail
    }

    /// The HTTP status, unless the platform's error table overrides it.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where a redirect leads.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// When what it is about ended, in Unix seconds, where that is why.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        self.since
    }

    /// When trying again can help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Why there is no identity: the caller's fault or ours.
#[derive(Clone, Debug, Error)]
pub enum Failure {
    /// The caller's failure.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failure {
    /// Says whom and what a denial is about; a fault is about nobody.
    #[must_use]
    pub fn telling(self, tell: impl FnOnce(&mut About)) -> Self {
        match self {
            Self::Denied(denial) => Self::Denied(denial.telling(tell)),
            Self::Fault(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_and_a_status_that_denies() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|it| it.name()).collect();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(names.is_sorted());
        for reason in Reason::ALL {
            assert!((400..500).contains(&reason.status()), "{reason}");
        }
    }
}
