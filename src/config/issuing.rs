//! What a configuration must say besides, once it serves endpoints that issue tokens.

use std::sync::Arc;
use std::time::Duration;

use crate::config::raw::RawConfig;
use crate::directory::sessions::SLACK;
use crate::document::{Document, Problem};
use crate::issue::{DIALECTS, Dialect, Signature, dialect};
use crate::keys::signing::SigningKeys;
use crate::platform::Platform;
use crate::platform::settings::{IssueSettings, SessionEnd};

/// The longest lifetime of a token, in seconds: a token that is stolen is good for it.
const MAX_TOKEN_SECONDS: u32 = 2_592_000;

/// The shortest life of a session, in seconds: what Check remembers of one is good for as long.
const MIN_SESSION_SECONDS: u64 = SLACK.as_secs();

/// The longest life of a session, in seconds: 30 days.
const MAX_SESSION_SECONDS: u64 = 2_592_000;

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
        for (key, message) in shared_secrets(index, platforms) {
            let pointer = format!("/platforms/{index}/{key}");
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
        for (key, message) in session_problems(issue, dialect) {
            problems.push(document.problem(&at(key), message));
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

/// Tells of secrets that another platform signs with as well as this one takes tokens under, each with
/// the key that names them. Platforms that only take tokens may share their issuer.
fn shared_secrets(index: usize, platforms: &[Arc<Platform>]) -> Vec<(String, String)> {
    let platform = &platforms[index];
    let mut problems = Vec::new();
    let mut before = platforms[..index].iter();
    if let Some(other) = before.find(|it| it.hmac.overlaps(&platform.hmac)) {
        let message = format!(
            "platform {} has one of these secrets too, so tokens of each would be good on the other",
            other.name
        );
        problems.push(("hmac_key_files".to_owned(), message));
    }
    for named in &platform.schemes {
        let mut others = platforms.iter().enumerate().filter(|it| it.0 != index);
        // Where both sign with it, that is told above.
        let signs = |other: &Platform| {
            named.scheme.takes_signed_with(&other.hmac) && !other.hmac.overlaps(&platform.hmac)
        };
        if let Some((_, other)) = others.find(|it| signs(it.1)) {
            let message = format!(
                "platform {} signs its tokens with one of these secrets, so they would be good here",
                other.name
            );
            problems.push((format!("schemes/{}/keys", named.name), message));
        }
    }
    problems
}

/// Tells what is wrong with what is said about sessions, each with its key.
fn session_problems(issue: &IssueSettings, dialect: &Dialect) -> Vec<(&'static str, &'static str)> {
    let mut problems = Vec::new();
    if !dialect.has_sessions {
        if issue.mentions_sessions() {
            problems.push((
                "dialect",
                "this dialect has no sessions to say anything about",
            ));
        }
        return problems;
    }
    let life = issue.session_life();
    let within = |it: Duration| (MIN_SESSION_SECONDS..=MAX_SESSION_SECONDS).contains(&it.as_secs());
    if !within(life.idle.unwrap_or(life.cap)) {
        problems.push(("session_seconds", "from 60 to 2592000 (30 days)"));
    }
    if issue.session == Some(SessionEnd::Absolute) {
        if issue.session_cap_seconds.is_some() {
            let message =
                "an `absolute` session ends after `session_seconds`, and has no other cap";
            problems.push(("session_cap_seconds", message));
        }
    } else if !within(life.cap) {
        problems.push(("session_cap_seconds", "from 60 to 2592000 (30 days)"));
    } else if life.idle.is_some_and(|it| it > life.cap) {
        let message =
            "longer than `session_cap_seconds` (86400 where it is not set), which comes first";
        problems.push(("session_seconds", message));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::config::Config;
    use crate::document::Problem;
    use crate::platform::settings::SessionLife;

    const LISTEN: &str =
        "listen: { grpc: [\"127.0.0.1:0\"], issue: \"127.0.0.1:0\", control: \"unix:c.sock\" }\n";

    fn parse(base: &Path, rest: &str) -> Result<Config, Vec<Problem>> {
        Config::parse("c.yaml", &format!("{LISTEN}{rest}"), base, |_| None)
    }

    #[test]
    fn a_dialect_asks_for_what_it_needs_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes);
        write("pepper", &[b'p'; 32]).unwrap();
        write("one", &[b'1'; 32]).unwrap();
        write("other", &[b'2'; 32]).unwrap();
        let stays = "store: { url: \"embedded:s.redb\", pepper_files: [pepper] }\n";
        let short = "store: { url: \"embedded:s.redb\", pepper_files: [gone] }\n";
        let first = "preset: opentact, hosts: [a], hmac_key_files: [one]";
        let second = |rest: &str| format!("preset: opentact, hosts: [b], {rest}");
        let verifying = |file: &str| {
            format!("schemes: {{ jwt: {{ keys: [{{ algorithm: HS256, secret_file: {file} }}] }} }}")
        };
        let one = |rest: &str| vec![format!("preset: {rest}")];
        for (name, store, platforms, want) in [
            ("HS256 alone", stays, one("opentact"), &[][..]),
            (
                "RS256 and logins",
                stays,
                one("crossbar"),
                &["", "listen.issue"],
            ),
            (
                "no such dialect",
                stays,
                one("opentact, issue: { dialect: klingon }"),
                &["platforms[0].issue.dialect"],
            ),
            (
                "a week",
                "",
                one("opentact, issue: { token_seconds: 604800 }"),
                &[],
            ),
            (
                "no time",
                "",
                one("opentact, issue: { token_seconds: 0 }"),
                &["platforms[0].issue.token_seconds"],
            ),
            (
                "too long",
                "",
                one("opentact, issue: { token_seconds: 2592001 }"),
                &["platforms[0].issue.token_seconds"],
            ),
            (
                "said elsewhere",
                "client_address: { from: peer }\n",
                one("crossbar, issue: { token_seconds: 60 }"),
                &["platforms[0].issue.token_seconds"],
            ),
            (
                "a secret each",
                "",
                vec![first.to_owned(), second("hmac_key_files: [other]")],
                &[],
            ),
            (
                "one secret for two",
                "",
                vec![first.to_owned(), second("hmac_key_files: [other, one]")],
                &["platforms[1].hmac_key_files"],
            ),
            (
                "one that the other verifies with",
                "",
                vec![first.to_owned(), second(&verifying("one"))],
                &["platforms[1].schemes.jwt.keys"],
            ),
            (
                "the same in the other order",
                "",
                vec![
                    format!("preset: opentact, hosts: [a], {}", verifying("one")),
                    second("hmac_key_files: [other, one]"),
                ],
                &["platforms[0].schemes.jwt.keys"],
            ),
            (
                "one that both only verify with",
                "",
                vec![
                    format!("preset: opentact, hosts: [a], {}", verifying("one")),
                    second(&verifying("one")),
                ],
                &[],
            ),
            (
                "another to verify with",
                "",
                vec![first.to_owned(), second(&verifying("other"))],
                &[],
            ),
            (
                "no secret, and no pepper",
                short,
                one("opentact, hmac_key_files: [one, gone]"),
                &["platforms[0].hmac_key_files[1]", "store.pepper_files[0]"],
            ),
        ] {
            let platforms = platforms.iter().zip(["p", "q"]);
            let platforms = platforms.map(|(it, name)| format!("  - {{ name: {name}, {it} }}\n"));
            let text = format!("{store}platforms:\n{}", platforms.collect::<String>());
            let found = parse(folder.path(), &text).err().unwrap_or_default();
            let mut keys: Vec<_> = found.iter().map(|it| &*it.key).collect();
            keys.sort_unstable();
            assert_eq!(keys, want, "{name}: {found:?}");
        }
    }

    #[test]
    fn sessions_end_when_it_is_said_and_what_cannot_be_meant_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let seconds = |idle: Option<u64>, cap: u64| {
            let idle = idle.map(Duration::from_secs);
            let cap = Duration::from_secs(cap);
            Ok(SessionLife { idle, cap })
        };
        let wrong = |key: &str| Err(format!("platforms[0].issue.{key}"));
        for (preset, said, want) in [
            ("infobip", "", seconds(Some(3600), 86_400)),
            ("infobip", "session: sliding", seconds(Some(3600), 86_400)),
            ("infobip", "session: absolute", seconds(None, 3600)),
            (
                "infobip",
                "session_seconds: 60, session_cap_seconds: 2592000",
                seconds(Some(60), 2_592_000),
            ),
            (
                "infobip",
                "session: absolute, session_seconds: 2592000",
                seconds(None, 2_592_000),
            ),
            ("infobip", "session_seconds: 59", wrong("session_seconds")),
            ("infobip", "session_seconds: 0", wrong("session_seconds")),
            (
                "infobip",
                "session_seconds: 86401",
                wrong("session_seconds"),
            ),
            (
                "infobip",
                "session_cap_seconds: 3599",
                wrong("session_seconds"),
            ),
            (
                "infobip",
                "session_cap_seconds: 2592001",
                wrong("session_cap_seconds"),
            ),
            (
                "infobip",
                "session: absolute, session_seconds: 2592001",
                wrong("session_seconds"),
            ),
            (
                "infobip",
                "session: absolute, session_cap_seconds: 86400",
                wrong("session_cap_seconds"),
            ),
            ("infobip", "session: never", wrong("session")),
            ("opentact", "session: absolute", wrong("dialect")),
            ("crossbar", "session_seconds: 600", wrong("dialect")),
        ] {
            let text = format!(
                "client_address: {{ from: peer }}\nplatforms:\n  - {{ name: p, preset: \
                 {preset}, issue: {{ {said} }} }}\n"
            );
            let got = parse(folder.path(), &text)
                .map(|it| {
                    let platform = it.platforms.iter().next().expect("a platform");
                    platform.issue.as_ref().expect("a dialect").session_life()
                })
                .map_err(|found| found[0].key.clone());
            assert_eq!(got, want, "{preset} {said}");
        }
    }

    #[test]
    fn tokens_are_good_where_the_platform_issues_and_otherwise_the_operator_is_told() {
        let told = |listen: &str, platform: &str| {
            let text = format!("{listen}platforms:\n  - {{ name: p, preset: opentact{platform} }}");
            let config = Config::parse("c.yaml", &text, Path::new("/"), |_| None).unwrap();
            let warnings = config.warnings.iter().map(ToString::to_string);
            warnings
                .filter(|it| it.contains("scheme jwt") && it.contains("every token is refused"))
                .count()
        };
        let quiet = "listen: { grpc: [\"127.0.0.1:0\"] }\n";
        let elsewhere = ", issue: { served: elsewhere }";
        assert_eq!(told(LISTEN, ""), 0);
        assert_eq!(told(quiet, elsewhere), 0);
        assert_eq!(told(quiet, ""), 1);
        assert_eq!(told(quiet, ", schemes: { jwt: null }"), 0);
    }
}
