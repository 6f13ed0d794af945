//! What a client's attempts are counted against, and what of them counts as failed.
//!
//! Guesses at a secret that people choose are counted by whom they name. Credentials that nobody could
//! guess are counted all the same where they turn out to be made up, by client and scheme, for what
//! it costs to find that out: a store's answer, a signature, a password's hash, a question to an
//! issuer. Of a client whose address is not known, only those questions are.

use std::net::IpAddr;
use std::sync::Arc;

use crate::cache::{Begin, End};
use crate::credential::Credential;
use crate::decision::Denial;
use crate::directory::names::attempted_login;
use crate::platform::{NamedScheme, Platform};
use crate::scheme::{Budget, StoredForm};
use crate::throttle::settings::Limits;
use crate::throttle::{Attempt, Throttle};

/// One count of failed attempts.
pub(super) struct Counter {
    target: String,
    limits: Limits,
    counts: fn(&Denial) -> bool,
}

/// What the credential came to when it was verified last, within an hour.
pub(super) struct Lately {
    /// It was good, so it is not made up.
    pub(super) good: bool,
    /// It was refused, so it is no new guess.
    pub(super) refused: bool,
}

/// Gives what an attempt is counted against.
pub(super) fn counters(
    platform: &Platform,
    named: &NamedScheme,
    credential: &Credential,
    client: Option<IpAddr>,
    lately: &Lately,
) -> Vec<Counter> {
    let mut counters = Vec::new();
    let mut of_scheme = |limits| {
        counters.push(Counter {
            target: format!("scheme {}", named.name),
            limits,
            counts: Denial::is_made_up,
        });
    };
    let budget = named.scheme.budget();
    if let Some(Budget::Scheme(allowed)) = budget {
        of_scheme(Limits {
            failures: allowed.failures,
            window: allowed.window,
            bucket: None,
            under_way: Some(allowed.under_way),
        });
        return counters;
    }
    // Without an address, one client's failures would be everybody's.
    if client.is_none() {
        return counters;
    }
    if let Some(limits) = platform.of_scheme.filter(|_| !lately.good) {
        let hashes = named.scheme.stored_form() == Some(StoredForm::Argon2);
        of_scheme(if hashes { limits.hashing() } else { limits });
    }
    // A bucket is for logins: here every first use of a good credential would take from it.
    let limits = Limits {
        bucket: None,
        ..platform.throttle
    };
    match budget {
        Some(Budget::Name) => counters.push(Counter {
            // As a login names it, so that both count together.
            target: attempted_login(credential.name()),
            limits,
            // What is shut was named by whoever may name it.
            counts: |it| it.status() == 401,
        }),
        // A device that has an old one presents it again and again, and guesses nothing.
        Some(Budget::Guesses) if !lately.good && !lately.refused => counters.push(Counter {
            target: format!("guesses {}", named.name),
            limits,
            counts: Denial::is_made_up,
        }),
        Some(Budget::Guesses | Budget::Scheme(_)) | None => {}
    }
    counters
}

/// Gives what asks whether a client may have a credential verified, and counts what comes of it;
/// `None` where nothing is to be asked.
pub(super) fn begin(
    throttle: &Throttle,
    platform: &Arc<str>,
    client: Option<IpAddr>,
    counters: Vec<Counter>,
) -> Option<Begin> {
    if counters.is_empty() {
        return None;
    }
    let (throttle, platform) = (throttle.clone(), Arc::clone(platform));
    Some(Arc::new(move || {
        let asked = counters.iter().map(|it| {
            let attempt = Attempt {
                platform: &platform,
                address: client,
                target: &it.target,
            };
            Ok((throttle.ask(&it.limits, &attempt)?, it.counts))
        });
        // Where one is refused, those before it end here.
        let trying = asked.collect::<Result<Vec<_>, Denial>>()?;
        let end: End = Box::new(move |denial| {
            for (trying, counts) in trying {
                if denial.is_some_and(counts) {
                    trying.failed();
                }
            }
        });
        Ok(end)
    }))
}
