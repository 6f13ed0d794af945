//! Tokens that their issuer is asked about (RFC 7662), honest and otherwise.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::check::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::introspection::{
    AUDIENCE, CLIENT_ID, CLIENT_SECRET, Endpoint, ISSUER, SILENT, TROUBLED,
};
use crate::support::server::Server;

const DIRECTORY: &str = "
mine:
  users:
    - { id: u-1, username: ada, account: a-1, roles: [clerk] }
    - { id: u-2, username: bob, account: a-1, enabled: false }
";

fn start(endpoint: &Endpoint, client_id: &str) -> Server {
    let config = format!(
        r#"
listen: {{ grpc: ["127.0.0.1:{{grpc}}"], admin: "127.0.0.1:{{admin}}" }}
store: {{ directory_file: directory.yaml }}
client_address: {{ from: peer }}
check: {{ deadline_ms: 20000 }}
platforms:
  - name: mine
    hosts: ["*"]
    https: off
    schemes:
      sso:
        kind: introspection
        from: [{{ authorization: Bearer }}]
        url: {}
        client_id: {client_id}
        client_secret_file: client.secret
        issuer: {ISSUER}
        audience: [{AUDIENCE}]
        throttle: {{ failures: {FAILURES} }}
    rules:
      - {{ paths: ["/orders/**"], scopes_any: ["orders:read"] }}
      - {{ paths: [/gold], claims: {{ tier: {{ one_of: [gold, platinum] }}, groups: {{ contains: admins }} }} }}
"#,
        endpoint.url()
    );
    let files = [
        ("directory.yaml", DIRECTORY),
        ("client.secret", CLIENT_SECRET),
    ];
    Server::start_with(&config, &files)
}

/// How many tokens of one address may be unknown to the issuer in a minute.
const FAILURES: usize = 20;

fn presents(token: &str) -> Bytes {
    presents_from("192.0.2.1", token)
}

fn presents_from(peer: &str, token: &str) -> Bytes {
    Ask {
        peer: peer.to_owned(),
        ..Ask::new("api.example.com", "GET", "/orders/1")
    }
    .header("authorization", format!("Bearer {token}"))
    .mapped()
}

#[tokio::test]
async fn an_active_token_stands_for_whom_its_issuer_names() {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, CLIENT_ID);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let known = ask(client, presents("good")).await;
    assert_eq!(known.status, 200, "{known:?}");
    for (name, value) in [
        ("x-auth-account", "a-1"),
        ("x-auth-expires", "4102444800"),
        ("x-auth-platform", "mine"),
        ("x-auth-roles", "clerk"),
        ("x-auth-scheme", "sso"),
        ("x-auth-scopes", "orders:read orders:write"),
        ("x-auth-user", "u-1"),
        ("x-auth-username", "ada"),
    ] {
        let header = (name.to_owned(), value.to_owned());
        assert!(known.headers.contains(&header), "{name} {known:?}");
    }
    assert!(known.removed.contains(&"authorization".to_owned()));
    assert_eq!(ask(client, presents("good")).await.metadata["cache"], "hit");
    assert_eq!(endpoint.asked("good"), 1);

    for (token, status, reason) in [
        ("endless-life", 200, ""),
        ("narrow", 403, "scope"),
        ("unknown", 401, "unknown"),
        ("over", 401, "expired"),
        ("early", 200, ""),
        ("bound", 401, "wrong"),
        ("for-another", 401, "unknown"),
        ("for-nobody", 401, "unknown"),
        ("of-another", 401, "unknown"),
        ("stranger", 401, "unknown"),
        ("disabled", 401, "disabled"),
    ] {
        for _ in 0..2 {
            let answer = ask(client, presents(token)).await;
            let why = answer.metadata.get("reason").map_or("", String::as_str);
            assert_eq!((answer.status, why), (status, reason), "{token}");
        }
        assert_eq!(endpoint.asked(token), 1, "{token}");
    }
}

#[tokio::test]
async fn a_rule_admits_whose_claims_are_what_it_demands() {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, CLIENT_ID);
    let client = &mut CheckClient::connect(server.grpc()).await;
    for (token, status) in [("gold-admin", 200), ("gold", 403), ("good", 403)] {
        let question = Ask::new("api.example.com", "GET", "/gold");
        let question = question.header("authorization", format!("Bearer {token}"));
        // The second time from the cache.
        for _ in 0..2 {
            let answer = ask(client, question.mapped()).await;
            assert_eq!(answer.status, status, "{token} {answer:?}");
            let reason = answer.metadata.get("reason").map(String::as_str);
            assert_eq!(reason, (status == 403).then_some("scope"), "{token}");
        }
    }
}

#[tokio::test]
async fn all_but_a_plain_word_is_a_fault_that_is_told_without_secrets() {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, CLIENT_ID);
    let client = &mut CheckClient::connect(server.grpc()).await;
    for token in TROUBLED.into_iter().chain([SILENT]) {
        let answer = ask(client, presents(token)).await;
        assert_eq!(answer.status, 503, "{token}");
        assert!(endpoint.asked(token) > 0, "{token}");
        // Never kept: whoever comes when it is well again is let in.
        assert_eq!(answer.metadata["fault"], "introspection", "{token}");
        if token != SILENT {
            ask(client, presents(token)).await;
            assert!(endpoint.asked(token) > 1, "{token}");
        }
    }
    assert_eq!(ask(client, presents("good")).await.status, 200);
    server.await_log("introspection", Duration::from_secs(5));
    let (log, port) = (server.log(), endpoint.url());
    for secret in [CLIENT_SECRET, "Basic ", "twofaced", "redirected", &port] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let faults = log.matches("could not be decided").count();
    assert!(faults < 2 * TROUBLED.len(), "each of {faults} is told");
}

#[tokio::test]
async fn an_endpoint_that_refuses_us_refuses_nobody_else() {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, "another");
    let client = &mut CheckClient::connect(server.grpc()).await;
    for token in ["good", "unknown"] {
        assert_eq!(ask(client, presents(token)).await.status, 503, "{token}");
    }
    server.await_log("refuses our own credentials", Duration::from_secs(5));
}

/// Asks about tokens of which nothing comes, all at once, from these addresses in turn; gives how many were asked about
/// and the statuses.
async fn hang(server: &Server, endpoint: &Endpoint, peers: &[&str]) -> (usize, Vec<u16>) {
    let client = CheckClient::connect(server.grpc()).await;
    let tokens: Vec<_> = (0..40)
        .map(|it| format!("{SILENT}{it}-{}", peers.len()))
        .collect();
    let mut asked = JoinSet::new();
    for (token, peer) in tokens.iter().zip(peers.iter().cycle()) {
        let (mut client, message) = (client.clone(), presents_from(peer, token));
        asked.spawn(async move { ask(&mut client, message).await.status });
    }
    let statuses = asked.join_all().await;
    let reached = tokens.iter().map(|it| endpoint.asked(it)).sum();
    (reached, statuses)
}

/// CVE-2025-25207, CVE-2025-25208 (Authorino): the many callbacks of one starved all.
#[tokio::test]
async fn an_endpoint_that_hangs_is_asked_about_so_many_at_once_and_no_more() {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, CLIENT_ID);
    let peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let peers = [&peers[..], &["192.0.2.5", "2001:db8::1"]].concat();
    let (reached, statuses) = hang(&server, &endpoint, &peers).await;
    assert!(statuses.iter().all(|it| *it == 503), "{statuses:?}");
    assert!((1..=32).contains(&reached), "{reached} at once");
}

/// CVE-2025-25207, CVE-2025-25208 (Authorino), by one client instead of one configuration.
#[tokio::test]
async fn one_address_has_a_quarter_of_the_places_and_leaves_the_others_to_the_others() {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, CLIENT_ID);
    let elsewhere = async {
        // Whichever came first.
        let is_asked = |it: u32| endpoint.asked(&format!("{SILENT}0-{it}")) > 0;
        let begun = std::time::Instant::now();
        while !(0..40).any(is_asked) && begun.elapsed() < Duration::from_secs(10) {
            tokio::task::yield_now().await;
        }
        let client = &mut CheckClient::connect(server.grpc()).await;
        let answer = ask(client, presents_from("192.0.2.9", "good")).await;
        // Known by then: no question, whoever asks.
        let here = ask(client, presents_from("2001:db8::1", "good")).await;
        (answer.status, here.status)
    };
    // Two of one /64.
    let peers = ["2001:db8::1", "2001:db8::2"];
    let (hanging, elsewhere) = tokio::join!(hang(&server, &endpoint, &peers), elsewhere);
    assert_eq!(elsewhere, (200, 200));
    let (reached, statuses) = hanging;
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert_eq!((reached, count(503), count(429)), (8, 8, 32));
}

#[tokio::test]
async fn made_up_tokens_of_one_address_are_asked_about_so_often_and_those_that_are_over_do_not_count()
 {
    let endpoint = Endpoint::start();
    let server = start(&endpoint, CLIENT_ID);
    let client = &mut CheckClient::connect(server.grpc()).await;
    assert_eq!(ask(client, presents("good")).await.status, 200);
    for number in 0..2 * FAILURES {
        let over = ask(client, presents(&format!("over{number}"))).await;
        assert_eq!((over.status, &*over.metadata["reason"]), (401, "expired"));
    }
    for number in 0..=FAILURES {
        let want = if number < FAILURES { 401 } else { 429 };
        let answer = ask(client, presents(&format!("junk{number}"))).await;
        assert_eq!(answer.status, want, "{number}");
    }
    assert_eq!(endpoint.asked(&format!("junk{FAILURES}")), 0);
    // Who is known goes on, and another address is not touched.
    assert_eq!(ask(client, presents("good")).await.status, 200);
    let elsewhere = presents_from("192.0.2.2", "endless-life");
    assert_eq!(ask(client, elsewhere).await.status, 200);
}
