//! What Check tells the issue listener of a request that it has admitted, so that there is one
//! authenticator, one policy and one idea of who the client is.
//!
//! Sealed into a header by a key that only processes with the pepper have, bound to the method and
//! the path that were judged, and good for seconds: a client can neither make one nor keep one for
//! another request. It says who was admitted; it is not a credential, and no secret is in it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::directory::pepper::{Digest, Peppers};
use crate::identity::Identity;

/// The header that carries it.
pub const HEADER: &str = "x-portcullis-context";

/// How long one is good, in seconds: Envoy passes it on at once.
pub const LIFETIME: u64 = 30;

/// How far the clocks of two sidecars may differ, in seconds.
const SKEW: u64 = 5;

/// The longest header that is read, in bytes; Envoy's own limit for all of them is 60 KiB.
const MAX_BYTES: usize = 32 * 1024;

const PURPOSE: &[u8] = b"issue context";

/// An admitted request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The platform's name in the configuration.
    pub platform: String,
    /// The method that was judged.
    pub method: String,
    /// The path that was judged, as it came, without the query.
    pub path: String,
    /// The client's address, where it is known.
    pub client_address: Option<IpAddr>,
    /// Who asks; `None` on a public rule.
    pub identity: Option<Identity>,
    /// When it was judged, in Unix seconds.
    pub issued: u64,
}

/// Why a context is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ContextError {
    /// It is for another method or path.
    #[error("it was made for another request")]
    Elsewhere,
    /// It cannot be read, or nobody with the pepper made it.
    #[error("no Check made it")]
    Forged,
    /// It is too old, or from the future.
    #[error("it was not made now; check the clocks if this happens to real requests")]
    Stale,
}

impl Context {
    /// Gives the header's value.
    #[must_use]
    pub fn seal(&self, peppers: &Peppers) -> String {
        let json = serde_json::to_vec(self).expect("a context holds nothing that JSON does not");
        let text = BASE64_URL_SAFE_NO_PAD.encode(json);
        let mac = peppers.mac(PURPOSE, text.as_bytes());
        format!("{text}.{mac}")
    }

    /// Opens the header's value for the request that it came with.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open(
        sealed: &str,
        peppers: &Peppers,
        (method, path): (&str, &str),
        now: u64,
    ) -> Result<Self, ContextError> {
        if sealed.len() > MAX_BYTES {
            return Err(ContextError::Forged);
        }
        let (text, mac) = sealed.split_once('.').ok_or(ContextError::Forged)?;
        let mac = Digest::try_from(mac).map_err(|_| ContextError::Forged)?;
        if !peppers.is_mac(PURPOSE, text.as_bytes(), &mac) {
            return Err(ContextError::Forged);
        }
        let json = BASE64_URL_SAFE_NO_PAD.decode(text);
        let json = json.map_err(|_| ContextError::Forged)?;
        let context: Self = serde_json::from_slice(&json).map_err(|_| ContextError::Forged)?;
        if (context.method.as_str(), context.path.as_str()) != (method, path) {
            return Err(ContextError::Elsewhere);
        }
        let ends = context.issued.saturating_add(LIFETIME);
        if now > ends || context.issued > now.saturating_add(SKEW) {
            return Err(ContextError::Stale);
        }
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Secret;

    const NOW: u64 = 1_800_000_000;

    fn peppers(keys: &[u8]) -> Peppers {
        Peppers::new(keys.iter().map(|it| Secret::new(vec![*it; 32])).collect()).unwrap()
    }

    fn context() -> Context {
        Context {
            platform: "crossbar".to_owned(),
            method: "PUT".to_owned(),
            path: "/v2/user_auth".to_owned(),
            client_address: "10.1.2.3".parse().ok(),
            identity: Some(Identity {
                user: Some("u-1".to_owned()),
                roles: vec!["Ümläut".to_owned()],
                ..Identity::default()
            }),
            issued: NOW,
        }
    }

    #[test]
    fn a_context_is_opened_by_any_process_with_the_pepper_for_its_own_request() {
        let sealed = context().seal(&peppers(b"n"));
        assert!(sealed.bytes().all(|it| it.is_ascii_graphic()), "{sealed}");
        for other in [peppers(b"n"), peppers(b"xn")] {
            for now in [NOW - SKEW, NOW, NOW + LIFETIME] {
                let opened = Context::open(&sealed, &other, ("PUT", "/v2/user_auth"), now);
                assert_eq!(opened, Ok(context()));
            }
        }
    }

    #[test]
    fn a_context_is_refused_elsewhere_later_and_from_anybody_else() {
        let own = peppers(b"n");
        let sealed = context().seal(&own);
        let (text, mac) = sealed.split_once('.').unwrap();
        let other = Context {
            platform: "other".to_owned(),
            ..context()
        };
        let other = other.seal(&own);
        let put = ("PUT", "/v2/user_auth");
        let digest = own.digest(&[text.as_bytes()]);
        let cases = [
            (
                sealed.as_str(),
                ("POST", put.1),
                NOW,
                ContextError::Elsewhere,
            ),
            (
                &sealed,
                ("PUT", "/v2/user_auth/"),
                NOW,
                ContextError::Elsewhere,
            ),
            (
                &sealed,
                ("PUT", "/v2/api_auth"),
                NOW,
                ContextError::Elsewhere,
            ),
            (&sealed, put, NOW + LIFETIME + 1, ContextError::Stale),
            (&sealed, put, NOW - SKEW - 1, ContextError::Stale),
            ("", put, NOW, ContextError::Forged),
            (text, put, NOW, ContextError::Forged),
            (&format!("{text}."), put, NOW, ContextError::Forged),
            (
                &format!("{text}.{}", "0".repeat(72)),
                put,
                NOW,
                ContextError::Forged,
            ),
            (&format!("{text}.{digest}"), put, NOW, ContextError::Forged),
            (
                &format!("{}.{mac}", other.split_once('.').unwrap().0),
                put,
                NOW,
                ContextError::Forged,
            ),
            (&format!("{text}A.{mac}"), put, NOW, ContextError::Forged),
            (&"a".repeat(MAX_BYTES + 1), put, NOW, ContextError::Forged),
        ];
        for (sealed, request, now, want) in cases {
            assert_eq!(
                Context::open(sealed, &own, request, now),
                Err(want),
                "{sealed}"
            );
        }
        let stranger = Context::open(&sealed, &peppers(b"x"), put, NOW);
        assert_eq!(stranger, Err(ContextError::Forged));
    }
}
