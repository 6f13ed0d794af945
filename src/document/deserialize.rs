//! serde over the tree: a type asks for what it wants, and a scalar gives the reading that suits.
//!
//! Errors come out with the positions of the nodes on their way. [`Marks`] lie over the tree and
//! say what to pass over, so that a reading can be repeated past what is already known to be wrong.

use std::collections::BTreeMap;

use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error as _, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::access::{Entries, Items, Variant};
use super::error::{Error, one_of};
use super::node::{Content, Node, Scalar};

/// What earlier readings found out about a node and what is below it.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) state: State,
    pub(super) children: BTreeMap<usize, Self>,
    /// Required keys that are not there; each is answered by a stand-in.
    pub(super) missing: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// A scalar whose other reading goes to a type that takes anything.
    OtherReading,
    /// Not to be seen.
    Removed,
    /// Was removed, but is required: answered by a stand-in.
    StoodIn,
    #[default]
    Untouched,
}

impl Marks {
    /// Whether something below is not what the file says, so that a complaint may be our doing.
    pub(super) fn distort(&self) -> bool {
        !self.missing.is_empty()
            || self.children.values().any(|child| {
                matches!(child.state, State::Removed | State::StoodIn) || child.distort()
            })
    }
}

/// Reads a type from a node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) node: &'a Node,
    pub(super) marks: Option<&'a Marks>,
}

impl<'a> Reader<'a> {
    pub(super) fn state_of(&self, position: usize) -> State {
        self.marks
            .and_then(|marks| marks.children.get(&position))
            .map_or(State::Untouched, |marks| marks.state)
    }

    pub(super) fn child(&self, position: usize, node: &'a Node) -> Self {
        let marks = self.marks.and_then(|marks| marks.children.get(&position));
        Self { node, marks }
    }

    fn found(&self) -> Unexpected<'a> {
        match &self.node.content {
            Content::List(_) => Unexpected::Seq,
            Content::Map(_) => Unexpected::Map,
            Content::Scalar(scalar) => match &scalar.value {
                Value::Bool(value) => Unexpected::Bool(*value),
                Value::Null => Unexpected::Unit,
                Value::Number(number) => Unexpected::Float(number.as_f64().unwrap_or_default()),
                value => Unexpected::Str(value.as_str().unwrap_or_default()),
            },
        }
    }

    fn scalar<V: Visitor<'a>>(
        self,
        wanted: fn(&Value) -> bool,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Scalar(scalar) => visit(scalar.reading(wanted), visitor),
            _ => Err(Error::invalid_type(self.found(), &visitor)),
        }
    }

    fn any_scalar(&self, scalar: &'a Scalar) -> &'a Value {
        match (&scalar.other, self.marks.map(|marks| marks.state)) {
            (Some(other), Some(State::OtherReading)) => other,
            _ => &scalar.value,
        }
    }
}

fn visit<'a, V: Visitor<'a>>(value: &'a Value, visitor: V) -> Result<V::Value, Error> {
    match value {
        Value::Bool(value) => visitor.visit_bool(*value),
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                visitor.visit_u64(number)
            } else if let Some(number) = number.as_i64() {
                visitor.visit_i64(number)
            } else {
                visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        Value::String(text) => visitor.visit_borrowed_str(text),
        Value::Array(_) | Value::Null | Value::Object(_) => visitor.visit_unit(),
    }
}

macro_rules! scalars {
    ($($wanted:path: $($method:ident)*;)*) => {
        $($(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                self.scalar($wanted, visitor)
            }
        )*)*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Error;

    scalars! {
        Value::is_boolean: deserialize_bool;
        Value::is_number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
            deserialize_u128 deserialize_f32 deserialize_f64;
        Value::is_string: deserialize_char deserialize_str deserialize_string
            deserialize_bytes deserialize_byte_buf deserialize_identifier;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::List(nodes) => visitor.visit_seq(Items::new(self, nodes)),
            Content::Map(nodes) => visitor.visit_map(Entries::new(self, nodes)),
            Content::Scalar(scalar) => visit(self.any_scalar(scalar), visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Scalar(scalar) if scalar.value.is_null() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::List(nodes) => visitor.visit_seq(Items::new(self, nodes)),
            _ => Err(Error::invalid_type(self.found(), &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Map(nodes) => visitor.visit_map(Entries::new(self, nodes)),
            _ => Err(Error::invalid_type(self.found(), &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mismatch = || Error::mismatch(&one_of(variants), self.found());
        match &self.node.content {
            Content::Scalar(scalar) => match scalar.reading(Value::is_string) {
                Value::String(name) => visitor.visit_enum(StrDeserializer::<Error>::new(name)),
                _ => Err(mismatch()),
            },
            Content::Map(nodes) => match nodes.as_slice() {
                [(name, node)] if self.state_of(0) != State::Removed => {
                    visitor.visit_enum(Variant::new(name, self.child(0, node)))
                }
                _ => Err(mismatch()),
            },
            Content::List(_) => Err(mismatch()),
        }
    }

    forward_to_deserialize_any! { unit unit_struct ignored_any }
}
