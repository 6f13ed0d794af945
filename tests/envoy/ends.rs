//! K16: tokens that end before their time, all of somebody's at once.

use serde_json::json;

use crate::envoy::crossbar;
use crate::envoy::issuing::{api_auth, login, token, told, with, with_data, wrong};
use crate::envoy::table::{Row, World, row, to};
use crate::envoy::tokens::dead;
use crate::support::client::Request;
use crate::support::sample::{CROSSBAR, CROSSBAR_TWIN};

const ACCOUNT: &str = "86266ee937d97f812a8e57d22b62ee29";
const KEY: &str = "9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b";

/// `md5(john@example.com:twin-m32c6NfqYEt)`.
const JOHNS_TWIN_MD5: &str = "7c47130876f05982f29b1865814fb901";

fn token_auth(token: &str) -> Request {
    with(token, "GET", "/v2/token_auth")
}

/// A token that is dead everywhere, by and by.
fn ended(name: &str, token: &str) -> Row {
    row(name, token_auth(token), dead())
}

/// A reset, by whoever has the token.
fn reset(token: &str, target: &str) -> Request {
    with_data(
        token,
        "PUT",
        target,
        &json!({ "action": "reset_signature_secret" }),
    )
}

/// Demands that tokens are good everywhere.
async fn live(world: &World, tokens: &[&str]) {
    for token in tokens {
        for side in 0..=world.last() {
            let answer = world.ask(side, &token_auth(token)).await;
            assert_eq!(answer.status, 200, "{} {}", side, answer.text());
        }
    }
}

/// Tokens of the three who can log in to the account: its administrator, a user, and the account itself.
async fn tokens(world: &World) -> [String; 3] {
    [
        token(world, 0, &login(ACCOUNT, "reset")).await,
        token(world, 0, &login(ACCOUNT, "other")).await,
        token(world, 0, &api_auth(KEY)).await,
    ]
}

pub(crate) async fn tokens_end_all_at_once_by_a_reset_and_by_a_command(world: &World) {
    let target = |rest: &str| format!("/v2/accounts/{ACCOUNT}/{rest}auth");
    let [first, others, accounts] = &tokens(world).await;
    let second = &token(world, 0, &login(ACCOUNT, "reset")).await;
    live(world, &[first, second, others, accounts]).await;

    let whole = world.ask(world.last(), &reset(first, "/v2/auth")).await;
    assert_eq!((whole.status, &whole.json()["data"]), (200, &json!({})));
    for (name, token) in [("its own", first), ("another of its own", second)] {
        world.await_check(ended(name, token)).await;
    }
    live(world, &[others, accounts]).await;

    let first = &token(world, 0, &login(ACCOUNT, "reset")).await;
    let of_user = |id: &str| target(&format!("users/{id}/"));
    let rows = vec![
        row(
            "by no administrator",
            reset(others, &of_user("u-reset")),
            crossbar::refused(403),
        ),
        row(
            "of nobody",
            reset(first, &of_user("u-nobody")),
            told(404, "404"),
        ),
        row(
            "of a user of another account",
            reset(first, &of_user("u-plain")),
            told(404, "404"),
        ),
        row(
            "of another account",
            reset(first, "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/auth"),
            crossbar::refused(403),
        ),
        row(
            "renewing for another",
            with_data(
                first,
                "PUT",
                &of_user("u-other"),
                &json!({ "action": "refresh_token" }),
            ),
            unknown_action(),
        ),
    ];
    world.check("resets", rows).await;
    live(world, &[first, others, accounts]).await;
    let handle = to(CROSSBAR, "GET", "/v2/token_auth");
    let handle = handle.header("authorization", "Bearer a-handle-that-is-other");
    assert_eq!(world.ask(world.last(), &handle).await.status, 200);
    let done = world.ask(0, &reset(first, &of_user("u-other"))).await;
    assert_eq!(done.status, 200, "{}", done.text());
    world
        .await_check(row("K27 a user's handle", handle, dead()))
        .await;
    world.await_check(ended("a user's", others)).await;
    live(world, &[first, accounts]).await;
    assert_eq!(world.ask(0, &reset(first, &target(""))).await.status, 200);
    for (name, token) in [("an administrator's", first), ("the account's", accounts)] {
        world.await_check(ended(name, token)).await;
    }

    let [first, others, accounts] = &tokens(world).await;
    let run = |words: &str| {
        world
            .server()
            .command(&format!("{words} --platform crossbar"), "")
    };
    live(world, &[first, others, accounts]).await;
    run("user revoke u-other");
    world
        .await_check(ended("by command, a user's", others))
        .await;
    live(world, &[first, accounts]).await;
    run(&format!("account revoke {ACCOUNT}"));
    for (name, token) in [
        ("by command, a user's of the account", first),
        ("by command, the account's", accounts),
    ] {
        world.await_check(ended(name, token)).await;
    }
    live(world, &[&token(world, 0, &login(ACCOUNT, "reset")).await]).await;
}

fn unknown_action() -> String {
    wrong(r#"{"action":{"enum":{"message":"Value not found in enumerated list of values"}}}"#)
}

pub(crate) async fn a_command_ends_the_tokens_of_a_platform(world: &World) {
    let johns = to(CROSSBAR_TWIN, "PUT", "/v2/user_auth").body(
        json!({ "data": { "credentials": JOHNS_TWIN_MD5, "account_name": "acmeinc" } }).to_string(),
    );
    let log_in = async || token(world, 0, &johns).await;
    let asks =
        |token: &str| to(CROSSBAR_TWIN, "GET", "/v2/token_auth").header("x-auth-token", token);
    let before = log_in().await;
    assert_eq!(world.ask(world.last(), &asks(&before)).await.status, 200);
    let elsewhere = token(
        world,
        0,
        &login("1b7d5726533ab525a8760351e9b5e415", "below"),
    )
    .await;
    world
        .server()
        .command("platform revoke --platform crossbar-twin", "");
    let dead = dead().replace("realm=\"crossbar\"", "realm=\"crossbar-twin\"");
    world
        .await_check(row("K16 of its platform", asks(&before), dead))
        .await;
    let after = log_in().await;
    assert_eq!(world.ask(world.last(), &asks(&after)).await.status, 200);
    live(world, &[&elsewhere]).await;
}
