//! How what a record is found by is spelled, before it is digested for an index.
//!
//! Apart because both sides must spell alike: whoever writes an index entry and whoever looks one
//! up pass through here, and neither spells by itself. It knows neither peppers nor the store.

use std::borrow::Cow;
use std::fmt::Write as _;

use md5::{Digest, Md5};

use crate::credential::Secret;
use crate::directory::Index;

/// Gives a login name as the index knows it: a name with an `@` is an e-mail address, which people
/// write in either case, so its ASCII letters count in lower case; any other name counts exactly.
#[must_use]
pub fn login_key(name: &[u8]) -> Cow<'_, [u8]> {
    if name.contains(&b'@') {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// Gives what SIP registrars keep for a login (column `ha1b` of `auth_db`): the hexadecimal MD5 of
/// `login@domain:domain:password`.
#[must_use]
pub fn ha1b(login: &str, domain: &str, password: &Secret) -> Secret {
    let mut hash = Md5::new();
    hash.update(format!("{login}@{domain}:{domain}:"));
    hash.update(password.expose());
    let mut hex = String::new();
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").expect("a string takes everything");
    }
    Secret::new(hex.into_bytes())
}

/// Puts together what stands for `values` in an index of a platform, and hands it to `digest`.
pub(super) fn with_parts<T>(
    platform: &str,
    index: Index,
    values: &[&[u8]],
    digest: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let spell = match index {
        Index::ApiKey | Index::Ha1b | Index::Md5 | Index::Sha1 => Cow::Borrowed,
        Index::Login => login_key,
    };
    let values: Vec<_> = values.iter().map(|it| spell(it)).collect();
    let mut parts = vec![platform.as_bytes(), index.name().as_bytes()];
    parts.extend(values.iter().map(|it| &**it));
    digest(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_email_addresses_are_found_in_either_case() {
        let cases = [
            ("John@Example.COM", "john@example.com"),
            ("Aladdin", "Aladdin"),
            ("Ümit@Example.com", "Ümit@example.com"),
            ("", ""),
        ];
        for (name, want) in cases {
            assert_eq!(&*login_key(name.as_bytes()), want.as_bytes(), "{name}");
        }
    }

    #[test]
    fn ha1b_is_what_registrars_compute() {
        let hash = ha1b("1000", "mydomain.com", &Secret::new(*b"123456"));
        assert_eq!(hash, Secret::new(*b"4e704e98102feb915109fe2ff0cef5da"));
    }

    #[test]
    fn only_logins_are_spelled_anew() {
        let spelled = |index| {
            with_parts("p", index, &[b"A@B"], |parts| {
                parts.last().map(|it| it.to_vec())
            })
        };
        assert_eq!(spelled(Index::Login).as_deref(), Some(&b"a@b"[..]));
        for index in [Index::ApiKey, Index::Ha1b, Index::Md5, Index::Sha1] {
            assert_eq!(spelled(index).as_deref(), Some(&b"A@B"[..]), "{index:?}");
        }
    }
}
