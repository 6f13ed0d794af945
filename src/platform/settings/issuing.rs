//! Whether and how a platform issues what its clients present later.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

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
