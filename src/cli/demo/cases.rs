//! What the demo asks, and what each Check must come to.
//!
//! One file per host. Credentials and expected values are written out, as a client would send them
//! and an upstream would see them: nothing here is computed by the code that it judges.

mod crossbar;
mod infobip;
mod mine;
mod opentact;

use std::borrow::Cow;
use std::fmt;

/// Headers, by name.
pub type Headers = &'static [(&'static str, &'static str)];

/// The Checks for one host.
#[derive(Debug)]
pub struct Section {
    /// What the host is, for people.
    pub title: &'static str,
    /// The host that all requests of the section go to.
    pub host: &'static str,
    /// In the order in which they are sent.
    pub cases: Vec<Case>,
}

/// One Check, and what it must come to.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub about: &'static str,
    /// What is sent.
    pub request: Request,
    /// What must come back.
    pub want: Want,
    /// Whether it must come out of the cache.
    pub from_cache: bool,
}

/// A request as it reaches Envoy.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The request target, query included.
    pub target: &'static str,
    /// Headers besides those that Envoy adds, each with its name as a client would write it.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The client's address.
    pub peer: &'static str,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// What an answer must say.
#[derive(Debug)]
pub enum Want {
    /// The request may pass.
    Allow {
        /// Exactly the headers that are set for the upstream.
        identity: Headers,
        /// What must be removed, among others: headers by name, query parameters as `?name`.
        removed: &'static [&'static str],
    },
    /// It may not.
    Deny {
        /// The HTTP status.
        status: u16,
        /// The reason, by its name ([`crate::decision::Reason`]).
        reason: &'static str,
        /// What the body, or the location of a redirect, must hold.
        shows: &'static str,
    },
}

/// Tokens of others, which are made for each run.
#[derive(Clone)]
pub struct Tokens {
    /// Google's, for the application that the platform takes tokens of.
    pub google: String,
    /// Google's, for another application.
    pub google_for_another: String,
    /// Facebook's, for the app that the platform takes tokens of.
    pub facebook: String,
    /// Facebook's, for another app.
    pub facebook_for_another: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// Gives everything that the demo asks.
#[must_use]
pub fn all(tokens: &Tokens) -> Vec<Section> {
    let nowhere = Case::deny(
        "A host that no platform answers for",
        request("GET /"),
        (403, "no_platform"),
        r#"{"status":403,"message":"Forbidden"}"#,
    );
    vec![
        crossbar::section(),
        opentact::section(tokens),
        infobip::section(),
        mine::section(),
        Section {
            title: "nowhere: no platform is configured for the host",
            host: "unknown.example.com",
            cases: vec![nowhere],
        },
    ]
}

impl Case {
    fn allow(
        about: &'static str,
        request: Request,
        identity: Headers,
        removed: &'static [&'static str],
    ) -> Self {
        Self {
            about,
            request,
            want: Want::Allow { identity, removed },
            from_cache: false,
        }
    }

    fn deny(
        about: &'static str,
        request: Request,
        (status, reason): (u16, &'static str),
        shows: &'static str,
    ) -> Self {
        Self {
            about,
            request,
            want: Want::Deny {
                status,
                reason,
                shows,
            },
            from_cache: false,
        }
    }

    fn cached(self) -> Self {
        Self {
            from_cache: true,
            ..self
        }
    }
}

/// A request over HTTPS from an address on the Internet (RFC 5737), by its first line.
fn request(line: &'static str) -> Request {
    let (method, target) = line.split_once(' ').unwrap_or((line, "/"));
    Request {
        method,
        target,
        headers: Vec::new(),
        peer: "203.0.113.9",
        scheme: "https",
    }
}

impl Request {
    fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn authorization(self, value: impl Into<Cow<'static, str>>) -> Self {
        self.header("Authorization", value)
    }

    fn peer(self, peer: &'static str) -> Self {
        Self { peer, ..self }
    }

    fn over_http(self) -> Self {
        Self {
            scheme: "http",
            ..self
        }
    }
}

#[cfg(test)]
impl Tokens {
    /// Tokens that nobody takes.
    pub(super) fn sample() -> Self {
        let token = || "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl".to_owned();
        Self {
            google: token(),
            google_for_another: token(),
            facebook: token(),
            facebook_for_another: token(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;

    #[test]
    fn every_reason_that_this_version_can_deny_for_is_shown() {
        let sections = all(&Tokens::sample());
        let cases = sections.iter().flat_map(|it| &it.cases);
        let shown: Vec<_> = cases
            .filter_map(|it| match &it.want {
                Want::Allow { .. } => None,
                Want::Deny { reason, .. } => Some(*reason),
            })
            .collect();
        let unreachable = [Reason::Revoked, Reason::SecondFactor, Reason::Throttled];
        for reason in Reason::ALL.iter().filter(|it| !unreachable.contains(it)) {
            assert!(shown.contains(&reason.name()), "{reason}");
        }
    }
}
