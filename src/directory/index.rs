//! What records are found by besides their id, and how many an index entry may name.

use crate::decision::Fault;
use crate::directory::account_keys::MAX_LISTED;
use crate::directory::records::RecordKind;
use crate::directory::writing::internal;

/// How many records one index entry may name: enough for namesakes, few enough to try them all.
pub const MAX_HINTS: usize = 4;

/// What records are found by, besides their id.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Index {
    /// An account by its API key. No `api_key` scheme finds anything by it.
    AccountKey,
    /// An account by its name, of which only letters and digits count.
    AccountName,
    /// An API key by its secret.
    ApiKey,
    /// A user by the MD5 of `login@domain:domain:password` (SIP).
    Ha1b,
    /// API keys by their account, a part of them each; see [`account_keys`](super::account_keys).
    KeyAccount,
    /// A user by an external issuer and its subject there.
    Link,
    /// A user by login name or e-mail.
    Login,
    /// A user by account and MD5 of `username:password`.
    Md5,
    /// An account by one of its phone numbers.
    PhoneNumber,
    /// An account by its SIP realm.
    Realm,
    /// A user by account and SHA-1 of `username:password`.
    Sha1,
}

impl Index {
    /// Every index.
    pub(super) const ALL: [Self; 11] = [
        Self::AccountKey,
        Self::AccountName,
        Self::ApiKey,
        Self::Ha1b,
        Self::KeyAccount,
        Self::Link,
        Self::Login,
        Self::Md5,
        Self::PhoneNumber,
        Self::Realm,
        Self::Sha1,
    ];

    /// The kind of records that it names.
    pub(super) fn kind(self) -> RecordKind {
        match self {
            Self::AccountKey | Self::AccountName | Self::PhoneNumber | Self::Realm => {
                RecordKind::Account
            }
            Self::ApiKey | Self::KeyAccount => RecordKind::Key,
            Self::Ha1b | Self::Link | Self::Login | Self::Md5 | Self::Sha1 => RecordKind::User,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AccountKey => "account_key",
            Self::AccountName => "account_name",
            Self::ApiKey => "key",
            Self::Ha1b => "ha1b",
            Self::KeyAccount => "key_account",
            Self::Link => "link",
            Self::Login => "login",
            Self::Md5 => "md5",
            Self::PhoneNumber => "phone",
            Self::Realm => "realm",
            Self::Sha1 => "sha1",
        }
    }
}

/// How many records an index entry may name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Most {
    /// So many, and one more cannot be written.
    Demanded(usize),
    /// So many, and one more goes without.
    Listed(usize),
}

/// Gives it by the key of the entry.
pub(super) fn most_hints(hint: &str) -> Most {
    match hint.rsplit(':').nth(1) {
        Some(index) if index == Index::KeyAccount.name() => Most::Listed(MAX_LISTED),
        _ => Most::Demanded(MAX_HINTS),
    }
}

/// Adds an id to an entry.
///
/// # Errors
/// A fault where it must stand there and has no place.
pub(super) fn insert_hint(ids: &mut Vec<String>, id: &str, most: Most) -> Result<(), Fault> {
    if ids.iter().any(|it| it == id) {
        return Ok(());
    }
    match most {
        Most::Demanded(most) if ids.len() >= most => {
            return Err(internal("more records than can be tried share one name"));
        }
        Most::Listed(most) if ids.len() >= most => {}
        _ => ids.push(id.to_owned()),
    }
    Ok(())
}
