//! `deploy/CONFIGURATION.md` is what the JSON Schema says, as tables: every key with its type, default and meaning.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::portcullis;

/// Writes the file anew instead of comparing it.
const RENEW: &str = "PORTCULLIS_RENEW";

const HEAD: &str = "# Configuration

Every key of the configuration file, made from `portcullis config schema` by `tests/config/reference.rs`; do not edit this by
hand. After a change, `PORTCULLIS_RENEW=1 cargo test --test config reference` writes it anew.

The file is YAML. A key that is not here is an error. `${NAME}` in a text takes an environment variable, `$${` is `${`. Paths are
relative to the file. A key that ends in `_file` or `_files` names files, which are read again when they change. `[]` stands for each
entry of a list and `*` for a name that you choose. `portcullis config check FILE` tells every problem at once, and `portcullis
config show FILE` what a file comes to, presets and defaults in it. What a preset sets need not be written.
";

/// One line of a table.
struct Row {
    key: String,
    kind: String,
    default: String,
    meaning: String,
}

/// The schema, with what reads it.
struct Reference {
    root: Value,
}

impl Reference {
    /// Follows a reference; what stands beside it counts first.
    fn resolve(&self, node: &Value) -> Value {
        let Some(name) = node["$ref"].as_str() else {
            return node.clone();
        };
        let pointer = name.strip_prefix('#').expect("a reference within");
        let mut found = self.resolve(self.root.pointer(pointer).expect("a definition"));
        for beside in ["description", "default"] {
            if let Some(value) = node.get(beside) {
                found[beside] = value.clone();
            }
        }
        found
    }

    /// The alternatives of a node, null excepted; itself where it has none.
    fn alternatives(&self, node: &Value) -> Vec<Value> {
        let several = node["oneOf"].as_array().or(node["anyOf"].as_array());
        let Some(several) = several else {
            return vec![node.clone()];
        };
        let resolved = several.iter().map(|it| self.resolve(it));
        resolved
            .filter(|it| it["type"] != "null")
            .flat_map(|it| self.alternatives(&it))
            .collect()
    }

    /// What may be written there.
    fn kind(&self, node: &Value) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for it in self.alternatives(node) {
            let kind = self.kind_of_one(&it);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(" or ")
    }

    fn kind_of_one(&self, node: &Value) -> String {
        if let Some(word) = node["const"].as_str() {
            return format!("`{word}`");
        }
        if let Some(words) = node["enum"].as_array() {
            let words = words.iter().filter_map(Value::as_str);
            return words
                .map(|it| format!("`{it}`"))
                .collect::<Vec<_>>()
                .join(" or ");
        }
        let kind = match &node["type"] {
            Value::Array(several) => several.iter().find(|it| *it != "null"),
            one => Some(one),
        };
        match kind.and_then(Value::as_str) {
            Some("string") => "text".to_owned(),
            Some("integer") => "whole number".to_owned(),
            Some("number") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") => format!("list of: {}", self.kind(&self.resolve(&node["items"]))),
            Some("object") => "mapping".to_owned(),
            _ => "anything".to_owned(),
        }
    }

    /// What it means, and what each word means that may be written there.
    fn meaning(&self, node: &Value) -> String {
        let mut meaning = line(&node["description"]);
        for it in self.alternatives(node) {
            let word = it["const"].as_str();
            let words = line(&it["description"]);
            if let (Some(word), false) = (word, words.is_empty()) {
                write!(meaning, " `{word}`: {words}").expect("memory");
            }
        }
        meaning.trim().to_owned()
    }

    /// Adds a row for each key of a mapping, and those of mappings below it.
    fn rows(&self, path: &str, mapping: &Value, rows: &mut Vec<Row>) {
        let none = serde_json::Map::new();
        let required = mapping["required"].as_array();
        let properties = mapping["properties"].as_object().unwrap_or(&none);
        for (name, property) in properties {
            let node = self.resolve(property);
            let is_required = required.is_some_and(|it| it.contains(&Value::from(name.as_str())));
            let default = match node.get("default") {
                _ if is_required => "required".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(value) => format!("`{value}`"),
            };
            let mut meaning = self.meaning(&node);
            // An alternative of one key is described as a whole.
            if meaning.is_empty() && properties.len() == 1 {
                meaning = line(&mapping["description"]);
            }
            let key = format!("{path}{name}");
            rows.push(Row {
                key: key.clone(),
                kind: self.kind(&node),
                default,
                meaning,
            });
            if key != "platforms[].schemes" {
                self.below(&key, &node, rows);
            }
        }
    }

    /// Adds the rows of the mappings that may be written there.
    fn below(&self, path: &str, node: &Value, rows: &mut Vec<Row>) {
        let alternatives = self.alternatives(node);
        let mappings = alternatives
            .iter()
            .filter(|it| it["properties"].is_object());
        let is_one_of_several = mappings.count() > 1;
        for it in alternatives {
            let before = rows.len();
            if it["properties"].is_object() {
                self.rows(&format!("{path}."), &it, rows);
                if is_one_of_several {
                    for row in &mut rows[before..] {
                        row.default = "one of these".to_owned();
                        row.meaning = line(&it["description"]);
                    }
                }
            } else if it["items"].is_object() {
                self.below(&format!("{path}[]"), &self.resolve(&it["items"]), rows);
            } else if it["additionalProperties"].is_object() {
                let value = self.resolve(&it["additionalProperties"]);
                self.below(&format!("{path}.*"), &value, rows);
            }
        }
    }

    /// The kinds of schemes: their settings, each with its `kind`.
    fn schemes(&self) -> Vec<Value> {
        let pointer = "/properties/platforms/items/properties/schemes/additionalProperties";
        let node = self.root.pointer(pointer).expect("schemes");
        self.alternatives(node)
    }
}

/// A description, or nothing, in one line of a table.
fn line(text: &Value) -> String {
    let words = text.as_str().unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| key | what is written | default | meaning |\n|---|---|---|---|\n");
    for row in rows {
        let (kind, default) = (
            row.kind.replace('|', "\\|"),
            row.default.replace('|', "\\|"),
        );
        writeln!(
            text,
            "| `{}` | {kind} | {default} | {} |",
            row.key, row.meaning
        )
        .expect("memory");
    }
    text
}

/// Gives the file, and the keys that have no meaning.
fn reference(root: Value) -> (String, Vec<String>) {
    let reference = Reference { root };
    let mut text = HEAD.to_owned();
    let mut bare = Vec::new();
    let mut add = |title: &str, rows: &[Row]| {
        write!(text, "\n{title}\n\n{}", table(rows)).expect("memory");
        let of_them = rows.iter().filter(|it| it.meaning.is_empty());
        bare.extend(of_them.map(|it| it.key.clone()));
    };
    let mut single = Vec::new();
    let mut sections = Vec::new();
    let top = reference.root["properties"].as_object().expect("keys");
    for name in top.keys() {
        let mut rows = Vec::new();
        let mapping = serde_json::json!({
            "properties": { name: &top[name] },
            "required": reference.root["required"],
        });
        reference.rows("", &mapping, &mut rows);
        if rows.len() == 1 {
            single.append(&mut rows);
        } else {
            sections.push((format!("## `{name}`"), rows));
        }
    }
    add("## Single keys", &single);
    for (title, rows) in &sections {
        add(title, rows);
    }
    for scheme in reference.schemes() {
        let kind = scheme["properties"]["kind"]["const"].as_str();
        let kind = kind.expect("a kind");
        let mut scheme = scheme.clone();
        let properties = scheme["properties"].as_object_mut().expect("settings");
        properties.remove("kind");
        let mut rows = Vec::new();
        reference.rows("platforms[].schemes.*.", &scheme, &mut rows);
        let title = format!("### Schemes of `kind: {kind}`");
        if rows.is_empty() {
            add(&format!("{title}\n\nNothing but `kind`."), &rows);
        } else {
            add(&title, &rows);
        }
    }
    (text, bare)
}

#[test]
fn the_reference_has_every_key_of_the_schema_with_its_meaning() {
    let printed = portcullis(&["config", "schema"]);
    let schema: Value = serde_json::from_str(&printed.out).expect("JSON");
    let (made, bare) = reference(schema);
    assert_eq!(
        bare, [""; 0],
        "these keys have no `///` where they are read"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/CONFIGURATION.md");
    if std::env::var_os(RENEW).is_some() {
        fs::write(&path, &made).expect("a writable tree");
    }
    let is = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        is == made,
        "deploy/CONFIGURATION.md is not what `portcullis config schema` says: write it anew with \
         `{RENEW}=1 cargo test --test config reference`, and look at the difference"
    );
}
