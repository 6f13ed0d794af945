//! KAZOO Crossbar: an account's id and the MD5 of `username:password`.

use super::{Case, Headers, Section, request};

/// ACME's id, and `md5("john@example.com:m32c6NfqYEt")`.
const JOHN: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6ODJhMmRjOTE2ODZlYzgyOGE2NzE1MmQ0NWE1YzVlZjc=";

const JOHN_IDENTITY: Headers = &[
    ("x-auth-platform", "crossbar"),
    ("x-auth-account", "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b"),
    ("x-auth-user", "8e248327b85591955749e53ea45b6baa"),
    ("x-auth-username", "john@example.com"),
    ("x-auth-scheme", "basic"),
    ("x-auth-roles", "admin"),
];

/// What stands for John where nobody should read a hash of his password.
const HANDLE: &str = "Bearer sample-handle-5f4dcc3b5aa765d61d83";

const HANDLE_IDENTITY: Headers = &[
    ("x-auth-platform", "crossbar"),
    ("x-auth-account", "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b"),
    ("x-auth-user", "8e248327b85591955749e53ea45b6baa"),
    ("x-auth-username", "john@example.com"),
    ("x-auth-scheme", "bearer"),
    ("x-auth-roles", "admin"),
];

/// The id of ACME's customer, and the MD5 of its user's `username:password`.
const BRANCH: &str = "Basic NWM5ZjFmM2QyZTRiNTA2ZjdiOGM5ZDBlMWYyYTNiNGM6NDRhOTY3MGU3Mjg4OTY5NWRiOGVkOTU5ZmUzMDdkMDQ=";

const NOBODY: Headers = &[("x-auth-platform", "crossbar")];

pub(super) fn section() -> Section {
    let mut cases = allowed();
    cases.extend(unknown_callers());
    cases.extend(forbidden());
    Section {
        title: "crossbar: KAZOO's API, by its preset",
        host: "crossbar.example.com",
        cases,
    }
}

fn allowed() -> Vec<Case> {
    let users = || request("GET /v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users");
    let preflight = request("OPTIONS /v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users")
        .header("Origin", "https://portal.example.com")
        .header("Access-Control-Request-Method", "GET");
    vec![
        Case::allow(
            "John asks for the users of his account",
            users().authorization(JOHN),
            JOHN_IDENTITY,
            &["authorization"],
        ),
        Case::allow(
            "The same again: out of the cache",
            users().authorization(JOHN),
            JOHN_IDENTITY,
            &["authorization"],
        )
        .cached(),
        Case::allow(
            "John asks for the users of an account below his",
            request("GET /v2/accounts/5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c/users").authorization(JOHN),
            JOHN_IDENTITY,
            &["authorization"],
        ),
        Case::allow(
            "A handle that stands for John",
            users().authorization(HANDLE),
            HANDLE_IDENTITY,
            &["authorization"],
        ),
        Case::allow(
            "A public rule, without credentials",
            request("GET /v2/schemas/users"),
            NOBODY,
            &["authorization", "x-auth-user"],
        ),
        Case::allow(
            "A browser's CORS preflight",
            preflight,
            NOBODY,
            &["authorization"],
        ),
    ]
}

fn unknown_callers() -> Vec<Case> {
    let users = || request("GET /v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users");
    let refused = r#""message":"invalid_credentials""#;
    let locked = r#""message":"locked""#;
    vec![
        Case::deny("No credential", users(), (401, "missing"), refused),
        Case::deny(
            "The password in clear where its MD5 belongs",
            users().authorization("Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6am9obkBleGFtcGxlLmNvbTptMzJjNk5mcVlFdA=="),
            (401, "malformed"),
            refused,
        ),
        Case::deny(
            "The MD5 of another user name (`John@Example.com`)",
            users().authorization("Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6M2UzYjUxN2UwZmUyYjJjZjJkMzRjNDc4MzlmOWEyMGU="),
            (401, "unknown"),
            refused,
        ),
        Case::deny(
            "A user who is switched off",
            users().authorization("Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6MTA4NWJiNTE5YzAwMDg5MTMwMjNiZDM4MmE4NjdlYmY="),
            (401, "disabled"),
            refused,
        ),
        Case::deny(
            "A user of an account that is switched off",
            request("GET /v2/accounts/6da0204e3f5c61708c9d0e1f2a3b4c5d/users")
                .authorization("Basic NmRhMDIwNGUzZjVjNjE3MDhjOWQwZTFmMmEzYjRjNWQ6MThhM2MwNTViNmYxMWI1NjRhNmMxYzcwZTZhYTQxYjE="),
            (423, "locked"),
            locked,
        ),
        Case::deny(
            "A user of an account whose trial is over",
            request("GET /v2/accounts/7eb1315f406d72819d0e1f2a3b4c5d6e/users")
                .authorization("Basic N2ViMTMxNWY0MDZkNzI4MTlkMGUxZjJhM2I0YzVkNmU6MzllYWI1ZGZhNzUyY2I3NDgzNDRiODAwNTkwNjEzZjQ="),
            (423, "locked"),
            locked,
        ),
        Case::deny(
            "X-Auth-Account-ID names another account",
            users()
                .authorization(JOHN)
                .header("X-Auth-Account-ID", "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c"),
            (401, "account_mismatch"),
            refused,
        ),
    ]
}

fn forbidden() -> Vec<Case> {
    let forbidden = r#""message":"forbidden""#;
    vec![
        Case::deny(
            "A customer's user asks for the users of the account above",
            request("GET /v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users")
                .authorization(BRANCH),
            (403, "relation"),
            forbidden,
        ),
        Case::deny(
            "John reaches for the whole system behind his account",
            request("GET /v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/system_configs")
                .authorization(JOHN),
            (403, "no_rule"),
            forbidden,
        ),
        Case::deny(
            "A path that no rule knows",
            request("GET /v2/channels").authorization(JOHN),
            (403, "no_rule"),
            forbidden,
        ),
    ]
}
