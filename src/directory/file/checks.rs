//! What the values of a row may be, whichever list it stands in.
//!
//! Each check adds a problem at the value's own line and goes on, so that one reading of a file
//! tells everything. No message shows a value. What rows say about each other is not looked at.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use jiff::{Timestamp, civil};
use serde::Serialize;

use crate::credential::Secret;
use crate::directory::totp::parse_seed;
use crate::document::{Document, Problem};

/// The longest name, in characters.
const MAX_TEXT_CHARS: usize = 256;

/// The longest password, in bytes: hashing takes time by length.
const MAX_PASSWORD_BYTES: usize = 1024;

/// The longest record: far below what a store takes, far above what a person writes.
const MAX_RECORD_BYTES: usize = 64 * 1024;

/// How many bits of an IPv4-mapped IPv6 address say that it is one (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// One row, and where its problems go. Keys are JSON pointers within the row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    document: &'a Document,
    pointer: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Row<'a> {
    pub(super) fn new(
        document: &'a Document,
        pointer: &'a str,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self {
            document,
            pointer,
            problems,
        }
    }

    /// Adds a problem with the value at `key`, or with the whole row where that is empty.
    pub(super) fn problem(&mut self, key: &str, message: &str) {
        let pointer = format!("{}{key}", self.pointer);
        self.problems.push(self.document.problem(&pointer, message));
    }

    fn demand(&mut self, holds: bool, key: &str, message: &str) {
        if !holds {
            self.problem(key, message);
        }
    }

    /// An id stands in a key's name in the store, in headers and in logs.
    pub(super) fn id(&mut self, key: &str, id: &str) {
        let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
        let holds = (1..=128).contains(&id.len()) && id.bytes().all(plain);
        let message = "an id is 1 to 128 letters, digits, `.`, `_` and `-`; it stands in logs and \
                       in names of keys, so it must not be personal data or a credential";
        self.demand(holds, key, message);
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        let holds = (1..=MAX_TEXT_CHARS).contains(&text.chars().count())
            && !text.chars().any(char::is_control);
        let message = format!("1 to {MAX_TEXT_CHARS} characters, no control characters");
        self.demand(holds, key, &message);
    }

    /// RFC 7617 §2: the name ends at the first colon, so one with a colon could never be presented.
    pub(super) fn login(&mut self, key: &str, name: &str) {
        self.text(key, name);
        self.demand(
            !name.contains(':'),
            key,
            "a `:` cannot be presented in a login name (RFC 7617)",
        );
    }

    pub(super) fn email(&mut self, key: &str, email: &str) {
        self.login(key, email);
        self.demand(email.contains('@'), key, "an e-mail address holds an `@`");
    }

    pub(super) fn password(&mut self, key: &str, password: &Secret) {
        let bytes = password.expose();
        let control = |it: &str| it.chars().any(char::is_control);
        let holds = (1..=MAX_PASSWORD_BYTES).contains(&bytes.len())
            && password.expose_str().is_some_and(|it| !control(it));
        let message =
            format!("a password has 1 to {MAX_PASSWORD_BYTES} bytes, no control characters");
        self.demand(holds, key, &message);
    }

    /// What is longer than a header, or divided by a merge of headers, could never be presented.
    pub(super) fn api_key_secret(&mut self, key: &str, secret: &Secret) {
        let bytes = secret.expose();
        let presentable = |it: &u8| it.is_ascii_graphic() && *it != b',';
        let holds = (16..=512).contains(&bytes.len()) && bytes.iter().all(presentable);
        let message = "a secret has 16 to 512 printable ASCII characters, no spaces and no commas";
        self.demand(holds, key, message);
    }

    pub(super) fn hex(&mut self, key: &str, text: &Secret, digits: usize) {
        let bytes = text.expose();
        let holds = bytes.len() == digits && bytes.iter().all(u8::is_ascii_hexdigit);
        self.demand(holds, key, &format!("exactly {digits} hexadecimal digits"));
    }

    /// Gives the seed. RFC 4226 §4 wants 128 bits at least.
    pub(super) fn totp_secret(&mut self, key: &str, text: &Secret) -> Option<Secret> {
        let seed = parse_seed(text.expose_str().unwrap_or_default());
        seed.map_err(|it| self.problem(key, it)).ok()
    }

    /// The upstream reads roles out of one header, comma by comma.
    pub(super) fn roles(&mut self, roles: &[String]) {
        for (index, role) in roles.iter().enumerate() {
            let key = format!("/roles/{index}");
            self.text(&key, role);
            self.demand(
                !role.contains(','),
                &key,
                "a role holds no comma, which divides roles",
            );
        }
    }

    /// RFC 6749 §3.3, `scope-token`.
    pub(super) fn scopes(&mut self, scopes: &[String]) {
        for (index, scope) in scopes.iter().enumerate() {
            let taken = |it: u8| it.is_ascii_graphic() && !matches!(it, b'"' | b'\\');
            let holds = (1..=MAX_TEXT_CHARS).contains(&scope.len()) && scope.bytes().all(taken);
            let message =
                "a scope is one word of printable ASCII, without `\"` and `\\` (RFC 6749)";
            self.demand(holds, &format!("/scopes/{index}"), message);
        }
    }

    /// Gives Unix seconds; what lies before 1970 is 0.
    pub(super) fn time(&mut self, key: &str, text: Option<&str>) -> Option<u64> {
        let text = text?;
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(u64::try_from(time.as_second()).unwrap_or(0));
        }
        let message = if text.parse::<civil::DateTime>().is_ok() {
            "a time needs a zone: `Z`, or an offset such as `+02:00` (RFC 3339)"
        } else {
            "not a time, which is written as `2030-01-31T00:00:00Z` (RFC 3339)"
        };
        self.problem(key, message);
        None
    }

    /// Gives ranges as addresses are compared with them: IPv4 wherever it is meant.
    pub(super) fn addresses(&mut self, texts: &[String]) -> Vec<IpNet> {
        let mut nets = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match parse_net(text) {
                Ok(net) => nets.push(net),
                Err(message) => self.problem(&format!("/allowed_ips/{index}"), message),
            }
        }
        nets
    }

    pub(super) fn size(&mut self, record: &impl Serialize) {
        let holds = serde_json::to_vec(record).is_ok_and(|bytes| bytes.len() <= MAX_RECORD_BYTES);
        let message = format!("the record is larger than {MAX_RECORD_BYTES} bytes");
        self.demand(holds, "", &message);
    }
}

/// Reads an address or a range as addresses are compared with it: IPv4 wherever it is meant (RFC 4291
/// §2.5.5.2).
///
/// # Errors
/// What it should have been.
pub fn parse_net(text: &str) -> Result<IpNet, &'static str> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let net = address
        .or_else(|_| text.parse::<IpNet>())
        .map_err(|_| "not an address and not a range such as `10.0.0.0/8`")?;
    let IpNet::V6(v6) = net else {
        return Ok(net.trunc());
    };
    let Some(v4) = v6.addr().to_ipv4_mapped() else {
        return Ok(net.trunc());
    };
    let length = v6.prefix_len().checked_sub(MAPPED_BITS);
    length
        .and_then(|it| Ipv4Net::new(v4, it).ok())
        .map(|it| IpNet::V4(it.trunc()))
        .ok_or("an IPv4-mapped range has a prefix of 96 or more; write it as IPv4")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ranges_are_taken_in_one_spelling() {
        let cases = [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ];
        for (text, want) in cases {
            assert_eq!(
                parse_net(text).map(|it| it.to_string()),
                Ok(want.into()),
                "{text}"
            );
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "example.com",
            " 10.0.0.1",
            "fe80::1%eth0",
        ] {
            assert!(parse_net(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_is_a_word_of_what_scopes_may_hold() {
        let document = Document::parse("directory.yaml", "").unwrap();
        let is_taken = |scope: &str| {
            let mut problems = Vec::new();
            Row::new(&document, "", &mut problems).scopes(&[scope.to_owned()]);
            problems.is_empty()
        };
        let [most, more] = [256, 257].map(|it| "a".repeat(it));
        for scope in ["a", "sms:message:send", "!#[]~", &most] {
            assert!(is_taken(scope), "{scope}");
        }
        for scope in ["", "a b", "a\"b", "a\\b", "a\tb", "ä", &more] {
            assert!(!is_taken(scope), "{scope}");
        }
    }

    #[test]
    fn times_are_unix_seconds_wherever_they_were_written() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2020-01-01T02:00:00+02:00", Some(1_577_836_800)),
            ("2020-01-01T00:00:00.9Z", Some(1_577_836_800)),
            ("1969-12-31T23:00:00Z", Some(0)),
            ("2020-01-01T00:00:00", None),
            ("2020-01-01", None),
            ("tomorrow", None),
        ];
        let document = Document::parse("directory.yaml", "").unwrap();
        for (text, want) in cases {
            let mut problems = Vec::new();
            let got = Row::new(&document, "", &mut problems).time("", Some(text));
            assert_eq!(got, want, "{text}");
            assert_eq!(problems.is_empty(), want.is_some(), "{text}");
        }
    }
}
