//! Whether and how the upstream is told who is calling in a form that it can verify by itself.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::context;
use crate::credential::Place;
use crate::document::{Document, Problem};
use crate::platform::settings::RawPlatform;
use crate::request::{folds_to, is_reserved_header, is_token_byte};

/// The shortest and the longest lifetime, in seconds: what the clocks of two machines may differ by,
/// and what can still be called short.
const LIFETIMES: std::ops::RangeInclusive<u64> = 10..=3600;

/// A signed assertion of who was admitted, for the upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertionSettings {
    /// What `iss` says, such as `https://auth.example.com`: the upstream demands it.
    pub issuer: String,
    /// What `aud` says: the upstream, by the name or names that it knows itself by.
    pub audience: Vec<String>,
    /// The header that carries it.
    #[serde(default = "header")]
    pub header: String,
    /// How long one is good, in seconds, 10 to 3600; it arrives with half of that or more left, and
    /// never lasts longer than the credential.
    #[serde(default = "lifetime")]
    pub lifetime_seconds: u64,
}

fn header() -> String {
    "x-auth-assertion".to_owned()
}

fn lifetime() -> u64 {
    60
}

/// Tells of settings that cannot be meant. `places` are where the platform reads credentials.
pub(super) fn check<'p>(
    settings: &Document,
    raw: &RawPlatform,
    places: impl Iterator<Item = &'p Place>,
    problems: &mut Vec<Problem>,
) {
    let Some(assertion) = &raw.assertion else {
        return;
    };
    let mut complain = |key: &str, message: &str| {
        problems.push(settings.problem(&format!("/assertion/{key}"), message));
    };
    if !is_text(&assertion.issuer) {
        complain("issuer", "name who asserts, as the upstream demands it");
    }
    if assertion.audience.is_empty() || !assertion.audience.iter().all(|it| is_text(it)) {
        complain(
            "audience",
            "name whom it is for, such as `[orders]`: without that, one upstream could use it at another",
        );
    }
    if !LIFETIMES.contains(&assertion.lifetime_seconds) {
        complain("lifetime_seconds", "between 10 and 3600");
    }
    let name = &assertion.header;
    let is_ours = |it: &str| folds_to(name.as_bytes(), it);
    if name.is_empty() || !name.bytes().all(is_token_byte) || is_reserved_header(name) {
        complain("header", "not a header that may be set for the upstream");
    } else if raw.identity_headers.names().iter().any(|it| is_ours(it.1)) {
        complain("header", "an identity header has this name");
    } else if raw.account_header.as_deref().is_some_and(is_ours) || is_ours(context::HEADER) {
        complain("header", "this header is read or set for something else");
    }
    for place in places {
        let read = match place {
            Place::Authorization(_) => "authorization",
            Place::Header(name) => name,
            Place::Certificate | Place::Query(_) => continue,
        };
        if is_ours(read) {
            let message = "credentials are read there, and are taken off before the upstream";
            return complain("header", message);
        }
    }
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn parse(assertion: &str) -> Result<AssertionSettings, Vec<Problem>> {
        let text = format!(
            r#"
listen: {{ grpc: ["127.0.0.1:0"] }}
client_address: {{ from: peer }}
platforms:
  - name: p
    hosts: ["*"]
    schemes:
      key: {{ kind: api_key, from: [{{ header: X-Key }}, {{ query: x-query }}, {{ authorization: Key }}] }}
    unread: [{{ header: x-legacy }}]
    account_header: X-Account
    identity_headers: {{ user: X-Caller }}
    rules: [{{ paths: ["/**"] }}]
    assertion: {assertion}
"#
        );
        let config = Config::parse("c.yaml", &text, Path::new("."), |_| None)?;
        let platform = config.platforms.iter().next().unwrap();
        Ok(platform.assertion.clone().unwrap())
    }

    #[test]
    fn who_asserts_to_whom_must_be_said_and_the_rest_may_be() {
        let least = parse("{ issuer: us, audience: [them] }").unwrap();
        assert_eq!(
            (&*least.header, least.lifetime_seconds),
            ("x-auth-assertion", 60)
        );
        let most = "{ issuer: us, audience: [a, b], header: X-Who, lifetime_seconds: 3600 }";
        assert_eq!(parse(most).unwrap().lifetime_seconds, 3600);
        for (wrong, key) in [
            ("{ audience: [them] }", ".issuer"),
            ("{ issuer: us }", ".audience"),
            ("{ issuer: us, audience: them }", ".audience"),
            ("{ issuer: us, audience: [them], heeder: x }", ".heeder"),
            ("{ issuer: \" \", audience: [them] }", ".issuer"),
            ("{ issuer: \"a\\nb\", audience: [them] }", ".issuer"),
            ("{ issuer: us, audience: [] }", ".audience"),
            ("{ issuer: us, audience: [them, \"\"] }", ".audience"),
            (
                "{ issuer: us, audience: [a], lifetime_seconds: 9 }",
                ".lifetime_seconds",
            ),
            (
                "{ issuer: us, audience: [a], lifetime_seconds: 3601 }",
                ".lifetime_seconds",
            ),
        ] {
            let problems = parse(wrong).unwrap_err();
            let keys: Vec<_> = problems.iter().map(|it| &*it.key).collect();
            assert_eq!(keys, [format!("platforms[0].assertion{key}")], "{wrong}");
        }
    }

    #[test]
    fn its_header_is_no_other_in_any_spelling() {
        for (header, free) in [
            ("x-who", true),
            ("x-query", true),
            ("x-auth-user", true),
            ("X_Caller", false),
            ("X-Auth_Account", false),
            ("x-auth-expires", false),
            ("x_key", false),
            ("Authorization", false),
            ("x-legacy", false),
            ("x-account", false),
            ("X-Portcullis_Context", false),
            ("x-envoy-who", false),
            ("content-length", false),
            ("x who", false),
            ("", false),
        ] {
            let text = format!("{{ issuer: us, audience: [a], header: \"{header}\" }}");
            let read = parse(&text);
            assert_eq!(read.is_ok(), free, "{header}: {read:?}");
            for problem in read.err().iter().flatten() {
                assert_eq!(problem.key, "platforms[0].assertion.header", "{header}");
            }
        }
    }
}
