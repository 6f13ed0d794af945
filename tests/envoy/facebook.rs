//! Facebook's tokens at opentact: O9 and O10 of its contract, and what else Graph can come to.

use std::time::Duration;

use crate::envoy::opentact::refused;
use crate::envoy::table::{Row, World, fresh_address, golden, reached, row, to};
use crate::support::client::Request;
use crate::support::facebook::{
    APP_SECRET, CALLIFYS, EXPIRED, FOREIGN, GRAPH, SILENT, STRANGERS, TROUBLED, UNSEEN,
};
use crate::support::sample::{
    AS_CALLIFY, AS_CALLIFY_BY_FACEBOOK, CALLIFY, OPENTACT, OPENTACT_TWIN,
};

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
