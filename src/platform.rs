//! The platforms: each one public API's dialect, as data.
//!
//! Which platform a request belongs to is told by the route or by host and path, never by what the
//! credential looks like: the same header means different things on different platforms. Two
//! platforms of one preset share nothing: the platform's name is part of every fingerprint and of
//! every record's key. Nothing here knows how Envoy is told.

pub mod body;
pub mod errors;
pub mod https;
pub mod presets;
pub mod refusal;
pub mod settings;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::Place;
use crate::decision::{Denial, Reason};
use crate::keys::hmac::HmacKeys;
use crate::platform::errors::ErrorTable;
use crate::platform::https::Https;
use crate::platform::settings::{AssertionSettings, IdentityHeaders, IssueSettings};
use crate::policy::Policy;
use crate::policy::path::PathSegments;
use crate::request::RequestView;
use crate::scheme::{Conflict, Scheme};
use crate::throttle::settings::Limits;

/// One platform, ready to judge.
#[derive(Debug)]
pub struct Platform {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its schemes, in the order in which they are tried.
    pub schemes: Vec<NamedScheme>,
    /// Where the upstream reads credentials that no scheme here does.
    pub unread: Vec<Place>,
    /// What several credentials on one request mean.
    pub conflict: Conflict,
    /// Its rules.
    pub policy: Policy,
    /// How it answers.
    pub errors: ErrorTable,
    /// What its upstream is told.
    pub identity_headers: IdentityHeaders,
    /// What its upstream is told so that it can verify it; `None`: nothing.
    pub assertion: Option<AssertionSettings>,
    /// What its endpoints that issue tokens speak; `None`: it has none.
    pub issue: Option<IssueSettings>,
    /// What HS256 tokens of its own are signed with; empty where it issues nothing.
    pub hmac: HmacKeys,
    /// How many attempts at its logins may fail.
    pub throttle: Limits,
    /// How many credentials of one client may be nobody's at one of its schemes; `None`: any number.
    pub of_scheme: Option<Limits>,
    /// What it makes of plain HTTP.
    pub https: Https,
    /// What a 401 asks for, each a whole `WWW-Authenticate` value; empty where switched off.
    pub challenges: Vec<String>,
    /// Where it is found.
    pub site: Site,
    /// Differs from that of a platform of this name whose schemes were told something else.
    pub settled: u64,
}

/// A scheme under the name that the platform gives it.
#[derive(Debug)]
pub struct NamedScheme {
    /// The name, as rules and `x-auth-scheme` say it.
    pub name: Arc<str>,
    /// What it does.
    pub scheme: Arc<dyn Scheme>,
}

impl Platform {
    /// Gives every place where the platform, or its upstream, reads credentials.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let read = self.schemes.iter().flat_map(|it| it.scheme.places());
        read.chain(&self.unread)
    }

    /// Gives every header that its upstream is told by whose a request is, whether or not this one's will be.
    pub fn told_by(&self) -> impl Iterator<Item = &str> {
        let names = self.identity_headers.names().map(|it| it.1);
        let assertion = self.assertion.as_ref().map(|it| &*it.header);
        let account = self.policy.account_header();
        names.into_iter().chain(account).chain(assertion)
    }
}

/// Hosts and the path prefix under which a platform is found.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Exact names, `*.suffix`, or `*`, in lower case.
    pub hosts: Vec<String>,
    /// `/`, or a prefix of whole segments.
    pub prefix: String,
}

impl Site {
    /// Tells how well the site fits, the higher the better; `None` where it does not.
    fn fit(&self, host: &str, path: &str) -> Option<(usize, usize)> {
        let prefix = self.prefix.trim_end_matches('/');
        let rest = path.strip_prefix(prefix)?;
        let whole = rest.is_empty() || rest.starts_with('/');
        let host = self.best(host)?.0;
        whole.then_some((host, prefix.len()))
    }

    /// Tells whether the site is one of the host's, further down than these segments lead.
    fn is_below(&self, host: &str, front: &PathSegments<'_>) -> bool {
        let prefix = self.prefix.trim_end_matches('/').split('/').skip(1);
        let further = prefix.clone().count() > front.len();
        further && front.iter().zip(prefix).all(|it| it.0 == it.1) && self.best(host).is_some()
    }

    fn best(&self, host: &str) -> Option<(usize, &str)> {
        let fits = self.hosts.iter();
        fits.filter_map(|it| Some((host_fit(it, host)?, it.as_str())))
            .max_by_key(|it| it.0)
    }

    /// Gives the pattern that fits the host best, as it was written.
    #[must_use]
    pub fn pattern_for(&self, host: &str) -> Option<&str> {
        self.best(host).map(|it| it.1)
    }

    /// Tells whether some host of the other site, under its prefix, is always found here first.
    #[must_use]
    pub fn shadows(&self, other: &Self) -> bool {
        let prefix = |it: &Self| it.prefix.trim_end_matches('/').to_owned();
        prefix(self) == prefix(other) && self.hosts.iter().any(|it| other.hosts.contains(it))
    }

    /// Tells whether the host is listed, so that a client may be sent there. `*` lists none.
    #[must_use]
    pub fn lists(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|it| host_fit(it, host).is_some_and(|fit| fit > 0))
    }
}

/// An exact name fits best, then the longest suffix, then `*`.
fn host_fit(pattern: &str, host: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        None => (pattern == host).then_some(usize::MAX),
        Some("") => Some(0),
        Some(suffix) => host
            .strip_suffix(suffix)
            .filter(|it| !it.is_empty())
            .map(|_| suffix.len()),
    }
}

/// Whether hosts count, or only what the route says.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformFrom {
    /// The route where it names a platform, else host and path.
    #[default]
    Host,
    /// Only `context_extensions.platform` of the route.
    Route,
}

/// The platforms of a configuration. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Platforms {
    all: Vec<Arc<Platform>>,
    from: PlatformFrom,
}

impl Platforms {
    /// Puts platforms together; their names are unique.
    #[must_use]
    pub fn new(all: Vec<Arc<Platform>>, from: PlatformFrom) -> Self {
        Self { all, from }
    }

    /// Gives all of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Platform>> {
        self.all.iter()
    }

    /// Tells whether these segments settle which platform the request belongs to, however what follows them is read.
    #[must_use]
    pub fn settled_by(&self, request: &RequestView<'_>, front: &PathSegments<'_>) -> bool {
        request.route_platform.is_some()
            || request.host().is_ok_and(|host| {
                let mut all = self.all.iter();
                !all.any(|it| it.site.is_below(&host, front))
            })
    }

    /// Finds the platform that the request belongs to.
    ///
    /// # Errors
    /// A denial where there is none, or the host is unclear. A route that names a platform which
    /// does not exist is not served by another one.
    pub fn route(&self, request: &RequestView<'_>) -> Result<&Arc<Platform>, Denial> {
        let nobody = || Denial::new(Reason::NoPlatform, "no platform answers for this route");
        if let Some(name) = request.route_platform {
            return self
                .all
                .iter()
                .find(|it| &*it.name == name)
                .ok_or_else(nobody);
        }
        if self.from == PlatformFrom::Route {
            return Err(nobody());
        }
        let host = request.host()?;
        let fits = self
            .all
            .iter()
            .filter_map(|it| Some((it.site.fit(&host, request.path)?, it)));
        // Of equals the first counts.
        fits.rev()
            .max_by_key(|it| it.0)
            .map(|it| it.1)
            .ok_or_else(nobody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fit(hosts: &[&str], prefix: &str, host: &str, path: &str, want: bool) {
        let hosts = hosts.iter().map(|it| (*it).to_owned()).collect();
        let site = Site {
            hosts,
            prefix: prefix.to_owned(),
        };
        assert_eq!(
            site.fit(host, path).is_some(),
            want,
            "{prefix} {host} {path}"
        );
    }

    #[test]
    fn a_site_is_exact_a_suffix_or_any_host_and_a_prefix_of_whole_segments() {
        fit(&["api.example.com"], "/", "api.example.com", "/x", true);
        fit(&["api.example.com"], "/", "xapi.example.com", "/x", false);
        fit(&["*.example.com"], "/", "api.example.com", "/x", true);
        fit(&["*.example.com"], "/", "a.b.example.com", "/x", true);
        fit(&["*.example.com"], "/", "example.com", "/x", false);
        fit(&["*.example.com"], "/", ".example.com", "/x", false);
        fit(&["*"], "/", "", "/x", true);
        fit(&["*"], "/v2", "h", "/v2", true);
        fit(&["*"], "/v2/", "h", "/v2/x", true);
        fit(&["*"], "/v2", "h", "/v20/x", false);
    }

    #[test]
    fn an_exact_host_fits_better_than_a_suffix_and_a_suffix_better_than_any() {
        assert!(
            host_fit("a.example.com", "a.example.com") > host_fit("*.example.com", "a.example.com")
        );
        assert!(
            host_fit("*.a.example.com", "x.a.example.com")
                > host_fit("*.example.com", "x.a.example.com")
        );
        assert!(host_fit("*.example.com", "a.example.com") > host_fit("*", "a.example.com"));
        let site = |host: &str, prefix: &str| Site {
            hosts: vec![host.into()],
            prefix: prefix.into(),
        };
        assert!(!site("*", "/").lists("evil.example"));
        assert!(site("a.example", "/v2/").shadows(&site("a.example", "/v2")));
        assert!(!site("a.example", "/v2").shadows(&site("a.example", "/v1")));
        assert!(!site("*.example", "/").shadows(&site("a.example", "/")));
    }
}
