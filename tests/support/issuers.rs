//! Issuers of the tokens that the sample configuration takes: their keys, made anew for each test process so that no
//! private key stands in the repository, and tokens of any header and claims, honest or not.
//!
//! Nothing here is of the product: a token is put together from its bytes and signed by the cryptographic library.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// When honest tokens end: with the year 2099, in Unix seconds.
pub const END: u64 = 4_102_444_800;

/// The issuers of the platforms, and of their twins: of the same names, under other keys.
pub static CROSSBAR: LazyLock<Issuer> = LazyLock::new(|| Issuer::rsa(KAZOO_HEADER));
pub static CROSSBAR_TWIN: LazyLock<Issuer> = LazyLock::new(|| Issuer::rsa(KAZOO_HEADER));
pub static OPENTACT: LazyLock<Issuer> =
    LazyLock::new(|| Issuer::hmac(OPENTACT_HEADER, OPENTACT_SECRET.as_bytes()));
pub static OPENTACT_TWIN: LazyLock<Issuer> =
    LazyLock::new(|| Issuer::hmac(OPENTACT_HEADER, TWIN_SECRET.as_bytes()));
pub static INFOBIP: LazyLock<Issuer> =
    LazyLock::new(|| Issuer::hmac(INFOBIP_HEADER, INFOBIP_SECRET.as_bytes()));
pub static INFOBIP_LENIENT: LazyLock<Issuer> =
    LazyLock::new(|| Issuer::hmac(INFOBIP_HEADER, TWIN_SECRET.as_bytes()));
/// Nobody whom a platform knows.
pub static STRANGER: LazyLock<Issuer> = LazyLock::new(|| Issuer::rsa(KAZOO_HEADER));

/// The key that servers on a shared store sign their own tokens with, in PEM.
pub static SIGNING_PEM: LazyLock<String> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a private key");
    let body = BASE64_STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
});

/// The secrets of those who sign with one; infobip's is that of the published vector.
pub const INFOBIP_SECRET: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
pub const OPENTACT_SECRET: &str = "the secret of the issuer at opentact";
pub const TWIN_SECRET: &str = "the secret of the issuer of the twin";

const INFOBIP_HEADER: &str = r#"{"kid":"9wokXdhI","typ":"JWT","alg":"HS256"}"#;
const KAZOO_HEADER: &str = r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#;
const OPENTACT_HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Whoever signs tokens.
#[derive(Debug)]
pub struct Issuer {
    /// The header of its honest tokens.
    pub header: &'static str,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Hmac(Vec<u8>),
    Rsa(RsaKeyPair),
}

impl Issuer {
    /// One that signs under a secret (HS256).
    pub fn hmac(header: &'static str, secret: &[u8]) -> Self {
        let key = Key::Hmac(secret.to_vec());
        Self { header, key }
    }

    /// One that signs under a key of its own (RS256).
    pub fn rsa(header: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let key = Key::Rsa(pair);
        Self { header, key }
    }

    /// Makes an honest token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(self.header, &claims.to_string())
    }

    /// Makes a token of a header and claims as they are.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = match &self.key {
            Key::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message.as_bytes(),
                    &mut signature,
                )
                .expect("a signature");
                signature
            }
        };
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Gives the public half of its key as a key set has it, under this name; panics where there is none.
    pub fn jwk(&self, kid: &str) -> Value {
        let Key::Rsa(pair) = &self.key else {
            panic!("a secret has no public half");
        };
        let key = pair.public_key();
        let number = |it: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(it);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
            "n": number(key.modulus().big_endian_without_leading_zero()),
            "e": number(key.exponent().big_endian_without_leading_zero()),
        })
    }

    /// Gives the public half of its key, in PEM; panics where there is none.
    pub fn public_pem(&self) -> String {
        let Key::Rsa(pair) = &self.key else {
            panic!("a secret has no public half");
        };
        let der = pair.public_key().as_der().expect("a public key");
        let body = BASE64_STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }
}

/// Writes a part of a token.
pub fn part(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// Changes claims; null takes one away.
pub fn changed(mut claims: Value, changes: Value) -> Value {
    let (Value::Object(members), Value::Object(changes)) = (&mut claims, changes) else {
        panic!("claims and changes are objects");
    };
    for (name, value) in changes {
        match value {
            Value::Null => members.remove(&name),
            value => members.insert(name, value),
        };
    }
    claims
}

/// What a token of john@example.com at crossbar claims, with the signature of the identity that the platform computes.
pub fn johns() -> Value {
    json!({
        "iss": "kazoo", "identity_sig": "-jUZYg-21SzGI7vbkWnIKpbR9FJyR5k4qd9xtMBH1CI",
        "account_id": "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b", "owner_id": "8e248327b85591955749e53ea45b6baa",
        "method": "cb_user_auth", "exp": END,
    })
}

/// What a token of opentact@callify.io at opentact claims: a role that the directory does not know him in.
pub fn callifys() -> Value {
    json!({
        "uuid": "0116f6d1-1280-44b2-9134-da48509ec575", "role": "Admin", "iat": 1_603_726_338, "exp": END,
    })
}

/// What the published token of infobip claims, with a later end.
pub fn dd2020s() -> Value {
    json!({
        "sub": "DD2020", "iss": "infobip.com", "exp": END, "iat": 1_633_000_806,
        "jti": "b2bf8821-5971-4b93-aef7-33d003d22167",
    })
}
