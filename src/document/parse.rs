//! YAML text to a tree with places, with every bound that a file must keep.
//!
//! The YAML crate resolves anchors, aliases and merge keys and keeps their budgets. Duplicate keys
//! are found here, because the crate stops at the first one. Syntax errors end the parse: what
//! follows one cannot be trusted to mean what it seems to.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{
    DuplicateKeyPolicy, Location, MessageFormatter, NonFiniteFloatPolicy, Options, Spanned,
    UserMessageFormatter,
};

use super::Problem;
use super::node::{Content, Node, Place, Scalar, push_item, push_key};

/// A larger text is refused unread.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Every later step recurses over the tree, so this also bounds the stack.
const MAX_DEPTH: usize = 32;
/// A directory of 64 MiB has about a node for every sixteen bytes.
const MAX_NODES: usize = 4_000_000;
/// Anchors serve configurations, which are small.
const MAX_ALIASED: usize = 100_000;

/// Reads one YAML document. An empty one is an empty mapping.
pub(super) fn parse(source: &str, text: &str) -> Result<Node, Vec<Problem>> {
    let problem = |line, message: String| Problem {
        source: source.to_owned(),
        line,
        key: String::new(),
        message,
    };
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {MAX_BYTES} bytes");
        return Err(vec![problem(None, message)]);
    }
    let raw =
        serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()).map_err(|e| {
            let line = e.location().and_then(|at| u32::try_from(at.line()).ok());
            vec![problem(line.filter(|line| *line > 0), syntax_message(&e))]
        })?;
    let mut builder = Builder {
        source: Arc::from(source),
        text,
        key: String::new(),
        problems: Vec::new(),
    };
    let Marked { mark, raw } = Marked::from(raw);
    let place = builder.place(mark);
    let root = match raw {
        Raw::Null => Node {
            place,
            content: Content::Map(Vec::new()),
        },
        raw => builder.node(place, mark, raw),
    };
    if builder.problems.is_empty() {
        Ok(root)
    } else {
        Err(builder.problems)
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_recorded_anchor_events: MAX_ALIASED,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        leading_zero_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

fn syntax_message(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::AliasError { error, .. } => syntax_message(error),
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => format!(
            "more than {MAX_DEPTH} levels, {MAX_NODES} values, or {MAX_ALIASED} repeated by aliases"
        ),
        // The tag may be a password that begins with `!`.
        serde_saphyr::Error::UnsupportedTag { .. } => {
            "tags are not supported; a text that begins with `!` needs quotes".to_owned()
        }
        error => UserMessageFormatter.format_message(error).into_owned(),
    }
}

/// A node as the YAML crate gives it.
enum Raw {
    Bool(bool),
    Float(f64),
    Integer(Number),
    List(Vec<Marked>),
    Map(Vec<(Marked, Marked)>),
    Null,
    Text(String),
}

/// Where a node is defined: for an alias, where its anchor stands. Small, as there may be millions.
#[derive(Clone, Copy)]
struct Mark {
    line: u32,
    column: u32,
    bytes: Option<(u32, u32)>,
}

struct Marked {
    mark: Mark,
    raw: Raw,
}

impl From<Spanned<Raw>> for Marked {
    fn from(spanned: Spanned<Raw>) -> Self {
        Self {
            mark: Mark::from(spanned.defined),
            raw: spanned.value,
        }
    }
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let span = location.span();
        Self {
            line: narrow(location.line()).max(1),
            column: narrow(location.column()).max(1),
            bytes: span
                .byte_offset()
                .zip(span.byte_len())
                .map(|(offset, length)| (narrow(offset), narrow(length))),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number, boolean, null, list or mapping")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Raw>>()? {
            items.push(item.into());
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<Raw>, Spanned<Raw>>()? {
            entries.push((key.into(), value.into()));
        }
        Ok(Raw::Map(entries))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Raw, E> {
        Err(E::custom("binary values are not supported"))
    }
}

/// Gives the nodes their places and scalars their second reading, and notes bad keys on the way.
struct Builder<'a> {
    source: Arc<str>,
    text: &'a str,
    key: String,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn node(&mut self, place: Place, mark: Mark, raw: Raw) -> Node {
        let content = match raw {
            Raw::Bool(value) => self.scalar(mark, Value::Bool(value)),
            Raw::Float(value) => self.float(mark, value),
            Raw::Integer(value) => self.scalar(mark, Value::Number(value)),
            Raw::List(items) => self.list(items),
            Raw::Map(entries) => self.map(entries),
            Raw::Null => plain(Value::Null),
            Raw::Text(value) => plain(Value::String(value)),
        };
        Node { place, content }
    }

    fn list(&mut self, items: Vec<Marked>) -> Content {
        let parent = self.key.len();
        let nodes = items.into_iter().enumerate().map(|(position, item)| {
            push_item(&mut self.key, position);
            let node = self.node(self.place(item.mark), item.mark, item.raw);
            self.key.truncate(parent);
            node
        });
        Content::List(nodes.collect())
    }

    fn map(&mut self, entries: Vec<(Marked, Marked)>) -> Content {
        let parent = self.key.len();
        let mut seen = HashSet::with_capacity(entries.len());
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let place = self.place(key.mark);
            let Raw::Text(name) = key.raw else {
                self.problem(&place, "a key must be a text; write it in quotes");
                continue;
            };
            push_key(&mut self.key, &name);
            if !seen.insert(name.clone()) {
                self.problem(&place, "this key stands twice in its mapping");
            }
            let node = self.node(place, value.mark, value.raw);
            self.key.truncate(parent);
            nodes.push((name, node));
        }
        Content::Map(nodes)
    }

    fn scalar(&self, mark: Mark, value: Value) -> Content {
        let other = self.written(mark).map(Value::String);
        Content::Scalar(Scalar { value, other })
    }

    /// What a float cannot hold exactly stays a text first: `1e999`, or an identifier of 30 digits.
    fn float(&self, mark: Mark, value: f64) -> Content {
        let number = Number::from_f64(value).map(Value::Number);
        let Some(text) = self.written(mark) else {
            return plain(number.unwrap_or_default());
        };
        let whole = text
            .trim_start_matches(['+', '-'])
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        match number {
            Some(number) if !whole => Content::Scalar(Scalar {
                value: number,
                other: Some(Value::String(text)),
            }),
            other => Content::Scalar(Scalar {
                value: Value::String(text),
                other,
            }),
        }
    }

    fn written(&self, mark: Mark) -> Option<String> {
        let (offset, length) = mark.bytes?;
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        self.text.get(start..end).map(|text| text.trim().to_owned())
    }

    fn place(&self, mark: Mark) -> Place {
        Place {
            source: Arc::clone(&self.source),
            line: mark.line,
            column: mark.column,
        }
    }

    fn problem(&mut self, place: &Place, message: &str) {
        self.problems.push(Problem::at(place, &self.key, message));
    }
}

fn plain(value: Value) -> Content {
    Content::Scalar(Scalar { value, other: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use proptest::prop_oneof;
    use proptest::strategy::Strategy;
    use serde_json::{Value, json};

    use super::{MAX_BYTES, MAX_DEPTH};
    use crate::document::Document;

    fn problems(text: &str) -> Vec<String> {
        match Document::parse("f.yaml", text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn scalars_are_what_yaml_1_2_makes_of_them() {
        let cases = [
            ("a: off", json!("off")),
            ("a: on", json!("on")),
            ("a: yes", json!("yes")),
            ("a: no", json!("no")),
            ("a: n", json!("n")),
            ("a: true", json!(true)),
            ("a: False", json!(false)),
            ("a: 7", json!(7)),
            ("a: -7", json!(-7)),
            ("a: 0x10", json!(16)),
            ("a: 1.50", json!(1.5)),
            ("a: 1e5", json!(100_000.0)),
            ("a: 0123", json!("0123")),
            ("a: 1_000", json!("1_000")),
            ("a: 18446744073709551616", json!("18446744073709551616")),
            ("a: 1e999", json!("1e999")),
            ("a: .INF", json!(".INF")),
            ("a: '7'", json!("7")),
            ("a: 2001-01-01", json!("2001-01-01")),
            ("a:", json!(null)),
            ("a: ~", json!(null)),
            ("a: |\n  x\n  y\n", json!("x\ny\n")),
        ];
        for (text, want) in cases {
            let document = Document::parse("f.yaml", text).expect("the text is right");
            assert_eq!(document.value("/a"), Some(want), "{text}");
        }
    }

    #[test]
    fn an_empty_document_is_an_empty_mapping() {
        for text in ["", "\n", "# nothing\n", "---\n", "\u{feff}", "~"] {
            let document = Document::parse("f.yaml", text).expect("the text is right");
            assert_eq!(document.value(""), Some(json!({})), "{text:?}");
        }
    }

    #[test]
    fn all_bad_keys_are_found_at_once() {
        let text = "a: 1\nb:\n  c: 1\n  c: 2\na: 3\nl:\n  - {d: 1, d: 2}\n7: x\n~: y\n[p]: z\n";
        assert_eq!(
            problems(text),
            [
                "f.yaml:4: b.c: this key stands twice in its mapping",
                "f.yaml:5: a: this key stands twice in its mapping",
                "f.yaml:7: l[0].d: this key stands twice in its mapping",
                "f.yaml:8: a key must be a text; write it in quotes",
                "f.yaml:9: a key must be a text; write it in quotes",
                "f.yaml:10: a key must be a text; write it in quotes",
            ]
        );
    }

    #[test]
    fn what_is_no_single_yaml_document_is_refused_at_its_line() {
        let cases = [
            ("two documents", "a: 1\n---\nb: 2\n", Some(3)),
            ("an open quote", "a: 1\nb: \"x\n", Some(2)),
            ("an open bracket", "a: [1,\n", Some(1)),
            ("a tab", "a:\n\t- b\n", Some(2)),
            ("an unknown anchor", "a: 1\nb: *hunter2\n", Some(2)),
            ("an unknown tag", "a: 1\nb: !hunter2\n", Some(2)),
            ("a recursive anchor", "a: &a\n  b: *a\n", Some(2)),
        ];
        for (name, text, line) in cases {
            let found = Document::parse("f.yaml", text).expect_err(name);
            assert_eq!(found.len(), 1, "{name}");
            assert!(!found[0].to_string().contains("hunter2"), "{}", found[0]);
            assert_eq!(found[0].line, line, "{name}: {}", found[0]);
        }
    }

    #[test]
    fn anchors_are_resolved_and_keep_their_own_place() {
        let text = "base: &base\n  a: 1\n  b: 2\nuse: *base\nmore:\n  <<: *base\n  b: 3\n";
        let document = Document::parse("f.yaml", text).expect("the text is right");
        assert_eq!(document.value("/use"), Some(json!({"a": 1, "b": 2})));
        assert_eq!(document.value("/more"), Some(json!({"b": 3, "a": 1})));
        let line = |pointer| document.place(pointer).map(|place| place.line);
        assert_eq!(line("/use"), Some(4));
        assert_eq!(line("/use/b"), Some(3));
        assert_eq!(line("/more/a"), Some(2));
        assert_eq!(line("/more/b"), Some(7));
        assert_eq!(
            document.read::<String>("/use/a", &mut Vec::new()),
            Some("1".to_owned())
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        let block: String = (0..2000).map(|depth| " ".repeat(depth) + "a:\n").collect();
        let cases = [
            ("flow lists", "[".repeat(100_000)),
            ("closed flow lists", "[".repeat(1000) + &"]".repeat(1000)),
            ("flow mappings", "{a: ".repeat(100_000)),
            ("block lists", "- ".repeat(100_000)),
            ("block mappings", block),
            ("complex keys", "? ".repeat(100_000)),
        ];
        for (name, text) in cases {
            assert_eq!(problems(&text).len(), 1, "{name}");
        }
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let deepest = open.repeat(MAX_DEPTH) + &close.repeat(MAX_DEPTH);
            assert_eq!(problems(&deepest), [""; 0]);
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut doubling = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let before = format!("*a{},", level - 1).repeat(10);
            doubling += &format!("a{level}: &a{level} [{before}]\n");
        }
        let large = format!("a: &a [{}]\n", "x,".repeat(100_000));
        let repeated = large + "l:\n" + &"- *a\n".repeat(2_000_000);
        for text in [doubling, repeated] {
            let found = problems(&text);
            assert!(found.concat().contains("repeated by aliases"), "{found:?}");
        }
    }

    #[test]
    fn a_text_above_the_limit_is_refused_unread() {
        let found = problems(&"#".repeat(MAX_BYTES + 1));
        assert_eq!(
            found,
            [format!("f.yaml: the file is larger than {MAX_BYTES} bytes")]
        );
    }

    fn yaml_like() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "a", "b: ", "- ", "[", "]", "{", "}", ", ", ": ", "? ", "&x ", "*x", "!t ", "<<: ",
                "\n", "\n  ", "'", "\"", "|\n", "---\n", "%Y", "#", "é", "\t", "1e9", "~", "\0",
            ])
            .prop_map(ToOwned::to_owned),
            any::<String>(),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in yaml_like()) {
            if let Ok(document) = Document::parse("f.yaml", &text) {
                let _ = document.read::<Value>("", &mut Vec::new());
            }
        }
    }
}
