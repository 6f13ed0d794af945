//! The Security API of crossbar: what is set for the logins of an account, what it inherits, and who has tried.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::envoy::crossbar;
use crate::envoy::issuing::{
    claims, issued, login, logins, refused, token, token_of, told, with, with_data,
};
use crate::envoy::table::{World, fresh_address, row, to};
use crate::envoy::tokens::dead;
use crate::support::sample::{CROSSBAR, JOHN_MD5};

const PATIENCE: Duration = Duration::from_secs(20);

/// A line of accounts, from above; the second is a reseller, from which on nothing is inherited from above it.
const ATTIC: &str = "b28354b543375bfa94dabaeda722927f";
const UPSTAIRS: &str = "9efc4ac970619de711752d818c29884a";
const MIDWAY: &str = "22384709d743fe3c6fb0a4b35b2e10a6";
const GROUND: &str = "bab4ff04cc14af66e4d42c85f888cfe6";

fn security(account: &str) -> String {
    format!("/v2/accounts/{account}/security")
}

fn user_auth(settings: &Value) -> Value {
    json!({ "auth_modules": { "cb_user_auth": settings } })
}

fn expiry(seconds: u64) -> Value {
    user_auth(&json!({ "token_auth_expiry_s": seconds }))
}

/// Sets something on one side and gives what it says is set.
async fn set(world: &World, token: &str, method: &str, account: &str, data: &Value) -> Value {
    let request = with_data(token, method, &security(account), data);
    let answer = world.ask(0, &request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = &answer.json()["data"];
    assert_eq!(data["id"], "kazoo_auth_configs");
    data["auth_modules"].clone()
}

/// How long a token of a new login lives, as the other side gives it, in seconds.
async fn lifetime(world: &World, account: &str, name: &str) -> u64 {
    let claims = claims(&token(world, world.last(), &login(account, name)).await);
    let [iat, exp] = ["iat", "exp"].map(|it| claims[it].as_u64().expect("a time"));
    exp - iat
}

pub(crate) async fn what_is_set_for_logins_is_inherited_down_from_a_reseller(world: &World) {
    let attics = &token(world, 0, &login(ATTIC, "attic")).await;
    let midways = &token(world, 0, &login(MIDWAY, "midway")).await;
    let grounds = &token(world, 0, &login(GROUND, "ground")).await;
    allowed(world, midways, grounds).await;

    let here = async || lifetime(world, GROUND, "ground").await;
    assert_eq!(here().await, 3600, "the system's");
    set(world, attics, "POST", ATTIC, &expiry(100)).await;
    assert_eq!(lifetime(world, ATTIC, "attic").await, 100);
    assert_eq!(here().await, 3600, "nothing from above a reseller");
    set(world, attics, "POST", UPSTAIRS, &expiry(600)).await;
    assert_eq!(here().await, 600, "the reseller's");
    set(world, midways, "POST", MIDWAY, &expiry(300)).await;
    assert_eq!(here().await, 300, "its parent's");
    set(world, grounds, "PATCH", GROUND, &expiry(120)).await;
    assert_eq!(here().await, 120, "its own");

    let patch = user_auth(&json!({ "log_successful_attempts": false }));
    let both =
        json!({ "cb_user_auth": { "token_auth_expiry_s": 120, "log_successful_attempts": false } });
    assert_eq!(set(world, grounds, "PATCH", GROUND, &patch).await, both);
    shown(world, grounds, &both).await;
    assert_eq!(here().await, 120, "what is changed leaves the rest");
    set(world, grounds, "POST", GROUND, &patch).await;
    assert_eq!(here().await, 300, "what is replaced leaves nothing");
    let removed = with(grounds, "DELETE", &security(GROUND));
    let removed = world.ask(world.last(), &removed).await;
    assert_eq!(removed.status, 200, "{}", removed.text());
    assert_eq!(
        removed.json()["data"]["auth_modules"],
        patch["auth_modules"]
    );

    off(world, midways, grounds).await;
}

/// Who may look, and who may set.
async fn allowed(world: &World, parents: &str, own: &str) {
    let clerks = &token(world, 0, &login(GROUND, "clerk")).await;
    let (path, attempts) = (security(GROUND), format!("{}/attempts", security(GROUND)));
    let no = || crossbar::refused(403);
    let of_john = to(CROSSBAR, "GET", &path).header("authorization", JOHN_MD5);
    let empty = user_auth(&json!({}));
    let rows = vec![
        row(
            "no administrator, to look",
            with(clerks, "GET", &path),
            no(),
        ),
        row(
            "no administrator, at attempts",
            with(clerks, "GET", &attempts),
            no(),
        ),
        row(
            "no administrator, to set",
            with_data(clerks, "POST", &path, &empty),
            no(),
        ),
        row(
            "no administrator, to change",
            with_data(clerks, "PATCH", &path, &empty),
            no(),
        ),
        row(
            "no administrator, to remove",
            with(clerks, "DELETE", &path),
            no(),
        ),
        row("an administrator from elsewhere", of_john, no()),
        row("the one above", with(own, "GET", &security(MIDWAY)), no()),
        row("nobody", to(CROSSBAR, "GET", &path), crossbar::refused(401)),
    ];
    world.check("security", rows).await;
    for (token, path) in [(parents, &path), (own, &path), (own, &attempts)] {
        let answer = world.ask(world.last(), &with(token, "GET", path)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let modules = world
        .ask(0, &with(clerks, "GET", "/v2/security"))
        .await
        .json();
    let known = json!({ "available_auth_modules": ["cb_api_auth", "cb_auth", "cb_ip_auth", "cb_user_auth"] });
    assert_eq!(modules["data"], known);
}

/// What is told of an account, its own and what holds.
async fn shown(world: &World, token: &str, own: &Value) {
    let answer = world
        .ask(world.last(), &with(token, "GET", &security(GROUND)))
        .await;
    let data = &answer.json()["data"];
    assert_eq!(&data["auth_modules"], own);
    assert_eq!(
        data["account"],
        json!({ "auth_modules": own, "id": "kazoo_auth_configs" })
    );
    let module = |expiry: u64, successful: bool| {
        json!({
            "enabled": true, "log_failed_attempts": true, "log_successful_attempts": successful,
            "multi_factor": { "enabled": false }, "token_auth_expiry_s": expiry,
        })
    };
    let system = module(3600, false);
    let inherited = json!({
        "cb_api_auth": system, "cb_auth": system, "cb_ip_auth": system, "cb_user_auth": module(120, false),
    });
    assert_eq!(data["inherited_config"]["auth_modules"], inherited);
}

/// A way to log in that is switched off by the account above: to whoever could log in, it says so with the other 401.
async fn off(world: &World, parents: &str, own: &str) {
    set(
        world,
        parents,
        "PATCH",
        MIDWAY,
        &user_auth(&json!({ "enabled": false })),
    )
    .await;
    let rows = vec![
        row(
            "the right password",
            login(GROUND, "ground"),
            issued(&dead()),
        )
        .anywhere(),
        row("a wrong one", login(GROUND, "nobody"), refused(401)).anywhere(),
    ];
    world.check("switched off", rows).await;
    let users = with(own, "GET", &format!("/v2/accounts/{GROUND}/users"));
    assert_eq!(
        world.ask(world.last(), &users).await.status,
        200,
        "a token of before"
    );
    let renew = with_data(
        own,
        "PUT",
        "/v2/auth",
        &json!({ "action": "refresh_token" }),
    );
    assert_eq!(
        world.ask(world.last(), &renew).await.status,
        201,
        "another module"
    );
    set(
        world,
        parents,
        "PATCH",
        MIDWAY,
        &user_auth(&json!({ "enabled": true })),
    )
    .await;
    token(world, world.last(), &login(GROUND, "ground")).await;
}

pub(crate) async fn attempts_are_told_without_secrets_newest_first(world: &World) {
    const ACCOUNT: &str = "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c";
    let path = format!("/v2/accounts/{ACCOUNT}/security/attempts");
    let (from, elsewhere) = (fresh_address(), fresh_address());
    let right = login(ACCOUNT, "keeper").header("x-request-id", "the-right-one");
    let wrong = login(ACCOUNT, "nobody").header("x-request-id", "the-wrong-one");
    let keepers = token_of(&world.ask_from(0, from, &right).await);
    let listed = async |count: usize| {
        let mut tick = interval(Duration::from_millis(10));
        timeout(PATIENCE, async {
            loop {
                let answer = world.ask(world.last(), &with(&keepers, "GET", &path)).await;
                if answer.json()["data"]
                    .as_array()
                    .is_some_and(|it| it.len() == count)
                {
                    return answer;
                }
                tick.tick().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("not {count} attempts"))
    };
    listed(1).await;
    assert_eq!(
        world.ask_from(world.last(), elsewhere, &wrong).await.status,
        401
    );
    let all = listed(2).await;
    for secret in [&keepers, "keeper-password", "keeper@"] {
        assert!(!all.text().contains(secret), "{}", all.text());
    }
    let hash = logins(ACCOUNT, "keeper")["credentials"].clone();
    assert!(!all.text().contains(hash.as_str().expect("a hash")));
    let all = all.json()["data"].clone();
    let statuses = [0, 1].map(|it: usize| all[it]["status"].clone());
    assert_eq!(statuses, ["failed", "success"]);
    for (index, id, address, user) in [
        (0, "the-wrong-one", elsewhere, Value::Null),
        (1, "the-right-one", from, json!("u-keeper")),
    ] {
        let brief = &all[index];
        let id_of = brief["id"].as_str().expect("an id");
        let whole = with(&keepers, "GET", &format!("{path}/{id_of}"));
        let whole = world.ask(0, &whole).await.json()["data"].clone();
        let mut want = brief.clone();
        want["client_ip"] = json!(address);
        want["crossbar_request_id"] = json!(id);
        want["metadata"] = json!({ "account_id": ACCOUNT, "owner_id": user });
        assert_eq!(whole, want);
        assert_eq!(brief["auth_module"], "cb_user_auth");
        // Gregorian seconds.
        assert!(
            brief["timestamp"]
                .as_u64()
                .is_some_and(|it| it > 63_000_000_000)
        );
    }
    let nobodys = with(&keepers, "GET", &format!("{path}/{}", "0".repeat(32)));
    world
        .check(
            "attempts",
            vec![row("one that there was not", nobodys, told(404, "404"))],
        )
        .await;

    // What is asked for is told of, and the other not, though it came before.
    let (failed, successful) = ("log_failed_attempts", "log_successful_attempts");
    let quiet = user_auth(&json!({ failed: false, successful: true }));
    set(world, &keepers, "POST", ACCOUNT, &quiet).await;
    assert_eq!(world.ask(0, &wrong).await.status, 401);
    token(world, 0, &right).await;
    assert_eq!(listed(3).await.json()["data"][0]["status"], "success");
    let loud = user_auth(&json!({ failed: true, successful: false }));
    set(world, &keepers, "POST", ACCOUNT, &loud).await;
    token(world, 0, &right).await;
    assert_eq!(world.ask(0, &wrong).await.status, 401);
    assert_eq!(listed(4).await.json()["data"][0]["status"], "failed");
}
