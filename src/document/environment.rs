//! `${NAME}` in a text: replaced after parsing, so that no value can change the YAML around it.

use serde_json::Value;

use super::Problem;
use super::node::{Content, Node, Scalar, push_item, push_key};

/// Replaces every reference below `node`; what cannot be replaced stays and is a problem.
pub(super) fn expand(
    node: &mut Node,
    key: &mut String,
    lookup: &impl Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) {
    let parent = key.len();
    match &mut node.content {
        Content::List(items) => {
            for (position, item) in items.iter_mut().enumerate() {
                push_item(key, position);
                expand(item, key, lookup, problems);
                key.truncate(parent);
            }
        }
        Content::Map(entries) => {
            for (name, child) in entries {
                push_key(key, name);
                expand(child, key, lookup, problems);
                key.truncate(parent);
            }
        }
        Content::Scalar(scalar) => {
            if let Value::String(text) = &scalar.value
                && text.contains("${")
            {
                match expanded(text, lookup) {
                    Ok(text) => *scalar = reread(text),
                    Err(messages) => problems.extend(
                        messages
                            .iter()
                            .map(|message| Problem::at(&node.place, key, message)),
                    ),
                }
            }
        }
    }
}

/// A text, and the number or boolean that it may stand for.
fn reread(text: String) -> Scalar {
    let other = serde_json::from_str::<Value>(&text)
        .ok()
        .filter(|value| value.is_number() || value.is_boolean());
    Scalar {
        value: Value::String(text),
        other,
    }
}

/// The text with its references replaced. The messages never show the text: it may be a secret.
fn expanded(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Vec<String>> {
    let mut result = String::with_capacity(text.len());
    let mut messages = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            result.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            match after.split_once('}') {
                Some((name, after)) if is_name(name) => {
                    match lookup(name) {
                        Some(value) => result.push_str(&value),
                        None => messages.push(format!("environment variable `{name}` is not set")),
                    }
                    rest = after;
                }
                _ => {
                    messages.push("`${` without `NAME}`; write `$${` for a plain `${`".to_owned());
                    rest = after;
                }
            }
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result.push_str(rest);
    if messages.is_empty() {
        Ok(result)
    } else {
        Err(messages)
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use crate::document::Document;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "PORT" => "9001",
            "ON" => "true",
            "NESTED" => "${PORT}",
            "YAML" => "x: [1, 2]\n- y",
            "EMPTY" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn references_are_replaced_in_texts() {
        let cases = [
            ("${PORT}", "9001"),
            ("a${PORT}b${ON}c", "a9001btruec"),
            ("'${PORT}'", "9001"),
            ("$${PORT}", "${PORT}"),
            ("$$${PORT}", "$${PORT}"),
            ("$PORT $ 5$", "$PORT $ 5$"),
            ("${NESTED}", "${PORT}"),
            ("${YAML}", "x: [1, 2]\n- y"),
            ("a${EMPTY}", "a"),
        ];
        for (text, want) in cases {
            let mut document =
                Document::parse("f.yaml", &format!("a: {text}")).expect("the text is right");
            assert_eq!(document.expand_env(lookup), [], "{text}");
            let mut problems = Vec::new();
            let read = document.read::<String>("/a", &mut problems);
            assert_eq!(read.as_deref(), Some(want), "{text}: {problems:?}");
        }
    }

    #[test]
    fn an_expanded_text_is_a_number_or_boolean_where_one_is_wanted() {
        let mut document = Document::parse("f.yaml", "port: ${PORT}\non: \"${ON}\"\nbad: ${ON}")
            .expect("the text is right");
        assert_eq!(document.expand_env(lookup), []);
        let mut problems = Vec::new();
        assert_eq!(document.read::<u16>("/port", &mut problems), Some(9001));
        assert_eq!(
            document.read::<Option<f64>>("/port", &mut problems),
            Some(Some(9001.0))
        );
        assert_eq!(document.read::<bool>("/on", &mut problems), Some(true));
        assert_eq!(problems, []);
        assert_eq!(document.read::<u16>("/bad", &mut problems), None);
        assert_eq!(
            problems[0].to_string(),
            "f.yaml:3: bad: expected u16, found a string"
        );
    }

    #[test]
    fn every_unset_name_is_reported_and_no_value_shown() {
        let text = "a: hunter2${NO}${NEITHER}\nl:\n  - x\n  - hunter2${\nb: ${1X}\nc: ${PORT}\n";
        let mut document = Document::parse("f.yaml", text).expect("the text is right");
        let problems = document.expand_env(lookup);
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "f.yaml:1: a: environment variable `NO` is not set",
                "f.yaml:1: a: environment variable `NEITHER` is not set",
                "f.yaml:4: l[1]: `${` without `NAME}`; write `$${` for a plain `${`",
                "f.yaml:5: b: `${` without `NAME}`; write `$${` for a plain `${`",
            ]
        );
    }
}
