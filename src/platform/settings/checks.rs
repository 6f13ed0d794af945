//! What the settings of a platform may say, beyond what their types tell.
//!
//! Apart from compiling them, so that every problem is told, at its key, before anything is built.

use std::collections::BTreeSet;

use crate::document::{Document, Problem};
use crate::platform::NamedScheme;
use crate::platform::settings::{RawPlatform, is_name};
use crate::policy::RawRule;
use crate::request::{is_reserved_header, is_token_byte};

/// Checks the platform's own names: of itself, of hosts, of the prefix, of headers.
pub(super) fn check_names(settings: &Document, raw: &RawPlatform, problems: &mut Vec<Problem>) {
    let mut complain =
        |pointer: &str, message: &str| problems.push(settings.problem(pointer, message));
    if !is_name(&raw.name) {
        complain(
            "/name",
            "a platform's name holds letters, digits, `-` and `_`, 64 at most",
        );
    }
    for (index, host) in raw.hosts.iter().enumerate() {
        let name = host
            .strip_prefix("*.")
            .unwrap_or(if host == "*" { "any" } else { host });
        let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_');
        if host.parse::<std::net::Ipv6Addr>().is_ok() {
            continue;
        }
        if name.is_empty()
            || !name.bytes().all(plain)
            || name.starts_with('.')
            || name.ends_with('.')
        {
            complain(
                &format!("/hosts/{index}"),
                "a host is a name, `*.suffix` or `*`, without port and without a dot at its end",
            );
        }
    }
    let unreserved = |it: u8| it.is_ascii_alphanumeric() || b"/-._~".contains(&it);
    let plain = |it: &String| it.starts_with('/') && it.bytes().all(unreserved);
    if !raw.prefix.as_ref().is_none_or(plain) {
        // Others could be escaped in a request, which would then belong to another platform.
        complain(
            "/prefix",
            "a prefix begins with `/` and holds letters, digits, `-._~` and `/`",
        );
    }
    let mut seen = BTreeSet::new();
    for (key, name) in raw.identity_headers.names() {
        let pointer = format!("/identity_headers/{key}");
        if name.is_empty() || !name.bytes().all(is_token_byte) || is_reserved_header(name) {
            complain(&pointer, "not a header that may be set for the upstream");
        }
        if !seen.insert(name.to_ascii_lowercase().replace('_', "-")) {
            complain(&pointer, "two identity headers have one name");
        }
    }
}

/// Checks each rule by itself: what it names must be there, and what it says must make sense.
pub(super) fn check_rules(
    settings: &Document,
    rules: &[RawRule],
    schemes: &[String],
    issues: bool,
    problems: &mut Vec<Problem>,
) {
    for (index, rule) in rules.iter().enumerate() {
        let mut complain = |key: &str, message: &str| {
            problems.push(settings.problem(&format!("/rules/{index}{key}"), message))
        };
        if rule.paths.is_empty() {
            complain(
                "/paths",
                "a rule names the paths it matches; `/**` is every path",
            );
        }
        if rule.issue && !issues {
            complain(
                "/issue",
                "the platform issues nothing: it needs `issue: { dialect: NAME }`",
            );
        }
        for (place, name) in rule.schemes.iter().flatten().enumerate() {
            if !schemes.contains(name) {
                complain(
                    &format!("/schemes/{place}"),
                    "the platform has no scheme of this name",
                );
            }
        }
        let lists = [
            ("/methods", &rule.methods),
            ("/schemes", &rule.schemes),
            ("/scopes_any", &rule.scopes_any),
            ("/roles_any", &rule.roles_any),
        ];
        for (key, _) in lists
            .iter()
            .filter(|it| it.1.as_ref().is_some_and(Vec::is_empty))
        {
            complain(
                key,
                "an empty list could mean any or none; leave the key out for any",
            );
        }
        for (name, _) in rule.claims.iter().filter(|it| it.1.is_empty()) {
            complain(
                &format!("/claims/{name}/one_of"),
                "no claim is one of none: name what it may be",
            );
        }
        let demands = rule.schemes.is_some()
            || rule.scopes_any.is_some()
            || rule.roles_any.is_some()
            || !rule.claims.is_empty()
            || rule.relation.is_some();
        if rule.allow.is_some() && demands {
            complain(
                "/allow",
                "a public rule demands nothing: leave out schemes, scopes, roles, claims and relation",
            );
        }
        if !rule.rest_without.is_empty() && !rule.paths.iter().all(|it| it.ends_with("/**")) {
            complain(
                "/rest_without",
                "every path of the rule needs to end in `/**`",
            );
        }
        if rule.rest_unclear && !rule.paths.iter().all(|it| it.ends_with("/**")) {
            complain(
                "/rest_unclear",
                "every path of the rule needs to end in `/**`",
            );
        }
        if rule.rest_unclear && (rule.issue || !rule.rest_without.is_empty()) {
            complain(
                "/rest_unclear",
                "what may be unclear is read by nobody here: leave out `issue` and `rest_without`",
            );
        }
        let names_account = |it: &String| it.split('/').any(|segment| segment == "{account}");
        if rule.relation.is_some() && !rule.paths.iter().all(names_account) {
            complain(
                "/relation",
                "every path of the rule needs a `{account}` segment",
            );
        }
    }
}

/// Tells of rules whose conditions on claims nobody could meet.
pub(super) fn check_claims(
    settings: &Document,
    rules: &[RawRule],
    schemes: &[NamedScheme],
    problems: &mut Vec<Problem>,
) {
    for (index, rule) in rules.iter().enumerate() {
        let accepted = |it: &&NamedScheme| {
            let names = rule.schemes.as_ref();
            names.is_none_or(|all| all.iter().any(|name| **name == *it.name))
        };
        let mut accepted = schemes.iter().filter(accepted);
        let pointer = format!("/rules/{index}/claims");
        let written = settings.value(&pointer);
        if rule.claims.is_empty() && written.is_some_and(|it| it.is_object()) {
            let message =
                "it names no claim, so nothing is demanded: name one, or leave the key out";
            problems.push(settings.problem(&pointer, message));
        }
        if !rule.claims.is_empty() && !accepted.any(|it| it.scheme.tells_claims()) {
            let message = "none of the schemes that the rule accepts knows claims, so nobody could \
                           pass; tokens have them (`jwt`, `introspection`)";
            problems.push(settings.problem(&pointer, message));
        }
    }
}
