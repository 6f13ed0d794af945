//! Who a verified credential belongs to, and under which conditions it may be used.
//!
//! An identity is plain data: only a scheme can vouch for one (see [`crate::scheme::Verified`]).
//! What a verdict depends on besides the credential, such as the client's address, is a
//! constraint in here, judged at every use, and so no part of a cache key.

mod holder;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use holder::{Holder, Terms};

/// A verified caller, as a scheme says it; [`Holder`] as it is kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The platform's name in the configuration.
    pub platform: Arc<str>,
    /// The account's id in the directory.
    pub account: Option<String>,
    /// The user's id in the directory.
    pub user: Option<String>,
    /// The API key's id in the directory, where one was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The login name or e-mail.
    pub username: Option<String>,
    /// The scheme's name in the platform.
    pub scheme: Arc<str>,
    /// Granted permissions, one word each (RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// The user's roles.
    pub roles: Vec<String>,
    /// Those claims of the token that rules ask about, as the issuer wrote them.
    #[serde(skip)]
    pub claims: BTreeMap<String, Value>,
    /// When it ends, in Unix seconds.
    pub expires: Option<u64>,
    /// Addresses it may be used from; empty: any.
    pub allowed_addresses: Vec<IpNet>,
    /// The generations of the platform, the account and the user when it was vouched for, 0 where
    /// there is none; `None` where they were not asked for. What is minted for it later is worth
    /// nothing under others.
    pub generations: Option<[u64; 3]>,
    /// The token that was presented, where one was that can be revoked by itself. Most have none, and
    /// many are kept.
    pub token: Option<Box<TokenRef>>,
    /// It is good only where one of its scopes is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_scopes: bool,
    /// The keyed digest of the session's token that was presented, where one was: it names the
    /// session, and is none.
    #[serde(default)]
    pub session: Option<String>,
}

/// Names a token without being one: enough to revoke it and to tell how it was come by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenRef {
    /// The keyed digest under which it is revoked.
    pub digest: String,
    /// The keyed digest of its very text.
    pub text: String,
    /// When it ends by itself, in Unix seconds.
    pub ends: u64,
    /// How its bearer logged in, where it says so (`method` of KAZOO's tokens).
    pub method: Option<String>,
}

/// An account and those that it stands below.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lineage {
    /// The account's id.
    pub account: String,
    /// The ids of its parent, the parent's parent, and so on; empty where it has no record.
    pub ancestors: Vec<String>,
}
