//! Facebook's tokens at opentact: O9 and O10 of its contract, and what else Graph can come to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis::serve::Running;

use crate::envoy::opentact::refused;
use crate::envoy::table::{Row, World, fresh_address, golden, reached, row, to};
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::facebook::{
    APP_SECRET, CALLIFYS, EXPIRED, FOREIGN, GRAPH, Graph, SILENT, STRANGERS, TROUBLED, UNSEEN,
    serve, serve_on,
};
use crate::support::http::fetch;
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{
    AS_CALLIFY, AS_CALLIFY_BY_FACEBOOK, CALLIFY, DIRECTORY, OPENTACT, OPENTACT_TWIN, files,
    on_store,
};
use crate::support::server::Server;
use crate::support::upstream::Upstream;

/// How long a slow Graph takes. A Check has 150 ms: whoever waits for it is a 503.
const SLOW: Duration = Duration::from_millis(400);

/// Where nobody gives the keys of Limited Login.
const NO_KEYS: &str = "jwks_url: \"http://127.0.0.1:1/\"";

/// How long what Graph said is kept, in seconds.
const KEPT: u64 = 60;

fn https(target: &str) -> Request {
    to(OPENTACT, "GET", target).header("x-forwarded-proto", "https")
}

fn presents(token: &str) -> Request {
    https("/rest/user").header("X-Auth-Facebook-Token", token)
}

pub(crate) fn facebooks_tokens_stand_for_the_user_who_is_linked_and_nobody_else() -> Vec<Row> {
    let passed = |identity: &str| reached("GET /rest/user", identity);
    let refuses = |name: &str, request| row(name, request, refused(401)).anywhere();
    vec![
        row(
            "a linked user's",
            presents(CALLIFYS),
            passed(AS_CALLIFY_BY_FACEBOOK),
        ),
        row(
            "in the query",
            https(&format!("/rest/user?facebook_token={CALLIFYS}")),
            passed(AS_CALLIFY_BY_FACEBOOK),
        ),
        row(
            "O5 with a password of the same user",
            presents(CALLIFYS).header("authorization", CALLIFY),
            passed(AS_CALLIFY),
        ),
        refuses(
            "O5 with a password of another user",
            presents(CALLIFYS).header("authorization", "Basic dXNlcm5hbWU6cGFzc3dvcmQ="),
        ),
        refuses("O9 another app's", presents(FOREIGN)),
        refuses(
            "O9 another app's, which Graph does not look at",
            presents(UNSEEN),
        ),
        refuses("of a user who is not linked", presents(STRANGERS)),
        refuses("one that is over", presents(EXPIRED)),
        refuses("junk", presents("EAABjunk")),
        refuses("what is no token", presents("a.b.c")),
        refuses(
            "an app's own",
            presents(&format!("100000000000001|{APP_SECRET}")),
        ),
        row(
            "at a platform without an app",
            to(OPENTACT_TWIN, "GET", "/rest/user")
                .header("x-forwarded-proto", "https")
                .header("X-Auth-Facebook-Token", CALLIFYS),
            refused(401).replace("realm=\"opentact\"", "realm=\"opentact-twin\""),
        ),
    ]
}

/// Whoever comes by Facebook is told who that is here, and is given a token of the platform's own.
pub(crate) async fn a_token_of_facebook_is_exchanged_for_one_of_ours(world: &World) {
    let request = https("/rest/auth").header("X-Auth-Facebook-Token", CALLIFYS);
    let told = world.ask(0, &request).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let payload = &told.json()["payload"];
    assert_eq!(payload["email"], "opentact@callify.io");
    let token = payload["token"].as_str().expect("a token");
    let ours = https("/rest/user").header("X-Auth-Token", token);
    assert_eq!(world.ask(world.last(), &ours).await.status, 200);
}

/// O10, and everything else that is no word about the token: 503, and never a 401.
pub(crate) async fn what_graph_does_not_say_plainly_is_a_fault(world: &World) {
    for token in TROUBLED.into_iter().chain([SILENT]) {
        let response = world.ask_from(0, fresh_address(), &presents(token)).await;
        assert_eq!(response.status, 503, "{token}: {}", response.text());
        assert_eq!(response.text(), golden("opentact/503.json"), "{token}");
        assert!(response.header("retry-after").is_some(), "{token}");
        assert!(GRAPH.asked(token) > 0, "{token}");
    }
    let server = world.server();
    let told = "\"dependency\":\"facebook\"";
    server.await_log(told, Duration::from_secs(5));
    for secret in [
        APP_SECRET,
        SILENT,
        "EAABlimited",
        "input_token",
        "access_token",
    ] {
        assert!(!server.log().contains(secret), "{secret} is in the log");
    }
}

/// Junk spends what Graph answers the app, so whoever sends it has a budget of it; nobody else is delayed, and who is
/// known goes on.
pub(crate) async fn junk_from_one_address_is_asked_about_so_often_and_no_more(world: &World) {
    let (here, elsewhere) = (fresh_address(), fresh_address());
    assert_eq!(
        world.ask_from(0, here, &presents(CALLIFYS)).await.status,
        200
    );
    let mut limited = None;
    for number in 0..30 {
        let junk = format!("EAABjunk{}x{number}", world.last());
        let response = world.ask_from(0, here, &presents(&junk)).await;
        match response.status {
            401 => assert!(limited.is_none(), "{number}"),
            429 => {
                assert_eq!(response.text(), golden("opentact/429.json"));
                let wait = response.header("retry-after").expect("how long");
                let wait: u64 = wait.parse().expect("seconds");
                assert!((1..=300).contains(&wait), "{wait}");
                limited.get_or_insert(number);
            }
            other => panic!("{other}: {}", response.text()),
        }
    }
    assert_eq!(limited, Some(20));
    let other = world.ask_from(0, elsewhere, &presents("EAABjunk")).await;
    assert_eq!(other.status, 401);
    assert_eq!(
        world
            .ask_from(0, elsewhere, &presents(CALLIFYS))
            .await
            .status,
        200
    );
}

/// Sends the first request with a token to a server that has a slow Graph, and then the same until somebody is let in.
async fn first_late_then_in_time(envoy: &Envoy, graph: &Graph) {
    let first = exchange(envoy.plain(), &presents(CALLIFYS)).await;
    assert_eq!(first.status, 503);
    assert_eq!(first.text(), golden("opentact/503.json"));
    let begun = Instant::now();
    while exchange(envoy.plain(), &presents(CALLIFYS)).await.status == 503 {
        assert!(begun.elapsed() < Duration::from_secs(1), "still no answer");
    }
    assert_eq!(graph.asked(CALLIFYS), 1);
}

/// Three lifetimes, second by second, as a user has them who goes on. None is a 503, so none has waited.
async fn no_later_one_waits(running: Running, seconds: &AtomicU64, graph: &Graph) {
    let upstream = Upstream::start();
    let envoy = Envoy::builder(running.grpc[0], upstream.address()).start();
    first_late_then_in_time(&envoy, graph).await;
    let passes = async |second: u64| {
        let later = exchange(envoy.plain(), &presents(CALLIFYS)).await;
        assert_eq!(later.status, 200, "second {second}: {}", later.text());
    };
    for second in 1..=3 * KEPT {
        seconds.fetch_add(1, Ordering::SeqCst);
        passes(second).await;
        if graph.asked(CALLIFYS) > graph.0.answered() {
            while graph.asked(CALLIFYS) > graph.0.answered() {
                passes(second).await;
            }
            // What Graph said is there a moment later, and has a fifth of a lifetime for that.
            for _ in 0..100 {
                passes(second).await;
            }
        }
    }
    // Anew when four fifths of 54 to 60 seconds were over, each time.
    let asked = graph.asked(CALLIFYS);
    assert!((1 + 3..=1 + 4).contains(&asked), "asked {asked} times");

    // Who does not come is not asked about, and waits when he comes again.
    seconds.fetch_add(KEPT, Ordering::SeqCst);
    assert_eq!(graph.asked(CALLIFYS), asked);
    let late = exchange(envoy.plain(), &presents(CALLIFYS)).await;
    assert_eq!(late.status, 503);
    running.until(async {}).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_slow_graph_the_first_check_is_late_a_retry_is_not_and_no_later_one_waits() {
    let graph = Graph::start(SLOW);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (running, seconds) = serve(&graph, NO_KEYS, directory.path()).await;
    no_later_one_waits(running, &seconds, &graph).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_redis_no_later_check_waits_for_a_slow_graph_either() {
    let graph = Graph::start(SLOW);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let redis = RedisServer::start(Product::Redis);
    Server::start_with(&on_store(&redis.url()), &files()).command("import -", DIRECTORY);
    // The grace goes by the set clock, which runs far ahead of the heartbeats.
    let store = format!(
        "url: \"{}\", pepper_files: [pepper], watch_grace_seconds: 3600",
        redis.url()
    );
    let serving = serve_on(&store, &graph, NO_KEYS, directory.path());
    let (running, seconds) = serving.await;
    let admin = running.admin.expect("an admin listener");
    let begun = Instant::now();
    while !fetch(admin, "/metrics").is_ok_and(|it| it.text().contains("store_watch_up 1")) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "never told of changes"
        );
        tokio::task::yield_now().await;
    }
    no_later_one_waits(running, &seconds, &graph).await;
}
