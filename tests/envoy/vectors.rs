//! The vectors O1 to O12 of opentact's contract, all of them in their order: which one, what is sent, and what is
//! decided. Here each stands once, as it is written there; its variations are in `opentact.rs`, `tokens.rs` and
//! `facebook.rs`.
//!
//! A decision is what the upstream sees (the user, by which scheme, and nothing of a credential) or what the client is
//! answered. Google and Facebook are stand-ins on loopback.

use serde_json::{Value, json};

use crate::envoy::opentact::refused;
use crate::envoy::table::{Row, answered, golden, reached, row, to};
use crate::support::client::Request;
use crate::support::facebook::{CALLIFYS, FOREIGN, SILENT};
use crate::support::google::{GOOGLE, claims};
use crate::support::issuers::{self, Issuer, callifys, changed};
use crate::support::sample::{
    AS_CALLIFY, AS_CALLIFY_BY_FACEBOOK, AS_CALLIFY_BY_GOOGLE, AS_CALLIFY_BY_HA1B,
    AS_CALLIFY_BY_TOKEN, CALLIFY, CALLIFY_HA1B, OPENTACT,
};

pub(crate) fn every_vector_of_opentacts_contract_is_decided_as_it_says() -> Vec<Row> {
    let mut rows = Vec::new();
    for (vector, decision, requests) in vectors() {
        for (what, request) in requests {
            rows.push(row(format!("{vector} {what}"), request, decision.clone()).anywhere());
        }
    }
    rows
}

/// What is sent, in words and as a request.
type Sent = Vec<(&'static str, Request)>;

/// Number, decision, and all that it is the decision on.
#[rustfmt::skip]
fn vectors() -> Vec<(&'static str, String, Sent)> {
    let user = |identity: &str| reached("GET /rest/user", identity);
    let denied = || refused(401);
    let (o4, google) = (issuers::OPENTACT.token(&callifys()), google(json!({})));
    vec![
        ("O1", user(AS_CALLIFY), vec![
            ("Basic", basic(CALLIFY)),
        ]),
        ("O2", denied(), vec![
            ("Basic with a character behind the padding", basic("Basic dXNlcm5hbWU6cGFzc3dvcmQ=v")),
        ]),
        ("O2", user(AS_USERNAME), vec![
            ("without it", basic("Basic dXNlcm5hbWU6cGFzc3dvcmQ=")),
        ]),
        ("O3", denied(), vec![
            ("a token that ended in 2020", token(json!({ "exp": 1_603_812_738 }))),
        ]),
        ("O4", user(AS_CALLIFY_BY_TOKEN), vec![
            ("a token in the query", get(&format!("?jwt={o4}"))),
        ]),
        ("O4", denied(), vec![
            ("two there", get("?jwt=a&jwt=b")),
            ("the same twice", get(&format!("?jwt={o4}&jwt={o4}"))),
            ("in upper case, which is nothing", get(&format!("?JWT={o4}"))),
        ]),
        ("O5", user(AS_CALLIFY_BY_TOKEN), vec![
            ("a token and Basic of one user", token(json!({})).header("authorization", CALLIFY)),
        ]),
        ("O5", denied(), vec![
            ("a token and Basic of two", token(json!({ "uuid": "u-username" })).header("authorization", CALLIFY)),
        ]),
        ("O6", user(AS_CALLIFY_BY_HA1B), vec![
            ("an HA1B", ha1b(CALLIFY_HA1B)),
            ("in the query", get(&format!("?ha1b={CALLIFY_HA1B}"))),
        ]),
        ("O7", denied(), vec![
            ("the HA1", ha1b("7f643f2ac14a1bc2acd37e13080c2389")),
            ("the HA1B without domain", ha1b("6f2bb7c3d9cc53c23daeabaabe5ee438")),
        ]),
        ("O8", user(AS_CALLIFY_BY_GOOGLE), vec![
            ("Google's token", by_google(&google)),
            ("in the query", get(&format!("?google_token={google}"))),
            ("of its older name", by_google(&self::google(json!({ "iss": "accounts.google.com" })))),
        ]),
        ("O8", denied(), vec![
            ("for another app", by_google(&self::google(json!({ "aud": "other.apps.googleusercontent.com" })))),
            ("of an issuer whose name begins alike", by_google(&self::google(json!({ "iss": "https://accounts.google.com.evil" })))),
            ("HS256 under the public key", by_google(&confused())),
        ]),
        ("O9", user(AS_CALLIFY_BY_FACEBOOK), vec![
            ("Facebook's token", by_facebook(CALLIFYS)),
            ("in the query", get(&format!("?facebook_token={CALLIFYS}"))),
        ]),
        ("O9", denied(), vec![
            ("valid, for another app", by_facebook(FOREIGN)),
        ]),
        ("O10", fault(), vec![
            ("Graph does not answer", by_facebook(SILENT)),
        ]),
        ("O11", answered(302, "location: https://opentact.example.com/rest/user", ""), vec![
            ("plain http, good credentials", plain("").header("authorization", CALLIFY)),
            ("plain http, bad ones", plain("?jwt=a.b.c").header("authorization", "Basic x, y")),
            ("plain http, none", plain("")),
        ]),
        ("O12", denied(), vec![
            ("no credential", get("")),
        ]),
    ]
}

/// Somebody whom O2 would be if garbage were dropped.
const AS_USERNAME: &str = "
x-auth-account: f2cb79fb-6bf8-4484-8034-debf95aac73b
x-auth-platform: opentact
x-auth-scheme: basic
x-auth-user: u-username
x-auth-username: username";

fn plain(query: &str) -> Request {
    to(OPENTACT, "GET", format!("/rest/user{query}"))
}

fn get(query: &str) -> Request {
    plain(query).header("x-forwarded-proto", "https")
}

fn basic(authorization: &str) -> Request {
    get("").header("Authorization", authorization)
}

fn token(changes: Value) -> Request {
    let token = issuers::OPENTACT.token(&changed(callifys(), changes));
    get("").header("X-Auth-Token", token)
}

fn ha1b(digest: &str) -> Request {
    get("").header("X-Auth-HA1B-Token", digest)
}

fn by_google(token: &str) -> Request {
    get("").header("X-Auth-Google-Token", token)
}

fn by_facebook(token: &str) -> Request {
    get("").header("X-Auth-Facebook-Token", token)
}

/// A token that Google has signed.
fn google(changes: Value) -> String {
    GOOGLE.token(&changed(claims(), changes))
}

/// What whoever reads Google's key set can make, for a verifier that takes the key for a secret.
fn confused() -> String {
    let modulus = GOOGLE.jwk()["n"].to_string();
    let header = json!({ "alg": "HS256", "kid": "k1", "typ": "JWT" });
    Issuer::hmac("", modulus.trim_matches('"').as_bytes())
        .sign(&header.to_string(), &claims().to_string())
}

fn fault() -> String {
    let headers = "content-type: application/json\nretry-after: 1";
    answered(503, headers, &golden("opentact/503.json"))
}

#[test]
fn the_table_has_every_vector() {
    let vectors = vectors();
    let mut numbers: Vec<_> = vectors.iter().map(|it| it.0).collect();
    numbers.dedup();
    let all: Vec<_> = (1..=12).map(|it| format!("O{it}")).collect();
    assert_eq!(numbers, all);
}
