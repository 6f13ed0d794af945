//! What a platform makes of plain HTTP: a decision taken before any credential is looked at.
//!
//! A credential that came in clear has been seen by others; the earlier the client learns to use
//! HTTPS, the better. A redirect leads to a listed host only, and carries no credential on.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credential::Place;
use crate::decision::{Denial, Reason};
use crate::platform::Platform;
use crate::request::RequestView;
use crate::request::query::decodes_to;

/// What to make of plain HTTP, as a configuration writes it: a word, or a mapping.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected `off`, `deny`, `redirect`, or a mapping with `mode`, `status` and `from`"
)]
pub enum RawHttps {
    /// `off`, `deny` or `redirect`, judged by `x-forwarded-proto`, with 302.
    Mode(Mode),
    /// With everything said.
    Settings(Https),
}

/// What to make of plain HTTP.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Https {
    /// What is done.
    pub mode: Mode,
    /// The status of a redirect: 301, 302, 307 or 308.
    #[serde(default = "found")]
    pub status: u16,
    /// How the scheme of the request is known.
    #[serde(default)]
    pub from: Proto,
}

fn found() -> u16 {
    302
}

impl From<RawHttps> for Https {
    fn from(raw: RawHttps) -> Self {
        match raw {
            RawHttps::Mode(mode) => Self {
                mode,
                status: found(),
                from: Proto::default(),
            },
            RawHttps::Settings(it) => it,
        }
    }
}

/// What is done with a request over plain HTTP.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is denied.
    Deny,
    /// Nothing.
    Off,
    /// It is sent to the same resource over HTTPS, if its host is listed; else denied.
    Redirect,
}

/// How the scheme of a request is known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proto {
    /// What Envoy believes (`attributes.request.http.scheme`).
    Scheme,
    /// The header of that name, where a proxy in front ends TLS and owns the header.
    #[default]
    XForwardedProto,
}

/// Lets a request pass that came over HTTPS, or whose platform does not mind.
///
/// # Errors
/// A denial, with a location where the platform redirects.
pub fn judge(platform: &Platform, request: &RequestView<'_>) -> Result<(), Denial> {
    let https = platform.https;
    if https.mode == Mode::Off || is_https(https.from, request) {
        return Ok(());
    }
    let host = request.host()?;
    if https.mode == Mode::Redirect && platform.site.lists(&host) {
        return Err(Denial::redirect(
            https.status,
            location(platform, request, &host)?,
        ));
    }
    Err(Denial::new(
        Reason::PlainHttp,
        "the request came over plain HTTP",
    ))
}

fn is_https(from: Proto, request: &RequestView<'_>) -> bool {
    let scheme = match from {
        Proto::Scheme => Some(request.scheme),
        Proto::XForwardedProto => request.headers.single("x-forwarded-proto").ok().flatten(),
    };
    scheme.is_some_and(|it| it.eq_ignore_ascii_case("https"))
}

/// The same resource over HTTPS, without the parameters that carry credentials.
fn location(platform: &Platform, request: &RequestView<'_>, host: &str) -> Result<String, Denial> {
    let mut location = format!("https://{host}{}", request.path);
    let is_secret = |spelling: &str| {
        platform.places().any(|it| match it {
            Place::Query(name) => decodes_to(spelling, name),
            Place::Authorization(_) | Place::Certificate | Place::Header(_) => false,
        })
    };
    let kept = request.query.pairs().filter(|it| !is_secret(it.0));
    for (index, (name, value)) in kept.enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        let _ = write!(location, "{separator}{name}");
        if !value.is_empty() {
            let _ = write!(location, "={value}");
        }
    }
    if location.bytes().all(|it| matches!(it, b'!'..=b'~')) {
        return Ok(location);
    }
    Err(Denial::bad_request(
        "the request target holds bytes that no URL holds",
    ))
}
