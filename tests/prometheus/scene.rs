//! A small server, who asks it, and the alerts that are to come and to go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, date_time_ymd};
use serde_json::Value;

use crate::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::prometheus::{NAMESPACE, Prometheus};
use crate::support::redis::RedisServer;
use crate::support::sample::PEPPER;
use crate::support::server::Server;
use crate::support::tls::Authority;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const HOST: &str = "api.mine.example";
/// A key of the directory's.
pub(crate) const KNOWN: &str = "a-key-that-is-known-0001";
/// Where whoever presents it is.
const PEER: &str = "192.0.2.7";

const DIRECTORY: &str =
    "mine: { api_keys: [{ id: k-1, account: a-1, secret: a-key-that-is-known-0001 }] }\n";

const LISTEN: &str = "\
grpc: [\"127.0.0.1:{grpc}\"], admin: \"127.0.0.1:{admin}\", control: \"unix:control.sock\"";

/// The store that is filled from [`DIRECTORY`].
pub(crate) const MEMORY: &str = "store: { directory_file: directory.yaml }";

/// What a server keeps that has more to say than an empty one, for Redis: what was written outlives it.
pub(crate) const LASTING: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A configuration of one platform with API keys, with these settings besides.
pub(crate) fn config(more: &str) -> String {
    config_at(LISTEN, more)
}

/// The same, listening elsewhere.
pub(crate) fn config_at(listen: &str, more: &str) -> String {
    format!(
        "listen: {{ {listen} }}\n{more}\ncheck: {{ deadline_ms: 20000 }}\nclient_address: {{ from: peer }}\nplatforms:\n  \
         - name: mine\n    hosts: [{HOST}]\n    schemes: {{ key: {{ kind: api_key, from: [{{ header: x-my-key }}] }} }}\n    \
         rules: [{{ paths: [\"/**\"] }}]\n"
    )
}

/// The setting of a store on a Redis at this address.
pub(crate) fn on_redis(url: &str) -> String {
    format!("store: {{ url: \"{url}\", pepper_files: [pepper], timeout_ms: 2000 }}")
}

/// What stands beside such configurations.
pub(crate) const FILES: [(&str, &str); 2] = [("directory.yaml", DIRECTORY), ("pepper", PEPPER)];

pub(crate) fn start(more: &str) -> Server {
    Server::start_with(&config(more), &FILES)
}

/// Starts one on a Redis that has the directory.
pub(crate) fn start_on(redis: &RedisServer) -> Server {
    start_by(&redis.url())
}

/// The same, which reaches it at another address.
pub(crate) fn start_by(url: &str) -> Server {
    let server = start(&on_redis(url));
    server.command("import -", DIRECTORY);
    server
}

/// Starts one that listens with a certificate which ends in so many days.
pub(crate) fn start_in_tls(days: i64) -> Server {
    let listen = format!("{LISTEN}, tls: {{ cert_file: own.pem, key_file: own.key }}");
    let own = certificate(days);
    let own = own.iter().map(|(name, text)| (*name, text.as_str()));
    let files: Vec<_> = own.chain(FILES).collect();
    Server::start_with(&config_at(&listen, MEMORY), &files)
}

/// The files of such a certificate and its key.
pub(crate) fn certificate(days: i64) -> [(&'static str, String); 2] {
    let end = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let end = end.to_zoned(TimeZone::UTC);
    let [month, day] = [end.month(), end.day()].map(i8::unsigned_abs);
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(end.year().into(), month, day);
    let (certificate, key) = Authority::new().certify(&params).pem();
    [("own.pem", certificate), ("own.key", key)]
}

/// Whoever presents keys to a server.
pub(crate) struct Caller(CheckClient);

impl Caller {
    pub(crate) async fn of(server: &Server) -> Self {
        Self(CheckClient::connect(server.grpc()).await)
    }

    /// Presents a key, and gives what came of it.
    pub(crate) async fn present(&mut self, key: &str) -> u16 {
        self.present_from(PEER, key).await
    }

    /// Presents one that is nobody's, and that was never presented before, from where nobody else is.
    pub(crate) async fn guess(&mut self) -> u16 {
        let number = next();
        let peer = format!("10.{}.{}.1", number / 256 % 256, number % 256);
        self.present_from(&peer, &format!("a-key-of-nobody-{number}"))
            .await
    }

    /// The same, always from one address.
    pub(crate) async fn guess_on(&mut self) -> u16 {
        self.present(&format!("a-key-of-nobody-{}", next())).await
    }

    async fn present_from(&mut self, peer: &str, key: &str) -> u16 {
        let mut presents = Ask::new(HOST, "GET", "/orders/7").header("x-my-key", key);
        peer.clone_into(&mut presents.peer);
        ask(&mut self.0, presents.mapped()).await.status
    }
}

fn next() -> usize {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    MADE.fetch_add(1, Ordering::Relaxed)
}

/// Alerts that are to fire together, and who tells.
pub(crate) struct Trial<'a> {
    pub(crate) prometheus: Prometheus,
    alerts: &'a [&'a str],
}

impl<'a> Trial<'a> {
    /// Watches a server whose fault is yet to come, and waits until the alerts are quiet.
    pub(crate) async fn of(alerts: &'a [&'a str], server: &Server) -> Self {
        let trial = Self::begun(alerts, &[("one", server)]);
        trial.begin_quiet("portcullis_build_info").await;
        trial
    }

    /// Watches servers, by the names of their pods.
    pub(crate) fn begun(alerts: &'a [&'a str], servers: &[(&str, &Server)]) -> Self {
        let pods = servers
            .iter()
            .map(|(pod, it)| (*pod, it.admin(), "/metrics"));
        let prometheus = Prometheus::watch(&pods.collect::<Vec<_>>());
        Self { prometheus, alerts }
    }

    /// Has this one watch.
    pub(crate) fn by(alerts: &'a [&'a str], prometheus: Prometheus) -> Self {
        Self { prometheus, alerts }
    }

    /// Waits until there is what the alerts look at, and they are quiet.
    pub(crate) async fn begin_quiet(&self, metric: &str) {
        // More than once: whatever is at fault then would be about to fire.
        let seen = format!("count_over_time({metric}[1m]) > 2");
        self.prometheus.await_samples(&seen, &mut async || {}).await;
        self.end(async || {}).await;
    }

    /// Waits until all fire, and does this again and again meanwhile.
    pub(crate) async fn fire(&self, mut meanwhile: impl AsyncFnMut()) {
        for name in self.alerts {
            let alert = self.prometheus.await_firing(name, &mut meanwhile).await;
            demand_words(&alert);
        }
    }

    /// Waits until none fires any more, and does this again and again meanwhile.
    pub(crate) async fn end(&self, mut meanwhile: impl AsyncFnMut()) {
        for name in self.alerts {
            self.prometheus.await_quiet(name, &mut meanwhile).await;
        }
    }
}

/// Demands that an alert says where it is, in whole sentences, and leads to the runbook.
fn demand_words(alert: &Value) {
    let annotations = &alert["annotations"];
    assert_eq!(alert["labels"]["namespace"], NAMESPACE, "{alert:#}");
    for name in ["summary", "description", "runbook_url"] {
        let text = annotations[name].as_str().expect("an annotation");
        // A label that is not there leaves a gap.
        let has_gap = ["{{", "}}", "<no value>", "  "]
            .iter()
            .any(|it| text.contains(it));
        assert!(!has_gap && text.trim() == text, "{alert:#}");
    }
    let summary = annotations["summary"].as_str().expect("a summary");
    assert!(summary.contains(NAMESPACE), "{alert:#}");
}
