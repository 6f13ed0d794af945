//! The audit of a running server: each denial and fault has a line, some allows have one, none has a secret.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::site::Asker;
use crate::asking::Ask;
use crate::support::sample::{self, CONFIG, CROSSBAR, INFOBIP, JOHN_MD5, MINE, MY_KEY, OPENTACT};

const PATIENCE: Duration = Duration::from_secs(20);

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "half a line: {text}"
    );
    let line = |it: &str| serde_json::from_str(it).unwrap_or_else(|error| panic!("{it}: {error}"));
    text.lines().map(line).collect()
}

fn audited(allows: &str) -> String {
    format!("{CONFIG}\ntelemetry: {{ audit: {{ to: audit.jsonl, allows: {allows} }} }}\n")
}

// Connections end while the test waits for the server to.
#[tokio::test(flavor = "multi_thread")]
async fn each_denial_and_fault_has_a_line_and_allows_have_a_part() {
    let mut server = sample::start(&audited("0.25"));
    let mut asker = Asker::of(&server).await;
    let mine = |key: &str| Ask::new(MINE, "GET", "/orders/7?my-key=MARKED").header("x-my-key", key);
    for _ in 0..100 {
        let plain = Ask::new(MINE, "GET", "/orders/7").header("x-my-key", MY_KEY);
        assert_eq!(asker.raw(plain.listed()).await.status, 200);
    }
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut wrong = mine("MARKED-key")
        .header("x-request-id", b"one\n{\"outcome\":\"allow\"}")
        .header("traceparent", traceparent);
    "192.0.2.7".clone_into(&mut wrong.peer);
    let john = || {
        Ask::new(
            CROSSBAR,
            "GET",
            "/v2/accounts/5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c/users",
        )
        .header("authorization", JOHN_MD5)
    };
    let in_path = Ask::new(CROSSBAR, "GET", "/v2/user_auth/MARKED-token");
    let facebook = Ask::new(OPENTACT, "GET", "/rest/user")
        .header("x-forwarded-proto", "https")
        .header("x-auth-facebook-token", "EAABdown");
    let denied = [
        (
            "two keys",
            wrong,
            json!({ "outcome": "deny", "reason": "conflict", "platform": "mine",
            "method": "GET", "path": "/orders/7", "client": "192.0.2.7", "cache": "none",
            "request_id": "one%0A{\"outcome\":\"allow\"}", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736" }),
        ),
        (
            "of another account",
            john(),
            json!({ "outcome": "deny", "reason": "relation", "scheme": "basic",
            "account": "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b", "user": "8e248327b85591955749e53ea45b6baa" }),
        ),
        (
            "a token in the path",
            in_path,
            json!({ "outcome": "deny", "path": "/v2/user_auth/(..)" }),
        ),
        (
            "no credential",
            Ask::new(INFOBIP, "POST", "/sms/3/messages"),
            json!({ "outcome": "deny", "reason": "missing" }),
        ),
        (
            "no platform",
            Ask::new("nobody.example.org", "GET", "/a/eyJhbGciOiJ9.e30.MARKED"),
            json!({ "outcome": "deny", "reason": "no_platform", "path": "/a/(..)" }),
        ),
        (
            "Graph is down",
            facebook,
            json!({ "outcome": "fault", "fault": "facebook", "platform": "opentact" }),
        ),
    ];
    let mut ids = Vec::new();
    for (name, asked, _) in &denied {
        let answer = asker.raw(asked.listed()).await;
        assert_ne!(answer.status, 200, "{name}");
        ids.push(answer.metadata["decision_id"].clone());
    }
    let metrics = crate::support::http::fetch(server.admin(), "/metrics").expect("metrics");
    assert!(metrics.text().contains("portcullis_audit_dropped_total 0"));
    let path = server.path("audit.jsonl");
    // What was noted is written before the end.
    drop(asker);
    assert!(server.stop().success());
    let text = fs::read_to_string(&path).expect("an audit");
    assert!(
        !text.contains("MARKED") && !text.contains("my-own-key"),
        "{text}"
    );
    let lines = lines(&path);
    let of = |outcome: &str| lines.iter().filter(|it| it["outcome"] == outcome).count();
    assert!(
        (22..=28).contains(&of("allow")),
        "a quarter of 100: {}",
        of("allow")
    );
    assert_eq!(of("deny") + of("fault"), denied.len(), "{text}");
    for ((name, _, want), id) in denied.iter().zip(&ids) {
        let line = lines.iter().find(|it| it["decision_id"] == json!(id));
        let line = line.unwrap_or_else(|| panic!("{name} has no line"));
        for (key, value) in want.as_object().expect("an object") {
            assert_eq!(&line[key], value, "{name}, {key}: {line}");
        }
        assert!(
            line["took_us"].is_u64() && line["time"].is_string(),
            "{line}"
        );
    }
    let allow = lines
        .iter()
        .find(|it| it["outcome"] == "allow")
        .expect("one");
    assert_eq!(
        (&allow["rule"], &allow["account"], &allow["scheme"]),
        (&json!("orders"), &json!("a-1"), &json!("key"))
    );
}

#[tokio::test]
async fn after_a_hangup_lines_go_to_a_new_file() {
    let server = sample::start(&audited("none"));
    let mut asker = Asker::of(&server).await;
    let nobody = Ask::new("nobody.example.org", "GET", "/");
    let (path, moved) = (server.path("audit.jsonl"), server.path("audit.jsonl.1"));
    asker.raw(nobody.listed()).await;
    let mut ticks = interval(Duration::from_millis(10));
    let written = async {
        while lines(&path).is_empty() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, written).await.expect("a line");
    fs::rename(&path, &moved).expect("a file");
    server.signal("HUP");
    let mut asked = 1;
    let anew = async {
        while lines(&path).is_empty() {
            asker.raw(nobody.listed()).await;
            asked += 1;
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, anew).await.expect("a new file");
    let all = lines(&moved).len() + lines(&path).len();
    assert!(all <= asked && all + 1 >= asked, "{all} of {asked}");
}

#[tokio::test]
async fn without_an_audit_nothing_is_on_standard_output() {
    let server = sample::start(CONFIG);
    let mut asker = Asker::of(&server).await;
    asker
        .raw(Ask::new("nobody.example.org", "GET", "/").listed())
        .await;
    assert!(!server.log().contains("\"event\":\"check\""));
}
