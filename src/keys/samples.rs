//! Keys for tests, made anew each time, so that no private key that could be of use stands in the
//! repository.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use serde_json::{Value, json};

use super::pem::RsaNumbers;
use super::{Algorithm, RawKey};

/// The public half of an RSA key that is too short.
pub(crate) const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDusREsOlT321PJft27SpfYZSZd
iJ27ocY3VUVrYm215bKbC2byvfZZUhkE2aKgt0sKAtj5Q7o3Wcg/OhKICwbZAfOp
Sy7Vmol4f14GCH4qqSDjYCf6VUDbej152xvXhe6tOpuoVGm4qRY1jGd6luIlI7AX
+DtwpNZNYBFJKEpucQIDAQAB
-----END PUBLIC KEY-----\n";

/// A private RSA key that is too short (PKCS#1), which the library does not make.
const RSA_1024_PRIVATE: &str = "\
MIICXAIBAAKBgQDXdWcgCP+OU8WU+VAGQng2/91vfbvX5xSYQN4oUXat2+Y1K5JS
dcWfFJXy2K+YUIUajjLdSF797GmW7ZExgGEomix+KgY9lmwt7N418wIZP6b9k0XJ
TrOVSASpmfU3VaXTZhfPUnLvvqBZ/LynNSiGkeIR3BqfY1zMqZ+lGqZwiwIDAQAB
AoGBAMBklJ6VimX0RhV9/shoKGKsXXZGJytmrAw8uGP2QmyDVPCbpMA/bCVeQ3uj
pED1fbW1zpOsIS7LIYplPuaeBaKP/cGaqQe7xYjBlm6VXkwMScXlzqj34iV4f7+a
pCdObsmoPlAgfJVpyMVEVevgg8rvaAFWEvq4occhTnYUXAH5AkEA/7KQvAiw9cmN
40yzRr6orjxvidYT0n4r3Q+E5jujCl7A1l6zR+9OTsBbDagmX0b3NuxvjD180Tj5
/oEWE4ajxQJBANe2ptGtlyzeC8fd8x2qAJvjukTtVjTMgENS3Lau4kRUnHaEcX5O
9A552eCHmYlOlEnzo/Bd/J1zQHEUj7Bs+A8CQBsLtCtvb+hPjWaBcmUFPapQUivu
LOKS3ejf/1qq7C/ondUO5z+wnEPQLNFg+84QH437rEDVMCKhODAnT0J5d1ECQAFf
XyZcZWbartaBugdJSqGzTD8eB3tkhbhn8ZGUAUqQA0LZyuMT24ewDMvZ8Qcnodfq
nfNslavmzNUrXVKxDs8CQC8gCzd+7ewu3ZPSPEEdHp6qPOpAGTTybPkf8agyUktE
6iV4UyU4PrmhjTXk3bfamFfkGYKLyzlbLWJy87QMlO4=";

/// Gives a new private RSA key of 2048 bits, as PKCS#8.
pub(crate) fn private_pem() -> String {
    pem("PRIVATE KEY", &BASE64_STANDARD.encode(private_der()))
}

/// Gives one as PKCS#1, which stands in PKCS#8 behind 26 bytes.
pub(crate) fn private_pem_pkcs1() -> String {
    pem(
        "RSA PRIVATE KEY",
        &BASE64_STANDARD.encode(&private_der()[26..]),
    )
}

/// Gives one that is too short.
pub(crate) fn short_private_pem() -> String {
    pem("RSA PRIVATE KEY", RSA_1024_PRIVATE)
}

/// Gives a private key on a curve, as PKCS#8.
pub(crate) fn ec_private_pem() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    pem("PRIVATE KEY", &BASE64_STANDARD.encode(der.as_ref()))
}

/// Gives one of Ed25519, as OpenSSL writes it (RFC 8410 §7).
pub(crate) fn ed_private_pem() -> String {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    let mut seed = [0; 32];
    rand::fill(&mut seed).unwrap();
    der.extend(seed);
    pem("PRIVATE KEY", &BASE64_STANDARD.encode(der))
}

/// Gives one on a curve that is not taken.
pub(crate) fn p384_private_pem() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    pem("PRIVATE KEY", &BASE64_STANDARD.encode(der.as_ref()))
}

/// Puts a block together.
pub(crate) fn pem(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn private_der() -> Vec<u8> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    der.as_ref().to_vec()
}

/// Signs as an issuer would.
pub(crate) struct Maker {
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    Secret(Vec<u8>),
}

impl Maker {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::EdDsa => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Es256 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::Es384 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
            }
            Algorithm::Hs256 => {
                let mut secret = vec![0; 32];
                rand::fill(&mut secret).unwrap();
                // A file may end in a line feed, which does not count.
                secret[31] = b'k';
                Pair::Secret(secret)
            }
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
            }
        };
        Self { algorithm, pair }
    }

    /// Takes the key of a file that [`private_pem`] made.
    pub(crate) fn with_rsa_pem(pem: &str) -> Self {
        let body: String = pem.lines().filter(|it| !it.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(body).unwrap();
        Self {
            algorithm: Algorithm::Rs256,
            pair: Pair::Rsa(RsaKeyPair::from_pkcs8(&der).unwrap()),
        }
    }

    pub(crate) fn with_secret(secret: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::Hs256,
            pair: Pair::Secret(secret.to_vec()),
        }
    }

    /// Writes the half that a verifier needs, and gives the setting for it.
    pub(crate) fn raw(&self, folder: &Path, kid: Option<&str>) -> RawKey {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("sample-{number}"));
        let file = Some(path.display().to_string());
        let (public_key_file, secret_file) = match &self.pair {
            Pair::Secret(secret) => {
                std::fs::write(&path, secret).unwrap();
                (None, file)
            }
            Pair::Ec(_) | Pair::Ed(_) | Pair::Rsa(_) => {
                std::fs::write(&path, self.public_pem()).unwrap();
                (file, None)
            }
        };
        RawKey {
            kid: kid.map(str::to_owned),
            algorithm: self.algorithm,
            public_key_file,
            secret_file,
        }
    }

    pub(crate) fn public_pem(&self) -> String {
        let der = match &self.pair {
            Pair::Ec(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Secret(_) => panic!("a secret has no public half"),
        };
        let body = BASE64_STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    /// Gives the public half as a key set has it (RFC 7517 §4), under this name.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let part = |it: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(it);
        let mut jwk = match &self.pair {
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": crv, "x": part(x), "y": part(y) })
            }
            Pair::Ed(pair) => {
                let x = part(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
            Pair::Rsa(pair) => {
                let der = pair.public_key().as_der().unwrap();
                let RsaNumbers { modulus, exponent } = RsaNumbers::of(der.as_ref()).unwrap();
                json!({ "kty": "RSA", "n": part(&modulus), "e": part(&exponent) })
            }
            Pair::Secret(secret) => json!({ "kty": "oct", "k": part(secret) }),
        };
        jwk["kid"] = kid.into();
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Gives the signature in base64url.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let random = SystemRandom::new();
        let bytes = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding = match self.algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        };
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Makes a token of this header and these claims, both as they are to be signed.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let part = |it: &str| BASE64_URL_SAFE_NO_PAD.encode(it);
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{signature}")
    }
}
