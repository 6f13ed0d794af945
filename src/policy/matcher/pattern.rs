//! Reads the patterns and methods of a rule, and says what is wrong with them.
//!
//! It is strict where a slip would silently match nothing: a pattern that no path can meet is an error, not a rule
//! that never applies. It knows nothing of the trie that is made of patterns; [`Row`](super::Row) has the language.

use std::error::Error;
use std::fmt;

use crate::policy::path::{MAX_SEGMENTS, is_trimmed};

/// A pattern taken apart.
#[derive(Debug, Default)]
pub(super) struct Pattern<'a> {
    /// Names, and the steps that they stand for.
    pub(super) captures: Vec<(&'a str, usize)>,
    pub(super) steps: Vec<Step<'a>>,
    /// Whether `**` follows the steps.
    pub(super) tail: bool,
}

/// What one segment of a pattern asks for.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Any,
    Literal(&'a str),
    Prefix(&'a str),
}

impl<'a> Pattern<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, PatternProblem> {
        let rest = text.strip_prefix('/').ok_or(PatternProblem::NotAbsolute)?;
        let mut pattern = Self::default();
        if rest.is_empty() {
            return Ok(pattern);
        }
        for segment in rest.split('/') {
            if pattern.tail {
                return Err(PatternProblem::MisplacedTail);
            }
            if segment == "**" {
                pattern.tail = true;
            } else {
                let step = pattern.step(segment)?;
                pattern.steps.push(step);
            }
        }
        if pattern.steps.len() > MAX_SEGMENTS {
            return Err(PatternProblem::TooManySegments);
        }
        Ok(pattern)
    }

    fn step(&mut self, segment: &'a str) -> Result<Step<'a>, PatternProblem> {
        match segment {
            "" => return Err(PatternProblem::EmptySegment),
            "." | ".." => return Err(PatternProblem::DotSegment),
            _ => (),
        }
        // Characters that no path that was read can hold, and `?` and `#`, which would be a slip.
        let foreign = |it: &char| it.is_ascii_control() || r"\;%?#".contains(*it);
        if let Some(character) = segment.chars().find(foreign) {
            return Err(PatternProblem::Character(character));
        }
        let braced = segment.strip_prefix('{');
        if let Some(name) = braced.and_then(|it| it.strip_suffix('}')) {
            self.capture(name)?;
            return Ok(Step::Any);
        }
        let (literal, open) = match segment.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (segment, false),
        };
        match (literal, open) {
            _ if literal.contains('*') => Err(PatternProblem::MisplacedStar),
            _ if literal.contains(['{', '}']) => Err(PatternProblem::MisplacedBrace),
            ("", _) => Ok(Step::Any),
            (_, true) if literal.starts_with(' ') => Err(PatternProblem::Trimmed),
            (_, false) if is_trimmed(literal) => Err(PatternProblem::Trimmed),
            (_, true) => Ok(Step::Prefix(literal)),
            (_, false) => Ok(Step::Literal(literal)),
        }
    }

    fn capture(&mut self, name: &'a str) -> Result<(), PatternProblem> {
        let word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
        if name.is_empty() || !name.chars().all(word) {
            return Err(PatternProblem::ParamName(name.to_owned()));
        }
        if self.captures.iter().any(|(it, _)| *it == name) {
            return Err(PatternProblem::DuplicateParam(name.to_owned()));
        }
        self.captures.push((name, self.steps.len()));
        Ok(())
    }
}

/// Accepts a token (RFC 9110 §5.6.2) without lower case, which in a rule would be a slip.
pub(super) fn check_method(text: &str) -> Result<(), PatternProblem> {
    let token = |it: u8| match it {
        b'A'..=b'Z' | b'0'..=b'9' => true,
        _ => b"!#$%&'*+-.^_`|~".contains(&it),
    };
    if !text.is_empty() && text.bytes().all(token) {
        Ok(())
    } else {
        Err(PatternProblem::Method(text.to_owned()))
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PatternProblem {
    /// A character that no path holds once it is decoded, or `?` or `#`.
    Character(char),
    /// `.` or `..`.
    DotSegment,
    /// Two parameters of one name.
    DuplicateParam(String),
    /// `//`, or a `/` at the end.
    EmptySegment,
    /// A method that is no token, or not in upper case.
    Method(String),
    /// `{` or `}` other than around a whole segment.
    MisplacedBrace,
    /// `*` other than at the end of a segment.
    MisplacedStar,
    /// `**` other than as the last segment.
    MisplacedTail,
    /// No `/` at the front.
    NotAbsolute,
    /// A parameter's name that is empty or holds more than ASCII letters, digits, `_` and `-`.
    ParamName(String),
    /// More segments than a path may have ([`MAX_SEGMENTS`]).
    TooManySegments,
    /// A dot at the end of a segment, or a space at an end of it.
    Trimmed,
}

impl fmt::Display for PatternProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character('%') => {
                f.write_str("% never matches: write the characters that an escape stands for")
            }
            Self::Character(it) => write!(f, "{it:?} never matches: leave it out"),
            Self::DotSegment => f.write_str("a . or .. segment never matches: leave it out"),
            Self::DuplicateParam(name) => write!(f, "{{{name}}} stands there twice: rename one"),
            Self::EmptySegment => f.write_str("write single slashes, and none at the end"),
            Self::Method(method) => {
                write!(
                    f,
                    "method {method:?} is not one: write a word in upper case"
                )
            }
            Self::MisplacedBrace => f.write_str("braces go around a whole segment, as in /{name}/"),
            Self::MisplacedStar => {
                f.write_str("* goes at the end of a segment, as in /* or /name*")
            }
            Self::MisplacedTail => f.write_str("** goes last, as in /name/**"),
            Self::NotAbsolute => f.write_str("start it with /"),
            Self::ParamName(name) => {
                write!(
                    f,
                    "{{{name}}} is no name: use ascii letters, digits, _ and -"
                )
            }
            Self::TooManySegments => write!(f, "use at most {MAX_SEGMENTS} segments"),
            Self::Trimmed => f.write_str(
                "a segment with a dot or a space at its end never matches: leave it out",
            ),
        }
    }
}

impl Error for PatternProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_patterns_are_read() {
        let deepest = "/a".repeat(MAX_SEGMENTS);
        let table = [
            "/",
            "/**",
            "/*",
            "/{id}",
            "/a",
            "/a/**",
            "/a/{id}/b/{other-id}/*",
            "/openapi*",
            "/.well-known/*",
            "/..a*",
            "/v1.*",
            "/café/a b",
            "/a:b@c+d",
            &deepest,
        ];
        for pattern in table {
            assert!(Pattern::parse(pattern).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_could_not_match_is_refused() {
        let too_deep = "/a".repeat(MAX_SEGMENTS + 1);
        let param = |name: &str| PatternProblem::ParamName(name.to_owned());
        let table = [
            ("", PatternProblem::NotAbsolute),
            ("a", PatternProblem::NotAbsolute),
            ("*", PatternProblem::NotAbsolute),
            ("**", PatternProblem::NotAbsolute),
            ("//", PatternProblem::EmptySegment),
            ("//a", PatternProblem::EmptySegment),
            ("/a//b", PatternProblem::EmptySegment),
            ("/a/", PatternProblem::EmptySegment),
            ("/*/", PatternProblem::EmptySegment),
            ("/./a", PatternProblem::DotSegment),
            ("/a/..", PatternProblem::DotSegment),
            ("/a%20b", PatternProblem::Character('%')),
            ("/a;b", PatternProblem::Character(';')),
            ("/a?b=c", PatternProblem::Character('?')),
            ("/a#b", PatternProblem::Character('#')),
            ("/a\\b", PatternProblem::Character('\\')),
            ("/...", PatternProblem::Trimmed),
            ("/a./b", PatternProblem::Trimmed),
            ("/a /b", PatternProblem::Trimmed),
            ("/ a*", PatternProblem::Trimmed),
            ("/a\nb", PatternProblem::Character('\n')),
            ("/{a;b}", PatternProblem::Character(';')),
            ("/**/a", PatternProblem::MisplacedTail),
            ("/**/", PatternProblem::MisplacedTail),
            ("/**/**", PatternProblem::MisplacedTail),
            ("/a**", PatternProblem::MisplacedStar),
            ("/*a", PatternProblem::MisplacedStar),
            ("/a*b", PatternProblem::MisplacedStar),
            ("/***", PatternProblem::MisplacedStar),
            ("/{a", PatternProblem::MisplacedBrace),
            ("/a}", PatternProblem::MisplacedBrace),
            ("/a{b}", PatternProblem::MisplacedBrace),
            ("/{a}.json", PatternProblem::MisplacedBrace),
            ("/{a}*", PatternProblem::MisplacedBrace),
            ("/{}", param("")),
            ("/{a b}", param("a b")),
            ("/{*}", param("*")),
            ("/{a}{b}", param("a}{b")),
            ("/{a}/b/{a}", PatternProblem::DuplicateParam("a".into())),
            (&too_deep, PatternProblem::TooManySegments),
        ];
        for (pattern, problem) in table {
            assert_eq!(Pattern::parse(pattern).err(), Some(problem), "{pattern}");
        }
    }

    #[test]
    fn methods_are_upper_case_tokens() {
        for method in ["GET", "M-SEARCH", "X_1", "*"] {
            assert_eq!(check_method(method), Ok(()), "{method}");
        }
        for method in ["", "get", "Get", "GET ", "GET,PUT", "GÉT", "A/B", "A\0"] {
            assert_eq!(
                check_method(method),
                Err(PatternProblem::Method(method.into()))
            );
        }
    }
}
