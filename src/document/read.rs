//! One reading of a type, repeated past each problem until all are known.
//!
//! serde stops at the first error. So the node that was wrong is marked as removed, and the type is
//! read again from the rest. A key that is required, and missing because it was removed or never
//! there, is answered by a stand-in from then on, so that what else its mapping lacks is found too.
//! A complaint about a mapping or list in which something was removed is not believed.
//!
//! Where serde buffers a value before it looks at it (`flatten`, `untagged`, `tag`), the place of
//! an error inside is lost, and the problem is reported at the whole value.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problem;
use super::deserialize::{Marks, Reader, State};
use super::error::{Cause, Error, masked};
use super::node::{Content, Node, push_item, push_key};

/// Nobody reads more problems than this at once, and each costs a reading of the whole.
const MAX_READINGS: usize = 1000;

/// Reads a `T`, and adds every problem that it has with the node at key path `key`. With problems
/// it still gives what is left without the nodes that were wrong, where nothing had to stand in.
pub(super) fn read<T: DeserializeOwned>(
    node: &Node,
    key: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut marks = Marks::default();
    let mut found = Vec::new();
    let mut readings = 0;
    let (complete, rest) = loop {
        if marks.state == State::Removed {
            break (true, None);
        }
        if readings == MAX_READINGS {
            break (false, None);
        }
        readings += 1;
        let reader = Reader {
            node,
            marks: Some(&marks),
        };
        match T::deserialize(reader) {
            Ok(value) if found.is_empty() => return Some(value),
            Ok(value) => break (true, Some(value).filter(|_| !stands_in(&marks))),
            Err(error) => found.extend(note(node, key.to_owned(), &mut marks, &error)),
        }
    };
    found.sort_by(|a, b| (&a.source, a.line).cmp(&(&b.source, b.line)));
    problems.append(&mut found);
    if !complete {
        let message = "there are more problems here, not searched for";
        problems.push(Problem::at(&node.place, key, message));
    }
    rest
}

/// Tells whether a value that nobody wrote stands anywhere.
fn stands_in(marks: &Marks) -> bool {
    marks.state == State::StoodIn
        || !marks.missing.is_empty()
        || marks.children.values().any(stands_in)
}

/// Marks the tree so that the next reading passes over the error, and says what is to be reported.
fn note(mut node: &Node, mut key: String, mut marks: &mut Marks, error: &Error) -> Option<Problem> {
    for position in error.path.iter().rev() {
        let state = marks.children.get(position).map(|child| child.state);
        let child = node.at(*position);
        let (Some((name, child)), false) = (child, state == Some(State::StoodIn)) else {
            // A type that takes no stand-in: the mapping as a whole is given up, silently.
            marks.state = State::Removed;
            return None;
        };
        match name {
            Some(name) => push_key(&mut key, name),
            None => push_item(&mut key, *position),
        }
        marks = marks.children.entry(*position).or_default();
        node = child;
    }
    match &error.cause {
        Cause::Missing(name) => note_missing(node, key, marks, name, error),
        Cause::UnknownKey { key: name, .. } if let Some((position, child)) = node.child(name) => {
            marks.children.entry(position).or_default().state = State::Removed;
            push_key(&mut key, name);
            Some(Problem::at(&child.place, &key, &error.to_string()))
        }
        Cause::Custom(_) | Cause::Mismatch(_) | Cause::UnknownKey { .. } => {
            note_mismatch(node, &key, marks, error)
        }
    }
}

fn note_missing(
    node: &Node,
    mut key: String,
    marks: &mut Marks,
    name: &'static str,
    error: &Error,
) -> Option<Problem> {
    if let Some((position, _)) = node.child(name)
        && let Some(child) = marks.children.get_mut(&position)
        && child.state == State::Removed
    {
        child.state = State::StoodIn;
        return None;
    }
    if marks.missing.contains(&name) {
        marks.state = State::Removed;
        return None;
    }
    marks.missing.push(name);
    push_key(&mut key, name);
    Some(Problem::at(&node.place, &key, &error.to_string()))
}

fn note_mismatch(node: &Node, key: &str, marks: &mut Marks, error: &Error) -> Option<Problem> {
    let Content::Scalar(scalar) = &node.content else {
        let believed = !marks.distort();
        marks.state = State::Removed;
        return believed.then(|| Problem::at(&node.place, key, &error.to_string()));
    };
    let custom = matches!(error.cause, Cause::Custom(_));
    if custom && marks.state == State::Untouched && scalar.other.is_some() {
        marks.state = State::OtherReading;
        return None;
    }
    marks.state = State::Removed;
    let mut message = error.to_string();
    if custom {
        let readings = [Some(&scalar.value), scalar.other.as_ref()];
        for reading in readings.into_iter().flatten() {
            message = match reading {
                Value::Number(number) => masked(&message, &number.to_string()),
                Value::String(text) => masked(&message, text),
                _ => message,
            };
        }
    }
    Some(Problem::at(&node.place, key, &message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use proptest::prelude::{Just, Strategy, any, prop, proptest};
    use proptest::prop_oneof;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use crate::document::Document;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        name: String,
        port: u16,
        on_fault: Option<OnFault>,
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        schemes: BTreeMap<String, Scheme>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum OnFault {
        Deny,
        GrpcError,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        paths: Vec<String>,
        allow: Allow,
        cost: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Allow {
        Public,
        Scopes(Vec<String>),
        Role { name: String, level: u8 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    enum Scheme {
        Basic { realm: String },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(try_from = "String")]
    struct Even(u64);

    impl TryFrom<String> for Even {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            match text.parse() {
                Ok(number) if number % 2 == 0 => Ok(Self(number)),
                _ => Err(format!("{text:?} or {text} is not even")),
            }
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Secret {
        Inline(String),
        File { file: String },
    }

    fn read<T: DeserializeOwned + Debug>(text: &str) -> Result<T, Vec<String>> {
        let document = Document::parse("f.yaml", text).expect("the text is right");
        let mut problems = Vec::new();
        match document.read("", &mut problems) {
            Some(value) => {
                assert_eq!(problems, [], "{text}");
                Ok(value)
            }
            None => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn every_problem_is_reported_in_one_pass() {
        let text = "\
nam: hunter2
port: 70000
on_fault: hunter2
rules:
  - paths: hunter2
    allow: public
    cost: 1
  - paths: [a, [b], c, {}]
    allow: { scopes: 5 }
    extra: 1
  - 17
  - paths: []
    allow: { role: { name: x, level: high, more: 1 } }
    cost: -1
  - allow: { hunter2: 1 }
schemes:
  first: { kind: basic, realm: [] }
  second: { kind: hunter2 }
  third: { kind: basic, realm: x, extra: 1 }
  fourth: { kind: basic, realm: x }
";
        let want = [
            "f.yaml:1: name: required, but missing",
            "f.yaml:1: nam: unknown key, expected one of `name`, `port`, `on_fault`, `rules`, `schemes`",
            "f.yaml:2: port: expected u16",
            "f.yaml:3: on_fault: expected one of `deny`, `grpc_error`",
            "f.yaml:5: rules[0].paths: expected a list, found a string",
            "f.yaml:8: rules[1].cost: required, but missing",
            "f.yaml:8: rules[1].paths[1]: expected a string, found a list",
            "f.yaml:8: rules[1].paths[3]: expected a string, found a mapping",
            "f.yaml:9: rules[1].allow.scopes: expected a list, found a number",
            "f.yaml:10: rules[1].extra: unknown key, expected one of `paths`, `allow`, `cost`",
            "f.yaml:11: rules[2]: expected a mapping, found a number",
            "f.yaml:13: rules[3].allow.role.level: expected u8, found a string",
            "f.yaml:14: rules[3].cost: expected u8",
            "f.yaml:15: rules[4].paths: required, but missing",
            "f.yaml:15: rules[4].cost: required, but missing",
            "f.yaml:15: rules[4].allow: expected one of `public`, `scopes`, `role`",
            "f.yaml:17: schemes.first: expected a string, found a list",
            "f.yaml:18: schemes.second.kind: expected `basic`",
            "f.yaml:19: schemes.third.extra: unknown key, expected `realm`",
        ];
        let mut found = read::<Config>(text).expect_err("there are problems");
        let mut want = want.map(str::to_owned);
        found.sort();
        want.sort();
        assert_eq!(found, want);
    }

    #[test]
    fn a_key_that_is_wrong_is_not_missing_too() {
        assert_eq!(
            read::<Config>("name: [x]\nport: x\n"),
            Err(vec![
                "f.yaml:1: name: expected a string, found a list".to_owned(),
                "f.yaml:2: port: expected u16, found a string".to_owned(),
            ])
        );
    }

    #[test]
    fn a_missing_key_is_reported_at_its_mapping() {
        #[derive(Debug, Deserialize)]
        struct Outer {
            #[expect(dead_code, reason = "only read")]
            inner: Rule,
        }
        let found = read::<Outer>("# comment\ninner:\n  cost: 1\n").expect_err("keys are missing");
        assert_eq!(
            found,
            [
                "f.yaml:2: inner.paths: required, but missing",
                "f.yaml:2: inner.allow: required, but missing",
            ]
        );
    }

    #[test]
    fn what_is_right_is_read() {
        let text = "name: x\nport: 1\non_fault: deny\nrules:\n  - {paths: [a], allow: {role: {name: 7, level: 1}}, cost: 1}\nschemes: {a: {kind: basic, realm: r}}\n";
        let rule = Rule {
            paths: vec!["a".to_owned()],
            allow: Allow::Role {
                name: "7".to_owned(),
                level: 1,
            },
            cost: 1,
        };
        let realm = "r".to_owned();
        let want = Config {
            name: "x".to_owned(),
            port: 1,
            on_fault: Some(OnFault::Deny),
            rules: vec![rule],
            schemes: BTreeMap::from([("a".to_owned(), Scheme::Basic { realm })]),
        };
        assert_eq!(read(text), Ok(want));
    }

    #[test]
    fn a_scalar_read_as_text_is_exactly_what_was_written() {
        let digits = "1234567890".repeat(6) + "1234";
        let texts = [
            "1234567890",
            "0123",
            "1e5",
            "1.50",
            "+1",
            "-0",
            "0x10",
            "0o17",
            "1_000",
            "true",
            "TRUE",
            "off",
            "1e999",
            ".NaN",
            "12345e678",
            "18446744073709551616",
            &digits,
        ];
        for text in texts {
            let want = Ok(text.to_owned());
            assert_eq!(
                read::<Vec<String>>(&format!("[{text}]")),
                want.clone().map(|it| vec![it])
            );
            assert_eq!(read::<String>(&format!("{text}   # comment")), want);
            assert_eq!(read::<Secret>(text), want.map(Secret::Inline), "untagged");
        }
        let null = Err(vec![
            "f.yaml:1: a: expected a string, found null".to_owned(),
        ]);
        assert_eq!(read::<BTreeMap<String, String>>("a: ~"), null);
        assert_eq!(
            read("a: ~"),
            Ok(BTreeMap::from([("a".to_owned(), None::<String>)]))
        );
    }

    #[test]
    fn a_number_where_none_is_wanted_stays_one() {
        let cases = [
            ("a: 1", json!({"a": 1})),
            ("a: 1.0", json!({"a": 1.0})),
            ("a: [x, true, ~]", json!({"a": ["x", true, null]})),
        ];
        for (text, want) in cases {
            assert_eq!(read::<Value>(text), Ok(want));
        }
    }

    #[test]
    fn no_message_shows_a_value() {
        fn check<T: DeserializeOwned + Debug>(secret: &str) {
            for text in [
                secret.to_owned(),
                format!("'{secret}'"),
                format!("[{secret}]"),
            ] {
                let problems = read::<T>(&text).expect_err("the value is wrong").concat();
                assert!(!problems.contains(secret), "{problems}");
            }
        }
        for secret in [
            "zq",
            "977",
            "hunter2",
            "1234567891",
            "12345.75",
            "zq$\u{e9}x",
        ] {
            check::<Option<bool>>(secret);
            check::<u8>(secret);
            check::<OnFault>(secret);
            check::<Rule>(secret);
            check::<(bool, bool)>(secret);
            check::<BTreeMap<String, u8>>(secret);
            check::<Even>(secret);
            check::<Vec<Even>>(secret);
        }
        assert_eq!(
            read::<Even>("hunter2"),
            Err(vec!["f.yaml:1: (..) or (..) is not even".to_owned()])
        );
        assert_eq!(read::<Even>("12"), Ok(Even(12)));
    }

    #[test]
    fn an_absent_pointer_is_a_problem() {
        let document = Document::parse("f.yaml", "a: {}").expect("the text is right");
        let mut problems = Vec::new();
        assert_eq!(document.read::<u8>("/a/b", &mut problems), None);
        assert_eq!(
            problems[0].to_string(),
            "f.yaml:1: a.b: required, but missing"
        );
    }

    #[test]
    fn a_wrong_mapping_does_not_hide_its_neighbours() {
        #[derive(Debug, Deserialize)]
        #[serde(try_from = "BTreeMap<String, u8>")]
        struct Pair;

        impl TryFrom<BTreeMap<String, u8>> for Pair {
            type Error = &'static str;

            fn try_from(map: BTreeMap<String, u8>) -> Result<Self, Self::Error> {
                (map.len() == 2).then_some(Self).ok_or("expected a pair")
            }
        }

        let text = "- {a: 1}\n- {a: x, b: 1}\n- {a: 1, b: 2}\n- {}\n";
        let want = [
            "f.yaml:1: [0]: expected a pair",
            "f.yaml:2: [1].a: expected u8, found a string",
            "f.yaml:4: [3]: expected a pair",
        ];
        assert_eq!(read::<Vec<Pair>>(text).expect_err("two are wrong"), want);
    }

    #[test]
    fn types_that_take_no_stand_in_end_the_search_in_their_mapping() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only read")]
        enum Endless {
            Again(Box<Self>),
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Holder {
            endless: Endless,
            even: Even,
        }
        assert_eq!(
            read::<Vec<Holder>>("- {}\n- 5\n- {even: 1}\n").expect_err("keys are missing"),
            [
                "f.yaml:1: [0].endless: required, but missing",
                "f.yaml:2: [1]: expected a mapping, found a number",
                "f.yaml:3: [2].even: (..) or (..) is not even",
                "f.yaml:3: [2].endless: required, but missing",
            ]
        );
    }

    fn near_config() -> impl Strategy<Value = Value> {
        let text = prop::sample::select(vec!["deny", "public", "basic", "role", "x", "12"]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..300u16).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        let key = prop::sample::select(vec![
            "name", "port", "on_fault", "rules", "schemes", "paths", "allow", "cost", "kind",
            "realm", "role", "scopes", "level", "x",
        ]);
        leaf.prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..7).prop_map(|entries| entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_comes_without_problems_and_none_comes_with_them(tree in near_config()) {
            let text = json!({ "top": tree }).to_string();
            let found = read::<BTreeMap<String, Config>>(&text);
            assert_ne!(found, Err(Vec::new()));
            if let Err(mut found) = found {
                found.sort();
                let all = found.len();
                found.dedup();
                assert_eq!(found.len(), all, "a problem is reported once");
            }
        }
    }

    #[test]
    fn the_search_for_problems_is_bounded() {
        let found = read::<Vec<bool>>(&"- x\n".repeat(3000)).expect_err("all are wrong");
        assert_eq!(found.len(), super::MAX_READINGS + 1);
        assert_eq!(
            found.last().map(String::as_str),
            Some("f.yaml:1: there are more problems here, not searched for")
        );
    }
}
