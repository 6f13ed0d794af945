//! What clients send to get tokens at crossbar, and what they are told.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::envoy::crossbar;
use crate::envoy::table::{World, answered, golden, to};
use crate::support::client::Request;
use crate::support::http::Response;
use crate::support::sample::CROSSBAR;

pub(crate) const ACME: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";

/// John's hashes, of the vectors: of `username:password`.
pub(crate) const JOHNS_MD5: &str = "82a2dc91686ec828a67152d45a5c5ef7";
pub(crate) const JOHNS_SHA1: &str = "055cf886cb9b5c5867083463867c527ace0f8ecc";

/// A request with `data` in the envelope.
pub(crate) fn put(target: &str, data: &Value) -> Request {
    send("PUT", target, data)
}

/// The same by another method.
pub(crate) fn send(method: &str, target: &str, data: &Value) -> Request {
    to(CROSSBAR, method, target)
        .header("content-type", "application/json")
        .body(json!({ "data": data }).to_string())
}

/// A login of a user.
pub(crate) fn user_auth(data: &Value) -> Request {
    put("/v2/user_auth", data)
}

/// A login of john@example.com to an account, however that is named.
pub(crate) fn john(account: &Value) -> Request {
    user_auth(&johns(account))
}

/// Its data.
pub(crate) fn johns(account: &Value) -> Value {
    let mut data = account.clone();
    data["credentials"] = json!(JOHNS_MD5);
    data
}

/// A login of `NAME@example.com`, whose password is `NAME-password`, to an account by its id.
pub(crate) fn login(account: &str, name: &str) -> Request {
    user_auth(&logins(account, name))
}

/// Its data.
pub(crate) fn logins(account: &str, name: &str) -> Value {
    let text = format!("{name}@example.com:{name}-password");
    let hash = Md5::digest(text.as_bytes());
    let hash: String = hash.iter().map(|it| format!("{it:02x}")).collect();
    json!({ "credentials": hash, "account_id": account })
}

/// A login of an account by its key.
pub(crate) fn api_auth(key: &str) -> Request {
    put("/v2/api_auth", &json!({ "api_key": key }))
}

/// A request that presents a token.
pub(crate) fn with(token: &str, method: &str, target: &str) -> Request {
    to(CROSSBAR, method, target).header("x-auth-token", token)
}

/// What is sent with a token and data.
pub(crate) fn with_data(token: &str, method: &str, target: &str, data: &Value) -> Request {
    to(CROSSBAR, method, target)
        .header("x-auth-token", token)
        .header("content-type", "application/json")
        .body(json!({ "data": data }).to_string())
}

/// An answer of an endpoint's, by its golden body.
pub(crate) fn told(status: u16, name: &str) -> String {
    let body = golden(&format!("crossbar-issued/{name}.json"));
    issued(&answered(
        status,
        "content-type: application/json\nx-request-id: 0b7f6b8e3f8f4d0c9a55f3d1c2b4a697",
        &body,
    ))
}

/// A refusal of crossbar's as an endpoint says it.
pub(crate) fn refused(status: u16) -> String {
    issued(&crossbar::refused(status))
}

/// A transcript of what Check would answer, as an endpoint answers it: never to be kept by anybody.
pub(crate) fn issued(transcript: &str) -> String {
    transcript.replacen(
        "\ncontent-type",
        "\ncache-control: no-store\ncontent-type",
        1,
    )
}

/// A refusal of what was sent, which says what is wrong, as JSON.
pub(crate) fn wrong(data: &str) -> String {
    refused(400).replace("\"data\":{}", &format!("\"data\":{data}"))
}

/// Logs in and gives the token; panics where there is none.
pub(crate) async fn token(world: &World, side: usize, login: &Request) -> String {
    let response = world.ask(side, login).await;
    token_of(&response)
}

/// Gives the token of an answer to a login.
pub(crate) fn token_of(response: &Response) -> String {
    assert_eq!(response.status, 201, "{}", response.text());
    let token = response.json()["auth_token"].as_str().map(str::to_owned);
    token.expect("a token")
}

/// Gives what a token claims.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// Gives a part of a token.
pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    let part = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&part).expect("JSON")
}
