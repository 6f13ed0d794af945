//! What is checked across keys, once each of them has been read.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::raw::{AllOrNone, From, RawAllows, RawAudit, RawClientAddress, RawConfig};
use crate::config::{ListenAddress, MAX_TTL_SECONDS};
use crate::document::{Document, Problem};
use crate::platform::https::Mode;
use crate::platform::{NamedScheme, Platform};
use crate::request::ClientAddress;
use crate::scheme::Budget;
use crate::telemetry::audit::{AuditSettings, Share, Target};
use crate::telemetry::check_filter;

/// What is checked across keys.
pub(super) struct Checked {
    pub(super) grpc: Vec<ListenAddress>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) issue: Option<SocketAddr>,
    pub(super) control: Option<PathBuf>,
    pub(super) client_address: Option<ClientAddress>,
    pub(super) audit: Option<AuditSettings>,
}

impl Checked {
    pub(super) fn of(
        document: &Document,
        raw: &RawConfig,
        platforms: &[Arc<Platform>],
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) -> Self {
        let mut complain = |pointer: &str, message: &str| {
            // What is wrong already is not judged again.
            let problem = document.problem(pointer, message);
            if !problems.iter().any(|it| it.key == problem.key) {
                problems.push(problem);
            }
        };
        let mut grpc = Vec::new();
        for (index, text) in raw.listen.grpc.iter().enumerate() {
            match ListenAddress::parse(text) {
                Ok(address) => grpc.push(address),
                Err(message) => complain(&format!("/listen/grpc/{index}"), message),
            }
        }
        let mut address = |pointer, text: &Option<String>| {
            let address = text.as_ref()?.parse::<SocketAddr>();
            address
                .map_err(|_| complain(pointer, "an address is `IP:PORT`"))
                .ok()
        };
        let admin = address("/listen/admin", &raw.listen.admin);
        let issue = address("/listen/issue", &raw.listen.issue);
        let control = raw.listen.control.as_deref().map(ListenAddress::parse);
        let control = match control {
            Some(Ok(ListenAddress::Unix(path))) => Some(path),
            Some(Ok(ListenAddress::Tcp(_)) | Err(_)) => {
                complain("/listen/control", "the control socket is `unix:PATH`");
                None
            }
            None => None,
        };
        for (pointer, value) in [
            ("/cache/capacity", raw.cache.capacity),
            ("/cache/ttl_seconds", raw.cache.ttl_seconds),
            ("/check/deadline_ms", raw.check.deadline_ms),
        ] {
            if value == 0 {
                complain(pointer, "must be above 0");
            }
        }
        let by_grpc = |it: Option<SocketAddr>| {
            it.is_some_and(|it| it.port() != 0 && grpc.contains(&ListenAddress::Tcp(it)))
        };
        if by_grpc(admin) {
            complain("/listen/admin", "`listen.grpc` has this address too");
        }
        if by_grpc(issue) {
            complain("/listen/issue", "`listen.grpc` has this address too");
        }
        if issue.is_some_and(|it| it.port() != 0) && issue == admin {
            complain("/listen/issue", "`listen.admin` has this address too");
        }
        let remote = raw.store.url.starts_with("redis");
        if remote && raw.store.timeout_ms >= raw.check.deadline_ms {
            let message = "not below `check.deadline_ms`: a Check gives up before the store does, and the log \
                           names the deadline instead of the store";
            warnings.push(document.problem("/store/timeout_ms", message));
        }
        if let Err(message) = check_filter(&raw.telemetry.log) {
            complain("/telemetry/log", &message);
        }
        for (pointer, seconds) in [
            ("/cache/ttl_seconds", raw.cache.ttl_seconds),
            ("/cache/denial_ttl_seconds", raw.cache.denial_ttl_seconds),
            (
                "/cache/stale_if_fault_seconds",
                raw.cache.stale_if_fault_seconds,
            ),
            ("/store/watch_grace_seconds", raw.store.watch_grace_seconds),
        ] {
            if seconds > MAX_TTL_SECONDS {
                complain(pointer, "at most 2592000 (30 days)");
            }
        }
        let audit = raw.telemetry.audit.as_ref();
        let audit = audit.and_then(|it| read_audit(it, &mut complain));
        let client_address = client_address(raw.client_address.as_ref(), &mut complain);
        let by_address = |it: &NamedScheme| {
            it.scheme.binds_addresses() || matches!(it.scheme.budget(), Some(Budget::Scheme(_)))
        };
        let binding = platforms
            .iter()
            .find(|it| it.schemes.iter().any(by_address));
        if let (None, Some(platform)) = (&raw.client_address, binding) {
            let message = format!(
                "`client_address` is needed: credentials of platform {} may be bound to addresses, or are counted by them where they fail. Write \
                 `client_address: {{ from: peer }}` where Envoy is the edge, or `{{ from: x-forwarded-for, \
                 trusted_hops: 1 }}` or `{{ from: x-envoy-external-address }}` where it is not",
                platform.name
            );
            complain("", &message);
        }
        let guessable = platforms.iter().find(|it| {
            let mut schemes = it.schemes.iter();
            schemes.any(|it| matches!(it.scheme.budget(), Some(Budget::Guesses | Budget::Name)))
        });
        if let (None, None, Some(platform)) = (&raw.client_address, binding, guessable) {
            let message = format!(
                "without `client_address`, guesses at passwords of platform {} are not limited",
                platform.name
            );
            warnings.push(document.problem("", &message));
        }
        warn(document, admin, platforms, warnings);
        Self {
            grpc,
            admin,
            issue,
            control,
            client_address,
            audit,
        }
    }
}

fn read_audit(raw: &RawAudit, complain: &mut impl FnMut(&str, &str)) -> Option<AuditSettings> {
    let allows = match raw.allows {
        RawAllows::Word(AllOrNone::All) => Some(Share::ALL),
        RawAllows::Word(AllOrNone::None) => Some(Share::NONE),
        RawAllows::Part(part) => Share::of(part),
    };
    if allows.is_none() {
        complain("/telemetry/audit/allows", "a part of all is from 0 to 1");
    }
    let to = match raw.to.as_str() {
        "" => {
            complain(
                "/telemetry/audit/to",
                "write `stdout`, or the path of a file",
            );
            return None;
        }
        "stdout" => Target::Stdout,
        file => Target::File(file.into()),
    };
    Some(AuditSettings {
        to,
        allows: allows?,
    })
}

fn client_address(
    raw: Option<&RawClientAddress>,
    complain: &mut impl FnMut(&str, &str),
) -> Option<ClientAddress> {
    let raw = raw?;
    match (raw.from, raw.trusted_hops) {
        (From::Peer, None) => Some(ClientAddress::Peer),
        (From::XEnvoyExternalAddress, None) => Some(ClientAddress::EnvoyExternalAddress),
        (From::XForwardedFor, Some(trusted_hops @ 1..)) => {
            Some(ClientAddress::ForwardedFor { trusted_hops })
        }
        (From::XForwardedFor, _) => {
            complain(
                "/client_address",
                "`x-forwarded-for` needs `trusted_hops`, 1 or more",
            );
            None
        }
        (From::Peer | From::XEnvoyExternalAddress, Some(_)) => {
            complain(
                "/client_address/trusted_hops",
                "only `x-forwarded-for` has trusted hops",
            );
            None
        }
    }
}

fn warn(
    document: &Document,
    admin: Option<SocketAddr>,
    platforms: &[Arc<Platform>],
    warnings: &mut Vec<Problem>,
) {
    if admin.is_some_and(|it| !it.ip().is_loopback()) {
        let message =
            "the admin listener is reachable from other machines; it has no authentication";
        warnings.push(document.problem("/listen/admin", message));
    }
    for (index, platform) in platforms.iter().enumerate() {
        for named in &platform.schemes {
            if let Some(message) = named.scheme.warning() {
                let message = format!(
                    "scheme {} of platform {}: {message}",
                    named.name, platform.name
                );
                warnings.push(document.problem(&format!("/platforms/{index}"), &message));
            }
        }
        if platform.https.mode != Mode::Off {
            continue;
        }
        let message = format!(
            "platform {} takes credentials over plain HTTP; set its `https` to `deny` or `redirect` \
             unless something in front does",
            platform.name
        );
        warnings.push(document.problem(&format!("/platforms/{index}"), &message));
    }
}
