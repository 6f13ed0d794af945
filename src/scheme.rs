//! The schemes: each a way to present a credential and to vouch for it.
//!
//! A new scheme is one file under `scheme/` and its row in [`ALL`]; nothing else in the project
//! names it. A scheme decodes without I/O, and verifies by reading records through
//! [`Reads`], which notes what the verdict stands on. It never names another scheme, never decides
//! whether the identity may do what it asks (the policy does), and is the only place where a
//! [`Verified`] can be made.

pub mod api_key;
mod asking;
pub mod basic;
pub mod facebook;
pub mod google;
pub mod ha1b;
pub mod introspection;
pub mod jwt;
mod login;
pub mod mtls;
mod open;
mod places;
#[cfg(test)]
pub(crate) mod scripted;
pub mod session;
mod tokens;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::credential::{Credential, Place};
use crate::decision::{Denial, Failure};
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::identity::Identity;
use crate::keys::hmac::HmacKeys;
use crate::keys::sets::KeySets;
use crate::keys::signing::SigningKeys;
use crate::outbound::Outbound;
use crate::request::RequestView;

pub use asking::Allowance;
pub(crate) use asking::{Asker, RawAllowance};
pub(crate) use login::{by_password, read_nobody};
pub(crate) use open::{earlier, generations, open_account, open_linked, open_user};
pub use places::{Source, parse_places};
pub(crate) use places::{challenge_of, find, is_lower_hex};
pub(crate) use tokens::{
    Asked, Demands, Keeping, Lookup, Names, Token, check_leeway, check_setting, check_shape,
    check_signed, check_unbound, text_claim, unrevoked,
};

/// Every kind of scheme, by the name that `kind:` in a configuration gives.
pub const ALL: &[Kind] = &[
    api_key::KIND,
    basic::KIND,
    facebook::KIND,
    google::KIND,
    ha1b::KIND,
    introspection::KIND,
    jwt::KIND,
    mtls::KIND,
    session::KIND,
];

/// One way to present and verify a credential.
pub trait Scheme: fmt::Debug + Send + Sync {
    /// Every place where it reads credentials; all of them are removed from an allowed request.
    fn places(&self) -> &[Place];

    /// Finds this scheme's credential, without I/O. `Ok(None)`: nothing of mine here.
    ///
    /// # Errors
    /// A denial where something of this scheme is here and cannot be read.
    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial>;

    /// Vouches for the credential, if and only if it is valid now.
    ///
    /// # Errors
    /// A denial where it is not valid, a fault where that cannot be told.
    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>>;

    /// What a 401 asks for (RFC 9110 §11.6.1).
    fn challenge(&self) -> Option<Challenge> {
        None
    }

    /// Tells whether it keeps claims for the rules that ask about them.
    fn tells_claims(&self) -> bool {
        false
    }

    /// The form in which users' passwords must be stored for this scheme to verify them.
    fn stored_form(&self) -> Option<StoredForm> {
        None
    }

    /// Tells whether its credentials may be bound to client addresses, so that the configuration
    /// must say how those are known.
    fn binds_addresses(&self) -> bool {
        false
    }

    /// Tells whether its credentials are beyond guessing, so that nothing is told to anybody by how long one takes. Names
    /// and passwords are not.
    fn is_unguessable(&self) -> bool {
        false
    }

    /// The longest that what it says may be kept, where that is shorter than the cache keeps it.
    fn kept_at_most(&self) -> Option<Duration> {
        None
    }

    /// What a client's failed attempts are counted against, so that it has only so many; `None`:
    /// they are not counted.
    fn budget(&self) -> Option<Budget> {
        None
    }

    /// Tells whether tokens that are signed with one of these secrets have a good signature here.
    fn takes_signed_with(&self, _: &HmacKeys) -> bool {
        false
    }

    /// What an operator should know about its settings although they work.
    fn warning(&self) -> Option<&'static str> {
        None
    }
}

/// An identity that a scheme has vouched for. Only schemes can make one.
#[derive(Clone, Debug)]
pub struct Verified(Identity);

impl Verified {
    /// Asserts that the credential is valid now and belongs to this identity.
    fn vouch(identity: Identity) -> Self {
        Self(identity)
    }

    /// Gives the identity.
    #[must_use]
    pub fn into_identity(self) -> Identity {
        self.0
    }
}

/// A kind of scheme: a row of [`ALL`].
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What `kind:` says.
    pub name: &'static str,
    /// Reads the settings, without `kind`; `None` where they have problems, which are added.
    pub build: Build,
    /// The settings' JSON Schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// Builds a scheme from its settings.
pub type Build = fn(&Context<'_>, &Document, &mut Vec<Problem>) -> Option<Arc<dyn Scheme>>;

/// What a scheme is told about the platform it stands in.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The platform's name.
    pub platform: &'a str,
    /// The scheme's name in the platform.
    pub name: &'a str,
    /// How strictly the platform reads.
    pub reading: Reading,
    /// What files are relative to: where the configuration stands.
    pub base: &'a Path,
    /// What RS256 tokens that are minted here are signed with.
    pub signing: &'a SigningKeys,
    /// The claims that the platform's rules ask about: tokens' are kept for them.
    pub claims: &'a [String],
    /// What asks servers on the internet.
    pub outbound: &'a Outbound,
    /// The key sets of issuers.
    pub key_sets: &'a KeySets,
    /// What HS256 tokens that are minted for the platform are signed with.
    pub hmac: &'a HmacKeys,
}

/// How strictly a platform reads credentials.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Whether the scheme word of `Authorization` must be spelled exactly. RFC 9110 §11.1: no.
    pub scheme_case: SchemeCase,
    /// Which base64 is taken.
    pub base64: Base64,
    /// What a second credential of the same scheme means.
    pub conflict: Conflict,
}

/// Whether `basic` is `Basic`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemeCase {
    /// Only as the platform documents the word.
    Exact,
    /// In any case (RFC 9110 §11.1).
    #[default]
    Insensitive,
}

/// Which base64 a platform takes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Base64 {
    /// Also without padding and with spaces (RFC 2045 §6.8); never with trailing garbage.
    Lenient,
    /// The standard alphabet, padded, canonical (RFC 4648 §4).
    #[default]
    Strict,
}

/// What several credentials on one request mean.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conflict {
    /// All must verify, and belong to the same user.
    Agree,
    /// The first counts, in the order of the platform's schemes; the others are not looked at.
    Precedence,
    /// The request is denied.
    #[default]
    Refuse,
}

/// What a client's failed attempts are counted against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Budget {
    /// The scheme as a whole, by how many different ones fail, where the client's address is known: in the credential
    /// stands a secret that people choose, and it names nobody. The platform's `throttle` says how many.
    Guesses,
    /// Whom the credential names, where the client's address is known: a secret that people choose
    /// can be guessed. The platform's `throttle` says how many.
    Name,
    /// The scheme as a whole: an attempt costs what is scarce, whatever is tried.
    Scheme(Allowance),
}

/// A stored form of a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoredForm {
    /// Argon2id.
    Argon2,
    /// A digest of the MD5 of `login@domain:domain:password` (SIP).
    Ha1b,
    /// A digest of the MD5 of `username:password`.
    Md5,
    /// A digest of the SHA-1 of `username:password`.
    Sha1,
}

/// A `WWW-Authenticate` challenge without its realm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    /// The scheme's word.
    pub scheme: String,
    /// Parameters after the realm, ready to send, such as `charset="UTF-8"`.
    pub parameters: &'static str,
}
