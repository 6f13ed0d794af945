//! The rows of the three lists, as the file writes them.
//!
//! Apart so that what a person may write is one short read, and its JSON Schema (of [`Lists`], for
//! each platform) comes from the same types. Only keys and types are demanded here; what values may
//! be is said where rows become entries.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::credential::Secret;
use crate::directory::records::{Attributes, Link};

/// The lists of one platform.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lists {
    /// The platform's customers.
    #[schemars(with = "Vec<AccountRow>")]
    pub accounts: Vec<IgnoredAny>,
    /// The logins under them.
    #[schemars(with = "Vec<UserRow>")]
    pub users: Vec<IgnoredAny>,
    /// The keys that programs present.
    #[schemars(with = "Vec<KeyRow>")]
    pub api_keys: Vec<IgnoredAny>,
}

/// An account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountRow {
    /// Unique in the platform: letters, digits, `.`, `_` and `-`. Never personal data.
    pub id: String,
    /// As people write it.
    pub name: Option<String>,
    /// Its SIP realm.
    pub realm: Option<String>,
    /// The id of the account it belongs to.
    pub parent: Option<String>,
    /// E.164, such as `+14155550100`.
    #[serde(default)]
    pub phone_numbers: Vec<String>,
    /// The account's API key: 64 hexadecimal digits. Without it, what the directory has is kept.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<Secret>,
    /// Off: none of its users gets in.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When its trial ends: RFC 3339 with zone.
    pub expires_at: Option<String>,
    /// What the platform's answers show.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRow {
    /// Unique in the platform: letters, digits, `.`, `_` and `-`. Never personal data.
    pub id: String,
    /// The id of the account it belongs to.
    pub account: Option<String>,
    /// The name it logs in with; this or `email` is required.
    pub username: Option<String>,
    /// The e-mail address it logs in with.
    pub email: Option<String>,
    /// The password in clear; stored only hashed. A user without this and `credentials` keeps what
    /// the directory has.
    #[schemars(with = "Option<String>")]
    pub password: Option<Secret>,
    /// Instead of `password`: hashes from an existing system. What is not among them is forgotten.
    pub credentials: Option<Hashes>,
    /// What it may act as.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Off: as if it did not exist.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The seed of a second factor (RFC 6238): base32 of 16 to 128 bytes; stored only sealed.
    /// Without it, what the directory has is kept.
    #[schemars(with = "Option<String>")]
    pub totp_secret: Option<Secret>,
    /// Its SIP login. Checked, not stored yet.
    pub sip: Option<SipRow>,
    /// Who else vouches for it.
    #[serde(default)]
    pub links: Vec<Link>,
    /// What the platform's answers show.
    #[serde(default)]
    pub attributes: Attributes,
}

/// Hashes of a password.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hashes {
    /// MD5 of `username:password`, the name in lower case, in hexadecimal.
    #[schemars(with = "Option<String>")]
    pub md5: Option<Secret>,
    /// SHA-1 of the same, in hexadecimal.
    #[schemars(with = "Option<String>")]
    pub sha1: Option<Secret>,
    /// MD5 of `name@domain:domain:password` (SIP), in hexadecimal. Checked, not stored yet.
    #[schemars(with = "Option<String>")]
    pub ha1b: Option<Secret>,
    /// Argon2id of the password, as a PHC string.
    #[schemars(with = "Option<String>")]
    pub argon2: Option<Secret>,
}

/// A SIP login.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SipRow {
    /// The user part.
    pub login: String,
    /// The domain, which is the realm too.
    pub domain: String,
    /// The password in clear.
    #[schemars(with = "String")]
    pub password: Secret,
}

/// An API key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRow {
    /// Unique in the platform: letters, digits, `.`, `_` and `-`. Not the key itself.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// The id of the account it acts for.
    pub account: Option<String>,
    /// The id of the user it acts for, of that account: whoever presents it is that user.
    pub user: Option<String>,
    /// What is presented; stored only as a keyed digest. Needed unless the directory has the key,
    /// which then keeps its own.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// Granted permissions.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Addresses and ranges it may be used from; none: anywhere.
    #[serde(default)]
    pub allowed_ips: Vec<String>,
    /// When it begins: RFC 3339 with zone.
    pub valid_from: Option<String>,
    /// When it ends, after `valid_from`.
    pub valid_to: Option<String>,
    /// Off: as if it did not exist.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// It is good only where one of its scopes is asked for: without one, nowhere.
    #[serde(default)]
    pub only_scopes: bool,
    /// What the platform's answers show.
    #[serde(default)]
    pub attributes: Attributes,
}

fn yes() -> bool {
    true
}
