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
mod site;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::Place;
use crate::decision::{Denial, Reason};
use crate::keys::hmac::HmacKeys;
use crate::platform::errors::ErrorTable;
use crate::platform::https::Https;
use crate::platform::settings::{AssertionSettings, IdentityHeaders, IssueSettings};
pub use crate::platform::site::Site;
use crate::platform::site::Sites;
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
    sites: Arc<Sites>,
    from: PlatformFrom,
}

impl Platforms {
    /// Puts platforms together; their names are unique.
    #[must_use]
    pub fn new(all: Vec<Arc<Platform>>, from: PlatformFrom) -> Self {
        let sites = Sites::of(all.iter().map(|it| &it.site));
        Self {
            sites: Arc::new(sites),
            all,
            from,
        }
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
        let at = self.sites.find(&host, request.path);
        at.map(|it| &self.all[it]).ok_or_else(nobody)
    }
}
