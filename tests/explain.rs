//! `portcullis explain`, the real binary: what it says of a decision, what it never says, and that
//! the service decides the same.

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::credential::Secret;
use portcullis::directory::sessions::{NewSession, SLACK};
use portcullis::envoy::question::{self, Question};
use portcullis::envoy::reply::Reply;
use portcullis::serve::opening::{open, read_directory};
use serde_json::{Value, json};
use support::check::CheckClient;
use support::server::Server;
use tempfile::TempDir;

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
store: { url: "memory:", directory_file: directory.yaml }
# An unoptimised build hashes slowly.
check: { deadline_ms: 10000 }
client_address: { from: peer }
platforms:
  - { name: crossbar, preset: crossbar, hosts: [crossbar.example.com] }
  - name: mine
    hosts: ["*.mine.example.com"]
    https: redirect
    schemes:
      key: { kind: api_key, from: [{ header: X-My-Key }, { query: apiKey }] }
      login: { kind: basic }
    method_override: { query: [verb] }
    rules:
      - { name: preflight, paths: [/**], with_headers: [origin], allow: public }
      - { name: write, methods: [POST, DELETE], paths: ["/orders/{order}"], roles_any: [writer] }
      - { name: read, methods: [GET], paths: ["/orders/{order}/**"], scopes_any: ["orders:read"], schemes: [key] }
"#;

const DIRECTORY: &str = r#"
crossbar:
  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: Sample }]
  users:
    # md5("john@example.com:m32c6NfqYEt") = 82a2dc91686ec828a67152d45a5c5ef7
    - { id: u1, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: m32c6NfqYEt }
mine:
  accounts: [{ id: shop, name: Shop }]
  users: [{ id: ada, account: shop, username: ada, password: correct-horse, roles: [writer] }]
  api_keys:
    - { id: reader, account: shop, secret: sample-reader-0000000000000000, scopes: ["orders:read"], allowed_ips: [10.0.0.0/8] }
"#;

const KEY: &str = "sample-reader-0000000000000000";
const MD5: &str = "82a2dc91686ec828a67152d45a5c5ef7";
const PASSWORD: &str = "correct-horse";
/// `4b8f…:82a2…`
const CROSSBAR_BASIC: &str =
    "NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6ODJhMmRjOTE2ODZlYzgyOGE2NzE1MmQ0NWE1YzVlZjc=";
/// `ada:correct-horse`
const ADA_BASIC: &str = "YWRhOmNvcnJlY3QtaG9yc2U=";
/// `ada:wrong-horse`
const WRONG_BASIC: &str = "YWRhOndyb25nLWhvcnNl";

/// A configuration and its directory on disk.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = CONFIG.replace("{grpc}", "0").replace("{admin}", "0");
        fs::write(dir.path().join("portcullis.yaml"), config).expect("a writable directory");
        fs::write(dir.path().join("directory.yaml"), DIRECTORY).expect("a writable directory");
        Self(dir)
    }

    fn explain(&self, arguments: &[&str]) -> Output {
        explain(&self.0.path().join("portcullis.yaml"), arguments, b"")
    }

    /// What `--json` says; a decision was made.
    #[track_caller]
    fn report(&self, arguments: &[&str]) -> Value {
        let output = self.explain(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn explain(config: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["explain", "--config"])
        .arg(config)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("a piped input");
    // It may end without reading what it has no use for.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("an end")
}

/// What stands in a report, by JSON pointer.
type Facts<'f> = &'f [(&'f str, Value)];

/// The facts of each decision: arguments, then what stands where in the report.
#[test]
fn every_step_of_a_decision_is_told() {
    let site = Site::new();
    let basic = &format!("Authorization: Basic {CROSSBAR_BASIC}");
    let ada = &format!("Authorization: Basic {ADA_BASIC}");
    let wrong = &format!("Authorization: Basic {WRONG_BASIC}");
    let key = &format!("X-My-Key: {KEY}");
    let account = "https://crossbar.example.com/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
    let order = "https://api.mine.example.com/orders/7";
    let cases: &[(&[&str], Facts<'_>)] = &[
        (
            &["-H", basic, &format!("{account}/users?a=b&c")],
            &[
                ("/request/method", json!("GET")),
                ("/request/host", json!("crossbar.example.com")),
                ("/request/query", json!(["a", "c"])),
                (
                    "/request/headers",
                    json!(["authorization", "x-forwarded-proto"]),
                ),
                ("/request/client_address", json!(null)),
                ("/platform/name", json!("crossbar")),
                ("/platform/by", json!("host")),
                ("/path/segments/3", json!("users")),
                ("/https/mode", json!("off")),
                ("/schemes/1/name", json!("basic")),
                ("/schemes/1/place", json!("authorization: Basic")),
                ("/schemes/1/name_bytes", json!(32)),
                ("/schemes/1/secret_bytes", json!(32)),
                ("/conflict", json!("precedence")),
                ("/verifications/0/valid", json!(true)),
                (
                    "/verifications/0/records/1",
                    json!({ "key": "pc:p:crossbar", "found": false }),
                ),
                (
                    "/verifications/0/records/2",
                    json!({ "key": "pc:u:crossbar:u1", "found": true }),
                ),
                ("/identity/username", json!("john@example.com")),
                ("/rules/0/name", json!("own_account")),
                ("/rules/0/pattern", json!("/v2/accounts/{account}/**")),
                ("/rules/0/captures/0/name", json!("account")),
                (
                    "/rules/0/demands/relation",
                    json!("own_or_descendant_account"),
                ),
                ("/rules/0/verdict", json!("admitted")),
                ("/verdict/outcome", json!("allow")),
                ("/verdict/rule", json!("own_account")),
                ("/answer/code", json!(0)),
                ("/answer/status", json!(null)),
                (
                    "/answer/headers_set/2",
                    json!({ "name": "x-auth-user", "value": "u1" }),
                ),
            ],
        ),
        (
            &["--peer", "10.1.2.3", &format!("{order}/lines?apiKey={KEY}")],
            &[
                ("/request/client_address", json!("10.1.2.3")),
                ("/request/client_address_from", json!("peer")),
                ("/platform/host_pattern", json!("*.mine.example.com")),
                (
                    "/https",
                    json!({ "mode": "redirect", "from": "x-forwarded-proto", "passed": true }),
                ),
                ("/schemes/0/place", json!("query parameter apiKey")),
                ("/schemes/0/secret_bytes", json!(KEY.len())),
                ("/schemes/1/tried", json!(true)),
                ("/schemes/1/place", json!(null)),
                ("/conflict", json!("refuse")),
                ("/rules/0/name", json!("preflight")),
                ("/rules/0/verdict", json!("passed_over")),
                ("/rules/0/passed_over_for", json!("request")),
                ("/rules/0/issue", json!(false)),
                ("/rules/1/passed_over_for", json!(null)),
                (
                    "/rules/1/captures",
                    json!([{ "name": "order", "value": "7" }]),
                ),
                ("/rules/1/demands/scopes_any", json!(["orders:read"])),
                ("/verdict/rule", json!("read")),
                ("/answer/query_parameters_removed", json!(["apiKey"])),
            ],
        ),
        (
            &["-X", "PUT", "https://crossbar.example.com/v2/user_auth"],
            &[
                ("/rules/0/issue", json!(true)),
                ("/rules/0/verdict", json!("passed_over")),
                ("/rules/0/passed_over_for", json!("nothing_issued")),
                ("/rules/0/denial", json!(null)),
            ],
        ),
        (
            &["--peer", "11.1.2.3", "-H", key, order],
            &[
                ("/verifications/0/valid", json!(true)),
                ("/identity/allowed_addresses", json!(["10.0.0.0/8"])),
                ("/rules", json!([])),
                ("/verdict/denial/reason", json!("address")),
                ("/answer/status", json!(401)),
            ],
        ),
        (
            &["-X", "POST", "-H", wrong, order],
            &[
                ("/verifications/0/denial/reason", json!("wrong")),
                ("/identity", json!(null)),
                ("/judged", json!(false)),
                ("/verdict/outcome", json!("deny")),
                ("/answer/code", json!(16)),
            ],
        ),
        (
            &["-X", "POST", "-H", ada, &format!("{order}?verb=DELETE")],
            &[
                ("/rules/1/method", json!("POST")),
                ("/rules/3/method", json!("DELETE")),
                ("/verdict/outcome", json!("allow")),
            ],
        ),
        (
            &["-H", ada, order],
            &[("/verdict/denial/reason", json!("scheme_not_accepted"))],
        ),
        (
            &["-H", ada, "-H", key, order],
            &[
                ("/schemes/0/secret_bytes", json!(KEY.len())),
                ("/schemes/1/secret_bytes", json!(PASSWORD.len())),
                ("/verifications", json!([])),
                ("/verdict/denial/reason", json!("conflict")),
            ],
        ),
        (
            &["-H", "Authorization: Basic ?", order],
            &[
                ("/schemes/1/denial/reason", json!("malformed")),
                ("/verdict/denial/reason", json!("malformed")),
            ],
        ),
        (
            &[order],
            &[
                ("/judged", json!(true)),
                ("/identity", json!(null)),
                ("/verdict/denial/reason", json!("missing")),
            ],
        ),
        (
            &["https://api.mine.example.com//orders"],
            &[
                ("/path/segments", json!([])),
                ("/https", json!(null)),
                ("/schemes/0/tried", json!(false)),
                ("/verdict/denial/reason", json!("path")),
            ],
        ),
        (
            &["http://api.mine.example.com/orders?page=2"],
            &[
                ("/https/passed", json!(false)),
                ("/verdict/denial/reason", json!("plain_http")),
                ("/answer/status", json!(302)),
            ],
        ),
        (
            &[
                "-H",
                "X-Forwarded-Proto: https",
                "-H",
                "Host: api.mine.example.com",
                "http://a.example/",
            ],
            &[
                ("/request/host", json!("api.mine.example.com")),
                ("/request/scheme", json!("http")),
                ("/https/passed", json!(true)),
            ],
        ),
        (
            &["https://elsewhere.example/"],
            &[
                ("/platform", json!(null)),
                ("/verdict/denial/reason", json!("no_platform")),
            ],
        ),
        (
            &["--platform", "mine", "https://elsewhere.example/"],
            &[
                ("/platform/name", json!("mine")),
                ("/platform/by", json!("route")),
            ],
        ),
    ];
    for (arguments, facts) in cases {
        let report = site.report(arguments);
        for (pointer, want) in *facts {
            let got = report.pointer(pointer);
            assert_eq!(got, Some(want), "{arguments:?} {pointer}: {report:#}");
        }
    }
}

/// Decisions of which each carries secrets; none may be seen in any output.
#[test]
fn secrets_are_never_shown() {
    let site = Site::new();
    let headers = site.0.path().join("headers.txt");
    fs::write(
        &headers,
        format!("Authorization: Basic {ADA_BASIC}\r\n\r\nX-Other: 1\r\n"),
    )
    .expect("a writable directory");
    let json = site.0.path().join("request.json");
    let path = format!("/orders/7?apiKey={KEY}&other={MD5}");
    let request = json!({ "attributes": { "request": { "http": {
        "method": "GET", "host": "api.mine.example.com", "path": path,
        "headers": { "authorization": format!("Basic {ADA_BASIC}") },
    } } } });
    fs::write(&json, request.to_string()).expect("a writable directory");
    let broken = site.0.path().join("broken.json");
    fs::write(&broken, format!(r#"{{ "attributes": "{KEY}" }}"#)).expect("a writable directory");

    let at_headers = format!("@{}", headers.display());
    let order = "https://api.mine.example.com/orders/7";
    let cases: &[(&[&str], i32)] = &[
        (&["-X", "POST", "-H", &at_headers, order], 0),
        (
            &["-H", &format!("Authorization: Basic {WRONG_BASIC}"), order],
            0,
        ),
        (&["-H", &format!("Authorization: {PASSWORD}"), order], 0),
        (&["-H", &format!("X-My-Key: {KEY} {MD5}"), order], 0),
        (
            &[
                "-H",
                &format!("Authorization: Basic {CROSSBAR_BASIC}"),
                "https://crossbar.example.com/",
            ],
            0,
        ),
        (&[&format!("{order}?apiKey={KEY}&password={PASSWORD}")], 0),
        // The query of a redirect, with credentials where none belong.
        (
            &[&format!(
                "http://api.mine.example.com/?apiKey={KEY}&password={PASSWORD}&{MD5}"
            )],
            0,
        ),
        (&["--request", &json.display().to_string()], 0),
        (&["--request", &broken.display().to_string()], 2),
        (&["-H", KEY, order], 2),
        (
            &[&format!("https://ada:{PASSWORD}@api.mine.example.com/")],
            2,
        ),
        (&[KEY], 2),
    ];
    for (arguments, code) in cases {
        for form in [&[][..], &["--json"]] {
            let output = site.explain(&[form, arguments].concat());
            assert_eq!(
                output.status.code(),
                Some(*code),
                "{arguments:?} {output:?}"
            );
            let shown = [output.stdout, output.stderr].concat();
            let shown = String::from_utf8(shown).expect("UTF-8");
            for secret in [
                KEY,
                MD5,
                PASSWORD,
                "wrong-horse",
                CROSSBAR_BASIC,
                ADA_BASIC,
                WRONG_BASIC,
            ] {
                assert!(
                    !shown.contains(secret),
                    "{arguments:?} shows {secret}: {shown}"
                );
            }
        }
    }
}

#[test]
fn people_get_a_row_a_step_that_fits_their_terminal() {
    let site = Site::new();
    let long = "x".repeat(300);
    let url = format!("https://api.mine.example.com/orders/{long}?{long}=1");
    let key = format!("X-My-Key: {KEY}");
    let output = site.explain(&["--peer", "10.1.2.3", "-H", &key, &url]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for label in [
        "decided by",
        "request",
        "platform",
        "path",
        "https",
        "credentials",
        "verification",
        "identity",
        "rule",
        "verdict",
        "answer",
    ] {
        assert!(
            text.lines().any(|it| it.starts_with(label)),
            "{label}: {text}"
        );
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn a_rule_that_leads_to_the_issue_listener_says_so_and_whether_there_is_one() {
    let login = ["-X", "PUT", "https://crossbar.example.com/v2/user_auth"];
    let text = |site: &Site| {
        let output = site.explain(&login);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let site = Site::new();
    let nothing =
        "leads to the issue listener\n              passed over: this platform issues nothing";
    assert!(text(&site).contains(nothing), "{}", text(&site));

    let path = site.0.path().join("portcullis.yaml");
    let config = fs::read_to_string(&path).expect("the configuration");
    let elsewhere = "preset: crossbar, issue: { dialect: crossbar, served: elsewhere }";
    fs::write(&path, config.replace("preset: crossbar", elsewhere)).expect("a writable file");
    let admitted = "leads to the issue listener\n              admitted\n";
    assert!(text(&site).contains(admitted), "{}", text(&site));
    let report = site.report(&login);
    assert_eq!(report["rules"][0]["issue"], true);
    assert_eq!(report["rules"][0]["passed_over_for"], Value::Null);
}

#[test]
fn whoever_asks_about_the_files_of_the_readme_is_told_to_say_what_the_route_says() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/envoy/portcullis.yaml");
    let key = ["-H", "x-my-key: an-example-key-3f8a1c5e7b9d2406"];
    let asked = ["--peer", "127.0.0.1", "http://localhost:8080/orders/7"];
    let ask = |more: &[&str]| {
        let output = explain(&config, &[&key, more, &asked].concat(), b"");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let without = ask(&[]);
    assert!(without.contains("ask with `--platform NAME`"), "{without}");
    let with = ask(&["--platform", "mine"]);
    assert!(with.contains("ALLOW, by rule read"), "{with}");
}

#[test]
fn a_captured_frame_is_explained_like_the_request_it_is() {
    let site = Site::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    for (name, host, path) in [
        ("check_request.bin", "shop.example.com", "/api/v1/orders/42"),
        ("check_request_raw_headers.bin", "h", "/x"),
    ] {
        let file = samples.join(name);
        let report = site.report(&["--request", &file.display().to_string()]);
        assert_eq!(report["request"]["path"], path);
        assert_eq!(report["request"]["host"], host);
        assert_eq!(report["request"]["client_address"], "127.0.0.1");
        assert_eq!(report["verdict"]["denial"]["reason"], "no_platform");
    }
    // A frame that holds no CheckRequest is decided as well: a denial.
    let config = site.0.path().join("portcullis.yaml");
    let output = explain(&config, &["--json", "--request", "-"], b"\0\0\0\0\x01\xff");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["request"], Value::Null);
    assert_eq!(report["answer"]["status"], 400);
}

#[test]
fn usage_and_configuration_that_are_wrong_end_with_2() {
    let site = Site::new();
    let cases: &[(&[&str], &str)] = &[
        (&[], "--request"),
        (&["ftp://a/"], "https://"),
        (&["--request", "x", "https://a/"], "--request"),
        (&["--request", "/nonexistent"], "/nonexistent"),
        (&["-H", "@/nonexistent", "https://a/"], "/nonexistent"),
    ];
    for (arguments, hint) in cases {
        let output = site.explain(arguments);
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(hint), "{arguments:?}: {told}");
    }
    let config = site.0.path().join("portcullis.yaml");
    fs::write(&config, "platforms: 7").expect("a writable directory");
    assert_eq!(site.explain(&["https://a/"]).status.code(), Some(2));
}

#[test]
fn a_store_that_does_not_exist_is_not_made_by_looking() {
    let site = Site::new();
    let pepper = site.0.path().join("pepper");
    fs::write(pepper, "0123456789abcdef0123456789abcdef").expect("a writable directory");
    let config = site.0.path().join("portcullis.yaml");
    let text = fs::read_to_string(&config).expect("the configuration");
    let text = text.replace(
        r#"{ url: "memory:", directory_file: directory.yaml }"#,
        r#"{ url: "embedded:store.redb", pepper_files: [pepper] }"#,
    );
    fs::write(&config, text).expect("a writable directory");
    let output = site.explain(&["https://api.mine.example.com/"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!site.0.path().join("store.redb").exists());
}

#[tokio::test]
async fn the_service_decides_the_same() {
    let server = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)]);
    let mut client = CheckClient::connect(server.grpc()).await;
    let account = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
    let basic =
        |it: &str| json!({ "authorization": format!("Basic {it}"), "x-forwarded-proto": "https" });
    let key = json!({ "x-my-key": KEY, "x-forwarded-proto": "https" });
    let (crossbar, mine) = ("crossbar.example.com", "api.mine.example.com");
    let cases = [
        ("GET", crossbar, account, basic(CROSSBAR_BASIC), "10.1.2.3"),
        (
            "GET",
            crossbar,
            "/v2/accounts/other",
            basic(CROSSBAR_BASIC),
            "10.1.2.3",
        ),
        ("GET", crossbar, account, basic("x"), "10.1.2.3"),
        ("POST", mine, "/orders/7", basic(ADA_BASIC), "10.1.2.3"),
        ("POST", mine, "/orders/7", basic(WRONG_BASIC), "10.1.2.3"),
        ("GET", mine, "/orders/7", key.clone(), "10.1.2.3"),
        ("GET", mine, "/orders/7", key.clone(), "11.1.2.3"),
        ("GET", mine, "/orders//7", key, "10.1.2.3"),
        ("GET", mine, "/orders/7", json!({}), "10.1.2.3"),
        ("GET", "elsewhere.example", "/", json!({}), "10.1.2.3"),
        ("", mine, "/", json!({}), "10.1.2.3"),
    ];
    let mut statuses = Vec::new();
    for (method, host, path, headers, peer) in cases {
        let request = json!({ "attributes": {
            "source": { "address": { "socketAddress": { "address": peer } } },
            "request": { "http": { "method": method, "host": host, "path": path, "headers": headers } },
        } });
        let text = request.to_string();
        let message = question::read(text.as_bytes()).expect("a CheckRequest");
        let told = client.check(message.clone()).await.expect("an answer");
        let told = serde_json::to_value(Reply::read(told)).expect("JSON");
        for input in [text.as_bytes(), &frame(&message)] {
            let config = server.path("portcullis.yaml");
            let output = explain(&config, &["--json", "--request", "-"], input);
            assert!(output.status.success(), "{output:?}");
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let answer = &report["answer"];
            for field in [
                "code",
                "status",
                "headers_removed",
                "query_parameters_removed",
            ] {
                assert_eq!(answer[field], told[field], "{field} of {text}");
            }
            // Of a denial, header values may hold the decision's id.
            if answer["code"] == 0 {
                assert_eq!(answer["headers_set"], told["headers_set"], "{text}");
            }
        }
        statuses.push(told["status"].as_i64().unwrap_or(200));
    }
    assert_eq!(
        statuses,
        [200, 403, 401, 200, 401, 200, 401, 400, 302, 403, 400]
    );
}

/// One who looks at a session does not use it.
#[tokio::test]
async fn a_session_is_explained_and_not_extended() {
    const IDLE: Duration = Duration::from_secs(60);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = r#"
listen: { grpc: ["127.0.0.1:0"] }
store: { url: "memory:", directory_file: directory.yaml }
client_address: { from: peer }
platforms:
  - name: mine
    hosts: ["*"]
    schemes: { session: { kind: session, from: [{ authorization: IBSSO }] } }
    rules: [{ paths: ["/**"] }]
"#;
    let file = dir.path().join("portcullis.yaml");
    fs::write(&file, text).expect("a writable directory");
    let directory = "mine: { users: [{ id: ada, username: ada }] }";
    fs::write(dir.path().join("directory.yaml"), directory).expect("a writable directory");
    let config = Config::load(&file).expect("a configuration");
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let told = Arc::clone(&seconds);
    let clock =
        Clock::from_fn(move || UNIX_EPOCH + Duration::from_secs(told.load(Ordering::Relaxed)));
    let file = read_directory(&config).expect("a directory file");
    let opened = open(config, file, clock, &Arc::default(), None).await;
    let opened = opened.expect("a store in memory");
    let new = NewSession {
        user: "ada",
        generations: [0; 3],
        address: None,
        idle: Some(IDLE),
        cap: 100 * IDLE,
    };
    let token = Secret::new(*b"a-token-that-nobody-can-guess");
    let made = opened.directory.create_session("mine", &token, &new).await;
    assert!(made.expect("a session"));

    let headers = [(
        "authorization".to_owned(),
        "IBSSO a-token-that-nobody-can-guess".to_owned(),
    )];
    let message = Question {
        method: "GET",
        scheme: "https",
        authority: "mine.example",
        target: "/",
        headers: &headers,
        peer: None,
        platform: None,
    }
    .message();
    let idle = (IDLE + SLACK).as_secs();
    let report = opened.explainer.explain(message.clone()).await;
    assert_eq!(report.verdict.outcome, "allow", "{report:#?}");
    let records = &report.verifications[0].records;
    assert!(
        records
            .iter()
            .any(|it| it.key.starts_with("pcu:s:mine:") && it.found),
        "{records:?}"
    );
    seconds.fetch_add(idle - 1, Ordering::Relaxed);
    let report = opened.explainer.explain(message.clone()).await;
    assert_eq!(report.verdict.outcome, "allow", "{report:#?}");
    seconds.fetch_add(1, Ordering::Relaxed);
    let report = opened.explainer.explain(message).await;
    let why = report.verdict.denial.expect("a denial");
    assert_eq!(why.reason, "expired");
}

/// A message as it stands on a gRPC stream.
fn frame(message: &Bytes) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], message].concat()
}
