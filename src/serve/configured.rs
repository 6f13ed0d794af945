//! What is shown of the configuration in force: a closed list, in which no setting has a place that may hold a secret.

use crate::admin::status::{Configured, PlatformShown};
use crate::clock::Clock;
use crate::config::{Config, ListenAddress};
use crate::envoy::OnFault;
use crate::platform::Platform;
use crate::request::ClientAddress;
use crate::telemetry::Metrics;
use crate::telemetry::audit::Target;

/// Puts a configuration that is in force from now on into words, and notes until when its certificate is valid.
pub(super) fn configured(config: &Config, clock: &Clock, metrics: &Metrics) -> Configured {
    let valid_until = config.tls.as_ref().and_then(|it| it.valid_until);
    let has_tcp = config
        .grpc
        .iter()
        .any(|it| matches!(it, ListenAddress::Tcp(_)));
    let listeners = [("grpc", has_tcp), ("issue", config.issue.is_some())];
    let listeners = listeners.into_iter().filter(|it| it.1).map(|it| it.0);
    let certificates: Vec<_> = listeners
        .zip(std::iter::repeat(valid_until))
        .filter_map(|(listener, until)| Some((listener, until?)))
        .collect();
    for (listener, until) in &certificates {
        metrics.note_certificate(listener, *until);
    }
    let mut files = config.files().into_iter();
    Configured {
        file: files.next().unwrap_or_default(),
        loaded: clock.unix_seconds(),
        hash: config.hash,
        refused: None,
        certificates,
        store: said(config, "/store/url", "memory:"),
        settings: settings(config, &files.collect::<Vec<_>>()),
        platforms: config.platforms.iter().map(|it| shown(it)).collect(),
    }
}

fn settings(config: &Config, files: &[String]) -> Vec<(&'static str, String)> {
    let off = || "off".to_owned();
    let grpc = config.grpc.iter().map(|it| match it {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    });
    let tls = match &config.tls {
        Some(_) if has(config, "/listen/tls/client_ca_file") => "with client certificates",
        Some(_) => "on",
        None => "off",
    };
    let limits = &config.cache;
    let cache = format!(
        "{} identities for {} s, {} denials for {} s",
        limits.capacity,
        limits.ttl.as_secs(),
        limits.denial_capacity,
        limits.denial_ttl.as_secs()
    );
    let on_fault = match config.on_fault {
        OnFault::Deny => "denied with 503",
        OnFault::GrpcError => "a gRPC error, so that Envoy decides",
    };
    let client = match config.client_address {
        Some(ClientAddress::Peer) => "Envoy's peer".to_owned(),
        Some(ClientAddress::EnvoyExternalAddress) => "x-envoy-external-address".to_owned(),
        Some(ClientAddress::ForwardedFor { trusted_hops }) => {
            format!("x-forwarded-for, {trusted_hops} trusted")
        }
        None => "not known".to_owned(),
    };
    let audit = config.audit.as_ref().map(|it| match &it.to {
        Target::File(path) => path.display().to_string(),
        Target::Stdout => "standard output".to_owned(),
    });
    let files = match files.is_empty() {
        true => "none".to_owned(),
        false => files.join(", "),
    };
    vec![
        ("Checks", grpc.collect::<Vec<_>>().join(", ")),
        (
            "Issuing endpoints",
            config.issue.map_or_else(off, |it| it.to_string()),
        ),
        (
            "Control socket",
            config
                .control
                .as_ref()
                .map_or_else(off, |it| it.display().to_string()),
        ),
        ("TLS", tls.to_owned()),
        ("Remembered", cache),
        (
            "A decision takes",
            format!("{} ms at most", config.deadline.as_millis()),
        ),
        ("A fault is", on_fault.to_owned()),
        ("Client address", client),
        ("Audit", audit.unwrap_or_else(off)),
        ("Log", config.log.clone()),
        ("Further files", files),
    ]
}

fn shown(platform: &Platform) -> PlatformShown {
    let site = &platform.site;
    let schemes: Vec<_> = platform.schemes.iter().map(|it| &*it.name).collect();
    PlatformShown {
        name: platform.name.to_string(),
        hosts: site.hosts.join(", "),
        prefix: site.prefix.clone(),
        schemes: schemes.join(", "),
    }
}

fn said(config: &Config, pointer: &str, unsaid: &str) -> String {
    let said = config.resolved.pointer(pointer);
    said.and_then(|it| it.as_str()).unwrap_or(unsaid).to_owned()
}

fn has(config: &Config, pointer: &str) -> bool {
    config
        .resolved
        .pointer(pointer)
        .is_some_and(|it| !it.is_null())
}
