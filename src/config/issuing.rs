//! What a configuration must say besides, once it serves endpoints that issue tokens.

use std::sync::Arc;

use crate::config::raw::RawConfig;
use crate::document::{Document, Problem};
use crate::issue::{DIALECTS, dialect};
use crate::keys::signing::SigningKeys;
use crate::platform::Platform;

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
        let Some(issue) = &platform.issue else {
            continue;
        };
        if dialect(&issue.dialect).is_none() {
            let known: Vec<_> = DIALECTS.iter().map(|it| it.name).collect();
            let message = format!("no such dialect; there are {}", known.join(", "));
            let pointer = format!("/platforms/{index}/issue/dialect");
            problems.push(document.problem(&pointer, &message));
        }
        speaking.push(&*platform.name);
    }
    let (Some(_), Some(name)) = (&raw.listen.issue, speaking.first()) else {
        if raw.listen.issue.is_some() {
            let message =
                "no platform has `issue: { dialect: NAME }`, so nothing is answered there";
            warnings.push(document.problem("/listen/issue", message));
        }
        return;
    };
    if signing.is_empty() {
        let message = format!(
            "platform {name} mints tokens and has no key to sign them with: write `signing: {{ \
             key_files: [signing.pem] }}`, and make one with `openssl genrsa -out signing.pem 2048`"
        );
        problems.push(document.problem("/listen/issue", &message));
    }
    if raw.client_address.is_none() {
        let message = format!(
            "platform {name} limits failed logins by the client's address: say how it is known, \
             such as `client_address: {{ from: peer }}` where Envoy is the edge"
        );
        problems.push(document.problem("/client_address", &message));
    }
}
