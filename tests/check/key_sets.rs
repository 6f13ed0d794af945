//! Tokens of an identity provider that publishes its keys: while it answers, while it does not, and while it lies.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::check::asking::{Answer, Ask, ask};
use crate::support::check::CheckClient;
use crate::support::http::fetch;
use crate::support::issuers::{END, Issuer, changed, part};
use crate::support::provider::Provider;
use crate::support::server::Server;
use crate::support::standin::{Reply, StandIn};

const ISSUER: &str = "https://idp.example.com";
const OTHER: &str = "https://other.example.com";

/// A platform for each provider, by where each publishes its keys.
fn serve(platforms: &[(&str, &str, String)]) -> Server {
    let platforms = platforms.iter().map(|(host, issuer, keys)| {
        format!(
            "  - name: {host}\n    hosts: [{host}]\n    schemes:\n      oidc: {{ kind: jwt, issuer: \
             \"{issuer}\", audience: [api], {keys}, algorithms: [RS256], directory: none, from: \
             [{{ authorization: Bearer }}] }}\n    rules: [{{ paths: [/**] }}]\n"
        )
    });
    Server::start(&format!(
        "listen: {{ grpc: [\"127.0.0.1:{{grpc}}\"], admin: \"127.0.0.1:{{admin}}\" }}\n\
         check: {{ deadline_ms: 20000 }}\nplatforms:\n{}",
        platforms.collect::<String>()
    ))
}

fn at_url(provider: &Provider) -> String {
    format!("jwks_url: \"{}\"", provider.keys_url())
}

/// A user's token, different each time it is asked for by another number.
fn claims(number: usize) -> Value {
    json!({ "iss": ISSUER, "aud": "api", "sub": format!("user-{number}"), "exp": END })
}

fn bearing(host: &str, token: &str) -> Bytes {
    let ask = Ask::new(host, "GET", "/things");
    ask.header("authorization", format!("Bearer {token}"))
        .mapped()
}

async fn answer(client: &mut CheckClient, token: &str) -> Answer {
    ask(client, bearing("a", token)).await
}

#[tokio::test]
async fn a_provider_is_found_by_its_key_set_or_by_its_metadata_and_asked_only_when_needed() {
    let provider = Provider::start(ISSUER, "k1");
    let discovery = format!("discovery: \"{}\"", provider.metadata_url());
    let server = serve(&[("a", ISSUER, at_url(&provider)), ("b", ISSUER, discovery)]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    assert_eq!(provider.server.asked().len(), 0, "before any token");
    for host in ["a", "b"] {
        for number in 0..10 {
            let token = provider.token(&claims(number));
            let answer = ask(client, bearing(host, &token)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let user = ("x-auth-user".to_owned(), format!("user-{number}"));
            assert!(answer.headers.contains(&user), "{answer:?}");
        }
    }
    let asked = provider.server.asked();
    let asked: Vec<_> = asked.iter().map(|it| it.target.as_str()).collect();
    assert_eq!(
        asked,
        ["/keys", "/.well-known/openid-configuration", "/keys"]
    );
}

#[tokio::test]
async fn a_rotated_key_is_noticed_and_made_up_names_cost_the_provider_nothing() {
    let mut provider = Provider::start(ISSUER, "k1");
    let server = serve(&[("a", ISSUER, at_url(&provider))]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let old = provider.token(&claims(1));
    assert_eq!(answer(client, &old).await.status, 200);
    provider.rotate("k2");
    let new = answer(client, &provider.token(&claims(2))).await;
    assert_eq!(new.status, 200, "{new:?}");
    assert_eq!(provider.fetches(), 2);
    for number in 0..1000 {
        let junk = provider.token_named(&format!("junk-{number}"), &claims(number));
        let denied = answer(client, &junk).await;
        assert_eq!(
            (denied.status, &*denied.metadata["reason"]),
            (401, "unknown")
        );
    }
    assert_eq!(provider.fetches(), 2, "within one cool-down");
    let still = answer(client, &provider.token(&claims(3))).await;
    assert_eq!(still.status, 200);
}

#[tokio::test]
async fn the_last_good_keys_outlive_an_outage_and_other_providers_feel_nothing() {
    let broken = [
        ("gone", None),
        ("failing", Some(Reply::status(500))),
        ("not-json", Some(Reply::ok("<html>sign in</html>"))),
        ("without-keys", Some(Reply::ok(r#"{"keys":[]}"#))),
        ("huge", Some(Reply::ok("[".repeat(1 << 20)))),
    ];
    let providers = broken.map(|it| (it.0, it.1, Provider::start(ISSUER, "k1")));
    let other = Provider::start(OTHER, "k1");
    let mut platforms = vec![("other", OTHER, at_url(&other))];
    platforms.extend(providers.iter().map(|it| (it.0, ISSUER, at_url(&it.2))));
    let server = serve(&platforms);
    let client = &mut CheckClient::connect(server.grpc()).await;
    for (number, (host, reply, provider)) in providers.into_iter().enumerate() {
        let known = ask(client, bearing(host, &provider.token(&claims(1)))).await;
        assert_eq!(known.status, 200, "{host}");
        provider.server.set_away(reply.is_none());
        if let Some(reply) = reply {
            provider.answer_keys(reply);
        }
        let unknown = provider.token_named("k9", &claims(1));
        let unknown = ask(client, bearing(host, &unknown)).await;
        assert_eq!(unknown.status, 503, "{host}: it cannot be told");
        assert_eq!(unknown.metadata["fault"], "key_set", "{host}");
        assert!(provider.fetches() >= 2, "{host}");
        let known = ask(client, bearing(host, &provider.token(&claims(2)))).await;
        assert_eq!(known.status, 200, "{host}");
        let theirs = changed(claims(number), json!({ "iss": OTHER }));
        let theirs = ask(client, bearing("other", &other.token(&theirs))).await;
        assert_eq!(theirs.status, 200, "{host}");
        let ready = fetch(server.admin(), "/readyz").expect("an answer");
        assert_eq!(ready.status, 200, "{host}");
    }
    let log = server.log();
    let told = log.matches("keys cannot be fetched").count();
    assert_eq!(told, 5, "once an outage: {log}");
}

#[tokio::test]
async fn a_provider_that_was_never_reached_is_a_fault_and_comes_back_without_a_restart() {
    let provider = Provider::start(ISSUER, "k1");
    provider.server.set_away(true);
    let server = serve(&[("a", ISSUER, at_url(&provider))]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let token = provider.token(&claims(1));
    let fault = answer(client, &token).await;
    assert_eq!(fault.status, 503, "{fault:?}");
    assert_eq!(fault.metadata["fault"], "key_set");
    assert!(fault.headers.iter().any(|it| it.0 == "retry-after"));
    provider.server.set_away(false);
    server.await_log("keys are fetched again", std::time::Duration::from_secs(20));
    assert_eq!(answer(client, &token).await.status, 200);
    assert!(!server.log().contains("/keys"), "a URL in the log");
}

#[tokio::test]
async fn no_key_of_a_set_is_used_for_another_algorithm_and_no_secret_is_taken_from_one() {
    let provider = Provider::start(ISSUER, "k1");
    let secret = b"a secret that a key set publishes";
    let oct = json!({ "kty": "oct", "kid": "s1", "alg": "HS256", "k": part("a secret that a key set publishes") });
    let enc = changed(provider.jwk(), json!({ "kid": "e1", "use": "enc" }));
    provider.publish(&json!({ "keys": [provider.jwk(), oct, enc] }));
    let server = serve(&[("a", ISSUER, at_url(&provider))]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    assert_eq!(
        answer(client, &provider.token(&claims(1))).await.status,
        200
    );
    let by_secret = |secret: &[u8], kid: &str| {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        Issuer::hmac("", secret).sign(&header, &claims(1).to_string())
    };
    let modulus = provider.jwk()["n"].as_str().expect("a number").to_owned();
    for (what, token) in [
        ("the published secret", by_secret(secret, "s1")),
        (
            "the public key as a secret",
            by_secret(modulus.as_bytes(), "k1"),
        ),
        ("an encryption key", provider.token_named("e1", &claims(1))),
        (
            "another algorithm",
            provider.sign(&json!({ "alg": "RS512", "kid": "k1" }), &claims(1)),
        ),
        (
            "none",
            provider.sign(&json!({ "alg": "none", "kid": "k1" }), &claims(1)),
        ),
    ] {
        assert_eq!(answer(client, &token).await.status, 401, "{what}");
    }
}

#[tokio::test]
async fn nothing_in_a_token_leads_anywhere() {
    let provider = Provider::start(ISSUER, "k1");
    let trap = StandIn::start();
    let server = serve(&[("a", ISSUER, at_url(&provider))]);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let (url, fine) = (trap.url("/keys"), json!({ "alg": "RS256", "kid": "k9" }));
    for (header, changes) in [
        (changed(fine.clone(), json!({ "jku": url })), json!({})),
        (changed(fine.clone(), json!({ "x5u": url })), json!({})),
        (
            changed(fine.clone(), json!({ "kid": url })),
            json!({ "iss": trap.url("") }),
        ),
        (fine.clone(), json!({ "iss": OTHER })),
        (fine.clone(), json!({ "aud": "another" })),
        (fine, json!({ "exp": 1 })),
    ] {
        let token = provider.sign(&header, &changed(claims(1), changes));
        assert_eq!(answer(client, &token).await.status, 401, "{header}");
    }
    assert_eq!(trap.asked().len(), 0);
    // What is not meant for here, or over, is not looked up either.
    assert_eq!(provider.server.asked().len(), 0);
}
