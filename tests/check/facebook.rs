//! A verification that takes longer than a Check may, at a Graph that needs 400 ms for each answer.
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

use crate::check::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::facebook::{APP_SECRET, CALLIFYS, Graph};
use crate::support::sample::{DIRECTORY, OPENTACT};

/// How long Graph takes. A Check has 150 ms.
const SLOW: Duration = Duration::from_millis(400);

/// How long what Graph said is kept.
const KEPT_SECONDS: u64 = 60;

/// Starts a server that asks this Graph; its time is the second that the counter says.
async fn serve(graph: &Graph, directory: &Path) -> (Running, Arc<AtomicU64>) {
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
      facebook: {{ app_id: "100000000000001", app_secret_file: facebook.secret, graph_url: "{}" }}
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

fn presents() -> Bytes {
    Ask {
        peer: "192.0.2.1".to_owned(),
        ..Ask::new(OPENTACT, "GET", "/rest/auth")
    }
    .header("x-forwarded-proto", "https")
    .header("x-auth-facebook-token", CALLIFYS)
    .mapped()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_check_is_late_a_retry_within_a_second_is_not_and_no_later_one_waits() {
    let graph = Graph::start(SLOW);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, seconds) = serve(&graph, directory.path()).await;
    let client = &mut CheckClient::connect(server.grpc[0]).await;

    let first = ask(client, presents()).await;
    assert_eq!(first.status, 503);
    assert_eq!(first.metadata["fault"], "deadline");
    let begun = Instant::now();
    while ask(client, presents()).await.status == 503 {
        assert!(begun.elapsed() < Duration::from_secs(1), "still no answer");
    }
    assert_eq!(graph.asked(CALLIFYS), 1);

    // Three lifetimes, second by second, as a user does who goes on.
    for second in 1..=3 * KEPT_SECONDS {
        seconds.fetch_add(1, Ordering::SeqCst);
        let later = ask(client, presents()).await;
        assert_eq!((later.status, second), (200, second));
        assert_eq!(later.metadata["cache"], "hit", "second {second}");
        if graph.asked(CALLIFYS) > graph.0.answered() {
            while graph.asked(CALLIFYS) > graph.0.answered() {
                let meanwhile = ask(client, presents()).await;
                assert_eq!(meanwhile.metadata["cache"], "hit", "second {second}");
            }
            // What Graph said is there a moment later, and has a fifth of a lifetime for that.
            for _ in 0..100 {
                ask(client, presents()).await;
            }
        }
    }
    // Anew when four fifths of 54 to 60 seconds were over, each time.
    let asked = graph.asked(CALLIFYS);
    assert!((1 + 3..=1 + 4).contains(&asked), "asked {asked} times");

    // Who does not come is not asked about, and waits when he comes again.
    seconds.fetch_add(KEPT_SECONDS, Ordering::SeqCst);
    assert_eq!(graph.asked(CALLIFYS), asked);
    assert_eq!(ask(client, presents()).await.status, 503);
    server.until(async {}).await.expect("an end");
}
