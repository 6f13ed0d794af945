//! The compiled form of a text with holes: literal pieces, already escaped, and placeholders.
//!
//! Bodies and header values share it. A placeholder is a whole scalar of the configuration, never a
//! part of one, and the set is closed; there is no expression, no default and no nesting, so nothing
//! that fills a hole can be read as a hole again.

use std::fmt::{self, Write};

use axum::http::StatusCode;
use jiff::Timestamp;

use super::escape::Escape;

/// The beginning of 1970, in seconds since the year 0 (proleptic Gregorian).
pub const YEAR_0: u64 = 62_167_219_200;

/// A value that is known only when the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The name of this process, as KAZOO's `node`.
    Instance,
    /// Where a redirect leads.
    Location,
    /// The text of the denial that a client may see.
    Message,
    /// The request's path.
    Path,
    /// The denial's reason.
    Reason,
    /// The id of the request.
    RequestId,
    /// Seconds to wait; a JSON number.
    RetryAfter,
    /// When what the denial is about ended, in seconds since the year 0 as KAZOO counts (Gregorian
    /// seconds of Erlang's `calendar`); a JSON number.
    SinceGregorian,
    /// The HTTP status; a JSON number.
    Status,
    /// The status in words, RFC 9110 §15.
    StatusText,
    /// The time of the answer.
    Timestamp,
}

impl Placeholder {
    /// The closed set, by the names that configuration uses.
    pub const TABLE: [(&'static str, Self); 11] = [
        ("instance", Self::Instance),
        ("location", Self::Location),
        ("message", Self::Message),
        ("path", Self::Path),
        ("reason", Self::Reason),
        ("request_id", Self::RequestId),
        ("retry_after", Self::RetryAfter),
        ("since_gregorian", Self::SinceGregorian),
        ("status", Self::Status),
        ("status_text", Self::StatusText),
        ("timestamp", Self::Timestamp),
    ];

    /// Finds a placeholder by its name without braces.
    pub fn named(name: &str) -> Option<Self> {
        let (_, found) = Self::TABLE.iter().find(|(known, _)| *known == name)?;
        Some(*found)
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::RetryAfter | Self::SinceGregorian | Self::Status)
    }
}

/// What the placeholders stand for in one answer.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The name of this process.
    pub instance: &'a str,
    /// An absolute URL, or empty where the answer is no redirect.
    pub location: &'a str,
    /// The denial's public text; never why a credential was not good in detail.
    pub message: &'a str,
    /// The path without its query, which may carry credentials.
    pub path: &'a str,
    /// A word of the closed list of reasons.
    pub reason: &'a str,
    /// The id that the client sent or that we made.
    pub request_id: &'a str,
    /// Seconds until a repetition makes sense; 0 where nothing is known.
    pub retry_after: u32,
    /// When what the denial is about ended, in Unix seconds; 0 where nothing has.
    pub since: u64,
    /// The HTTP status of the answer, from which `{status_text}` follows.
    pub status: u16,
    /// Now; written as RFC 3339 in UTC, fractions of a second cut off.
    pub timestamp: Timestamp,
}

/// Shows nothing that a client chose: a path may hold a token.
impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("reason", &self.reason)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl<'a> Values<'a> {
    fn of(&self, placeholder: Placeholder) -> Filling<'a> {
        match placeholder {
            Placeholder::Instance => Filling::Text(self.instance),
            Placeholder::Location => Filling::Text(self.location),
            Placeholder::Message => Filling::Text(self.message),
            Placeholder::Path => Filling::Text(self.path),
            Placeholder::Reason => Filling::Text(self.reason),
            Placeholder::RequestId => Filling::Text(self.request_id),
            Placeholder::RetryAfter => Filling::Number(self.retry_after.into()),
            Placeholder::SinceGregorian => Filling::Number(self.since.saturating_add(YEAR_0)),
            Placeholder::Status => Filling::Number(self.status.into()),
            Placeholder::StatusText => Filling::Text(status_text(self.status)),
            Placeholder::Timestamp => Filling::Time(self.timestamp),
        }
    }
}

fn status_text(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|it| it.canonical_reason())
        .unwrap_or_default()
}

enum Filling<'a> {
    Number(u64),
    Text(&'a str),
    Time(Timestamp),
}

impl Filling<'_> {
    /// Bytes before escaping; for a number or a time the most they take (`2026-11-22T17:04:05Z`).
    fn size(&self) -> usize {
        match self {
            Self::Number(_) | Self::Time(_) => 20,
            Self::Text(text) => text.len(),
        }
    }

    fn push(&self, escape: Escape, out: &mut String) {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => {
                escape.push(text, out);
                Ok(())
            }
            Self::Time(time) => write!(out, "{time:.0}"),
        }
        .expect("writing to a String cannot fail");
    }
}

/// A scalar of the configuration, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Fill(Placeholder),
    Literal(&'a str),
}

impl<'a> Scalar<'a> {
    /// `{name}` is a placeholder, `{{…}}` stands for the text `{…}`, all else for itself.
    pub(super) fn parse(text: &'a str) -> Result<Self, UnknownPlaceholder> {
        let Some(inner) = text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) else {
            return Ok(Self::Literal(text));
        };
        if inner.starts_with('{') && inner.ends_with('}') {
            return Ok(Self::Literal(inner));
        }
        if inner.contains(['{', '}']) {
            return Ok(Self::Literal(text));
        }
        Placeholder::named(inner)
            .map(Self::Fill)
            .ok_or_else(|| UnknownPlaceholder(text.to_owned()))
    }
}

/// A scalar in braces that names no placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPlaceholder(String);

impl fmt::Display for UnknownPlaceholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Placeholder::TABLE.map(|(name, _)| name).join("}, {");
        let Self(text) = self;
        write!(
            f,
            "unknown placeholder {text}; known are {{{known}}}; for the text itself write {{{text}}}"
        )
    }
}

impl std::error::Error for UnknownPlaceholder {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Fill(Placeholder, Escape),
    Literal(String),
}

/// Literal text and placeholders, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
}

impl Template {
    /// Compiles a single scalar.
    ///
    /// # Errors
    ///
    /// When the whole scalar stands in braces and names no placeholder.
    pub fn scalar(text: &str, escape: Escape) -> Result<Self, UnknownPlaceholder> {
        let mut template = Self::default();
        template.push_scalar(text, escape)?;
        Ok(template)
    }

    /// Appends a scalar: a placeholder to fill, or its text, escaped once and for all.
    pub(super) fn push_scalar(
        &mut self,
        text: &str,
        escape: Escape,
    ) -> Result<(), UnknownPlaceholder> {
        match Scalar::parse(text)? {
            Scalar::Fill(placeholder) => self.push_fill(placeholder, escape),
            Scalar::Literal(text) => escape.push(text, self.open_literal()),
        }
        Ok(())
    }

    pub(super) fn push_fill(&mut self, placeholder: Placeholder, escape: Escape) {
        self.segments.push(Segment::Fill(placeholder, escape));
    }

    /// Appends text that is already as the answer shall have it.
    pub(super) fn push_raw(&mut self, text: &str) {
        self.open_literal().push_str(text);
    }

    /// The literal at the end, so that neighbours become one segment.
    pub(super) fn open_literal(&mut self) -> &mut String {
        if !matches!(self.segments.last(), Some(Segment::Literal(_))) {
            self.segments.push(Segment::Literal(String::new()));
        }
        let Some(Segment::Literal(text)) = self.segments.last_mut() else {
            unreachable!("a literal was pushed if none was last");
        };
        text
    }

    /// Writes the text out. One allocation, unless a value needs escaping.
    pub fn render(&self, values: &Values<'_>) -> String {
        let size = |segment: &Segment| match segment {
            Segment::Fill(placeholder, _) => values.of(*placeholder).size(),
            Segment::Literal(text) => text.len(),
        };
        let mut out = String::with_capacity(self.segments.iter().map(size).sum());
        for segment in &self.segments {
            match segment {
                Segment::Fill(placeholder, escape) => {
                    values.of(*placeholder).push(*escape, &mut out)
                }
                Segment::Literal(text) => out.push_str(text),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Escape, Placeholder, Scalar, Template, Values};

    #[test]
    fn only_a_whole_scalar_in_braces_is_a_placeholder() {
        let literal = |text| Ok(Scalar::Literal(text));
        let rows = [
            ("{status}", Ok(Scalar::Fill(Placeholder::Status))),
            ("{request_id}", Ok(Scalar::Fill(Placeholder::RequestId))),
            ("status", literal("status")),
            ("see {status}", literal("see {status}")),
            ("{status} ", literal("{status} ")),
            ("{status}{reason}", literal("{status}{reason}")),
            ("{{status}}", literal("{status}")),
            ("{{{status}}}", literal("{{status}}")),
            ("{", literal("{")),
            ("", literal("")),
            ("{}", Err(())),
            ("{ status }", Err(())),
            ("{Status}", Err(())),
            ("{request-id}", Err(())),
        ];
        for (input, want) in rows {
            assert_eq!(Scalar::parse(input).map_err(drop), want, "{input}");
        }
    }

    #[test]
    fn an_unknown_placeholder_names_the_known_ones_and_the_way_out() {
        let error = Template::scalar("{stat}", Escape::Text).expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "unknown placeholder {stat}; known are {instance}, {location}, {message}, {path}, {reason}, \
             {request_id}, {retry_after}, {since_gregorian}, {status}, {status_text}, {timestamp}; \
             for the text itself write {{stat}}"
        );
    }

    #[test]
    fn every_placeholder_renders_its_own_value() {
        let values = Values {
            instance: "node-1",
            location: "https://example.com/",
            message: "no",
            path: "/v2",
            reason: "wrong",
            request_id: "r-1",
            retry_after: 7,
            since: 1_577_836_800,
            status: 429,
            timestamp: "2026-11-22T17:04:05.999Z".parse().expect("a timestamp"),
        };
        let want = [
            "node-1",
            "https://example.com/",
            "no",
            "/v2",
            "wrong",
            "r-1",
            "7",
            "63745056000",
            "429",
            "Too Many Requests",
            "2026-11-22T17:04:05Z",
        ];
        for ((name, _), want) in Placeholder::TABLE.into_iter().zip(want) {
            let template = Template::scalar(&format!("{{{name}}}"), Escape::Text).expect("known");
            assert_eq!(template.render(&values), want, "{name}");
        }
        assert!(
            !format!("{values:?}").contains("/v2"),
            "debug shows what a client chose"
        );
    }
}
