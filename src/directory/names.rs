//! How what a record is found by is spelled, before it is digested for an index.
//!
//! Apart because both sides must spell alike: whoever writes an index entry and whoever looks one
//! up pass through here, and neither spells by itself. It knows neither peppers nor the store.

use std::borrow::Cow;
use std::fmt::Write as _;

use md5::{Digest, Md5};

use crate::credential::Secret;
use crate::directory::Index;
use crate::directory::records::Account;

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
    hex_hash::<Md5>(&format!("{login}@{domain}:{domain}:"), password)
}

/// Gives the hexadecimal hash of `username:password` with the name in lower case, as KAZOO makes
/// it (`kzd_module_utils:pass_hashes/2`).
pub(crate) fn user_hash<H: Digest>(login: &str, password: &Secret) -> Secret {
    hex_hash::<H>(&format!("{}:", login.to_lowercase()), password)
}

fn hex_hash<H: Digest>(before: &str, password: &Secret) -> Secret {
    let mut hash = H::new();
    hash.update(before);
    hash.update(password.expose());
    let mut hex = String::new();
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").expect("a string takes everything");
    }
    Secret::new(hex.into_bytes())
}

/// Gives an account's name as the index knows it: in lower case, and only letters and digits of
/// ASCII, as KAZOO does (`kzd_accounts:normalize_name/1`). Nobody is found by what is left empty.
fn account_name_key(name: &[u8]) -> Cow<'_, [u8]> {
    let kept = name.iter().filter(|it| it.is_ascii_alphanumeric());
    Cow::Owned(kept.map(u8::to_ascii_lowercase).collect())
}

/// Gives a phone number without what people put between its digits.
fn phone_number_key(number: &[u8]) -> Cow<'_, [u8]> {
    let kept = number.iter().copied();
    Cow::Owned(kept.filter(|it| !b" ()-./".contains(it)).collect())
}

/// Gives a value as the index knows it.
#[must_use]
pub fn spelled(index: Index, value: &[u8]) -> Cow<'_, [u8]> {
    match index {
        Index::AccountKey
        | Index::ApiKey
        | Index::Ha1b
        | Index::KeyAccount
        | Index::Link
        | Index::Md5
        | Index::Sha1 => Cow::Borrowed(value),
        Index::AccountName => account_name_key(value),
        Index::Login => login_key(value),
        Index::PhoneNumber => phone_number_key(value),
        Index::Realm => Cow::Owned(value.to_ascii_lowercase()),
    }
}

/// Gives what failed attempts at an account are counted against where this is what it was called by.
#[must_use]
pub fn attempted(index: Index, name: &[u8]) -> String {
    let key = spelled(index, name);
    format!("{} {}", index.name(), String::from_utf8_lossy(&key))
}

/// Gives what failed logins under this name are counted against, however it is spelled.
#[must_use]
pub fn attempted_login(name: &str) -> String {
    String::from_utf8_lossy(&login_key(name.as_bytes())).into_owned()
}

/// A name that an account is found by.
pub(super) struct AccountName<'a> {
    pub(super) index: Index,
    /// Where it stands in the account's row of a directory file, as a JSON pointer without the
    /// first slash.
    pub(super) field: String,
    /// As the index knows it.
    pub(super) value: Cow<'a, [u8]>,
}

/// Gives every name that an account is found by.
pub(super) fn account_names(account: &Account) -> Vec<AccountName<'_>> {
    let name = account.name.iter();
    let name = name.map(|it| (Index::AccountName, "name".to_owned(), it));
    let realm = account.realm.iter();
    let realm = realm.map(|it| (Index::Realm, "realm".to_owned(), it));
    let numbers = account.phone_numbers.iter().enumerate();
    let numbers = numbers.map(|(at, it)| (Index::PhoneNumber, format!("phone_numbers/{at}"), it));
    let names = name.chain(realm).chain(numbers);
    let names = names.map(|(index, field, name)| AccountName {
        index,
        field,
        value: spelled(index, name.as_bytes()),
    });
    names.filter(|it| !it.value.is_empty()).collect()
}

/// Puts together what stands for `values` in an index of a platform, and hands it to `digest`.
pub(super) fn with_parts<T>(
    platform: &str,
    index: Index,
    values: &[&[u8]],
    digest: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let values: Vec<_> = values.iter().map(|it| spelled(index, it)).collect();
    let mut parts = vec![platform.as_bytes()];
    match index {
        // As it stood in accounts before it had an index.
        Index::AccountKey => parts.extend([&b"key"[..], b"account"]),
        _ => parts.push(index.name().as_bytes()),
    }
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
    fn only_names_are_spelled_anew() {
        let cases = [
            (Index::AccountKey, "A@B", "A@B"),
            // K22 of KAZOO.
            (Index::AccountName, "ACME, Inc.", "acmeinc"),
            (Index::AccountName, "Zürich 2", "zrich2"),
            (Index::AccountName, "株式会社", ""),
            (Index::ApiKey, "A@B", "A@B"),
            (Index::Ha1b, "A@B", "A@B"),
            (Index::Link, "A@B", "A@B"),
            (Index::Login, "A@B", "a@b"),
            (Index::Md5, "A@B", "A@B"),
            (Index::PhoneNumber, "+1 (415) 555-0100", "+14155550100"),
            (Index::Realm, "Acme.SIP.example.com", "acme.sip.example.com"),
            (Index::Sha1, "A@B", "A@B"),
        ];
        for (index, name, want) in cases {
            let spelled = with_parts("p", index, &[name.as_bytes()], |parts| {
                parts.last().map(|it| it.to_vec())
            });
            assert_eq!(
                spelled.as_deref(),
                Some(want.as_bytes()),
                "{index:?} {name}"
            );
        }
    }

    #[test]
    fn no_index_reads_what_another_wrote() {
        let parts = |index| with_parts("p", index, &[b"x"], |it| it.concat());
        for (at, index) in Index::ALL.into_iter().enumerate() {
            let others = &Index::ALL[at + 1..];
            assert!(others.iter().all(|it| parts(*it) != parts(index)));
            assert!(others.iter().all(|it| it.name() != index.name()));
        }
    }
}
