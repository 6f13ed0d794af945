//! The table of decisions, for people: a row for each Check, and below it what was asked and what
//! came of it.
//!
//! Colour is for a terminal whose owner did not say `NO_COLOR`; without it, everything can still be
//! told apart. Credentials are shortened, although the sample directory has no real ones.

use std::fmt::Display;
use std::io::IsTerminal;

use crate::cli::demo::cases::{Case, Request, Section};
use crate::cli::demo::exchange::{Answer, Verdict};
use crate::cli::say;
use crate::policy::tunnel::MISLEADING;

/// The width of the table, in characters.
const WIDTH: usize = 112;

/// How much of a credential is shown, in characters.
const SHOWN: usize = 4;

/// Headers and query parameters that carry credentials on the demo's platforms.
const SECRET_HEADERS: [&str; 5] = [
    "Authorization",
    "X-Auth-Facebook-Token",
    "X-Auth-Google-Token",
    "X-Auth-HA1B-Token",
    "X-My-Key",
];
const SECRET_PARAMETER: &str = "apiKey=";

/// How text is set off (ECMA-48 SGR).
#[derive(Clone, Copy, Debug)]
pub enum Tone {
    /// What did not go as expected.
    Alarm,
    /// An allow.
    Allow,
    /// A denial.
    Deny,
    /// What the eye may pass over.
    Faint,
    /// A heading.
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Alarm => "1;31",
            Self::Allow => "32",
            Self::Deny => "33",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// Writes the table to standard output.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    coloured: bool,
}

impl Table {
    /// Makes one that suits standard output. `variable` gives an environment variable.
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        // https://no-color.org: set and not empty.
        let refused = variable("NO_COLOR").is_some_and(|it| !it.is_empty())
            || variable("TERM").is_some_and(|it| it == "dumb");
        Self {
            coloured: std::io::stdout().is_terminal() && !refused,
        }
    }

    /// Sets text off.
    #[must_use]
    pub fn paint(self, tone: Tone, text: impl Display) -> String {
        if self.coloured {
            format!("\x1b[{}m{text}\x1b[0m", tone.code())
        } else {
            text.to_string()
        }
    }

    /// Writes what stands above a section's rows.
    pub fn section(self, section: &Section) {
        let heads = row("  decision", "what is asked", "scheme", "cache", "time");
        say("");
        let title = format!("{} ({})", section.title, section.host);
        say(self.paint(Tone::Strong, title));
        say(self.paint(Tone::Faint, heads.trim_end()));
        say(self.paint(Tone::Faint, "─".repeat(WIDTH)));
    }

    /// Writes the row of a case that was answered, and how the answer differs from what it wants.
    pub fn answered(self, case: &Case, answer: &Answer, differences: &[String]) {
        let (tone, decision) = match &answer.verdict {
            Verdict::Allow { .. } => (Tone::Allow, "✔ allow".to_owned()),
            Verdict::Deny { status, reason, .. } => (Tone::Deny, format!("✘ {status} {reason}")),
        };
        let cache = match answer.metadata("cache") {
            "none" | "" => "·",
            cache => cache,
        };
        let scheme = match answer.metadata("scheme") {
            "" => "·",
            scheme => scheme,
        };
        let time = format!("{:.2} ms", answer.took.as_secs_f64() * 1000.0);
        let line = row(&decision, case.about, scheme, cache, &time);
        let rest = line.strip_prefix(&*decision).unwrap_or_default();
        say(format!("{}{rest}", self.paint(tone, &decision)));
        self.detail("", &sent(&case.request));
        match &answer.verdict {
            Verdict::Allow { headers, removed } => {
                let set: Vec<_> = headers
                    .iter()
                    .map(|it| format!("{}: {}", it.0, it.1))
                    .collect();
                self.detail("+ ", &set);
                self.detail("- ", &summary(removed));
            }
            Verdict::Deny { location, body, .. } => {
                let location = location.iter().map(|it| format!("location: {it}"));
                let body = Some(body).filter(|it| !it.is_empty());
                let shown: Vec<_> = location
                    .chain(body.map(|it| shorten(it, WIDTH - 6)))
                    .collect();
                self.detail("> ", &shown);
            }
        }
        self.differences(differences);
    }

    /// Writes the row of a case that got no answer.
    pub fn unanswered(self, case: &Case, error: &str) {
        say(format!(
            "{} {}",
            self.paint(Tone::Alarm, "✘ no answer"),
            case.about
        ));
        self.detail("", &sent(&case.request));
        self.differences(&[error.to_owned()]);
    }

    fn differences(self, differences: &[String]) {
        for difference in differences {
            say(self.paint(Tone::Alarm, format!("    UNEXPECTED: {difference}")));
        }
    }

    /// Writes parts below a row, as many to a line as fit.
    fn detail(self, mark: &str, parts: &[String]) {
        let indent = " ".repeat(4 + mark.len());
        let mut line = format!("    {mark}");
        let mut empty = true;
        for part in parts {
            if !empty && line.chars().count() + 2 + part.chars().count() > WIDTH {
                say(self.paint(Tone::Faint, &line));
                line.clone_from(&indent);
                empty = true;
            }
            if !empty {
                line.push_str("  ");
            }
            line.push_str(part);
            empty = false;
        }
        if !empty {
            say(self.paint(Tone::Faint, &line));
        }
    }
}

fn row(decision: &str, about: &str, scheme: &str, cache: &str, time: &str) -> String {
    format!("{decision:<26}{about:<57}{scheme:<9}{cache:<7}{time:>12}")
}

/// What the client sends, credentials shortened.
fn sent(request: &Request) -> Vec<String> {
    let target = match request.target.split_once(SECRET_PARAMETER) {
        Some((before, secret)) => format!("{before}{SECRET_PARAMETER}{}", shorten(secret, SHOWN)),
        None => request.target.to_owned(),
    };
    let mut parts = vec![format!("{} {target}", request.method)];
    parts.extend(request.headers.iter().map(|(name, value)| {
        let value = if SECRET_HEADERS.contains(name) {
            shorten_credential(value)
        } else {
            value.clone().into_owned()
        };
        format!("{name}: {value}")
    }));
    if request.scheme == "http" {
        parts.push("(plain HTTP)".to_owned());
    }
    parts
}

/// Keeps the word before a credential, where there is one, of each that was merged into the value.
fn shorten_credential(value: &str) -> String {
    let short = |it: &str| match it.split_once(' ') {
        Some((word, secret)) => format!("{word} {}", shorten(secret, SHOWN)),
        None => shorten(it, SHOWN),
    };
    value.split(", ").map(short).collect::<Vec<_>>().join(", ")
}

fn shorten(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Names where credentials were, and counts the identity headers that a client could have forged.
fn summary(removed: &[String]) -> Vec<String> {
    let identity = |it: &&String| it.replace('_', "-").starts_with("x-auth-");
    let twin = |it: &&String| it.contains('_');
    let of_a_credential =
        |it: &&String| !identity(it) && !twin(it) && !MISLEADING.contains(&it.as_str());
    let mut shown: Vec<_> = removed.iter().filter(of_a_credential).cloned().collect();
    let spellings = removed.iter().filter(identity).count();
    shown.push(format!("and {spellings} spellings of x-auth-*"));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::cases::{self, Tokens};

    #[test]
    fn credentials_are_shortened_where_they_are_shown() {
        assert_eq!(shorten_credential("Basic QWxhZGRpbg=="), "Basic QWxh…");
        assert_eq!(shorten_credential("sample-reader-000"), "samp…");
        assert_eq!(
            shorten_credential("App key-1, Basic QWxh"),
            "App key-…, Basic QWxh"
        );
        for section in cases::all(&Tokens::sample()) {
            for case in &section.cases {
                let shown = sent(&case.request).join("  ");
                let secret = case
                    .request
                    .headers
                    .iter()
                    .filter(|it| SECRET_HEADERS.contains(&it.0));
                for (_, value) in secret {
                    let bare = value.rsplit(' ').next().unwrap_or(value);
                    assert!(!shown.contains(bare), "{shown}");
                }
                let query = case.request.target.split_once(SECRET_PARAMETER);
                assert!(query.is_none_or(|it| !shown.contains(it.1)), "{shown}");
            }
        }
    }

    #[test]
    fn colour_is_never_forced_on_what_is_no_terminal() {
        let plain = Table { coloured: false };
        assert_eq!(plain.paint(Tone::Alarm, "x"), "x");
        let coloured = Table { coloured: true };
        assert_eq!(coloured.paint(Tone::Allow, "x"), "\x1b[32mx\x1b[0m");
    }
}
