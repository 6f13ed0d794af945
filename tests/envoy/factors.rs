//! K25: a second factor, once an account demands one. It is one flow, since what is demanded holds for all of it.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::join;

use crate::envoy::issuing::{
    api_auth, logins, refused, token, token_of, user_auth, with, with_data,
};
use crate::envoy::table::{Row, World, row};
use crate::envoy::{crossbar, issuing};
use crate::support::client::Request;
use crate::support::http::Response;

const ACCOUNT: &str = "742f32c65ffd18b766fa307f8de2d47d";
const KEY: &str = "2f1c1a44a2bb4c0b8b2d4d1d5b7e2fd9c3a5dbb3bb0f4e27a1b0c4fdb3e29f11";

const STEP: u64 = 30;

/// The step that now is in (RFC 6238 §4.2).
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a time after 1970").as_secs() / STEP
}

/// The code of a user at a step. Its seed in the sample directory is the SHA-1 of its name.
fn code(name: &str, step: u64) -> String {
    let seed = Sha1::digest(name.as_bytes());
    let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &seed);
    let hash = hmac::sign(&key, &step.to_be_bytes());
    let hash = hash.as_ref();
    let offset = usize::from(hash[19] & 15);
    let word = hash[offset..offset + 4].try_into().expect("four bytes");
    format!(
        "{:06}",
        (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000
    )
}

/// A code that is none of those that could be meant.
fn wrong_code(name: &str) -> String {
    let near: Vec<_> = (now() - 3..now() + 4).map(|it| code(name, it)).collect();
    let mut codes = (0..).map(|it| format!("{it:06}"));
    codes
        .find(|it| !near.contains(it))
        .expect("a million codes")
}

/// A login with a second factor, however it is written.
fn login(name: &str, response: &Value) -> Request {
    let mut data = logins(ACCOUNT, name);
    data["multi_factor_response"] = response.clone();
    user_auth(&data)
}

fn challenged(name: &str, login: Request) -> Row {
    let golden = crate::envoy::table::golden;
    let want = refused(401).replace(
        &golden("crossbar/401.json"),
        &golden("crossbar-issued/401_second_factor.json"),
    );
    row(name, login, want).anywhere()
}

fn is_refused(name: &str, login: Request) -> Row {
    row(name, login, refused(401)).anywhere()
}

pub(crate) async fn a_second_factor_is_asked_for_and_taken_once(world: &World) {
    let first = token(world, 0, &issuing::login(ACCOUNT, "otp5")).await;
    let wardens = token(world, 0, &issuing::login(ACCOUNT, "warden")).await;
    let security = format!("/v2/accounts/{ACCOUNT}/security");
    let on = json!({ "multi_factor": { "enabled": true } });
    let on = json!({ "auth_modules": { "cb_user_auth": on, "cb_api_auth": on, "cb_auth": on } });
    let answer = world
        .ask(0, &with_data(&wardens, "POST", &security, &on))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let rows = vec![
        challenged("no response", issuing::login(ACCOUNT, "otp1")),
        challenged("null", login("otp1", &Value::Null)),
        challenged("of a user without one", issuing::login(ACCOUNT, "seedless")),
        is_refused("a wrong password", issuing::login(ACCOUNT, "nobody")),
        is_refused(
            "a wrong password and a response",
            login("nobody", &json!("000000")),
        ),
        is_refused("of an account, which has none", api_auth(KEY)),
    ];
    world.check("second factor", rows).await;
    let good = with(&first, "GET", "/v2/token_auth");
    assert_eq!(
        world.ask(world.last(), &good).await.status,
        200,
        "a token of before"
    );

    taken(world).await;
    renewed(world, &first).await;
    refusals(world).await;
    limited(world).await;

    let off = world
        .ask(world.last(), &with(&wardens, "DELETE", &security))
        .await;
    assert_eq!(off.status, 200, "{}", off.text());
    token(world, 0, &issuing::login(ACCOUNT, "otp1")).await;
}

/// Codes that are good, once.
async fn taken(world: &World) {
    let before = async |name: &str| {
        let step = now();
        let code = code(name, step - 1);
        (
            world.ask(0, &login(name, &json!(code))).await,
            step == now(),
            code,
        )
    };
    // Unless its time was over on the way.
    let (mut answer, in_time, mut sent) = before("otp2").await;
    if !in_time && answer.status == 401 {
        (answer, _, sent) = before("otp2").await;
    }
    let token = token_of(&answer);
    let again = world
        .ask(world.last(), &login("otp2", &json!({ "code": sent })))
        .await;
    assert_eq!(again.status, 401, "a code was taken twice");
    let users = with(&token, "GET", &format!("/v2/accounts/{ACCOUNT}/users"));
    assert_eq!(world.ask(world.last(), &users).await.status, 200);

    let current = login("otp3", &json!({ "code": code("otp3", now()), "more": 1 }));
    let (one, other) = join!(world.ask(0, &current), world.ask(world.last(), &current));
    let statuses = [&one, &other].map(|it: &Response| it.status);
    assert!(
        matches!(statuses, [201, 401] | [401, 201]),
        "at once: {statuses:?}"
    );
}

/// A token of before is renewed with a second factor only.
async fn renewed(world: &World, token: &str) {
    let renew = |response: Value| {
        let data = json!({ "action": "refresh_token", "multi_factor_response": response });
        with_data(token, "PUT", "/v2/auth", &data)
    };
    let rows = vec![challenged("renewed without one", renew(Value::Null))];
    world.check("second factor", rows).await;
    let wrong = world.ask(0, &renew(json!(wrong_code("otp5")))).await;
    assert_eq!(wrong.status, 401, "{}", wrong.text());
    let good = world.ask(0, &renew(json!(code("otp5", now())))).await;
    token_of(&good);
}

/// Responses that are no good.
async fn refusals(world: &World) {
    let old = code("otp4", now() - 2);
    // Two a user, so that none finds an empty bucket.
    for (name, user, response) in [
        ("K25 of a minute ago", "otp4", json!(old)),
        ("of another user", "otp4", json!(code("otp1", now()))),
        ("wrong", "otp1", json!(wrong_code("otp1"))),
        ("a number", "otp1", json!(123_456)),
        (
            "of nobody's seed",
            "seedless",
            json!(code("seedless", now())),
        ),
    ] {
        let answer = world.ask(0, &login(user, &response)).await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        let data = &answer.json()["data"];
        assert_eq!(data, &json!({ "message": "invalid credentials" }), "{name}");
    }
}

/// Whoever has the password cannot try codes at will, from wherever.
async fn limited(world: &World) {
    let tried = async || {
        let request = login("warden", &json!("000000"));
        world
            .told(0, crate::envoy::table::fresh_address(), &request)
            .await
    };
    let mut last = String::new();
    for _ in 0..16 {
        last = tried().await;
    }
    let limited = issuing::issued(&crossbar::refused(429));
    let limited = limited.replace("\nx-request-id", "\nretry-after: 4\nx-request-id");
    assert_eq!(last, limited);
}
