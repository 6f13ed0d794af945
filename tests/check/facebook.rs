//! Facebook's tokens: a verification that takes longer than a Check may, at a Graph that needs 400 ms for each answer, and
//! the signed tokens of Limited Login.
//!
//! The server runs in the test's own process, so that the test can say what time it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::serve::{Running, start};
use serde_json::json;

use crate::check::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::facebook::{APP_ID, APP_SECRET, CALLIFYS, Graph};
use crate::support::issuers::changed;
use crate::support::provider::Provider;
use crate::support::sample::{DIRECTORY, OPENTACT};

/// How long Graph takes. A Check has 150 ms.
const SLOW: Duration = Duration::from_millis(400);

/// How long what Graph said is kept.
const KEPT_SECONDS: u64 = 60;

/// Starts a server that asks this Graph and this provider of keys; its time is the second that the counter says.
async fn serve(graph: &Graph, jwks_url: &str, directory: &Path) -> (Running, Arc<AtomicU64>) {
    let write = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).expect("a temporary directory");
    };
    write("facebook.secret", APP_SECRET);
    let (_, users) = DIRECTORY.split_once("\nopentact:\n").expect("opentact");
    let (users, _) = users.split_once("\nopentact-twin:").expect("its twin");
    write("directory.yaml", &format!("opentact:\n{users}"));
    let config = format!(
        r#"
listen: {{ grpc: ["127.0.0.1:0"] }}
store: {{ directory_file: directory.yaml }}
client_address: {{ from: peer }}
platforms:
  - name: opentact
    preset: opentact
    hosts: [{OPENTACT}]
    schemes:
      facebook: {{ app_id: "100000000000001", app_secret_file: facebook.secret, graph_url: "{}", jwks_url: "{jwks_url}" }}
"#,
        graph.url()
    );
    let config = Config::parse("portcullis.yaml", &config, directory, |_| None);
    let config = config.expect("a configuration");
    let seconds = Arc::new(AtomicU64::new(1_800_000_000));
    let shared = Arc::clone(&seconds);
    let clock =
        Clock::from_fn(move || UNIX_EPOCH + Duration::from_secs(shared.load(Ordering::SeqCst)));
    (start(config, clock).await.expect("a server"), seconds)
}

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
async fn the_first_check_is_late_a_retry_within_a_second_is_not_and_no_later_one_waits() {
    let graph = Graph::start(SLOW);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, seconds) = serve(&graph, "http://127.0.0.1:1/", directory.path()).await;
    let client = &mut CheckClient::connect(server.grpc[0]).await;

    let first = ask(client, presents(CALLIFYS)).await;
    assert_eq!(first.status, 503);
    assert_eq!(first.metadata["fault"], "deadline");
    let begun = Instant::now();
    while ask(client, presents(CALLIFYS)).await.status == 503 {
        assert!(begun.elapsed() < Duration::from_secs(1), "still no answer");
    }
    assert_eq!(graph.asked(CALLIFYS), 1);

    // Three lifetimes, second by second, as a user does who goes on.
    for second in 1..=3 * KEPT_SECONDS {
        seconds.fetch_add(1, Ordering::SeqCst);
        let later = ask(client, presents(CALLIFYS)).await;
        assert_eq!((later.status, second), (200, second));
        assert_eq!(later.metadata["cache"], "hit", "second {second}");
        if graph.asked(CALLIFYS) > graph.0.answered() {
            while graph.asked(CALLIFYS) > graph.0.answered() {
                let meanwhile = ask(client, presents(CALLIFYS)).await;
                assert_eq!(meanwhile.metadata["cache"], "hit", "second {second}");
            }
            // What Graph said is there a moment later, and has a fifth of a lifetime for that.
            for _ in 0..100 {
                ask(client, presents(CALLIFYS)).await;
            }
        }
    }
    // Anew when four fifths of 54 to 60 seconds were over, each time.
    let asked = graph.asked(CALLIFYS);
    assert!((1 + 3..=1 + 4).contains(&asked), "asked {asked} times");

    // Who does not come is not asked about, and waits when he comes again.
    seconds.fetch_add(KEPT_SECONDS, Ordering::SeqCst);
    assert_eq!(graph.asked(CALLIFYS), asked);
    assert_eq!(ask(client, presents(CALLIFYS)).await.status, 503);
    server.until(async {}).await.expect("an end");
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
