//! Asks the server, and reads what it answers.
//!
//! [`read`] demands of every answer what Envoy must be able to rely on: that an allow says so, that a denial has a
//! status that denies and an HTTP status, that each header is one, and that those for the upstream overwrite.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use prost::Message;

use portcullis::envoy::protos::auth::attribute_context::{HttpRequest, Peer, Request};
use portcullis::envoy::protos::auth::check_response::HttpResponse;
use portcullis::envoy::protos::auth::{AttributeContext, CheckRequest, CheckResponse};
use portcullis::envoy::protos::core::{
    Address, HeaderMap, HeaderValue, HeaderValueOption, SocketAddress,
};

use crate::support::check::CheckClient;
use crate::support::sample::{CONFIG, start};
use crate::support::server::Server;

/// `OVERWRITE_IF_EXISTS_OR_ADD` (envoy.config.core.v3.HeaderValueOption).
const OVERWRITE: i32 = 2;

/// The server that most tests here share; it starts with the first and ends with the process.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start(CONFIG))
}

/// A client over TCP and one over the Unix socket.
pub(crate) async fn clients() -> [CheckClient; 2] {
    let server = server();
    [
        CheckClient::connect(server.grpc()).await,
        CheckClient::connect_unix(&server.path("check.sock")).await,
    ]
}

/// A request that an Envoy asks about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) host: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) peer: String,
    pub(crate) platform: Option<String>,
}

impl Ask {
    pub(crate) fn new(host: &str, method: &str, path: impl Into<String>) -> Self {
        Self {
            host: host.to_owned(),
            method: method.to_owned(),
            path: path.into(),
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// As Envoy asks by default: a map, values of one name joined, bytes that are not UTF-8 replaced.
    pub(crate) fn mapped(&self) -> Bytes {
        let mut http = self.http();
        for (name, value) in &self.headers {
            let text = String::from_utf8(value.clone());
            let text = text.unwrap_or_else(|_| "!".repeat(value.len()));
            let joined = http.headers.entry(name.to_ascii_lowercase());
            joined
                .and_modify(|it| *it = format!("{it},{text}"))
                .or_insert(text);
        }
        self.message(http)
    }

    /// As Envoy asks under `encode_raw_headers`: a list of bytes as they came.
    pub(crate) fn listed(&self) -> Bytes {
        let headers = self.headers.iter().map(|(name, value)| HeaderValue {
            key: name.to_ascii_lowercase(),
            raw_value: value.clone(),
            ..HeaderValue::default()
        });
        let headers = headers.collect();
        self.message(HttpRequest {
            header_map: Some(HeaderMap { headers }),
            ..self.http()
        })
    }

    fn http(&self) -> HttpRequest {
        HttpRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            scheme: "http".to_owned(),
            ..HttpRequest::default()
        }
    }

    fn message(&self, http: HttpRequest) -> Bytes {
        let address = Address {
            socket_address: Some(SocketAddress {
                address: self.peer.clone(),
            }),
        };
        let extensions = self.platform.iter();
        let attributes = AttributeContext {
            source: Some(Peer {
                address: Some(address),
                ..Peer::default()
            }),
            request: Some(Request { http: Some(http) }),
            context_extensions: extensions
                .map(|it| ("platform".to_owned(), it.clone()))
                .collect(),
        };
        let attributes = Some(attributes);
        CheckRequest { attributes }.encode_to_vec().into()
    }
}

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The HTTP status of a denial; 200 is an allow.
    pub(crate) status: u16,
    /// Set for the upstream by an allow, for the client by a denial.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) removed: Vec<String>,
    pub(crate) removed_parameters: Vec<String>,
    pub(crate) body: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Asks, and reads the answer.
pub(crate) async fn ask(client: &mut CheckClient, message: Bytes) -> Answer {
    let answer = client.check(message).await;
    read(answer.expect("every question has an answer on an RPC that is OK"))
}

/// Reads an answer; panics where it is not what every answer must be.
pub(crate) fn read(bytes: Bytes) -> Answer {
    let response = CheckResponse::decode(bytes).expect("a CheckResponse");
    let code = response
        .status
        .expect("a status: Envoy allows without one")
        .code;
    let fields = response.dynamic_metadata.expect("metadata").fields;
    let metadata = fields
        .into_iter()
        .map(|(key, value)| (key, text(value)))
        .collect();
    match response.http_response.expect("an answer of one kind") {
        HttpResponse::OkResponse(ok) => {
            assert_eq!(code, 0, "an allow that Envoy would not take for one");
            let options = ok.headers.iter();
            let overwrites = options.filter(|it| it.append_action != OVERWRITE).count();
            assert_eq!(overwrites, 0, "a header is added to the client's own");
            Answer {
                status: 200,
                headers: headers(&ok.headers),
                removed: ok.headers_to_remove,
                removed_parameters: ok.query_parameters_to_remove,
                metadata,
                ..Answer::default()
            }
        }
        HttpResponse::DeniedResponse(denied) => {
            assert_ne!(code, 0, "a denial that Envoy would take for an allow");
            let status = denied.status.expect("an HTTP status").code;
            assert!((300..600).contains(&status), "{status} does not deny");
            Answer {
                status: u16::try_from(status).expect("a status"),
                headers: headers(&denied.headers),
                body: denied.body,
                metadata,
                ..Answer::default()
            }
        }
    }
}

/// Envoy writes names and values through as they are, so that a line break in one would be a header more.
fn headers(options: &[HeaderValueOption]) -> Vec<(String, String)> {
    let headers = options
        .iter()
        .map(|it| it.header.clone().expect("a header"));
    let headers = headers.inspect(|it| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(
            !it.key.is_empty() && it.key.bytes().all(token),
            "{:?} is no name of a header",
            it.key
        );
        assert!(
            it.value.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{:?} is no value of a header",
            it.value
        );
        assert!(it.raw_value.is_empty(), "Envoy does not read raw values");
    });
    headers.map(|it| (it.key, it.value)).collect()
}

fn text(value: prost_types::Value) -> String {
    match value.kind {
        Some(prost_types::value::Kind::StringValue(text)) => text,
        other => panic!("not a text: {other:?}"),
    }
}
