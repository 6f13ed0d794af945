//! Which collector is told what operators want to know.

use std::path::Path;
use std::time::Duration;

use crate::config::raw::{ParentFrom, RawConfig};
use crate::credential::Secret;
use crate::document::{Document, Problem};
use crate::otlp::{Settings, Traces, Trust, check_authorities, check_endpoint, read_headers};
use crate::telemetry::audit::Share;

/// The longest time between two tellings of metrics, in seconds: an hour.
const MAX_METRICS_SECONDS: u64 = 3600;

/// Reads the settings and the files that they name, relative to `base`; `None` where no collector is named, or
/// where there are problems, which are added.
pub(super) fn read(
    raw: &RawConfig,
    base: &Path,
    document: &Document,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Settings> {
    let raw = &raw.telemetry;
    let before = problems.len();
    let mut complain = |key: &str, message: &str| {
        problems.push(document.problem(&format!("/telemetry/{key}"), message));
    };
    if !(1..=MAX_METRICS_SECONDS).contains(&raw.otlp.metrics_seconds) {
        complain("otlp/metrics_seconds", "between 1 and 3600");
    }
    let sampled = Share::of(raw.traces.sampled);
    if sampled.is_none() {
        complain("traces/sampled", "a part of all is from 0 to 1");
    }
    let mut file = |key: &str, name: &Option<String>| {
        let read = name.as_ref().map(|it| Secret::read(&base.join(it)));
        read.transpose().map_err(|it| complain(key, &it)).ok()?
    };
    let ca = file("otlp/ca_file", &raw.otlp.ca_file);
    let headers = file("otlp/headers_file", &raw.otlp.headers_file);
    if let Some(Err(message)) = ca.as_ref().map(check_authorities) {
        complain("otlp/ca_file", &message);
    }
    let headers = headers.as_ref().map(read_headers).transpose();
    let headers = headers.map_err(|it| complain("otlp/headers_file", &it));
    let Some(endpoint) = &raw.otlp_endpoint else {
        for (key, is_set) in [
            ("otlp", document.count("/telemetry/otlp") > 0),
            ("traces", document.count("/telemetry/traces") > 0),
        ] {
            if is_set {
                let message = "without `otlp_endpoint`, nobody is told anything";
                warnings.push(document.problem(&format!("/telemetry/{key}"), message));
            }
        }
        return None;
    };
    if let Err(message) = check_endpoint(endpoint) {
        complain("otlp_endpoint", message);
    }
    let headers = headers.ok()?.unwrap_or_default();
    if !headers.is_empty() && endpoint.starts_with("http://") {
        let message = "goes over the network in the clear; take an `otlp_endpoint` with https://";
        warnings.push(document.problem("/telemetry/otlp/headers_file", message));
    }
    let settings = Settings {
        endpoint: endpoint.clone(),
        trust: Trust { ca, headers },
        every: Duration::from_secs(raw.otlp.metrics_seconds),
        traces: Traces {
            sampled: sampled?,
            of_requests: raw.traces.parent_from == ParentFrom::Request,
        },
    };
    (problems.len() == before).then_some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(base: &Path, telemetry: &str) -> Result<Config, Vec<Problem>> {
        let text = format!(
            "listen: {{ grpc: [\"127.0.0.1:0\"] }}\ntelemetry:\n  {telemetry}\nplatforms:\n  - {{ name: p, preset: opentact }}\n"
        );
        Config::parse("c.yaml", &text, base, |_| None)
    }

    #[test]
    fn nobody_is_told_anything_unless_that_was_said() {
        let config = parse(Path::new("/"), "log: info").expect("a configuration");
        assert_eq!(config.otlp, None);
        let config = parse(Path::new("/"), "otlp_endpoint: http://127.0.0.1:4317");
        let otlp = config.expect("a configuration").otlp;
        let usual = Settings {
            endpoint: "http://127.0.0.1:4317".to_owned(),
            trust: Trust::default(),
            every: Duration::from_secs(30),
            traces: Traces {
                sampled: Share::of(0.01).expect("a share"),
                of_requests: false,
            },
        };
        assert_eq!(otlp, Some(usual));
        let config = parse(Path::new("/"), "traces: { sampled: 1 }").expect("a configuration");
        let warned = config.warnings.iter().map(ToString::to_string);
        let warned: Vec<_> = warned.filter(|it| it.contains("telemetry")).collect();
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(
            warned[0].starts_with("c.yaml:3: telemetry.traces: "),
            "{warned:?}"
        );
    }

    #[test]
    fn what_is_wrong_is_told_at_its_key_and_no_secret_with_it() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("empty.pem", "");
        write("headers", "authorization: Bearer SECRET\n");
        write("wrong", "authorization=Bearer SECRET\n");
        let url = "otlp_endpoint: http://collector:4317\n  ";
        for (telemetry, key) in [
            ("otlp_endpoint: collector:4317".to_owned(), "otlp_endpoint"),
            (
                "otlp_endpoint: https://a:SECRET@collector".to_owned(),
                "otlp_endpoint",
            ),
            (format!("{url}traces: {{ sampled: 1.5 }}"), "traces.sampled"),
            (
                format!("{url}traces: {{ parent_from: client }}"),
                "traces.parent_from",
            ),
            (
                format!("{url}otlp: {{ metrics_seconds: 0 }}"),
                "otlp.metrics_seconds",
            ),
            (
                format!("{url}otlp: {{ ca_file: none.pem }}"),
                "otlp.ca_file",
            ),
            (
                format!("{url}otlp: {{ ca_file: empty.pem }}"),
                "otlp.ca_file",
            ),
            (
                format!("{url}otlp: {{ headers_file: wrong }}"),
                "otlp.headers_file",
            ),
            (format!("{url}otlp: {{ nmae: 1 }}"), "otlp.nmae"),
        ] {
            let told = parse(folder.path(), &telemetry).expect_err(&telemetry);
            let told: Vec<_> = told.iter().map(ToString::to_string).collect();
            let at = format!(": telemetry.{key}: ");
            assert!(
                told.len() == 1 && told[0].contains(&at),
                "{telemetry}: {told:?}"
            );
            assert!(!told[0].contains("SECRET"), "{told:?}");
        }
        let config = parse(
            folder.path(),
            &format!("{url}otlp: {{ headers_file: headers }}"),
        );
        let config = config.expect("a configuration");
        let warned = config.warnings.iter().map(ToString::to_string);
        let in_clear = warned.filter(|it| it.contains("in the clear"));
        assert_eq!(in_clear.count(), 1, "{:?}", config.warnings);
        assert!(!format!("{config:?}").contains("SECRET"));
    }
}
