//! A real Prometheus that scrapes servers of a test and evaluates the chart's alerts, and its promtool.
//!
//! ```ignore
//! let prometheus = Prometheus::watch(&[("one", server.admin(), "/metrics")]);
//! prometheus.await_samples("up == 1", &mut async || {}).await;
//! redis.kill();
//! prometheus.await_firing("PortcullisStoreUnwatched", &mut async || ask().await).await;
//! ```
//!
//! - It scrapes twice a second, as pods of one namespace. Its rules are those of the chart, word for word, but that
//!   seconds stand in the place of minutes wherever they look back or wait ([`in_seconds`]).
//! - Both binaries are those that `./tests/run` unpacks, or what `PORTCULLIS_TEST_PROMETHEUS` and
//!   `PORTCULLIS_TEST_PROMTOOL` name; a missing one fails the test.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::http::fetch;
use super::process::{Process, command};
use super::{free_port, installed, loopback};

/// The chart's alerts.
pub const ALERTS: &str = include_str!("../../deploy/helm/portcullis/files/alerts.yaml");
/// The namespace of all that is scraped.
pub const NAMESPACE: &str = "authz";

/// Longer than any alert waits and looks back in seconds, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked for what is waited for.
const TICK: Duration = Duration::from_millis(100);

/// A Prometheus; dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these: a pod's name, where it listens, and the path of its metrics.
    pub fn watch(pods: &[(&str, SocketAddr, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).expect("a writable temporary directory");
            path
        };
        write("alerts.yaml", &in_seconds(ALERTS));
        let targets = pods.iter().map(|(pod, address, path)| {
            json!({
                "targets": [address.to_string()],
                "labels": { "namespace": NAMESPACE, "pod": pod, "__metrics_path__": path },
            })
        });
        let config = json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "250ms" },
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [{ "job_name": "pods", "static_configs": targets.collect::<Vec<_>>() }],
        });
        // What is JSON is YAML.
        let config = write("prometheus.yaml", &config.to_string());
        let address = loopback(free_port());
        let mut command = command(installed("prometheus", "PORTCULLIS_TEST_PROMETHEUS"));
        command
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg("--log.level=warn");
        let process = Process::spawn_in(dir.path(), "prometheus", command);
        process.await_start("ready", || {
            let answer = fetch(address, "/-/ready").ok()?;
            (answer.status == 200).then_some(())
        });
        Self {
            process,
            address,
            _dir: dir,
        }
    }

    /// Gives the samples that a query has now, as `{"metric": {…}, "value": [time, "number"]}`.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let data = self.get(&format!("/api/v1/query?query={}", escaped(query)));
        let samples = data["result"].as_array();
        samples.unwrap_or_else(|| panic!("{query}: {data}")).clone()
    }

    /// Gives the alerts that fire or are about to.
    pub fn alerts(&self) -> Vec<Value> {
        let data = self.get("/api/v1/alerts");
        data["alerts"].as_array().expect("a list of alerts").clone()
    }

    /// Gives the rules, as it has read them.
    pub fn rules(&self) -> Vec<Value> {
        let data = self.get("/api/v1/rules");
        let groups = data["groups"].as_array().expect("a list of groups");
        let rules = groups.iter().flat_map(|it| it["rules"].as_array());
        rules.flatten().cloned().collect()
    }

    /// Waits until a query has samples, and does this again and again meanwhile.
    pub async fn await_samples(&self, query: &str, meanwhile: &mut impl AsyncFnMut()) {
        let has_some = || !self.query(query).is_empty();
        self.until(&format!("samples of {query}"), has_some, meanwhile)
            .await;
    }

    /// Waits until an alert fires, and does this again and again meanwhile. Gives it.
    pub async fn await_firing(&self, alert: &str, meanwhile: &mut impl AsyncFnMut()) -> Value {
        let firing = || {
            let mut alerts = self.alerts().into_iter();
            alerts.find(|it| it["labels"]["alertname"] == alert && it["state"] == "firing")
        };
        let what = format!("{alert} fires");
        self.until(&what, || firing().is_some(), meanwhile).await;
        firing().expect("an alert that has just fired")
    }

    /// Waits until an alert neither fires nor is about to, and does this again and again meanwhile.
    pub async fn await_quiet(&self, alert: &str, meanwhile: &mut impl AsyncFnMut()) {
        let is_quiet = || {
            let alerts = self.alerts();
            alerts.iter().all(|it| it["labels"]["alertname"] != alert)
        };
        self.until(&format!("{alert} is quiet"), is_quiet, meanwhile)
            .await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool, meanwhile: &mut impl AsyncFnMut()) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let comes = timeout(PATIENCE, async {
            while !is_so() {
                tick.tick().await;
                meanwhile().await;
            }
        });
        if comes.await.is_err() {
            panic!(
                "never came: {what}\nalerts: {:#?}\nrules: {:#?}",
                self.alerts(),
                self.rules()
            );
        }
    }

    fn get(&self, path: &str) -> Value {
        let answer = fetch(self.address, path).expect("an answer of Prometheus");
        let mut answer = answer.json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}

/// Runs promtool with these words, and gives what it printed; panics where it failed.
pub fn promtool(words: &[&str]) -> String {
    let mut command = Command::new(installed("promtool", "PORTCULLIS_TEST_PROMTOOL"));
    let output = command.args(words).output().expect("promtool");
    let [out, err] =
        [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(
        output.status.success(),
        "promtool {}: {out}{err}",
        words.join(" ")
    );
    out
}

/// Puts seconds in the place of minutes wherever rules look back (`[5m]`, `offset 10m`) or wait (`for: 5m`), and changes
/// nothing else.
pub fn in_seconds(rules: &str) -> String {
    let mut text = rules.to_owned();
    for before in ["[", "offset ", "for: "] {
        let mut parts = text.split(before);
        let mut changed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let number = part.trim_start_matches(|it: char| it.is_ascii_digit());
            let digits = &part[..part.len() - number.len()];
            let rest = match number.strip_prefix('m') {
                Some(rest) if !digits.is_empty() => format!("{digits}s{rest}"),
                _ => part.to_owned(),
            };
            changed.extend([before, &rest]);
        }
        text = changed;
    }
    text
}

fn escaped(text: &str) -> String {
    text.bytes().map(|it| format!("%{it:02X}")).collect()
}
