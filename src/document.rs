//! YAML files as documents: trees of settings that know where each setting was written.
//!
//! The configuration, the presets and the directory file are all read in the same way: the text
//! becomes a [`Document`], `${NAME}` is replaced, presets are merged below what overrides them, and
//! typed settings are read from it. Every step reports all problems at once, each with file, line
//! and key, and no message ever shows a value, since any value may be a secret.
//!
//! This room knows nothing of what the settings mean, and opens no file.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

mod access;
mod deserialize;
mod environment;
mod error;
mod node;
mod parse;
mod read;
mod standin;

pub use node::Place;
pub use parse::MAX_BYTES;

use node::{Content, Node, push_item, push_key};

/// Something wrong in a document, in words for whoever wrote it.
///
/// Displayed as `config.yaml:12: platforms[0].hosts: expected a list, found a number`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the source, usually a file name.
    pub source: String,
    /// The line, from 1; none where the source as a whole is meant.
    pub line: Option<u32>,
    /// The key path, such as `platforms[1].rules[0].paths`; empty for the whole.
    pub key: String,
    /// What is wrong. Never shows a value.
    pub message: String,
}

impl Problem {
    fn at(place: &Place, key: &str, message: &str) -> Self {
        Self {
            source: place.source.as_ref().to_owned(),
            line: Some(place.line),
            key: key.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A tree of settings with the place of each.
///
/// Settings are named by JSON pointers (RFC 6901): `/platforms/0/name`, and the empty pointer for
/// the whole.
#[derive(Clone)]
pub struct Document {
    root: Node,
    /// The key path of the root, where this is a part of a larger document.
    key: String,
}

/// Shows where the document comes from, and nothing of what it holds.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("place", &self.root.place)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Reads one YAML document; an empty one is an empty mapping.
    ///
    /// Booleans are only `true` and `false`: `off` or `yes` is a text. `0123` and `1_000` are
    /// texts, and any other number or boolean still becomes exactly what was written where a type
    /// wants a text.
    ///
    /// # Errors
    ///
    /// A syntax error, or every duplicate key and every key that is not a text. A text above
    /// [`MAX_BYTES`], deep nesting, a second document, and aliases that multiply are refused.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let root = parse::parse(source_name, text)?;
        let key = String::new();
        Ok(Self { root, key })
    }

    /// Replaces `${NAME}` in every text by what `lookup` gives; `$${` stays as `${`.
    ///
    /// A text that was changed is also taken where a number or boolean is wanted and it spells one.
    /// Returns a problem for each name that `lookup` does not know, and for each `${` that is no
    /// reference.
    #[must_use = "a reference that could not be replaced is still in the text"]
    pub fn expand_env(&mut self, lookup: impl Fn(&str) -> Option<String>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut key = self.key.clone();
        environment::expand(&mut self.root, &mut key, &lookup, &mut problems);
        problems
    }

    /// Lays `over` upon `base`: mappings merge by key, anything else of `over` replaces.
    ///
    /// An explicit null replaces like any other value. Every place is that of the value that won; a
    /// mapping of both is where `over` has it.
    #[must_use]
    pub fn merge(mut base: Self, over: Self) -> Self {
        overlay(&mut base.root, over.root);
        base.key = over.key;
        base
    }

    /// Reads a `T` from the value at `pointer`, or adds every problem with it and gives `None`.
    ///
    /// Types should refuse unknown keys (`#[serde(deny_unknown_fields)]`). A missing key is
    /// reported at the line of its mapping.
    pub fn read<T: DeserializeOwned>(
        &self,
        pointer: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let before = problems.len();
        let value = self.read_rest(pointer, problems);
        value.filter(|_| problems.len() == before)
    }

    /// As [`Document::read`], but with problems it gives what is left without the parts that were
    /// wrong, so that the caller can look for more; `None` where a required part was.
    pub fn read_rest<T: DeserializeOwned>(
        &self,
        pointer: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let found = self.find(pointer);
        if !found.exact {
            problems.push(Problem::at(
                &found.node.place,
                &found.key,
                "required, but missing",
            ));
            return None;
        }
        read::read(found.node, &found.key, problems)
    }

    /// The value at `pointer`, without places.
    #[must_use]
    pub fn value(&self, pointer: &str) -> Option<Value> {
        let found = self.find(pointer);
        found.exact.then(|| found.node.value())
    }

    /// Where the value at `pointer` stands: for a value in a mapping, where its key does.
    #[must_use]
    pub fn place(&self, pointer: &str) -> Option<&Place> {
        let found = self.find(pointer);
        found.exact.then_some(&found.node.place)
    }

    /// A problem with the value at `pointer`; at the nearest value above it, if there is none.
    #[must_use]
    pub fn problem(&self, pointer: &str, message: &str) -> Problem {
        let found = self.find(pointer);
        Problem::at(&found.node.place, &found.key, message)
    }

    /// The part at `pointer` as a document of its own; its problems still name the full key.
    #[must_use]
    pub fn child(&self, pointer: &str) -> Option<Self> {
        let Found { node, key, exact } = self.find(pointer);
        exact.then(|| Self {
            root: node.clone(),
            key,
        })
    }

    /// The parts of the mapping at `pointer`, in order and by key; none if it is no mapping.
    #[must_use]
    pub fn entries(&self, pointer: &str) -> Vec<(String, Self)> {
        let Found { node, key, exact } = self.find(pointer);
        match &node.content {
            Content::Map(entries) if exact => entries
                .iter()
                .map(|(name, node)| {
                    let (root, mut key) = (node.clone(), key.clone());
                    push_key(&mut key, name);
                    (name.clone(), Self { root, key })
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// How many items or entries the list or mapping at `pointer` has; of anything else, none.
    ///
    /// A long list is best read item by item: each problem costs a reading of the whole that was
    /// asked for.
    #[must_use]
    pub fn count(&self, pointer: &str) -> usize {
        let found = self.find(pointer);
        match &found.node.content {
            Content::List(items) if found.exact => items.len(),
            Content::Map(entries) if found.exact => entries.len(),
            _ => 0,
        }
    }

    /// Takes the value under a key out of the mapping at `pointer`, so that a type that refuses
    /// unknown keys can read the rest.
    pub fn take(&mut self, pointer: &str, name: &str) -> Option<Self> {
        let mut key = self.find(pointer).key;
        let mut node = &mut self.root;
        for segment in segments(pointer) {
            node = node.child_mut(&segment)?;
        }
        let Content::Map(entries) = &mut node.content else {
            return None;
        };
        let position = entries.iter().position(|(entry, _)| entry == name)?;
        let (_, root) = entries.remove(position);
        push_key(&mut key, name);
        Some(Self { root, key })
    }

    fn find(&self, pointer: &str) -> Found<'_> {
        let mut found = Found {
            node: &self.root,
            key: self.key.clone(),
            exact: true,
        };
        for segment in segments(pointer) {
            let child = if found.exact {
                found.node.child(&segment)
            } else {
                None
            };
            match (&found.node.content, child) {
                (Content::List(_), Some((position, _))) => push_item(&mut found.key, position),
                _ => push_key(&mut found.key, &segment),
            }
            match child {
                Some((_, node)) => found.node = node,
                None => found.exact = false,
            }
        }
        found
    }
}

/// The node at a pointer, or the nearest above it, with the key path of the pointer.
struct Found<'a> {
    node: &'a Node,
    key: String,
    exact: bool,
}

fn segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer
        .split('/')
        .skip(1)
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

fn overlay(base: &mut Node, over: Node) {
    base.place = over.place;
    match (&mut base.content, over.content) {
        (Content::Map(entries), Content::Map(over)) => {
            for (key, node) in over {
                match entries.iter_mut().find(|(entry, _)| *entry == key) {
                    Some((_, base)) => overlay(base, node),
                    None => entries.push((key, node)),
                }
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Document, Problem};

    fn document(text: &str) -> Document {
        Document::parse("config.yaml", text).expect("the text is right")
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        let with = |line, key: &str| Problem {
            source: "config.yaml".to_owned(),
            line,
            key: key.to_owned(),
            message: "wrong".to_owned(),
        };
        let cases = [
            (with(Some(12), "a[0].b"), "config.yaml:12: a[0].b: wrong"),
            (with(Some(12), ""), "config.yaml:12: wrong"),
            (with(None, ""), "config.yaml: wrong"),
        ];
        for (problem, want) in cases {
            assert_eq!(problem.to_string(), want);
        }
    }

    #[test]
    fn mappings_merge_and_everything_else_is_replaced() {
        let cases = [
            ("keys add up", "{a: 1}", "{b: 2}", json!({"a": 1, "b": 2})),
            ("over wins", "{a: 1}", "{a: 2}", json!({"a": 2})),
            (
                "deeply",
                "{m: {a: 1, b: 2}}",
                "{m: {b: 3}}",
                json!({"m": {"a": 1, "b": 3}}),
            ),
            (
                "lists are replaced",
                "{l: [1, 2]}",
                "{l: [3]}",
                json!({"l": [3]}),
            ),
            (
                "null stays null",
                "{m: {a: 1}}",
                "{m: null}",
                json!({"m": null}),
            ),
            (
                "a mapping replaces null",
                "{m: null}",
                "{m: {a: 1}}",
                json!({"m": {"a": 1}}),
            ),
            ("nothing changes nothing", "{a: 1}", "", json!({"a": 1})),
        ];
        for (name, base, over, want) in cases {
            let merged = Document::merge(document(base), document(over));
            assert_eq!(merged.value(""), Some(want), "{name}");
        }
    }

    #[test]
    fn merging_keeps_the_place_of_the_winner() {
        let base = Document::parse("preset", "a: 1\nm:\n  kept: 1\n  changed: 1\n")
            .expect("the text is right");
        let over = document("\n\n\n\nplatforms:\n  - m:\n      changed: x\n");
        let over = over.child("/platforms/0").expect("it is there");
        let merged = Document::merge(base, over);

        let mut problems = Vec::new();
        assert_eq!(
            merged.read::<BTreeMap<String, bool>>("/m", &mut problems),
            None
        );
        let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            lines,
            [
                "config.yaml:7: platforms[0].m.changed: expected true or false, found a string",
                "preset:3: platforms[0].m.kept: expected true or false, found a number",
            ]
        );
        assert_eq!(merged.place("/m").map(|place| place.line), Some(6));
        assert_eq!(
            merged.place("/a").map(|place| &*place.source),
            Some("preset")
        );
    }

    #[test]
    fn a_problem_stands_at_its_key_or_the_nearest_above() {
        let text = "platforms:\n  - name: x\n    hosts:\n      - a\n      - b\n    a/b: {}\n";
        let cases = [
            ("", "config.yaml:1: wrong"),
            (
                "/platforms/0/name",
                "config.yaml:2: platforms[0].name: wrong",
            ),
            (
                "/platforms/0/hosts/1",
                "config.yaml:5: platforms[0].hosts[1]: wrong",
            ),
            (
                "/platforms/0/a~1b",
                "config.yaml:6: platforms[0].a/b: wrong",
            ),
            (
                "/platforms/0/absent/too",
                "config.yaml:2: platforms[0].absent.too: wrong",
            ),
            ("/platforms/7", "config.yaml:1: platforms.7: wrong"),
        ];
        for (pointer, want) in cases {
            assert_eq!(document(text).problem(pointer, "wrong").to_string(), want);
        }
    }

    #[test]
    fn a_part_still_names_the_full_key() {
        let text = "schemes:\n  first:\n    kind: jwt\n    size: x\n  se.cond: {kind: basic}\n";
        let mut entries = document(text).entries("/schemes");
        let names: Vec<_> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["first", "se.cond"]);

        let (_, first) = &mut entries[0];
        let kind = first.take("", "kind").expect("it is there");
        assert_eq!(kind.value(""), Some(json!("jwt")));
        assert_eq!(kind.problem("", "wrong").key, "schemes.first.kind");
        assert_eq!(first.value(""), Some(json!({"size": "x"})));
        assert_eq!(first.problem("/size", "wrong").key, "schemes.first.size");
        let (_, second) = &entries[1];
        assert_eq!(
            second.problem("/kind", "wrong").key,
            "schemes[\"se.cond\"].kind"
        );
    }

    #[test]
    fn only_lists_and_mappings_have_something_to_count() {
        let document = document("l: [1, 2]\nm: {a: 1}\ns: xyz\n");
        let cases = [("", 3), ("/l", 2), ("/m", 1), ("/s", 0), ("/l/x", 0)];
        for (pointer, want) in cases {
            assert_eq!(document.count(pointer), want, "{pointer}");
        }
    }

    #[test]
    fn debug_output_holds_no_value() {
        let shown = format!("{:?}", document("password: hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
