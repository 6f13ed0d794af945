//! Replays what the fuzzers have kept, through the very functions that they run (`fuzz/README.md`).

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzzers use it from another crate")]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Gives the inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("fuzz/corpus").join(target));
    let entries = entries.unwrap_or_else(|it| panic!("the corpus of {target}: {it}"));
    let mut files: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
    files.sort();
    files
}

#[track_caller]
fn replay(target: &str) {
    let files = corpus(target);
    assert!(!files.is_empty(), "{target} has no corpus");
    for file in files {
        let bytes = fs::read(&file).expect("a readable input");
        let run = catch_unwind(AssertUnwindSafe(|| targets::run(target, &bytes)));
        assert!(run.is_ok(), "a promise is broken by {}", file.display());
    }
}

#[test]
fn the_walker_reads_each_message_as_prost_does() {
    replay("check_request");
}

#[test]
fn the_view_reads_each_text_one_way() {
    replay("view");
}

#[test]
fn nobody_is_let_in_without_a_credential_that_is_good() {
    replay("credentials");
}

#[test]
fn who_is_let_in_by_a_token_was_named_by_its_issuer() {
    replay("jwt");
}

#[test]
fn configurations_are_read_or_refused_where_they_are_wrong() {
    replay("config");
}

#[test]
fn directory_files_are_read_or_refused_where_they_are_wrong() {
    replay("directory");
}

#[test]
fn endpoints_that_issue_answer_any_body() {
    replay("issue_body");
}

#[test]
fn every_target_has_a_fuzzer_and_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, _) in targets::TARGETS {
        assert!(!corpus(target).is_empty());
        let main = root.join("fuzz_targets").join(format!("{target}.rs"));
        let main = fs::read_to_string(main).expect("the fuzzer of each target");
        assert!(main.contains(&format!("{target:?}")), "{target}");
    }
}

#[test]
fn the_credentials_that_the_targets_take_for_good_are() {
    assert!(targets::planted_are_admitted() > 15);
}
