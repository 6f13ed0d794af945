//! Opentact: an e-mail address and its password, a SIP hash, or a token of Google or Facebook, over HTTPS only.

use super::{Case, Headers, Section, Tokens, request};

/// `opentact@callify.io:12345678`.
const USER: &str = "Basic b3BlbnRhY3RAY2FsbGlmeS5pbzoxMjM0NTY3OA==";

const USER_IDENTITY: Headers = &[
    ("x-auth-platform", "opentact"),
    ("x-auth-account", "f2cb79fb-6bf8-4484-8034-debf95aac73b"),
    ("x-auth-user", "3c0d2c55-7a41-4c0e-9f0b-5a1d1e0f2b3c"),
    ("x-auth-username", "opentact@callify.io"),
    ("x-auth-scheme", "basic"),
    ("x-auth-roles", "User"),
];

/// The MD5 of `1000@mydomain.com:mydomain.com:123456`, as SIP registrars keep it.
const HA1B: &str = "4e704e98102feb915109fe2ff0cef5da";

const GOOGLE_IDENTITY: Headers = &[
    ("x-auth-platform", "opentact"),
    ("x-auth-account", "f2cb79fb-6bf8-4484-8034-debf95aac73b"),
    ("x-auth-user", "0116f6d1-1280-44b2-9134-da48509ec575"),
    ("x-auth-username", "info@example.org"),
    ("x-auth-scheme", "google"),
    ("x-auth-roles", "User"),
    ("x-auth-expires", "4102444800"),
];

const FACEBOOK_IDENTITY: Headers = &[
    ("x-auth-platform", "opentact"),
    ("x-auth-account", "f2cb79fb-6bf8-4484-8034-debf95aac73b"),
    ("x-auth-user", "0116f6d1-1280-44b2-9134-da48509ec575"),
    ("x-auth-username", "info@example.org"),
    ("x-auth-scheme", "facebook"),
    ("x-auth-roles", "User"),
    ("x-auth-expires", "4102444800"),
];

const HA1B_IDENTITY: Headers = &[
    ("x-auth-platform", "opentact"),
    ("x-auth-account", "f2cb79fb-6bf8-4484-8034-debf95aac73b"),
    ("x-auth-user", "0116f6d1-1280-44b2-9134-da48509ec575"),
    ("x-auth-username", "info@example.org"),
    ("x-auth-scheme", "ha1b"),
    ("x-auth-roles", "User"),
];

pub(super) fn section(tokens: &Tokens) -> Section {
    let mut cases = vec![
        Case::allow(
            "A user by e-mail and password",
            request("GET /rest/auth").authorization(USER),
            USER_IDENTITY,
            &["authorization"],
        ),
        Case::allow(
            "The same again: no password is hashed twice",
            request("GET /rest/auth").authorization(USER),
            USER_IDENTITY,
            &["authorization"],
        )
        .cached(),
        Case::allow(
            "The same API by a SIP hash (HA1B)",
            request("GET /rest/auth").header("X-Auth-HA1B-Token", HA1B),
            HA1B_IDENTITY,
            &["x-auth-ha1b-token"],
        ),
    ];
    cases.extend(by_others(tokens));
    cases.extend(denied());
    Section {
        title: "opentact: Opentact's REST API, by its preset",
        host: "opentact.example.com",
        cases,
    }
}

const REFUSED: &str = r#"{"success":false,"message":"Unauthorized","status":401,"#;

/// Who is known by a token of another's is the user who is linked to it.
fn by_others(tokens: &Tokens) -> Vec<Case> {
    let google = |token: &String| {
        let token = token.clone();
        request("GET /rest/auth").header("X-Auth-Google-Token", token)
    };
    let facebook = |token: &String| {
        let token = token.clone();
        request("GET /rest/auth").header("X-Auth-Facebook-Token", token)
    };
    vec![
        Case::allow(
            "The same user by Google's ID token (keys are fetched)",
            google(&tokens.google),
            GOOGLE_IDENTITY,
            &["x-auth-google-token"],
        ),
        Case::allow(
            "The same user by Facebook's token (Graph is asked)",
            facebook(&tokens.facebook),
            FACEBOOK_IDENTITY,
            &["x-auth-facebook-token"],
        ),
        Case::deny(
            "Google's token for another application",
            google(&tokens.google_for_another),
            (401, "unknown"),
            REFUSED,
        ),
        Case::deny(
            "Facebook's token for another app",
            facebook(&tokens.facebook_for_another),
            (401, "unknown"),
            REFUSED,
        ),
    ]
}

fn denied() -> Vec<Case> {
    let unclear = r#"{"success":false,"message":"Bad Request","status":400,"#;
    vec![
        Case::deny(
            "Plain HTTP: sent to HTTPS, credentials unread",
            request("GET /rest/auth?lang=en")
                .authorization(USER)
                .over_http(),
            (302, "plain_http"),
            "https://opentact.example.com/rest/auth?lang=en",
        ),
        Case::deny(
            "No credential",
            request("GET /rest/auth"),
            (401, "missing"),
            REFUSED,
        ),
        Case::deny(
            "The wrong password",
            request("GET /rest/auth")
                .authorization("Basic b3BlbnRhY3RAY2FsbGlmeS5pbzo4NzY1NDMyMQ=="),
            (401, "wrong"),
            REFUSED,
        ),
        Case::deny(
            "Nobody's e-mail: the same answer in the same time",
            request("GET /rest/auth").authorization("Basic bm9ib2R5QGNhbGxpZnkuaW86MTIzNDU2Nzg="),
            (401, "unknown"),
            REFUSED,
        ),
        Case::deny(
            "The HA1 of the same SIP user, which is not the HA1B",
            request("GET /rest/auth")
                .header("X-Auth-HA1B-Token", "7f643f2ac14a1bc2acd37e13080c2389"),
            (401, "unknown"),
            REFUSED,
        ),
        Case::deny(
            "A path that readers could take for `/admin`",
            request("GET /rest/%2e%2e/admin").authorization(USER),
            (400, "path"),
            unclear,
        ),
    ]
}
