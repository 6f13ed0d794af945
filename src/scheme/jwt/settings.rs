//! What a configuration says about tokens, and what of it cannot be meant.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::keys::{Algorithm, RawKey};
use crate::scheme::{Asked, Keeping, Names, Source, check_leeway, check_setting};

/// Settings of a `jwt` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where the token may stand, such as `[{ authorization: Bearer }, { query: jwt }]`.
    pub(super) from: Vec<Source>,
    /// What `iss` must be.
    pub(super) issuer: Option<String>,
    /// Of which `aud` must hold one. Without it, a token with `aud` is refused.
    #[serde(default)]
    pub(super) audience: Vec<String>,
    /// Algorithms taken; those of the keys, if absent.
    pub(super) algorithms: Option<Vec<Algorithm>>,
    /// The issuer's keys, 8 at most. Without any, without a key set, and without `minted_here`,
    /// every token is refused.
    #[serde(default)]
    pub(super) keys: Vec<RawKey>,
    /// Where the issuer publishes its key set (HTTPS); takes `issuer` and `algorithms` too.
    pub(super) jwks_url: Option<String>,
    /// Where the issuer publishes its metadata, which name its key set, such as
    /// `https://idp.example.com/.well-known/openid-configuration`; instead of `jwks_url`.
    pub(super) discovery: Option<String>,
    /// How long the key set is kept while it cannot be fetched, in seconds since it last was; a
    /// day, if absent.
    pub(super) keep_seconds: Option<u64>,
    /// How often at most a token that names an unknown key has the key set fetched again, in
    /// seconds; 30, if absent.
    pub(super) cool_down_seconds: Option<u64>,
    /// Also tokens that this service mints for the platform: RS256, under `signing.key_files`; HS256,
    /// where `algorithms` name it, under a key that is the platform's own. Where `claims` name a `login`,
    /// the claim of `user` counts in those alone (they say `gen`).
    #[serde(default)]
    pub(super) minted_here: bool,
    /// Claims that must be there; `exp` must in any case.
    #[serde(default = "generic_claims")]
    pub(super) required_claims: Vec<String>,
    /// How far the issuer's clock may differ, 60 at most.
    #[serde(default)]
    pub(super) leeway_seconds: u64,
    /// Which claims say who is meant.
    #[serde(default)]
    pub(super) claims: Names,
    /// Roles of an account that has logged in by itself: of a token that names no user.
    #[serde(default)]
    pub(super) account_roles: Vec<String>,
    /// Whether the user must have a record.
    #[serde(default)]
    pub(super) directory: Asked,
}

fn generic_claims() -> Vec<String> {
    ["iss", "aud", "exp"].map(str::to_owned).to_vec()
}

/// Tells of settings that could not mean what they say.
pub(super) fn check(read: &Settings, complain: &mut impl FnMut(&str, &str)) {
    let requires = |name: &str| read.required_claims.iter().any(|it| it == name);
    if requires("iss") && read.issuer.is_none() {
        complain(
            "",
            "`issuer` is needed, or a list of `required_claims` without `iss`",
        );
    }
    if requires("aud") && read.audience.is_empty() {
        complain(
            "",
            "`audience` is needed, or a list of `required_claims` without `aud`",
        );
    }
    check_leeway(read.leeway_seconds, complain);
    if read.minted_here && read.directory != Asked::Required {
        complain(
            "/minted_here",
            "tokens minted here end with the record of whom they name: `directory` must be `required`",
        );
    }
    if read.claims.login.is_some() && read.directory == Asked::None {
        let message = "who has a login is asked of the directory, which `directory: none` does not";
        complain("/claims/login", message);
    }
    check_key_set(read, complain);
    let Some(algorithms) = &read.algorithms else {
        return;
    };
    let minted = [Algorithm::Rs256, Algorithm::Hs256];
    if read.minted_here && !minted.iter().any(|it| algorithms.contains(it)) {
        let message =
            "tokens minted here are signed with RS256 or HS256, and `algorithms` include neither";
        complain("/minted_here", message);
    }
    if algorithms.is_empty() {
        complain(
            "/algorithms",
            "name at least one, or leave the key out for those of the keys",
        );
    }
    for (index, key) in read.keys.iter().enumerate() {
        if !algorithms.contains(&key.algorithm) {
            let message = "the scheme's `algorithms` do not include this one";
            complain(&format!("/keys/{index}/algorithm"), message);
        }
    }
}

impl Settings {
    /// Tells whether the issuer publishes a key set.
    pub(super) fn has_key_set(&self) -> bool {
        self.jwks_url.is_some() || self.discovery.is_some()
    }

    /// How the key set is kept.
    pub(super) fn keeping(&self) -> Keeping {
        Keeping {
            keep: self.keep_seconds,
            cool_down: self.cool_down_seconds,
        }
    }
}

/// Tells what is wrong with a key set's settings.
fn check_key_set(read: &Settings, complain: &mut impl FnMut(&str, &str)) {
    check_setting("/jwks_url", read.jwks_url.as_ref(), complain);
    check_setting("/discovery", read.discovery.as_ref(), complain);
    if !read.has_key_set() {
        for (pointer, given) in [
            ("/keep_seconds", read.keep_seconds.is_some()),
            ("/cool_down_seconds", read.cool_down_seconds.is_some()),
        ] {
            if given {
                complain(pointer, "only with `jwks_url` or `discovery`");
            }
        }
        return;
    }
    read.keeping().check(complain);
    if read.jwks_url.is_some() && read.discovery.is_some() {
        complain("/discovery", "either this or `jwks_url`");
    }
    if read.issuer.is_none() {
        complain("", "`issuer` is needed: whose key set it is");
    }
    match &read.algorithms {
        None => complain(
            "",
            "`algorithms` are needed, such as `[RS256]`: a key set does not choose",
        ),
        Some(all) if all.contains(&Algorithm::Hs256) => {
            let message = "HS256 takes a secret, which no key set holds";
            complain("/algorithms", message);
        }
        Some(_) => {}
    }
}
