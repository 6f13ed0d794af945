//! Secrets that a platform's own HS256 tokens are signed with (RFC 7518 §3.2): derived from the
//! peppers, or out of files, where an issuer that is there already signs with them too.
//!
//! They are one platform's alone, and so bind its tokens to it whatever a token calls its key. Under
//! a derived one, every token is ours and says its generations; under a shared one, the other
//! issuer's do not, so there the claim counts where it is made.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac as _};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::directory::pepper::Peppers;
use crate::keys::files::read_secret;
use crate::keys::signing::compact;
use crate::keys::{Algorithm, Key, KeyProblem, Keys, MAX_SIGNING_KEYS, Signer, self_test};

/// What the keys are derived from the peppers for.
const PURPOSE: &[u8] = b"HS256 tokens";

/// Digits of a key's name, of 6 bits each: as many as the names have that are published.
const KID_DIGITS: usize = 8;

/// The secrets of one platform: the first signs, the others only verify what they signed once.
/// Without any, nothing is signed. Clones share them; shown without anything of them.
#[derive(Clone, Default)]
pub struct HmacKeys(Arc<[HmacKey]>);

impl fmt::Debug for HmacKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKeys(..)")
    }
}

struct HmacKey {
    secret: Secret,
    shared: bool,
}

/// What the header of a token says (RFC 7515 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// `{"alg":"HS256","typ":"JWT"}`.
    Bare,
    /// The same behind `kid`, the name of the key: `{"kid":"…","typ":"JWT","alg":"HS256"}`.
    Named,
}

impl HmacKeys {
    /// Derives a platform's keys: one of each pepper, so that what was signed under the one before
    /// stays good as long as that is in force.
    ///
    /// # Errors
    /// Where the cryptography of this build does not work.
    pub fn derived(peppers: &Peppers, platform: &str) -> Result<Self, String> {
        let secrets = peppers.keys(PURPOSE, platform.as_bytes()).into_iter();
        secrets.map(|it| HmacKey::new(it, false)).collect()
    }

    /// Loads a platform's keys, the current one first: files of a secret of 32 bytes or more each,
    /// one line feed at whose end does not count.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: &[PathBuf]) -> Result<Self, Vec<KeyProblem>> {
        let problem = |index, message: &str| KeyProblem::new(index, "", message);
        let mut keys: Vec<HmacKey> = Vec::new();
        let mut problems = Vec::new();
        for (index, file) in files.iter().enumerate().take(MAX_SIGNING_KEYS) {
            match read_secret(file).and_then(|it| HmacKey::new(it, true)) {
                Ok(key) if keys.iter().any(|it| it.secret == key.secret) => {
                    problems.push(problem(index, "another file holds this key"));
                }
                Ok(key) => keys.push(key),
                Err(message) => problems.push(problem(index, &message)),
            }
        }
        if files.len() > MAX_SIGNING_KEYS {
            let message = format!(
                "at most {MAX_SIGNING_KEYS} keys; leave out those whose tokens have all ended"
            );
            problems.push(problem(MAX_SIGNING_KEYS, &message));
        }
        if problems.is_empty() {
            Ok(Self(keys.into()))
        } else {
            Err(problems)
        }
    }

    /// Tells whether some secret is also one of the other platform's, on which its tokens would then
    /// be good.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let theirs = |key: &HmacKey| other.0.iter().any(|it| it.secret == key.secret);
        self.0.iter().any(theirs)
    }

    /// Tells whether some secret is also among `keys`, under which its tokens would then be good.
    #[must_use]
    pub fn are_among(&self, keys: &Keys) -> bool {
        let mut mine = self.0.iter();
        mine.any(|it| keys.iter().any(|key| key.is_secret(&it.secret)))
    }

    /// Signs claims with the current key: JWS compact serialisation (RFC 7515 §7.1).
    ///
    /// # Errors
    /// A fault where there is no key.
    pub fn sign(&self, header: Header, claims: &Map<String, Value>) -> Result<String, Fault> {
        let detail = "no secret to sign tokens with: the platform issues none (`issue`)";
        let key = self.0.first();
        let key = key.ok_or_else(|| Fault::new(Dependency::Internal, detail))?;
        let alg = Algorithm::Hs256.name();
        let header = match header {
            Header::Bare => format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#),
            Header::Named => format!(r#"{{"kid":"{}","typ":"JWT","alg":"{alg}"}}"#, key.kid()),
        };
        compact(&header, claims, |message| Some(key.sign(message)))
    }

    /// Gives the keys that tokens are verified with.
    #[must_use]
    pub fn verifying(&self) -> Vec<Key> {
        self.0.iter().map(HmacKey::verifying).collect()
    }
}

impl FromIterator<HmacKey> for HmacKeys {
    fn from_iter<I: IntoIterator<Item = HmacKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl HmacKey {
    /// Takes a secret after something was signed with it and then verified.
    fn new(secret: Secret, shared: bool) -> Result<Self, String> {
        self_test::passed()?;
        let key = Self { secret, shared };
        if !self_test::judges(&key.verifying(), &key.sign(self_test::MESSAGE)) {
            return Err("what it signs does not verify: do not use it".to_owned());
        }
        Ok(key)
    }

    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.expose());
        let mut mac = mac.expect("HMAC takes a key of any length");
        parts.iter().for_each(|it| mac.update(it));
        mac.finalize().into_bytes().to_vec()
    }

    /// Gives the signature in base64url.
    fn sign(&self, message: &[u8]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.mac(&[message]))
    }

    /// Names the key without telling anything of it. No token's message begins so.
    fn kid(&self) -> String {
        let mut kid = BASE64_URL_SAFE_NO_PAD.encode(self.mac(&[b" portcullis kid"]));
        kid.truncate(KID_DIGITS);
        kid
    }

    fn verifying(&self) -> Key {
        Key {
            kid: None,
            algorithm: Algorithm::Hs256,
            decoding: DecodingKey::from_secret(self.secret.expose()),
            material: self.secret.clone(),
            signer: if self.shared {
                Signer::Shared
            } else {
                Signer::Platform
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn peppers(fills: &[u8]) -> Peppers {
        let keys = fills.iter().map(|it| Secret::new([*it; 32]));
        Peppers::new(keys.collect()).unwrap()
    }

    fn written(secrets: &[&[u8]]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let write = |(index, secret): (usize, &&[u8])| {
            let path = folder.path().join(index.to_string());
            std::fs::write(&path, secret).unwrap();
            path
        };
        let files = secrets.iter().enumerate().map(write).collect();
        (folder, files)
    }

    fn loaded(secrets: &[&[u8]]) -> Result<HmacKeys, Vec<KeyProblem>> {
        let (_folder, files) = written(secrets);
        HmacKeys::load(&files)
    }

    fn sign(keys: &HmacKeys, header: Header) -> String {
        let claims = json!({ "uuid": "u", "a": [1] });
        keys.sign(header, claims.as_object().unwrap()).unwrap()
    }

    /// How many of the keys hold the token signed, in their order.
    fn verdicts(keys: &HmacKeys, token: &str) -> Vec<bool> {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let keys = keys.verifying().into_iter();
        keys.map(|it| it.has_signed(message.as_bytes(), signature))
            .collect()
    }

    #[test]
    fn a_derived_key_is_one_platforms_and_stays_good_as_long_as_its_pepper() {
        let keys = |fills: &[u8], platform| HmacKeys::derived(&peppers(fills), platform).unwrap();
        let token = sign(&keys(b"a", "p"), Header::Bare);
        for (name, fills, platform, want) in [
            ("another process", &b"a"[..], "p", &[true][..]),
            ("a new pepper before it", b"ba", "p", &[false, true]),
            ("the new pepper alone", b"b", "p", &[false]),
            ("another platform", b"a", "q", &[false]),
        ] {
            assert_eq!(verdicts(&keys(fills, platform), &token), want, "{name}");
        }
        let newest = sign(&keys(b"ba", "p"), Header::Bare);
        assert_eq!(verdicts(&keys(b"b", "p"), &newest), [true]);
        assert!(keys(b"a", "p").overlaps(&keys(b"ba", "p")));
        assert!(!keys(b"a", "p").overlaps(&keys(b"a", "q")));
    }

    #[test]
    fn headers_are_those_of_the_published_tokens_member_by_member() {
        let keys = HmacKeys::derived(&peppers(b"a"), "p").unwrap();
        let decode = |part: &str| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let token = sign(&keys, Header::Bare);
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(decode(parts[0]), r#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(decode(parts[1]), r#"{"uuid":"u","a":[1]}"#);
        assert_eq!(parts[2].len(), 43);

        let named = sign(&keys, Header::Named);
        let header = decode(named.split('.').next().unwrap());
        let kid = header.strip_prefix(r#"{"kid":""#).unwrap();
        let kid = kid.strip_suffix(r#"","typ":"JWT","alg":"HS256"}"#).unwrap();
        assert_eq!(kid.len(), KID_DIGITS);
        assert_eq!(verdicts(&keys, &named), [true]);
        let another = HmacKeys::derived(&peppers(b"b"), "p").unwrap();
        assert!(!decode(sign(&another, Header::Named).split('.').next().unwrap()).contains(kid));
    }

    #[test]
    fn secrets_from_files_sign_and_verify_as_whoever_else_has_them_does() {
        let (one, other) = ([b'1'; 32], [b'2'; 40]);
        let keys = loaded(&[&[&one[..], b"\n"].concat(), &other]).unwrap();
        let token = sign(&keys, Header::Bare);
        assert_eq!(verdicts(&keys, &token), [true, false]);
        let maker = crate::keys::samples::Maker::with_secret(&one);
        assert_eq!(
            token,
            maker.token(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"uuid":"u","a":[1]}"#)
        );
        assert!(keys.overlaps(&loaded(&[&other]).unwrap()));
        assert!(!HmacKeys::default().overlaps(&keys));
        assert!(HmacKeys::default().sign(Header::Bare, &Map::new()).is_err());
        assert_eq!(format!("{keys:?}"), "HmacKeys(..)");
    }

    #[test]
    fn files_that_hold_no_secret_are_refused_in_words() {
        let good = [b'k'; 32];
        let five: Vec<_> = (0..5).map(|it| [it; 32]).collect();
        let five: Vec<&[u8]> = five.iter().map(|it| &it[..]).collect();
        for (name, secrets, place, want) in [
            ("short", vec![&good[..], &good[1..]], 1, "at least 32 bytes"),
            ("a key", vec![&b"-----BEGIN PUBLIC KEY-----"[..]], 0, "PEM"),
            ("one twice", vec![&good, &good], 1, "another file"),
            ("too many", five, MAX_SIGNING_KEYS, "at most 4"),
        ] {
            let problems = loaded(&secrets).unwrap_err();
            assert_eq!(problems.len(), 1, "{name}");
            assert_eq!(problems[0].index, place, "{name}");
            assert!(problems[0].message.contains(want), "{name}: {problems:?}");
        }
        let missing = HmacKeys::load(&[PathBuf::from("/nowhere")]).unwrap_err();
        assert!(missing[0].message.contains("cannot be read"), "{missing:?}");
    }
}
