//! A server whose page is looked at, and those whom it answers.

use crate::asking::{Answer, Ask, ask};
use crate::support::check::CheckClient;
use crate::support::server::Server;

/// What would run, or change the page, if it were taken for markup: there is room for it in names and paths.
pub(super) const HOSTILE: &str = "<img src=x onerror=hacked=1>";

/// The same in a path, of which a part with parameters would not be shown.
const PATH: &str = "<script>hacked('3')</script>";

const CONFIG: &str = r#"
listen:
  grpc: ["127.0.0.1:{grpc}"]
  admin: "127.0.0.1:{admin}"
store: { url: "memory:", directory_file: directory.yaml }
check: { deadline_ms: 20000 }
client_address: { from: peer }
platforms:
  - name: mine
    hosts: ["*"]
    https: off
    schemes:
      key: { kind: api_key, from: [{ header: x-key }] }
      login: { kind: basic }
    rules:
      - { name: "<b>orders</b>\"'&{{script}}", paths: ["/orders/**"], schemes: [key] }
"#;

const DIRECTORY: &str = r#"
mine:
  accounts: [{ id: shop, name: Shop }]
  users: [{ id: u-bo, account: shop, username: "<svg onload=hacked=2>", password: a-password-3f8a1c5e }]
  api_keys: [{ id: k-1, account: shop, secret: an-example-key-3f8a1c5e7b9d2406 }]
"#;

/// The setting of [`CONFIG`] that [`on_redis`] replaces.
const MEMORY: &str = "store: { url: \"memory:\", directory_file: directory.yaml }";

/// Starts one on a Redis, in which nobody is.
pub(super) fn on_redis(url: &str) -> Server {
    assert!(CONFIG.contains(MEMORY));
    let store = format!("store: {{ url: \"{url}\", pepper_files: [pepper], timeout_ms: 1000 }}");
    let files = [("pepper", "an example of a pepper that is long enough")];
    Server::start_with(&CONFIG.replace(MEMORY, &store), &files)
}

pub(super) fn start() -> Server {
    Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)])
}

/// What [`CONFIG`] is replaced by: it does not fit.
pub(super) fn misconfigure(server: &Server) {
    server.configure(&CONFIG.replace("hosts: [\"*\"]", "hosts: [\"*\"]\n    nonsense: 1"));
}

/// Puts [`CONFIG`] back.
pub(super) fn configure(server: &Server) {
    server.configure(CONFIG);
}

/// Asks about one that is let in, with the key of the shop.
pub(super) async fn allowed(client: &mut CheckClient) -> Answer {
    let request = Ask::new("api.example", "GET", "/orders/1");
    let request = request.header("x-key", "an-example-key-3f8a1c5e7b9d2406");
    let answer = ask(client, request.mapped()).await;
    assert_eq!(answer.status, 200);
    answer
}

/// Asks about one of whom the store is to be asked; gives the status.
pub(super) async fn stranger(client: &mut CheckClient, number: u32) -> u16 {
    let request = Ask::new("api.example", "GET", "/orders/3");
    let request = request.header("x-key", format!("a-key-of-nobody-{number}"));
    ask(client, request.mapped()).await.status
}

/// Asks about two that are not let in, for their path and by a rule, and in whom everything is hostile.
pub(super) async fn denied(client: &mut CheckClient) -> [Answer; 2] {
    let path = format!("/orders/{PATH}?token=secret-of-a-query");
    let mut answers = [path, "/orders/2".to_owned()].map(|path| {
        let mut request = Ask::new("api.example", "GET", path);
        request.peer = "192.0.2.7".to_owned();
        // <svg onload=hacked=2>:a-password-3f8a1c5e
        let request = request.header(
            "authorization",
            "Basic PHN2ZyBvbmxvYWQ9aGFja2VkPTI+OmEtcGFzc3dvcmQtM2Y4YTFjNWU=",
        );
        let request = request.header("user-agent", HOSTILE);
        (request.header("x-request-id", HOSTILE), Answer::default())
    });
    for (request, answer) in &mut answers {
        *answer = ask(client, request.mapped()).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    answers.map(|it| it.1)
}
