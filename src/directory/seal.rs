//! Secrets that must be read back, such as the seeds of one-time passwords: sealed by an AEAD under
//! a key derived from the pepper, and bound to the record they stand in, so that a sealed value
//! moved to another record does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::credential::Secret;
use crate::directory::pepper::{Pepper, Peppers, Standing};

/// A secret as it stands in the store: the pepper's id, the nonce, the sealed bytes.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// Why a secret cannot be sealed or opened.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SealError {
    /// It was changed, or belongs to another record.
    #[error("a sealed secret was changed, or moved from another record")]
    Broken,
    /// No pepper in force sealed it.
    #[error("a secret is sealed under a pepper that is not in `store.pepper_files`")]
    Pepper,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

impl Peppers {
    /// Seals a secret under the newest pepper, for the record that the parts name.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn seal(&self, record: &[&[u8]], secret: &Secret) -> Result<Sealed, SealError> {
        let pepper = self.newest();
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Randomness)?;
        let mut bytes = secret.expose().to_vec();
        let aad = Aad::from(bound_to(record));
        key(pepper)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| SealError::Broken)?;
        let sealed = [&nonce[..], &bytes].concat();
        Ok(Sealed(format!(
            "{}.{}",
            pepper.id(),
            BASE64_STANDARD_NO_PAD.encode(sealed)
        )))
    }

    /// Tells under which pepper a secret was sealed.
    #[must_use]
    pub fn standing_of_seal(&self, sealed: &Sealed) -> Standing {
        let id = sealed.0.split_once('.').map_or("", |it| it.0);
        match self.iter().position(|it| it.id() == id) {
            Some(0) => Standing::Newest,
            Some(_) => Standing::Old,
            None => Standing::Unknown,
        }
    }

    /// Opens what was sealed for the same record, under whichever pepper.
    ///
    /// # Errors
    /// Where it was changed or moved, or its pepper is not in force.
    pub fn open(&self, record: &[&[u8]], sealed: &Sealed) -> Result<Secret, SealError> {
        let (id, text) = sealed.0.split_once('.').ok_or(SealError::Broken)?;
        let pepper = self
            .iter()
            .find(|it| it.id() == id)
            .ok_or(SealError::Pepper)?;
        let bytes = BASE64_STANDARD_NO_PAD
            .decode(text)
            .map_err(|_| SealError::Broken)?;
        let (nonce, mut bytes) = match bytes.split_first_chunk::<NONCE_LEN>() {
            Some((nonce, rest)) => (*nonce, rest.to_vec()),
            None => return Err(SealError::Broken),
        };
        let aad = Aad::from(bound_to(record));
        let opened = key(pepper)?
            .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| SealError::Broken)?;
        Ok(Secret::new(&*opened))
    }
}

fn key(pepper: &Pepper) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, &pepper.derive(b"seal"));
    key.map(LessSafeKey::new).map_err(|_| SealError::Broken)
}

/// The parts with their lengths, so that no two lists run together.
fn bound_to(record: &[&[u8]]) -> Vec<u8> {
    record
        .iter()
        .flat_map(|it| {
            (it.len() as u64)
                .to_be_bytes()
                .into_iter()
                .chain(it.iter().copied())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::pepper::MIN_PEPPER_BYTES;

    fn peppers(fills: &[u8]) -> Peppers {
        Peppers::new(
            fills
                .iter()
                .map(|it| Secret::new([*it; MIN_PEPPER_BYTES]))
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_for_its_record_under_its_pepper_only() {
        let record: &[&[u8]] = &[b"p", b"u1", b"totp"];
        let seed = Secret::new(*b"seed");
        let sealed = peppers(&[1]).seal(record, &seed).unwrap();
        assert!(!serde_json::to_string(&sealed).unwrap().contains("seed"));
        assert_eq!(peppers(&[1]).open(record, &sealed), Ok(seed.clone()));
        assert_eq!(peppers(&[2, 1]).open(record, &sealed), Ok(seed.clone()));
        assert_eq!(peppers(&[2]).open(record, &sealed), Err(SealError::Pepper));
        for (fills, want) in [
            (&[1, 2][..], Standing::Newest),
            (&[2, 1], Standing::Old),
            (&[2], Standing::Unknown),
        ] {
            assert_eq!(peppers(fills).standing_of_seal(&sealed), want);
        }
        assert_eq!(
            peppers(&[1]).open(&[b"p", b"u2", b"totp"], &sealed),
            Err(SealError::Broken)
        );
        let other = peppers(&[1]).seal(record, &seed).unwrap();
        assert_ne!(sealed, other);

        let mut flipped = sealed.0.clone().into_bytes();
        let last = flipped.last_mut().unwrap();
        *last = if *last == b'A' { b'B' } else { b'A' };
        let flipped = Sealed(String::from_utf8(flipped).unwrap());
        assert_eq!(peppers(&[1]).open(record, &flipped), Err(SealError::Broken));
        for bad in [
            "",
            "x",
            "00000000.",
            &format!("{}.AAAA", sealed.0.split_once('.').unwrap().0),
        ] {
            assert!(
                peppers(&[1]).open(record, &Sealed(bad.to_owned())).is_err(),
                "{bad}"
            );
        }
    }
}
