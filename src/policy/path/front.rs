//! Reads the front of a path whose rest readers could take for different things.
//!
//! Apart from the one reading that a path otherwise has, since here the rest stays unread: it is the upstream's own,
//! and a rule takes it as a whole (`rest_unclear`). What is made sure of is that no reader, however often it decodes
//! and wherever it divides, cuts or trims, is led out of the segments at the front.

use super::{MAX_PATH_BYTES, MAX_SEGMENTS, PathSegments, read_segment};

/// How often a reader could decode: what can still be decoded then is refused.
const MAX_ROUNDS: usize = 4;

impl<'p> PathSegments<'p> {
    /// Reads the segments before the first that is unclear, of a path that [`PathSegments::parse`] refuses. What
    /// follows them is not read: [`PathSegments::is_open`].
    ///
    /// `None` where the rest could lead out of them (dots, however escaped), is cut short by some reader (control
    /// bytes), or is no text (bad escapes, bytes that are not UTF-8), and past a limit.
    #[must_use]
    pub fn front(path: &'p str) -> Option<Self> {
        if path.len() > MAX_PATH_BYTES || !path.bytes().all(|it| it.is_ascii_graphic()) {
            return None;
        }
        let mut unread = Some(path.strip_prefix('/')?);
        if !stays_below(path) {
            return None;
        }
        let mut segments = Vec::new();
        while let Some(text) = unread {
            let Ok((segment, after)) = read_segment(text) else {
                break;
            };
            if segments.len() == MAX_SEGMENTS {
                return None;
            }
            segments.push(segment);
            unread = after;
        }
        Some(Self {
            segments,
            open: true,
        })
    }
}

/// Tells whether no reader goes up, or stops early, anywhere in the path.
fn stays_below(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for round in 0..MAX_ROUNDS {
        let is_text = std::str::from_utf8(&text).is_ok_and(|it| !it.contains(char::is_control));
        let divides = |it: &u8| b"/\\;?#".contains(it);
        if !is_text || text.split(divides).any(leads_up) {
            return false;
        }
        match decode(&text, round == 0) {
            None => return false,
            Some(next) if next == text => return true,
            Some(next) => text = next,
        }
    }
    false
}

/// Dots alone, or with spaces that some reader drops.
fn leads_up(piece: &[u8]) -> bool {
    piece.contains(&b'.') && piece.iter().all(|it| b". +".contains(it))
}

/// Decodes what can be. `None` for `%u`, which some readers have a meaning for, and where it is `strict` for any
/// other escape that is none.
fn decode(text: &[u8], strict: bool) -> Option<Vec<u8>> {
    let digit = |it: Option<&u8>| char::from(*it?).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = match byte {
            b'%' => digit(text.get(at + 1)).zip(digit(text.get(at + 2))),
            _ => None,
        };
        match escaped {
            Some((high, low)) => decoded.push(u8::try_from(high * 16 + low).ok()?),
            None if byte == b'%' && (strict || matches!(text.get(at + 1), Some(b'u' | b'U'))) => {
                return None;
            }
            None => decoded.push(byte),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, want: Option<&[&str]>) {
        let got = PathSegments::front(path);
        let got = got.as_ref().map(|it| it.iter().collect::<Vec<_>>());
        assert_eq!(got, want.map(<[_]>::to_vec), "{path}");
    }

    #[test]
    fn the_front_is_read_where_no_reader_leaves_it() {
        let table: &[(&str, &[&str])] = &[
            ("/files/a%2Fb/c", &["files"]),
            ("/files/x/a%2fb", &["files", "x"]),
            ("/files/a;v=1/b", &["files"]),
            ("/files/100%25", &["files"]),
            ("/files/a%252Fb", &["files"]),
            ("/files//a", &["files"]),
            ("/files/a%3Fb%23c", &["files"]),
            ("/files/a%5Cb", &["files"]),
            ("/files/%61", &["files"]),
            ("/files/a./b ".trim_end(), &["files"]),
            ("/files/v1..2%2Fb", &["files"]),
            ("/a%2Fb", &[]),
            ("//files", &[]),
        ];
        for (path, want) in table {
            check(path, Some(want));
        }
    }

    #[test]
    fn a_path_that_could_lead_out_of_its_front_has_none() {
        for path in [
            "files/a",
            "*",
            "/files/../a",
            "/files/%2e%2e/a",
            "/files/%252e%252e/a",
            "/files/%25252e%25252e/a",
            "/files/%2525252e/a",
            "/files/..%2fa",
            "/files/a%2f..%2f..%2fb",
            "/files/..;x/a",
            "/files/..%3b/a",
            "/files/;../a",
            "/files/..%3f/a",
            "/files/..%23",
            "/files/..%5ca",
            "/files/..\\a",
            "/files/..%20/a",
            "/files/.../a",
            "/files/.",
            "/files/a%00",
            "/files/..%00",
            "/files/a%0d%0a",
            "/files/%c0%ae%c0%ae/a",
            "/files/%ff",
            "/files/%u002e%u002e/a",
            "/files/%25u002e/a",
            "/files/%zz",
            "/files/%",
            "/files/ä",
            "/files/a b",
        ] {
            check(path, None);
        }
        let deepest = format!("{}/a%2fb", "/a".repeat(MAX_SEGMENTS));
        assert!(PathSegments::front(&deepest).is_some());
        check(&format!("/a{deepest}"), None);
        check(&format!("/{}", "%25".repeat(MAX_PATH_BYTES)), None);
    }
}
