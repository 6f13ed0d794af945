//! Tokens (JWT) on each platform: honest ones, which are taken off the request, and those that are good no more. Those
//! that never were good are in `forged.rs`.

use serde_json::{Value, json};

use crate::envoy::table::{Row, answered, golden, reached, row, to};
use crate::envoy::{crossbar, infobip, opentact};
use crate::support::issuers::{self, callifys, changed, dd2020s, johns};
use crate::support::sample::{
    ALADDIN, AS_CALLIFY, AS_CALLIFY_BY_TOKEN, AS_DD2020, AS_JOHN_BY_TOKEN, CALLIFY, CALLIFY_HA1B,
    CROSSBAR, DD2020, INFOBIP, JOHN_MD5, OPENTACT, SENDER_KEY,
};

const USERS: &str = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";
const SEND: &str = "/sms/3/messages";

/// A refusal of crossbar's for a token that was good once: another message than for what never was.
pub(crate) fn dead() -> String {
    crossbar::refused(401).replace(
        &golden("crossbar/401.json"),
        &golden("crossbar/401_dead_token.json"),
    )
}

pub(crate) fn crossbars_tokens_stand_in_a_header_or_the_query_and_name_an_account() -> Vec<Row> {
    let token = |changes: Value| issuers::CROSSBAR.token(&changed(johns(), changes));
    let good = || token(json!({}));
    let users = |token: &str| to(CROSSBAR, "GET", USERS).header("X-Auth-Token", token);
    let query = |query: &str| to(CROSSBAR, "GET", format!("{USERS}?{query}"));
    let known = || reached(&format!("GET {USERS}"), AS_JOHN_BY_TOKEN);
    let refused = || crossbar::refused(401);
    let another = "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c";
    vec![
        row("in the header", users(&good()), known()),
        row(
            "K8 in the query",
            query(&format!("a=1&auth_token={}&b=%20", good())),
            reached(&format!("GET {USERS}?a=1&b=%20"), AS_JOHN_BY_TOKEN),
        ),
        row(
            "in the query, its name escaped",
            query(&format!("%61uth_token={}", good())),
            known(),
        ),
        row(
            "in both",
            query(&format!("auth_token={}", good())).header("X-Auth-Token", good()),
            known(),
        ),
        row(
            "K7 before another credential",
            users(&good()).header("authorization", "Basic !!!!"),
            known(),
        ),
        row(
            "in the header before one in the query",
            query("auth_token=a.b.c").header("X-Auth-Token", good()),
            known(),
        ),
        row(
            "a bad one before a good credential",
            users("a.b.c").header("authorization", JOHN_MD5),
            refused(),
        ),
        row(
            "in the header twice",
            users(&good()).header("x-auth-token", good()),
            refused(),
        ),
        row(
            "in the query twice",
            query(&format!("auth_token={0}&auth_token={0}", good())),
            refused(),
        ),
        row(
            "in the query in another case",
            query(&format!("AUTH_TOKEN={}", good())),
            refused(),
        ),
        row(
            "K27 behind Bearer",
            to(CROSSBAR, "GET", USERS).header("authorization", format!("Bearer {}", good())),
            refused(),
        ),
        row(
            "of an account, without a user",
            users(&token(json!({ "owner_id": null, "method": "cb_api_auth" }))),
            reached(
                &format!("GET {USERS}"),
                "
x-auth-account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b
x-auth-expires: 4102444800
x-auth-platform: crossbar
x-auth-roles: admin
x-auth-scheme: jwt",
            ),
        ),
        row(
            "K17 the account header names its own",
            users(&good()).header("X-Auth-Account-ID", "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b"),
            reached(
                &format!("GET {USERS}"),
                &format!("x-auth-account-id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b{AS_JOHN_BY_TOKEN}"),
            ),
        ),
        row(
            "K17 the account header names another",
            users(&good()).header("X-Auth-Account-ID", another),
            refused(),
        ),
        row(
            "another account's path",
            to(
                CROSSBAR,
                "GET",
                USERS.replace("4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b", another),
            )
            .header("x-auth-token", good()),
            crossbar::refused(403),
        ),
        row(
            "K10 ended",
            users(&token(json!({ "exp": 1_603_812_738 }))),
            dead(),
        ),
        row(
            "ended with 1970",
            users(&token(json!({ "exp": 0 }))),
            dead(),
        ),
        row(
            "K29 of an account whose trial is over",
            users(&token(
                json!({ "account_id": "7eb1315f406d72819d0e1f2a3b4c5d6e", "owner_id": "u-trial" }),
            )),
            crossbar::expired(),
        ),
        row(
            "of a disabled account",
            users(&token(
                json!({ "account_id": "6da0204e3f5c61708c9d0e1f2a3b4c5d", "owner_id": "u-locked" }),
            )),
            crossbar::refused(423),
        ),
        row(
            "of a disabled user",
            users(&token(json!({ "owner_id": "u-disabled" }))),
            refused(),
        ),
        row(
            "of a user of another account",
            users(&token(json!({ "account_id": another }))),
            refused(),
        ),
        row(
            "of nobody",
            users(&token(json!({ "owner_id": "nobody" }))),
            refused(),
        ),
        row(
            "on what is public",
            to(CROSSBAR, "GET", "/v2/schemas").header("x-auth-token", good()),
            reached("GET /v2/schemas", AS_JOHN_BY_TOKEN),
        ),
        row(
            "a bad one on what is public",
            to(CROSSBAR, "GET", "/v2/schemas").header("x-auth-token", "a.b.c"),
            refused(),
        ),
    ]
}

pub(crate) fn opentacts_tokens_stand_in_a_header_or_the_query_and_agree_with_others() -> Vec<Row> {
    let token = |changes: Value| issuers::OPENTACT.token(&changed(callifys(), changes));
    let good = || token(json!({}));
    let https = |target: &str| to(OPENTACT, "GET", target).header("x-forwarded-proto", "https");
    let header = |token: &str| https("/rest/user").header("X-Auth-Token", token);
    let query = |query: &str| https(&format!("/rest/user?{query}"));
    let known = || reached("GET /rest/user", AS_CALLIFY_BY_TOKEN);
    let refused = || opentact::refused(401);
    let anothers = || token(json!({ "uuid": "u-username" }));
    vec![
        row("in the header", header(&good()), known()),
        row(
            "O4 in the query",
            query(&format!("a=1&jwt={}", good())),
            reached("GET /rest/user?a=1", AS_CALLIFY_BY_TOKEN),
        ),
        row(
            "in the query, its name escaped",
            query(&format!("%6awt={}", good())),
            known(),
        ),
        row(
            "the same in both",
            query(&format!("jwt={}", good())).header("x-auth-token", good()),
            known(),
        ),
        row(
            "two in both",
            query(&format!("jwt={}", good())).header("x-auth-token", anothers()),
            refused(),
        ),
        row(
            "O4 in another case, which is no place of a token",
            query("JWT=a.b.c"),
            refused(),
        ),
        row(
            "O4 the same beside a credential",
            query(&format!("JWT={}", good())).header("authorization", CALLIFY),
            reached(&format!("GET /rest/user?JWT={}", good()), AS_CALLIFY),
        ),
        row(
            "O5 with a password of the same user",
            header(&good()).header("authorization", CALLIFY),
            known(),
        ),
        row(
            "O5 with a password of another user",
            header(&anothers()).header("authorization", CALLIFY),
            refused(),
        ),
        row(
            "with the same user's HA1B",
            header(&good()).header("x-auth-ha1b-token", CALLIFY_HA1B),
            known(),
        ),
        row(
            "with another user's HA1B",
            header(&anothers()).header("x-auth-ha1b-token", CALLIFY_HA1B),
            refused(),
        ),
        row(
            "a bad one with a good password",
            header("a.b.c").header("authorization", CALLIFY),
            refused(),
        ),
        row(
            "behind Bearer",
            https("/rest/user").header("authorization", format!("Bearer {}", good())),
            refused(),
        ),
        row(
            "of a disabled user",
            header(&token(json!({ "uuid": "u-disabled" }))),
            refused(),
        ),
        row(
            "of a user of a disabled account",
            header(&token(json!({ "uuid": "u-locked" }))),
            refused(),
        ),
        row(
            "of nobody",
            header(&token(json!({ "uuid": "nobody" }))),
            refused(),
        ),
        row(
            "over plain http",
            to(OPENTACT, "GET", "/rest/user").header("x-auth-token", good()),
            answered(302, "location: https://opentact.example.com/rest/user", ""),
        ),
    ]
}

pub(crate) fn infobips_tokens_stand_behind_bearer_and_do_what_their_users_may() -> Vec<Row> {
    let token = |changes: Value| issuers::INFOBIP.token(&changed(dd2020s(), changes));
    let sends =
        |authorization: &str| to(INFOBIP, "POST", SEND).header("authorization", authorization);
    let bearer = |changes: Value| sends(&format!("Bearer {}", token(changes)));
    let known = || reached(&format!("POST {SEND}"), AS_DD2020);
    let refused = || infobip::refused(401);
    vec![
        row(
            "I19 the published claims, with a later end",
            sends(DD2020),
            known(),
        ),
        row(
            "I19 the last digit changed",
            sends(&format!("{}4", DD2020.trim_end_matches('0'))),
            refused(),
        ),
        row("the same, signed here", bearer(json!({})), known()),
        row(
            "in lower case",
            sends(&DD2020.replace("Bearer", "bearer")),
            known(),
        ),
        row(
            "two spaces behind the word",
            sends(&DD2020.replace(' ', "  ")),
            known(),
        ),
        row("the word alone", sends("Bearer"), refused()),
        row(
            "two in one",
            sends(&format!("{DD2020}, {DD2020}")),
            refused(),
        ),
        row(
            "two headers",
            sends(DD2020).header("authorization", DD2020),
            refused(),
        ),
        row(
            "with a key",
            to(INFOBIP, "POST", format!("{SEND}?apiKey={SENDER_KEY}"))
                .header("authorization", DD2020),
            refused(),
        ),
        row(
            "I21 with a password",
            sends(DD2020).header("authorization", ALADDIN),
            refused(),
        ),
        row(
            "in the query, where none is read",
            to(
                INFOBIP,
                "POST",
                format!("{SEND}?access_token={}", token(json!({}))),
            ),
            refused(),
        ),
        row(
            "I18 the published one, which has ended",
            bearer(json!({ "exp": 1_633_004_406 })),
            refused(),
        ),
        row(
            "of a user without the role",
            bearer(json!({ "sub": "DD2021" })),
            infobip::refused(403),
        ),
        row(
            "of a disabled user",
            bearer(json!({ "sub": "gone" })),
            refused(),
        ),
        row(
            "of a user by its id, not its login",
            bearer(json!({ "sub": "u-dd2020" })),
            refused(),
        ),
        row(
            "of one of two who have the login",
            bearer(json!({ "sub": "Aladdin" })),
            refused(),
        ),
        row("of nobody", bearer(json!({ "sub": "nobody" })), refused()),
    ]
}
