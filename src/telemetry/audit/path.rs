//! A path as it may be shown to operators: some APIs put tokens there.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::telemetry::audit::sent::MAX_SENT;

/// The longest segment that is shown, in bytes: ids have 36, and whole API keys more.
const LONGEST: usize = 64;

/// What stands in the place of what is not shown.
const HIDDEN: &str = "(..)";

/// A byte that parts segments.
const SLASH: u8 = 1;
/// One that a mark begins with, in either case.
const BEGINS_MARK: u8 = 2;
/// One that ends what every JWT begins with, `eyJ`.
const ENDS_JWT: u8 = 4;
/// One for which segments are read one by one: an escape, what parameters are written with, or no plain text.
const ODD: u8 = 8;

/// Segments behind which a path holds a token, such as `user_auth` in `/user_auth/{token}`.
#[derive(Clone)]
pub struct Marks {
    /// In lower case.
    all: Vec<Box<str>>,
    /// What each byte of a path may mean; 0: nothing.
    kinds: [u8; 256],
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Marks").field(&self.all).finish()
    }
}

impl Marks {
    /// Takes marks, in lower case; none is empty.
    #[must_use]
    pub fn of<'m>(marks: impl IntoIterator<Item = &'m str>) -> Self {
        let mut all: Vec<Box<str>> = Vec::new();
        let mut kinds = [0; 256];
        for (kind, byte) in kinds.iter_mut().zip(0_u8..=255) {
            *kind = match byte {
                b'/' => SLASH,
                b'J' => ENDS_JWT,
                b'%' | b'?' | b';' | b'&' | b'=' | b'#' | b'\\' => ODD,
                b' '..=b'~' => 0,
                _ => ODD,
            };
        }
        for mark in marks {
            let Some(first) = mark.bytes().next() else {
                continue;
            };
            kinds[usize::from(first.to_ascii_lowercase())] |= BEGINS_MARK;
            kinds[usize::from(first.to_ascii_uppercase())] |= BEGINS_MARK;
            if !all.iter().any(|it| &**it == mark) {
                all.push(mark.into());
            }
        }
        Self { all, kinds }
    }

    /// Tells at one look, without reading segments, that nothing of a path is to be hidden.
    fn see_nothing(&self, path: &[u8]) -> bool {
        let mut begin = 0;
        for (at, byte) in path.iter().enumerate() {
            let kind = self.kinds[usize::from(*byte)];
            if kind == 0 {
                continue;
            }
            let begins = |mark: &str| {
                let there = path.get(at..at + mark.len());
                there.is_some_and(|it| it.eq_ignore_ascii_case(mark.as_bytes()))
            };
            let is_to_read = kind & ODD != 0
                || (kind & BEGINS_MARK != 0 && self.all.iter().any(|it| begins(it)))
                || (kind & ENDS_JWT != 0 && path[..at].ends_with(b"ey"));
            if is_to_read {
                return false;
            }
            if kind & SLASH != 0 {
                if at - begin > LONGEST {
                    return false;
                }
                begin = at + 1;
            }
        }
        path.len() - begin <= LONGEST
    }
}

/// Gives a path without those of its segments that may hold a credential: each behind one of `marks`, and each that is
/// longer than an id, looks like a JWT, or holds parameters.
///
/// The path is one that nobody may have understood, so a mark counts in every spelling. It may be of any length, so no
/// more is given than is shown.
#[must_use]
pub fn without_tokens<'p>(path: &'p str, marks: &Marks) -> Cow<'p, str> {
    // A long one is not looked at as a whole.
    if path.len() <= MAX_SENT && marks.see_nothing(path.as_bytes()) {
        return path.into();
    }
    by_segments(path, &marks.all).into()
}

/// Hides what may be a credential, segment by segment.
fn by_segments(path: &str, marks: &[Box<str>]) -> String {
    let mut shown = String::with_capacity(path.len().min(2 * MAX_SENT));
    let mut follows_mark = false;
    for (index, segment) in path.split('/').enumerate() {
        let read = decoded(segment);
        let lower = match read.bytes().any(|it| it.is_ascii_uppercase()) {
            true => Cow::Owned(read.to_ascii_lowercase()),
            false => Cow::Borrowed(&*read),
        };
        let is_mark = marks.iter().any(|it| **it == *lower);
        let holds_mark = marks.iter().any(|it| lower.contains(&**it));
        let hidden = follows_mark
            || (holds_mark && !is_mark)
            || read.len() > LONGEST
            || read.contains("eyJ")
            || read.contains(['?', ';', '&', '=', '#', '\\']);
        // Some readers take these for nothing.
        let is_nothing = matches!(&*read, "" | "." | "..");
        if index > 0 {
            shown.push('/');
        }
        shown.push_str(if hidden && !is_nothing {
            HIDDEN
        } else {
            segment
        });
        if !is_nothing {
            follows_mark = holds_mark;
        }
        // The rest would be cut off.
        if shown.len() > MAX_SENT {
            break;
        }
    }
    shown
}

/// Replaces escapes, once; what is none stays as it is, and what is not ASCII is not needed.
fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return segment.into();
    }
    let mut read = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        read.push_str(before);
        let code = after
            .get(..2)
            .and_then(|it| u8::from_str_radix(it, 16).ok());
        match code {
            Some(byte) => {
                let _ = read.write_char(char::from(byte));
                rest = &after[2..];
            }
            None => {
                read.push('%');
                rest = after;
            }
        }
    }
    (read + rest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_may_be_a_credential_is_not_shown() {
        let user_auth = Marks::of(["user_auth"]);
        let long = "a".repeat(64);
        let longer = "a".repeat(65);
        for (path, want) in [
            ("", ""),
            ("/", "/"),
            (
                "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users",
                "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users",
            ),
            ("/v2/user_auth", "/v2/user_auth"),
            ("/v2/user_auth/", "/v2/user_auth/"),
            ("/v2/user_auth/TOKEN", "/v2/user_auth/(..)"),
            ("/v2/user_auth/TOKEN/more", "/v2/user_auth/(..)/more"),
            ("/v2/User_Auth/TOKEN", "/v2/User_Auth/(..)"),
            ("/v2/user%5fauth/TOKEN", "/v2/user%5fauth/(..)"),
            ("/v2/user_auth//./TOKEN", "/v2/user_auth//./(..)"),
            ("/v2/user_auth/../TOKEN", "/v2/user_auth/../(..)"),
            ("/v2/user_auth%2fTOKEN", "/v2/(..)"),
            ("/v2/user_auth%2f/TOKEN", "/v2/(..)/(..)"),
            ("/v2/user_auth\\TOKEN/x", "/v2/(..)/(..)"),
            ("/v2/accounts;auth_token=TOKEN/x", "/v2/(..)/x"),
            ("/v2/accounts%3Fauth_token%3DTOKEN", "/v2/(..)"),
            ("/v2/eyJhbGciOiJIUzI1NiJ9.e30.TOKEN", "/v2/(..)"),
            ("/v2/%65yJhbGciOiJIUzI1NiJ9", "/v2/(..)"),
            ("/v2/%zz/%", "/v2/%zz/%"),
            ("/v2/%C3%BC/ü", "/v2/%C3%BC/ü"),
        ] {
            assert_eq!(without_tokens(path, &user_auth), want, "{path}");
        }
        let deep = "/user_auth/TOKEN".repeat(100_000);
        let shown = without_tokens(&deep, &user_auth);
        assert!(shown.len() < 2 * MAX_SENT && !shown.contains("TOKEN"));
        let none = Marks::of([]);
        for end in ["", "/", "/more"] {
            let (long, longer) = (format!("/{long}{end}"), format!("/{longer}{end}"));
            assert_eq!(without_tokens(&long, &none), long);
            assert_eq!(without_tokens(&longer, &none), format!("/(..){end}"));
        }
    }

    #[test]
    fn what_is_seen_at_one_look_is_what_is_read_segment_by_segment() {
        use proptest::prelude::*;
        let marks = [
            "user_auth",
            "reset",
            "jot",
            "Ünder",
            "a%b",
            "session",
            "users",
        ];
        let marks = Marks::of(marks.map(str::to_lowercase).iter().map(String::as_str));
        let piece = prop_oneof![
            4 => "[a-zA-Z0-9._~-]{0,12}",
            1 => "[a-z]{60,70}",
            1 => "(user_|USER_|%75ser_)?[aA]uth",
            1 => "(user_auth|reset|jot|Reset|JOT|session|users?)",
            1 => "(e|ey|eyJ|%65yJ|yJ|J|EYJ)",
            1 => "[?;&=#%.\\\\\" \u{7f}üÜ]{1,2}",
        ];
        let segments = prop::collection::vec(prop::collection::vec(piece, 0..4), 0..24);
        let path = segments.prop_map(|it| {
            let segments: Vec<String> = it.iter().map(|it| it.concat()).collect();
            segments.join("/")
        });
        let config = ProptestConfig::with_cases(1000);
        proptest!(config, |(path in path)| {
            prop_assert_eq!(without_tokens(&path, &marks), by_segments(&path, &marks.all));
        });
    }
}
