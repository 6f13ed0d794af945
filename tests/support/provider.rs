//! A stand-in for an OIDC provider: its metadata, its key set, and the tokens that it signs.

use serde_json::{Value, json};

use super::issuers::Issuer;
use super::standin::{Reply, StandIn};

const METADATA: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

/// A provider with one key at a time.
#[derive(Debug)]
pub struct Provider {
    pub server: StandIn,
    /// What its tokens and its metadata call it.
    pub issuer: String,
    key: Issuer,
    kid: String,
}

impl Provider {
    /// Starts one with a key of this name.
    pub fn start(issuer: &str, kid: &str) -> Self {
        let mut provider = Self {
            server: StandIn::start(),
            issuer: issuer.to_owned(),
            key: Issuer::rsa(""),
            kid: kid.to_owned(),
        };
        let metadata = json!({
            "issuer": issuer, "jwks_uri": provider.keys_url(),
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        });
        provider
            .server
            .answer(METADATA, Reply::ok(metadata.to_string()));
        provider.rotate(kid);
        provider
    }

    /// Takes a new key of this name, and publishes it alone.
    pub fn rotate(&mut self, kid: &str) {
        self.key = Issuer::rsa("");
        self.kid = kid.to_owned();
        self.publish(&json!({ "keys": [self.jwk()] }));
    }

    /// Publishes this as its key set.
    pub fn publish(&self, keys: &Value) {
        let reply = Reply::ok(keys.to_string()).header("cache-control", "public, max-age=21600");
        self.server.answer(KEYS, reply);
    }

    /// Says what the path of the key set answers from now on.
    pub fn answer_keys(&self, reply: Reply) {
        self.server.answer(KEYS, reply);
    }

    /// Gives its key as a key set has it.
    pub fn jwk(&self) -> Value {
        self.key.jwk(&self.kid)
    }

    pub fn keys_url(&self) -> String {
        self.server.url(KEYS)
    }

    pub fn metadata_url(&self) -> String {
        self.server.url(METADATA)
    }

    /// Signs claims as its honest tokens are.
    pub fn token(&self, claims: &Value) -> String {
        self.token_named(&self.kid, claims)
    }

    /// Signs claims under its key, which the token calls by another name.
    pub fn token_named(&self, kid: &str, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "kid": kid, "typ": "JWT" });
        self.key.sign(&header.to_string(), &claims.to_string())
    }

    /// Signs under any header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.key.sign(&header.to_string(), &claims.to_string())
    }

    /// How often its key set was asked for.
    pub fn fetches(&self) -> usize {
        let asked = self.server.asked();
        asked.iter().filter(|it| it.target == KEYS).count()
    }
}
