//! `explain` beside a running server: the server decides, over the directory that it has.

use serde_json::{Value, json};

use super::running::{ALADDIN, CONFIG, DIRECTORY, Ran, check, run};
use crate::support::server::Server;

/// What the base64 and the password are hidden in, and what a client never sends twice.
const SECRETS: [&str; 3] = [
    "QWxhZGRpbjpvcGVuU2VzYW1l",
    "openSesame",
    "a-key-from-the-file",
];

/// The stores that belong to a server, with what each needs beside it.
fn servers() -> [(&'static str, Server); 2] {
    let memory = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)]);
    let store = "store: { url: \"embedded:store.redb\", pepper_files: [pepper] }";
    let config = CONFIG.replace("store: { directory_file: directory.yaml }", store);
    let pepper = "a pepper of a test, 32 bytes or more\n";
    let embedded = Server::start_with(&config, &[("pepper", pepper)]);
    run(&embedded, "import -", DIRECTORY).done();
    [("memory:", memory), ("embedded:", embedded)]
}

fn explain(server: &Server, words: &str, (name, value): (&str, &str)) -> Ran {
    let words = format!("explain {words} -H @- https://mine.example/");
    run(server, &words, &format!("{name}: {value}\n"))
}

#[tokio::test]
async fn the_running_server_decides_over_its_own_directory() {
    for (store, mut server) in servers() {
        run(&server, "user disable u-1", "").done();
        // Remembered by the server, and not by whoever explains.
        assert_eq!(check(&server, ALADDIN).await, "disabled", "{store}");
        let report = explain(&server, "--json", ALADDIN).json();
        assert_eq!(report["decided_by"], "server", "{store}: {report:#}");
        assert_eq!(report["verdict"]["denial"]["reason"], "disabled", "{store}");
        assert_eq!(
            report["verifications"][0]["records"][2],
            json!({ "key": "pc:u:mine:u-1", "found": true }),
            "{store}: {report:#}"
        );
        assert_eq!(report["schemes"][1]["secret_bytes"], 10, "{store}");
        assert_eq!(report["answer"]["status"], 401, "{store}");

        let text = explain(&server, "", ALADDIN).done();
        let first = "decided by    the running server, asked on unix:";
        assert!(text.starts_with(first), "{store}: {text}");
        let key = explain(&server, "", ("x-key", "a-key-from-the-file")).done();
        assert!(key.contains("ALLOW"), "{store}: {key}");
        assert!(server.log().contains("explained a decision"), "{store}");
        for secret in SECRETS {
            for shown in [&text, &key, &report.to_string(), &server.log()] {
                assert!(!shown.contains(secret), "{store} shows {secret}: {shown}");
            }
        }

        server.stop();
        let report = explain(&server, "--json", ALADDIN).json();
        assert_eq!(report["decided_by"], "command", "{store}: {report:#}");
        let reason = &report["verdict"]["denial"]["reason"];
        match store {
            "memory:" => assert_eq!(*reason, Value::Null, "a directory of its own"),
            _ => assert_eq!(*reason, "disabled", "the file, as the server left it"),
        }
        let text = explain(&server, "", ALADDIN).done();
        assert!(
            text.starts_with("decided by    this command, over")
                && text.contains("no server answers"),
            "{store}: {text}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_none_is_explained_by_the_server_as_by_the_command() {
    let [(_, mut server), _] = servers();
    let frame = "explain --json --request -";
    let request = r#"{ "attributes": { "request": {} } }"#;
    let mut here = run(&server, frame, request).json();
    server.stop();
    let there = run(&server, frame, request).json();
    assert_eq!(here["answer"]["status"], 400);
    here["decided_by"] = there["decided_by"].clone();
    assert_eq!(here, there);
}
