//! What becomes of a token that crossbar's login has given: what it says, where it is good, and until when.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::envoy::crossbar;
use crate::envoy::issuing::{
    ACME, api_auth, claims, john, login, part, refused, token, token_of, told, with, with_data,
};
use crate::envoy::table::{Row, World, reached, row, to};
use crate::envoy::tokens::dead;
use crate::support::client::Request;
use crate::support::sample::{AS_JOHN, AS_JOHN_BY_TOKEN, CROSSBAR, CROSSBAR_TWIN, JOHN_MD5};

const ACMES_KEY: &str = "822b33ad87c148a0a20a5ba7cd5ebcaa68d36a18e7aad165554903f52ca82757";
const BELOW: &str = "1b7d5726533ab525a8760351e9b5e415";
const LOWEST: &str = "3ca5088d02dfb0fc668a0e2898ec3d93";
const ANOTHER: &str = "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c";

fn johns_login() -> Request {
    john(&json!({ "account_name": "ACME, Inc." }))
}

fn users(account: &str) -> String {
    format!("/v2/accounts/{account}/users")
}

/// What reaches the upstream with a token of John's.
fn as_john(token: &str, line: &str) -> String {
    let ends = claims(token)["exp"].as_u64().expect("an end");
    reached(
        line,
        &AS_JOHN_BY_TOKEN.replace("4102444800", &ends.to_string()),
    )
}

fn opens(name: &str, token: &str, account: &str) -> Row {
    let users = users(account);
    row(
        name,
        with(token, "GET", &users),
        as_john(token, &format!("GET {users}")),
    )
}

pub(crate) async fn a_token_is_good_everywhere_until_it_is_revoked_everywhere(world: &World) {
    let one = token(world, 0, &johns_login()).await;
    let other = token(world, 0, &johns_login()).await;
    let accounts = token(world, world.last(), &api_auth(ACMES_KEY)).await;
    let ends = claims(&accounts)["exp"].as_u64().expect("an end");
    let as_account = format!(
        "x-auth-account: {ACME}\nx-auth-expires: {ends}\nx-auth-platform: crossbar\nx-auth-roles: admin\nx-auth-scheme: jwt"
    );
    let path = users(ACME);
    let accounts = row(
        "an account's",
        with(&accounts, "GET", &path),
        reached(&format!("GET {path}"), &as_account),
    );
    let in_query = row(
        "K8 in the query",
        to(CROSSBAR, "GET", format!("{path}?auth_token={one}")),
        as_john(&one, &format!("GET {path}")),
    );
    world
        .check(
            "a token",
            vec![opens("at first", &one, ACME), in_query, accounts.clone()],
        )
        .await;

    let revoke = with(&one, "DELETE", "/v2/token_auth");
    let answer = world.ask(world.last(), &revoke).await;
    assert_eq!((answer.status, &answer.json()["data"]), (200, &json!({})));
    let asked = r#"store_duration_seconds_count{operation="confirm"}"#;
    let metrics = world.metrics(world.last());
    assert!(
        metrics.contains(asked),
        "whether replicas have it: {metrics}"
    );
    world
        .await_check(row("K19 revoked", with(&one, "GET", &path), dead()))
        .await;
    let rows = vec![
        row("revoked once more", revoke, dead()),
        row(
            "renewed",
            with_data(
                &one,
                "PUT",
                "/v2/auth",
                &json!({ "action": "refresh_token" }),
            ),
            dead(),
        ),
        opens("another of his", &other, ACME),
        accounts,
    ];
    world.check("a token", rows).await;
}

pub(crate) async fn a_token_is_told_of_to_whoever_presents_it(world: &World) {
    let one = token(world, 0, &johns_login()).await;
    let other = token(world, 0, &johns_login()).await;
    let own = |rest: &str| with(&one, "GET", &format!("/v2/{rest}{one}"));
    let anothers = format!("accounts/{ANOTHER}/user_auth/");
    let same = || told(200, "200_user_auth");
    let mut as_basic = told(200, "200_token_auth");
    as_basic = as_basic.replace("cb_user_auth", "cb_basic_auth");
    let named =
        |account: &str| with(&one, "GET", "/v2/token_auth").header("X-Auth-Account-ID", account);
    let rows = vec![
        row("itself", own("user_auth/"), same()),
        row(
            "below its account",
            own(&format!("accounts/{ACME}/user_auth/")),
            same(),
        ),
        row("below another", own(&anothers), crossbar::refused(403)),
        row(
            "another of the same user",
            with(&other, "GET", &format!("/v2/user_auth/{one}")),
            refused(401),
        ),
        row(
            "what is none",
            with(&one, "GET", "/v2/user_auth/a.b.c"),
            refused(401),
        ),
        row(
            "with a password",
            to(CROSSBAR, "GET", format!("/v2/user_auth/{one}")).header("authorization", JOHN_MD5),
            crossbar::refused(403),
        ),
        row(
            "who asks",
            with(&one, "GET", "/v2/token_auth"),
            told(200, "200_token_auth"),
        ),
        row(
            "who asks with a password",
            to(CROSSBAR, "GET", "/v2/token_auth").header("authorization", JOHN_MD5),
            as_basic,
        ),
        row(
            "nobody asks",
            to(CROSSBAR, "GET", "/v2/token_auth"),
            crossbar::refused(401),
        ),
        row(
            "K17 the account header names its own",
            named(ACME),
            told(200, "200_token_auth"),
        ),
        row(
            "K17 the account header names another",
            named(ANOTHER),
            crossbar::refused(401),
        ),
    ];
    world.check("told", rows).await;
}

pub(crate) async fn a_token_verifies_under_the_published_key_of_its_platform(world: &World) {
    let token = token(world, 0, &johns_login()).await;
    let header = part(&token, 0);
    let published = world
        .ask(world.last(), &to(CROSSBAR, "GET", "/.well-known/jwks.json"))
        .await;
    assert_eq!(published.header("content-type"), Some("application/json"));
    let published = published.json();
    let keys = published["keys"].as_array().expect("keys");
    let key = keys
        .iter()
        .find(|it| it["kid"] == header["kid"])
        .expect("the token's key");
    assert_eq!(
        [&key["kty"], &key["use"], &key["alg"]],
        ["RSA", "sig", "RS256"]
    );
    let bytes = |it: &Value| {
        BASE64_URL_SAFE_NO_PAD
            .decode(it.as_str().expect("text"))
            .expect("base64url")
    };
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let public = RsaPublicKeyComponents {
        n: bytes(&key["n"]),
        e: bytes(&key["e"]),
    };
    let signature = bytes(&json!(signature));
    public
        .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
        .expect("the key that has signed it");

    let claims = claims(&token);
    let names: BTreeSet<_> = claims
        .as_object()
        .expect("claims")
        .keys()
        .map(String::as_str)
        .collect();
    let documented = [
        "account_id",
        "exp",
        "identity_sig",
        "iss",
        "method",
        "owner_id",
    ];
    let ours = ["gen", "iat", "jti"];
    assert_eq!(names, documented.into_iter().chain(ours).collect());
    assert_eq!(
        [&claims["iss"], &claims["method"]],
        ["kazoo", "cb_user_auth"]
    );
    let [iat, exp] = ["iat", "exp"].map(|it| claims[it].as_u64().expect("a time"));
    assert_eq!(exp - iat, 3600);

    // The twin signs with the same key, under another name.
    let twins = to(CROSSBAR_TWIN, "GET", users(ACME)).header("x-auth-token", &token);
    let refused = crossbar::refused(401).replace("realm=\"crossbar\"", "realm=\"crossbar-twin\"");
    world
        .check("a token", vec![row("at the twin", twins, refused)])
        .await;
}

pub(crate) async fn a_token_is_renewed_and_both_are_good(world: &World) {
    let old = token(world, 0, &johns_login()).await;
    let renew = || {
        with_data(
            &old,
            "PUT",
            "/v2/auth",
            &json!({ "action": "refresh_token" }),
        )
    };
    world
        .check(
            "renewed",
            vec![row("whole", renew(), told(201, "201_refresh_token"))],
        )
        .await;
    let new = token_of(&world.ask(world.last(), &renew()).await);
    assert_eq!(claims(&new)["method"], "cb_auth");
    assert_ne!(claims(&new)["jti"], claims(&old)["jti"]);
    world
        .check(
            "renewed",
            vec![opens("new", &new, ACME), opens("old", &old, ACME)],
        )
        .await;
    let by_password = to(CROSSBAR, "PUT", "/v2/auth")
        .header("authorization", JOHN_MD5)
        .body(json!({ "data": { "action": "refresh_token" } }).to_string());
    world
        .check(
            "renewed",
            vec![row(
                "K20 by a password",
                by_password,
                crossbar::refused(403),
            )],
        )
        .await;
}

pub(crate) async fn a_token_opens_the_accounts_below_its_own(world: &World) {
    let parents = token(world, 0, &johns_login()).await;
    let childs = token(world, 0, &login(BELOW, "below")).await;
    let sees = |name: &str, token: &str, account: &str| {
        row(
            name,
            with(token, "GET", &users(account)),
            crossbar::refused(403),
        )
    };
    let rows = vec![
        opens("K18 its own", &parents, ACME),
        opens("K18 the one below it", &parents, BELOW),
        opens("K18 the one below that", &parents, LOWEST),
        sees("K18 one beside it", &parents, ANOTHER),
        sees("one that there is not", &parents, &"0".repeat(32)),
        sees("the one above it", &childs, ACME),
    ];
    world.check("accounts", rows).await;
}

pub(crate) fn handles_say_nothing_and_stand_for_a_user_or_an_account() -> Vec<Row> {
    let bearer = |handle: &str| {
        to(CROSSBAR, "GET", users(ACME)).header("authorization", format!("Bearer {handle}"))
    };
    let line = format!("GET {}", users(ACME));
    let as_user = AS_JOHN.replace("scheme: basic", "scheme: bearer");
    let as_account =
        format!("x-auth-account: {ACME}\nx-auth-platform: crossbar\nx-auth-scheme: bearer");
    let token_auth = bearer("a-handle-that-is-john");
    let anothers =
        to(CROSSBAR, "GET", users(ANOTHER)).header("authorization", "Bearer a-handle-that-is-john");
    vec![
        row("K27 of a user", token_auth, reached(&line, &as_user)),
        row(
            "K27 of an account",
            bearer("a-handle-that-is-acme"),
            reached(&line, &as_account),
        ),
        row(
            "K27 of another account's path",
            anothers,
            crossbar::refused(403),
        ),
        row(
            "K27 that has ended",
            bearer("a-handle-that-has-ended"),
            dead(),
        ),
        row(
            "K27 that there is not",
            bearer("a-handle-that-is-nobody"),
            crossbar::refused(401),
        ),
        row(
            "K27 an account's key",
            bearer(ACMES_KEY),
            crossbar::refused(401),
        ),
    ]
}
