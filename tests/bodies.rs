//! What the three platforms answer, byte for byte.
//!
//! The files under `tests/golden/` were written by hand from the platforms' published contracts, so
//! that the presets are held against those and not against our own output. A file ends with a line
//! feed that the body does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::platform::body::template::Values;
use portcullis::platform::errors::{ErrorTable, FAULT, Occasion, RawErrorRow};
use serde::Deserialize;

/// The closed list of denial reasons, each with its own status.
const REASONS: [(&str, u16); 23] = [
    ("no_platform", 403),
    ("no_rule", 403),
    ("missing", 401),
    ("malformed", 401),
    ("conflict", 401),
    ("unknown", 401),
    ("wrong", 401),
    ("expired", 401),
    ("not_yet_valid", 401),
    ("revoked", 401),
    ("disabled", 401),
    ("locked", 423),
    ("address", 401),
    ("account_mismatch", 401),
    ("scheme_not_accepted", 403),
    ("scope", 403),
    ("role", 403),
    ("relation", 403),
    ("second_factor", 401),
    ("throttled", 429),
    ("path", 400),
    ("plain_http", 302),
    ("too_large", 401),
];

const PRESETS: [(&str, &str); 3] = [
    (
        "crossbar",
        include_str!("../src/platform/presets/crossbar.yaml"),
    ),
    (
        "infobip",
        include_str!("../src/platform/presets/infobip.yaml"),
    ),
    (
        "opentact",
        include_str!("../src/platform/presets/opentact.yaml"),
    ),
];

#[derive(Deserialize)]
struct Preset {
    errors: Vec<RawErrorRow>,
}

fn table(platform: &str) -> ErrorTable {
    let (_, yaml) = PRESETS
        .into_iter()
        .find(|(name, _)| *name == platform)
        .expect("a preset");
    // By way of a JSON value, as the configuration reads it.
    let value: serde_json::Value = serde_saphyr::from_str(yaml).expect("valid YAML");
    let preset: Preset = serde_json::from_value(value).expect("valid rows");
    let reasons = REASONS.map(|(name, _)| name);
    ErrorTable::compile(&preset.errors, &reasons).expect("rows that compile")
}

/// What a client would receive.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    content_type: Option<&'static str>,
    headers: Vec<(String, String)>,
    body: String,
}

fn answer(platform: &str, occasion: &Occasion<'_>) -> Answer {
    let table = table(platform);
    let row = table.pick(occasion).expect("a preset answers everything");
    let status = row.status(occasion.status);
    let values = Values {
        instance: "node-1",
        location: "https://api.example.com/rest/auth",
        message: "message",
        path: occasion.path,
        reason: occasion.reason,
        request_id: "0b7f6b8e3f8f4d0c9a55f3d1c2b4a697",
        retry_after: 2,
        since: 0,
        status,
        timestamp: "2026-11-22T17:04:05.678Z".parse().expect("a timestamp"),
    };
    let headers = row.headers(&values);
    Answer {
        status,
        content_type: row.body().map(|it| it.content_type()),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: row.body().map(|it| it.render(&values)).unwrap_or_default(),
    }
}

fn own_status(reason: &str) -> u16 {
    let found = REASONS.iter().find(|(name, _)| *name == reason);
    found.map_or(503, |(_, status)| *status)
}

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

/// Reason, its status, the HTTP status of the answer, path, `Accept`, and the file without its end.
type Row = (&'static str, u16, u16, &'static str, &'static str);

const CROSSBAR: [Row; 11] = [
    ("path", 400, 400, "/v2/accounts", "crossbar/400"),
    ("malformed", 400, 400, "/v2/accounts", "crossbar/400"),
    ("malformed", 401, 401, "/v2/accounts", "crossbar/401"),
    ("missing", 401, 401, "/v2/accounts", "crossbar/401"),
    ("unknown", 401, 401, "/v2/accounts", "crossbar/401"),
    (
        "expired",
        401,
        401,
        "/v2/accounts",
        "crossbar/401_dead_token",
    ),
    (
        "revoked",
        401,
        401,
        "/v2/accounts",
        "crossbar/401_dead_token",
    ),
    ("relation", 403, 403, "/v2/accounts", "crossbar/403"),
    ("locked", 423, 423, "/v2/accounts", "crossbar/423"),
    ("throttled", 429, 429, "/v2/user_auth", "crossbar/429"),
    (FAULT, 503, 503, "/v2/accounts", "crossbar/503"),
];

const OPENTACT: [Row; 6] = [
    ("path", 400, 400, "/rest/user", "opentact/400"),
    ("expired", 401, 401, "/rest/user", "opentact/401"),
    ("locked", 423, 401, "/rest/user", "opentact/401"),
    ("role", 403, 403, "/rest/user", "opentact/403"),
    ("throttled", 429, 429, "/rest/auth", "opentact/429"),
    (FAULT, 503, 503, "/rest/user", "opentact/503"),
];

const INFOBIP: [Row; 14] = [
    ("path", 400, 400, "/sms/3/messages", "infobip/400"),
    ("wrong", 401, 401, "/sms/3/messages", "infobip/401"),
    ("locked", 423, 401, "/sms/3/messages", "infobip/401"),
    ("scope", 403, 403, "/settings/1/accounts", "infobip/403"),
    ("unknown", 404, 404, "/auth/1/session", "infobip/404"),
    ("throttled", 429, 429, "/auth/1/session", "infobip/429"),
    (FAULT, 503, 503, "/sms/3/messages", "infobip/503"),
    (
        "path",
        400,
        400,
        "/settings/2/api-keys",
        "infobip/settings_400",
    ),
    (
        "expired",
        401,
        401,
        "/settings/2/api-keys",
        "infobip/settings_401",
    ),
    (
        "locked",
        423,
        401,
        "/settings/2/api-keys/1",
        "infobip/settings_401",
    ),
    (
        "scheme_not_accepted",
        403,
        403,
        "/settings/2/api-keys?page=1",
        "infobip/settings_403",
    ),
    (
        "unknown",
        404,
        404,
        "/settings/2/api-keys/1",
        "infobip/settings_404",
    ),
    (
        "throttled",
        429,
        429,
        "/settings/2/api-keys",
        "infobip/settings_429",
    ),
    (
        FAULT,
        503,
        503,
        "/settings/2/api-keys",
        "infobip/settings_503",
    ),
];

/// Compares one answer with its file; gives the file's name.
#[track_caller]
fn check(platform: &str, row: Row, accept: &str, kind: &str) -> String {
    let (reason, status, want_status, path, file) = row;
    let got = answer(
        platform,
        &Occasion {
            since: None,
            reason,
            status,
            path,
            accept,
        },
    );
    let file = format!("{file}.{kind}");
    let text = fs::read_to_string(golden(&file)).expect(&file);
    let want = text.strip_suffix('\n').expect("a line feed at the end");
    assert_eq!(got.body, want, "{file} for {reason}");
    assert_eq!(got.status, want_status, "{file} for {reason}");
    assert_eq!(
        got.content_type,
        Some(format!("application/{kind}").as_str()),
        "{file}"
    );
    file
}

#[test]
fn every_platform_answers_in_its_published_words() {
    let mut used = BTreeSet::new();
    for row in CROSSBAR {
        used.insert(check("crossbar", row, "application/xml", "json"));
    }
    for row in OPENTACT {
        used.insert(check("opentact", row, "", "json"));
    }
    for row in INFOBIP {
        used.insert(check("infobip", row, "*/*", "json"));
        used.insert(check("infobip", row, "application/xml", "xml"));
    }

    let mut present = BTreeSet::new();
    for (platform, _) in PRESETS {
        for entry in fs::read_dir(golden(platform)).expect("a directory") {
            let name = entry.expect("an entry").file_name();
            present.insert(format!("{platform}/{}", name.display()));
        }
    }
    let missing: Vec<_> = used.difference(&present).collect();
    assert!(missing.is_empty(), "no golden file for {missing:?}");
    // The others are what endpoints answer, through Envoy.
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/envoy");
    let sources = fs::read_dir(sources).expect("a directory");
    let sources: String = sources
        .map(|it| it.expect("an entry").path())
        .filter(|it| it.is_file())
        .map(|it| fs::read_to_string(it).expect("text"))
        .collect();
    let is_named = |it: &str| {
        let stem = Path::new(it).file_stem().and_then(|it| it.to_str());
        stem.is_some_and(|it| sources.contains(it))
    };
    let idle: Vec<_> = present
        .difference(&used)
        .filter(|it| !is_named(it))
        .collect();
    assert!(
        idle.is_empty(),
        "golden files that nothing refers to: {idle:?}"
    );
}

#[test]
fn every_reason_has_a_row_whose_answer_parses() {
    for (platform, _) in PRESETS {
        for reason in REASONS.iter().map(|(name, _)| *name).chain([FAULT]) {
            let status = own_status(reason);
            let occasion = Occasion {
                since: None,
                reason,
                status,
                path: "/",
                accept: "",
            };
            let got = answer(platform, &occasion);
            assert!((300..600).contains(&got.status), "{platform} {reason}");
            if got.content_type.is_some() {
                let parsed: serde_json::Value = serde_json::from_str(&got.body).expect(reason);
                assert!(parsed.is_object(), "{platform} {reason}");
            }
        }
    }
}

#[test]
fn plain_http_is_sent_elsewhere_with_an_empty_body() {
    let location = (
        "location".to_owned(),
        "https://api.example.com/rest/auth".to_owned(),
    );
    for (platform, _) in PRESETS {
        for status in [301, 302, 307, 308] {
            let occasion = Occasion {
                since: None,
                reason: "plain_http",
                status,
                path: "/",
                accept: "",
            };
            let got = answer(platform, &occasion);
            assert_eq!(
                (got.status, got.body.as_str(), got.content_type),
                (status, "", None),
                "{platform}"
            );
            assert!(
                got.headers.contains(&location),
                "{platform}: {:?}",
                got.headers
            );
        }
        let refused = Occasion {
            since: None,
            reason: "plain_http",
            status: 403,
            path: "/",
            accept: "",
        };
        assert!(!answer(platform, &refused).body.is_empty(), "{platform}");
    }
}

#[test]
fn crossbar_repeats_the_request_id_in_a_header_and_never_a_token() {
    let id = (
        "x-request-id".to_owned(),
        "0b7f6b8e3f8f4d0c9a55f3d1c2b4a697".to_owned(),
    );
    for (reason, status) in REASONS {
        let occasion = Occasion {
            since: None,
            reason,
            status,
            path: "/v2/accounts",
            accept: "",
        };
        let got = answer("crossbar", &occasion);
        assert!(got.headers.contains(&id), "{reason}");
        assert!(!got.body.contains("auth_token"), "{reason}");
    }
}
