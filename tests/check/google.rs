//! Google's ID tokens at opentact: the vectors O8 of its contract, and who is linked with whom.
//!
//! Claims are those that Google documents; a loopback server stands in for Google.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::check::asking::{Answer, Ask, ask};
use crate::support::check::CheckClient;
use crate::support::google::{CLIENT, ISSUER, SUBJECT, claims};
use crate::support::issuers::{END, Issuer, changed};
use crate::support::provider::Provider;
use crate::support::server::Server;

const OTHER_CLIENT: &str = "123456-xyz.apps.googleusercontent.com";

const DIRECTORY: &str = "
opentact:
  users:
    - { id: u-linked, email: linked@example.com, roles: [User], links: [{ issuer: google, subject: \"110169484474386276334\" }] }
    - { id: u-unlinked, email: testuser@gmail.com, password: \"12345678\" }
    - { id: u-elsewhere, email: c@example.com, links: [{ issuer: \"facebook:1\", subject: \"110169484474386276335\" }] }
    - { id: u-disabled, email: d@example.com, enabled: false, links: [{ issuer: google, subject: \"110169484474386276336\" }] }
";

fn serve(google: &str) -> Server {
    let config = format!(
        "listen: {{ grpc: [\"127.0.0.1:{{grpc}}\"], admin: \"127.0.0.1:{{admin}}\", control: \
         \"unix:{{dir}}/control.sock\" }}\nstore: {{ directory_file: directory.yaml }}\ncheck: {{ \
         deadline_ms: 20000 }}\nplatforms:\n  - {{ name: opentact, preset: opentact, hosts: \
         [opentact.example.com], schemes: {{ google: {{ {google} }} }} }}\n"
    );
    Server::start_with(&config, &[("directory.yaml", DIRECTORY)])
}

fn standing_in(google: &Provider) -> String {
    let url = google.keys_url();
    format!("client_ids: [\"{OTHER_CLIENT}\", \"{CLIENT}\"], jwks_url: \"{url}\"")
}

fn rest(query: &str) -> Ask {
    let ask = Ask::new("opentact.example.com", "GET", format!("/rest/user{query}"));
    ask.header("x-forwarded-proto", "https")
}

fn presenting(token: &str) -> Bytes {
    rest("").header("x-auth-google-token", token).mapped()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|it| it.0 == name);
    found.map(|it| it.1.as_str())
}

#[tokio::test]
async fn a_token_of_google_is_its_linked_users_and_its_places_are_taken_off() {
    let google = Provider::start(ISSUER, "k1");
    let server = serve(&standing_in(&google));
    let client = &mut CheckClient::connect(server.grpc()).await;
    let token = google.token(&claims());
    let by_query = rest(&format!("?google_token={token}&page=2"));
    for (asked, parameters) in [
        (presenting(&token), &[][..]),
        (by_query.mapped(), &["google_token".to_owned()][..]),
    ] {
        let answer = ask(client, asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(header(&answer, "x-auth-user"), Some("u-linked"));
        assert_eq!(
            header(&answer, "x-auth-username"),
            Some("linked@example.com")
        );
        assert_eq!(header(&answer, "x-auth-scheme"), Some("google"));
        assert_eq!(header(&answer, "x-auth-expires"), Some(&*END.to_string()));
        assert!(answer.removed.contains(&"x-auth-google-token".to_owned()));
        assert_eq!(answer.removed_parameters, parameters);
    }
    assert_eq!(google.fetches(), 1);
    let both = rest("?google_token=a.b.c").header("x-auth-google-token", &token);
    assert_eq!(ask(client, both.mapped()).await.status, 401);
    // testuser@gmail.com:12345678
    let other = rest("").header("x-auth-google-token", &token);
    let other = other.header(
        "authorization",
        "Basic dGVzdHVzZXJAZ21haWwuY29tOjEyMzQ1Njc4",
    );
    let denied = ask(client, other.mapped()).await;
    assert_eq!(
        (denied.status, &*denied.metadata["reason"]),
        (401, "conflict")
    );
}

#[tokio::test]
async fn what_google_did_not_sign_for_us_is_nothing() {
    let google = Provider::start(ISSUER, "k1");
    let server = serve(&format!(
        "{}, hosted_domain: example.com",
        standing_in(&google)
    ));
    let client = &mut CheckClient::connect(server.grpc()).await;
    let honest = |changes: Value| google.token(&changed(claims(), changes));
    let hmac = json!({ "alg": "HS256", "kid": "k1" }).to_string();
    let modulus = google.jwk()["n"].as_str().expect("a number").to_owned();
    for (what, token, want) in [
        ("as it is", honest(json!({})), None),
        (
            "O8 the older issuer",
            honest(json!({ "iss": "accounts.google.com" })),
            None,
        ),
        (
            "another client of ours",
            honest(json!({ "aud": OTHER_CLIENT })),
            None,
        ),
        (
            "O8 for another app",
            honest(json!({ "aud": "other.apps.googleusercontent.com" })),
            Some("unknown"),
        ),
        (
            "for nobody",
            honest(json!({ "aud": null })),
            Some("malformed"),
        ),
        (
            "O8 a longer issuer",
            honest(json!({ "iss": "https://accounts.google.com.evil" })),
            Some("unknown"),
        ),
        (
            "an issuer in clear",
            honest(json!({ "iss": "http://accounts.google.com" })),
            Some("unknown"),
        ),
        (
            "no issuer",
            honest(json!({ "iss": null })),
            Some("malformed"),
        ),
        (
            "O8 HS256",
            Issuer::hmac("", modulus.as_bytes()).sign(&hmac, &claims().to_string()),
            Some("unknown"),
        ),
        (
            "another RSA algorithm",
            google.sign(&json!({ "alg": "RS512", "kid": "k1" }), &claims()),
            Some("unknown"),
        ),
        (
            "a stranger's signature",
            Provider::start(ISSUER, "k1").token(&claims()),
            Some("wrong"),
        ),
        (
            "over",
            honest(json!({ "exp": 1_433_981_953 })),
            Some("expired"),
        ),
        (
            "bound to a key",
            honest(json!({ "cnf": { "jkt": "0ZcO" } })),
            Some("wrong"),
        ),
        (
            "without an end",
            honest(json!({ "exp": null })),
            Some("malformed"),
        ),
        (
            "of another domain",
            honest(json!({ "hd": "evil.example" })),
            Some("unknown"),
        ),
        (
            "of no domain",
            honest(json!({ "hd": null })),
            Some("unknown"),
        ),
        (
            "nobody's",
            honest(json!({ "sub": null })),
            Some("malformed"),
        ),
        (
            "a user who is not linked",
            honest(json!({ "sub": "1" })),
            Some("unknown"),
        ),
        (
            "linked at another issuer",
            honest(json!({ "sub": "110169484474386276335" })),
            Some("unknown"),
        ),
        (
            "a disabled user's",
            honest(json!({ "sub": "110169484474386276336" })),
            Some("disabled"),
        ),
        ("no token", "EAAB".to_owned(), Some("malformed")),
    ] {
        let answer = ask(client, presenting(&token)).await;
        let reason = answer.metadata.get("reason").map(String::as_str);
        assert_eq!(reason, want, "{what}: {answer:?}");
        let status = if want.is_none() { 200 } else { 401 };
        assert_eq!(answer.status, status, "{what}");
    }
}

#[tokio::test]
async fn a_user_is_linked_and_unlinked_while_it_runs_and_a_link_is_one_users() {
    let google = Provider::start(ISSUER, "k1");
    let server = serve(&standing_in(&google));
    let client = &mut CheckClient::connect(server.grpc()).await;
    let token = google.token(&claims());
    let status = |answer: Answer| answer.status;
    assert_eq!(status(ask(client, presenting(&token)).await), 200);
    let link = |user: &str| format!("user link {user} --issuer google --subject {SUBJECT}");
    let taken = std::panic::catch_unwind(|| server.command(&link("u-unlinked"), ""));
    assert!(taken.is_err(), "another user has it");
    server.command(&format!("{} --remove", link("u-linked")), "");
    assert_eq!(status(ask(client, presenting(&token)).await), 401);
    server.command(&link("u-unlinked"), "");
    let answer = ask(client, presenting(&token)).await;
    assert_eq!(header(&answer, "x-auth-user"), Some("u-unlinked"));
    let verified = server.command("store verify", "");
    assert!(verified.contains(" 0 orphaned, 0 unindexed"), "{verified}");
}

#[tokio::test]
async fn while_google_is_away_it_is_a_fault_and_without_client_ids_nobody_gets_in() {
    let google = Provider::start(ISSUER, "k1");
    google.server.set_away(true);
    let server = serve(&standing_in(&google));
    let client = &mut CheckClient::connect(server.grpc()).await;
    let token = google.token(&claims());
    let fault = ask(client, presenting(&token)).await;
    assert_eq!((fault.status, &*fault.metadata["fault"]), (503, "key_set"));
    google.server.set_away(false);
    server.await_log("keys are fetched again", std::time::Duration::from_secs(20));
    assert_eq!(ask(client, presenting(&token)).await.status, 200);

    let before = google.fetches();
    let server = serve(&format!("jwks_url: \"{}\"", google.keys_url()));
    let client = &mut CheckClient::connect(server.grpc()).await;
    let unset = ask(client, presenting(&token)).await;
    assert_eq!((unset.status, &*unset.metadata["reason"]), (401, "unknown"));
    assert_eq!(google.fetches(), before, "nobody was asked");
    assert!(server.log().contains("client_ids"), "a warning");
}
