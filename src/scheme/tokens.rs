//! What the schemes whose credential is a signed token share: reading one, demanding of its claims,
//! and telling whether a key has signed it.
//!
//! No scheme itself: whose keys count, what must be claimed and whom a token names is for each of
//! them to say.

mod claims;
mod lookup;
mod token;

use std::time::Duration;

use serde_json::{Map, Value};

use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::identity::TokenRef;
use crate::keys::Key;
use crate::keys::remote::{COOL_DOWN_SECONDS, KEEP_SECONDS};
use crate::outbound::check_url;
use crate::proof::Prover;

pub(crate) use claims::{Demands, Names, check_unbound, text_claim};
pub(crate) use lookup::{Asked, Lookup};
pub(crate) use token::{Token, check_shape};

/// The greatest leeway, in seconds: what clocks that are kept at all do not exceed.
const MAX_LEEWAY: u64 = 60;

/// The longest that a key set may be kept, in seconds: 30 days.
const MAX_KEEP_SECONDS: u64 = 30 * 24 * 60 * 60;

/// The longest cool-down, in seconds.
const MAX_COOL_DOWN_SECONDS: u64 = 60 * 60;

/// Demands that a token is signed with this key; what was proven once is remembered.
///
/// # Errors
/// A denial where it is not.
pub(crate) fn check_signed(key: &Key, token: &Token<'_>, prover: &Prover) -> Result<(), Denial> {
    let [algorithm, material] = key.identity();
    let parts = [b"signature", algorithm, material, token.text.as_bytes()];
    let signed = prover.remembered(&parts, || {
        key.has_signed(token.message.as_bytes(), token.signature)
    });
    signed
        .then_some(())
        .ok_or_else(|| Denial::new(Reason::Wrong, "the signature is not the key's"))
}

/// Names a token that nobody has revoked, by what it can be revoked with later. `ends` is in Unix
/// seconds.
///
/// # Errors
/// A denial where it was revoked, a fault when the store does not answer.
pub(crate) async fn unrevoked(
    token: &Token<'_>,
    ends: u64,
    reads: &Reads,
) -> Result<TokenRef, Failure> {
    let revocation = revocation_parts(&token.claims, token.message);
    if reads.is_revoked(&revocation).await? {
        return Err(Denial::new(Reason::Revoked, "the token was revoked").into());
    }
    Ok(TokenRef {
        digest: reads.revocation_digest(&revocation).to_string(),
        text: reads.text_digest(token.text).to_string(),
        ends,
        method: None,
    })
}

/// Gives what a token is revoked by: its issuer's name for it, or where it has none what is signed. Not the signature,
/// for whoever has one of ECDSA can write another that is as good.
#[must_use]
pub(crate) fn revocation_parts<'t>(
    claims: &'t Map<String, Value>,
    message: &'t str,
) -> Vec<&'t [u8]> {
    let claim = |name| claims.get(name).and_then(Value::as_str);
    match claim("jti").filter(|it| !it.is_empty()) {
        Some(id) => {
            let issuer = claim("iss").unwrap_or_default();
            vec![b"jti", issuer.as_bytes(), id.as_bytes()]
        }
        None => vec![b"token", message.as_bytes()],
    }
}

/// How a key set is kept, as settings say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// How long it is kept after it was last fetched, in seconds.
    pub(crate) keep: Option<u64>,
    /// How often an unknown name has it fetched again, in seconds.
    pub(crate) cool_down: Option<u64>,
}

impl Keeping {
    /// Gives both times, and tells of settings that cannot be meant.
    pub(crate) fn check(self, complain: &mut impl FnMut(&str, &str)) -> (Duration, Duration) {
        let keep = self.keep.unwrap_or(KEEP_SECONDS);
        if !(60..=MAX_KEEP_SECONDS).contains(&keep) {
            complain("/keep_seconds", "between 60 and 2592000 (30 days)");
        }
        let cool_down = self.cool_down.unwrap_or(COOL_DOWN_SECONDS);
        if !(1..=MAX_COOL_DOWN_SECONDS).contains(&cool_down) {
            complain("/cool_down_seconds", "between 1 and 3600");
        }
        (Duration::from_secs(keep), Duration::from_secs(cool_down))
    }
}

/// Tells of a leeway that no clock needs.
pub(crate) fn check_leeway(seconds: u64, complain: &mut impl FnMut(&str, &str)) {
    if seconds > MAX_LEEWAY {
        complain("/leeway_seconds", "at most 60");
    }
}

/// Tells of a URL that may not be asked.
pub(crate) fn check_setting(
    setting: &str,
    url: Option<&String>,
    complain: &mut impl FnMut(&str, &str),
) {
    if let Some(Err(message)) = url.map(|it| check_url(it)) {
        complain(setting, message);
    }
}
