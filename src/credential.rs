//! What a request presents, unverified: where it stood, the name in it and the secret in it.
//!
//! The type is the same for every scheme, so a new scheme changes nothing here. A credential is
//! never a map key and never printed: caches know it by its [`Fingerprint`], humans by its place.

use std::fmt;
use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::{Hasher128, SipHasher24};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The longest credential that any scheme looks at, in bytes. The longest legitimate ones are
/// tokens of 2 to 4 KiB; whatever is longer is refused before it is parsed.
pub const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;

/// The most that a file with a secret may hold, in bytes.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Bytes to hide: printed as `(..)`, compared in constant time, wiped when dropped.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Reads a file that holds a secret; the line feed that editors put at the end is not part of it.
    ///
    /// # Errors
    /// What is wrong, without the contents.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |it: std::io::Error| format!("{} cannot be read: {it}", path.display());
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_SECRET_FILE_BYTES {
            return Err(format!("{} holds more than a secret", path.display()));
        }
        let read = Zeroizing::new(std::fs::read(path).map_err(failed)?);
        let mut secret = &read[..];
        while let [rest @ .., b'\n' | b'\r'] = secret {
            secret = rest;
        }
        Ok(Self::new(secret))
    }

    /// Shows the bytes to the mathematics that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Shows the secret as text, `None` where it is not UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl PartialEq for Secret {
    /// Constant time in the contents: a timing difference would let a caller guess byte by byte.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|it| Self::new(it.into_bytes()))
    }
}

/// Written as `(..)`: a configuration that is shown keeps its secrets.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(..)")
    }
}

/// A place of a request where a platform reads credentials.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// `Authorization: SCHEME …` (RFC 9110 §11.6.2); the word as the platform documents it.
    Authorization(Arc<str>),
    /// The client's certificate, as Envoy tells of it.
    Certificate,
    /// The whole value of a header, named in lower case.
    Header(Arc<str>),
    /// A query parameter, by its exact name.
    Query(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization(word) => write!(f, "authorization: {word}"),
            Self::Certificate => f.write_str("client certificate"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
        }
    }
}

/// What a request presents for one scheme: unverified.
#[derive(Clone)]
pub struct Credential {
    place: Place,
    name: String,
    secret: Secret,
}

/// Shows where it stood and nothing else: the name is personal data.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, ..)", self.place)
    }
}

impl Credential {
    /// Puts together what was found at `place`. `name` is the public half (a user name, an account
    /// id), empty for schemes that have none.
    #[must_use]
    pub fn new(place: Place, name: impl Into<String>, secret: Secret) -> Self {
        Self {
            place,
            name: name.into(),
            secret,
        }
    }

    /// Where it stood.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The public half: whom the caller claims to be. Empty where the scheme has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The half to hide.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// What caches know a credential by: a keyed hash that says nothing without the process's key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Gives the number, as a cache key.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

/// Makes fingerprints: SipHash-2-4-128 under a key that is random in each process, over parts with
/// their lengths, so that no two lists of parts run together and nobody can compute a collision.
#[derive(Clone)]
pub struct Fingerprinter {
    key: [u8; 16],
}

impl Fingerprinter {
    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    /// Gives the fingerprint of the parts, in their order.
    #[must_use]
    pub fn of(&self, parts: &[&[u8]]) -> Fingerprint {
        self.begin(&[]).of(parts)
    }

    /// Begins with these parts, which others follow that differ more often.
    #[must_use]
    pub fn begin(&self, parts: &[&[u8]]) -> Begun {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        add(&mut hasher, parts);
        Begun(hasher)
    }
}

/// A fingerprint of which the first parts are known.
#[derive(Clone)]
pub struct Begun(SipHasher24);

impl Begun {
    /// Gives the fingerprint of those parts and these, in their order.
    #[must_use]
    pub fn of(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut hasher = self.0;
        add(&mut hasher, parts);
        Fingerprint(hasher.finish128().as_u128())
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(..)")
    }
}

fn add(hasher: &mut SipHasher24, parts: &[&[u8]]) {
    for part in parts {
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_nothing_and_compare_by_content() {
        let secret = Secret::new(*b"hunter2");
        assert_eq!(format!("{secret:?}"), "(..)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""(..)""#);
        assert_eq!(secret, Secret::new(*b"hunter2"));
        assert_ne!(secret, Secret::new(*b"hunter3"));
        assert_ne!(secret, Secret::new(*b"hunter"));
    }

    #[test]
    fn a_credential_prints_no_secret() {
        let place = Place::Authorization("Basic".into());
        let credential = Credential::new(place, "john", Secret::new(*b"hunter2"));
        assert_eq!(
            format!("{credential:?}"),
            "Credential(authorization: Basic, ..)"
        );
    }

    #[test]
    fn fingerprints_keep_parts_apart_and_differ_between_processes() {
        let one = Fingerprinter::random().unwrap();
        let two = Fingerprinter::random().unwrap();
        assert_eq!(one.of(&[b"ab", b"c"]), one.of(&[b"ab", b"c"]));
        assert_ne!(one.of(&[b"ab", b"c"]), one.of(&[b"a", b"bc"]));
        assert_ne!(one.of(&[b"abc"]), one.of(&[b"abc", b""]));
        assert_ne!(one.of(&[b"abc"]), two.of(&[b"abc"]));
        let begun = one.begin(&[b"ab", b"c"]);
        for rest in [&b"d"[..], b"", b"longer than a word"] {
            assert_eq!(begun.of(&[b"x", rest]), one.of(&[b"ab", b"c", b"x", rest]));
        }
    }
}
