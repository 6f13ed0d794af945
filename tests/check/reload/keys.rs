//! Keys and peppers that change while Checks go on.

use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use portcullis::keys::signing::SigningKeys;

use super::{DIRECTORY, KEY, PATIENCE, RULE, SHOP, await_reloads, by_key, reload, reloads, status};
use crate::check::asking::{Ask, ask};
use crate::support::assertions::{self, Pem, key_set, verify};
use crate::support::check::CheckClient;
use crate::support::issuers::{END, changed, johns};
use crate::support::provider::Provider;
use crate::support::sample;
use crate::support::server::Server;

pub(super) fn rsa_pem() -> String {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a private key");
    let body = BASE64_STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

#[tokio::test]
async fn tokens_of_a_previous_signing_key_are_good_while_it_is_listed_and_no_longer() {
    let config = |files: &str| {
        format!(
            r#"listen: {{ grpc: ["127.0.0.1:{{grpc}}"], issue: "127.0.0.1:{{issue}}", admin: "127.0.0.1:{{admin}}" }}
store: {{ directory_file: directory.yaml }}
check: {{ deadline_ms: 20000 }}
client_address: {{ from: peer }}
signing: {{ key_files: [{files}] }}
platforms: [{{ name: crossbar, preset: crossbar, hosts: [c] }}]
"#
        )
    };
    let johns_directory = "crossbar:\n  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b }]\n  users: [{ id: 8e248327b85591955749e53ea45b6baa, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john, password: m32c6NfqYEt }]\n";
    let pems = [rsa_pem(), rsa_pem()];
    let files = [
        ("directory.yaml", johns_directory),
        ("one.pem", &*pems[0]),
        ("two.pem", &*pems[1]),
    ];
    let server = Server::start_with(&config("one.pem"), &files);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let token = |file: &str| {
        let path: PathBuf = server.path(file);
        let keys = SigningKeys::load(&[path]).expect("a key").keys;
        let more = json!({ "gen": [0, 0, 0], "jti": file, "iat": 1_700_000_000, "exp": END });
        let Value::Object(claims) = changed(johns(), more) else {
            panic!("claims are an object");
        };
        let token = keys.sign("crossbar", &claims).expect("a token");
        Ask {
            peer: "127.0.0.1".to_owned(),
            ..Ask::new("c", "GET", "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b")
                .header("x-auth-token", token)
        }
    };
    let (one, two) = (token("one.pem"), token("two.pem"));
    for (files, want) in [
        ("one.pem", [200, 401]),
        ("two.pem, one.pem", [200, 200]),
        ("two.pem", [401, 200]),
    ] {
        server.configure(&config(files));
        reload(&server, "ok").await;
        for (asked, want) in [&one, &two].into_iter().zip(want) {
            let answer = ask(client, asked.mapped()).await;
            assert_eq!(answer.status, want, "{files}: {answer:?}");
        }
    }
    // The same name, another key in it.
    server.write("two.pem", &pems[0]);
    await_reloads(&server, "ok", 4).await;
    assert_eq!(status(client, &two).await, 401);
    assert_eq!(status(client, &one).await, 200);
}

#[tokio::test]
async fn what_an_issuer_said_outlives_a_reload_while_it_does_not_answer() {
    let provider = Provider::start("https://idp.example.com", "k1");
    let config = |paths: &str| {
        format!(
            r#"listen: {{ grpc: ["127.0.0.1:{{grpc}}"], admin: "127.0.0.1:{{admin}}" }}
check: {{ deadline_ms: 20000 }}
platforms:
  - name: a
    hosts: [a]
    schemes: {{ oidc: {{ kind: jwt, issuer: "https://idp.example.com", audience: [api], jwks_url: "{}", algorithms: [RS256], directory: none, from: [{{ authorization: Bearer }}] }} }}
    rules: [{{ paths: [{paths}] }}]
"#,
            provider.keys_url()
        )
    };
    let server = Server::start(&config("/things"));
    let client = &mut CheckClient::connect(server.grpc()).await;
    let bearing = |number: u64| {
        let claims =
            json!({ "iss": provider.issuer, "aud": "api", "sub": number.to_string(), "exp": END });
        let token = provider.token(&claims);
        Ask::new("a", "GET", "/things").header("authorization", format!("Bearer {token}"))
    };
    assert_eq!(status(client, &bearing(1)).await, 200);
    provider.server.set_away(true);
    let refused = config("/things").replace("audience: [api]", "audience: [api], nonsense: 1");
    server.configure(&refused);
    reload(&server, "invalid").await;
    server.configure(&config("/things, /more"));
    reload(&server, "ok").await;
    assert_eq!(status(client, &bearing(2)).await, 200);
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn a_pepper_that_something_stands_under_cannot_be_left_out() {
    let config = |files: &str| {
        format!(
            r#"listen: {{ grpc: ["127.0.0.1:{{grpc}}"], admin: "127.0.0.1:{{admin}}" }}
store: {{ directory_file: directory.yaml, pepper_files: [{files}] }}
check: {{ deadline_ms: 20000 }}
client_address: {{ from: peer }}
platforms:
  - {{ name: a, hosts: [a], schemes: {{ {KEY}, login: {{ kind: basic }} }}, rules: [{RULE}] }}
  - {{ name: b, hosts: [b], schemes: {{ {KEY} }}, rules: [{RULE}] }}
"#
        )
    };
    let (one, two) = ("1".repeat(32), "2".repeat(32));
    let files = [
        ("directory.yaml", DIRECTORY),
        ("one", &*one),
        ("two", &*two),
    ];
    let server = Server::start_with(&config("one"), &files);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let key = by_key("a", SHOP);
    for (files, outcome) in [("two, one", "ok"), ("two", "invalid"), ("one, two", "ok")] {
        server.configure(&config(files));
        reload(&server, outcome).await;
        assert_eq!(status(client, &key).await, 200, "{files}");
    }
    server.await_log("was written under another pepper", PATIENCE);
    server.await_log("store.pepper_files", PATIENCE);
    assert!(reloads(&server, "invalid") >= 1);
}

#[tokio::test]
async fn keys_that_were_made_for_this_run_stay() {
    let server = sample::start(sample::CONFIG);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let asked = Ask::new(sample::MINE, "GET", "/orders/7").header("x-my-key", sample::MY_KEY);
    let asked = Ask {
        peer: "127.0.0.1".to_owned(),
        ..asked
    };
    assert_eq!(status(client, &asked).await, 200);
    reload(&server, "ok").await;
    let answer = ask(client, asked.mapped()).await;
    assert_eq!((answer.status, &*answer.metadata["cache"]), (200, "hit"));
}

#[tokio::test]
async fn the_keys_of_assertions_are_those_of_the_files() {
    let pems = [Pem::new(), Pem::new()];
    let server = assertions::start(assertions::CONFIG, [&pems[0], &pems[0]]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let ada = Ask::new("orders.example", "GET", "/1").header("authorization", assertions::ADA);
    let before = key_set(&server, "orders");
    server.write("current.pem", &pems[1].private);
    await_reloads(&server, "ok", 1).await;
    let after = key_set(&server, "orders");
    assert_ne!(before, after);
    let answer = ask(client, ada.mapped()).await;
    let signed = answer.headers.iter().find(|it| it.0 == "x-auth-assertion");
    let token = &signed.expect("an assertion").1;
    verify(token, &after, "orders").expect("an assertion under the new key");
    verify(token, &before, "orders").expect_err("one under the old");
}
