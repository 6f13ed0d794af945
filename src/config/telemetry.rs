//! Which collector is told what operators want to know.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use hyper::Uri;

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
    if !headers.is_empty() && !raw.otlp.allow_plaintext && is_heard(endpoint) {
        let message = "would go over the network in the clear: take an `otlp_endpoint` with https://, or, where nobody \
                       else hears the network, `allow_plaintext: true`";
        complain("otlp/headers_file", message);
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

/// Tells whether what an endpoint is told leaves this machine without TLS.
fn is_heard(endpoint: &str) -> bool {
    // One that is no URL is told of already.
    endpoint.parse::<Uri>().is_ok_and(|it| {
        let host = it.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        it.scheme_str() == Some("http") && !is_here
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

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
            (
                format!("{url}otlp: {{ headers_file: headers }}"),
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
    }

    #[test]
    fn headers_go_in_the_clear_only_to_this_machine_or_where_that_was_said() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("headers");
        std::fs::write(&file, "authorization: Bearer SECRET\n").expect("a file");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("ours");
        for (endpoint, more, is_taken) in [
            ("http://collector:4317", "", false),
            ("HTTP://192.0.2.1:4317", "", false),
            ("http://127.0.0.1.example:4317", "", false),
            ("http://[2001:db8::1]:4317", "", false),
            ("http://collector:4317", ", allow_plaintext: false", false),
            ("http://collector:4317", ", allow_plaintext: true", true),
            ("https://collector:4317", "", true),
            ("http://127.0.0.1:4317", "", true),
            ("http://[::1]:4317", "", true),
            ("http://localhost:4317", "", true),
        ] {
            let telemetry =
                format!("otlp_endpoint: \"{endpoint}\"\n  otlp: {{ headers_file: headers{more} }}");
            match parse(folder.path(), &telemetry) {
                Ok(config) => {
                    assert!(is_taken, "{endpoint}");
                    let warnings = config.warnings.iter().map(ToString::to_string);
                    let about: Vec<_> = warnings.filter(|it| it.contains("telemetry")).collect();
                    assert_eq!(about, [""; 0], "{endpoint}");
                    assert!(!format!("{config:?}").contains("SECRET"));
                }
                Err(problems) => {
                    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
                    let is_it = told.len() == 1
                        && told[0].contains("in the clear")
                        && !told[0].contains("SECRET");
                    assert!(!is_taken && is_it, "{endpoint}: {told:?}");
                }
            }
        }
        // Metrics alone tell no secret.
        let plain = parse(folder.path(), "otlp_endpoint: http://collector:4317");
        assert!(plain.is_ok(), "{plain:?}");
    }
}
