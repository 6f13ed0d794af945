//! Crossbar (KAZOO): the vectors K of its contract that Basic credentials meet, and each of its denials. Its tokens are in
//! `tokens.rs`.

use crate::envoy::table::{Row, answered, golden, reached, row, to};
use crate::support::client::Request;
use crate::support::sample::{AS_JOHN, CROSSBAR, CROSSBAR_SHA, JOHN_MD5, JOHN_SHA1, ROOT_MD5};

const USERS: &str = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";

const NOBODY: &str = "x-auth-platform: crossbar";

/// A request to the users of John's account, with this `Authorization`.
fn users(authorization: &str) -> Request {
    to(CROSSBAR, "GET", USERS).header("Authorization", authorization)
}

fn john(method: &str, target: &str) -> Request {
    to(CROSSBAR, method, target).header("authorization", JOHN_MD5)
}

pub(crate) fn refused(status: u16) -> String {
    let id = "x-request-id: 0b7f6b8e3f8f4d0c9a55f3d1c2b4a697";
    let challenge = match status {
        401 => {
            "www-authenticate: Basic realm=\"crossbar\", charset=\"UTF-8\"\nwww-authenticate: Bearer realm=\"crossbar\"\n"
        }
        _ => "",
    };
    let headers = format!("content-type: application/json\n{challenge}{id}");
    answered(
        status,
        &headers,
        &golden(&format!("crossbar/{status}.json")),
    )
}

/// A refusal for an account whose trial is over, which says since when.
pub(crate) fn expired() -> String {
    refused(423).replace(
        &golden("crossbar/423.json"),
        &golden("crossbar-issued/423_expired.json"),
    )
}

pub(crate) fn basic_credentials_are_an_account_and_the_configured_hash() -> Vec<Row> {
    let known = || reached(&format!("GET {USERS}"), AS_JOHN);
    let with_sha =
        |authorization| to(CROSSBAR_SHA, "GET", USERS).header("authorization", authorization);
    let refused_with_sha = || refused(401).replace("crossbar\"", "crossbar-sha\"");
    vec![
        row("K1 account and MD5", users(JOHN_MD5), known()),
        row("K2 SHA-1 where MD5 is set", users(JOHN_SHA1), refused(401)),
        row(
            "K2 SHA-1 where SHA-1 is set",
            with_sha(JOHN_SHA1),
            reached(
                &format!("GET {USERS}"),
                "
x-auth-account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b
x-auth-platform: crossbar-sha
x-auth-scheme: basic
x-auth-user: 8e248327b85591955749e53ea45b6baa
x-auth-username: john@example.com",
            ),
        ),
        row(
            "MD5 where SHA-1 is set",
            with_sha(JOHN_MD5),
            refused_with_sha(),
        ),
        row(
            "K3 the hash in upper case",
            users(
                "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6ODJBMkRDOTE2ODZFQzgyOEE2NzE1MkQ0NUE1QzVFRjc=",
            ),
            refused(401),
        ),
        row(
            "K4 the hash of a name in mixed case",
            users(
                "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6M2UzYjUxN2UwZmUyYjJjZjJkMzRjNDc4MzlmOWEyMGU=",
            ),
            refused(401),
        ),
        row(
            "K5 name and password in clear",
            users(
                "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6am9obkBleGFtcGxlLmNvbTptMzJjNk5mcVlFdA==",
            ),
            refused(401),
        ),
        row(
            "K6 the scheme's word in another case",
            users(&JOHN_MD5.replace("Basic", "bASIC")),
            known(),
        ),
        row(
            "K6 the same where only `Basic` is taken",
            with_sha(&JOHN_SHA1.replace("Basic", "basic")),
            refused_with_sha(),
        ),
        row(
            "K9 a credential in the query",
            to(
                CROSSBAR,
                "GET",
                format!("{USERS}?authorization={}", JOHN_MD5.replace(' ', "%20")),
            ),
            refused(401),
        ),
        row(
            "a credential in the query beside a good one",
            john(
                "GET",
                &format!("{USERS}?authorization={}", JOHN_MD5.replace(' ', "%20")),
            ),
            refused(401),
        ),
        row(
            "what is no token, in the place of one before a good credential",
            users(JOHN_MD5).header("X-Auth-Token", "a.b.c"),
            refused(401),
        ),
        row(
            "the same in the query",
            john("GET", &format!("{USERS}?auth_token=a.b.c")),
            refused(401),
        ),
        row(
            "no token, but its place, before a good credential",
            john("GET", &format!("{USERS}?auth_token=")).header("X-Auth-Token", ""),
            known(),
        ),
        row("no credential", to(CROSSBAR, "GET", USERS), refused(401)),
        row("an empty one", users(""), refused(401)),
        row("a word alone", users("Basic"), refused(401)),
        row(
            "two spaces behind the word",
            users(&JOHN_MD5.replace(' ', "  ")),
            known(),
        ),
        row("what is not base64", users("Basic !!!!"), refused(401)),
        row(
            "K27 a scheme that is not taken",
            users("Bearer 00112233"),
            refused(401),
        ),
        row(
            "I21 two values in one",
            users("Basic a, Bearer b"),
            refused(401),
        ),
        row(
            "two headers",
            users(JOHN_MD5).header("authorization", "Basic a"),
            refused(401),
        ),
        row(
            "the same header twice",
            users(JOHN_MD5).header("authorization", JOHN_MD5),
            refused(401),
        ),
        row(
            "I22 one longer than any credential",
            users(&format!("Basic {}", "QUFB".repeat(2100))),
            refused(401),
        ),
    ]
}

pub(crate) fn accounts_and_users_that_are_shut_do_not_get_in() -> Vec<Row> {
    let of = |account: &str, authorization: &str| {
        to(CROSSBAR, "GET", format!("/v2/accounts/{account}/users"))
            .header("authorization", authorization)
    };
    vec![
        row(
            "a disabled user",
            users(
                "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6MDBhNmQ4ZWY1Njk1YmRmNDA5YTMxZDExYzE5NjMwZmE=",
            ),
            refused(401),
        ),
        row(
            "a user of a disabled account",
            of(
                "6da0204e3f5c61708c9d0e1f2a3b4c5d",
                "Basic NmRhMDIwNGUzZjVjNjE3MDhjOWQwZTFmMmEzYjRjNWQ6YTkyMDk0NTc5YjFiZjEwMDM2ODg1NTU5NDA0ZmQyYTI=",
            ),
            refused(423),
        ),
        row(
            "K29 a user of an account whose trial is over",
            of(
                "7eb1315f406d72819d0e1f2a3b4c5d6e",
                "Basic N2ViMTMxNWY0MDZkNzI4MTlkMGUxZjJhM2I0YzVkNmU6NTRkYTQ5NDdhMmJiOTdiYWNlNTdkNGExMGEwNDM3MzE=",
            ),
            expired(),
        ),
        row(
            "the hash of a user of another account",
            // 5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c:82a2dc91686ec828a67152d45a5c5ef7
            users(
                "Basic NWM5ZjFmM2QyZTRiNTA2ZjdiOGM5ZDBlMWYyYTNiNGM6ODJhMmRjOTE2ODZlYzgyOGE2NzE1MmQ0NWE1YzVlZjc=",
            ),
            refused(401),
        ),
    ]
}

pub(crate) fn a_user_reaches_its_own_account_and_no_other() -> Vec<Row> {
    let encoded = "/v2/accounts/%34b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";
    let others = "/v2/accounts/5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c/users";
    let nested = USERS.replace("users", "accounts/x");
    let module = format!("{USERS}/x/sup/y");
    let named = |account: &str| john("GET", USERS).header("X-Auth-Account-ID", account);
    vec![
        row(
            "its own",
            john("DELETE", USERS),
            reached(&format!("DELETE {USERS}"), AS_JOHN),
        ),
        row(
            "its own, escaped without need",
            john("GET", encoded),
            refused(400),
        ),
        row("another's", john("GET", others), refused(403)),
        row(
            "another's, escaped",
            john("GET", &others.replace("/5c", "/%35c")),
            refused(400),
        ),
        row(
            "another's below its own",
            john("GET", &nested),
            refused(403),
        ),
        row(
            "a system module below its own",
            john("GET", &module),
            refused(403),
        ),
        row(
            "an account of one's own below it",
            john("PUT", "/v2/accounts"),
            reached("PUT /v2/accounts", AS_JOHN),
        ),
        row("all accounts", john("GET", "/v2/accounts"), refused(403)),
        row(
            "with roles that no header holds as they are",
            to(CROSSBAR, "GET", USERS).header("authorization", ROOT_MD5),
            reached(
                &format!("GET {USERS}"),
                "
x-auth-account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b
x-auth-platform: crossbar
x-auth-roles: superduper_admin,%C3%96d 50%25
x-auth-scheme: basic
x-auth-user: u-root
x-auth-username: root@example.com",
            ),
        ),
        row(
            "what no rule is about",
            john("GET", "/v2/nothing"),
            refused(403),
        ),
        row(
            "what no rule is about, unknown",
            to(CROSSBAR, "GET", "/v2/nothing"),
            refused(403),
        ),
        row(
            "K17 the account header names its own",
            named("4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b"),
            reached(
                &format!("GET {USERS}"),
                &format!("x-auth-account-id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b{AS_JOHN}"),
            ),
        ),
        row(
            "K17 the account header in a spelling that an upstream may take for it",
            john("GET", USERS).header("X_Auth-Account_ID", "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c"),
            refused(400),
        ),
        row(
            "K17 the account header names another",
            named("5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c"),
            refused(401),
        ),
    ]
}

pub(crate) fn what_is_public_needs_no_credential_and_takes_no_bad_one() -> Vec<Row> {
    let preflight = || to(CROSSBAR, "OPTIONS", USERS).header("origin", "https://ui.example.com");
    let asked = "access-control-request-method: PUT\norigin: https://ui.example.com\n";
    let schemas = |query: &str| to(CROSSBAR, "GET", format!("/v2/schemas{query}"));
    vec![
        row(
            "K28 a preflight",
            preflight().header("access-control-request-method", "PUT"),
            reached(&format!("OPTIONS {USERS}"), &format!("{asked}{NOBODY}")),
        ),
        row(
            "K28 `OPTIONS` that is no preflight",
            preflight(),
            refused(401),
        ),
        row("schemas", schemas(""), reached("GET /v2/schemas", NOBODY)),
        row(
            "schemas, known",
            john("GET", "/v2/schemas"),
            reached("GET /v2/schemas", AS_JOHN),
        ),
        row(
            "schemas with a bad credential",
            schemas("").header("authorization", "Basic eDp5"),
            refused(401),
        ),
        row(
            "schemas with a credential that is not read here",
            schemas("").header("authorization", "Bearer a"),
            refused(401),
        ),
        row(
            "schemas with an account that nobody vouches for",
            schemas("")
                .header("X-Auth-Account-ID", "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b")
                .header("X_Auth-Account_ID", "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b"),
            reached("GET /v2/schemas", NOBODY),
        ),
        row(
            "schemas by another method",
            to(CROSSBAR, "PUT", "/v2/schemas"),
            refused(403),
        ),
        row(
            "another method in the query",
            schemas("?verb=PUT"),
            refused(403),
        ),
        row(
            "the same method in the query",
            schemas("?verb=get"),
            reached("GET /v2/schemas?verb=get", NOBODY),
        ),
        row(
            "another method in a header",
            schemas("").header("X-HTTP-Method-Override", "PUT"),
            refused(403),
        ),
        row(
            "two other methods",
            schemas("?verb=GET&verb=PUT"),
            refused(400),
        ),
    ]
}
