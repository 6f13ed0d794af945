//! A request's JSON, read into a type, with what is wrong told by field and never by value.

use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroize;

/// What is wrong with a body.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Wrong {
    /// It is no JSON, or more than one value.
    NotJson,
    /// A field of it, by its path such as `data.credentials`, empty for the whole; and what it is
    /// instead. A member that is not known is told by what it stands in: its name may be a secret.
    Field(String, &'static str),
}

const WRONG_TYPE: &str = "a value of the wrong type";

/// How serde begins to say that a member is none of those that are known.
const UNKNOWN: &str = "unknown field";

/// A body with passwords in it: every text is wiped when it is dropped.
struct Wiped(Value);

impl Wiped {
    fn read(body: &[u8]) -> Result<Self, Wrong> {
        let whole = serde_json::from_slice(body);
        whole.map(Self).map_err(|_| Wrong::NotJson)
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::String(text) => text.zeroize(),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

/// Reads a body as [`read`] does, for a dialect that knows no lists: one that stands anywhere is refused.
///
/// # Errors
/// As there.
pub(super) fn read_without_lists<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    if !has_list(&Wiped::read(body)?.0) {
        return read(body);
    }
    match read::<T>(body) {
        // serde takes a list for an object whose fields come in their order, and names their places.
        Err(Wrong::Field(path, WRONG_TYPE)) if !path.contains('[') => {
            Err(Wrong::Field(path, WRONG_TYPE))
        }
        _ => Err(Wrong::Field(String::new(), WRONG_TYPE)),
    }
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(members) => members.values().any(has_list),
        _ => false,
    }
}

/// Reads a body. A member that stands twice is refused.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    // Whole first, so that what is no JSON and what is JSON of another shape are told apart; and
    // because a list would be read as an object whose fields come in their order.
    if !Wiped::read(body)?.0.is_object() {
        return Err(Wrong::Field(String::new(), WRONG_TYPE));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // Of serde's text only its kind counts: the rest repeats what was sent.
        let text = error.inner().to_string();
        let steps: Vec<_> = error.path().iter().collect();
        let known = match steps.split_last() {
            Some((_, known)) if text.starts_with(UNKNOWN) => known,
            _ => &steps[..],
        };
        let path = known.iter().map(ToString::to_string).collect::<Vec<_>>();
        let path = path.join(".");
        let kinds = [
            ("missing field", "a field is missing"),
            (UNKNOWN, "a field of it is not known here"),
            ("duplicate field", "this field stands twice"),
            ("invalid type", WRONG_TYPE),
            ("unknown variant", "not one of the values that are known"),
        ];
        let known = kinds.iter().find(|it| text.starts_with(it.0));
        // The field that is missing or stands twice is no part of the path, and its name is ours.
        let named = ["missing field `", "duplicate field `"];
        let named = named.iter().find_map(|it| text.strip_prefix(it));
        let named = named.and_then(|it| Some(it.split_once('`')?.0));
        let path = match named {
            Some(name) if path.is_empty() => name.to_owned(),
            Some(name) => format!("{path}.{name}"),
            None => path,
        };
        Wrong::Field(
            path,
            known.map_or("a value that cannot be taken", |it| it.1),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, Eq, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        data: Inner,
    }

    #[derive(Debug, serde::Deserialize, Eq, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        name: String,
        ttl: Option<u64>,
    }

    #[test]
    fn what_is_wrong_is_told_by_field_and_never_by_value() {
        let field = |path: &str, what| Err(Wrong::Field(path.to_owned(), what));
        let cases = [
            ("", Err(Wrong::NotJson)),
            ("{", Err(Wrong::NotJson)),
            ("{} {}", Err(Wrong::NotJson)),
            ("[]", field("", "a value of the wrong type")),
            ("null", field("", "a value of the wrong type")),
            ("{}", field("data", "a field is missing")),
            (r#"{"data":{}}"#, field("data.name", "a field is missing")),
            (
                r#"{"data":{"name":7}}"#,
                field("data.name", "a value of the wrong type"),
            ),
            (
                r#"{"data":{"name":"n","ttl":"s3cret"}}"#,
                field("data.ttl", "a value of the wrong type"),
            ),
            (
                r#"{"data":{"name":"n","ttl":-1}}"#,
                field("data.ttl", "a value that cannot be taken"),
            ),
            (
                r#"{"data":{"name":"n","name":"m"}}"#,
                field("data.name", "this field stands twice"),
            ),
            (
                r#"{"data":{"name":"n","x":1}}"#,
                field("data", "a field of it is not known here"),
            ),
            (
                r#"{"data":{"name":"n"}}"#,
                Ok(Outer {
                    data: Inner {
                        name: "n".to_owned(),
                        ttl: None,
                    },
                }),
            ),
        ];
        for (body, at) in [
            (r#"{"data":{"name":"n","s3cret":[]}}"#, ""),
            (r#"{"data":{"name":["n"]}}"#, "data.name"),
            (r#"{"data":["n",7]}"#, ""),
            (r#"{"data":[["n"],7]}"#, ""),
            (r#"[{"name":"n"}]"#, ""),
        ] {
            let read = read_without_lists::<Outer>(body.as_bytes());
            assert_eq!(read, Err(Wrong::Field(at.to_owned(), WRONG_TYPE)), "{body}");
        }
        let plain = read_without_lists::<Outer>(br#"{"data":{"name":"n"}}"#);
        assert_eq!(plain, read(br#"{"data":{"name":"n"}}"#));
        for (body, want) in cases {
            assert_eq!(read::<Outer>(body.as_bytes()), want, "{body}");
        }
    }
}
