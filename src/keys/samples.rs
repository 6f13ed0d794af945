//! Keys for tests, made anew each time, so that no private key stands in the repository.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use super::{Algorithm, RawKey};

/// The public half of an RSA key that is too short.
pub(crate) const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDusREsOlT321PJft27SpfYZSZd
iJ27ocY3VUVrYm215bKbC2byvfZZUhkE2aKgt0sKAtj5Q7o3Wcg/OhKICwbZAfOp
Sy7Vmol4f14GCH4qqSDjYCf6VUDbej152xvXhe6tOpuoVGm4qRY1jGd6luIlI7AX
+DtwpNZNYBFJKEpucQIDAQAB
-----END PUBLIC KEY-----\n";

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
