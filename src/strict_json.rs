//! JSON as tokens, key sets and answers about tokens may hold it: shallow, and with no name twice.
//!
//! Readers differ in which of two members of one name they take (RFC 8259 §4), so a text with such
//! an object says different things to different servers (RFC 7515 §4, RFC 7517 §4: refuse it). The
//! text itself is bounded by whoever read it.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may stand in each other, the outermost counted.
const MAX_DEPTH: usize = 8;

/// Reads one object and nothing after it. `None` for anything else, for a name that stands twice in
/// any object, and beyond 8 levels.
#[must_use]
pub fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Level(MAX_DEPTH).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// How many levels may follow.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: Error>(self) -> Result<Self, E> {
        let left = self.0.checked_sub(1);
        left.map(Self).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        let number = Number::from_f64(it);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Value, E> {
        Ok(Value::String(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(below)?;
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_only_where_every_reader_would_read_the_same() {
        let nested = |levels: usize| {
            let inner = levels - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        let cases = [
            ("empty", "{}".to_owned(), true),
            (
                "members",
                r#"{"a":1,"b":{"a":"x"},"c":[true,null,-1,1.5]}"#.to_owned(),
                true,
            ),
            ("as deep as allowed", nested(8), true),
            ("one deeper", nested(9), false),
            ("a thousand deep", nested(1000), false),
            ("a name twice", r#"{"a":1,"a":1}"#.to_owned(), false),
            (
                "a name twice, once escaped",
                r#"{"a":1,"\u0061":2}"#.to_owned(),
                false,
            ),
            (
                "a name twice inside",
                r#"{"a":[{"b":1,"b":2}]}"#.to_owned(),
                false,
            ),
            ("something behind", "{} {}".to_owned(), false),
            ("a byte order mark", "\u{feff}{}".to_owned(), false),
            ("an array", "[]".to_owned(), false),
            ("half a surrogate", r#"{"a":"\ud800"}"#.to_owned(), false),
            ("nothing", String::new(), false),
        ];
        for (name, text, want) in cases {
            assert_eq!(object(text.as_bytes()).is_some(), want, "{name}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none(), "not UTF-8");
    }
}
