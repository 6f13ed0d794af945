//! A path as it may be shown to operators: some APIs put tokens there.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::telemetry::audit::sent::MAX_SENT;

/// The longest segment that is shown, in bytes: ids have 36, and whole API keys more.
const LONGEST: usize = 64;

/// What stands in the place of what is not shown.
const HIDDEN: &str = "(..)";

/// Gives a path without those of its segments that may hold a credential: each behind one of `marks`
/// (in lower case), such as `user_auth` in `/user_auth/{token}`, and each that is longer than an id, looks
/// like a JWT, or holds parameters.
///
/// The path is one that nobody may have understood, so a mark counts in every spelling. It may be of any length, so no
/// more is given than is shown.
#[must_use]
pub fn without_tokens(path: &str, marks: &[&str]) -> String {
    let mut shown = String::with_capacity(path.len().min(2 * MAX_SENT));
    let mut follows_mark = false;
    for (index, segment) in path.split('/').enumerate() {
        let read = decoded(segment);
        let lower = match read.bytes().any(|it| it.is_ascii_uppercase()) {
            true => Cow::Owned(read.to_ascii_lowercase()),
            false => Cow::Borrowed(&*read),
        };
        let is_mark = marks.contains(&&*lower);
        let holds_mark = marks.iter().any(|it| lower.contains(it));
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
            assert_eq!(without_tokens(path, &["user_auth"]), want, "{path}");
        }
        let deep = "/user_auth/TOKEN".repeat(100_000);
        let shown = without_tokens(&deep, &["user_auth"]);
        assert!(shown.len() < 2 * MAX_SENT && !shown.contains("TOKEN"));
        assert_eq!(without_tokens(&format!("/{long}"), &[]), format!("/{long}"));
        assert_eq!(without_tokens(&format!("/{longer}"), &[]), "/(..)");
    }
}
