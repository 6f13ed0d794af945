//! What a configuration says about an issuer that is asked about its tokens.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use form_urlencoded::byte_serialize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::Secret;
use crate::outbound::check_url;
use crate::scheme::{Allowance, Asked, Names, RawAllowance, Source};

/// The longest that an answer may be kept: an hour, in which a token that was revoked lives on.
const MAX_KEEP_SECONDS: u64 = 3600;

/// How many tokens of one client may be unknown to the issuer in a window, unless settings say else.
/// It says the same of those that are over, and many clients may stand behind one address: each that
/// goes on with such a token has it asked about every few seconds.
const FAILURES: u32 = 1000;

/// Settings of an `introspection` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where the token may stand, such as `[{ authorization: Bearer }]`.
    pub(super) from: Vec<Source>,
    /// The issuer's endpoint (RFC 7662), over HTTPS.
    pub(super) url: String,
    /// As whom the endpoint is asked, with `client_secret_file` (HTTP Basic, RFC 6749 §2.3.1).
    client_id: Option<String>,
    /// A file with the client's secret.
    client_secret_file: Option<String>,
    /// A file with a token to ask with, instead of `client_id`.
    bearer_token_file: Option<String>,
    /// What `iss` must be, where it is given.
    pub(super) issuer: Option<String>,
    /// Of which `aud` must hold one, where some are given.
    #[serde(default)]
    pub(super) audience: Vec<String>,
    /// Which members of the answer say who is meant.
    #[serde(default)]
    pub(super) claims: Names,
    /// Roles of an account that is named without a user.
    #[serde(default)]
    pub(super) account_roles: Vec<String>,
    /// Whether the user must have a record.
    #[serde(default)]
    pub(super) directory: Asked,
    /// How long an answer is kept, 3600 at most, and never longer than the token lasts.
    #[serde(default = "minute")]
    pub(super) keep_seconds: u64,
    /// How many tokens of one client may be unknown to the issuer; 1000 in 60 seconds, if absent.
    #[serde(default)]
    throttle: RawAllowance,
}

fn minute() -> u64 {
    60
}

impl Settings {
    /// Tells of settings that could not mean what they say, and gives what one client may have asked.
    pub(super) fn check(&self, complain: &mut impl FnMut(&str, &str)) -> Allowance {
        if let Err(message) = check_url(&self.url) {
            complain("/url", message);
        }
        if self.keep_seconds > MAX_KEEP_SECONDS {
            complain("/keep_seconds", "at most 3600");
        }
        self.throttle.check(FAILURES, complain)
    }

    /// Gives the value of `Authorization` that the endpoint is asked with; `None` where there is
    /// none, which is told.
    pub(super) fn authorization(
        &self,
        base: &Path,
        complain: &mut impl FnMut(&str, &str),
    ) -> Option<Secret> {
        let mut read = |pointer: &str, file: &str| {
            let secret = Secret::read(&base.join(file));
            let secret = secret.map_err(|it| complain(pointer, &it)).ok()?;
            if secret.expose().is_empty() {
                complain(pointer, "the file is empty");
                return None;
            }
            Some(secret)
        };
        match (
            &self.client_id,
            &self.client_secret_file,
            &self.bearer_token_file,
        ) {
            (Some(id), Some(file), None) => {
                let secret = read("/client_secret_file", file)?;
                let encoded = |it: &[u8]| byte_serialize(it).collect::<String>();
                let pair = format!("{}:{}", encoded(id.as_bytes()), encoded(secret.expose()));
                Some(Secret::new(
                    format!("Basic {}", BASE64_STANDARD.encode(pair)).into_bytes(),
                ))
            }
            (None, None, Some(file)) => {
                let token = read("/bearer_token_file", file)?;
                if !token.expose().iter().all(u8::is_ascii_graphic) {
                    complain("/bearer_token_file", "the file holds no token");
                }
                Some(Secret::new([b"Bearer ", token.expose()].concat()))
            }
            _ => {
                let message = "an endpoint is asked either as a client (`client_id` and \
                               `client_secret_file`) or with a token (`bearer_token_file`)";
                complain("", message);
                None
            }
        }
    }
}
