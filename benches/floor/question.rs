//! What is asked, and what is a right answer to it.
//!
//! One request of an ordinary API client, with an API key and 21 headers, to the largest of the three presets, so
//! that its several hundred rules stand behind the hit.

use bytes::Bytes;
use portcullis::envoy::protos::auth::attribute_context::{HttpRequest, Peer, Request};
use portcullis::envoy::protos::auth::check_response::HttpResponse;
use portcullis::envoy::protos::auth::{AttributeContext, CheckRequest, CheckResponse};
use portcullis::envoy::protos::core::{Address, SocketAddress};
use portcullis::envoy::protos::rpc::Status;
use prost::Message;

/// The configuration of the server, as `tests/support/server.rs` fills it in.
pub const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
store: { url: "memory:", directory_file: directory.yaml }
# Longer than a run: what is measured is hits.
cache: { ttl_seconds: 3600, denial_ttl_seconds: 3600 }
client_address: { from: peer }
telemetry: { log: warn }
platforms:
  - { name: crossbar, preset: crossbar, hosts: [crossbar.example.com] }
  - { name: opentact, preset: opentact, hosts: [opentact.example.com] }
  - { name: infobip, preset: infobip, hosts: [infobip.example.com] }
"#;

/// The directory: a record of each kind on each platform that has it.
pub const DIRECTORY: &str = r#"
crossbar:
  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: ACME }]
  users:
    - { id: 8e248327b85591955749e53ea45b6baa, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: m32c6NfqYEt }
opentact:
  accounts: [{ id: f2cb79fb-6bf8-4484-8034-debf95aac73b, name: DENOVOLAB }]
  users:
    - { id: 0116f6d1-1280-44b2-9134-da48509ec575, account: f2cb79fb-6bf8-4484-8034-debf95aac73b, email: info@example.org, password: 5cFgLs0kBw }
infobip:
  accounts: [{ id: acc-1, name: Bench }]
  users: [{ id: u-1, username: Aladdin, account: acc-1, password: openSesame, roles: [Communication Manager] }]
  api_keys:
    - { id: k-1, account: acc-1, secret: 003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9, scopes: ["sms:message:send"] }
"#;

/// What is asked, by what is to come of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Leave, by a key that is known.
    Hit,
    /// A denial, by a key that is known to be nobody's.
    Denial,
    /// Leave, without a key, for what is public.
    Public,
}

impl Asked {
    /// Gives the labels under which Portcullis counts it.
    pub fn counted_as(self) -> &'static str {
        match self {
            Self::Hit => r#"outcome="allow",cache="hit""#,
            Self::Denial => r#"outcome="deny",cache="hit""#,
            Self::Public => r#"outcome="allow",cache="none""#,
        }
    }

    /// Tells whether the answer is the right one.
    pub fn is_answered_by(self, answer: &[u8]) -> bool {
        Gist::decode(answer).is_ok_and(|it| {
            let code = it.status.map(|it| it.code);
            match self {
                Self::Hit | Self::Public => it.ok_response.is_some() && code == Some(0),
                Self::Denial => it.denied_response.is_some() && code == Some(16),
            }
        })
    }

    /// Gives the headers of the question, and what of them differs.
    fn headers(self) -> Vec<(&'static str, &'static str)> {
        let other = |(name, value)| match (self, name) {
            (Self::Denial, "authorization") => Some((
                name,
                "App 00000000000000000000000000000000-00000000-0000-0000-0000-000000000000",
            )),
            (Self::Public, ":method") => Some((name, "GET")),
            (Self::Public, ":path") => Some((name, "/camara/number-verification/v0/authorize")),
            (Self::Public, "authorization") => None,
            _ => Some((name, value)),
        };
        HEADERS.into_iter().filter_map(other).collect()
    }
}

/// The headers as Envoy sends them: pseudo headers among them, its own added.
pub const HEADERS: [(&str, &str); 21] = [
    (":authority", "infobip.example.com"),
    (":method", "POST"),
    (":path", "/sms/3/messages"),
    (":scheme", "https"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,hr;q=0.8"),
    (
        "authorization",
        "App 003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9",
    ),
    ("cache-control", "no-cache"),
    ("content-length", "312"),
    ("content-type", "application/json; charset=utf-8"),
    (
        "cookie",
        "sid=3f9c2b7e51d04a86b1c7e0f2a9d84c63; theme=dark; consent=analytics%3D0%26marketing%3D0; \
         _ga=GA1.2.1187349201.1795361664; _gid=GA1.2.640912377.1795361664; seen=2026-11-21T17%3A40Z; lb=node-17; locale=en-GB; feature=beta%2Cbulk%2Cpreview; \
         csrf=9be1d7c04f6a4a1c8f0b3c55d2e7a690; \
         ab=compose%3Aedit-v2%7Ctemplates%3Agrid%7Cbilling%3Anew%7Cinbox%3Athreads; \
         device=7d1c40be9f5e4d0b8a6f2e3c1b0a9988; \
         profile=TUlJQ0lqQU5CZ2txaGtpRzl3MEJBUUVGQUFPQ0FnOEFNSUlDQ2dLQ0FnRUF2cHl4YzJQZDFwWk5mR2tVb0hZdUxqc2J\
         WcXh3ZkVyVHlVaW9QYXNEZkdoSmtMelhjVmJObXExd2VSdHlVaW9wQXNkZkdoSktsWnhDdmJubTBRd0VydHlVSW9QYVNkRmd\
         ISmtsWnhjVmJubVF3ZXJUeVVpT3BhU2RmR2hKa2x6WGNWYm5tUXdlUnR5VWlvUGFzRGZnSGpLTHp4Q3ZCTm0xMjM0NTY3ODk; tz=Europe%2FZagreb; last=%2Fdashboard%2Fmessages%3Fpage%3D3%26sort%3Dsent",
    ),
    ("idempotency-key", "0d9f7c52-7b1e-4a47-9c1d-5e5c3f0a8b21"),
    ("origin", "https://console.example.com"),
    (
        "referer",
        "https://console.example.com/messages/compose?template=welcome",
    ),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("x-forwarded-for", "198.51.100.23"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "03e95f6b-4339-406f-a668-aeb79d3823a1"),
];

/// Writes the question.
pub fn message(asked: Asked) -> Bytes {
    message_of(&asked.headers()).into()
}

/// Writes a question with these headers, pseudo headers among them.
pub fn message_of<T: AsRef<str>>(headers: &[(T, T)]) -> Vec<u8> {
    let value = |name| {
        let header = headers.iter().find(|it| it.0.as_ref() == name);
        header.expect("a header of this name").1.as_ref().to_owned()
    };
    let http = HttpRequest {
        method: value(":method"),
        path: value(":path"),
        host: value(":authority"),
        scheme: value(":scheme"),
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()))
            .collect(),
        ..HttpRequest::default()
    };
    let peer = Address {
        socket_address: Some(SocketAddress {
            address: "198.51.100.23".to_owned(),
        }),
    };
    let attributes = AttributeContext {
        source: Some(Peer {
            address: Some(peer),
            ..Peer::default()
        }),
        request: Some(Request { http: Some(http) }),
        ..AttributeContext::default()
    };
    let request = CheckRequest {
        attributes: Some(attributes),
    };
    request.encode_to_vec()
}

/// What of an answer is read each time: reading all of it would make the generator dearer than the servers.
#[derive(Clone, PartialEq, Message)]
struct Gist {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied_response: Option<()>,
    #[prost(message, optional, tag = "3")]
    ok_response: Option<()>,
}

/// Tells whether the answer lets the request pass as the account that the key belongs to.
pub fn allows_the_account(answer: &[u8]) -> bool {
    let Ok(CheckResponse {
        http_response: Some(HttpResponse::OkResponse(ok)),
        ..
    }) = CheckResponse::decode(answer)
    else {
        return false;
    };
    let mut headers = ok.headers.iter().filter_map(|it| it.header.as_ref());
    headers.any(|it| it.key == "x-auth-account" && it.value == "acc-1")
}
