//! Keys that assertions for upstreams are signed with: ES256 (RFC 7518 §3.4) or `EdDSA` (RFC 8037
//! §3.1), from files or made for a run.
//!
//! Kept apart from those that tokens of clients are signed with, so that neither kind can be taken
//! for the other. One file may serve several platforms: the name of a key is made of the key *and*
//! the platform, and stands in the key set of that platform alone. What an assertion says is
//! decided elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::keys::files::load_private;
use crate::keys::pem::{CurvePair, private_curve_key};
use crate::keys::signing::{compact, kid};
use crate::keys::{Algorithm, Key, KeyProblem, Loaded, Signer, self_test};

/// The `typ` of every assertion (RFC 8725 §3.11): no verifier that asks for one takes an assertion
/// for a token of another kind, or the other way round.
pub const TYPE: &str = "portcullis-assertion+jwt";

/// Keys that assertions are signed with: the first signs, the others only stay in the key sets for
/// what they signed once. Without any, nothing is signed. Clones share them; shown without anything
/// of them.
#[derive(Clone, Default)]
pub struct AssertionKeys(Arc<[AssertionKey]>);

impl fmt::Debug for AssertionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AssertionKeys(..)")
    }
}

struct AssertionKey {
    pair: CurvePair,
    /// RFC 7638.
    thumbprint: [u8; 32],
}

impl AssertionKeys {
    /// Loads private keys, the current one first: PEM files of one key each, `PRIVATE KEY` (PKCS#8),
    /// on P-256 or of Ed25519.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: &[PathBuf]) -> Result<Loaded<Self>, Vec<KeyProblem>> {
        let read = |file: &Secret| AssertionKey::new(private_curve_key(file)?);
        let Loaded { keys, warnings } = load_private(files, read, |it| it.thumbprint)?;
        let keys = Self(keys.into());
        Ok(Loaded { keys, warnings })
    }

    /// Makes one key on P-256, which ends with the process.
    ///
    /// # Errors
    /// Where the cryptography of this build or the system's randomness fails.
    pub fn generate() -> Result<Self, String> {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let made = made.map_err(|_| "a key on P-256 cannot be made".to_owned())?;
        Ok(Self([AssertionKey::new(CurvePair::P256(made))?].into()))
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Signs claims for a platform with the current key: JWS compact serialisation (RFC 7515 §7.1).
    /// Takes some tens of microseconds.
    ///
    /// # Errors
    /// A fault where there is no key, or signing fails.
    pub fn sign(&self, platform: &str, claims: &impl Serialize) -> Result<Secret, Fault> {
        let detail = "no key to sign assertions with (`signing.assertion_key_files`)";
        let key = self.0.first();
        let key = key.ok_or_else(|| Fault::new(Dependency::Internal, detail))?;
        let header = format!(
            r#"{{"alg":"{}","typ":"{TYPE}","kid":"{}"}}"#,
            key.algorithm().name(),
            kid(&key.thumbprint, platform)
        );
        let token = compact(&header, claims, |message| key.sign(message))?;
        Ok(Secret::new(token.into_bytes()))
    }

    /// Gives the key set of a platform (RFC 7517 §5), the current key first.
    #[must_use]
    pub fn jwks(&self, platform: &str) -> Value {
        let keys = self.0.iter().map(|it| {
            let mut jwk = public_jwk(&it.pair);
            jwk["use"] = "sig".into();
            jwk["alg"] = it.algorithm().name().into();
            jwk["kid"] = kid(&it.thumbprint, platform).into();
            jwk
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }
}

impl AssertionKey {
    /// Takes a key after it has signed something that its public half then verified.
    fn new(pair: CurvePair) -> Result<Self, String> {
        self_test::passed()?;
        let thumbprint = Sha256::digest(public_jwk(&pair).to_string()).into();
        let key = Self { pair, thumbprint };
        let signature = key.sign(self_test::MESSAGE).unwrap_or_default();
        if !self_test::judges(&key.verifying(), &signature) {
            return Err("what it signs does not verify: do not use it".to_owned());
        }
        Ok(key)
    }

    fn algorithm(&self) -> Algorithm {
        match &self.pair {
            CurvePair::P256(_) => Algorithm::Es256,
            CurvePair::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Gives the signature in base64url.
    fn sign(&self, message: &[u8]) -> Option<String> {
        let signature = match &self.pair {
            CurvePair::P256(pair) => pair.sign(&SystemRandom::new(), message).ok()?,
            CurvePair::Ed25519(pair) => pair.sign(message),
        };
        Some(BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn verifying(&self) -> Key {
        let (decoding, public) = match &self.pair {
            CurvePair::P256(pair) => {
                let point = pair.public_key().as_ref();
                (DecodingKey::from_ec_der(point), point)
            }
            CurvePair::Ed25519(pair) => {
                let point = pair.public_key().as_ref();
                (DecodingKey::from_ed_der(point), point)
            }
        };
        Key {
            kid: None,
            algorithm: self.algorithm(),
            decoding,
            material: Secret::new(public),
            signer: Signer::Issuer,
        }
    }
}

/// Gives the members of a key that make it up, in the order of their names (RFC 7638 §3.2, RFC 8037
/// §2).
fn public_jwk(pair: &CurvePair) -> Value {
    let part = |it: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(it);
    match pair {
        CurvePair::P256(pair) => {
            // Uncompressed (SEC 1 §2.3.3): a byte that says so, then both coordinates.
            let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
            json!({ "crv": "P-256", "kty": "EC", "x": part(x), "y": part(y) })
        }
        CurvePair::Ed25519(pair) => {
            let x = part(pair.public_key().as_ref());
            json!({ "crv": "Ed25519", "kty": "OKP", "x": x })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{MAX_SIGNING_KEYS, jwks, samples};

    const BOTH: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

    fn written(pems: &[String]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let write = |(index, pem): (usize, &String)| {
            let path = folder.path().join(format!("{index}.pem"));
            std::fs::write(&path, pem).unwrap();
            path
        };
        let files = pems.iter().enumerate().map(write).collect();
        (folder, files)
    }

    fn load(pems: &[String]) -> Result<AssertionKeys, Vec<KeyProblem>> {
        let (_folder, files) = written(pems);
        AssertionKeys::load(&files).map(|it| it.keys)
    }

    fn sign(keys: &AssertionKeys, platform: &str) -> String {
        let token = keys.sign(platform, &json!({ "sub": "ada" })).unwrap();
        token.expose_str().unwrap().to_owned()
    }

    fn header(token: &str) -> Value {
        let header = token.split('.').next().unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
    }

    /// Tells whether the key set of this platform verifies a token under the key that it names.
    fn verifies(keys: &AssertionKeys, platform: &str, token: &str) -> bool {
        let set = jwks::read(keys.jwks(platform).to_string().as_bytes(), &BOTH).unwrap();
        let header = header(token);
        let algorithm = Algorithm::parse(header["alg"].as_str().unwrap()).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        set.candidates(header["kid"].as_str(), algorithm)
            .any(|it| it.has_signed(message.as_bytes(), signature))
    }

    #[test]
    fn either_kind_of_key_signs_what_the_key_set_of_its_platform_verifies_and_no_others() {
        for (pem, algorithm) in [
            (samples::ec_private_pem(), "ES256"),
            (samples::ed_private_pem(), "EdDSA"),
        ] {
            let keys = load(&[pem]).unwrap();
            let token = sign(&keys, "p");
            let header = header(&token);
            assert_eq!(header["alg"], algorithm);
            assert_eq!(header["typ"], "portcullis-assertion+jwt");
            assert!(verifies(&keys, "p", &token), "{algorithm}");
            assert!(!verifies(&keys, "q", &token), "{algorithm}");
            assert!(!verifies(&keys, "p", &token.replacen('.', ".x", 1)));
        }
    }

    #[test]
    fn the_first_signs_and_what_a_later_one_signed_still_verifies() {
        let [old, new] = [samples::ed_private_pem(), samples::ec_private_pem()];
        let before = load(std::slice::from_ref(&old)).unwrap();
        let token = sign(&before, "p");
        let overlapping = load(&[new.clone(), old]).unwrap();
        assert_eq!(header(&sign(&overlapping, "p"))["alg"], "ES256");
        assert!(verifies(&overlapping, "p", &token));
        assert!(!verifies(&load(&[new]).unwrap(), "p", &token));
    }

    #[test]
    fn a_key_is_named_in_a_key_set_by_its_public_members_alone() {
        let keys = load(&[samples::ec_private_pem(), samples::ed_private_pem()]).unwrap();
        let set = keys.jwks("p");
        let members: Vec<Vec<&str>> = set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_object().unwrap().keys().map(String::as_str).collect())
            .collect();
        let want: [&[&str]; 2] = [
            &["crv", "kty", "x", "y", "use", "alg", "kid"],
            &["crv", "kty", "x", "use", "alg", "kid"],
        ];
        assert_eq!(members, want);
        assert_eq!(format!("{keys:?}"), "AssertionKeys(..)");
    }

    #[test]
    fn what_is_no_key_to_sign_with_is_told_of() {
        let sec1 = samples::pem("EC PRIVATE KEY", "MHcCAQEE");
        let damaged = samples::ec_private_pem().replace("MIG", "MIH");
        let encrypted = samples::pem("ENCRYPTED PRIVATE KEY", "MHcCAQEE");
        for (pem, want) in [
            (samples::private_pem(), "neither a key on the curve P-256"),
            (samples::private_pem_pkcs1(), "neither a key on the curve"),
            (samples::p384_private_pem(), "neither a key on the curve"),
            (
                samples::Maker::new(Algorithm::Es256).public_pem(),
                "public key",
            ),
            (sec1, "pkcs8 -topk8"),
            (damaged, "damaged"),
            (encrypted, "encrypted"),
            ("junk".to_owned(), "not one PEM block"),
        ] {
            let problems = load(&[samples::ec_private_pem(), pem]).unwrap_err();
            assert_eq!((problems.len(), problems[0].index), (1, 1), "{problems:?}");
            let message = &problems[0].message;
            assert!(message.contains(want), "{want}: {message}");
        }
        let pem = samples::ed_private_pem();
        let twice = load(&[pem.clone(), pem]).unwrap_err();
        assert!(twice[0].message.contains("another file"), "{twice:?}");
        let many: Vec<_> = (0..=MAX_SIGNING_KEYS)
            .map(|_| samples::ed_private_pem())
            .collect();
        assert_eq!(load(&many).unwrap_err()[0].index, MAX_SIGNING_KEYS);
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let none = AssertionKeys::default();
        let fault = none.sign("p", &json!({})).unwrap_err();
        assert!(fault.to_string().contains("assertion_key_files"));
        assert!(!AssertionKeys::generate().unwrap().is_empty());
    }
}
