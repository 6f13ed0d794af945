//! Whether and how a platform issues what its clients present later.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Document, Problem};
use crate::keys::hmac::HmacKeys;
use crate::platform::settings::{RawPlatform, Surroundings};

/// After how many seconds sessions end where nothing else is said.
const SESSION_SECONDS: u32 = 3_600;

/// After how many seconds sliding sessions end however they are used, where nothing else is said.
const SESSION_CAP_SECONDS: u32 = 86_400;

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
    /// What ends its sessions, where it has any.
    pub session: Option<SessionEnd>,
    /// After how many seconds they end, without use or by the clock; absent: 3600.
    pub session_seconds: Option<NonZeroU32>,
    /// After how many seconds a sliding session ends however it is used; absent: 86400.
    pub session_cap_seconds: Option<NonZeroU32>,
}

/// What ends a session.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum SessionEnd {
    /// The clock, however it is used.
    Absolute,
    /// Not being used.
    #[default]
    Sliding,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionLife {
    /// How long one may go unused; `None`: to its end.
    pub idle: Option<Duration>,
    /// How long one lives however it is used.
    pub cap: Duration,
}

impl IssueSettings {
    /// Gives how long the platform's sessions live.
    #[must_use]
    pub fn session_life(&self) -> SessionLife {
        let seconds = |set: Option<NonZeroU32>, default| {
            let set = set.map_or(default, NonZeroU32::get);
            Duration::from_secs(set.into())
        };
        let life = seconds(self.session_seconds, SESSION_SECONDS);
        match self.session.unwrap_or_default() {
            SessionEnd::Absolute => SessionLife {
                idle: None,
                cap: life,
            },
            SessionEnd::Sliding => SessionLife {
                idle: Some(life),
                cap: seconds(self.session_cap_seconds, SESSION_CAP_SECONDS),
            },
        }
    }

    /// Tells whether anything is said about sessions.
    #[must_use]
    pub fn mentions_sessions(&self) -> bool {
        self.session.is_some()
            || self.session_seconds.is_some()
            || self.session_cap_seconds.is_some()
    }
}

/// Who serves endpoints that issue tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
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
