//! The query of a request, read one way.

use std::borrow::Cow;
use std::fmt;

use crate::credential::MAX_CREDENTIAL_BYTES;
use crate::decision::{Denial, Reason};
use crate::request::malformed;

/// The query of a request, split at `&` and at the first `=` of each parameter. `;` separates
/// nothing. Names are compared decoded and with regard to case.
///
/// It is split where it is asked, since a list of its parameters could take many times what it takes itself.
#[derive(Clone, Copy, Default)]
pub struct Query<'a>(&'a str);

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(..)")
    }
}

impl<'a> Query<'a> {
    /// Reads what stands behind the first `?` of a request target.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        Self(text)
    }

    /// Tells whether there are no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs().next().is_none()
    }

    /// Gives the parameters as they were sent: names and values, not decoded.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let parameters = self.0.split('&').filter(|it| !it.is_empty());
        parameters.map(|it| it.split_once('=').unwrap_or((it, "")))
    }

    /// Gives the spellings of a parameter's name in this request: Envoy removes parameters by
    /// their spelling, not by what it decodes to.
    pub fn spellings(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs()
            .map(|it| it.0)
            .filter(move |it| decodes_to(it, name))
    }

    /// As [`Query::single`], for a parameter that a verdict depends on beyond who is calling, and that upstreams
    /// may find where it is not: in another letter case, behind a `;` or a second `?`, or as a member of a list (`name[]`).
    ///
    /// # Errors
    /// As there, and for a look-alike.
    pub fn single_unmistakable(&self, name: &str) -> Result<Option<Cow<'a, str>>, Denial> {
        let pieces = self.pairs().flat_map(|(key, value)| {
            let behind = value.split([';', '?']).skip(1);
            let before = key.split([';', '?']);
            // The whole key is what `single` looks at.
            before
                .map(move |it| (it, key))
                .chain(behind.map(|it| (it, "")))
        });
        let alike = |(piece, whole): (&str, &str)| {
            let spelling = piece.split(['=', '[']).next().unwrap_or_default();
            let decoded = decode_parameter(spelling).unwrap_or_default();
            let decoded = decoded.split(['[', '\0']).next().unwrap_or_default().trim();
            decoded.eq_ignore_ascii_case(name) && !decodes_to(whole, name)
        };
        if pieces.into_iter().any(alike) {
            return Err(malformed(
                "a query parameter's name can be taken for another's",
            ));
        }
        self.single(name)
    }

    /// Gives the parameter's one value, decoded; `None` where it is absent or empty.
    ///
    /// # Errors
    /// A denial where the value is not one: repeated, longer than any credential, badly escaped,
    /// not printable.
    pub fn single(&self, name: &str) -> Result<Option<Cow<'a, str>>, Denial> {
        let pairs = self.pairs().filter(|it| decodes_to(it.0, name));
        let mut values = pairs.map(|it| it.1);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(malformed(
                "a query parameter that carries one value was repeated",
            ));
        }
        if value.len() > MAX_CREDENTIAL_BYTES {
            let detail = "a query parameter is longer than any credential";
            return Err(Denial::new(Reason::TooLarge, detail));
        }
        let refused = || malformed("a query parameter is badly escaped or not printable");
        let value = decode_parameter(value).ok_or_else(refused)?;
        if value.chars().any(char::is_control) {
            return Err(refused());
        }
        Ok(Some(value).filter(|it| !it.is_empty()))
    }
}

/// Tells whether a spelling decodes to the name, without allocating where nothing is escaped.
pub(crate) fn decodes_to(spelling: &str, name: &str) -> bool {
    spelling == name || decode_parameter(spelling).is_some_and(|it| it == name)
}

/// Decodes `+` and percent escapes (WHATWG URL §5.1). `None` for a bad escape or bytes that are
/// not UTF-8.
#[must_use]
pub fn decode_parameter(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|it| matches!(it, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|it| u8::try_from(it).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parameter(query: &str, want: Result<Option<&str>, Reason>) {
        let query = Query::parse(query);
        let got = query.single("jwt");
        assert_eq!(
            got.as_ref().map(Option::as_deref).map_err(Denial::reason),
            want
        );
    }

    #[test]
    fn a_query_parameter_has_one_value_or_is_refused() {
        parameter("a=1&jwt=x.y&b", Ok(Some("x.y")));
        parameter("jwt=a%2Bb+c", Ok(Some("a+b c")));
        parameter("%6awt=x", Ok(Some("x")));
        parameter("JWT=x", Ok(None));
        parameter("jwt=", Ok(None));
        parameter("a=1;jwt=x", Ok(None));
        parameter("jwt=a&jwt=b", Err(Reason::Malformed));
        parameter("jwt=a&%6Awt=b", Err(Reason::Malformed));
        parameter("jwt=%zz", Err(Reason::Malformed));
        parameter("jwt=%00", Err(Reason::Malformed));
        parameter("jwt=%ff", Err(Reason::Malformed));
    }

    #[test]
    fn a_parameter_that_decides_has_no_look_alike() {
        for unmistakable in [
            "",
            "verb=PUT",
            "a=1&%76erb=PUT&b",
            "verbs=1&a=verb",
            "a;b=verb",
        ] {
            let query = Query::parse(unmistakable);
            assert!(query.single_unmistakable("verb").is_ok(), "{unmistakable}");
        }
        for alike in [
            "VERB=PUT",
            "v%45rb=PUT",
            "a=1;verb=PUT",
            "a;verb=PUT",
            "verb=GET;verb=PUT",
            "verb;a=1",
            "verb[]=PUT",
            "verb%5B0%5D=PUT",
            "+verb=PUT",
            "verb%00=PUT",
            "a=1?verb=PUT",
            "?verb=PUT",
            "verb=GET&Verb=PUT",
        ] {
            let query = Query::parse(alike);
            assert!(query.single_unmistakable("verb").is_err(), "{alike}");
        }
    }

    #[test]
    fn a_parameter_is_removed_in_each_spelling_it_was_sent_in() {
        let query = Query::parse("%6awt=x&a=1&jwt=y");
        assert_eq!(query.spellings("jwt").collect::<Vec<_>>(), ["%6awt", "jwt"]);
    }
}
