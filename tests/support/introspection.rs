//! An authorization server's introspection endpoint (RFC 7662). How it behaves, the token says that it is asked about.

use serde_json::{Value, json};

use super::issuers::END;
use super::standin::{Asked, Instead, Reply, StandIn};

/// The client that may ask: `a client`, with the secret `p:w %`; encoded, put together and encoded again
/// (RFC 6749 §2.3.1).
pub const CLIENT_ID: &str = "a client";
pub const CLIENT_SECRET: &str = "p:w %";
const AUTHORIZATION: &str = "Basic YStjbGllbnQ6cCUzQXcrJTI1";

/// What its tokens are called by, in `iss` and `aud`.
pub const ISSUER: &str = "https://as.example.com";
pub const AUDIENCE: &str = "orders";

/// Tokens about which nothing can be told.
pub const TROUBLED: [&str; 14] = [
    "text-active",
    "no-active",
    "a-list",
    "markup",
    "twofaced",
    "odd-end",
    "odd-sub",
    "redirected",
    "down",
    "forbidden",
    "unauthorized",
    "huge",
    "endless",
    "closed",
];

/// One about which nothing comes at all.
pub const SILENT: &str = "silent";

/// A running endpoint.
#[derive(Debug)]
pub struct Endpoint(StandIn);

impl Endpoint {
    /// Starts one.
    pub fn start() -> Self {
        Self(StandIn::start_with(answer))
    }

    /// What `url` is set to.
    pub fn url(&self) -> String {
        self.0.url("/introspect")
    }

    /// How often it was asked about this token.
    pub fn asked(&self, token: &str) -> usize {
        let body = form(token);
        self.0.asked().iter().filter(|it| it.body == body).count()
    }
}

fn form(token: &str) -> String {
    format!("token={token}&token_type_hint=access_token")
}

fn answer(asked: &Asked) -> Reply {
    let header = |name: &str| {
        let found = asked
            .headers
            .iter()
            .find(|it| it.0.eq_ignore_ascii_case(name));
        found.map_or("", |it| it.1.as_str())
    };
    if header("authorization") != AUTHORIZATION {
        return Reply {
            status: 401,
            ..Reply::ok(r#"{"error":"invalid_client"}"#)
        };
    }
    let token = asked.body.split(['=', '&']).nth(1).unwrap_or_default();
    let as_it_should = asked.method == "POST"
        && asked.target == "/introspect"
        && header("content-type") == "application/x-www-form-urlencoded"
        && asked.body == form(token);
    if !as_it_should {
        return Reply {
            status: 400,
            ..Reply::ok(r#"{"error":"invalid_request"}"#)
        };
    }
    let says = |changes: Value| {
        let all = json!({
            "active": true, "sub": "u-1", "scope": "orders:read orders:write", "client_id": "app", "token_type": "Bearer",
            "exp": END, "iat": 1_600_000_000, "iss": ISSUER, "aud": ["other", AUDIENCE], "username": "ada",
        });
        Reply::ok(super::issuers::changed(all, changes).to_string())
            .header("content-type", "application/json")
    };
    match token {
        "good" => says(json!({})),
        "gold" => says(json!({ "tier": "gold", "groups": "admins" })),
        "gold-admin" => says(json!({ "tier": "gold", "groups": ["staff", "admins"] })),
        "endless-life" => says(json!({ "exp": null })),
        "narrow" => says(json!({ "scope": "orders:none" })),
        over if over.starts_with("over") => says(json!({ "exp": 1_600_000_000 })),
        "bound" => {
            says(json!({ "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" } }))
        }
        "early" => says(json!({ "nbf": END - 1 })),
        "for-another" => says(json!({ "aud": "another" })),
        "for-nobody" => says(json!({ "aud": null })),
        "of-another" => says(json!({ "iss": "https://as.example.com.evil" })),
        "stranger" => says(json!({ "sub": "u-9" })),
        "disabled" => says(json!({ "sub": "u-2" })),
        "text-active" => says(json!({ "active": "true" })),
        "no-active" => says(json!({ "active": null })),
        "a-list" => Reply::ok(r#"[{"active":true,"sub":"u-1"}]"#),
        "markup" => Reply::ok("<html>active</html>"),
        "twofaced" => Reply::ok(r#"{"active":false,"active":true,"sub":"u-1"}"#),
        "odd-end" => says(json!({ "exp": "never" })),
        "odd-sub" => says(json!({ "sub": ["u-1"] })),
        "redirected" => Reply::status(302).header("location", "https://evil.example/"),
        "down" => Reply::status(500),
        "forbidden" => Reply::status(403),
        "unauthorized" => Reply::status(401),
        "huge" => says(json!({ "padding": "x".repeat(300_000) })),
        "endless" => Reply::instead(Instead::Endless),
        "closed" => Reply::instead(Instead::Close),
        SILENT => Reply::instead(Instead::Silence),
        other if other.starts_with(SILENT) => Reply::instead(Instead::Silence),
        _ => Reply::ok(r#"{"active":false}"#),
    }
}
