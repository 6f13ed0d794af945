//! Parts of a report that say in plain words what other rooms say in their types.

use std::borrow::Cow;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::decision::Denial;
use crate::identity::{Holder, Identity};
use crate::platform::Platform;
use crate::platform::https::{Mode, Proto};
use crate::request::{ClientAddress, RequestView, is_token_byte};
use crate::scheme::Conflict;
use crate::trace::{Demands, Fit, Found, PassedOver};

/// What no id of an account or user is as long as, in bytes.
const TOKEN_BYTES: usize = 64;

/// The shortest hash in hexadecimal: a parameter's name is shorter, or may be a secret.
const SECRET_BYTES: usize = 32;

/// The platform, and why it is this one.
#[derive(Debug, Deserialize, Serialize)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// `route` where Envoy's route names it, else `host`.
    pub by: Cow<'static, str>,
    /// The pattern of the configuration that fits the host best.
    pub host_pattern: Option<String>,
    /// The prefix of the paths it answers for.
    pub prefix: String,
}

impl Chosen {
    pub(super) fn of(platform: &Platform, request: &RequestView<'_>) -> Self {
        let by_route = request.route_platform.is_some();
        let host = request.host().ok().filter(|_| !by_route);
        let pattern = host.and_then(|it| platform.site.pattern_for(&it).map(str::to_owned));
        Self {
            name: platform.name.to_string(),
            by: if by_route { "route" } else { "host" }.into(),
            host_pattern: pattern,
            prefix: platform.site.prefix.clone(),
        }
    }
}

/// Why something was denied.
#[derive(Debug, Deserialize, Serialize)]
pub struct Why {
    /// One of the closed list of reasons.
    pub reason: Cow<'static, str>,
    /// The same in words.
    pub detail: Cow<'static, str>,
}

impl Why {
    pub(super) fn of(denial: &Denial) -> Self {
        Self {
            reason: denial.reason().name().into(),
            detail: denial.detail().into(),
        }
    }
}

/// A scheme, and what it found.
#[derive(Debug, Deserialize, Serialize)]
pub struct Tried {
    /// Its name in the platform.
    pub name: String,
    /// Whether it was asked.
    pub tried: bool,
    /// Where a credential stood.
    pub place: Option<String>,
    /// The length of the credential's public half.
    pub name_bytes: Option<usize>,
    /// The length of the credential's secret half.
    pub secret_bytes: Option<usize>,
    /// Why what was found cannot be read.
    pub denial: Option<Why>,
}

impl Tried {
    pub(super) fn not(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tried: false,
            place: None,
            name_bytes: None,
            secret_bytes: None,
            denial: None,
        }
    }

    pub(super) fn end(&mut self, found: &Result<Option<Found>, Denial>) {
        self.tried = true;
        self.denial = found.as_ref().err().map(Why::of);
        if let Ok(Some(found)) = found {
            self.place = Some(found.place.to_string());
            self.name_bytes = Some(found.name_bytes);
            self.secret_bytes = Some(found.secret_bytes);
        }
    }
}

/// An identity.
#[derive(Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "as in `Identity`")]
pub struct Who {
    pub account: Option<String>,
    pub user: Option<String>,
    pub username: Option<String>,
    pub scheme: String,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
    pub expires: Option<u64>,
    pub allowed_addresses: Vec<IpNet>,
}

impl Who {
    pub(super) fn of(holder: &Holder) -> Self {
        let Identity {
            platform: _,
            account,
            user,
            key: _,
            username,
            scheme,
            scopes,
            roles,
            claims: _,
            expires,
            allowed_addresses,
            generations: _,
            token: _,
            only_scopes: _,
            session: _,
        } = holder.identity();
        Self {
            account,
            user,
            username,
            scheme: scheme.to_string(),
            scopes,
            roles,
            expires,
            allowed_addresses,
        }
    }
}

/// A rule whose method and pattern fit.
#[derive(Debug, Deserialize, Serialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The method it was found for.
    pub method: String,
    /// The pattern that fits.
    pub pattern: String,
    /// What the pattern captured, in order.
    pub captures: Vec<Capture>,
    /// What it demands.
    pub demands: Demands,
    /// Whether it leads to the issue listener.
    pub issue: bool,
    /// `admitted`, `denied` or `passed_over`.
    pub verdict: Cow<'static, str>,
    /// Why it was passed over: for what it wants of headers and segments (`request`), or because
    /// nothing is issued here (`nothing_issued`).
    pub passed_over_for: Option<PassedOver>,
    /// Why it denies.
    pub denial: Option<Why>,
}

/// A segment that a pattern captured.
#[derive(Debug, Deserialize, Serialize)]
pub struct Capture {
    /// What the pattern calls it.
    pub name: String,
    /// The segment, decoded.
    pub value: String,
}

impl Rule {
    pub(super) fn of(fit: &Fit) -> Self {
        let captures = fit.captures.iter().cloned();
        Self {
            name: fit.rule.to_string(),
            method: fit.method.clone(),
            pattern: fit.pattern.clone(),
            captures: captures
                .map(|(name, value)| Capture {
                    name,
                    value: path(&value),
                })
                .collect(),
            demands: fit.demands.clone(),
            issue: fit.issue,
            verdict: match &fit.verdict {
                Ok(Ok(())) => "admitted",
                Ok(Err(_)) => "denied",
                Err(_) => "passed_over",
            }
            .into(),
            passed_over_for: fit.verdict.as_ref().err().copied(),
            denial: match &fit.verdict {
                Ok(Err(denial)) => Some(Why::of(denial)),
                Ok(Ok(())) | Err(_) => None,
            },
        }
    }
}

pub(super) fn conflict(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Agree => "agree",
        Conflict::Precedence => "precedence",
        Conflict::Refuse => "refuse",
    }
}

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Deny => "deny",
        Mode::Off => "off",
        Mode::Redirect => "redirect",
    }
}

pub(super) fn proto(from: Proto) -> &'static str {
    match from {
        Proto::Scheme => "scheme",
        Proto::XForwardedProto => "x-forwarded-proto",
    }
}

pub(super) fn client_address(from: ClientAddress) -> String {
    match from {
        ClientAddress::EnvoyExternalAddress => "x-envoy-external-address".to_owned(),
        ClientAddress::ForwardedFor { trusted_hops } => {
            format!("x-forwarded-for, trusted hops: {trusted_hops}")
        }
        ClientAddress::Peer => "peer".to_owned(),
    }
}

/// Shows the name of a query parameter, as it was spelled, if it looks like one: a client may have
/// left a secret where the name belongs.
pub(super) fn parameter(name: &str) -> String {
    let plain = |it: u8| is_token_byte(it) || matches!(it, b'[' | b']');
    if name.len() < SECRET_BYTES && name.bytes().all(plain) {
        name.to_owned()
    } else {
        masked(name)
    }
}

/// Shows a path, or a segment of one, without what may be a token: some platforms have them there.
pub(super) fn path(path: &str) -> String {
    let segment = |it: &str| {
        if it.len() < TOKEN_BYTES {
            it.to_owned()
        } else {
            masked(it)
        }
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Shows the target of a redirect without the values of its query.
pub(super) fn location(target: &str) -> String {
    let Some((resource, query)) = target.split_once('?') else {
        return path(target);
    };
    let shown = query.split('&').map(|it| match it.split_once('=') {
        Some((name, value)) => format!("{}={}", parameter(name), masked(value)),
        None => parameter(it),
    });
    let shown: Vec<_> = shown.collect();
    format!("{resource}?{}", shown.join("&"))
}

fn masked(text: &str) -> String {
    format!("({} bytes)", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_query_only_names_are_shown() {
        let secret = "0123456789abcdef0123456789abcdef";
        let cases = [
            ("https://h/p", "https://h/p".to_owned()),
            (
                "https://h/p?a=hunter2&b",
                "https://h/p?a=(7 bytes)&b".to_owned(),
            ),
            (
                "https://h/p?a[]=x=y",
                "https://h/p?a[]=(3 bytes)".to_owned(),
            ),
            (
                &format!("https://h/p?{secret}"),
                "https://h/p?(32 bytes)".to_owned(),
            ),
            ("https://h/p?Bearer:x", "https://h/p?(8 bytes)".to_owned()),
        ];
        for (target, want) in cases {
            assert_eq!(location(target), want);
        }
    }
}
