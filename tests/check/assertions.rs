//! What the upstream is told so that it can verify it: what it says, when it is signed, and what it is no good for.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::envoy::{Door, OnFault};
use portcullis::keys::asserting::AssertionKeys;
use portcullis::serve::opening::{open, read_directory};

use crate::check::asking::{Answer, Ask, ask, read};
use crate::support::assertions::{ADA, CONFIG, DIRECTORY, KEY, Pem, key_set, start, verify};
use crate::support::check::CheckClient;
use crate::support::http::fetch;

const HEADER: &str = "x-auth-assertion";

fn by_key(host: &str, path: &str) -> Ask {
    Ask::new(host, "GET", path).header("x-key", KEY)
}

/// Gives the value of the only header that is set under this name.
fn set<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let headers = answer.headers.iter();
    let values: Vec<_> = headers
        .filter(|it| it.0.eq_ignore_ascii_case(name))
        .map(|it| it.1.as_str())
        .collect();
    let [value] = values[..] else {
        panic!("{name} is set {} times: {answer:?}", values.len());
    };
    value
}

#[tokio::test]
async fn an_assertion_says_what_the_identity_headers_say_and_is_signed_once_for_many_requests() {
    let server = start(CONFIG, [&Pem::new(), &Pem::new()]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let ada = Ask::new("orders.example", "GET", "/1").header("authorization", ADA);
    let first = ask(client, ada.mapped()).await;
    let token = set(&first, HEADER).to_owned();
    let keys = key_set(&server, "orders");
    let mut claims = verify(&token, &keys, "orders").expect("an assertion");
    let times = ["iat", "exp"].map(|it| claims[it].take().as_u64().expect("a time"));
    assert_eq!(times[1] - times[0], 60);
    let want = json!({
        "iss": "https://auth.example", "aud": "orders", "sub": "ada", "iat": null, "exp": null,
        "platform": "orders", "account": "shop", "user": "ada", "username": "ada@example.com",
        "scheme": "login", "roles": ["Chief Engineer", "clerk"],
    });
    assert_eq!(claims, want);

    let again = ask(client, ada.listed()).await;
    assert_eq!(again.metadata["cache"], "hit");
    assert_eq!(set(&again, HEADER), token);
    let all = format!("{:?}{}", first.metadata, server.log());
    assert!(!all.contains(&token), "it is in the log or the metadata");

    let key = ask(client, by_key("bills.example", "/1").mapped()).await;
    let token = set(&key, "x-who");
    let claims = verify(token, &key_set(&server, "bills"), "audits").expect("an assertion");
    assert_eq!(claims["sub"], "shop");
    assert_eq!(claims["scope"], "orders:read orders:write");
    assert_eq!(claims["aud"], json!(["bills", "audits"]));
}

#[tokio::test]
async fn where_nobody_is_admitted_nothing_is_asserted_and_a_clients_own_is_taken_off() {
    let server = start(CONFIG, [&Pem::new(), &Pem::new()]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let spellings = ["X-Auth-Assertion", "x_auth_assertion", "x-Auth_assertion"];
    let spoofed = |mut ask: Ask| {
        for name in spellings {
            ask = ask.header(name, "spoofed");
        }
        ask
    };
    let nobody = spoofed(Ask::new("orders.example", "GET", "/public/1"));
    let somebody = spoofed(by_key("orders.example", "/public/1"));
    for message in [
        nobody.mapped(),
        nobody.listed(),
        somebody.mapped(),
        somebody.listed(),
    ] {
        let answer = ask(client, message).await;
        assert_eq!(answer.status, 200);
        let is_set = answer.headers.iter().any(|it| it.0 == HEADER);
        assert_eq!(is_set, answer.metadata.contains_key("account"));
        for name in spellings {
            // What is set overwrites; what is not set, or spelt otherwise, is removed.
            let name = name.to_ascii_lowercase();
            let removed = answer.removed.contains(&name);
            assert_eq!(removed, !(is_set && name == HEADER), "{name}: {answer:?}");
        }
    }
    let denied = ask(
        client,
        spoofed(Ask::new("orders.example", "GET", "/1")).mapped(),
    )
    .await;
    assert_eq!(denied.status, 401);
    assert!(!denied.headers.iter().any(|it| it.0 == HEADER));

    // Without the setting it is a header like any other.
    let plain = ask(client, spoofed(by_key("plain.example", "/1")).mapped()).await;
    assert_eq!(plain.status, 200);
    let named = plain.headers.iter().map(|it| &it.0).chain(&plain.removed);
    assert_eq!(named.filter(|it| it.contains("assert")).count(), 0);
    for path in ["plain", "nobody", "orders%2F..", ""] {
        let path = format!("/platforms/{path}/jwks.json");
        assert_eq!(fetch(server.admin(), &path).expect("an answer").status, 404);
    }
}

#[tokio::test]
async fn an_assertion_is_no_credential_not_even_where_its_key_and_all_that_it_says_are_trusted() {
    let server = start(CONFIG, [&Pem::new(), &Pem::new()]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let admitted = ask(client, by_key("orders.example", "/1").mapped()).await;
    let token = set(&admitted, HEADER);
    let bearing = |host: &str, header: &str, value: &str| {
        Ask::new(host, "GET", "/v2/accounts/shop").header(header, value)
    };
    let bearer = format!("Bearer {token}");
    for request in [
        bearing("crossbar.example", "x-auth-token", token),
        bearing("crossbar.example", "authorization", &bearer),
        bearing("trusting.example", "authorization", &bearer),
        bearing("orders.example", "x-key", token),
        bearing("orders.example", "authorization", &bearer),
        bearing("orders.example", HEADER, token),
    ] {
        let answer = ask(client, request.mapped()).await;
        assert_eq!(answer.status, 401, "{request:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_was_signed_before_the_keys_were_rotated_is_verified_while_both_are_listed() {
    let [old, new] = [Pem::new(), Pem::new()];
    let before = start(CONFIG, [&old, &new]);
    let client = &mut CheckClient::connect(before.grpc()).await;
    let admitted = ask(client, by_key("orders.example", "/1").mapped()).await;
    let token = set(&admitted, HEADER).to_owned();
    let keys_before = key_set(&before, "orders");
    drop(before);

    let both = CONFIG.replace("[current.pem]", "[current.pem, previous.pem]");
    let after = start(&both, [&new, &old]);
    let client = &mut CheckClient::connect(after.grpc()).await;
    let keys = key_set(&after, "orders");
    verify(&token, &keys, "orders").expect("it is still good");
    let admitted = ask(client, by_key("orders.example", "/1").mapped()).await;
    let token_after = set(&admitted, HEADER);
    verify(token_after, &keys, "orders").expect("one under the new key");
    verify(token_after, &keys_before, "orders").expect_err("a key that was not known then");

    let alone = key_set(&start(CONFIG, [&new, &old]), "orders");
    verify(&token, &alone, "orders").expect_err("its key was taken out");
}

#[tokio::test]
async fn whoever_asks_why_sees_that_it_is_set_and_not_what_it_is() {
    let server = start(CONFIG, [&Pem::new(), &Pem::new()]);
    server.write("headers.txt", &format!("x-key: {KEY}\n"));
    let headers = server.path("headers.txt").display().to_string();
    let words = format!("explain --json -H @{headers} https://orders.example/1");
    let report = server.command(&words, "");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let headers = report["answer"]["headers_set"].as_array().expect("a list");
    let shown = headers.iter().find(|it| it["name"] == HEADER);
    let shown = shown.expect("it is set")["value"].as_str().expect("a text");
    assert!(
        shown.starts_with('(') && shown.ends_with(" bytes)"),
        "{shown}"
    );
    let text = server.command(&words.replace("--json ", ""), "");
    assert!(text.contains(HEADER) && !text.contains("eyJ"), "{text}");
}

/// The RPC in this process, by a clock that the test moves.
struct Clocked {
    door: Door,
    seconds: Arc<AtomicU64>,
    _dir: TempDir,
}

impl Clocked {
    async fn open(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pem = Pem::new();
        for (name, text) in [
            ("directory.yaml", DIRECTORY),
            ("current.pem", &pem.private),
            ("public.pem", &pem.public),
        ] {
            fs::write(dir.path().join(name), text).expect("a writable directory");
        }
        let text = CONFIG
            .replace("{grpc}", "0")
            .replace("{admin}", "0")
            .replace("{issue}", "0");
        let config = Config::parse("c.yaml", &text, dir.path(), |_| None);
        let mut config = config.expect("a configuration");
        change(&mut config);
        let seconds = Arc::new(AtomicU64::new(1_790_000_000));
        let told = Arc::clone(&seconds);
        let clock =
            Clock::from_fn(move || UNIX_EPOCH + Duration::from_secs(told.load(Ordering::Relaxed)));
        let file = read_directory(&config).expect("a directory file");
        let opened = open(config, file, clock.clone(), &Arc::default(), None).await;
        let opened = opened.expect("a store in memory");
        let deadline = Duration::from_secs(20);
        let door = Door::new(
            opened.gate,
            Arc::default(),
            clock,
            (deadline, OnFault::Deny),
            0,
            (None, None),
        );
        Self {
            door,
            seconds,
            _dir: dir,
        }
    }

    async fn ask(&self, message: Bytes) -> Answer {
        let answer = self.door.check(message, None).await;
        read(answer.expect("an answer"))
    }
}

#[tokio::test]
async fn it_is_signed_again_when_half_of_its_lifetime_is_over_and_on_no_request_between() {
    let clocked = Clocked::open(|_| ()).await;
    let mut tokens = Vec::new();
    // Also where what the credential came to is not remembered so long (60 s) as what was signed.
    for second in 0..=900 {
        let answer = clocked.ask(by_key("bills.example", "/1").mapped()).await;
        tokens.push((second, set(&answer, "x-who").to_owned()));
        clocked.seconds.fetch_add(1, Ordering::Relaxed);
    }
    tokens.dedup_by(|later, earlier| later.1 == earlier.1);
    let signed: Vec<_> = tokens.iter().map(|it| it.0).collect();
    assert_eq!(signed, [0, 300, 600, 900]);
}

#[tokio::test]
async fn where_it_cannot_be_signed_nobody_is_let_in_without() {
    let clocked = Clocked::open(|it| it.assertion_keys = AssertionKeys::default()).await;
    let refused = clocked.ask(by_key("orders.example", "/1").mapped()).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.metadata["fault"], "internal");
    assert!(!refused.metadata.contains_key("account"));
    let nobody = Ask::new("orders.example", "GET", "/public/1");
    assert_eq!(clocked.ask(nobody.mapped()).await.status, 200);
    let plain = clocked.ask(by_key("plain.example", "/1").mapped()).await;
    assert_eq!(plain.status, 200);
}
