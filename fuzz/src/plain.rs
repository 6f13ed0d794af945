//! Requests as text, which a fuzzer changes more aptly than it does a message.

use bytes::Bytes;
use portcullis::envoy::protos::auth::attribute_context::{HttpRequest, Peer, Request};
use portcullis::envoy::protos::auth::{AttributeContext, CheckRequest};
use portcullis::envoy::protos::core::{Address, HeaderMap, HeaderValue, SocketAddress};
use prost::Message as _;

/// A request: `PLATFORM PEER METHOD TARGET`, and lines `name: value`.
#[derive(Clone)]
pub(crate) struct Plain {
    /// The platform that the route names; with a dot in it, the host instead.
    pub(crate) platform: String,
    pub(crate) peer: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Plain {
    /// Reads it; `None` where there is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|it| *it == b'\n');
        let first = str::from_utf8(lines.next()?).ok()?;
        let mut words = first.splitn(4, ' ').map(str::to_owned);
        let mut next = || words.next();
        let (platform, peer, method, target) = (next()?, next()?, next()?, next()?);
        let header = |line: &[u8]| {
            let colon = line.iter().position(|it| *it == b':')?;
            let name = str::from_utf8(&line[..colon]).ok()?;
            let value = &line[colon + 1..];
            Some((
                name.to_owned(),
                value.strip_prefix(b" ").unwrap_or(value).to_vec(),
            ))
        };
        let headers = lines.filter_map(header).collect();
        Some(Self {
            platform,
            peer,
            method,
            target,
            headers,
        })
    }
}

/// Writes what Envoy would ask.
pub(crate) fn message(plain: &Plain) -> Bytes {
    let by_host = plain.platform.contains('.');
    let headers = plain.headers.iter().map(|(name, value)| HeaderValue {
        key: name.clone(),
        value: String::new(),
        raw_value: value.clone(),
    });
    let http = HttpRequest {
        method: plain.method.clone(),
        path: plain.target.clone(),
        host: if by_host {
            plain.platform.clone()
        } else {
            "a.example".to_owned()
        },
        scheme: "https".to_owned(),
        header_map: Some(HeaderMap {
            headers: headers.collect(),
        }),
        ..HttpRequest::default()
    };
    let socket_address = Some(SocketAddress {
        address: plain.peer.clone(),
    });
    let address = Some(Address { socket_address });
    let named = Some(("platform".to_owned(), plain.platform.clone())).filter(|_| !by_host);
    let request = CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer {
                address,
                ..Peer::default()
            }),
            request: Some(Request { http: Some(http) }),
            context_extensions: named.into_iter().collect(),
        }),
    };
    request.encode_to_vec().into()
}
