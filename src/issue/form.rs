//! A request's form (`application/x-www-form-urlencoded`), read one way: RFC 6749 §3.2 and Appendix B.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::credential::Secret;
use crate::request::query::{Query, decode_parameter};

/// How many fields are read: the forms that are asked for have a handful.
const MAX_FIELDS: usize = 32;

/// The fields, each of which stands once. What they hold is not shown.
pub(super) struct Form(BTreeMap<String, Secret>);

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form(..)")
    }
}

impl Form {
    /// Reads a body; `None` where it is no form, or readers could take it for different ones: a field
    /// that stands twice, a bad escape, bytes that are not UTF-8.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let query = Query::parse(std::str::from_utf8(body).ok()?);
        let mut fields = BTreeMap::new();
        for (index, (name, value)) in query.pairs().enumerate() {
            let value = Zeroizing::new(decode_parameter(value)?.into_owned());
            let value = Secret::new(value.as_bytes());
            let name = decode_parameter(name)?.into_owned();
            if index == MAX_FIELDS || fields.insert(name, value).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// Gives a field; `None` where it is absent or, which RFC 6749 §3.2 says is the same, empty.
    pub(super) fn field(&self, name: &str) -> Option<&Secret> {
        self.0.get(name).filter(|it| !it.expose().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(body: &str, name: &str) -> Option<String> {
        let form = Form::read(body.as_bytes()).expect("a form");
        form.field(name)
            .map(|it| it.expose_str().unwrap().to_owned())
    }

    #[test]
    fn a_field_is_decoded_and_an_empty_one_is_none() {
        let body = "client_id=J%C3%B6rg+B%2B&&client%5Fsecret=a%26b=c;d&empty=&bare&x=%00";
        let cases = [
            ("client_id", Some("Jörg B+")),
            ("client_secret", Some("a&b=c;d")),
            ("empty", None),
            ("bare", None),
            ("absent", None),
            ("Client_id", None),
            ("x", Some("\0")),
        ];
        for (name, want) in cases {
            assert_eq!(field(body, name).as_deref(), want, "{name}");
        }
        assert_eq!(field("", "client_id"), None);
    }

    #[test]
    fn what_readers_could_take_for_different_forms_is_none() {
        let many: String = (0..33).map(|it| format!("f{it}=v&")).collect();
        let cases: [&[u8]; 8] = [
            b"a=1&a=1",
            b"a=1&%61=2",
            b"a=1&a",
            b"a=%",
            b"a=%4",
            b"%zz=1",
            b"a=\xff",
            many.as_bytes(),
        ];
        for body in cases {
            let text = String::from_utf8_lossy(body);
            assert!(Form::read(body).is_none(), "{text}");
        }
        assert!(Form::read(b"a=%ff").is_none());
    }

    #[test]
    fn debug_shows_nothing_of_a_form() {
        let form = Form::read(b"client_secret=openSesame").expect("a form");
        assert_eq!(format!("{form:?}"), "Form(..)");
    }
}
