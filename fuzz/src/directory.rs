//! Directory files: each problem stands at a line that there is, no secret is repeated, and what is
//! good by itself is good on top of another.

use portcullis::directory::file::DirectoryFile;
use portcullis::document::Document;

use super::config::{document, placed};

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    document(text);
    let Ok(read) = Document::parse("fuzz.yaml", text) else {
        return;
    };
    let platforms = ["crossbar", "opentact", "infobip", "a/b~c"];
    let whole = DirectoryFile::parse(&read, &platforms);
    let addition = DirectoryFile::parse_addition(&read, &platforms);
    match (&whole, &addition) {
        (Ok(whole), Ok(addition)) => assert_eq!(whole.len(), addition.len()),
        (Ok(_), Err(problems)) => panic!("good by itself, and not on top: {problems:?}"),
        (Err(_), _) => {}
    }
    for problems in [whole.err(), addition.err()].into_iter().flatten() {
        assert!(!problems.is_empty());
        placed(text, &problems);
    }
}
