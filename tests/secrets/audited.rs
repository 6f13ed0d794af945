//! The audit of a running server: each denial and fault has a line, some allows have one, none has a secret.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::site::{ACME, ACMES_KEY, Asker, Presented, basic};
use crate::asking::Ask;
use crate::support::sample::{
    self, CALLIFY, CONFIG, CROSSBAR, INFOBIP, JOHN_MD5, MINE, MY_BARE_KEY, MY_KEY, OPENTACT,
};

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

/// Of `credentials` and their owners: whom a login at an endpoint is about.
const JOHN: &str = "8e248327b85591955749e53ea45b6baa";
const JOHNS: &str = "82a2dc91686ec828a67152d45a5c5ef7";
const ACMES: &str = "822b33ad87c148a0a20a5ba7cd5ebcaa68d36a18e7aad165554903f52ca82757";

/// A request to an endpoint, its body, and what is told of it.
type Told = (Presented, String, Value);

fn to(host: &'static str, method: &'static str, path: &str, body: &Value, want: Value) -> Told {
    let json = vec![("content-type", "application/json".to_owned())];
    (
        (host, method, path.to_owned(), json),
        body.to_string(),
        want,
    )
}

fn with(mut told: Told, name: &'static str, value: &str) -> Told {
    told.0.3.push((name, value.to_owned()));
    told
}

/// Sends them, each by a name of its own, and gives those names and the last answer's token.
async fn send(asker: &mut Asker, all: &[Told]) -> (Vec<String>, Value) {
    let (mut ids, mut last) = (Vec::new(), Value::Null);
    for (asked, body, want) in all {
        let mut asked = asked.clone();
        let id = format!("{}-{}-{}", asked.1, asked.2.len(), ids.len());
        asked.3.push(("x-request-id", id.clone()));
        let (_, response) = asker.endpoint(&asked, body).await;
        let is_good = response.status < 300;
        let is_told = want["outcome"] != "refused";
        assert_eq!(is_good, is_told, "{asked:?}: {}", response.text());
        last = serde_json::from_str(response.text()).unwrap_or_default();
        ids.push(id);
    }
    (ids, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_who_was_given_what_and_at_whom_it_was_tried_in_vain() {
    let mut server = sample::start(&audited("all"));
    let mut asker = Asker::of(&server).await;
    let login = |hash: &str, account: &str| json!({ "data": { "credentials": hash, "account_id": account } });
    let api_key = |key: &str| json!({ "data": { "api_key": key } });
    let user_auth = |body: Value, want| to(CROSSBAR, "PUT", "/v2/user_auth", &body, want);
    let session = |name: &str, password: &str, want| {
        let body = json!({ "username": name, "password": password });
        to(INFOBIP, "POST", "/auth/1/session", &body, want)
    };
    let refused = |reason: &str| json!({ "outcome": "refused", "reason": reason, "account": null, "user": null });
    let mut logins = vec![
        user_auth(
            login(JOHNS, "1b7d5726533ab525a8760351e9b5e415"),
            json!({ "outcome": "refused", "reason": "unknown", "account": "1b7d5726533ab525a8760351e9b5e415", "user": null }),
        ),
        user_auth(login(JOHNS, &"0".repeat(32)), refused("unknown")),
        user_auth(json!({ "data": {} }), refused("malformed")),
        user_auth(json!([]), refused("malformed")),
        to(
            CROSSBAR,
            "PUT",
            "/v2/api_auth",
            &api_key(ACMES),
            json!({ "event": "token", "outcome": "issued", "account": ACME, "user": null }),
        ),
        to(
            CROSSBAR,
            "PUT",
            "/v2/api_auth",
            &api_key(ACMES_KEY),
            refused("unknown"),
        ),
        session(
            "Jasmine",
            "MARKED",
            json!({ "outcome": "refused", "reason": "wrong", "account": "acc-1", "user": "u-raced" }),
        ),
        session(
            "gone",
            "openSesame",
            json!({ "outcome": "refused", "reason": "disabled", "account": "acc-1", "user": "u-4" }),
        ),
        session("MARKED", "openSesame", refused("unknown")),
        session(
            "Jasmine",
            "jasmine-password",
            json!({ "event": "session", "outcome": "issued", "account": "acc-1", "user": "u-raced" }),
        ),
        with(
            to(
                OPENTACT,
                "GET",
                "/rest/auth",
                &Value::Null,
                json!({ "event": "token", "outcome": "issued", "scheme": "basic", "user": "0116f6d1-1280-44b2-9134-da48509ec575" }),
            ),
            "authorization",
            CALLIFY,
        ),
        user_auth(
            login(JOHNS, ACME),
            json!({ "event": "token", "outcome": "issued", "account": ACME, "user": JOHN }),
        ),
    ];
    logins[10]
        .0
        .3
        .push(("x-forwarded-proto", "https".to_owned()));
    let (mut ids, last) = send(&mut asker, &logins).await;
    let token = last["auth_token"].as_str().expect("a token").to_owned();

    let hakim = basic("Hakim", "hakim-password");
    let managed = |method: &'static str, path: &str, body: Value, want| {
        with(
            to(INFOBIP, method, path, &body, want),
            "authorization",
            &hakim,
        )
    };
    let keys = "/settings/2/api-keys";
    let by_hakim = |outcome: &str| json!({ "event": "api_key", "outcome": outcome, "account": "acc-3", "user": "u-manager" });
    let created = [managed(
        "POST",
        keys,
        json!({ "name": "n" }),
        by_hakim("issued"),
    )];
    let (created_ids, last) = send(&mut asker, &created).await;
    let key = last["id"].as_str().expect("an id").to_owned();
    let mut changed = by_hakim("changed");
    changed["key"] = json!(key);
    let mut refused_of_hakim = by_hakim("refused");
    refused_of_hakim["reason"] = json!("malformed");
    let by_john = |path: &str, method: &'static str, body: Value, event: &str, outcome: &str| {
        let want = json!({ "event": event, "outcome": outcome, "scheme": "jwt", "account": ACME, "user": JOHN });
        with(
            to(CROSSBAR, method, path, &body, want),
            "x-auth-token",
            &token,
        )
    };
    let modules =
        json!({ "data": { "auth_modules": { "cb_user_auth": { "token_auth_expiry_s": 60 } } } });
    let rest = vec![
        managed(
            "PUT",
            &format!("{keys}/{key}"),
            json!({ "enabled": false }),
            changed,
        ),
        managed(
            "POST",
            keys,
            json!({ "name": "n", "enabled": 7 }),
            refused_of_hakim,
        ),
        by_john(
            &format!("/v2/accounts/{ACME}/security"),
            "PATCH",
            modules,
            "security",
            "changed",
        ),
        by_john(
            "/v2/auth",
            "PUT",
            json!({ "data": { "action": "refresh_token" } }),
            "token",
            "issued",
        ),
        by_john("/v2/token_auth", "DELETE", Value::Null, "token", "revoked"),
    ];
    let (rest_ids, _) = send(&mut asker, &rest).await;
    ids.extend(created_ids.into_iter().chain(rest_ids));

    let sms =
        |value: String| Ask::new(INFOBIP, "POST", "/sms/3/messages").header("authorization", value);
    let key_of = |digits: &str| {
        format!("App {digits}026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9")
    };
    let mine =
        |method: &str, path: &str, key: &str| Ask::new(MINE, method, path).header("x-my-key", key);
    let checks = [
        (
            sms(basic("user", "MARKED")),
            json!({ "outcome": "deny", "reason": "wrong", "scheme": "basic", "account": "acc-1", "user": "u-3", "rule": null }),
        ),
        // Of two who are called so, it is neither's.
        (
            sms(basic("Aladdin", "MARKED")),
            json!({ "outcome": "deny", "reason": "wrong", "account": null, "user": null }),
        ),
        (
            sms(basic("MARKED", "MARKED")),
            json!({ "outcome": "deny", "reason": "unknown", "account": null, "user": null }),
        ),
        (
            sms(key_of("333")),
            json!({ "outcome": "deny", "reason": "disabled", "account": "acc-1", "key": "k-off" }),
        ),
        (
            sms(key_of("999")),
            json!({ "outcome": "deny", "reason": "unknown", "account": null, "key": null }),
        ),
        (
            mine("GET", "/orders/7", MY_KEY),
            json!({ "outcome": "allow", "rule": "orders", "account": "a-1", "key": "k-1", "user": null }),
        ),
        (
            mine("POST", "/orders", MY_BARE_KEY),
            json!({ "outcome": "deny", "reason": "scope", "rule": "order", "account": "a-2", "key": "k-2" }),
        ),
        (
            mine("GET", "/elsewhere", MY_KEY),
            json!({ "outcome": "deny", "reason": "no_rule", "rule": null, "key": "k-1" }),
        ),
    ];
    let mut decisions = Vec::new();
    for (asked, _) in &checks {
        let answer = asker.raw(asked.listed()).await;
        decisions.push(answer.metadata["decision_id"].clone());
    }
    let path = server.path("audit.jsonl");
    drop(asker);
    assert!(server.stop().success());
    let text = fs::read_to_string(&path).expect("an audit");
    assert!(!text.contains("MARKED"), "{text}");
    let lines = lines(&path);
    let is = |line: &Value, name: &str, value: &str| line[name] == json!(value);
    let asked = logins.iter().chain(&created).chain(&rest);
    let endpoints = ids
        .iter()
        .zip(asked)
        .map(|(id, it)| (id, "request_id", &it.2));
    let checks = decisions
        .iter()
        .zip(&checks)
        .map(|(id, it)| (id, "decision_id", &it.1));
    for (id, name, want) in endpoints.chain(checks) {
        let of_it =
            |it: &&Value| is(it, name, id) && (name == "decision_id" || !is(it, "event", "check"));
        let told: Vec<_> = lines.iter().filter(of_it).collect();
        let [line] = told.as_slice() else {
            panic!("{want}: {told:?}");
        };
        for (key, value) in want.as_object().expect("an object") {
            assert_eq!(&line[key], value, "{key}, {want}: {line}");
        }
    }
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
