//! From a `CheckRequest` to a view of the request in it.
//!
//! Method, path and host come from their fields, never from pseudo headers: a filter with
//! `allowed_headers` drops those. Headers come as a map or, with `encode_raw_headers`, as a list;
//! both are read. Over gRPC Envoy leaves the query in the path.

use std::fmt;

use bytes::Bytes;
use prost::Message;

use crate::decision::Denial;
use crate::envoy::MAX_MESSAGE_BYTES;
use crate::envoy::protos::auth::{CheckRequest, attribute_context::HttpRequest};
use crate::request::query::Query;
use crate::request::{Headers, RequestView, is_token_byte};

/// A decoded `CheckRequest`, to be viewed.
pub struct Decoded(CheckRequest);

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoded(..)")
    }
}

/// Decodes a message.
///
/// # Errors
/// A denial (400) for bytes that are not a `CheckRequest`, or more than one ever has.
pub fn decode(message: Bytes) -> Result<Decoded, Denial> {
    if message.len() > MAX_MESSAGE_BYTES {
        let detail = "the CheckRequest is larger than any without a body";
        return Err(Denial::bad_request(detail));
    }
    let request = CheckRequest::decode(message);
    request
        .map(Decoded)
        .map_err(|_| Denial::bad_request("the message is not a CheckRequest"))
}

impl Decoded {
    /// Views the request.
    ///
    /// # Errors
    /// A denial (400) where the attributes that make it a request are missing.
    pub fn view(&self) -> Result<RequestView<'_>, Denial> {
        let attributes = self.0.attributes.as_ref();
        let http = attributes
            .and_then(|it| it.request.as_ref())
            .and_then(|it| it.http.as_ref());
        let (Some(attributes), Some(http)) = (attributes, http) else {
            return Err(Denial::bad_request(
                "the CheckRequest holds no HTTP request",
            ));
        };
        // RFC 9110 §9.1. A rule without methods takes any, so this is where one that is none is refused.
        if http.method.is_empty() || !http.method.bytes().all(is_token_byte) {
            return Err(Denial::bad_request("the CheckRequest names no method"));
        }
        let (path, query) = http.path.split_once('?').unwrap_or((&http.path, ""));
        let source = attributes.source.as_ref();
        let peer = source.and_then(|it| it.address.as_ref());
        let peer = peer.and_then(|it| it.socket_address.as_ref());
        Ok(RequestView {
            method: &http.method,
            authority: &http.host,
            scheme: &http.scheme,
            path,
            query: Query::parse(query),
            headers: headers(http),
            peer: peer.and_then(|it| it.address.parse().ok()),
            principal: source
                .map(|it| it.principal.as_str())
                .filter(|it| !it.is_empty()),
            route_platform: attributes
                .context_extensions
                .get("platform")
                .map(String::as_str),
        })
    }
}

fn headers(http: &HttpRequest) -> Headers<'_> {
    let mapped = http
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let listed = http.header_map.iter().flat_map(|it| &it.headers).map(|it| {
        let raw: &[u8] = if it.raw_value.is_empty() {
            it.value.as_bytes()
        } else {
            &it.raw_value
        };
        (it.key.as_str(), raw)
    });
    mapped
        .chain(listed)
        .filter(|it| !it.0.starts_with(':'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(frame: &'static [u8]) -> Decoded {
        // A gRPC frame: compression flag and length before the message.
        decode(Bytes::from_static(&frame[5..])).unwrap()
    }

    #[test]
    fn captured_requests_are_read_from_either_form_of_headers() {
        let plain = captured(include_bytes!("../../tests/samples/check_request.bin"));
        let view = plain.view().unwrap();
        assert_eq!(view.method, "POST");
        assert_eq!(view.path, "/api/v1/orders/42");
        assert_eq!(view.host().unwrap(), "shop.example.com");
        assert_eq!(
            view.query.single("dry_run").unwrap().as_deref(),
            Some("true")
        );
        assert_eq!(view.peer, "127.0.0.1".parse().ok());
        assert!(view.headers.single("x-dup").is_err());
        assert_eq!(view.headers.all(":path").count(), 0);

        let raw = captured(include_bytes!(
            "../../tests/samples/check_request_raw_headers.bin"
        ));
        let view = raw.view().unwrap();
        assert_eq!(view.headers.all("x-dup").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(
            view.headers.all("x-bin").collect::<Vec<_>>(),
            [b"\xff\xfe\x80"]
        );
        assert!(view.headers.single("x-bin").is_err());
    }

    #[test]
    fn a_message_that_holds_no_request_is_refused() {
        for bytes in [&b""[..], b"\x0a\x00", b"\xff\xff\xff", b"\x0a\xff\x01"] {
            let denial = decode(Bytes::from_static(bytes)).and_then(|it| it.view().map(|_| ()));
            assert_eq!(denial.unwrap_err().status(), 400);
        }
    }
}
