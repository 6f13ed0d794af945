//! The pepper: a key outside the store, without which nothing in the store can be tried.
//!
//! Keys, session tokens and legacy hashes stand in the store only as HMAC-SHA-256 under a pepper
//! (RFC 2104), and so do the names that index them. Several peppers may be in force, newest first:
//! what is written carries the newest one's id, what is looked up is tried under each.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::credential::Secret;

/// The shortest pepper taken, in bytes: as long as the hash's output (RFC 2104 §3).
pub const MIN_PEPPER_BYTES: usize = 32;

/// How many peppers are in force at once: a new one, and the one that it takes over from.
pub const MAX_PEPPERS: usize = 2;

/// How long a digest is, with the id of its pepper.
const BYTES: usize = 36;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A keyed digest of something secret or personal, with the id of its pepper.
#[derive(Clone, Eq, PartialEq, Serialize)]
#[serde(into = "String")]
pub struct Digest {
    pepper: [u8; 4],
    mac: [u8; 32],
}

impl Digest {
    /// Tells whether both are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.pepper == other.pepper && self.mac.ct_eq(&other.mac).into()
    }

    /// Gives a number that is as good as random, and the same for equal digests.
    pub(super) fn number(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.mac;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each lookup spells one, and to write byte by byte costs more than all else of it.
        let mut text = [0; 2 * BYTES];
        let bytes = self.pepper.iter().chain(&self.mac);
        for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// What is wrong with a text that is to be one.
const NO_DIGEST: &str = "a digest has 72 hexadecimal digits";

impl TryFrom<&str> for Digest {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if text.len() != 2 * BYTES {
            return Err(NO_DIGEST);
        }
        let mut bytes = [0; BYTES];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = [digits[0], digits[1]].map(|it| char::from(it).to_digit(16));
            let value = high.zip(low).map(|(high, low)| high << 4 | low);
            *byte = value
                .and_then(|it| u8::try_from(it).ok())
                .ok_or(NO_DIGEST)?;
        }
        let (pepper, mac) = bytes.split_at(4);
        Ok(Self {
            pepper: pepper.try_into().expect("split at 4"),
            mac: mac.try_into().expect("36 less 4"),
        })
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AsText)
    }
}

/// Reads a digest where it stands, without a copy of its text.
struct AsText;

impl Visitor<'_> for AsText {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_DIGEST)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
        text.try_into().map_err(E::custom)
    }
}

/// Why a pepper is not taken.
#[derive(Debug, Error)]
pub enum PepperError {
    /// There is none.
    #[error(
        "no pepper is configured: make one with `openssl rand -hex 32 > pepper`, and write `pepper_files: [pepper]`"
    )]
    Missing,
    /// The system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// One is there twice.
    #[error("two peppers are the same")]
    Same,
    /// There are more than a change of peppers takes.
    #[error("at most {MAX_PEPPERS} peppers: the new one and the one before it")]
    TooMany,
    /// It is too short to be a key.
    #[error("a pepper has at least {MIN_PEPPER_BYTES} bytes; make one with `openssl rand -hex 32`")]
    TooShort,
}

/// The peppers in force, newest first; at least one.
#[derive(Clone, Debug)]
pub struct Peppers(Vec<Pepper>);

/// One pepper, with the id that what was written under it carries.
#[derive(Clone, Debug)]
pub struct Pepper {
    id: [u8; 4],
    /// Has taken the key, which is half of the work of a short digest.
    keyed: Hmac<Sha256>,
}

impl Peppers {
    /// Takes the peppers, newest first.
    ///
    /// # Errors
    /// Where there is none, there are too many, or one is too short to be a key.
    pub fn new(keys: Vec<Secret>) -> Result<Self, PepperError> {
        if keys.is_empty() {
            return Err(PepperError::Missing);
        }
        if keys.len() > MAX_PEPPERS {
            return Err(PepperError::TooMany);
        }
        let peppers: Vec<_> = keys
            .into_iter()
            .map(|it| Pepper::new(&it))
            .collect::<Result<_, _>>()?;
        if let [one, other] = peppers.as_slice()
            && one.id == other.id
        {
            return Err(PepperError::Same);
        }
        Ok(Self(peppers))
    }

    /// Makes one that lives as long as the process: right for a store that does the same.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn ephemeral() -> Result<Self, PepperError> {
        let mut key = [0; MIN_PEPPER_BYTES];
        getrandom::fill(&mut key)?;
        Self::new(vec![Secret::new(key)])
    }

    /// The pepper that everything new is written under.
    #[must_use]
    pub fn newest(&self) -> &Pepper {
        self.0.first().expect("`new` refuses an empty list")
    }

    /// Gives the peppers, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Pepper> {
        self.0.iter()
    }

    /// Digests the parts under the newest pepper: what is written.
    #[must_use]
    pub fn digest(&self, parts: &[&[u8]]) -> Digest {
        self.newest().digest(parts)
    }

    /// Digests the parts under each pepper, newest first: what is looked up.
    #[must_use]
    pub fn digests(&self, parts: &[&[u8]]) -> Vec<Digest> {
        self.0.iter().map(|it| it.digest(parts)).collect()
    }

    /// Vouches for a message towards every process that has the pepper, under a key for one purpose.
    #[must_use]
    pub fn mac(&self, purpose: &[u8], message: &[u8]) -> Digest {
        self.newest().for_purpose(purpose).digest(&[message])
    }

    /// Tells whether a process that has one of the peppers has vouched for the message, in constant
    /// time.
    #[must_use]
    pub fn is_mac(&self, purpose: &[u8], message: &[u8], mac: &Digest) -> bool {
        self.iter()
            .any(|it| it.for_purpose(purpose).digest(&[message]).matches(mac))
    }

    /// Derives a key for one purpose, and one of those that it serves, from each pepper, newest
    /// first.
    #[must_use]
    pub fn keys(&self, purpose: &[u8], of: &[u8]) -> Vec<Secret> {
        let derive = |it: &Pepper| Secret::new(it.for_purpose(purpose).derive(of));
        self.iter().map(derive).collect()
    }

    /// Tells under which pepper a digest was made.
    #[must_use]
    pub fn standing(&self, digest: &Digest) -> Standing {
        match self.0.iter().position(|it| it.id == digest.pepper) {
            Some(0) => Standing::Newest,
            Some(_) => Standing::Old,
            None => Standing::Unknown,
        }
    }
}

/// What the pepper of a digest is to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// The one that is written with.
    Newest,
    /// Another one of those in force.
    Old,
    /// None of those in force.
    Unknown,
}

impl Pepper {
    fn new(key: &Secret) -> Result<Self, PepperError> {
        if key.expose().len() < MIN_PEPPER_BYTES {
            return Err(PepperError::TooShort);
        }
        let mut pepper = Self {
            id: [0; 4],
            keyed: keyed(key.expose()),
        };
        // The id tells peppers apart and, being a MAC of public text, tells nothing of the key.
        let id = pepper.digest(&[b"pepper id"]).mac;
        pepper.id.copy_from_slice(&id[..4]);
        Ok(pepper)
    }

    /// Gives the id, in hexadecimal. It tells nothing of the pepper.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.iter().map(|it| format!("{it:02x}")).collect()
    }

    /// Derives a key for one purpose.
    pub(super) fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        self.digest(&[b"key", purpose]).mac
    }

    /// The same, for one purpose: what is made with it is of use for no other.
    fn for_purpose(&self, purpose: &[u8]) -> Self {
        Self {
            id: self.id,
            keyed: keyed(&self.derive(purpose)),
        }
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Digest {
            pepper: self.id,
            mac: mac.finalize().into_bytes().into(),
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper(fill: u8) -> Secret {
        Secret::new([fill; MIN_PEPPER_BYTES])
    }

    #[test]
    fn a_digest_survives_the_store_and_prints_nothing() {
        let peppers = Peppers::new(vec![pepper(1)]).unwrap();
        let digest = peppers.digest(&[b"a", b"b"]);
        let json = serde_json::to_string(&digest).unwrap();
        assert!(digest.matches(&serde_json::from_str(&json).unwrap()));
        assert_eq!(format!("{digest:?}"), "Digest(..)");
        assert!(!digest.matches(&peppers.digest(&[b"ab"])));
        for bad in [
            "\"\"",
            "\"zz\"",
            &json[..20],
            &format!("\"{}\"", "é".repeat(36)),
        ] {
            assert!(serde_json::from_str::<Digest>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_differ_by_pepper_purpose_and_whom_they_serve_and_are_no_digest() {
        let peppers = Peppers::new(vec![pepper(2), pepper(1)]).unwrap();
        let keys = [("a", "p"), ("a", "q"), ("b", "p")]
            .map(|it| peppers.keys(it.0.as_bytes(), it.1.as_bytes()));
        let mut all: Vec<_> = keys.iter().flatten().map(Secret::expose).collect();
        let derived = peppers.newest().derive(b"a");
        let digest = peppers.digest(&[b"a", b"p"]).mac;
        all.extend([&derived[..], &digest[..]]);
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (8, 8));
        let old = Peppers::new(vec![pepper(1)]).unwrap();
        assert_eq!(old.keys(b"a", b"p"), keys[0][1..]);
    }

    #[test]
    fn what_was_written_under_the_old_pepper_is_found_under_both() {
        let old = Peppers::new(vec![pepper(1)]).unwrap().digest(&[b"key"]);
        let both = Peppers::new(vec![pepper(2), pepper(1)]).unwrap();
        assert!(both.digests(&[b"key"]).iter().any(|it| it.matches(&old)));
        assert!(!both.digest(&[b"key"]).matches(&old));
        assert_eq!(both.standing(&old), Standing::Old);
        assert_eq!(both.standing(&both.digest(&[b"key"])), Standing::Newest);
        let other = Peppers::new(vec![pepper(3)]).unwrap();
        assert_eq!(other.standing(&old), Standing::Unknown);
    }

    #[test]
    fn a_pepper_that_is_no_key_is_refused() {
        assert!(matches!(Peppers::new(vec![]), Err(PepperError::Missing)));
        let short = Secret::new([0; MIN_PEPPER_BYTES - 1]);
        assert!(matches!(
            Peppers::new(vec![short]),
            Err(PepperError::TooShort)
        ));
    }
}
