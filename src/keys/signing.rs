//! Keys that our own tokens are signed with: RS256 (RFC 7518 §3.3), from files or made for a run.
//!
//! One file may serve several platforms, and a token of one must be nothing on another. So the name
//! of a key, which is part of what is signed, is made of the key *and* the platform, and a key of
//! ours verifies only tokens that name it ([`Key::is_ours`]). What a token claims is decided
//! elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::keys::files::load_private;
use crate::keys::pem::{RsaNumbers, private_rsa_key};
use crate::keys::{Algorithm, Key, KeyProblem, Loaded, Signer, self_test};

/// Digits of a key's name, of 6 bits each.
const KID_DIGITS: usize = 22;

/// Keys that tokens are signed with: the first signs, the others only verify what they signed once.
/// Without any, nothing is signed. Clones share them; shown without anything of them.
#[derive(Clone, Default)]
pub struct SigningKeys(Arc<[SigningKey]>);

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(..)")
    }
}

struct SigningKey {
    pair: KeyPair,
    public: RsaNumbers,
    /// RFC 7638.
    thumbprint: [u8; 32],
}

impl SigningKeys {
    /// Loads private keys, the current one first: PEM files of one RSA key each, `PRIVATE KEY`
    /// (PKCS#8) or `RSA PRIVATE KEY` (PKCS#1), of 2048 bits or more.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: &[PathBuf]) -> Result<Loaded<Self>, Vec<KeyProblem>> {
        let read = |file: &Secret| SigningKey::new(private_rsa_key(file)?);
        let Loaded { keys, warnings } = load_private(files, read, |it| it.thumbprint)?;
        let keys = Self(keys.into());
        Ok(Loaded { keys, warnings })
    }

    /// Makes one key of 2048 bits, which ends with the process. Takes about 100 ms.
    ///
    /// # Errors
    /// Where the cryptography of this build or the system's randomness fails.
    pub fn generate() -> Result<Self, String> {
        let made = KeyPair::generate(KeySize::Rsa2048);
        let key = SigningKey::new(made.map_err(|_| "an RSA key cannot be made".to_owned())?)?;
        Ok(Self([key].into()))
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Signs claims for a platform with the current key: JWS compact serialisation (RFC 7515 §7.1)
    /// under the header that KAZOO writes, member by member. Takes about a millisecond.
    ///
    /// # Errors
    /// A fault where there is no key, or signing fails.
    pub fn sign(&self, platform: &str, claims: &Map<String, Value>) -> Result<String, Fault> {
        let detail = "no key to sign tokens with (`signing.key_files`)";
        let key = self.0.first();
        let key = key.ok_or_else(|| Fault::new(Dependency::Internal, detail))?;
        let header = format!(
            r#"{{"alg":"{}","typ":"JWT","kid":"{}"}}"#,
            Algorithm::Rs256.name(),
            key.kid(platform)
        );
        compact(&header, claims, |message| key.sign(message))
    }

    /// Gives the key set of a platform (RFC 7517 §5), the current key first.
    #[must_use]
    pub fn jwks(&self, platform: &str) -> Value {
        let keys = self.0.iter().map(|it| {
            json!({
                "kty": "RSA",
                "use": "sig",
                "alg": Algorithm::Rs256.name(),
                "kid": it.kid(platform),
                "n": BASE64_URL_SAFE_NO_PAD.encode(&it.public.modulus),
                "e": BASE64_URL_SAFE_NO_PAD.encode(&it.public.exponent),
            })
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// Gives the public halves under their names for a platform.
    #[must_use]
    pub fn verifying(&self, platform: &str) -> Vec<Key> {
        self.0.iter().map(|it| it.verifying(platform)).collect()
    }
}

/// Puts a token together (RFC 7515 §7.1); `sign` gives the signature of a message in base64url.
pub(super) fn compact(
    header: &str,
    claims: &impl Serialize,
    sign: impl FnOnce(&[u8]) -> Option<String>,
) -> Result<String, Fault> {
    let fault = |detail| Fault::new(Dependency::Internal, detail);
    let claims = serde_json::to_vec(claims).map_err(|_| fault("claims cannot be written"))?;
    let part = |it: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(it);
    let message = format!("{}.{}", part(header.as_bytes()), part(&claims));
    let signature = sign(message.as_bytes()).ok_or_else(|| fault("a token cannot be signed"))?;
    Ok(format!("{message}.{signature}"))
}

impl SigningKey {
    /// Takes a key after it has signed something that its public half then verified.
    fn new(pair: KeyPair) -> Result<Self, String> {
        self_test::passed()?;
        let der = pair.public_key().as_der();
        let der = der.map_err(|_| "the public half cannot be had")?;
        let public = RsaNumbers::of(der.as_ref())?;
        let thumbprint = thumbprint(&public);
        let key = Self {
            pair,
            public,
            thumbprint,
        };
        let signature = key.sign(self_test::MESSAGE).unwrap_or_default();
        if !self_test::judges(&key.verifying(""), &signature) {
            return Err("what it signs does not verify: do not use it".to_owned());
        }
        Ok(key)
    }

    /// Gives the signature in base64url.
    fn sign(&self, message: &[u8]) -> Option<String> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .ok()?;
        Some(BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn verifying(&self, platform: &str) -> Key {
        let RsaNumbers { modulus, exponent } = &self.public;
        Key {
            kid: Some(self.kid(platform)),
            algorithm: Algorithm::Rs256,
            decoding: DecodingKey::from_rsa_raw_components(modulus, exponent),
            material: Secret::new([&modulus[..], exponent].concat()),
            signer: Signer::Platforms,
        }
    }

    fn kid(&self, platform: &str) -> String {
        kid(&self.thumbprint, platform)
    }
}

/// Names a key as tokens of this platform do. Each part has its length before it, so that no two
/// run together.
pub(super) fn kid(thumbprint: &[u8; 32], platform: &str) -> String {
    let mut hash = Sha256::new_with_prefix(b"portcullis kid");
    for part in [&thumbprint[..], platform.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut kid = BASE64_URL_SAFE_NO_PAD.encode(hash.finalize());
    kid.truncate(KID_DIGITS);
    kid
}

/// RFC 7638 §3: the required members in the order of their names, without white space.
fn thumbprint(public: &RsaNumbers) -> [u8; 32] {
    let e = BASE64_URL_SAFE_NO_PAD.encode(&public.exponent);
    let n = BASE64_URL_SAFE_NO_PAD.encode(&public.modulus);
    Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{MAX_SIGNING_KEYS, samples};

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

    fn loaded(pems: &[String]) -> Result<SigningKeys, Vec<KeyProblem>> {
        let (_folder, files) = written(pems);
        SigningKeys::load(&files).map(|it| it.keys)
    }

    fn decoded(part: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    #[test]
    fn the_header_is_kazoos_byte_for_byte_and_the_claims_stand_as_given() {
        for keys in [
            loaded(&[samples::private_pem()]).unwrap(),
            loaded(&[samples::private_pem_pkcs1()]).unwrap(),
            SigningKeys::generate().unwrap(),
        ] {
            let claims = json!({ "iss": "kazoo", "b": 1, "a": [2] });
            let token = keys.sign("crossbar", claims.as_object().unwrap()).unwrap();
            let parts: Vec<_> = token.split('.').collect();
            let kid = keys.jwks("crossbar")["keys"][0]["kid"].clone();
            let kid = kid.as_str().unwrap();
            assert_eq!(kid.len(), KID_DIGITS);
            let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#);
            assert_eq!(decoded(parts[0]), header.as_bytes());
            assert_eq!(decoded(parts[1]), br#"{"iss":"kazoo","b":1,"a":[2]}"#);
            let message = format!("{}.{}", parts[0], parts[1]);
            let key = &keys.verifying("crossbar")[0];
            assert!(key.has_signed(message.as_bytes(), parts[2]));
            assert!(!key.has_signed(b"another", parts[2]));
        }
    }

    #[test]
    fn the_key_set_holds_each_public_half_current_first_under_the_names_of_its_platform() {
        let pems = [samples::private_pem(), samples::private_pem()];
        let keys = loaded(&pems).unwrap();
        let set = keys.jwks("p");
        let rows = set["keys"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        for (row, pem) in rows.iter().zip(&pems) {
            let members: Vec<_> = row.as_object().unwrap().keys().collect();
            assert_eq!(members, ["kty", "use", "alg", "kid", "n", "e"]);
            assert_eq!(row["e"], "AQAB");
            // Signed by the file's key, verified by what is published alone.
            let signature = samples::Maker::with_rsa_pem(pem).sign(b"message");
            let part = |name: &str| row[name].as_str().unwrap();
            let published = DecodingKey::from_rsa_components(part("n"), part("e")).unwrap();
            let algorithm = jsonwebtoken::Algorithm::RS256;
            let verified =
                jsonwebtoken::crypto::verify(&signature, b"message", &published, algorithm);
            assert!(verified.unwrap());
            assert_eq!(decoded(part("n")).len(), 256);
        }
        let kids = |platform: &str| -> Vec<_> {
            let set = keys.jwks(platform);
            let rows = set["keys"].as_array().unwrap().clone();
            rows.into_iter().map(|it| it["kid"].clone()).collect()
        };
        assert_eq!(kids("p"), kids("p"));
        let all = [kids("p"), kids("q")].concat();
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn a_key_is_known_by_its_thumbprint() {
        // RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6\
                 tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5\
                 v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD0\
                 8qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU\
                 8awapJzKnqDKgw";
        let public = RsaNumbers {
            modulus: decoded(n),
            exponent: vec![1, 0, 1],
        };
        let want = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(thumbprint(&public)), want);
    }

    #[test]
    fn files_that_hold_no_usable_key_are_refused_in_words() {
        let good = samples::private_pem();
        let public = samples::Maker::new(Algorithm::Rs256).public_pem();
        let broken = samples::pem("PRIVATE KEY", "AAAA");
        for (name, pem, want) in [
            ("a public key", public, "public key"),
            (
                "a key on a curve",
                samples::ec_private_pem(),
                "not an RSA key",
            ),
            (
                "the same as SEC 1",
                samples::pem("EC PRIVATE KEY", "AAAA"),
                "not an RSA key",
            ),
            (
                "1024 bits",
                samples::short_private_pem(),
                "2048 to 8192 bits",
            ),
            (
                "a certificate",
                samples::pem("CERTIFICATE", "AAAA"),
                "certificate",
            ),
            (
                "encrypted",
                samples::pem("ENCRYPTED PRIVATE KEY", "AAAA"),
                "encrypted",
            ),
            ("garbage", "hello".to_owned(), "not one PEM block"),
            ("garbage in a block", broken, "not an RSA key"),
            (
                "garbage in the other",
                samples::pem("RSA PRIVATE KEY", "AAAA"),
                "damaged",
            ),
            (
                "cut off",
                good[..good.len() - 40].to_owned(),
                "not one PEM block",
            ),
            ("two keys", format!("{good}{good}"), "not one PEM block"),
            ("nothing", String::new(), "not one PEM block"),
            ("endless", "A".repeat(20_000), "longer than any key"),
        ] {
            let problems = loaded(&[good.clone(), pem]).unwrap_err();
            assert_eq!(problems.len(), 1, "{name}: {problems:?}");
            assert_eq!(problems[0].index, 1, "{name}");
            assert!(problems[0].message.contains(want), "{name}: {problems:?}");
            assert!(!problems[0].message.contains(&good[40..60]), "{name}");
        }
        let missing = SigningKeys::load(&["/nonexistent".into()]).unwrap_err();
        assert!(missing[0].message.contains("cannot be read"), "{missing:?}");
        let twice = loaded(&[good.clone(), good]).unwrap_err();
        assert!(twice[0].message.contains("another file"), "{twice:?}");
        let many: Vec<_> = (0..=MAX_SIGNING_KEYS)
            .map(|_| samples::private_pem())
            .collect();
        let many = loaded(&many).unwrap_err();
        assert_eq!((many.len(), many[0].index), (1, MAX_SIGNING_KEYS));
    }

    #[test]
    fn nothing_of_a_key_is_printed_and_nothing_is_signed_without_one() {
        let keys = SigningKeys::generate().unwrap();
        assert_eq!(format!("{keys:?}"), "SigningKeys(..)");
        let none = SigningKeys::default();
        assert!(none.is_empty());
        let fault = none.sign("p", &Map::new()).unwrap_err();
        assert_eq!(fault.dependency(), Dependency::Internal);
    }
}
