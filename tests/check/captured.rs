//! Questions captured from a real Envoy (`tests/samples/`, the first with its text beside it) are decided by what
//! is in them.

use bytes::Bytes;

use crate::check::asking::{Answer, ask};
use crate::support::check::CheckClient;
use crate::support::server::Server;

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
store: { directory_file: directory.yaml }
client_address: { from: peer }
platforms:
  - name: captured
    hosts: ["*"]
    schemes:
      bearer: { kind: api_key, from: [{ authorization: Bearer }] }
      mesh: { kind: mtls }
    rules:
      - { name: orders, methods: [POST], paths: ["/api/v1/orders/{id}"], schemes: [bearer] }
      - { name: tls, paths: [/tls], schemes: [mesh] }
      - { name: binary, methods: [GET], paths: [/x], with_headers: [x-bin], allow: public }
      - { name: body, methods: [POST], paths: [/x], allow: public }
"#;

const DIRECTORY: &str = "
captured:
  api_keys:
    - { id: k-1, account: acme, secret: eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln, allowed_ips: [127.0.0.1] }
  users:
    - { id: u-1, username: b, account: acme, links: [{ issuer: mtls, subject: 'spiffe://td/ns/a/sa/b' }] }
";

const PLAIN: &[u8] = include_bytes!("../samples/check_request.bin");
const MTLS: &[u8] = include_bytes!("../samples/check_request_mtls.bin");
const RAW_BODY: &[u8] = include_bytes!("../samples/check_request_raw_body.bin");
const RAW_HEADERS: &[u8] = include_bytes!("../samples/check_request_raw_headers.bin");

/// Takes a frame's prefix off: a flag and the length.
fn message(frame: &'static [u8]) -> Bytes {
    Bytes::from_static(&frame[5..])
}

fn judged(answer: &Answer) -> (u16, &str) {
    let said = |key| answer.metadata.get(key).map(String::as_str);
    let word = said("rule").or_else(|| said("reason"));
    (answer.status, word.expect("a rule or a reason"))
}

#[tokio::test]
async fn captured_requests_are_decided_by_what_is_in_them() {
    let server = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)]);
    let client = &mut CheckClient::connect(server.grpc()).await;

    let plain = ask(client, message(PLAIN)).await;
    assert_eq!(judged(&plain), (200, "orders"));
    let told = [
        ("x-auth-platform", "captured"),
        ("x-auth-account", "acme"),
        ("x-auth-scheme", "bearer"),
    ];
    assert_eq!(
        plain.headers,
        told.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(plain.removed.contains(&"authorization".to_owned()));

    let at = PLAIN
        .windows(4)
        .position(|it| it == b"c2ln")
        .expect("the end of the key");
    let mut forged = PLAIN[5..].to_vec();
    forged[at - 5] = b'd';
    let forged = ask(client, forged.into()).await;
    assert_eq!(judged(&forged), (401, "unknown"));

    let known = ask(client, message(MTLS)).await;
    assert_eq!(judged(&known), (200, "tls"));
    assert!(
        known
            .headers
            .contains(&("x-auth-user".to_owned(), "u-1".to_owned()))
    );
    let at = MTLS
        .windows(4)
        .position(|it| it == b"sa/b")
        .expect("the principal");
    let mut stranger = MTLS[5..].to_vec();
    stranger[at - 2] = b'c';
    assert_eq!(
        judged(&ask(client, stranger.into()).await),
        (401, "unknown")
    );
    assert_eq!(judged(&ask(client, message(RAW_BODY)).await), (200, "body"));
    assert_eq!(
        judged(&ask(client, message(RAW_HEADERS)).await),
        (200, "binary")
    );
}
