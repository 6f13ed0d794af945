//! The signed tokens of Facebook's Limited Login.
//!
//! The server runs in the test's own process, so that the test can say what time it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis::serve::Running;
use serde_json::json;
use tokio::task::JoinSet;

use crate::check::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::facebook::{self, APP_ID, APP_SECRET, CALLIFYS, Graph, SILENT};
use crate::support::issuers::changed;
use crate::support::provider::Provider;
use crate::support::sample::{DIRECTORY, OPENTACT};
use crate::support::server::Server;

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1/";

/// How long what Graph said is kept.
const KEPT_SECONDS: u64 = 60;

/// Starts a server that asks this Graph and this provider of keys; its time is the second that the counter says.
/// `more` are further settings of the scheme.
async fn serve(
    graph: &Graph,
    jwks_url: &str,
    more: &str,
    directory: &Path,
) -> (Running, Arc<AtomicU64>) {
    let more = format!("jwks_url: \"{jwks_url}\", {more}");
    facebook::serve(graph, &more, directory).await
}

/// What the configuration names.
fn files() -> [(&'static str, String); 2] {
    let (_, users) = DIRECTORY.split_once("\nopentact:\n").expect("opentact");
    let (users, _) = users.split_once("\nopentact-twin:").expect("its twin");
    [
        ("facebook.secret", APP_SECRET.to_owned()),
        ("directory.yaml", format!("opentact:\n{users}")),
    ]
}

fn config(listen: &str, graph: &Graph, more: &str) -> String {
    format!(
        r#"
listen: {{ {listen} }}
store: {{ directory_file: directory.yaml }}
client_address: {{ from: peer }}
platforms:
  - name: opentact
    preset: opentact
    hosts: [{OPENTACT}]
    schemes:
      facebook: {{ app_id: "100000000000001", app_secret_file: facebook.secret, graph_url: "{}", {more} }}
"#,
        graph.url()
    )
}

fn presents(token: &str) -> Bytes {
    presents_from("192.0.2.1", token)
}

fn presents_from(peer: &str, token: &str) -> Bytes {
    Ask {
        peer: peer.to_owned(),
        ..Ask::new(OPENTACT, "GET", "/rest/auth")
    }
    .header("x-forwarded-proto", "https")
    .header("x-auth-facebook-token", token)
    .mapped()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_limited_login_is_verified_with_facebooks_keys_and_graph_is_not_asked() {
    let graph = Graph::start(Duration::ZERO);
    let facebook = Provider::start("https://www.facebook.com", "k1");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, _) = serve(&graph, &facebook.keys_url(), "", directory.path()).await;
    let client = &mut CheckClient::connect(server.grpc[0]).await;
    let honest = json!({
        "iss": "https://www.facebook.com", "aud": APP_ID, "sub": "100000000000002", "iat": 1_799_999_000,
        "exp": 1_800_003_600, "jti": "ab12.cd34", "nonce": "n", "email": "opentact@callify.io",
    });
    // Who is there the first time may be late: the keys are fetched then.
    let begun = Instant::now();
    while ask(client, presents(&facebook.token(&honest))).await.status == 503 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no keys");
    }
    let known = ask(client, presents(&facebook.token(&honest))).await;
    assert_eq!(known.status, 200, "{known:?}");
    for (name, value) in [
        ("x-auth-expires", "1800003600"),
        ("x-auth-scheme", "facebook"),
        ("x-auth-user", "0116f6d1-1280-44b2-9134-da48509ec575"),
    ] {
        let header = (name.to_owned(), value.to_owned());
        assert!(known.headers.contains(&header), "{name} {known:?}");
    }
    for (changes, reason) in [
        (json!({ "aud": "100000000000009" }), "unknown"),
        (json!({ "iss": "https://www.facebook.com.evil" }), "unknown"),
        (json!({ "exp": 1_800_000_000 }), "expired"),
        (json!({ "sub": "100000000000003" }), "unknown"),
        (json!({ "sub": null }), "malformed"),
        (json!({ "iat": 1_800_000_001 }), "not_yet_valid"),
        (json!({ "cnf": { "jkt": "0ZcO" } }), "wrong"),
    ] {
        let token = facebook.token(&changed(honest.clone(), changes.clone()));
        let denied = ask(client, presents(&token)).await;
        let why = &denied.metadata["reason"];
        assert_eq!((denied.status, &**why), (401, reason), "{changes}");
    }
    let forged = Provider::start("https://www.facebook.com", "k1");
    let denied = ask(client, presents(&forged.token(&honest))).await;
    assert_eq!((denied.status, &*denied.metadata["reason"]), (401, "wrong"));
    assert!(graph.0.asked().is_empty());
    server.until(async {}).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn limited_logins_clock_may_be_ahead_of_ours_as_far_as_is_stated() {
    let graph = Graph::start(Duration::ZERO);
    let facebook = Provider::start("https://www.facebook.com", "k1");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let leeway = "leeway_seconds: 5";
    let (server, _) = serve(&graph, &facebook.keys_url(), leeway, directory.path()).await;
    let client = &mut CheckClient::connect(server.grpc[0]).await;
    for (claim, at, want) in [
        ("iat", 1_800_000_005_u64, 200),
        ("iat", 1_800_000_006, 401),
        ("nbf", 1_800_000_005, 200),
        ("nbf", 1_800_000_006, 401),
    ] {
        let mut claims = json!({
            "iss": "https://www.facebook.com", "aud": APP_ID, "sub": "100000000000002", "exp": 1_800_003_600,
        });
        claims[claim] = at.into();
        let token = facebook.token(&claims);
        let begun = Instant::now();
        let answer = loop {
            let answer = ask(client, presents(&token)).await;
            if answer.status != 503 {
                break answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no keys");
        };
        assert_eq!(answer.status, want, "{claim} {at}: {answer:?}");
    }
    server.until(async {}).await.expect("an end");
}

/// Asks about tokens of which nothing comes, each from the address that is said; gives the statuses.
async fn hang(client: &CheckClient, asked: impl Iterator<Item = (String, String)>) -> Vec<u16> {
    let mut all = JoinSet::new();
    for (peer, token) in asked {
        let mut client = client.clone();
        all.spawn(async move { ask(&mut client, presents_from(&peer, &token)).await.status });
    }
    all.join_all().await
}

/// Waits until Graph was asked about so many tokens of which nothing comes, and demands that it were no more.
async fn until_asked(graph: &Graph, times: usize) {
    let begun = Instant::now();
    while graph.asked_about(SILENT) < times {
        assert!(begun.elapsed() < Duration::from_secs(10), "never asked");
        tokio::task::yield_now().await;
    }
    assert_eq!(graph.asked_about(SILENT), times);
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_that_takes_every_place_keeps_nobody_who_is_in_from_being_asked_about_again() {
    let graph = Graph::start(Duration::ZERO);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, seconds) = serve(&graph, NOWHERE, "", directory.path()).await;
    let client = &mut CheckClient::connect(server.grpc[0]).await;
    while ask(client, presents(CALLIFYS)).await.status == 503 {}
    assert_eq!(graph.asked(CALLIFYS), 1);

    let junk = (0..40).map(|it| (format!("198.51.100.{}", it / 4), format!("{SILENT}{it}")));
    let statuses = hang(client, junk).await;
    assert!(statuses.iter().all(|it| *it == 503), "{statuses:?}");
    // Every place is taken.
    until_asked(&graph, 32).await;
    // Most of the lifetime is over: whoever is in is asked about again.
    seconds.fetch_add(50, Ordering::SeqCst);
    let begun = Instant::now();
    while graph.asked(CALLIFYS) < 2 || graph.0.answered() < 2 {
        let meanwhile = ask(client, presents(CALLIFYS)).await;
        assert_eq!(
            (meanwhile.status, &*meanwhile.metadata["cache"]),
            (200, "hit")
        );
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "never asked again"
        );
    }
    let newcomer = ask(client, presents_from("198.51.100.99", "EAABnew")).await;
    let why = &newcomer.metadata["fault"];
    assert_eq!((newcomer.status, &**why), (503, "facebook"), "still taken");
    // What Graph said is there a moment later.
    for _ in 0..100 {
        ask(client, presents(CALLIFYS)).await;
    }
    seconds.fetch_add(KEPT_SECONDS - 50 + 1, Ordering::SeqCst);
    let later = ask(client, presents(CALLIFYS)).await;
    assert_eq!((later.status, &*later.metadata["cache"]), (200, "hit"));
    server.until(async {}).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_a_quarter_of_the_places_and_many_with_one_token_have_one() {
    let graph = Graph::start(Duration::ZERO);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, _) = serve(&graph, NOWHERE, "", directory.path()).await;
    let client = &mut CheckClient::connect(server.grpc[0]).await;
    let one = "198.51.100.1".to_owned();
    let same = (0..20).map(|_| (one.clone(), format!("{SILENT}same")));
    let statuses = hang(client, same).await;
    assert!(statuses.iter().all(|it| *it == 503), "{statuses:?}");
    until_asked(&graph, 1).await;
    let burst = (0..20).map(|it| (one.clone(), format!("{SILENT}{it}")));
    let statuses = hang(client, burst).await;
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert_eq!((count(503), count(429)), (7, 13));
    until_asked(&graph, 8).await;
    while ask(client, presents(CALLIFYS)).await.status == 503 {}
    assert_eq!(graph.asked(CALLIFYS), 1, "at the first try");
    let here = ask(client, presents_from(&one, CALLIFYS)).await;
    assert_eq!(here.status, 200, "known already");
    server.until(async {}).await.expect("an end");
}

/// The app's quota is one for all addresses.
#[tokio::test]
async fn junk_from_many_addresses_has_graph_asked_so_often_a_second_and_the_operator_is_told() {
    let graph = Graph::start(Duration::ZERO);
    let files = files();
    let files = files.each_ref().map(|it| (it.0, it.1.as_str()));
    let more = "calls_per_second: 1";
    let listen = "grpc: [\"127.0.0.1:{grpc}\"], admin: \"127.0.0.1:{admin}\"";
    let config = config(listen, &graph, more);
    let server = Server::start_with(&config, &files);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let begun = Instant::now();
    let mut statuses = Vec::new();
    for number in 0..40 {
        let peer = format!("198.51.100.{number}");
        let answer = ask(client, presents_from(&peer, &format!("EAABjunk{number}"))).await;
        statuses.push(answer.status);
        if answer.status == 503 {
            let retry = answer.headers.iter().find(|it| it.0 == "retry-after");
            assert!(retry.is_some(), "{answer:?}");
        }
    }
    let denied = statuses.iter().filter(|it| **it == 401).count();
    let beyond = usize::try_from(begun.elapsed().as_secs()).expect("a few");
    assert!((10..=11 + beyond).contains(&denied), "{statuses:?}");
    assert_eq!(graph.asked_about("EAABjunk"), denied);
    assert!(
        statuses.iter().all(|it| [401, 503].contains(it)),
        "{statuses:?}"
    );
    server.await_log(
        "as often as `calls_per_second` lets it",
        Duration::from_secs(5),
    );
    assert_eq!(server.log().matches("`calls_per_second`").count(), 1);
}
