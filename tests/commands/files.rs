//! `import`, `export` and `store verify`.

use super::running::{ALADDIN, DIRECTORY, check, run, start};

const MORE: &str = "
mine:
  users:
    - { id: u-2, account: acc-1, username: Abu, password: a-long-password }
    - { id: u-3, account: acc-1, username: Jafar, credentials: { argon2: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc' } }
";

#[tokio::test]
async fn a_file_is_written_once_and_a_second_time_changes_nothing() {
    let server = start();
    server.write("more.yaml", MORE);
    let file = server.path("more.yaml");
    let import = format!("import {}", file.display());
    let dry = run(&server, &format!("{import} --dry-run"), "").done();
    assert_eq!(
        dry,
        "2 records, 2 of them new: the file is good, nothing was written\n"
    );
    run(&server, "user show u-2", "").failed(1, "there is no user u-2 in mine");
    let first = run(&server, &import, "").done();
    assert!(
        first.starts_with("2 records: 2 created, 0 changed, 0 as they were, in "),
        "{first}"
    );
    let second = run(&server, &format!("{import} --json"), "").json();
    assert_eq!(
        (&second["created"], &second["changed"]),
        (&0.into(), &0.into()),
        "{second}"
    );
    let changed = MORE.replace("Jafar", "Iago");
    let piped = run(&server, "import -", &changed).done();
    assert!(
        piped.starts_with("2 records: 0 created, 1 changed, 1 as they were"),
        "{piped}"
    );
    assert!(!server.log().contains("a-long-password"));
}

#[tokio::test]
async fn a_bad_row_is_named_by_line_and_key_and_nothing_is_written() {
    let server = start();
    let cases = [
        (
            "    - { id: u-4, username: 'a:b' }\n",
            ":6: mine.users[2].username: a `:` cannot be",
        ),
        (
            "    - { id: u-4, username: x, pasword: hunter2 }\n",
            ":6: mine.users[2].pasword: unknown key",
        ),
        (
            "    - { id: u-4, username: Aladdin, account: acc-1 }\n",
            ":6: mine.users[2].username: the same login as user u-1",
        ),
        (
            "    - { id: u-4, username: x, account: acc-9 }\n",
            ":6: mine.users[2].account: there is no such account",
        ),
        (
            "  api_keys:\n    - { id: k-4 }\n",
            ":7: mine.api_keys[0].secret: required",
        ),
        (
            "yours: {}\n",
            ":6: yours: not a platform of the configuration",
        ),
        ("    - {\n", ":6: unclosed bracket"),
    ];
    for (row, want) in cases {
        server.write("bad.yaml", &format!("{MORE}{row}"));
        let file = server.path("bad.yaml");
        let ran = run(&server, &format!("import {}", file.display()), "");
        ran.failed(2, "1 problem; nothing was written:");
        ran.failed(2, &format!("bad.yaml{want}"));
        assert!(!ran.err.contains("hunter2"), "{ran:?}");
        run(&server, "user show u-2", "").failed(1, "there is no user u-2");
    }
    run(&server, "import /nowhere/at/all.yaml", "").failed(2, "cannot be read");
    let large = "x".repeat(64 * 1024 * 1024);
    run(&server, "import -", &large).failed(2, "more than 64 MiB cannot be sent at once");
}

#[tokio::test]
async fn an_export_is_a_directory_file_again() {
    let server = start();
    let exported = run(&server, "export", "");
    assert!(exported.err.contains("3 records"), "{exported:?}");
    assert!(
        exported
            .err
            .contains("1 of them have secrets that are stored as digests or sealed"),
        "{exported:?}"
    );
    let text = exported.done();
    for secret in ["openSesame", "a-key-from-the-file"] {
        assert!(!text.contains(secret), "{text}");
    }
    let again = run(&server, "import - --json", &text).json();
    assert_eq!(again["records"], 3);
    assert_eq!(
        (&again["created"], &again["changed"]),
        (&0.into(), &0.into()),
        "{again}"
    );
    assert_eq!(check(&server, ALADDIN).await, "allow");
    assert_eq!(
        check(&server, ("x-key", "a-key-from-the-file")).await,
        "allow"
    );

    // Without the key, whose secret it cannot hold, it fills another directory.
    let (users, _) = text.split_once("  api_keys:").expect("keys come last");
    let other = start();
    let users = users
        .replace("acc-1", "acc-7")
        .replace("u-1", "u-7")
        .replace("Aladdin", "Abu");
    run(&other, "import -", &users).done();
    let abu = ("authorization", "Basic QWJ1Om9wZW5TZXNhbWU=");
    assert_eq!(check(&other, abu).await, "allow");
}

#[test]
fn a_store_that_nobody_has_touched_is_in_order() {
    let server = start();
    let verified = run(&server, "store verify", "").done();
    let want = "3 records and 4 index entries: 0 orphaned, 0 unindexed, 0 unreadable, 0 under an unknown \
                pepper, 0 under an old one; 0 repaired\n";
    assert_eq!(verified, want);
    let verified = run(&server, "store verify --repair --json", "").json();
    assert_eq!(verified["summary"]["records"], 3);
    assert!(DIRECTORY.contains("k-1"));
}
