//! What serde walks through inside a list, a mapping and an enum variant.
//!
//! Here errors get the position of the child that they arose in, and marks take their effect:
//! removed nodes are passed over, and stand-ins step in for what is required.

use std::slice;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::deserialize::{Reader, State};
use super::error::{Cause, Error};
use super::node::Node;
use super::standin::StandIn;

/// The items of a list.
pub(super) struct Items<'a> {
    parent: Reader<'a>,
    nodes: &'a [Node],
    next: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(parent: Reader<'a>, nodes: &'a [Node]) -> Self {
        Self {
            parent,
            nodes,
            next: 0,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        while let Some(node) = self.nodes.get(self.next) {
            let position = self.next;
            self.next += 1;
            let result = match self.parent.state_of(position) {
                State::Removed => continue,
                State::StoodIn => seed.deserialize(StandIn::default()),
                State::OtherReading | State::Untouched => {
                    seed.deserialize(self.parent.child(position, node))
                }
            };
            return result.map(Some).map_err(|error| error.inside(position));
        }
        Ok(None)
    }
}

/// The entries of a mapping, then the stand-ins for what it lacks.
pub(super) struct Entries<'a> {
    parent: Reader<'a>,
    nodes: &'a [(String, Node)],
    /// The entry after the one whose key was last given.
    next: usize,
    missing: slice::Iter<'a, &'static str>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(parent: Reader<'a>, nodes: &'a [(String, Node)]) -> Self {
        let missing = parent.marks.map_or(&[][..], |marks| &marks.missing);
        Self {
            parent,
            nodes,
            next: 0,
            missing: missing.iter(),
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        while self.parent.state_of(self.next) == State::Removed {
            self.next += 1;
        }
        let position = self.next;
        self.next += 1;
        let key = match self.nodes.get(position) {
            Some((key, _)) => key,
            None => match self.missing.next() {
                Some(key) => *key,
                None => return Ok(None),
            },
        };
        match seed.deserialize(StrDeserializer::<Error>::new(key)) {
            Ok(key) => Ok(Some(key)),
            // Found by its name, as it must be where serde buffers a mapping before looking at it.
            Err(error) if matches!(error.cause, Cause::UnknownKey { .. }) => Err(error),
            Err(error) => Err(error.inside(position)),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let position = self.next - 1;
        let result = match self.nodes.get(position) {
            Some((_, node)) if self.parent.state_of(position) != State::StoodIn => {
                seed.deserialize(self.parent.child(position, node))
            }
            _ => seed.deserialize(StandIn::default()),
        };
        result.map_err(|error| error.inside(position))
    }
}

/// An enum variant with content: a mapping of one key.
pub(super) struct Variant<'a> {
    name: &'a str,
    content: Reader<'a>,
}

impl<'a> Variant<'a> {
    pub(super) fn new(name: &'a str, content: Reader<'a>) -> Self {
        Self { name, content }
    }
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Reader<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Reader<'de>), Error> {
        let variant = seed.deserialize(StrDeserializer::<Error>::new(self.name))?;
        Ok((variant, self.content))
    }
}

impl<'de> VariantAccess<'de> for Reader<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        <()>::deserialize(self).map_err(|error| error.inside(0))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self).map_err(|error| error.inside(0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
            .map_err(|error| error.inside(0))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
            .map_err(|error| error.inside(0))
    }
}
