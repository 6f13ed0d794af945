//! Keeps the floors of the code map in `src/lib.rs`: a file uses only what stands on its own floor
//! or below, and nothing goes round in a circle.
//!
//! It reads `src/`. Code that only tests have (`#[cfg(test)]`) is free to use what it likes. When
//! a rule fails, its message names the place and what can be done about it.

#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use source::{Named, Source};

/// The floors, from the top, as `src/lib.rs` documents them. A new top-level module takes its
/// place here and there.
const FLOORS: [&[&str]; 6] = [
    &["cli", "config", "control", "serve"],
    &["admin", "envoy", "explain", "issue"],
    &[
        "assertion",
        "authenticator",
        "cache",
        "context",
        "gate",
        "platform",
        "policy",
        "throttle",
    ],
    &["scheme"],
    &["directory", "keys", "otlp", "outbound", "proof", "store"],
    &[
        "certificate",
        "clock",
        "credential",
        "current",
        "decision",
        "document",
        "identity",
        "request",
        "strict_json",
        "telemetry",
        "trace",
    ],
];

/// Lines that a file may have before its tests. About 300 are meant; a table may need some more.
const FILE_LINES: usize = 350;

/// Lines that `src/main.rs` may have: it hands over to `cli`.
const MAIN_LINES: usize = 60;

/// Gives the floor of a room, 0 for the lowest.
fn floor(room: &str) -> Option<usize> {
    let from_top = FLOORS.iter().position(|it| it.contains(&room))?;
    Some(FLOORS.len() - 1 - from_top)
}

/// A place where one room names something of a room.
struct Use {
    from: String,
    to: String,
    place: String,
    named: Named,
}

/// Gives all that rooms name; `main.rs` and `lib.rs` stand in none.
fn uses(sources: &[Source]) -> Vec<Use> {
    let mut uses = Vec::new();
    for source in sources {
        let Some(from) = source.modules().into_iter().next() else {
            continue;
        };
        for named in source.names() {
            uses.push(Use {
                from: from.clone(),
                to: named.segments.first().cloned().unwrap_or_default(),
                place: format!(
                    "{}:{} names {}",
                    source.path,
                    named.line,
                    path_text(&named.segments)
                ),
                named,
            });
        }
    }
    uses
}

fn path_text(segments: &[String]) -> String {
    let words = std::iter::once("crate").chain(segments.iter().map(String::as_str));
    words.collect::<Vec<_>>().join("::")
}

#[track_caller]
fn expect_none(broken: &[String], rule: &str, advice: &str) {
    assert!(
        broken.is_empty(),
        "{rule}\n  {}\nWhat to do: {advice}",
        broken.join("\n  ")
    );
}

#[test]
fn the_floors_here_are_those_of_the_code_map() {
    let root = Source::all().into_iter().find(|it| it.path == "src/lib.rs");
    let root = root.expect("src/lib.rs");
    let declared = root.tokens.windows(2).filter(|it| it[0].text == "mod");
    let declared: BTreeSet<_> = declared.map(|it| it[1].text.as_str()).collect();
    let placed: BTreeSet<_> = FLOORS.iter().copied().flatten().copied().collect();
    assert_eq!(
        declared, placed,
        "src/lib.rs declares the left, FLOORS in tests/layers.rs places the right.\n\
         What to do: give a new module its floor in FLOORS and in the table of src/lib.rs."
    );
    for (from_top, rooms) in FLOORS.iter().enumerate() {
        let number = format!("//! | {} |", FLOORS.len() - 1 - from_top);
        let row = root.text.lines().find(|it| it.starts_with(&number));
        let row = row.unwrap_or_else(|| panic!("src/lib.rs has no row `{number}`"));
        let documented: BTreeSet<_> = row.split('`').skip(1).step_by(2).collect();
        let placed: BTreeSet<_> = rooms.iter().copied().collect();
        assert_eq!(
            documented, placed,
            "the row `{number}` of src/lib.rs names the left, FLOORS in tests/layers.rs the right"
        );
    }
}

#[test]
fn no_file_uses_a_higher_floor() {
    let mut broken = Vec::new();
    for it in uses(&Source::all()) {
        match (floor(&it.from), floor(&it.to)) {
            (Some(from), Some(to)) if to > from => {
                broken.push(format!("{}: floor {to}, from floor {from}", it.place));
            }
            (Some(_), Some(_)) => {}
            _ => broken.push(format!("{}: not a module with a floor", it.place)),
        }
    }
    expect_none(
        &broken,
        "A file uses only what stands on its own floor or below:",
        "move what is shared down to the floor of its lowest user, or hand it in as an argument. \
         A path that begins with no module is written out: no `crate::*`, no `crate as …`.",
    );
}

#[test]
fn modules_use_each_other_in_one_direction() {
    let mut edges: Vec<_> = uses(&Source::all())
        .into_iter()
        .filter(|it| it.from != it.to)
        .collect();
    // A use can be part of a circle only where another leads on from it and another leads to it.
    loop {
        let from: BTreeSet<_> = edges.iter().map(|it| it.from.clone()).collect();
        let to: BTreeSet<_> = edges.iter().map(|it| it.to.clone()).collect();
        let before = edges.len();
        edges.retain(|it| from.contains(&it.to) && to.contains(&it.from));
        if edges.len() == before {
            break;
        }
    }
    let broken: Vec<_> = edges.into_iter().map(|it| it.place).collect();
    expect_none(
        &broken,
        "Modules use each other in one direction; these go round in a circle, or lead from one to another:",
        "find the one use that points the wrong way. Move what it names to the lower module, or to \
         a new one below both.",
    );
}

#[test]
fn nobody_names_the_commands() {
    let uses = uses(&Source::all()).into_iter();
    let broken: Vec<_> = uses
        .filter(|it| it.to == "cli" && it.from != "cli")
        .map(|it| it.place)
        .collect();
    expect_none(
        &broken,
        "`cli` is named by `main.rs` and `lib.rs` and nobody else:",
        "a command calls what does the work; move that to where the other caller can use it.",
    );
}

#[test]
fn only_the_edge_knows_envoys_protobuf() {
    let knows = |it: &Use| it.from == "envoy" || it.place.starts_with("src/cli/demo");
    let names = |it: &Use| {
        it.named
            .segments
            .starts_with(&["envoy".into(), "protos".into()])
    };
    let uses = uses(&Source::all()).into_iter();
    let broken: Vec<_> = uses
        .filter(|it| names(it) && !knows(it))
        .map(|it| it.place)
        .collect();
    expect_none(
        &broken,
        "`envoy::protos` is named by `envoy` (and by the demo, which plays Envoy):",
        "take or give a type of ours (`RequestView`, `Decision`, `envoy::Door`).",
    );
}

#[test]
fn nobody_names_a_scheme_but_the_table_of_schemes() {
    let sources = Source::all();
    let is_scheme = |it: &Vec<String>| it.len() == 2 && it[0] == "scheme";
    let schemes: BTreeSet<_> = sources
        .iter()
        .map(Source::modules)
        .filter(is_scheme)
        .collect();
    assert!(!schemes.is_empty(), "src/scheme/ holds the schemes");
    let mut broken = Vec::new();
    for source in sources.iter().filter(|it| it.path != "src/scheme.rs") {
        let own = source.modules();
        for it in source.names() {
            let scheme = it.segments.get(..2).map(<[_]>::to_vec);
            let Some(scheme) = scheme.filter(|it| schemes.contains(it)) else {
                continue;
            };
            if !own.starts_with(&scheme) {
                let path = path_text(&it.segments);
                broken.push(format!("{}:{} names {path}", source.path, it.line));
            }
        }
    }
    expect_none(
        &broken,
        "A scheme is named in `scheme::ALL` and nowhere else, least of all in another scheme:",
        "put what two schemes share into `src/scheme.rs`; for anything else, ask the trait `Scheme`.",
    );
}

#[test]
fn the_code_knows_no_preset_by_name_but_where_its_dialect_is_spoken() {
    let presets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/platform/presets");
    let presets = presets.read_dir().expect("the presets");
    let presets: Vec<_> = presets
        .filter_map(|it| Some(it.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    assert!(
        !presets.is_empty(),
        "src/platform/presets/ holds the presets"
    );
    let mut broken = Vec::new();
    for source in Source::all() {
        let free = ["src/cli", "src/issue", "src/platform/presets.rs"];
        let core = source.path == "src/issue/core.rs";
        if !core && free.iter().any(|it| source.path.starts_with(it)) {
            continue;
        }
        for token in &source.tokens {
            let text = token.text.to_ascii_lowercase();
            if presets.iter().any(|it| text.contains(it.as_str())) {
                broken.push(format!(
                    "{}:{} says {}",
                    source.path, token.line, token.text
                ));
            }
        }
    }
    expect_none(
        &broken,
        "Presets are data; no code but that of dialects knows one by its name:",
        "make what the platform needs a setting that any platform may have, and set it in the YAML.",
    );
}

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for source in Source::all() {
        let bound = match source.path.as_str() {
            "src/main.rs" => MAIN_LINES,
            _ => FILE_LINES,
        };
        let lines: Vec<_> = source.text.lines().collect();
        // A declaration under `#[cfg(test)]` is not yet the tests.
        let are_tests = |it: &&[&str]| it[0] == "#[cfg(test)]" && it[1].ends_with('{');
        let tests = lines.windows(2).position(|it| are_tests(&it));
        let count = tests.unwrap_or(lines.len());
        if count > bound {
            broken.push(format!("{}: {count} lines, {bound} allowed", source.path));
        }
    }
    expect_none(
        &broken,
        "A file is short before its tests:",
        "look for the seam: what has a name of its own goes to a file beside it (`foo/bar.rs`).",
    );
}

/// A rule that reads nothing is kept by everything, so this shows what is read.
#[test]
fn paths_are_seen_wherever_they_stand_and_tests_are_left_out() {
    let text = r##"
        //! crate::comment, [`crate::link`]
        use crate::one::{self, Two, three::{Four, *}, five as six};
        use super::sibling::Thing;
        use super::super::upstairs;
        pub(crate) fn f<'a>(x: &'a crate::inline::Type) -> char {
            let _ = ("crate::text", r#"crate::"raw""#, b'"', '\'', "\"");
            /* crate::comment /* crate::nested */ crate::comment */
            crate::turbo::<u8>::f();
            '{'
        }
        #[cfg(test)]
        pub(crate) mod scripted;
        #[cfg(test)]
        #[allow(unused)]
        mod tests { use crate::test_only; const X: [u8; 1] = [b'}']; }
        use crate as whole;
    "##;
    let source = Source::parse("src/room/corner.rs", text);
    let names = source.names();
    let named: Vec<_> = names.iter().map(|it| path_text(&it.segments)).collect();
    assert_eq!(
        named,
        [
            "crate::one",
            "crate::one::Two",
            "crate::one::three::Four",
            "crate::one::three::*",
            "crate::one::five",
            "crate::room::sibling::Thing",
            "crate::upstairs",
            "crate::inline::Type",
            "crate::turbo",
            "crate",
        ]
    );
    assert_eq!(names[0].line, 3);
    assert_eq!(names[9].line, 17);
}
