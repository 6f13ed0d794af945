//! A platform of one's own: a few lines of configuration, no code.

use super::{Case, Headers, Section, request};

const KEY: &str = "sample-reader-0000000000000000";

const KEY_IDENTITY: Headers = &[
    ("x-auth-platform", "mine"),
    ("x-auth-account", "shop-1"),
    ("x-auth-scheme", "key"),
    ("x-auth-scopes", "orders:read"),
];

const ADA_IDENTITY: Headers = &[
    ("x-auth-platform", "mine"),
    ("x-auth-account", "shop-1"),
    ("x-auth-user", "ada-1"),
    ("x-auth-username", "ada"),
    ("x-auth-scheme", "login"),
    ("x-auth-roles", "admin"),
];

pub(super) fn section() -> Section {
    let mut cases = allowed();
    cases.extend(denied());
    Section {
        title: "mine: a platform of one's own, without a preset",
        host: "api.mine.example.com",
        cases,
    }
}

fn allowed() -> Vec<Case> {
    vec![
        Case::allow(
            "A key in a header of one's own",
            request("GET /orders/42").header("X-My-Key", KEY),
            KEY_IDENTITY,
            &["authorization", "x-my-key"],
        ),
        Case::allow(
            "Ada is an admin",
            // ada:sample-admin
            request("GET /admin/users").authorization("Basic YWRhOnNhbXBsZS1hZG1pbg=="),
            ADA_IDENTITY,
            &["authorization", "x-my-key"],
        ),
        Case::allow(
            "Forged identity headers are taken off, however spelled",
            request("GET /public/status")
                .header("X-Auth-User", "ada-1")
                .header("X_Auth_Roles", "admin"),
            &[("x-auth-platform", "mine")],
            &["x-auth-user", "x_auth_user", "x_auth_roles", "x-auth-roles"],
        ),
    ]
}

fn denied() -> Vec<Case> {
    let refused = r#"{"ok":false,"error":{"code":401,"text":"Unauthorized"},"trace":"#;
    let forbidden = r#"{"ok":false,"error":{"code":403,"text":"Forbidden"},"trace":"#;
    vec![
        Case::deny(
            "No credential, answered in one's own format",
            request("GET /orders/42"),
            (401, "missing"),
            refused,
        ),
        Case::deny(
            "A bad key is refused on a public path too",
            request("GET /public/status").header("X-My-Key", "nobodys-key-0000000000000000000"),
            (401, "unknown"),
            refused,
        ),
        Case::deny(
            "A key that may read writes",
            request("POST /orders/42").header("X-My-Key", KEY),
            (403, "scope"),
            forbidden,
        ),
        Case::deny(
            "Bob is no admin",
            // bob:sample-viewer
            request("GET /admin/users").authorization("Basic Ym9iOnNhbXBsZS12aWV3ZXI="),
            (403, "role"),
            forbidden,
        ),
        Case::deny(
            "A key where only a login will do",
            request("GET /admin/users").header("X-My-Key", KEY),
            (403, "scheme_not_accepted"),
            forbidden,
        ),
        Case::deny(
            "Plain HTTP, which this platform denies",
            request("GET /orders/42")
                .header("X-My-Key", KEY)
                .over_http(),
            (403, "plain_http"),
            forbidden,
        ),
    ]
}
