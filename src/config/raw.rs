//! The configuration as people write it: serde types without judgement.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::store::RawStore;
use crate::envoy::OnFault;
use crate::outbound::IN_FLIGHT;
use crate::platform::PlatformFrom;
use crate::telemetry::LogFormat;

/// Which part of the allows has a line in the audit, unless settings say else.
const AUDITED_ALLOWS: f64 = 0.01;

/// Which part of the Checks that belong to no trace has a span, unless settings say else.
const TRACED: f64 = 0.01;

/// The configuration file of Portcullis.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Where it listens; `serve` needs it, other commands do not.
    #[serde(default)]
    pub listen: RawListen,
    /// Where the directory is kept.
    #[serde(default)]
    pub store: RawStore,
    /// What tokens that are minted here, and assertions, are signed with.
    #[serde(default)]
    pub signing: RawSigning,
    /// How servers on the internet are asked, such as those that publish key sets.
    #[serde(default)]
    pub outbound: RawOutbound,
    /// What is remembered, and for how long.
    #[serde(default)]
    pub cache: RawCache,
    /// How checks are answered.
    #[serde(default)]
    pub check: RawCheck,
    /// How the client's address is known; needed where credentials may be bound to addresses, or are
    /// counted by them where they fail.
    pub client_address: Option<RawClientAddress>,
    /// What the operator is told.
    #[serde(default)]
    pub telemetry: RawTelemetry,
    /// Whether hosts count, or only what the route says.
    #[serde(default)]
    pub platform_from: PlatformFrom,
    /// Read by the platforms themselves.
    #[serde(rename = "platforms")]
    #[schemars(skip)]
    _platforms: Option<serde::de::IgnoredAny>,
}

/// Listeners.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawListen {
    /// Check, health and reflection: `IP:PORT` or `unix:PATH`; `serve` needs one at least.
    pub grpc: Vec<String>,
    /// Endpoints that issue tokens, reached through Envoy: `IP:PORT`; absent: off.
    pub issue: Option<String>,
    /// The status page, `/metrics`, `/healthz`, `/readyz`: `IP:PORT`; absent: off.
    pub admin: Option<String>,
    /// How commands reach the running server: `unix:PATH`, made with mode 0600; absent: off.
    pub control: Option<String>,
    /// TLS on `grpc` over TCP and on `issue`; absent: neither has it.
    pub tls: Option<RawTls>,
}

/// TLS of the listeners. Files are read again when they change; connections that are open stay.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTls {
    /// A file with the certificate (PEM) that is shown, and behind it those that vouch for it.
    pub cert_file: String,
    /// A file with its private key (PEM).
    pub key_file: String,
    /// A file with certificates (PEM): whoever connects has to show one that these vouch for. Absent:
    /// anybody may connect.
    pub client_ca_file: Option<String>,
}

/// Signing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSigning {
    /// Files with private RSA keys (PEM, 2048 bits or more), 4 at most: tokens are signed with the
    /// first, and good under each. A `memory:` store with `listen.issue` makes its own.
    pub key_files: Vec<String>,
    /// Files with private keys on P-256 or of Ed25519 (PEM, PKCS#8), 4 at most: assertions for
    /// upstreams are signed with the first, as ES256 or `EdDSA`, and each stands in the key sets. A
    /// `memory:` store makes its own.
    pub assertion_key_files: Vec<String>,
}

/// Asking servers on the internet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOutbound {
    /// A file with the certificates (PEM) that vouch for servers besides those of the system.
    pub ca_file: Option<String>,
    /// How many requests may be under way at once; further ones are faults.
    pub in_flight: usize,
}

impl Default for RawOutbound {
    fn default() -> Self {
        Self {
            ca_file: None,
            in_flight: IN_FLIGHT,
        }
    }
}

/// The cache.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCache {
    /// Identities kept.
    pub capacity: u64,
    /// How long an identity is kept, give or take a tenth.
    pub ttl_seconds: u64,
    /// Denials kept, apart from identities.
    pub denial_capacity: u64,
    /// How long a denial is kept.
    pub denial_ttl_seconds: u64,
    /// Proofs kept: that a password matches a hash.
    pub proof_capacity: u64,
    /// How long an identity counts on while the store fails, beyond `store.watch_grace_seconds` and its own time; never
    /// beyond its expiry. A revocation meanwhile does not take hold until the store is back.
    pub stale_if_fault_seconds: u64,
}

impl Default for RawCache {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            ttl_seconds: 60,
            denial_capacity: 20_000,
            denial_ttl_seconds: 5,
            proof_capacity: 100_000,
            stale_if_fault_seconds: 0,
        }
    }
}

/// Checks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCheck {
    /// How long a decision may take, in milliseconds; never longer than Envoy waits, less 20 ms.
    pub deadline_ms: u64,
    /// What a failure of ours becomes.
    pub on_fault: OnFault,
}

impl Default for RawCheck {
    fn default() -> Self {
        Self {
            deadline_ms: 150,
            on_fault: OnFault::Deny,
        }
    }
}

/// How the client's address is known.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawClientAddress {
    /// Where it is read.
    pub from: From,
    /// For `x-forwarded-for`: which entry from the right is the client's, 1 for the one that the
    /// nearest proxy wrote.
    pub trusted_hops: Option<u8>,
}

/// Where the client's address is read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// The peer of Envoy's listener: where Envoy is the edge.
    Peer,
    /// The header that Envoy overwrites under `use_remote_address: true`.
    XEnvoyExternalAddress,
    /// The header of that name, with `trusted_hops`.
    XForwardedFor,
}

/// Logs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawTelemetry {
    /// `error`, `warn`, `info`, `debug`, `trace`, or `tracing` directives.
    pub log: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Who is told what was decided; absent: nobody.
    pub audit: Option<RawAudit>,
    /// Where a collector takes metrics and traces, by OTLP over gRPC: `http://HOST:PORT`, or `https://` over TLS;
    /// absent: none is told.
    pub otlp_endpoint: Option<String>,
    /// How the collector is told.
    pub otlp: RawOtlp,
    /// Of which Checks the collector is told a span.
    pub traces: RawTraces,
}

/// How a collector is told. Its files are read again when they change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawOtlp {
    /// A file with certificates (PEM) that vouch for it besides those of the system.
    pub ca_file: Option<String>,
    /// A file with headers that it wants, one in a line: `NAME: VALUE`.
    pub headers_file: Option<String>,
    /// Whether those headers may go over a network without TLS (`http://`), where nobody else hears it.
    pub allow_plaintext: bool,
    /// How often it is told of metrics, in seconds.
    pub metrics_seconds: u64,
}

impl Default for RawOtlp {
    fn default() -> Self {
        Self {
            ca_file: None,
            headers_file: None,
            allow_plaintext: false,
            metrics_seconds: 30,
        }
    }
}

/// Of which Checks a collector is told a span.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawTraces {
    /// Of which part of those that belong to no trace yet, from 0 to 1, spread evenly. Of all others, whoever began
    /// the trace decides.
    #[schemars(range(min = 0, max = 1))]
    pub sampled: f64,
    /// Where the trace that a Check belongs to is named.
    pub parent_from: ParentFrom,
}

impl Default for RawTraces {
    fn default() -> Self {
        Self {
            sampled: TRACED,
            parent_from: ParentFrom::Metadata,
        }
    }
}

/// Where the trace that a Check belongs to is named, as `traceparent`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParentFrom {
    /// In the metadata of the call: by an Envoy that traces.
    Metadata,
    /// There, and else in the headers of the request: clients write those, unless something in front does. Beyond 100
    /// spans a second that such a request asks for, `sampled` decides.
    Request,
}

/// The audit: a line of JSON for each denial, fault and credential that is issued, and for some allows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAudit {
    /// `stdout`, or a file, which SIGHUP has opened anew.
    pub to: String,
    /// Which allows have a line.
    pub allows: RawAllows,
}

impl Default for RawAudit {
    fn default() -> Self {
        Self {
            to: "stdout".to_owned(),
            allows: RawAllows::Part(AUDITED_ALLOWS),
        }
    }
}

/// Which allows have a line in the audit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, serde::Serialize)]
#[serde(
    untagged,
    expecting = "expected `all`, `none`, or a part from 0 to 1 such as 0.01"
)]
pub enum RawAllows {
    /// All of them or none.
    Word(AllOrNone),
    /// This part of them, from 0 to 1, spread evenly.
    Part(#[schemars(range(min = 0, max = 1))] f64),
}

/// All or none.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AllOrNone {
    /// All.
    All,
    /// None.
    None,
}

impl Default for RawTelemetry {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Json,
            audit: None,
            otlp_endpoint: None,
            otlp: RawOtlp::default(),
            traces: RawTraces::default(),
        }
    }
}
