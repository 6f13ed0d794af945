//! Whether and how a platform issues what its clients present later.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Document, Problem};
use crate::keys::hmac::HmacKeys;
use crate::platform::settings::{RawPlatform, Surroundings};

/// What a platform's endpoints that issue tokens are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueSettings {
    /// The name of the dialect that they speak.
    pub dialect: String,
    /// Whether this process serves them, at `listen.issue`, or another one with the same peppers,
    /// where Envoy sends their requests.
    #[serde(default)]
    pub served: Served,
    /// How long its tokens are good, in seconds; absent: as the platform documents it.
    pub token_seconds: Option<NonZeroU32>,
}

/// Who serves endpoints that issue tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Served {
    /// Another process.
    Elsewhere,
    /// This one; without `listen.issue`, nobody: then rules with `issue: true` count for nothing.
    #[default]
    Here,
}

/// Gives what the platform's own HS256 tokens are signed with: its files, or where it issues any, what
/// the peppers give.
pub(super) fn hmac_keys(
    settings: &Document,
    raw: &RawPlatform,
    issuing: bool,
    around: Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> HmacKeys {
    if raw.hmac_key_files.is_empty() {
        let peppers = around.peppers.filter(|_| issuing);
        let derived = peppers.map(|it| HmacKeys::derived(it, &raw.name));
        return derived
            .unwrap_or_else(|| Ok(HmacKeys::default()))
            .unwrap_or_else(|message| {
                problems.push(settings.problem("/issue", &message));
                HmacKeys::default()
            });
    }
    let files = raw.hmac_key_files.iter().map(|it| around.base.join(it));
    HmacKeys::load(&files.collect::<Vec<_>>()).unwrap_or_else(|found| {
        let at = |index: usize| format!("/hmac_key_files/{index}");
        problems.extend(
            found
                .iter()
                .map(|it| settings.problem(&at(it.index), &it.message)),
        );
        HmacKeys::default()
    })
}
