//! The error of one typed reading: where it arose, and why, in words that never hold a value.
//!
//! serde's own messages quote what they found, which here may be a password.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// Why a type would not take a node.
#[derive(Debug)]
pub(super) struct Error {
    /// Positions of the children on the way down, the innermost first.
    pub(super) path: Vec<usize>,
    pub(super) cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// A message by the type itself, which may quote the value.
    Custom(String),
    /// A message made here.
    Mismatch(String),
    Missing(&'static str),
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
}

impl Error {
    pub(super) fn mismatch(expected: &str, found: Unexpected<'_>) -> Self {
        Self::from(format!("expected {expected}, found {}", kind(found)))
    }

    /// The same error, seen from the parent.
    pub(super) fn inside(mut self, position: usize) -> Self {
        self.path.push(position);
        self
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::from(Cause::Mismatch(message))
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self {
            path: Vec::new(),
            cause,
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::from(Cause::Custom(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(&in_yaml_words(expected), found)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::from(format!("expected {}", in_yaml_words(expected)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = in_yaml_words(expected);
        Self::from(format!("expected {expected}, found {length} items"))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::from(format!("expected {}", one_of(known)))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let key = key.to_owned();
        Self::from(Cause::UnknownKey { key, known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::from(Cause::Missing(key))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Self::from(format!("`{key}` stands twice, under two names"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Custom(message) | Cause::Mismatch(message) => f.write_str(message),
            Cause::Missing(_) => f.write_str("required, but missing"),
            Cause::UnknownKey { known: [], .. } => {
                f.write_str("unknown key, and no other is known here")
            }
            Cause::UnknownKey { known, .. } => write!(f, "unknown key, expected {}", one_of(known)),
        }
    }
}

impl std::error::Error for Error {}

/// `` `a` `` or `` one of `a`, `b` ``.
pub(super) fn one_of(names: &[&str]) -> String {
    match names {
        [name] => format!("`{name}`"),
        names => format!("one of `{}`", names.join("`, `")),
    }
}

/// The message without the value that it may quote, or show as a word of its own.
///
/// A value of one to three characters is let stand inside other words: it is hardly a secret, and
/// masking it there would leave no message.
pub(super) fn masked(message: &str, value: &str) -> String {
    const MASK: &str = "(..)";
    if value.is_empty() {
        return message.to_owned();
    }
    let message = message.replace(&format!("{value:?}"), MASK);
    if value.chars().count() > 3 {
        return message.replace(value, MASK);
    }
    message
        .split_inclusive(|c: char| !c.is_alphanumeric())
        .map(|word| match word.strip_prefix(value) {
            Some(rest) if !rest.starts_with(char::is_alphanumeric) => format!("{MASK}{rest}"),
            _ => word.to_owned(),
        })
        .collect()
}

fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Float(_) | Unexpected::Signed(_) | Unexpected::Unsigned(_) => "a number",
        Unexpected::Map => "a mapping",
        Unexpected::Seq => "a list",
        Unexpected::Unit => "null",
        _ => "something else",
    }
}

/// serde speaks of Rust types; a YAML file has lists and mappings.
fn in_yaml_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "a boolean" => "true or false".to_owned(),
        "a map" => "a mapping".to_owned(),
        "unit" => "null".to_owned(),
        "a sequence" => "a list".to_owned(),
        text if text.starts_with("struct ") => "a mapping".to_owned(),
        text if text.starts_with("tuple ") || text.starts_with("a tuple ") => "a list".to_owned(),
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_message_loses_the_value_and_keeps_its_words() {
        let cases = [
            ("hunter2 is not a number", "hunter2", "(..) is not a number"),
            ("bad: xhunter2x", "hunter2", "bad: x(..)x"),
            (r#"bad "a\"b""#, "a\"b", "bad (..)"),
            (
                "`ab` is not a table: ab",
                "ab",
                "`(..)` is not a table: (..)",
            ),
            ("16 is odd, 160 is not", "16", "(..) is odd, 160 is not"),
            ("must not be empty", "", "must not be empty"),
        ];
        for (message, value, want) in cases {
            assert_eq!(masked(message, value), want);
        }
    }
}
