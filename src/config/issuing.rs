//! What a configuration must say besides, once it serves endpoints that issue tokens.

use std::sync::Arc;

use crate::config::raw::RawConfig;
use crate::document::{Document, Problem};
use crate::issue::{DIALECTS, Dialect, Signature, dialect};
use crate::keys::signing::SigningKeys;
use crate::platform::Platform;

/// The longest lifetime of a token, in seconds: a token that is stolen is good for it.
const MAX_TOKEN_SECONDS: u32 = 2_592_000;

/// Tells what is wrong, and what works and may not be meant so.
pub(super) fn check(
    document: &Document,
    raw: &RawConfig,
    signing: &SigningKeys,
    platforms: &[Arc<Platform>],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let mut speaking = Vec::new();
    for (index, platform) in platforms.iter().enumerate() {
        let shares = platforms[..index].iter();
        if let Some(other) = shares
            .into_iter()
            .find(|it| it.hmac.overlaps(&platform.hmac))
        {
            let message = format!(
                "platform {} has one of these secrets too, so tokens of each would be good on the other",
                other.name
            );
            let pointer = format!("/platforms/{index}/hmac_key_files");
            problems.push(document.problem(&pointer, &message));
        }
        let Some(issue) = &platform.issue else {
            continue;
        };
        let at = |key: &str| format!("/platforms/{index}/issue/{key}");
        let Some(dialect) = dialect(&issue.dialect) else {
            let known: Vec<_> = DIALECTS.iter().map(|it| it.name).collect();
            let message = format!("no such dialect; there are {}", known.join(", "));
            problems.push(document.problem(&at("dialect"), &message));
            continue;
        };
        if issue
            .token_seconds
            .is_some_and(|it| it.get() > MAX_TOKEN_SECONDS)
        {
            problems.push(document.problem(&at("token_seconds"), "at most 2592000 (30 days)"));
        }
        if issue.token_seconds.is_some() && dialect.lifetime.is_none() {
            let message = "this dialect has a setting of its own for that, which clients set";
            problems.push(document.problem(&at("token_seconds"), message));
        }
        speaking.push((&*platform.name, dialect));
    }
    if raw.listen.issue.is_none() {
        return;
    }
    if speaking.is_empty() {
        let message = "no platform has `issue: { dialect: NAME }`, so nothing is answered there";
        warnings.push(document.problem("/listen/issue", message));
    }
    let of = |is: fn(&Dialect) -> bool| speaking.iter().find(|it| is(it.1)).map(|it| it.0);
    if let (true, Some(name)) = (
        signing.is_empty() && raw.signing.key_files.is_empty(),
        of(|it| it.signature == Signature::Rs256),
    ) {
        let message = format!(
            "platform {name} mints tokens and has no key to sign them with: write `signing: {{ \
             key_files: [signing.pem] }}`, and make one with `openssl genrsa -out signing.pem 2048`"
        );
        problems.push(document.problem("/listen/issue", &message));
    }
    let told = |it: &Problem| it.message.contains("`client_address` is needed");
    let told = problems.iter().any(told);
    if let (None, Some(name), false) = (&raw.client_address, of(|it| it.logs_in), told) {
        let message = format!(
            "platform {name} limits failed logins by the client's address: say how it is known, \
             such as `client_address: {{ from: peer }}` where Envoy is the edge"
        );
        problems.push(document.problem("/client_address", &message));
    }
}
