//! Reads a request path in the one way on which every plausible reader agrees.
//!
//! Envoy, this service and the upstream each read the path for themselves. Where they differ (`//`, `..`, `%2F`,
//! `;`, a second decoding), a rule judges one resource and the upstream serves another: most holes found in
//! comparable servers were of this kind. So a path of more than one reading is refused, and what is left has
//! exactly one: a list of decoded segments.
//!
//! Only where a rule says that the rest is the upstream's own is the front of another path read (`front.rs`).
//!
//! Nothing is repaired here, save that one trailing slash is dropped. Query strings are not read here: the caller
//! cuts the path at the first `?`.

mod front;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The longest path that is read, in bytes, before decoding.
pub const MAX_PATH_BYTES: usize = 8192;

/// The most segments that a path may have.
pub const MAX_SEGMENTS: usize = 64;

/// Room for the segments of nearly every path of an API, so that one allocation does.
const USUAL_SEGMENTS: usize = 8;

/// A path of one segment that readers take for `.` or `..` once it is decoded.
const ESCAPED_DOTS: [&str; 4] = ["%2e", "%2e%2e", "%2e.", ".%2e"];

/// The decoded segments of a path that has only one reading.
///
/// `/` has none; `/a/` has the same one as `/a`. No segment is empty, none ends in a dot, begins or ends in a space,
/// or holds `/`, `\`, `%`, `;`, `?`, `#` or an ASCII control character.
///
/// ```
/// use portcullis::policy::path::{PathProblem, PathSegments};
///
/// let path = PathSegments::parse("/users/j%C3%BCrgen%40example.com/")?;
/// assert!(path.iter().eq(["users", "jürgen@example.com"]));
/// assert_eq!(PathSegments::parse("/public/../secret"), Err(PathProblem::DotSegment));
/// # Ok::<(), PathProblem>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathSegments<'p> {
    segments: Vec<Cow<'p, str>>,
    /// Whether more follows, which is not read.
    open: bool,
}

impl<'p> PathSegments<'p> {
    /// Reads `path`: Envoy's `:path` up to the first `?`, as it came, of any content.
    ///
    /// # Errors
    /// The first [`PathProblem`] found, where readers could differ or a limit is passed.
    pub fn parse(path: &'p str) -> Result<Self, PathProblem> {
        if path.len() > MAX_PATH_BYTES {
            return Err(PathProblem::TooLong);
        }
        let rest = path.strip_prefix('/').ok_or(PathProblem::NotAbsolute)?;
        if rest.is_empty() {
            return Ok(Self::whole(Vec::new()));
        }
        let mut segments = Vec::with_capacity(USUAL_SEGMENTS);
        let mut unread = Some(rest.strip_suffix('/').unwrap_or(rest));
        while let Some(text) = unread {
            if segments.len() == MAX_SEGMENTS {
                return Err(PathProblem::TooManySegments);
            }
            let (segment, after) = read_segment(text)?;
            segments.push(segment);
            unread = after;
        }
        Ok(Self::whole(segments))
    }

    fn whole(segments: Vec<Cow<'p, str>>) -> Self {
        Self {
            segments,
            open: false,
        }
    }

    /// Tells whether this is only the front of a path, whose rest readers could take for different things.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Gives the segments as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Cow<'p, str>] {
        &self.segments
    }

    /// Gives the segment at `index`, counted from 0; `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        self.segments.get(index).map(Cow::as_ref)
    }

    /// Tells whether the path is `/`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Walks the segments from left to right.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(Cow::as_ref)
    }

    /// Counts the segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.len()
    }
}

/// Reads one segment off the front of `text`; gives it and what follows its `/`, if one does.
fn read_segment(text: &str) -> Result<(Cow<'_, str>, Option<&str>), PathProblem> {
    let mut end = text.len();
    let mut escaped = false;
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        match byte {
            b'/' => {
                end = at;
                break;
            }
            b'%' => escaped = true,
            _ => check_raw(byte)?,
        }
    }
    let segment = match &text[..end] {
        "" => return Err(PathProblem::EmptySegment),
        "." | ".." => return Err(PathProblem::DotSegment),
        raw if escaped => Cow::Owned(decode(raw)?),
        raw => Cow::Borrowed(raw),
    };
    if is_trimmed(&segment) {
        return Err(PathProblem::Trimmed);
    }
    Ok((segment, text.get(end + 1..)))
}

/// Tells whether readers could drop something at an end of a decoded segment: file systems of Windows drop dots and
/// spaces behind a name, and many readers trim.
pub(crate) fn is_trimmed(segment: &str) -> bool {
    segment.ends_with(['.', ' ']) || segment.starts_with(' ')
}

/// Accepts the bytes that may stand in a path as they are. Wider than `pchar` (RFC 3986 §3.3) by `"<>[]^{|}` and the
/// back quote, which clients send raw and all readers take alike.
fn check_raw(byte: u8) -> Result<(), PathProblem> {
    match byte {
        b' ' => Err(PathProblem::Space),
        b'#' => Err(PathProblem::Fragment),
        b';' => Err(PathProblem::Semicolon),
        b'?' => Err(PathProblem::Query),
        b'\\' => Err(PathProblem::Backslash),
        b'!'..=b'~' => Ok(()),
        0x80.. => Err(PathProblem::NonAscii),
        _ => Err(PathProblem::Control),
    }
}

/// Decodes the percent escapes of one segment (RFC 3986 §2.1).
fn decode(raw: &str) -> Result<String, PathProblem> {
    if ESCAPED_DOTS
        .iter()
        .any(|dots| raw.eq_ignore_ascii_case(dots))
    {
        return Err(PathProblem::DotSegment);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut unread = raw.as_bytes();
    while let Some((&first, after)) = unread.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => (unescape(*high, *low)?, after),
            (b'%', _) => return Err(PathProblem::BadEscape),
            _ => (first, after),
        };
        decoded.push(byte);
        unread = after;
    }
    String::from_utf8(decoded).map_err(|_| PathProblem::NotUtf8)
}

/// Gives the byte that two hexadecimal digits stand for, if it may be escaped at all.
fn unescape(high: u8, low: u8) -> Result<u8, PathProblem> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = match (digit(high), digit(low)) {
        (Some(high), Some(low)) => (high * 16 + low) as u8,
        _ => return Err(PathProblem::BadEscape),
    };
    match byte {
        b'#' => Err(PathProblem::Fragment),
        b'%' => Err(PathProblem::EscapedPercent),
        b'/' => Err(PathProblem::EscapedSlash),
        b'?' => Err(PathProblem::Query),
        b';' => Err(PathProblem::Semicolon),
        b'\\' => Err(PathProblem::Backslash),
        // Unreserved, RFC 3986 §2.3.
        b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => {
            Err(PathProblem::EscapedUnreserved)
        }
        ..b' ' | 0x7f => Err(PathProblem::Control),
        _ => Ok(byte),
    }
}

/// Why a path is refused. `Display` says what to send instead, and never repeats the path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathProblem {
    /// `\` or `%5c`: a separator to some readers.
    Backslash,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// A control byte, raw or escaped: it ends the path for some readers.
    Control,
    /// `.` or `..`, raw or escaped: some readers go up, some do not.
    DotSegment,
    /// `//`: some readers merge it, some take what follows for a host.
    EmptySegment,
    /// `%25`: a second decoder would read something else.
    EscapedPercent,
    /// `%2f`: a separator to readers that decode first.
    EscapedSlash,
    /// An escape that RFC 3986 §2.3 has no need of, such as `%61`: another path to readers that do not decode.
    EscapedUnreserved,
    /// `#` or `%23`: some readers cut the path there, some of them once they have decoded it.
    Fragment,
    /// A byte above 127 as it is: its encoding is anyone's guess.
    NonAscii,
    /// No `/` at the front, or nothing at all (as with CONNECT).
    NotAbsolute,
    /// Escapes that are not UTF-8 once decoded.
    NotUtf8,
    /// `%3f`: a reader that decodes first cuts the path there. Or `?`, where the caller did not cut the query off.
    Query,
    /// `;` or `%3b`: some readers drop what follows in the segment.
    Semicolon,
    /// A space as it is.
    Space,
    /// More than [`MAX_PATH_BYTES`].
    TooLong,
    /// More than [`MAX_SEGMENTS`].
    TooManySegments,
    /// A segment that ends in a dot, or has a space at an end: some readers drop it.
    Trimmed,
}

impl PathProblem {
    /// Says what to send instead, in a text that is the same for every path.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Backslash => "the path holds a backslash: separate segments by /",
            Self::BadEscape => {
                "the path holds a % without two hexadecimal digits: escape bytes as %XX"
            }
            Self::Control => "the path holds a control character: leave it out",
            Self::DotSegment => "the path holds a . or .. segment: send the path that it leads to",
            Self::EmptySegment => "the path holds an empty segment: send single slashes",
            Self::EscapedPercent => {
                "the path holds an escaped percent sign: escape once only, and avoid % in names"
            }
            Self::EscapedSlash => {
                "the path holds an escaped slash: separate segments by /, and avoid it in names"
            }
            Self::EscapedUnreserved => {
                "the path escapes a letter, digit or one of -._~: send it as it is"
            }
            Self::Fragment => {
                "the path holds a #, or one escaped: leave the fragment out, and avoid it in names"
            }
            Self::NonAscii => "the path holds bytes beyond ascii: send their utf-8 percent-encoded",
            Self::NotAbsolute => "the path does not start with /: send an absolute path",
            Self::NotUtf8 => "the path holds escapes that are not utf-8: encode names as utf-8",
            Self::Query => {
                "the path holds a ?, or one escaped: send the query after the path, and avoid it in names"
            }
            Self::Semicolon => "the path holds a semicolon: send parameters in the query",
            Self::Space => "the path holds a space: send %20",
            Self::TooLong => "the path is too long: send at most 8192 bytes",
            Self::TooManySegments => "the path has too many segments: send at most 64",
            Self::Trimmed => {
                "the path holds a segment with a dot or a space at its end: avoid them in names"
            }
        }
    }
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for PathProblem {}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop_oneof, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    #[track_caller]
    fn check(path: &str, want: Result<&[&str], PathProblem>) {
        let got = PathSegments::parse(path);
        let got = match &got {
            Ok(path) => Ok(path.iter().collect::<Vec<_>>()),
            Err(problem) => Err(*problem),
        };
        assert_eq!(got, want.map(<[_]>::to_vec), "{path:?}");
    }

    #[test]
    fn a_path_of_one_reading_is_decoded() {
        let table: &[(&str, &[&str])] = &[
            ("/", &[]),
            ("/a", &["a"]),
            ("/a/", &["a"]),
            ("/a/b", &["a", "b"]),
            ("/v2/accounts/4b8f/", &["v2", "accounts", "4b8f"]),
            ("/A/a", &["A", "a"]),
            ("/.well-known/jwks.json", &[".well-known", "jwks.json"]),
            ("/..a/b..c", &["..a", "b..c"]),
            ("/a:b@c+d,e=f&g!h$i'(j)*", &["a:b@c+d,e=f&g!h$i'(j)*"]),
            ("/{id}/[1]/a|b/\"<>^`", &["{id}", "[1]", "a|b", "\"<>^`"]),
            ("/a%20b", &["a b"]),
            ("/john%40example.com", &["john@example.com"]),
            ("/%2B14155550100", &["+14155550100"]),
            ("/%2b14155550100", &["+14155550100"]),
            ("/caf%C3%A9/caf%c3%a9", &["café", "café"]),
            ("/%F0%9F%94%91", &["🔑"]),
        ];
        for (path, want) in table {
            check(path, Ok(want));
        }
    }

    #[test]
    fn a_path_of_several_readings_is_refused() {
        let table = [
            ("", PathProblem::NotAbsolute),
            ("*", PathProblem::NotAbsolute),
            ("a/b", PathProblem::NotAbsolute),
            ("http://other/abs", PathProblem::NotAbsolute),
            ("example.com:443", PathProblem::NotAbsolute),
            ("%2fa", PathProblem::NotAbsolute),
            ("//", PathProblem::EmptySegment),
            ("//evil/x", PathProblem::EmptySegment),
            ("/a//b", PathProblem::EmptySegment),
            ("/a//", PathProblem::EmptySegment),
            ("/.", PathProblem::DotSegment),
            ("/./a", PathProblem::DotSegment),
            ("/a/.", PathProblem::DotSegment),
            ("/a/..", PathProblem::DotSegment),
            ("/a/../", PathProblem::DotSegment),
            ("/public/../secret", PathProblem::DotSegment),
            ("/%2e/a", PathProblem::DotSegment),
            ("/%2e%2e/x", PathProblem::DotSegment),
            ("/a/.%2E", PathProblem::DotSegment),
            ("/a/%2E./b", PathProblem::DotSegment),
            ("/a%2fb", PathProblem::EscapedSlash),
            ("/..%2Fb", PathProblem::EscapedSlash),
            ("/a%5cb", PathProblem::Backslash),
            ("/a%5Cb", PathProblem::Backslash),
            ("/a\\b", PathProblem::Backslash),
            ("/a\\..\\b", PathProblem::Backslash),
            ("/a%00b", PathProblem::Control),
            ("/a%0d%0ab", PathProblem::Control),
            ("/a%1F", PathProblem::Control),
            ("/a%7f", PathProblem::Control),
            ("/a\0b", PathProblem::Control),
            ("/a\r\nb", PathProblem::Control),
            ("/a\tb", PathProblem::Control),
            ("/a\x7f", PathProblem::Control),
            ("/a b", PathProblem::Space),
            ("/a;b=1/c", PathProblem::Semicolon),
            ("/a%3bb=1/c", PathProblem::Semicolon),
            ("/..;/a", PathProblem::Semicolon),
            ("/a#b", PathProblem::Fragment),
            ("/a?b", PathProblem::Query),
            ("/a%3Fb", PathProblem::Query),
            ("/a%3f/../b", PathProblem::Query),
            ("/a%23b", PathProblem::Fragment),
            ("/...", PathProblem::Trimmed),
            ("/a./b", PathProblem::Trimmed),
            ("/a/b..", PathProblem::Trimmed),
            ("/a%20/b", PathProblem::Trimmed),
            ("/%20a", PathProblem::Trimmed),
            ("/%20", PathProblem::Trimmed),
            ("/%20.", PathProblem::Trimmed),
            ("/%", PathProblem::BadEscape),
            ("/a%", PathProblem::BadEscape),
            ("/a%2", PathProblem::BadEscape),
            ("/a%2/0", PathProblem::BadEscape),
            ("/a%zz", PathProblem::BadEscape),
            ("/a%2gb", PathProblem::BadEscape),
            ("/a%+1", PathProblem::BadEscape),
            ("/%u0041", PathProblem::BadEscape),
            ("/caf%C3", PathProblem::NotUtf8),
            ("/%C3/%A9", PathProblem::NotUtf8),
            ("/%FF", PathProblem::NotUtf8),
            ("/%C0%AF", PathProblem::NotUtf8),
            ("/%ED%A0%80", PathProblem::NotUtf8),
            ("/café", PathProblem::NonAscii),
            ("/a%é", PathProblem::NonAscii),
            ("/\u{2215}", PathProblem::NonAscii),
            ("/%61dmin", PathProblem::EscapedUnreserved),
            ("/a%2Db", PathProblem::EscapedUnreserved),
            ("/%7Ea", PathProblem::EscapedUnreserved),
            ("/a%2ejson", PathProblem::EscapedUnreserved),
            ("/a%25b", PathProblem::EscapedPercent),
            ("/a%252fb", PathProblem::EscapedPercent),
        ];
        for (path, problem) in table {
            check(path, Err(problem));
        }
    }

    #[test]
    fn limits_are_the_last_accepted_size() {
        let longest = format!("/{}", "a".repeat(MAX_PATH_BYTES - 1));
        check(&longest, Ok(&[&longest[1..]]));
        check(&format!("{longest}a"), Err(PathProblem::TooLong));

        let deepest = "/a".repeat(MAX_SEGMENTS);
        check(&deepest, Ok(&["a"; MAX_SEGMENTS]));
        check(&format!("{deepest}/"), Ok(&["a"; MAX_SEGMENTS]));
        check(&format!("{deepest}/a"), Err(PathProblem::TooManySegments));

        let told =
            |problem: PathProblem, limit: usize| problem.message().contains(&limit.to_string());
        assert!(told(PathProblem::TooLong, MAX_PATH_BYTES));
        assert!(told(PathProblem::TooManySegments, MAX_SEGMENTS));
    }

    #[test]
    fn a_segment_without_escapes_is_not_copied() {
        let path = PathSegments::parse("/plain/a%20b").expect("one reading");
        assert!(matches!(
            path.as_slice(),
            [Cow::Borrowed("plain"), Cow::Owned(_)]
        ));
    }

    /// Writes segments as RFC 3986 §3.3 has them: all but unreserved characters escaped.
    fn encode(path: &PathSegments<'_>) -> String {
        let mut text = String::new();
        for segment in path.iter() {
            text.push('/');
            for byte in segment.bytes() {
                match byte {
                    b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
                    _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
                    _ => text.push_str(&format!("%{byte:02X}")),
                }
            }
        }
        if text.is_empty() { "/".into() } else { text }
    }

    /// Decodes whatever can be decoded and keeps the rest, as careless readers do.
    fn decode_leniently(text: &[u8]) -> Vec<u8> {
        let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
        let mut decoded = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match (byte, digit(at + 1), digit(at + 2)) {
                (b'%', Some(high), Some(low)) => {
                    decoded.push((high * 16 + low) as u8);
                    at += 3;
                }
                _ => {
                    decoded.push(byte);
                    at += 1;
                }
            }
        }
        decoded
    }

    /// Anything at all, and texts made of the pieces that readers trip over.
    fn hostile_path() -> impl Strategy<Value = String> {
        prop_oneof![
            ".*",
            "(/|//|[a-z]{1,3}|[.]{1,3}|%[0-9a-fA-F]{2}|%[2-7][0-9a-fA-F]|%C3%A9|%.|;|\\\\|\\PC){0,12}",
            "(/([a-z]{1,3}|%20|%40|%C3%A9|%2B){1,3}){0,6}/?",
        ]
    }

    proptest! {
        #[test]
        fn what_is_accepted_encodes_to_the_same_reading(text in hostile_path()) {
            if let Ok(path) = PathSegments::parse(&text) {
                let encoded = encode(&path);
                prop_assert_eq!(PathSegments::parse(&encoded), Ok(path), "{}", encoded);
            }
        }

        #[test]
        fn what_is_accepted_reads_the_same_to_careless_readers(text in hostile_path()) {
            if let Ok(path) = PathSegments::parse(&text) {
                let decoded_first = decode_leniently(text.as_bytes());
                let joined = path.iter().map(|it| format!("/{it}")).collect::<String>();
                let trimmed = decoded_first.strip_suffix(b"/").unwrap_or(&decoded_first);
                prop_assert_eq!(trimmed, joined.as_bytes());
                prop_assert_eq!(&decode_leniently(&decoded_first), &decoded_first);
                prop_assert!(path.iter().all(|it| !matches!(it, "" | "." | "..")));
                prop_assert!(!joined.contains(|it: char| it.is_ascii_control() || "\\;%".contains(it)));
            }
        }
    }
}
