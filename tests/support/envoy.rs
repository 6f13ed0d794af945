//! A real Envoy in front of an upstream, asking a Check service about every request.
//!
//! It runs with Envoy's defaults where they matter: nothing normalises paths or merges slashes unless the test says
//! so, so that a test sees what the server under test makes of them. The binary is the one that `./tests/run`
//! installs, or what `PORTCULLIS_TEST_ENVOY` names.
//!
//! It deliberately uses no hot restart (which leaves shared memory behind when killed) and lets Envoy choose its
//! ports, which its admin endpoint then tells: no two instances can clash.

mod config;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::fetch;
use super::process::{Process, command};
use super::tls::{Authority, Certificate};
use super::{free_port, installed, loopback};

const ADMIN_ADDRESS_FILE: &str = "admin-address";
const CONFIG_FILE: &str = "envoy.json";

/// Names of the listeners, which are also the prefixes of their statistics.
const PLAIN: &str = "plain";
const RAW_HEADERS: &str = "raw_headers";
const TLS: &str = "tls";
const MTLS: &str = "mtls";

/// Where the Check service is.
#[derive(Clone, Debug)]
pub enum CheckAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl From<SocketAddr> for CheckAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Path> for CheckAddress {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

/// A running Envoy; dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    plain: SocketAddr,
    raw_headers: SocketAddr,
    tls: Option<[SocketAddr; 2]>,
    _dir: TempDir,
}

impl Envoy {
    /// Begins one that asks `check` about every request and forwards to `upstream` those that it lets pass.
    pub fn builder(check: impl Into<CheckAddress>, upstream: SocketAddr) -> Builder {
        Builder {
            check: check.into(),
            upstream,
            check_timeout: Duration::from_secs(1),
            failure_mode_allow: false,
            normalize_paths: false,
            edge: false,
            ignore_ports: false,
            hosts: Vec::new(),
            routes: Vec::new(),
            issue: None,
            tls: None,
            check_tls: None,
            tracing: None,
        }
    }

    /// The listener with Envoy's default header encoding, a map.
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// The listener with `encode_raw_headers`: a list, with order, repetitions and bytes kept.
    pub fn raw_headers(&self) -> SocketAddr {
        self.raw_headers
    }

    /// The listener that takes TLS, and no client's certificate that [`Builder::tls`]'s authority does not vouch for.
    pub fn tls(&self) -> SocketAddr {
        self.tls.expect("a builder that was told so")[0]
    }

    /// As [`Envoy::tls`], and it takes nobody without a certificate.
    pub fn mtls(&self) -> SocketAddr {
        self.tls.expect("a builder that was told so")[1]
    }

    /// Where its statistics are, `/stats/prometheus` among them.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Gives its log and access log so far; the latter comes some milliseconds late.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until its log or access log holds `text`; panics after `patience`.
    pub fn await_log(&self, text: &str, patience: Duration) {
        self.process.await_log(text, patience);
    }

    /// Reads one of its counters or gauges, as `http.plain.ext_authz.denied`; one that was never touched is 0.
    pub fn statistic(&self, name: &str) -> u64 {
        let answer = fetch(self.admin, "/stats").expect("Envoy's statistics");
        let line = answer
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map_or(0, |value| value.parse().expect("a number"))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// An Envoy to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    check: CheckAddress,
    upstream: SocketAddr,
    check_timeout: Duration,
    failure_mode_allow: bool,
    normalize_paths: bool,
    edge: bool,
    ignore_ports: bool,
    hosts: Vec<(String, Value, Option<SocketAddr>)>,
    routes: Vec<(String, SocketAddr)>,
    issue: Option<SocketAddr>,
    tls: Option<Tls>,
    check_tls: Option<CheckTls>,
    tracing: Option<SocketAddr>,
}

/// How Check is asked over TLS, in PEM.
#[derive(Clone, Debug)]
struct CheckTls {
    trusted: String,
    own: Option<(String, String)>,
}

/// With what TLS listeners answer, in PEM.
#[derive(Clone, Debug)]
struct Tls {
    certificate: String,
    key: String,
    trusted: String,
}

impl Builder {
    /// Sets how long Envoy waits for an answer to Check (default 1 s; Envoy's own would be 200 ms).
    pub fn check_timeout(self, check_timeout: Duration) -> Self {
        Self {
            check_timeout,
            ..self
        }
    }

    /// Makes Envoy forward requests when the check itself fails.
    pub fn failure_mode_allow(self) -> Self {
        Self {
            failure_mode_allow: true,
            ..self
        }
    }

    /// Sends what Check marks with a context to `issue`, and nothing else, as `deploy/PLATFORMS.md` says.
    pub fn issue(self, issue: SocketAddr) -> Self {
        Self {
            issue: Some(issue),
            ..self
        }
    }

    /// Adds listeners that take TLS, with a certificate of this authority, and trust its clients.
    pub fn tls(self, authority: &Authority) -> Self {
        let (certificate, key) = authority.certify_server().pem();
        let tls = Tls {
            certificate,
            key,
            trusted: authority.pem(),
        };
        Self {
            tls: Some(tls),
            ..self
        }
    }

    /// Asks Check over TLS, trusting this authority, and shows this certificate where it is asked for one.
    pub fn check_tls(self, authority: &Authority, own: Option<&Certificate>) -> Self {
        let check_tls = CheckTls {
            trusted: authority.pem(),
            own: own.map(Certificate::pem),
        };
        Self {
            check_tls: Some(check_tls),
            ..self
        }
    }

    /// Makes Envoy trace every request, and tell a collector there of its spans by OTLP.
    pub fn tracing(self, collector: SocketAddr) -> Self {
        Self {
            tracing: Some(collector),
            ..self
        }
    }

    /// Makes Envoy normalise paths and merge slashes before it asks, as production should.
    pub fn normalize_paths(self) -> Self {
        Self {
            normalize_paths: true,
            ..self
        }
    }

    /// Gives a host a virtual host of its own, with these context extensions; `"*"` is every other host.
    pub fn host(mut self, domain: &str, context_extensions: &[(&str, &str)]) -> Self {
        let extensions = context_extensions
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)));
        self.hosts
            .push((domain.to_owned(), Value::Object(extensions.collect()), None));
        self
    }

    /// As [`Builder::host`], and its requests go elsewhere than to the upstream.
    pub fn host_at(
        self,
        domain: &str,
        context_extensions: &[(&str, &str)],
        to: SocketAddr,
    ) -> Self {
        let mut builder = self.host(domain, context_extensions);
        if let Some(host) = builder.hosts.last_mut() {
            host.2 = Some(to);
        }
        builder
    }

    /// Makes Envoy believe nothing that a client says about its address and scheme, as at the edge.
    pub fn edge(self) -> Self {
        Self { edge: true, ..self }
    }

    /// Makes Envoy look for a host's virtual host without the port that the client named.
    pub fn ignore_ports(self) -> Self {
        Self {
            ignore_ports: true,
            ..self
        }
    }

    /// Routes a path prefix elsewhere than to the upstream, on every host: to the issuing listener, for one.
    pub fn route(mut self, prefix: &str, to: SocketAddr) -> Self {
        self.routes.push((prefix.to_owned(), to));
        self
    }

    /// Starts it and waits until it listens; panics, with its output, when it does not come to that.
    pub fn start(&self) -> Envoy {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = dir.path().join(CONFIG_FILE);
        fs::write(&config, self.config().to_string()).expect("a writable temporary directory");
        let admin_file = dir.path().join(ADMIN_ADDRESS_FILE);

        let mut command = command(installed("envoy", "PORTCULLIS_TEST_ENVOY"));
        command
            .args([
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--log-level",
                "warning",
            ])
            .args(["--file-flush-interval-msec", "10", "--config-path"])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin_file);
        let process = Process::spawn_in(dir.path(), "envoy", command);
        let admin =
            process.await_start("up", || fs::read_to_string(&admin_file).ok()?.parse().ok());
        process.await_start("ready", || {
            let answer = fetch(admin, "/ready").ok()?;
            (answer.status == 200).then_some(())
        });
        let listeners = fetch(admin, "/listeners?format=json")
            .expect("Envoy's listeners")
            .json();
        let address_of = |name| {
            let address = listener_address(&listeners, name);
            process.await_start("listening", || TcpStream::connect(address).ok());
            address
        };
        let [plain, raw_headers] = [PLAIN, RAW_HEADERS].map(address_of);
        let tls = self.tls.as_ref().map(|_| [TLS, MTLS].map(address_of));
        Envoy {
            process,
            admin,
            plain,
            raw_headers,
            tls,
            _dir: dir,
        }
    }
}

fn listener_address(listeners: &Value, name: &str) -> SocketAddr {
    let all = listeners["listener_statuses"]
        .as_array()
        .expect("a list of listeners");
    let found = all.iter().find(|listener| listener["name"] == name);
    let address =
        &found.expect("a listener that was configured")["local_address"]["socket_address"];
    let ip = address["address"]
        .as_str()
        .expect("an address")
        .parse()
        .expect("an IP address");
    let port = address["port_value"].as_u64().expect("a port");
    SocketAddr::new(ip, u16::try_from(port).expect("a port"))
}

/// The same places as in `./tests/run`.
/// An Envoy that runs a configuration of people's; dropping it kills it.
#[derive(Debug)]
pub struct Configured {
    process: Process,
    admin: SocketAddr,
    _dir: TempDir,
}

/// The admin listener as the files have it: one port for the one Envoy of a machine.
const ADMIN_OF_FILES: &str =
    "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }";

impl Configured {
    /// Starts one from the text of a YAML file, and waits until it listens at `listener`, which the text names. Its admin
    /// listener has a port of its own, as tests run beside each other.
    pub fn start(text: &str, listener: SocketAddr) -> Self {
        assert!(text.contains(ADMIN_OF_FILES), "{text}");
        let admin = loopback(free_port());
        let own = ADMIN_OF_FILES.replace("9901", &admin.port().to_string());
        let text = text.replace(ADMIN_OF_FILES, &own);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = dir.path().join("envoy.yaml");
        fs::write(&config, text).expect("a writable temporary directory");
        let mut command = command(installed("envoy", "PORTCULLIS_TEST_ENVOY"));
        command
            .args(["--disable-hot-restart", "--concurrency", "1"])
            .args(["--log-level", "warning", "--config-path"])
            .arg(&config);
        let process = Process::spawn("envoy", command);
        process.await_start("listening", || TcpStream::connect(listener).ok());
        Self {
            process,
            admin,
            _dir: dir,
        }
    }

    /// Where its statistics are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Gives its log and access log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
