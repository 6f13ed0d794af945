//! What an answer says of an identity, as headers can carry it.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::identity::Holder;
use crate::policy::Permit;

/// A field of the identity under its key in the settings; `None` where the identity has none.
pub(super) type Value<'p> = (&'static str, Option<Cow<'p, str>>);

/// Gives the fields of the identity, in the order of the settings.
pub(super) fn identity_values<'p>(permit: &'p Permit, platform: &'p str) -> [Value<'p>; 8] {
    let identity = permit.identity();
    let text = |it: Option<&'p str>| it.map(|it| header_text(it, ""));
    let expires = identity.and_then(Holder::expires);
    let terms = identity.map(|it| &*it.terms);
    [
        ("platform", Some(Cow::Borrowed(platform))),
        ("account", text(identity.and_then(Holder::account))),
        ("user", text(identity.and_then(Holder::user))),
        ("username", text(identity.and_then(Holder::username))),
        ("scheme", terms.map(|it| Cow::Borrowed(&*it.scheme))),
        ("scopes", terms.and_then(|it| list(&it.scopes, " "))),
        ("roles", terms.and_then(|it| list(&it.roles, ","))),
        ("expires", expires.map(|it| it.to_string().into())),
    ]
}

/// Joins what is not empty.
fn list<'t>(all: &'t [String], separator: &str) -> Option<Cow<'t, str>> {
    let joined = match all {
        [] => return None,
        [one] => header_text(one, separator),
        many => {
            let encoded: Vec<_> = many.iter().map(|it| header_text(it, separator)).collect();
            Cow::from(encoded.join(separator))
        }
    };
    Some(joined).filter(|it| !it.is_empty())
}

/// Percent-encodes what a header cannot carry (RFC 9110 §5.5): everything but printable ASCII, `%`
/// itself, spaces at the ends, and the separator of a list.
fn header_text<'t>(text: &'t str, separator: &str) -> Cow<'t, str> {
    let last = text.len().saturating_sub(1);
    let plain = |index: usize, byte: u8| match byte {
        b'%' => false,
        b' ' => separator != " " && index != 0 && index != last,
        b'!'..=b'~' => !separator.as_bytes().contains(&byte),
        _ => false,
    };
    // Without an early end, which lets the compiler look at many at a time; nearly all are of these.
    let is_nowhere_special = |all: bool, byte: u8| {
        let is_separator = separator.as_bytes().first() == Some(&byte);
        all & matches!(byte, b'!'..=b'$' | b'&'..=b'~') & !is_separator
    };
    let mut bytes = text.bytes().enumerate();
    if text.bytes().fold(true, is_nowhere_special) || bytes.all(|(index, byte)| plain(index, byte))
    {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for (index, byte) in text.bytes().enumerate() {
        if plain(index, byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn header_values_carry_any_text_and_can_be_told_apart() {
        let cases = [
            ("ACME, Inc.", "", "ACME, Inc."),
            ("ACME, Inc.", ",", "ACME%2C Inc."),
            ("a b", " ", "a%20b"),
            (" a ", "", "%20a%20"),
            ("50%", "", "50%25"),
            ("a\r\nx: y", "", "a%0D%0Ax: y"),
            ("pässwörd", "", "p%C3%A4ssw%C3%B6rd"),
        ];
        for (text, separator, want) in cases {
            assert_eq!(header_text(text, separator), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_header(text in any::<String>()) {
            for separator in ["", " ", ","] {
                let encoded = header_text(&text, separator);
                prop_assert!(encoded.bytes().all(|it| matches!(it, b' '..=b'~')));
                prop_assert_eq!(encoded.trim(), &*encoded);
            }
        }
    }
}
