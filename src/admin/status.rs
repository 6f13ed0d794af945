//! The status page: what an operator wants to know at a glance, and what it asks for to stay up to date.
//!
//! It shows paths and addresses of clients, so it is for this machine, also where the listener can be reached by others,
//! as it is for whoever scrapes metrics: only who comes from here to here sees it. Both ends are looked at, since what
//! stands before this process may hand on from here what came from elsewhere, to the address that was asked for. A name is
//! not believed, since anybody's may lead here (DNS rebinding); no other site may read it or show it inside its own pages.

mod health;
mod page;
mod seen;
mod words;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::admin::Shown;
use crate::admin::status::seen::Seen;
use crate::clock::Clock;
use crate::current::Current;

/// What browsers are told of the page and what it asks for, besides the page's own policy.
const GUARDS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Where a connection came from, and which address of ours it came to.
type Ends = (SocketAddr, SocketAddr);

/// Why somebody does not see it, and what to do.
const NOT_HERE: &str = "The status page is shown on this machine only, by address or as `localhost`. Forward the port \
    of the admin listener to your own machine, as by `kubectl port-forward`, and open it there.\n";

/// The configuration in force, as far as it is shown.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// The file that it was read from.
    pub file: String,
    /// Since when it is in force, in Unix seconds.
    pub loaded: u64,
    /// Tells it from another.
    pub hash: u64,
    /// What was to take its place last and did not; `None`: what was, did.
    pub refused: Option<Refused>,
    /// Until when the certificates that listeners show are valid, in Unix seconds.
    pub certificates: Vec<(&'static str, u64)>,
    /// Which store.
    pub store: String,
    /// Settings by what they are about; none of them secret.
    pub settings: Vec<(&'static str, String)>,
    /// The platforms.
    pub platforms: Vec<PlatformShown>,
}

/// A configuration that was not put in force.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// When, in Unix seconds.
    pub since: u64,
    /// How many problems it has.
    pub problems: usize,
}

/// A platform, as far as it is shown.
#[derive(Clone, Debug)]
pub struct PlatformShown {
    /// Its name.
    pub name: String,
    /// Where it is found.
    pub hosts: String,
    /// And below which path.
    pub prefix: String,
    /// The names of its schemes.
    pub schemes: String,
}

/// What the status page shows besides metrics.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The configuration in force.
    pub configured: Current<Configured>,
    clock: Clock,
    /// When the process began to serve, in Unix seconds.
    began: u64,
}

impl Overview {
    /// From now on.
    #[must_use]
    pub fn new(configured: Configured, clock: Clock) -> Self {
        Self {
            configured: configured.into(),
            began: clock.unix_seconds(),
            clock,
        }
    }
}

/// Tells whether whoever asks may see it.
fn is_for(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Some(host) = host.to_str().ok().and_then(address) else {
        return false;
    };
    let ends = request.extensions().get::<ConnectInfo<Ends>>();
    let is_here = |it: SocketAddr| it.ip().to_canonical().is_loopback();
    ends.is_some_and(|it| is_here(it.0.0) && is_here(it.0.1)) && host.is_loopback()
}

/// Reads a `Host` (RFC 9110 §7.2) that is an address, or the name of this machine for itself, with a port or without.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(it) = host.parse::<SocketAddr>() {
        return Some(it.ip().to_canonical());
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit()) => {
            name
        }
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let it = match bare {
        Some(it) => it.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    it.map(|it| it.to_canonical())
}

/// Gives the page.
pub(super) async fn show_page(State(shown): State<Shown>, request: Request) -> Response {
    if !is_for(&request) {
        return refused();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, page::POLICY.as_str()),
    ];
    (guards(), headers, page::page(&Seen::now(&shown))).into_response()
}

/// Gives what the page shows.
pub(super) async fn show_values(State(shown): State<Shown>, request: Request) -> Response {
    if !is_for(&request) {
        return refused();
    }
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let values = serde_json::to_vec(&Seen::now(&shown)).unwrap_or_default();
    (guards(), headers, values).into_response()
}

fn refused() -> Response {
    (StatusCode::FORBIDDEN, guards(), NOT_HERE).into_response()
}

fn guards() -> HeaderMap {
    let guards = GUARDS.into_iter();
    guards
        .map(|(name, value)| (name, header::HeaderValue::from_static(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_who_comes_from_here_to_here_by_no_name_sees_the_page() {
        let (here, own) = ("127.0.0.1:50000", "127.0.0.1:9003");
        let there = "192.0.2.7:50000";
        for (peer, to, host, want) in [
            (here, own, "127.0.0.1:9003", true),
            (here, own, "localhost:9003", true),
            (here, own, "LocalHost", true),
            (here, own, "127.0.0.1", true),
            (here, own, "[::1]:9003", true),
            ("[::1]:50000", "[::1]:9003", "[::1]", true),
            ("[::ffff:127.0.0.1]:50000", own, "localhost:9003", true),
            // Forwarded to another port.
            (here, own, "localhost:18080", true),
            // A name that was made to lead here.
            (here, own, "attacker.example:9003", false),
            (here, own, "localhost.attacker.example", false),
            (here, own, "127.0.0.1.attacker.example", false),
            (here, own, "localhost:9003:9003", false),
            (here, own, "localhost:", false),
            (here, own, "", false),
            (here, own, "0.0.0.0:9003", false),
            (here, own, "192.0.2.1:9003", false),
            // Anybody reaches it, for the metrics.
            (there, "192.0.2.1:9003", "localhost:9003", false),
            (there, "192.0.2.1:9003", "127.0.0.1:9003", false),
            (there, "192.0.2.1:9003", "192.0.2.1:9003", false),
            (there, own, "127.0.0.1:9003", false),
            // Handed on by what stands before this process, as the proxy of a mesh does.
            ("127.0.0.6:50000", "192.0.2.1:9003", "localhost", false),
        ] {
            let mut request = Request::new(Body::empty());
            let ends: Ends = (
                peer.parse().expect("an address"),
                to.parse().expect("an address"),
            );
            request.extensions_mut().insert(ConnectInfo(ends));
            let headers = request.headers_mut();
            headers.append(header::HOST, host.parse().expect("a value"));
            assert_eq!(is_for(&request), want, "{peer} {to} {host}");
            let headers = request.headers_mut();
            headers.append(header::HOST, "127.0.0.1".parse().expect("a value"));
            assert!(!is_for(&request), "two of them");
        }
        assert!(!is_for(&Request::new(Body::empty())), "nobody knows who");
    }
}
