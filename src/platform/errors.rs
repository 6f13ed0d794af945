//! Which answer a platform gives to a denial or a fault: a table of rows, of which the first that
//! fits is taken.
//!
//! Apart from [`body`](super::body), which writes one answer; this module chooses it. It adds no
//! `WWW-Authenticate` and no `Retry-After`, which belong to every platform, and it knows the reasons
//! only as words that the caller brings.

pub mod accept;

use std::cell::LazyCell;
use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::escape::Escape;
use super::body::template::{Template, UnknownPlaceholder, Values};
use super::body::{Body, BodyError, Format};
use accept::prefers_xml;

/// The word by which a row names our own failures, beside the reasons of denials.
pub const FAULT: &str = "fault";

/// A row as configuration writes it.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawErrorRow {
    /// What the row answers; absent: everything.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub causes: Option<Vec<Cause>>,
    /// The paths that it answers on, exact or ending in `/**`; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// What the request's `Accept` must prefer; absent: no matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Accept>,
    /// Whether the denial must be about something that ended at a time, such as an account's trial;
    /// absent: no matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
    /// The HTTP status, 300 to 599; absent: the cause's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Further response headers; each value a text or a placeholder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How `body` is written.
    #[serde(default)]
    pub format: Format,
    /// The body; absent: an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// What a row answers: a reason by its word, `fault`, or all that have this HTTP status of their own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a denial reason, `fault`, or an HTTP status"
)]
pub enum Cause {
    /// A denial's reason, or `fault`.
    Reason(String),
    /// The status that a cause has before any row changes it.
    Status(u16),
}

/// A family of media types that a request may prefer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// JSON, or nothing in particular.
    Json,
    /// XML.
    Xml,
}

/// What is to be answered.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The denial's reason, or [`FAULT`].
    pub reason: &'a str,
    /// The HTTP status of that reason.
    pub status: u16,
    /// The request's path as it came.
    pub path: &'a str,
    /// The request's `Accept`, empty where it has none.
    pub accept: &'a str,
    /// When what the denial is about ended, in Unix seconds, where that is why.
    pub since: Option<u64>,
}

/// A platform's answers, in order.
#[derive(Debug, Clone, Default)]
pub struct ErrorTable {
    rows: Vec<ErrorRow>,
}

/// One answer, compiled.
#[derive(Debug, Clone)]
pub struct ErrorRow {
    causes: Option<Vec<Cause>>,
    paths: Option<Vec<String>>,
    accept: Option<Accept>,
    ended: Option<bool>,
    status: Option<u16>,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Body>,
}

/// A row that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("errors[{row}]: {problem}")]
pub struct RowError {
    /// The row, counted from 0.
    pub row: usize,
    /// What is wrong with it.
    pub problem: RowProblem,
}

/// Why a row cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// The body does not compile.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A list without entries, with which the row would never be taken.
    #[error("{0}: an empty list fits nothing; leave the key out to fit everything")]
    EmptyList(&'static str),
    /// A name that no header has, or one that the proxy sets itself.
    #[error("headers: {0:?} cannot be set")]
    HeaderName(String),
    /// A value that a header cannot carry.
    #[error("headers.{0}: the value holds characters that a header cannot carry")]
    HeaderValue(String),
    /// A value in braces that names no placeholder.
    #[error("headers.{name}: {source}")]
    HeaderPlaceholder {
        /// The header.
        name: String,
        /// What stands in it.
        source: UnknownPlaceholder,
    },
    /// A path that is neither exact nor ends in `/**`.
    #[error("paths: {0:?} must begin with `/` and may hold `*` only as a closing `/**`")]
    Path(String),
    /// A word that is no reason.
    #[error("for: unknown reason {name:?}; known are {known}")]
    Reason {
        /// The word.
        name: String,
        /// The closed list.
        known: String,
    },
    /// A status that would not refuse.
    #[error("status: {0} is not an HTTP status from 300 to 599")]
    Status(u16),
}

impl ErrorTable {
    /// Compiles the rows of a platform. `reasons` is the closed list of denial reasons.
    ///
    /// # Errors
    ///
    /// The first problem of every row that has one.
    pub fn compile(rows: &[RawErrorRow], reasons: &[&str]) -> Result<Self, Vec<RowError>> {
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (row, raw) in rows.iter().enumerate() {
            match ErrorRow::compile(raw, reasons) {
                Ok(compiled) => table.rows.push(compiled),
                Err(problem) => errors.push(RowError { row, problem }),
            }
        }
        if errors.is_empty() {
            Ok(table)
        } else {
            Err(errors)
        }
    }

    /// Finds the first row that fits. `None` means the reason's own status and an empty body.
    pub fn pick(&self, occasion: &Occasion<'_>) -> Option<&ErrorRow> {
        let accept = LazyCell::new(|| match prefers_xml(occasion.accept) {
            true => Accept::Xml,
            false => Accept::Json,
        });
        self.rows.iter().find(|row| {
            row.answers(occasion)
                && row.covers(occasion.path)
                && row.ended.is_none_or(|it| it == occasion.since.is_some())
                && row.accept.is_none_or(|wanted| wanted == *accept)
        })
    }
}

impl ErrorRow {
    fn compile(raw: &RawErrorRow, reasons: &[&str]) -> Result<Self, RowProblem> {
        check_causes(raw.causes.as_deref(), reasons)?;
        check_paths(raw.paths.as_deref())?;
        if let Some(status) = raw.status
            && !(300..600).contains(&status)
        {
            return Err(RowProblem::Status(status));
        }
        let headers = raw
            .headers
            .iter()
            .map(|(name, value)| compile_header(name, value));
        let body = raw.body.as_ref().map(|it| Body::compile(&raw.format, it));
        Ok(Self {
            causes: raw.causes.clone(),
            paths: raw.paths.clone(),
            accept: raw.accept,
            ended: raw.ended,
            status: raw.status,
            headers: headers.collect::<Result<_, _>>()?,
            body: body.transpose()?,
        })
    }

    fn answers(&self, occasion: &Occasion<'_>) -> bool {
        let Some(causes) = &self.causes else {
            return true;
        };
        causes.iter().any(|cause| match cause {
            Cause::Reason(reason) => reason == occasion.reason,
            Cause::Status(status) => *status == occasion.status,
        })
    }

    fn covers(&self, path: &str) -> bool {
        let Some(patterns) = &self.paths else {
            return true;
        };
        patterns.iter().any(|it| path_matches(it, path))
    }

    /// The HTTP status of the answer, where `own` is that of the reason. `Values::status` is this one.
    pub fn status(&self, own: u16) -> u16 {
        self.status.unwrap_or(own)
    }

    /// The headers besides `content-type`, names in lower case, values fit for a header.
    pub fn headers<'r>(&'r self, values: &Values<'_>) -> impl Iterator<Item = (&'r str, String)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.render(values)))
    }

    /// The body; `None` is an empty one, without a content type.
    pub fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }
}

fn check_causes(causes: Option<&[Cause]>, reasons: &[&str]) -> Result<(), RowProblem> {
    if causes.is_some_and(<[Cause]>::is_empty) {
        return Err(RowProblem::EmptyList("for"));
    }
    for cause in causes.unwrap_or_default() {
        if let Cause::Reason(name) = cause
            && name != FAULT
            && !reasons.contains(&name.as_str())
        {
            return Err(RowProblem::Reason {
                name: name.clone(),
                known: format!("{}, {FAULT}", reasons.join(", ")),
            });
        }
    }
    Ok(())
}

fn check_paths(paths: Option<&[String]>) -> Result<(), RowProblem> {
    if paths.is_some_and(<[String]>::is_empty) {
        return Err(RowProblem::EmptyList("paths"));
    }
    for path in paths.unwrap_or_default() {
        let exact = path.strip_suffix("/**").unwrap_or(path);
        if !path.starts_with('/') || exact.contains('*') {
            return Err(RowProblem::Path(path.clone()));
        }
    }
    Ok(())
}

/// Compares a pattern with a path as it came, its query left out. A path in another spelling gets the
/// answer of another row, never another verdict.
fn path_matches(pattern: &str, path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    match pattern.strip_suffix("/**") {
        Some(prefix) => path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        None => path == pattern,
    }
}

fn compile_header(name: &str, value: &str) -> Result<(HeaderName, Template), RowProblem> {
    // What frames or labels the body follows from the body.
    const OURS: [&str; 4] = [
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
    ];
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|it| !OURS.contains(&it.as_str()))
        .ok_or_else(|| RowProblem::HeaderName(name.to_owned()))?;
    if HeaderValue::from_str(value).is_err() {
        return Err(RowProblem::HeaderValue(name.to_owned()));
    }
    let template = Template::scalar(value, Escape::Header).map_err(|source| {
        RowProblem::HeaderPlaceholder {
            name: name.to_owned(),
            source,
        }
    })?;
    Ok((parsed, template))
}

#[cfg(test)]
mod tests {
    use super::{ErrorTable, FAULT, Occasion, RawErrorRow};
    use crate::platform::body::template::Values;
    use jiff::Timestamp;

    const REASONS: [&str; 3] = ["expired", "scope", "wrong"];

    fn values(location: &str) -> Values<'_> {
        Values {
            instance: "",
            location,
            message: "",
            path: "",
            reason: "",
            request_id: "",
            retry_after: 0,
            since: 0,
            status: 0,
            timestamp: Timestamp::UNIX_EPOCH,
        }
    }

    fn parse(yaml: &str) -> Vec<RawErrorRow> {
        serde_saphyr::from_str(yaml).expect("rows")
    }

    #[test]
    fn the_first_row_that_fits_answers() {
        let rows = parse(
            r#"
            - { for: [expired], body: expired }
            - { for: [401], paths: ["/s/**", "/exact"], accept: xml, body: settings-xml }
            - { for: [401], paths: ["/s/**", "/exact"], body: settings }
            - { for: [fault], status: 500, body: fault }
            - { for: [401, 403], accept: json, body: json }
            "#,
        );
        let table = ErrorTable::compile(&rows, &REASONS).expect("a table");
        let xml = "application/xml";
        let cases = [
            (
                "by reason",
                ("expired", 401, "/s/x", xml),
                Some("\"expired\""),
            ),
            (
                "by status, path, accept",
                ("wrong", 401, "/s/x", xml),
                Some("\"settings-xml\""),
            ),
            (
                "by status and path",
                ("wrong", 401, "/s/x?y", "*/*"),
                Some("\"settings\""),
            ),
            (
                "the prefix itself",
                ("wrong", 401, "/s", ""),
                Some("\"settings\""),
            ),
            (
                "only whole segments",
                ("wrong", 401, "/sx", ""),
                Some("\"json\""),
            ),
            (
                "an exact path",
                ("wrong", 401, "/exact?q=1", ""),
                Some("\"settings\""),
            ),
            (
                "not below an exact path",
                ("wrong", 401, "/exact/x", ""),
                Some("\"json\""),
            ),
            (
                "not in the query",
                ("wrong", 401, "/?/s/x", ""),
                Some("\"json\""),
            ),
            ("fault", (FAULT, 503, "/", ""), Some("\"fault\"")),
            (
                "another status",
                ("scope", 403, "/s/x", ""),
                Some("\"json\""),
            ),
            ("no row", ("scope", 403, "/", xml), None),
        ];
        for (name, (reason, status, path, accept), want) in cases {
            let found = table.pick(&Occasion {
                since: None,
                reason,
                status,
                path,
                accept,
            });
            let body = found.map(|row| row.body().expect("a body").render(&values("")));
            assert_eq!(body.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn a_row_changes_the_status_and_adds_headers() {
        let rows = parse(
            r#"[{ status: 302, headers: { Location: "{location}", x-kind: redirect, x-brace: "{{location}}" } }]"#,
        );
        let table = ErrorTable::compile(&rows, &REASONS).expect("a table");
        let occasion = Occasion {
            since: None,
            reason: "wrong",
            status: 401,
            path: "/",
            accept: "",
        };
        let row = table.pick(&occasion).expect("a row for everything");
        assert_eq!(row.status(401), 302);
        assert!(row.body().is_none());
        let headers: Vec<_> = row.headers(&values("https://h/\r\nx: y")).collect();
        assert_eq!(
            headers,
            [
                ("location", "https://h/%0D%0Ax: y".to_owned()),
                ("x-brace", "{location}".to_owned()),
                ("x-kind", "redirect".to_owned()),
            ]
        );
    }

    #[test]
    fn a_bad_row_is_refused_by_what_is_wrong() {
        let rows = [
            (
                "{ for: [expird] }",
                "errors[1]: for: unknown reason \"expird\"; known are expired, scope, wrong, fault",
            ),
            (
                "{ for: [\"401\"] }",
                "errors[1]: for: unknown reason \"401\"",
            ),
            ("{ for: [] }", "errors[1]: for: an empty list"),
            ("{ paths: [] }", "errors[1]: paths: an empty list"),
            ("{ paths: [s] }", "errors[1]: paths: \"s\" must"),
            ("{ paths: [\"/*/s\"] }", "errors[1]: paths: \"/*/s\" must"),
            ("{ paths: [\"/s**\"] }", "errors[1]: paths: \"/s**\" must"),
            ("{ status: 200 }", "errors[1]: status: 200 is not"),
            ("{ status: 600 }", "errors[1]: status: 600 is not"),
            (
                "{ headers: { \"a b\": c } }",
                "errors[1]: headers: \"a b\" cannot",
            ),
            (
                "{ headers: { \":status\": c } }",
                "errors[1]: headers: \":status\" cannot",
            ),
            (
                "{ headers: { Content-Length: \"1\" } }",
                "errors[1]: headers: \"Content-Length\" cannot",
            ),
            (
                "{ headers: { a: \"b\\r\\nc: d\" } }",
                "errors[1]: headers.a: the value",
            ),
            (
                "{ headers: { a: \"{nope}\" } }",
                "errors[1]: headers.a: unknown placeholder {nope}",
            ),
            (
                "{ body: { a: \"{nope}\" } }",
                "errors[1]: body/a: unknown placeholder {nope}",
            ),
            (
                "{ format: { xml: \"\" }, body: {} }",
                "errors[1]: body: \"\" is no name",
            ),
        ];
        for (yaml, want) in rows {
            let rows = parse(&format!("[{{}}, {yaml}]"));
            let errors = ErrorTable::compile(&rows, &REASONS).expect_err(yaml);
            let [error] = errors.as_slice() else {
                panic!("{yaml}: {errors:?}");
            };
            assert!(error.to_string().starts_with(want), "{yaml}: {error}");
        }
    }

    #[test]
    fn unknown_keys_and_words_are_refused() {
        for yaml in [
            "[{ fro: [401] }]",
            "[{ accept: html }]",
            "[{ for: [-1] }]",
            "[{ format: yaml }]",
        ] {
            assert!(
                serde_saphyr::from_str::<Vec<RawErrorRow>>(yaml).is_err(),
                "{yaml}"
            );
        }
    }
}
