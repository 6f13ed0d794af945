//! The table in `deploy/LIMITS.md` is that of the code: what it names is there with this value, and what bounds
//! a peer is named in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that read what peers send; every `MAX` of theirs is in the table.
const ROOMS: [&str; 8] = [
    "context",
    "credential",
    "envoy",
    "issue",
    "outbound",
    "policy",
    "serve",
    "strict_json",
];

/// A `MAX` of those rooms that bounds no peer, and why.
const OTHERS: [(&str, &str); 6] = [
    (
        "credential::MAX_SECRET_FILE_BYTES",
        "a file of the operator's",
    ),
    ("envoy::wire::VARINT_BYTES_MAX", "the format's"),
    (
        "issue::crossbar::security::MAX_TOKEN_SECONDS",
        "a setting, not a size",
    ),
    ("issue::infobip::violations::MAX_NAME_CHARS", "what we say"),
    ("issue::infobip::violations::MAX_TOLD", "what we say"),
    ("serve::reload::MAX_TOLD", "what we log"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|it| it.expect("an entry").path());
    paths
        .flat_map(|it| if it.is_dir() { files(&it) } else { vec![it] })
        .collect()
}

/// Gives the value of a product of numbers, or of a duration in whole seconds or milliseconds.
fn value(expression: &str) -> Option<String> {
    for (call, unit) in [("secs", "s"), ("millis", "ms")] {
        let call = format!("Duration::from_{call}(");
        if let Some(rest) = expression.strip_prefix(&call) {
            let inner = value(rest.strip_suffix(')')?)?;
            return Some(format!("{inner} {unit}"));
        }
    }
    let factors = expression.split('*').map(|it| it.trim().replace('_', ""));
    let product = factors
        .map(|it| it.parse::<u64>().ok())
        .try_fold(1, |product, factor| Some(product * factor?));
    Some(product?.to_string())
}

/// Gives every constant of `src/` whose value is a number or a duration, by its path. Tests' own are left out.
fn constants() -> BTreeMap<String, String> {
    let src = root().join("src");
    let mut constants = BTreeMap::new();
    for file in files(&src) {
        let module = file.strip_prefix(&src).expect("a file there");
        let module = module.with_extension("");
        if module.ends_with("tests") {
            continue;
        }
        let module = module.display().to_string().replace('/', "::");
        let text = fs::read_to_string(&file).expect("a source");
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for line in code.lines() {
            let Some((_, declared)) = line.split_once("const ") else {
                continue;
            };
            let Some((name, (_, expression))) = declared
                .split_once(": ")
                .and_then(|(name, rest)| Some((name, rest.split_once(" = ")?)))
            else {
                continue;
            };
            if let Some(value) = value(expression.trim_end_matches(';')) {
                constants.insert(format!("{module}::{name}"), value);
            }
        }
    }
    constants
}

/// Gives the rows of the table: a constant, its value, and what happens beyond it.
fn rows() -> Vec<[String; 3]> {
    let limits = fs::read_to_string(root().join("deploy/LIMITS.md")).expect("deploy/LIMITS.md");
    let rows = limits.lines().filter(|it| it.starts_with("| `"));
    let rows: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let [name, value, beyond] = cells[..] else {
                panic!("three cells are wanted: {row}");
            };
            [name.trim_matches('`'), value, beyond].map(str::to_owned)
        })
        .collect();
    assert!(rows.len() > 20, "the table is not found");
    rows
}

#[test]
fn the_table_has_the_values_of_the_code() {
    let constants = constants();
    for [name, value, beyond] in rows() {
        assert_eq!(
            constants.get(&name),
            Some(&value),
            "`{name}` in src/ (left) and in deploy/LIMITS.md (right)"
        );
        assert!(!beyond.is_empty(), "what happens beyond `{name}`?");
    }
}

#[test]
fn what_bounds_a_peer_is_in_the_table() {
    let rows = rows();
    let is_told =
        |name: &str| rows.iter().any(|it| it[0] == name) || OTHERS.iter().any(|it| it.0 == name);
    let constants = constants();
    let missing: Vec<_> = constants
        .iter()
        .filter(|(name, _)| {
            let mut words = name.rsplit("::").next().unwrap_or_default().split('_');
            ROOMS.contains(&name.split("::").next().unwrap_or_default())
                && words.any(|it| it == "MAX")
                && !is_told(name)
        })
        .map(|(name, value)| format!("| `{name}` | {value} | … |"))
        .collect();
    assert!(
        missing.is_empty(),
        "these have no row in the table of deploy/LIMITS.md; where one bounds no peer, OTHERS here says why:\n{}",
        missing.join("\n")
    );
    for (name, why) in OTHERS {
        assert!(constants.contains_key(name), "{name} ({why}) is gone");
    }
}
