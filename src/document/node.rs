//! The tree behind a document: what was written, and where.
//!
//! A scalar keeps two readings where YAML and the writer may mean different things: `0123` under a
//! key that holds a password is text, `${PORT}` under a key that holds a port is a number. Which
//! one counts is known only when a type asks, so nothing is decided here.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Where a setting stands in its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name that the source was parsed under, usually a file name.
    pub source: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// A value and its place: that of its key where it has one, else its own.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Clone)]
pub(super) enum Content {
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Scalar(Scalar),
}

/// A text, number, boolean or null.
#[derive(Clone)]
pub(super) struct Scalar {
    /// What it is when nobody asks for anything in particular.
    pub(super) value: Value,
    /// What it may be as well: the written text of a number or boolean, or the number or boolean
    /// that an expanded text spells.
    pub(super) other: Option<Value>,
}

impl Node {
    /// The child under one unescaped pointer segment, with its position.
    pub(super) fn child(&self, segment: &str) -> Option<(usize, &Self)> {
        let position = self.position(segment)?;
        Some((position, self.at(position)?.1))
    }

    /// As [`Self::child`], to change it.
    pub(super) fn child_mut(&mut self, segment: &str) -> Option<&mut Self> {
        let position = self.position(segment)?;
        match &mut self.content {
            Content::List(items) => items.get_mut(position),
            Content::Map(entries) => entries.get_mut(position).map(|(_, node)| node),
            Content::Scalar(_) => None,
        }
    }

    /// The child at a position, and its key if this is a mapping.
    pub(super) fn at(&self, position: usize) -> Option<(Option<&str>, &Self)> {
        match &self.content {
            Content::List(items) => items.get(position).map(|node| (None, node)),
            Content::Map(entries) => entries
                .get(position)
                .map(|(key, node)| (Some(key.as_str()), node)),
            Content::Scalar(_) => None,
        }
    }

    fn position(&self, segment: &str) -> Option<usize> {
        match &self.content {
            Content::List(items) => segment
                .parse()
                .ok()
                .filter(|position| *position < items.len()),
            Content::Map(entries) => entries.iter().position(|(key, _)| key == segment),
            Content::Scalar(_) => None,
        }
    }

    /// The plain value, without places.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.clone(), node.value()))
                    .collect::<Map<_, _>>(),
            ),
            Content::Scalar(scalar) => scalar.value.clone(),
        }
    }
}

impl Scalar {
    /// The reading that suits what is wanted, or else the usual one.
    pub(super) fn reading(&self, wanted: fn(&Value) -> bool) -> &Value {
        match &self.other {
            Some(other) if !wanted(&self.value) && wanted(other) => other,
            _ => &self.value,
        }
    }
}

/// Appends a mapping key to a key path such as `platforms[1].rules`.
///
/// A key that would make the path ambiguous, or is not printable, stands quoted in brackets.
pub(super) fn push_key(path: &mut String, key: &str) {
    let plain = |c: char| c.is_alphanumeric() || "-_/*$:@".contains(c);
    if key.is_empty() || !key.chars().all(plain) {
        path.push_str(&format!("[{key:?}]"));
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Appends the position of a list item to a key path.
pub(super) fn push_item(path: &mut String, position: usize) {
    path.push_str(&format!("[{position}]"));
}
