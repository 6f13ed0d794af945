//! Seeds of one-time passwords (RFC 6238): how people write them, and how they are kept.
//!
//! A seed must be read back to compute a code, so it stands in its user's record sealed
//! ([`crate::directory::seal`]), bound to the platform and the user. Codes are not computed here.

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::directory::Directory;
use crate::directory::pepper::Standing;
use crate::directory::records::User;
use crate::directory::seal::{SealError, Sealed};

impl Directory {
    /// Gives the seed of a user's second factor; `None` if it has none.
    ///
    /// # Errors
    /// A fault where it does not open: then nobody can tell a right code from a wrong one.
    pub fn totp_seed(&self, platform: &str, user: &User) -> Result<Option<Secret>, Fault> {
        let open = |it| self.0.peppers.open(&bound_to(platform, &user.id), it);
        user.totp.as_ref().map(open).transpose().map_err(fault)
    }

    /// Gives a seed as a user's record is to hold it: as it holds it already, if that is the same
    /// under the newest pepper.
    ///
    /// # Errors
    /// A fault where the operating system gives no randomness.
    pub(super) fn sealed_totp(
        &self,
        platform: &str,
        user: &str,
        seed: &Secret,
        old: Option<Sealed>,
    ) -> Result<Sealed, Fault> {
        let peppers = &self.0.peppers;
        let record = bound_to(platform, user);
        let stays = |it: &Sealed| {
            peppers.standing_of_seal(it) == Standing::Newest
                && peppers.open(&record, it).is_ok_and(|it| it == *seed)
        };
        match old.filter(stays) {
            Some(old) => Ok(old),
            None => peppers.seal(&record, seed).map_err(fault),
        }
    }
}

fn bound_to<'p>(platform: &'p str, user: &'p str) -> [&'p [u8]; 3] {
    [platform.as_bytes(), b"totp", user.as_bytes()]
}

fn fault(error: SealError) -> Fault {
    Fault::new(Dependency::Internal, format!("a second factor: {error}"))
}

/// Reads a seed as people copy it: base32, of 16 to 128 bytes.
///
/// # Errors
/// What a seed is, where it is not that.
pub fn parse_seed(text: &str) -> Result<Secret, &'static str> {
    // 16 bytes are the least that RFC 4226 §4, R6, takes.
    parse_base32(text)
        .filter(|it| (16..=128).contains(&it.expose().len()))
        .ok_or("a seed is base32 (RFC 4648), of 16 to 128 bytes")
}

/// Writes base32 (RFC 4648 §6) without padding, as authenticator apps want it.
#[must_use]
pub fn to_base32(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let symbol = |chunk: &[u8], at: usize| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(word) >> (59 - 5 * at);
        char::from(SYMBOLS[bits as usize & 31])
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let symbols = (chunk.len() * 8).div_ceil(5);
        text.extend((0..symbols).map(|it| symbol(chunk, it)));
    }
    text
}

/// Reads base32 (RFC 4648 §6) as people copy it: in either case, with spaces, with or without
/// padding. `None` where it is not that, or the bits behind the last byte are not 0 (§3.5).
fn parse_base32(text: &str) -> Option<Secret> {
    let symbols: usize = text.bytes().filter(|it| !matches!(it, b' ' | b'=')).count();
    let padding = text.bytes().filter(|it| *it == b'=').count();
    if padding > 0 && (padding > 6 || !(symbols + padding).is_multiple_of(8)) {
        return None;
    }
    // No more than it needs, so that no other copy is left behind.
    let mut bytes = Vec::with_capacity(symbols * 5 / 8);
    let (mut bits, mut count) = (0_u16, 0);
    let text = text.trim_end_matches(['=', ' ']);
    for symbol in text.bytes().filter(|it| *it != b' ') {
        let value = match symbol.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u16::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // Five bits and more would be a symbol of which no byte is made.
    (count < 5 && bits == 0).then(|| Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::Bench;

    #[test]
    fn base32_is_read_as_people_copy_it_and_no_other_way() {
        let cases: [(&str, Option<&[u8]>); 24] = [
            // RFC 4648 §10.
            ("", Some(b"")),
            ("MY======", Some(b"f")),
            ("MZXQ====", Some(b"fo")),
            ("MZXW6===", Some(b"foo")),
            ("MZXW6YQ=", Some(b"foob")),
            ("MZXW6YTB", Some(b"fooba")),
            ("MZXW6YTBOI======", Some(b"foobar")),
            ("MZXW6YTBOI", Some(b"foobar")),
            ("mzxw 6ytb oi", Some(b"foobar")),
            ("MZXW6YTBOI====== ", Some(b"foobar")),
            ("777777777777777777777777", Some(&[0xff; 15])),
            ("MZXW6YTBOI=", None),
            ("MZXW6YTBOI==============", None),
            ("MZXW6YTB========", None),
            ("MY=ZXQ==", None),
            ("MZ", None),
            ("M", None),
            ("A", None),
            ("AAA", None),
            ("AAAAAA", None),
            ("MZXW6Y", None),
            ("MZXW6YT1", None),
            ("MZXW-6YTB", None),
            ("МY", None),
        ];
        for (text, want) in cases {
            let got = parse_base32(text);
            assert_eq!(got.as_ref().map(Secret::expose), want, "{text:?}");
            if let Some(bytes) = want {
                let written: String = text.split(['=', ' ']).collect();
                assert_eq!(to_base32(bytes), written.to_ascii_uppercase());
            }
        }
    }

    #[test]
    fn a_seed_opens_for_its_user_and_one_that_does_not_is_a_fault() {
        let bench = Bench::new();
        let directory = &bench.directory;
        let seed = Secret::new([7; 20]);
        let user = |id: &str, totp| User {
            id: id.into(),
            totp,
            ..User::default()
        };
        let sealed = directory.sealed_totp("p", "u", &seed, None).unwrap();
        let john = user("u", Some(sealed.clone()));
        assert_eq!(directory.totp_seed("p", &john).unwrap(), Some(seed.clone()));
        let none = directory.totp_seed("p", &user("u", None));
        assert_eq!(none.unwrap(), None);
        assert!(directory.totp_seed("q", &john).is_err());
        let other = user("v", Some(sealed.clone()));
        assert!(directory.totp_seed("p", &other).is_err());
        assert!(Bench::new().directory.totp_seed("p", &john).is_err());

        let again = |id: &str, seed: &Secret| {
            let old = Some(sealed.clone());
            directory.sealed_totp("p", id, seed, old).unwrap()
        };
        assert!(again("u", &seed) == sealed, "an unchanged one stays");
        assert!(again("u", &Secret::new([8; 20])) != sealed);
        assert!(again("v", &seed) != sealed);
    }
}
