//! TLS of the listeners that others than this machine may reach (`listen.tls`).

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{CertificateParams, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use support::client::{Client, Request};
use support::envoy::Envoy;
use support::http::fetch;
use support::server::Server;
use support::tls::{Authority, Certificate};
use support::upstream::Upstream;

const CONFIG: &str = r#"
listen:
  grpc: ["127.0.0.1:{grpc}"]
  admin: "127.0.0.1:{admin}"
  issue: "127.0.0.1:{issue}"
  tls: { cert_file: own.pem, key_file: own.key{more} }
store: { url: "memory:", directory_file: directory.yaml }
client_address: { from: peer }
platforms:
  - name: mine
    hosts: ["*"]
    https: deny
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ name: all, paths: ["/**"] }]
"#;

const DIRECTORY: &str = r#"
mine:
  accounts: [{ id: shop, name: Shop }]
  api_keys: [{ id: k, account: shop, secret: an-example-key-3f8a1c5e7b9d2406 }]
"#;

/// Longer than a handshake may take, with time for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with a certificate of this authority, that takes whoever has one of `clients`, or anybody.
fn start(authority: &Authority, clients: Option<&Authority>) -> Server {
    let (certificate, key) = authority.certify_server().pem();
    let more = clients.map_or("", |_| ", client_ca_file: clients.pem");
    let clients = clients.map(Authority::pem).unwrap_or_default();
    let files = [
        ("directory.yaml", DIRECTORY),
        ("own.pem", &certificate),
        ("own.key", &key),
        ("clients.pem", &clients),
    ];
    Server::start_with(&CONFIG.replace("{more}", more), &files)
}

fn client_of(authority: &Authority) -> Certificate {
    authority.certify(&CertificateParams::new(["envoy".to_owned()]).expect("a name"))
}

/// Asks for what only Check may let pass, so that an answer is a 403.
async fn ask(to: SocketAddr, trusted: &Authority, as_whom: Option<&Certificate>) -> Option<u16> {
    let request = Request::new("GET", "/any").header("host", "localhost");
    let answer = trusted.exchange(to, as_whom, &request).await;
    answer.ok().map(|it| it.status)
}

#[tokio::test]
async fn who_shows_a_certificate_of_the_authority_is_answered_and_nobody_else() {
    let (ours, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = start(&ours, Some(&clients));
    for (certificate, want) in [
        (Some(client_of(&clients)), Some(403)),
        (None, None),
        (Some(client_of(&others)), None),
        // Whoever vouches for the server vouches for no client.
        (Some(client_of(&ours)), None),
        (Some(client_of(&clients)), Some(403)),
    ] {
        let got = ask(server.issue(), &ours, certificate.as_ref()).await;
        assert_eq!(got, want);
    }
    // Who shows a server of its own is not believed either.
    assert_eq!(
        ask(server.issue(), &others, Some(&client_of(&clients))).await,
        None
    );
    server.await_log("TLS handshake failed", PATIENCE);
}

#[tokio::test]
async fn anybody_is_answered_over_tls_and_nobody_without_it_but_at_the_admin_listener() {
    let ours = Authority::new();
    let server = start(&ours, None);
    assert_eq!(ask(server.issue(), &ours, None).await, Some(403));
    let request = Request::new("GET", "/healthz")
        .header("host", "any")
        .to_bytes();
    let mut operator = Client::connect(server.admin()).await;
    assert_eq!(operator.exchange(&request).await.status, 200);
    for (to, plain) in [
        (server.issue(), &*request),
        (server.grpc(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let said = closed(to, plain).await;
        // An alert at most (RFC 8446 section 6), and no answer.
        assert!(said.first().is_none_or(|it| *it == 21), "{said:?}");
    }
}

#[tokio::test]
async fn peers_that_do_not_finish_the_handshake_are_closed() {
    let server = start(&Authority::new(), None);
    for to in [server.issue(), server.grpc()] {
        // The head of a record (RFC 8446 section 5.1) that is to come.
        for said in [b"".as_slice(), &[22, 3, 1, 2, 0]] {
            closed(to, said).await;
        }
    }
}

/// Says something, and gives what is said until the connection is closed.
async fn closed(to: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut peer = TcpStream::connect(to).await.expect("a listener");
    peer.write_all(said).await.expect("an open connection");
    let mut heard = Vec::new();
    // A reset is an end as well.
    let end = timeout(PATIENCE, peer.read_to_end(&mut heard)).await;
    assert!(end.is_ok(), "open after {PATIENCE:?}");
    heard
}

#[tokio::test]
async fn an_envoy_asks_over_tls_with_its_certificate_and_gets_no_answer_without() {
    // Envoy takes a certificate that is called as whoever vouches for it for one that vouches for itself.
    let (ours, clients) = (Authority::called("ours"), Authority::called("clients"));
    let server = start(&ours, Some(&clients));
    let upstream = Upstream::start();
    let certificate = client_of(&clients);
    // What Envoy says where it gets no answer, unless its `status_on_error` is set.
    const NO_ANSWER: u16 = 403;
    for (own, key, want) in [
        (Some(&certificate), "an-example-key-3f8a1c5e7b9d2406", 200),
        (Some(&certificate), "another", 401),
        (None, "an-example-key-3f8a1c5e7b9d2406", NO_ANSWER),
    ] {
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .tls(&ours)
            .check_tls(&ours, own)
            .start();
        let request = Request::new("GET", "/orders")
            .header("host", "localhost")
            .header("x-key", key);
        let answer = ours.exchange(envoy.tls(), None, &request).await;
        assert_eq!(answer.expect("an answer").status, want, "{key}");
    }
}

#[tokio::test]
async fn certificates_are_read_again_when_they_change_and_bad_ones_stay_out() {
    let (before, after) = (Authority::new(), Authority::new());
    let server = start(&before, None);
    assert_eq!(ask(server.issue(), &before, None).await, Some(403));

    // The key of another.
    server.write("own.key", &after.certify_server().pem().1);
    server.signal("HUP");
    server.await_log("the key is not that of the certificate", PATIENCE);
    assert_eq!(ask(server.issue(), &before, None).await, Some(403));

    let (certificate, key) = after.certify_server().pem();
    server.write("own.pem", &certificate);
    server.write("own.key", &key);
    server.await_log("another configuration is in force", PATIENCE);
    assert_eq!(ask(server.issue(), &after, None).await, Some(403));
    assert_eq!(ask(server.issue(), &before, None).await, None);
}

#[tokio::test]
async fn until_when_certificates_are_valid_is_told_and_anew_when_others_take_their_place() {
    let authority = Authority::new();
    let server = start(&authority, None);
    let told = || {
        let metrics = fetch(server.admin(), "/metrics").expect("an answer");
        let lines = metrics.text().lines();
        let told =
            lines.filter(|it| it.starts_with("portcullis_certificate_expiry_timestamp_seconds"));
        let mut told: Vec<_> = told.map(str::to_owned).collect();
        told.sort();
        told
    };
    let both = |until: u64| {
        ["grpc", "issue"].map(|it| {
            format!("portcullis_certificate_expiry_timestamp_seconds{{listener=\"{it}\"}} {until}")
        })
    };
    // 4096-01-01, where nothing is said.
    assert_eq!(told(), both(67_090_118_400));

    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(2030, 1, 1);
    let (certificate, key) = authority.certify(&params).pem();
    server.write("own.pem", &certificate);
    server.write("own.key", &key);
    server.await_log("another configuration is in force", PATIENCE);
    assert_eq!(told(), both(1_893_456_000));
    let page = fetch(server.admin(), "/").expect("an answer");
    for shown in [
        "Certificate of grpc",
        "Certificate of issue",
        "valid until 2030-01-01 00:00:00Z",
    ] {
        assert!(page.text().contains(shown), "{shown} in\n{}", page.text());
    }
}
