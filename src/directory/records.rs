//! The records of the directory, as they stand in the store: JSON, with a version.
//!
//! No secret stands in them in clear: passwords as Argon2id, everything else that can be presented
//! as a keyed [`Digest`]. A record never says what a platform does with it.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory::pepper::Digest;
use crate::directory::seal::Sealed;

/// The kinds of records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A platform's customer.
    Account,
    /// A key that a program presents.
    Key,
    /// A login under an account.
    User,
}

impl RecordKind {
    /// What the names of its records begin with in the store, behind `pc:`.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::Account => "a",
            Self::Key => "k",
            Self::User => "u",
        }
    }

    /// The key of its list in a directory file.
    #[must_use]
    pub fn list(self) -> &'static str {
        match self {
            Self::Account => "accounts",
            Self::Key => "api_keys",
            Self::User => "users",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Key => "key",
            Self::User => "user",
        })
    }
}

/// Free attributes of a record: what a platform's answers show.
pub type Attributes = Map<String, Value>;

/// A platform's customer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Account {
    /// Unique in its platform.
    pub id: String,
    /// As people write it.
    pub name: Option<String>,
    /// Its SIP realm.
    pub realm: Option<String>,
    /// The account it belongs to.
    pub parent: Option<String>,
    /// E.164.
    pub phone_numbers: Vec<String>,
    /// The account's API key (crossbar).
    pub api_key: Option<Digest>,
    /// Off: none of its users gets in.
    pub disabled: bool,
    /// When its trial ends, in Unix seconds.
    pub expires: Option<u64>,
    /// What answers show.
    pub attributes: Attributes,
    /// Raised to revoke every token of the account.
    pub generation: u64,
}

/// A login under an account.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct User {
    /// Unique in its platform.
    pub id: String,
    /// The account it belongs to.
    pub account: Option<String>,
    /// The name it logs in with.
    pub username: Option<String>,
    /// The e-mail address it logs in with.
    pub email: Option<String>,
    /// What it may act as.
    pub roles: Vec<String>,
    /// Off: as if it did not exist.
    pub disabled: bool,
    /// Argon2id of the password, as a PHC string.
    pub password: Option<String>,
    /// Digest of the hexadecimal MD5 of `login@domain:domain:password` (SIP).
    pub ha1b: Option<Digest>,
    /// Digest of the hexadecimal MD5 of `username:password` (crossbar).
    pub md5: Option<Digest>,
    /// Digest of the hexadecimal SHA-1 of `username:password` (crossbar).
    pub sha1: Option<Digest>,
    /// The sealed seed of its second factor.
    pub totp: Option<Sealed>,
    /// Who else vouches for it.
    pub links: Vec<Link>,
    /// What answers show.
    pub attributes: Attributes,
    /// Raised to revoke every token and session of the user.
    pub generation: u64,
}

impl User {
    /// Gives the name that the user is known by to people: the login name, else the e-mail.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.username.as_deref().or(self.email.as_deref())
    }
}

/// A subject of an external issuer that stands for a user.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[derive(schemars::JsonSchema)]
pub struct Link {
    /// The issuer, such as `google`, or `facebook:APP_ID`.
    pub issuer: String,
    /// The subject within the issuer (RFC 7519 §4.1.2).
    pub subject: String,
}

/// A key that a program presents.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ApiKey {
    /// Unique in its platform; public.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// The account it acts for.
    pub account: Option<String>,
    /// The user it acts for: whoever presents it is that user, with the key's scopes.
    pub user: Option<String>,
    /// What is presented.
    pub secret: Option<Digest>,
    /// What was presented before, newest first; see [`ApiKey::presented`].
    pub former: Vec<Former>,
    /// Granted permissions.
    pub scopes: Vec<String>,
    /// Where it may be used from; empty: anywhere.
    pub allowed_addresses: Vec<IpNet>,
    /// The first second in which it is valid, in Unix seconds.
    pub valid_from: Option<u64>,
    /// The first second in which it is not valid any more, in Unix seconds.
    pub valid_to: Option<u64>,
    /// Off: as if it did not exist.
    pub disabled: bool,
    /// Off for good: nothing switches it on again, and no import.
    pub revoked: bool,
    /// The generations of the platform, the account and the user when it got its secret, if it acts
    /// for a user; raising one ends it. `None`: from a time before keys had any, and none ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generations: Option<[u64; 3]>,
    /// It is good only where one of its scopes is asked for: without one, nowhere.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_scopes: bool,
    /// What answers show.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Attributes,
}

/// A secret that a key had before it was rotated.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Former {
    /// What was presented.
    pub secret: Digest,
    /// The first second in which it is not valid any more, in Unix seconds.
    pub until: u64,
    /// What [`ApiKey::generations`] were with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<[u64; 3]>,
}

impl ApiKey {
    /// Tells whether it may act for a user of this account: its own, or any where either has none.
    #[must_use]
    pub fn may_act_for(&self, account: Option<&str>) -> bool {
        match (self.account.as_deref(), account) {
            (Some(mine), Some(its)) => mine == its,
            (None, _) | (_, None) => true,
        }
    }

    /// Gives the key as whoever presents one of these digests may use it, and `None` if none of its
    /// secrets is among them. Behind a former secret, it ends when that one does, or was revoked.
    #[must_use]
    pub fn presented(self, digests: &[Digest]) -> Option<Self> {
        let among = |secret: &Digest| digests.iter().any(|it| it.matches(secret));
        if self.secret.as_ref().is_some_and(among) {
            return Some(self);
        }
        let former = self.former.iter().find(|it| among(&it.secret))?;
        let valid_to = self
            .valid_to
            .map_or(former.until, |it| it.min(former.until));
        Some(Self {
            valid_to: Some(valid_to),
            generations: former.generations,
            ..self
        })
    }
}
