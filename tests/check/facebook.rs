//! The signed tokens of Facebook's Limited Login.
//!
//! The server runs in the test's own process, so that the test can say what time it is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use crate::check::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::facebook::{APP_ID, Graph, serve};
use crate::support::issuers::changed;
use crate::support::provider::Provider;
use crate::support::sample::OPENTACT;

fn presents(token: &str) -> Bytes {
    Ask {
        peer: "192.0.2.1".to_owned(),
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
    let (server, _) = serve(&graph, &facebook.keys_url(), directory.path()).await;
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
