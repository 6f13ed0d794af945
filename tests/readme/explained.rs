//! Commands of the documents as they are typed there: the one that explains a decision, and those on a Redis.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::blocks;
use crate::support::redis::{PASSWORD, Product, RedisServer};

#[test]
fn the_readme_explains_why_its_key_is_let_in() {
    let blocks = blocks("README.md", "sh");
    let explaining = blocks.iter().find(|it| it.contains(" explain "));
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let typed = explaining
        .expect("a block that explains")
        .replace("cargo run --", env!("CARGO_BIN_EXE_portcullis"))
        .replace("deploy/", &format!("{}/deploy/", root.display()));
    let ran = Command::new("sh")
        .args(["-ec", &typed])
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    assert!(out.contains("ALLOW, by rule read"), "{out}");

    let unsaid = typed.replace(" --peer 127.0.0.1", "");
    assert_ne!(unsaid, typed);
    let ran = Command::new("sh")
        .args(["-ec", &unsaid])
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(out.contains("DENY, address"), "{out}");
    assert!(out.contains("say it with `--peer IP`"), "{out}");
}

#[test]
fn the_configuration_of_the_runbook_is_whole_for_commands_on_a_redis() {
    let redis = RedisServer::start_with_roles(Product::Redis, &[]);
    let blocks = blocks("deploy/RUNBOOK.md", "yaml");
    let [config] = blocks.as_slice() else {
        panic!("one file, ops.yaml: {blocks:?}");
    };
    let filled = config.replace("REDIS:6379", &redis.address().to_string());
    assert_ne!(&filled, config);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("ops.yaml", &filled);
    write("issuer.password", PASSWORD);
    write("pepper", "a pepper of more than thirty-two bytes");
    write(
        "directory.yaml",
        "infobip: { accounts: [{ id: acme, name: ACME }] }",
    );
    let run = |words: &str| {
        let ran = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(words.split(' '))
            .args(["--config", "ops.yaml"])
            .current_dir(folder.path())
            .output()
            .expect("the binary that was built");
        assert!(ran.status.success(), "{words}: {ran:?}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let imported = run("import directory.yaml");
    assert!(imported.contains("1 created"), "{imported}");
    assert!(run("account list").contains("acme"));
    run("store verify");
    let explained = run("explain --peer 192.0.2.7 https://api.example.com/sms/2/text/advanced");
    assert!(
        explained.contains("no_rule: no rule matches"),
        "{explained}"
    );
}
