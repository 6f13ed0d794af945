//! A token, read so far as it can be before any key is looked for.
//!
//! JWS compact serialisation (RFC 7515 §7.1) with a JSON payload (RFC 7519), and less than those
//! allow: one spelling of base64url, and no header parameter that would let the token say how it
//! is to be verified. Nothing is believed here.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::credential::MAX_CREDENTIAL_BYTES;
use crate::decision::{Denial, Reason};
use crate::keys::{Algorithm, MAX_KID_BYTES};
use crate::strict_json::object;

/// The longest header, decoded, in bytes; the tokens of known issuers have under 200.
const MAX_HEADER_BYTES: usize = 1024;

/// Header parameters that bring a key, demand an extension, or change what is signed
/// (RFC 7515 §4.1, RFC 7516 §4.1.3, RFC 7797 §3).
const REFUSED: [&str; 7] = ["b64", "crit", "jku", "jwk", "x5c", "x5u", "zip"];

/// An unverified token.
pub(crate) struct Token<'t> {
    /// The whole.
    pub(crate) text: &'t str,
    /// What it says that it is signed with.
    pub(crate) algorithm: Algorithm,
    /// What it calls its key.
    pub(crate) kid: Option<String>,
    /// What it claims.
    pub(crate) claims: Map<String, Value>,
    /// What is signed.
    pub(crate) message: &'t str,
    /// The signature over it, in base64url.
    pub(crate) signature: &'t str,
}

/// Shows what it says that it is signed with, and nothing else: the whole is as good as a password.
impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ..)", self.algorithm.name())
    }
}

/// Tells, without decoding, whether a text can be a token: three parts in the alphabet.
///
/// # Errors
/// A denial where it cannot.
pub(crate) fn check_shape(text: &str) -> Result<(), Denial> {
    if text.len() > MAX_CREDENTIAL_BYTES {
        return Err(Denial::new(
            Reason::TooLarge,
            "a token is longer than 8 KiB",
        ));
    }
    let digit = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
    let filled = |it: &str| !it.is_empty() && it.bytes().all(digit);
    let mut parts = text.splitn(4, '.');
    let three = parts.by_ref().take(3).filter(|it| filled(it)).count() == 3;
    if three && parts.next().is_none() {
        return Ok(());
    }
    Err(malformed("not three parts in base64url without padding"))
}

impl<'t> Token<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// A denial where it cannot be read, or asks for what no token may ask for.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Denial> {
        check_shape(text)?;
        let shaped = || malformed("not three parts");
        let (message, signature) = text.rsplit_once('.').ok_or_else(shaped)?;
        let (header, payload) = message.split_once('.').ok_or_else(shaped)?;
        decode(signature)?;
        let header = decode(header)?;
        if header.len() > MAX_HEADER_BYTES {
            return Err(Denial::new(
                Reason::TooLarge,
                "a token's header is longer than 1 KiB",
            ));
        }
        let header = object(&header).ok_or_else(|| malformed("the header is not plain JSON"))?;
        if REFUSED.iter().any(|it| header.contains_key(*it)) {
            return Err(malformed("the header wants to say how to verify the token"));
        }
        check_type(&header)?;
        let algorithm = algorithm(&header)?;
        let kid = kid(&header)?;
        let claims = object(&decode(payload)?);
        Ok(Self {
            text,
            algorithm,
            kid,
            claims: claims.ok_or_else(|| malformed("the claims are not plain JSON"))?,
            message,
            signature,
        })
    }
}

/// RFC 7519 §5.1, RFC 9068 §2.1.
fn check_type(header: &Map<String, Value>) -> Result<(), Denial> {
    let known = |it: &str| it.eq_ignore_ascii_case("JWT") || it.eq_ignore_ascii_case("at+jwt");
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(it)) if known(it) => Ok(()),
        Some(_) => Err(malformed("`typ` is neither JWT nor at+jwt")),
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Denial> {
    let name = header.get("alg").and_then(Value::as_str);
    name.and_then(Algorithm::parse)
        .ok_or_else(|| malformed("`alg` is no algorithm that is ever taken"))
}

fn kid(header: &Map<String, Value>) -> Result<Option<String>, Denial> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(it)) if it.len() <= MAX_KID_BYTES => Ok(Some(it.clone())),
        Some(_) => Err(malformed("`kid` is no name of a key")),
    }
}

/// Takes one spelling only: no padding, and no bits that say nothing (RFC 4648 §3.5).
fn decode(part: &str) -> Result<Vec<u8>, Denial> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| malformed("a part is not canonical base64url"))
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Reason::Malformed, detail)
}
