//! What the embedded file promises between processes: it survives a kill at any moment, and belongs to one at a time.
//!
//! The other process is this test binary, told by its environment to do nothing but [`a_writer_that_never_ends`].

mod support;

use std::env;
use std::path::Path;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::store::embedded::Embedded;
use portcullis::store::{PutIf, Store, StoreError};
use support::process::{Process, command};

/// The file to write to, and the first number to write, for the other process.
const FILE: &str = "PORTCULLIS_TEST_WRITER_FILE";
const FIRST: &str = "PORTCULLIS_TEST_WRITER_FIRST";

const PATIENCE: Duration = Duration::from_secs(30);
const KILLS: u64 = 20;
/// Many pages of the file, so that a half of it could be told from the whole.
const VALUE_BYTES: usize = 40_000;

/// What stands under a number: no part of it can be taken for that of another.
fn value(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(VALUE_BYTES / 8)
}

async fn read(store: &Embedded, key: &str) -> Option<Vec<u8>> {
    let found = store.get(&[key.to_owned()]).await.expect("an answer");
    found[0].as_ref().map(|value| value.to_vec())
}

/// Not a test where nobody started it as one: writes on and on, and says after each number that it is kept.
#[tokio::test]
async fn a_writer_that_never_ends() {
    let (Some(file), Ok(first)) = (env::var_os(FILE), env::var(FIRST)) else {
        return;
    };
    let store = Embedded::open(Path::new(&file), Clock::system()).expect("the file");
    for number in first.parse::<u64>().expect("a number").. {
        for key in [number.to_string().as_str(), "latest"] {
            let put = store.put(key, &value(number), PutIf::Always, None).await;
            assert_eq!(put, Ok(true), "{key}");
        }
        say_kept(number);
    }
}

#[expect(clippy::print_stdout, reason = "how the writer acknowledges")]
fn say_kept(number: u64) {
    println!("kept {number}.");
}

fn start_writer(file: &Path, first: u64) -> Process {
    let mut command = command(env::current_exe().expect("this binary"));
    command
        .args(["--exact", "a_writer_that_never_ends", "--nocapture"])
        .env(FILE, file)
        .env(FIRST, first.to_string());
    Process::spawn("a writer", command)
}

/// Gives the number that was said to be kept last.
fn last_kept(log: &str) -> Option<u64> {
    let mut kept = log
        .lines()
        .filter_map(|line| line.strip_prefix("kept ")?.strip_suffix('.'));
    kept.next_back()?.parse().ok()
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_kept_and_leaves_nothing_half() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("store.redb");
    let mut first = 0;
    for round in 0..KILLS {
        let mut writer = start_writer(&file, first);
        let enough = first + round % 4;
        writer.await_log(&format!("kept {enough}."), PATIENCE);
        writer.kill();
        // Dead, but what it wrote last may still be on its way.
        writer.await_end(PATIENCE);
        let kept = last_kept(&writer.log()).expect("it said so");

        let store = Embedded::open(&file, Clock::system()).expect("the file of a killed writer");
        for number in 0..=kept {
            let found = read(&store, &number.to_string()).await;
            assert!(
                found == Some(value(number)),
                "round {round}: {number} of {kept}"
            );
        }
        let begun = read(&store, &(kept + 1).to_string()).await;
        assert!(
            begun.as_ref().is_none_or(|begun| *begun == value(kept + 1)),
            "round {round}: {} is half",
            kept + 1
        );
        let latest = read(&store, "latest")
            .await
            .expect("written over, never absent");
        assert!(
            latest == value(kept) || begun.is_some() && latest == value(kept + 1),
            "round {round}: the latest is not {kept}"
        );
        first = kept + 1;
    }
}

#[test]
fn a_second_process_is_turned_away_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("store.redb");
    let mut writer = start_writer(&file, 0);
    writer.await_log("kept 0.", PATIENCE);

    let refused = Embedded::open(&file, Clock::system()).expect_err("the writer has it");
    assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("store.redb is open in another process"),
        "{text}"
    );

    writer.kill();
    Embedded::open(&file, Clock::system()).expect("the file is free again");
}
