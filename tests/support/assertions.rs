//! Platforms that assert to their upstreams who was admitted, keys to sign that with, and an upstream's own way of
//! verifying it.
//!
//! The verifier is a JWT library with a key set, as an upstream has one; nothing of it is of the product.

use std::sync::Once;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::http::fetch;
use super::server::Server;

/// Two platforms that assert, one that does not, and one that takes tokens, also such as would be assertions.
pub const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}", issue: "127.0.0.1:{issue}" }
store: { url: "memory:", directory_file: directory.yaml }
check: { deadline_ms: 20000 }
client_address: { from: peer }
signing: { assertion_key_files: [current.pem] }
platforms:
  - name: orders
    hosts: [orders.example]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] }, login: { kind: basic } }
    rules: [{ name: open, paths: ["/public/**"], allow: public }, { name: all, paths: ["/**"] }]
    assertion: { issuer: "https://auth.example", audience: [orders] }
  - name: bills
    hosts: [bills.example]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] }, login: { kind: basic } }
    rules: [{ name: open, paths: ["/public/**"], allow: public }, { name: all, paths: ["/**"] }]
    assertion: { issuer: "https://auth.example", audience: [bills, audits], header: X-Who, lifetime_seconds: 600 }
  - name: plain
    hosts: [plain.example]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ name: all, paths: ["/**"] }]
  - name: crossbar
    preset: crossbar
    hosts: [crossbar.example]
    schemes: { jwt: { algorithms: [RS256, ES256], keys: [{ algorithm: ES256, public_key_file: public.pem }] } }
  - name: trusting
    hosts: [trusting.example]
    schemes:
      jwt:
        kind: jwt
        from: [{ authorization: Bearer }]
        issuer: https://auth.example
        audience: [orders]
        algorithms: [ES256]
        jwks_url: "http://127.0.0.1:{admin}/platforms/orders/jwks.json"
        directory: none
    rules: [{ name: all, paths: ["/**"] }]
"#;

pub const DIRECTORY: &str = r#"
orders:
  accounts: [{ id: shop, name: Shop }]
  users: [{ id: ada, account: shop, username: ada@example.com, password: correct-horse, roles: ["Chief Engineer", clerk] }]
  api_keys: [{ id: reader, account: shop, secret: sample-reader-0000000000000000, scopes: ["orders:read", "orders:write"] }]
bills:
  accounts: [{ id: shop, name: Shop }]
  users: [{ id: ada, account: shop, username: ada@example.com, password: correct-horse, roles: ["Chief Engineer", clerk] }]
  api_keys: [{ id: reader, account: shop, secret: sample-reader-0000000000000000, scopes: ["orders:read", "orders:write"] }]
plain:
  accounts: [{ id: shop, name: Shop }]
  api_keys: [{ id: reader, account: shop, secret: sample-reader-0000000000000000 }]
"#;

pub const KEY: &str = "sample-reader-0000000000000000";
/// ada@example.com:correct-horse
pub const ADA: &str = "Basic YWRhQGV4YW1wbGUuY29tOmNvcnJlY3QtaG9yc2U=";

/// Starts a server with a configuration like [`CONFIG`], signing with the first of these keys.
pub fn start(config: &str, keys: [&Pem; 2]) -> Server {
    let files = [
        ("directory.yaml", DIRECTORY),
        ("current.pem", &keys[0].private),
        ("previous.pem", &keys[1].private),
        ("public.pem", &keys[0].public),
    ];
    Server::start_with(config, &files)
}

/// Both halves of a key on P-256, in PEM.
#[derive(Debug)]
pub struct Pem {
    pub private: String,
    pub public: String,
}

impl Pem {
    /// Makes one.
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let private = pair.to_pkcs8v1().expect("a private key");
        let public = pair.public_key().as_der();
        let pem = |label: &str, der: &[u8]| {
            let body = BASE64_STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        Self {
            private: pem("PRIVATE KEY", private.as_ref()),
            public: pem("PUBLIC KEY", public.expect("a public key").as_ref()),
        }
    }
}

/// Fetches the key set of a platform, as an upstream does.
pub fn key_set(server: &Server, platform: &str) -> JwkSet {
    let path = format!("/platforms/{platform}/jwks.json");
    let answer = fetch(server.admin(), &path).expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    serde_json::from_slice(&answer.body).expect("a key set")
}

/// Gives what an assertion says, where an upstream of this name takes it; else why not.
pub fn verify(token: &str, keys: &JwkSet, audience: &str) -> Result<Value, String> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let _ = DEFAULT_PROVIDER.install_default();
    });
    let failed = |it: jsonwebtoken::errors::Error| it.to_string();
    let header = decode_header(token).map_err(failed)?;
    if header.typ.as_deref() != Some("portcullis-assertion+jwt") {
        return Err("no assertion".to_owned());
    }
    let key: &Jwk = header
        .kid
        .and_then(|it| keys.find(&it))
        .ok_or("an unknown key")?;
    // The key says what it is for, and not the token.
    let algorithm = match key.common.key_algorithm {
        Some(KeyAlgorithm::ES256) => Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDSA,
        _ => return Err("a key for something else".to_owned()),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&["https://auth.example"]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    validation.leeway = 0;
    let key = DecodingKey::from_jwk(key).map_err(failed)?;
    let token = decode::<Value>(token, &key, &validation).map_err(failed)?;
    Ok(token.claims)
}
