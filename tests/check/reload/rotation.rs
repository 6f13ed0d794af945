//! `portcullis signing`: another key takes the place of the one that signs, while clients come and go.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::await_reloads;
use crate::check::asking::{Ask, ask};
use crate::support::assertions;
use crate::support::check::CheckClient;
use crate::support::client::{Request, exchange};
use crate::support::server::Server;

const ACCOUNT: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
/// `md5("john:m32c6NfqYEt")`.
const JOHN: &str = "bd208e7008020a5764855ff55207bc5b";

const CONFIG: &str = r#"# Comments stay.
listen: { grpc: ["127.0.0.1:{grpc}"], issue: "127.0.0.1:{issue}", admin: "127.0.0.1:{admin}" }
store: { directory_file: directory.yaml }
check: { deadline_ms: 20000 }
client_address: { from: peer }
signing:
  key_files:
    - keys.pem   # ours
platforms: [{ name: crossbar, preset: crossbar, hosts: [c], throttle: { failures: 1000, bucket: null } }]
"#;

const DIRECTORY: &str = "crossbar:
  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: acme }]
  users: [{ id: u-1, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john, password: m32c6NfqYEt }]
";

/// Asks an endpoint as Envoy lets clients: Check admits the request, and the issue listener answers what bears its context.
async fn issue(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let asked = Ask {
        peer: "127.0.0.1".to_owned(),
        ..Ask::new("c", method, path)
    };
    let client = &mut CheckClient::connect(server.grpc()).await;
    let admitted = ask(client, asked.mapped()).await;
    let mut headers = admitted.headers.iter();
    let context = headers.find(|it| it.0 == "x-portcullis-context");
    let request = Request::new(method, path)
        .header("host", "c")
        .header("content-type", "application/json")
        .header("x-portcullis-context", &context.expect("a context").1)
        .body(body.to_string());
    let answer = exchange(server.issue(), &request).await;
    assert!(answer.status < 300, "{answer:?} {}", server.log());
    answer.json()
}

/// Logs John in; gives his token and the name of its key.
async fn token(server: &Server) -> (String, String) {
    let data = json!({ "data": { "credentials": JOHN, "account_name": "acme" } });
    let answer = issue(server, "PUT", "/v2/user_auth", &data).await;
    let token = answer["auth_token"].as_str().expect("a token").to_owned();
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header"));
    let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
    let kid = header["kid"].as_str().expect("a name").to_owned();
    (token, kid)
}

/// The names of the keys that are published.
async fn published(server: &Server) -> Vec<String> {
    let set = issue(server, "GET", "/.well-known/jwks.json", &Value::Null).await;
    let keys = set["keys"].as_array().expect("keys").iter();
    keys.map(|it| it["kid"].as_str().expect("a name").to_owned())
        .collect()
}

async fn opens(server: &Server, token: &str) -> u16 {
    let client = &mut CheckClient::connect(server.grpc()).await;
    let path = format!("/v2/accounts/{ACCOUNT}");
    let asked = Ask {
        peer: "127.0.0.1".to_owned(),
        ..Ask::new("c", "GET", path).header("x-auth-token", token)
    };
    ask(client, asked.mapped()).await.status
}

fn text(server: &Server) -> String {
    fs::read_to_string(server.path("portcullis.yaml")).expect("a configuration")
}

#[tokio::test]
async fn a_new_signing_key_takes_over_with_both_good_until_the_old_one_is_retired() {
    let pem = super::keys::rsa_pem();
    let server = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY), ("keys.pem", &pem)]);
    let mode = |name: &str| {
        let metadata = fs::metadata(server.path(name)).expect("a file");
        metadata.permissions().mode() & 0o777
    };
    fs::set_permissions(server.path("keys.pem"), fs::Permissions::from_mode(0o644)).expect("ours");
    // Which is a change of a file, too.
    await_reloads(&server, "ok", 1).await;
    let written = text(&server);
    let (old, old_kid) = token(&server).await;
    let run = |words: &str| server.command(&format!("signing {words}"), "");

    let said = run("add");
    await_reloads(&server, "ok", 2).await;
    let listed = run("list");
    let new_file = listed.lines().nth(1).and_then(|it| it.split(' ').next());
    let new_file = new_file.expect("a second key").to_owned();
    assert!(said.contains(&new_file), "{said}");
    assert_eq!(
        mode(&new_file),
        0o640,
        "for who may read the old one, and no others"
    );
    let line = format!("# ours\n    - {new_file}");
    assert_eq!(text(&server), written.replace("# ours", &line));
    let (still, kid) = token(&server).await;
    assert_eq!(kid, old_kid, "the old one still signs");
    let both = published(&server).await;
    assert_eq!((both.len(), &both[0]), (2, &old_kid));
    let (status, _, err) = server.try_command("signing add", "");
    assert!(!status.success() && err.contains("does not sign"), "{err}");

    let said = run("use");
    assert!(said.contains("keys.pem may go after 20"), "{said}");
    let time = said.split(" may go after ").nth(1).unwrap_or_default();
    assert!(time[19..].starts_with("Z: "), "to the second: {said}");
    await_reloads(&server, "ok", 3).await;
    let (new, new_kid) = token(&server).await;
    assert_eq!(published(&server).await, [new_kid.clone(), old_kid.clone()]);
    assert_eq!(both[1], new_kid);
    for token in [&old, &still, &new] {
        assert_eq!(opens(&server, token).await, 200);
    }

    let (status, _, err) = server.try_command("signing retire", "");
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("keys.pem may go after 20"), "{err}");
    let (status, _, err) = server.try_command(&format!("signing retire {new_file} --now"), "");
    assert!(
        !status.success() && err.contains("the key that signs"),
        "{err}"
    );
    assert_eq!(published(&server).await.len(), 2);

    run("retire --now");
    await_reloads(&server, "ok", 4).await;
    assert_eq!(published(&server).await, [new_kid]);
    assert_eq!(
        (opens(&server, &old).await, opens(&server, &new).await),
        (401, 200)
    );
    assert_eq!(
        text(&server),
        written.replace("keys.pem   # ours", &format!("{new_file}   # ours"))
    );
    assert!(!server.log().contains("PRIVATE KEY"));
}

#[test]
fn a_key_whose_tokens_have_ended_may_go_and_one_that_goes_back_to_signing_is_no_longer_noted() {
    let pems = [super::keys::rsa_pem(), super::keys::rsa_pem()];
    let noted = CONFIG
        .replace(
            "signing:\n",
            "# portcullis signing: b.pem may go after 2026-01-01T00:00:00Z\nsigning:\n",
        )
        .replace("keys.pem   # ours", "a.pem\n    - b.pem");
    let files = [
        ("directory.yaml", DIRECTORY),
        ("a.pem", &*pems[0]),
        ("b.pem", &*pems[1]),
    ];
    let server = Server::start_with(&noted, &files);
    let run = |words: &str| server.command(&format!("signing {words}"), "");
    assert!(run("list").ends_with("b.pem  verifies, may go after 2026-01-01T00:00:00Z\n"));
    run("use b.pem --tokens-last 0");
    let back = text(&server);
    assert!(
        back.contains("- b.pem\n    - a.pem") && back.contains(": a.pem may go after 20"),
        "{back}"
    );
    assert!(!back.contains(": b.pem may go"), "{back}");
    server.configure(&noted);
    run("retire");
    assert_eq!(text(&server).matches("b.pem").count(), 0);
    let (status, _, err) = server.try_command("signing retire", "");
    assert!(
        !status.success()
            && err.contains("a.pem is the only key, and it signs: nothing to take out"),
        "{err}"
    );
}

#[tokio::test]
async fn keys_of_assertions_take_turns_alike() {
    let pem = assertions::Pem::new();
    let server = assertions::start(assertions::CONFIG, [&pem, &pem]);
    let run = |words: &str| server.command(&format!("signing {words} --assertions"), "");
    assert!(run("add").contains("10 minutes"));
    await_reloads(&server, "ok", 1).await;
    let published = |count| {
        let set = assertions::key_set(&server, "orders");
        assert_eq!(set.keys.len(), count, "{set:?}");
    };
    published(2);
    run("use");
    await_reloads(&server, "ok", 2).await;
    run("retire --now");
    await_reloads(&server, "ok", 3).await;
    published(1);
}

#[test]
fn nothing_is_made_or_changed_where_the_configuration_cannot_be_edited() {
    let own = CONFIG.replace("signing:\n  key_files:\n    - keys.pem   # ours\n", "");
    let none = Server::start_with(&own, &[("directory.yaml", DIRECTORY)]);
    let before = text(&none);
    let (status, _, err) = none.try_command("signing add", "");
    assert_eq!(status.code(), Some(1));
    assert!(
        err.contains("openssl genrsa") && err.contains("signing: { key_files: [tokens.pem] }"),
        "{err}"
    );
    assert_eq!(text(&none), before);

    let pem = super::keys::rsa_pem();
    let strange = CONFIG.replace("- keys.pem   # ours", "- \"keys\\x2epem\"");
    let server = Server::start_with(
        &strange,
        &[("directory.yaml", DIRECTORY), ("keys.pem", &pem)],
    );
    let before = text(&server);
    let (status, _, err) = server.try_command("signing add", "");
    assert_eq!(status.code(), Some(1));
    assert!(
        err.contains(
            "nothing was changed. Write it yourself: `signing: { key_files: [keys.pem] }`"
        ),
        "{err}"
    );
    assert_eq!(text(&server), before);
    let made = fs::read_dir(server.path("")).expect("a folder");
    let made = made.filter(|it| {
        it.as_ref()
            .is_ok_and(|it| it.file_name().to_string_lossy().starts_with("tokens-"))
    });
    assert_eq!(made.count(), 0);
}
