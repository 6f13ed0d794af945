//! Client certificates (`kind: mtls`), at Envoys that verify them: who has one is the user linked to its name.

use rcgen::{CertificateParams, DistinguishedName, DnType, SanType, date_time_ymd};

use crate::support::client::Request;
use crate::support::envoy::Envoy;
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::PEPPER;
use crate::support::server::Server;
use crate::support::tls::{Authority, Certificate};
use crate::support::upstream::{Seen, Upstream};

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
{store}
check: { deadline_ms: 20000 }
platforms:
  - name: services
    hosts: ["*"]
    https: deny
    schemes: { mesh: { kind: mtls } }
    rules:
      - { methods: [GET], paths: ["/public/**"], allow: public }
      - { paths: ["/**"] }
    errors:
      - body: { trouble: "{reason}" }
"#;

const DIRECTORY: &str = r#"
services:
  users:
    - { id: u-orders, username: orders, account: shop, roles: [caller], links: [{ issuer: mtls, subject: "spiffe://example.org/ns/shop/sa/orders" }] }
    - { id: u-host, username: host, links: [{ issuer: mtls, subject: orders.example.org }] }
    - { id: u-subject, username: subject, links: [{ issuer: mtls, subject: "CN=shop orders" }] }
    - { id: u-off, username: off, enabled: false, links: [{ issuer: mtls, subject: "spiffe://example.org/ns/shop/sa/off" }] }
"#;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";
const OFF: &str = "spiffe://example.org/ns/shop/sa/off";
const STRANGER: &str = "spiffe://example.org/ns/shop/sa/orders2";
const HOST: &str = "orders.example.org";

/// What a certificate says; its subject is `CN=shop orders`.
fn named(uris: &[&str], hosts: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let subject = &mut params.distinguished_name;
    subject.push(DnType::CommonName, "shop orders");
    let text = |it: &&str| (*it).try_into().expect("ASCII");
    let hosts = hosts.iter().map(|it| SanType::DnsName(text(it)));
    let uris = uris.iter().map(|it| SanType::URI(text(it)));
    params.subject_alt_names = hosts.chain(uris).collect();
    params
}

/// Where a request ends.
#[derive(Debug, PartialEq)]
enum End {
    /// At Envoy: there was no request.
    Handshake,
    /// At Portcullis, with this answer.
    Refused(u16, String),
    /// At the upstream, which was told of this identity.
    Reached(String),
}

/// Where a request is sent.
enum Listener {
    /// Takes nobody without a certificate.
    Demanding,
    /// Takes whoever comes, and no certificate that is not good.
    Asking,
}

use End::{Handshake, Reached, Refused};
use Listener::{Asking, Demanding};

#[tokio::test]
async fn who_has_a_certificate_is_the_user_linked_to_its_name_on_a_server_in_memory() {
    let store = "store: { directory_file: directory.yaml }";
    check(&start(store)).await;
}

#[tokio::test]
async fn who_has_a_certificate_is_the_user_linked_to_its_name_on_a_redis() {
    let redis = RedisServer::start(Product::Redis);
    let url = redis.url();
    let store = format!("store: {{ url: \"{url}\", pepper_files: [pepper], timeout_ms: 10000 }}");
    let server = start(&store);
    server.command("import -", DIRECTORY);
    check(&server).await;
}

fn start(store: &str) -> Server {
    let config = CONFIG.replace("{store}", store);
    let files = [("directory.yaml", DIRECTORY), ("pepper", PEPPER)];
    Server::start_with(&config, &files)
}

/// Sends requests with certificates, and always with the headers by which a client without could say to have one.
async fn check(server: &Server) {
    let (authority, another) = (Authority::new(), Authority::new());
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address())
        .tls(&authority)
        .start();
    for (what, listener, path, certificate, want) in rows(&authority, &another) {
        let request = Request::new("GET", path)
            .header("host", "localhost")
            .header("x-forwarded-client-cert", format!("URI={ORDERS}"))
            .header("x-auth-user", "u-orders");
        let to = match listener {
            Demanding => envoy.mtls(),
            Asking => envoy.tls(),
        };
        let before = upstream.seen().len();
        let answer = authority.exchange(to, certificate.as_ref(), &request).await;
        let got = match (answer, upstream.seen().get(before)) {
            (Err(_), None) => Handshake,
            (Ok(answer), None) => Refused(answer.status, answer.text().to_owned()),
            (_, Some(seen)) => Reached(told(seen)),
        };
        assert_eq!(got, want, "{what}: {}", envoy.log());
    }
    for (statistic, want) in [
        ("listener.mtls.ssl.fail_verify_no_cert", 1),
        ("listener.mtls.ssl.fail_verify_error", 2),
        ("listener.tls.ssl.fail_verify_error", 1),
    ] {
        assert_eq!(envoy.statistic(statistic), want, "{statistic}");
    }
}

/// Name, listener, path, certificate, and where it ends.
#[rustfmt::skip]
fn rows(authority: &Authority, another: &Authority) -> Vec<(&'static str, Listener, &'static str, Option<Certificate>, End)> {
    let of = |uris: &[&str], hosts: &[&str]| Some(authority.certify(&named(uris, hosts)));
    let others = || Some(another.certify(&named(&[ORDERS], &[])));
    let mut over = named(&[ORDERS], &[]);
    over.not_after = date_time_ymd(2020, 1, 1);
    let refused = |reason: &str| Refused(401, format!(r#"{{"trouble":"{reason}"}}"#));
    let reached = |identity: &str| Reached(identity.to_owned());
    vec![
        ("a linked service", Demanding, "/a", of(&[ORDERS], &[]), reached("services shop mesh u-orders")),
        ("another certificate of it", Demanding, "/a", of(&[ORDERS], &[]), reached("services shop mesh u-orders")),
        ("where none is demanded", Asking, "/a", of(&[ORDERS], &[]), reached("services shop mesh u-orders")),
        ("on a public path", Asking, "/public/a", of(&[ORDERS], &[]), reached("services shop mesh u-orders")),
        ("a host, where there is no URI", Demanding, "/a", of(&[], &[HOST]), reached("services mesh u-host")),
        ("a subject, where there is neither", Demanding, "/a", of(&[], &[]), reached("services mesh u-subject")),
        ("a service that nobody has linked", Demanding, "/a", of(&[STRANGER], &[]), refused("unknown")),
        ("the same on a public path", Demanding, "/public/a", of(&[STRANGER], &[]), refused("unknown")),
        ("a linked name that is the second", Demanding, "/a", of(&[STRANGER, ORDERS], &[]), refused("unknown")),
        ("a linked host beside a URI", Demanding, "/a", of(&[STRANGER], &[HOST]), refused("unknown")),
        ("a service that is switched off", Demanding, "/a", of(&[OFF], &[]), refused("disabled")),
        ("none", Asking, "/a", None, refused("missing")),
        ("none on a public path", Asking, "/public/a", None, reached("services")),
        ("none where one is demanded", Demanding, "/public/a", None, Handshake),
        ("another authority's", Demanding, "/a", others(), Handshake),
        ("another authority's on a public path, where none is demanded", Asking, "/public/a", others(), Handshake),
        ("one that is over", Demanding, "/a", Some(authority.certify(&over)), Handshake),
    ]
}

/// Who the upstream was told that it is, in every header of that.
fn told(seen: &Seen) -> String {
    let of = |name: &str| seen.headers_named(&format!("x-auth-{name}"));
    ["platform", "account", "scheme", "user"]
        .map(of)
        .concat()
        .join(" ")
}
