//! Keys under which tokens are verified: each fixed to one algorithm, by the configuration.
//!
//! A token never chooses: its `alg` is compared with the key's, its `kid` picks among the keys of
//! one scheme, and neither leads to a file, a URL or another scheme's keys (RFC 8725 §3.1, §3.10).
//! Nothing here reads a token; it answers whether a signature over some bytes is this key's.
//! [`Keys`] can be had only after a self-test has passed, so a build whose cryptography does not
//! work refuses its configuration instead of a request.

pub mod asserting;
mod fetch;
mod files;
pub mod hmac;
mod jwks;
pub mod made;
mod pem;
pub mod remote;
mod self_test;
pub mod sets;
pub mod signing;

use std::fmt;
use std::path::Path;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::verify;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::Secret;
use crate::keys::files::load;

pub use fetch::Source;
pub use files::{Loaded, MAX_SIGNING_KEYS};
pub use jwks::MAX_SET_KEYS;

/// How many keys a scheme may have: what a token without `kid` costs at most.
pub const MAX_KEYS: usize = 8;

/// The shortest HMAC key taken, in bytes: as long as the hash's output (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The longest name of a key, in bytes.
pub const MAX_KID_BYTES: usize = 128;

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1): a closed list without `none`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    const ALL: [Self; 7] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Hs256,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// Gives the algorithm of this name, spelled exactly (RFC 7515 §4.1.1).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Gives the name that a token's `alg` says.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    fn implemented(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
        }
    }
}

/// A key as a configuration writes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKey {
    /// What tokens call it (RFC 7515 §4.1.4). A key without a name verifies only tokens that name
    /// none.
    pub kid: Option<String>,
    /// The one algorithm it is used with.
    pub algorithm: Algorithm,
    /// PEM file of a public key (`BEGIN PUBLIC KEY`), for every algorithm but HS256; relative to
    /// the configuration file.
    pub public_key_file: Option<String>,
    /// File of a secret of 32 bytes or more, for HS256; one line feed at its end does not count.
    pub secret_file: Option<String>,
}

/// What is wrong with a key of the configuration.
#[derive(Debug, Eq, PartialEq)]
pub struct KeyProblem {
    /// Its place in the list.
    pub index: usize,
    /// The key of the setting, empty for the whole.
    pub setting: &'static str,
    /// What is wrong and what to do, without anything of the key.
    pub message: String,
}

/// A key fixed to its algorithm.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    /// Tells it from any other key of the algorithm: the secret, or the public key.
    material: Secret,
    signer: Signer,
}

/// Who signs with a key, and so what a token under it must say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signer {
    /// An issuer.
    Issuer,
    /// We, for a platform and nobody else.
    Platform,
    /// We, for several platforms: the key's name alone binds it to one, so a token must say it.
    Platforms,
    /// We for a platform, and an issuer of tokens for it that do not say their generations.
    Shared,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ..)", self.algorithm.name())
    }
}

impl Key {
    /// Tells whether `signature` (base64url without padding) over `message` was made with it.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        verify(
            signature,
            message,
            &self.decoding,
            self.algorithm.implemented(),
        )
        .unwrap_or(false)
    }

    /// What a proof made with this key depends on besides the token.
    #[must_use]
    pub fn identity(&self) -> [&[u8]; 2] {
        [self.algorithm.name().as_bytes(), self.material.expose()]
    }

    /// Tells whether tokens are signed with it here and nowhere else.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self.signer, Signer::Platform | Signer::Platforms)
    }

    /// Tells whether tokens may be signed with it here: an issuer may have it too.
    #[must_use]
    pub fn may_be_ours(&self) -> bool {
        self.signer != Signer::Issuer
    }

    /// Tells whether it is this secret.
    fn is_secret(&self, secret: &Secret) -> bool {
        self.algorithm == Algorithm::Hs256 && self.material == *secret
    }

    /// Tells whether it may have made a token that names this key, or none.
    fn goes_by(&self, kid: Option<&str>) -> bool {
        let named = self.kid.as_deref() == kid;
        match self.signer {
            Signer::Issuer => named || kid.is_none(),
            Signer::Platforms => named,
            // A secret that no other platform has; what others call it is not ours to say.
            Signer::Platform | Signer::Shared => true,
        }
    }
}

/// The keys of one scheme; [`MAX_KEYS`] at most.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Loads keys; files are relative to `base`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(raw: &[RawKey], base: &Path) -> Result<Self, Vec<KeyProblem>> {
        if let Err(message) = self_test::passed() {
            return Err(vec![KeyProblem::new(0, "", message)]);
        }
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        for (index, key) in raw.iter().enumerate() {
            match load(key, base) {
                Ok(key) => keys.push(key),
                Err((setting, message)) => problems.push(KeyProblem::new(index, setting, message)),
            }
            if key.kid.is_some() && raw[..index].iter().any(|it| it.kid == key.kid) {
                problems.push(KeyProblem::new(index, "kid", "another key has this name"));
            }
        }
        if raw.len() > MAX_KEYS {
            let message = format!("at most {MAX_KEYS} keys; leave retired ones out");
            problems.push(KeyProblem::new(MAX_KEYS, "", message));
        }
        if problems.is_empty() {
            Ok(Self(keys))
        } else {
            Err(problems)
        }
    }

    /// Gives these keys and `more`, which are not counted against [`MAX_KEYS`].
    #[must_use]
    pub fn and(mut self, more: Vec<Key>) -> Self {
        self.0.extend(more);
        self
    }

    /// Gives the keys that may have made a token: the one it names, or where it names none, each of
    /// the algorithm; and the platform's own secrets in any case.
    pub fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        self.0
            .iter()
            .filter(move |it| it.algorithm == algorithm)
            .filter(move |it| it.goes_by(kid))
    }

    /// Gives each, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Gives the algorithm of each key, in the order of the configuration.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.iter().map(|it| it.algorithm)
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl KeyProblem {
    fn new(index: usize, setting: &'static str, message: impl Into<String>) -> Self {
        Self {
            index,
            setting,
            message: message.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::samples::Maker;
    use super::*;

    fn loaded(keys: &[RawKey]) -> Result<Keys, Vec<(usize, &'static str)>> {
        let place = |it: KeyProblem| (it.index, it.setting);
        Keys::load(keys, Path::new("/")).map_err(|found| found.into_iter().map(place).collect())
    }

    #[test]
    fn each_algorithm_verifies_its_own_signatures_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let makers = Algorithm::ALL.map(Maker::new);
        let raw: Vec<_> = makers
            .iter()
            .map(|it| it.raw(folder.path(), None))
            .collect();
        let keys = loaded(&raw).unwrap();
        for (maker, key) in makers.iter().zip(&keys.0) {
            let name = key.algorithm.name();
            let signature = maker.sign(b"message");
            assert!(key.has_signed(b"message", &signature), "{name}");
            assert!(!key.has_signed(b"massage", &signature), "{name}");
            assert!(!key.has_signed(b"message", ""), "{name}");
            assert!(!key.has_signed(b"message", "A A"), "{name}");
            assert!(!key.has_signed(b"message", &"A".repeat(86)), "{name}");
            for other in keys.0.iter().filter(|it| it.algorithm != key.algorithm) {
                assert!(!other.has_signed(b"message", &signature), "{name}");
            }
        }
    }

    #[test]
    fn a_token_picks_by_name_only_among_keys_of_its_algorithm() {
        let folder = tempfile::tempdir().unwrap();
        let one = Maker::new(Algorithm::Hs256).raw(folder.path(), Some("one"));
        let two = Maker::new(Algorithm::Hs256).raw(folder.path(), None);
        let three = Maker::new(Algorithm::Es256).raw(folder.path(), Some("three"));
        let keys = loaded(&[one, two, three]).unwrap();
        let count = |kid, algorithm| keys.candidates(kid, algorithm).count();
        assert_eq!(count(Some("one"), Algorithm::Hs256), 1);
        assert_eq!(count(Some("one"), Algorithm::Es256), 0);
        assert_eq!(count(Some("none"), Algorithm::Hs256), 0);
        assert_eq!(count(Some("../../etc/passwd"), Algorithm::Hs256), 0);
        assert_eq!(count(None, Algorithm::Hs256), 2);
        assert_eq!(count(None, Algorithm::Rs256), 0);
    }

    #[test]
    fn keys_that_cannot_be_used_safely_are_refused_at_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let public = |algorithm, file| RawKey {
            kid: None,
            algorithm,
            public_key_file: Some(file),
            secret_file: None,
        };
        let secret = |file| RawKey {
            kid: None,
            algorithm: Algorithm::Hs256,
            public_key_file: None,
            secret_file: Some(file),
        };
        let pem = |maker: &Maker| maker.public_pem().into_bytes();
        let ec = Maker::new(Algorithm::Es256);
        let cases = [
            (
                "a short secret",
                secret(file("a", &[b'k'; 31])),
                "secret_file",
            ),
            (
                "a short secret and a line feed",
                secret(file("b", &[&[b'k'; 31][..], b"\n"].concat())),
                "secret_file",
            ),
            (
                "a public key as a secret",
                secret(file("c", &pem(&ec))),
                "secret_file",
            ),
            ("no file", secret("/nonexistent".to_owned()), "secret_file"),
            (
                "a huge file",
                secret(file("d", &[b'k'; 20_000])),
                "secret_file",
            ),
            (
                "a public key for HS256",
                public(Algorithm::Hs256, file("e", &pem(&ec))),
                "",
            ),
            (
                "another curve",
                public(Algorithm::Es384, file("f", &pem(&ec))),
                "public_key_file",
            ),
            (
                "another family",
                public(Algorithm::Rs256, file("g", &pem(&ec))),
                "public_key_file",
            ),
            (
                "RSA of 1024 bits",
                public(Algorithm::Rs256, file("h", samples::RSA_1024.as_bytes())),
                "public_key_file",
            ),
            (
                "a private key",
                public(
                    Algorithm::Es256,
                    file(
                        "i",
                        b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
                    ),
                ),
                "public_key_file",
            ),
            (
                "two keys",
                public(Algorithm::Es256, file("j", &[pem(&ec), pem(&ec)].concat())),
                "public_key_file",
            ),
            (
                "no PEM",
                public(Algorithm::Es256, file("k", b"hello")),
                "public_key_file",
            ),
        ];
        for (name, raw, setting) in cases {
            assert_eq!(loaded(&[raw]).unwrap_err(), [(0, setting)], "{name}");
        }
        let good = |it: usize| secret(file(&format!("good-{it}"), &[b'k'; 32]));
        let many: Vec<_> = (0..=MAX_KEYS).map(good).collect();
        assert_eq!(loaded(&many).unwrap_err(), [(MAX_KEYS, "")]);
        let twins = [good(0), good(1)].map(|it| RawKey {
            kid: Some("k".into()),
            ..it
        });
        assert_eq!(loaded(&twins).unwrap_err(), [(1, "kid")]);
    }

    #[test]
    fn a_private_key_is_refused_in_words_and_nothing_of_a_key_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n").unwrap();
        let raw = RawKey {
            kid: None,
            algorithm: Algorithm::Rs256,
            public_key_file: Some(path.display().to_string()),
            secret_file: None,
        };
        let problems = Keys::load(&[raw], Path::new("/")).unwrap_err();
        assert!(problems[0].message.contains("private key"), "{problems:?}");
        assert!(!problems[0].message.contains("MIIE"));

        let raw = Maker::new(Algorithm::Hs256).raw(folder.path(), None);
        let keys = loaded(&[raw]).unwrap();
        assert_eq!(format!("{keys:?}"), "Keys([Key(HS256, ..)])");
    }
}
