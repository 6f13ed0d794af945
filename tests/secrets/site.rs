//! A server in which every secret is marked, and whoever asks it.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde_json::Value;
use sha1::Sha1;

use crate::asking::{Answer, Ask, ask};
use crate::support::check::CheckClient;
use crate::support::client::{Request, exchange};
use crate::support::facebook::{APP_SECRET, CALLIFYS, GRAPH};
use crate::support::http::Response;
use crate::support::issuers::{self, INFOBIP, OPENTACT, callifys, dd2020s, johns};
use crate::support::server::Server;

use super::marks::Marks;

pub(super) const ACME: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
pub(super) const JOHN: &str = "MARKED-johns-password";
pub(super) const ACMES_KEY: &str =
    "c0ffee33ad87c148a0a20a5ba7cd5ebcaa68d36a18e7aad165554903f52ca827";
pub(super) const HANDLE: &str = "MARKED-handle-of-john";
pub(super) const CALLIFY: &str = "MARKED-callifys-password";
pub(super) const SIP: &str = "MARKED-callifys-sip-password";
pub(super) const ALADDIN: &str = "MARKED-aladdins-password";
pub(super) const SENDER: &str =
    "c0ffee26bbc133714df1834b8638bb49-8f4b3d9a-e931-478d-a994-28a725159ab9";
pub(super) const MINE: &str = "MARKED-key-of-mine";
pub(super) const ADMIN: &str = "MARKED-admins-password";
pub(super) const OPAQUE: &str = "MARKED-opaque-token";
pub(super) const REDIS: &str = "MARKED-redis-password";
const PEPPER: &str = "MARKED-pepper-that-is-long-enough-to-be-one";
const TOTP: &str = "OGWHUFIBAOUNOVGEHEXS6O5WLFQD5OLQ";
const CLIENT: &str = "MARKED-client-secret";
const COLLECTORS: &str = "MARKED-header-of-the-collector";

pub(super) const CROSSBAR: &str = "crossbar.example.com";
pub(super) const SHA: &str = "sha.example.com";
pub(super) const OPENTACT_HOST: &str = "opentact.example.com";
pub(super) const INFOBIP_HOST: &str = "infobip.example.com";
pub(super) const MY: &str = "api.mine.example";

pub(super) const CONFIG: &str = r#"
listen:
  grpc: ["127.0.0.1:{grpc}"]
  issue: "127.0.0.1:{issue}"
  admin: "127.0.0.1:{admin}"
  control: "unix:control.sock"
store: { url: "{redis}", password_file: redis.password, pepper_files: [pepper], timeout_ms: 10000 }
signing: { key_files: [signing.pem] }
telemetry:
  log: trace
  audit: { to: audit.jsonl, allows: all }
  otlp_endpoint: "{collector}"
  otlp: { headers_file: headers, metrics_seconds: 1 }
  traces: { sampled: 1 }
check: { deadline_ms: 20000 }
client_address: { from: peer }
platforms:
  - name: crossbar
    preset: crossbar
    https: off
    hosts: [crossbar.example.com]
    schemes: { jwt: { keys: [{ kid: k1, algorithm: RS256, public_key_file: crossbar.pem }] } }
  - { name: sha, preset: crossbar, https: off, hosts: [sha.example.com], schemes: { basic: { form: sha1 } } }
  - name: opentact
    preset: opentact
    https: off
    hosts: [opentact.example.com]
    schemes:
      jwt: { keys: [{ algorithm: HS256, secret_file: opentact.secret }] }
      facebook: { app_id: "100000000000001", app_secret_file: facebook.secret, graph_url: "{graph}" }
  - name: infobip
    preset: infobip
    https: off
    hosts: [infobip.example.com]
    schemes: { oauth2: { keys: [{ kid: 9wokXdhI, algorithm: HS256, secret_file: infobip.secret }] } }
  - name: mine
    hosts: ["*.mine.example"]
    https: off
    schemes:
      key: { kind: api_key, from: [{ header: X-My-Key }, { query: my-key }] }
      login: { kind: basic }
      sso: { kind: introspection, from: [{ authorization: Bearer }], url: "{introspect}", client_id: us, client_secret_file: client.secret }
    rules: [{ name: orders, paths: ["/orders/**"] }]
"#;

const DIRECTORY: &str = r#"
crossbar:
  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: ACME, api_key: {acme} }]
  users:
    - { id: 8e248327b85591955749e53ea45b6baa, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: {john}, roles: [admin] }
    - { id: u-otp, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: otp@example.com, password: {john}-otp, totp_secret: {totp} }
  api_keys: [{ id: k-john, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, user: 8e248327b85591955749e53ea45b6baa, secret: {handle} }]
sha:
  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: ACME }]
  users: [{ id: u-1, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: {john} }]
opentact:
  accounts: [{ id: f2cb79fb-6bf8-4484-8034-debf95aac73b, name: DENOVOLAB }]
  users:
    - id: 0116f6d1-1280-44b2-9134-da48509ec575
      account: f2cb79fb-6bf8-4484-8034-debf95aac73b
      email: opentact@callify.io
      password: {callify}
      roles: [User]
      sip: { login: "1000", domain: mydomain.com, password: {sip} }
      links: [{ issuer: "facebook:100000000000001", subject: "100000000000002" }]
infobip:
  accounts: [{ id: acc-1, name: First }]
  users:
    - { id: u-1, username: Aladdin, account: acc-1, password: {aladdin}, roles: ["Communication Manager", "Account Manager"] }
    - { id: u-2, username: DD2020, account: acc-1, roles: ["Communication Manager"] }
  api_keys: [{ id: k-send, account: acc-1, secret: {sender}, scopes: ["sms:message:send"] }]
mine:
  users: [{ id: u-1, username: admin, account: a-1, password: {admin} }]
  api_keys: [{ id: k-1, account: a-1, secret: {mine} }]
"#;

/// The directory, as it is imported.
pub(super) fn directory() -> String {
    [
        ("{acme}", ACMES_KEY),
        ("{john}", JOHN),
        ("{totp}", TOTP),
        ("{handle}", HANDLE),
        ("{callify}", CALLIFY),
        ("{sip}", SIP),
        ("{aladdin}", ALADDIN),
        ("{sender}", SENDER),
        ("{admin}", ADMIN),
        ("{mine}", MINE),
    ]
    .iter()
    .fold(DIRECTORY.to_owned(), |text, (slot, it)| {
        text.replace(slot, it)
    })
}

/// Starts a server on a Redis, which asks this endpoint about tokens, and tells this collector.
pub(super) fn start(redis: &str, introspect: &str, collector: &str) -> Server {
    let config = CONFIG
        .replace("{redis}", redis)
        .replace("{graph}", &GRAPH.url())
        .replace("{introspect}", introspect)
        .replace("{collector}", collector);
    Server::start_with(
        &config,
        &[
            ("redis.password", REDIS),
            ("pepper", PEPPER),
            ("signing.pem", &issuers::SIGNING_PEM),
            ("crossbar.pem", &issuers::CROSSBAR.public_pem()),
            ("opentact.secret", issuers::OPENTACT_SECRET),
            ("infobip.secret", issuers::INFOBIP_SECRET),
            ("facebook.secret", APP_SECRET),
            ("client.secret", CLIENT),
            ("headers", &format!("authorization: {COLLECTORS}")),
        ],
    )
}

pub(super) fn md5(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

pub(super) fn sha1(text: &str) -> String {
    hex(&Sha1::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

pub(super) fn basic(name: &str, secret: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{name}:{secret}"))
    )
}

/// A request for Check: host, method, path, and headers.
pub(super) type Presented = (
    &'static str,
    &'static str,
    String,
    Vec<(&'static str, String)>,
);

/// One request for each way to present a credential, as whoever has this to add to each secret; empty: the right ones.
pub(super) fn presented(wrong: &str) -> Vec<Presented> {
    let john = format!("john@example.com:{JOHN}{wrong}");
    let cut = |token: String| format!("{token}{}", wrong.replace(['-', '!'], "A"));
    let johns = cut(issuers::CROSSBAR.token(&johns()));
    let callifys = cut(OPENTACT.token(&callifys()));
    let users = format!("/v2/accounts/{ACME}/users");
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let sms = || "/sms/3/messages".to_owned();
    let ha1b = md5(&format!("1000@mydomain.com:mydomain.com:{SIP}{wrong}"));
    vec![
        (
            CROSSBAR,
            "GET",
            users.clone(),
            vec![("authorization", basic(ACME, &md5(&john)))],
        ),
        (
            CROSSBAR,
            "GET",
            users.clone(),
            vec![("x-auth-token", johns.clone())],
        ),
        (
            CROSSBAR,
            "GET",
            users.clone(),
            bearer(&format!("{HANDLE}{wrong}")),
        ),
        (
            CROSSBAR,
            "GET",
            format!("{users}?auth_token={johns}"),
            vec![],
        ),
        (
            CROSSBAR,
            "GET",
            format!("/v2/user_auth/{johns}"),
            vec![("x-auth-token", johns)],
        ),
        (
            SHA,
            "GET",
            users,
            vec![("authorization", basic(ACME, &sha1(&john)))],
        ),
        (
            OPENTACT_HOST,
            "GET",
            "/rest/user".into(),
            vec![(
                "authorization",
                basic("opentact@callify.io", &format!("{CALLIFY}{wrong}")),
            )],
        ),
        (
            OPENTACT_HOST,
            "GET",
            "/rest/user".into(),
            vec![("x-auth-ha1b-token", ha1b.clone())],
        ),
        (
            OPENTACT_HOST,
            "GET",
            format!("/rest/user?jwt={callifys}"),
            vec![],
        ),
        (
            OPENTACT_HOST,
            "GET",
            format!("/rest/user?ha1b={ha1b}"),
            vec![],
        ),
        (
            OPENTACT_HOST,
            "GET",
            "/rest/user".into(),
            vec![("x-auth-token", callifys)],
        ),
        (
            OPENTACT_HOST,
            "GET",
            "/rest/user".into(),
            vec![("x-auth-facebook-token", format!("{CALLIFYS}{wrong}"))],
        ),
        (
            INFOBIP_HOST,
            "POST",
            sms(),
            vec![(
                "authorization",
                basic("Aladdin", &format!("{ALADDIN}{wrong}")),
            )],
        ),
        (
            INFOBIP_HOST,
            "POST",
            sms(),
            vec![(
                "authorization",
                format!("App {SENDER}{}", wrong.replace(['-', '!'], "a")),
            )],
        ),
        (
            INFOBIP_HOST,
            "POST",
            sms(),
            bearer(&cut(INFOBIP.token(&dd2020s()))),
        ),
        (
            MY,
            "GET",
            "/orders/1".into(),
            vec![("x-my-key", format!("{MINE}{wrong}"))],
        ),
        (MY, "GET", format!("/orders/1?my-key={MINE}{wrong}"), vec![]),
        (
            MY,
            "GET",
            "/orders/1".into(),
            vec![("authorization", basic("admin", &format!("{ADMIN}{wrong}")))],
        ),
        (
            MY,
            "GET",
            "/orders/1".into(),
            bearer(&format!("{OPAQUE}{wrong}")),
        ),
    ]
}

/// Every secret of the server, and what clients present of it.
pub(super) fn marks() -> Marks {
    let mut marks = Marks::default();
    let john = format!("john@example.com:{JOHN}");
    for (name, secret) in [
        ("the Redis password", REDIS),
        ("the pepper", PEPPER),
        ("a seed", TOTP),
        ("the client's secret", CLIENT),
        ("the collector's", COLLECTORS),
        ("the app's secret", APP_SECRET),
        ("opentact's secret", issuers::OPENTACT_SECRET),
        ("infobip's secret", issuers::INFOBIP_SECRET),
        ("an account's key", ACMES_KEY),
        ("a handle", HANDLE),
        ("john's password", JOHN),
        ("callify's password", CALLIFY),
        ("callify's SIP password", SIP),
        ("aladdin's password", ALADDIN),
        ("an API key", SENDER),
        ("my key", MINE),
        ("an admin's password", ADMIN),
        ("an opaque token", OPAQUE),
        ("a Facebook token", CALLIFYS),
        ("MD5 of john", &md5(&john)),
        ("SHA-1 of john", &sha1(&john)),
        (
            "HA1B",
            &md5(&format!("1000@mydomain.com:mydomain.com:{SIP}")),
        ),
    ] {
        marks.add(name, secret);
    }
    let pem: String = issuers::SIGNING_PEM
        .lines()
        .filter(|it| !it.starts_with('-'))
        .collect();
    marks.add("the signing key", &pem[100..140]);
    for (name, token) in [
        ("john's token", issuers::CROSSBAR.token(&johns())),
        ("callify's token", OPENTACT.token(&callifys())),
        ("DD2020's token", INFOBIP.token(&dd2020s())),
    ] {
        marks.add(name, token.rsplit('.').next().expect("a signature"));
    }
    marks
}

/// Whoever asks.
#[derive(Debug)]
pub(super) struct Asker {
    check: CheckClient,
    issue: SocketAddr,
}

impl Asker {
    pub(super) async fn of(server: &Server) -> Self {
        Self {
            check: CheckClient::connect(server.grpc()).await,
            issue: server.issue(),
        }
    }

    pub(super) async fn raw(&mut self, message: bytes::Bytes) -> Answer {
        ask(&mut self.check, message).await
    }

    pub(super) async fn check(&mut self, (host, method, path, headers): &Presented) -> Answer {
        let mut request = Ask::new(host, method, path.as_str());
        "192.0.2.1".clone_into(&mut request.peer);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        ask(&mut self.check, request.listed()).await
    }

    /// Asks an endpoint that issues, as an Envoy does: only what Check has admitted.
    pub(super) async fn endpoint(&mut self, asked: &Presented, body: &str) -> (Answer, Response) {
        let admitted = self.check(asked).await;
        let context = admitted
            .headers
            .iter()
            .find(|it| it.0 == "x-portcullis-context");
        let (_, context) = context.unwrap_or_else(|| panic!("{asked:?}: {admitted:?}"));
        let (host, method, path, headers) = asked;
        let mut request = Request::new(method, path)
            .header("host", host)
            .header("x-portcullis-context", context);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = exchange(self.issue, &request.body(body)).await;
        (admitted, response)
    }
}

/// Gives every text of an answer that may leave the server: all but the sealed context, which it opens itself.
pub(super) fn told(answer: &Answer) -> String {
    let headers = answer
        .headers
        .iter()
        .filter(|it| it.0 != "x-portcullis-context");
    let headers: Vec<_> = headers.collect();
    format!("{headers:?} {:?} {}", answer.metadata, answer.body)
}

/// Gives a text that must stand at a pointer of an answer.
pub(super) fn given(response: &Response, pointer: &str) -> String {
    let body: Value = response.json();
    let text = body.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("{}: {}", response.status, response.text()))
        .to_owned()
}
