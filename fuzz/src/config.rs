//! The document parser, and the configuration in one: each problem stands at a line that there is, and
//! what was resolved resolves to itself.

use std::path::Path;

use portcullis::config::Config;
use portcullis::document::{Document, Problem};
use serde_json::Value;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    document(text);
    // What the machine has there may never end.
    if ["/dev", "/proc", "/sys"].iter().any(|it| text.contains(it)) {
        return;
    }
    let variable = |name: &str| (name != "NONE").then(|| "of-the-environment".to_owned());
    let nowhere = Path::new("/nonexistent");
    match Config::parse("fuzz.yaml", text, nowhere, variable) {
        Ok(config) => again(&config.resolved),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused, and nothing is wrong");
            placed(text, &problems);
        }
    }
}

pub(crate) fn placed(text: &str, problems: &[Problem]) {
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    for problem in problems {
        let said = problem.to_string();
        assert!(!problem.message.is_empty(), "{said}");
        if let Some(line) = problem.line {
            let line = usize::try_from(line).expect("a line");
            assert!((1..=lines + 1).contains(&line), "{said}");
        }
    }
}

/// A document that is written as JSON, which is YAML, is the same document.
pub(crate) fn document(text: &str) {
    let document = match Document::parse("fuzz.yaml", text) {
        Ok(document) => document,
        Err(problems) => {
            assert!(!problems.is_empty());
            return placed(text, &problems);
        }
    };
    let value = document.value("").unwrap_or_default();
    let written = json(&value);
    let read = Document::parse("again.yaml", &written);
    let read = read.unwrap_or_else(|it| panic!("{it:?}: {written}"));
    assert_eq!(read.value("").unwrap_or_default(), value, "{written}");
    for (name, part) in document.entries("") {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        assert_eq!(part.value("").as_ref(), value.pointer(&pointer));
        assert!(document.count(&pointer) <= text.len());
    }
    let merged = Document::merge(document.clone(), document);
    assert_eq!(merged.value("").unwrap_or_default(), value);
}

/// In ASCII: YAML prints less than JSON does (YAML 1.2 §5.1).
fn json(value: &Value) -> String {
    let mut written = String::new();
    for char in value.to_string().chars() {
        match char {
            ' '..='~' => written.push(char),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    written
}

fn again(resolved: &Value) {
    let text = resolved.to_string();
    if text.contains("${") {
        return;
    }
    let read = Config::parse(
        "again.yaml",
        &json(resolved),
        Path::new("/nonexistent"),
        |_| None,
    );
    let read = read.unwrap_or_else(|it| panic!("{it:?}: {text}"));
    assert_eq!(&read.resolved, resolved);
}
