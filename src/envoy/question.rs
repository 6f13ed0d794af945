//! A `CheckRequest` that no Envoy sent: from plain words, from JSON, or captured on its way.
//!
//! It is what `explain` asks with. Whatever it is made from, it ends as the bytes of a message, so
//! that it is read by [`crate::envoy::view`] like any other. No error here repeats the input: there
//! are credentials in it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use crate::envoy::protos::auth::attribute_context::{self, HttpRequest, Peer};
use crate::envoy::protos::auth::{AttributeContext, CheckRequest};
use crate::envoy::protos::core::{Address, HeaderMap, HeaderValue, SocketAddress};

/// The bytes before a message of gRPC: a compression flag and a length (gRPC over HTTP/2).
const FRAME_HEAD: usize = 5;

/// A request in plain words.
#[derive(Clone, Copy)]
pub struct Question<'q> {
    /// The method.
    pub method: &'q str,
    /// `http` or `https`.
    pub scheme: &'q str,
    /// Host, and port where there is one.
    pub authority: &'q str,
    /// Path and query.
    pub target: &'q str,
    /// The headers, as they arrive.
    pub headers: &'q [(String, String)],
    /// The address that the connection comes from.
    pub peer: Option<IpAddr>,
    /// The platform that the route names.
    pub platform: Option<&'q str>,
}

/// Shows no header and no query: credentials stand there.
impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl Question<'_> {
    /// Writes the message that Envoy would send, with headers as a list (`encode_raw_headers`).
    #[must_use]
    pub fn message(&self) -> Bytes {
        let headers = self.headers.iter().map(|(name, value)| HeaderValue {
            key: name.to_ascii_lowercase(),
            value: String::new(),
            raw_value: value.clone().into_bytes(),
        });
        let http = HttpRequest {
            method: self.method.to_owned(),
            headers: HashMap::new(),
            path: self.target.to_owned(),
            host: self.authority.to_owned(),
            scheme: self.scheme.to_owned(),
            header_map: Some(HeaderMap {
                headers: headers.collect(),
            }),
        };
        let platform = self.platform.map(|it| ("platform".into(), it.to_owned()));
        let request = CheckRequest {
            attributes: Some(AttributeContext {
                source: self.peer.map(peer),
                request: Some(attribute_context::Request { http: Some(http) }),
                context_extensions: platform.into_iter().collect(),
            }),
        };
        request.encode_to_vec().into()
    }
}

fn peer(address: IpAddr) -> Peer {
    let address = SocketAddress {
        address: address.to_string(),
    };
    Peer {
        address: Some(Address {
            socket_address: Some(address),
        }),
        principal: String::new(),
    }
}

/// Why something is not a `CheckRequest`.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum QuestionError {
    /// The frame is compressed.
    #[error("the gRPC frame is compressed; capture one that is not")]
    Compressed,
    /// It looks like JSON, and is not that of a `CheckRequest`.
    #[error("line {line}, column {column}: not the JSON form of a CheckRequest")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A frame tells its length; the file has another.
    #[error("a gRPC frame for {told} bytes has {held}; one whole frame, and nothing else, is read")]
    Length {
        /// What the frame says.
        told: usize,
        /// What follows.
        held: usize,
    },
    /// It begins like neither.
    #[error("neither JSON nor a gRPC frame (a byte 0, four of length, the message)")]
    Unknown,
}

/// Reads the message out of a captured gRPC frame, or makes it from the JSON form of a
/// `CheckRequest`. The message itself is not looked at.
///
/// # Errors
/// Why it is neither.
pub fn read(bytes: &[u8]) -> Result<Bytes, QuestionError> {
    let head = bytes.split_first_chunk::<FRAME_HEAD>();
    match (bytes.trim_ascii_start().first(), head) {
        (Some(b'{'), _) => {
            let request: CheckRequest = serde_json::from_slice(bytes).map_err(|it| {
                let (line, column) = (it.line(), it.column());
                QuestionError::Json { line, column }
            })?;
            Ok(request.encode_to_vec().into())
        }
        (_, Some(([0, length @ ..], message))) => unframe(*length, message),
        (_, Some(([1, ..], _))) => Err(QuestionError::Compressed),
        _ => Err(QuestionError::Unknown),
    }
}

fn unframe(length: [u8; FRAME_HEAD - 1], message: &[u8]) -> Result<Bytes, QuestionError> {
    let told = u32::from_be_bytes(length) as usize;
    let held = message.len();
    if told != held {
        return Err(QuestionError::Length { told, held });
    }
    Ok(Bytes::copy_from_slice(message))
}

/// Reads bytes as JSON carries them: base64 in either alphabet, padded or not (protobuf.dev, JSON
/// mapping). The generated messages call it.
///
/// # Errors
/// The deserializer's, for what is not base64.
pub fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let alphabet = match text.contains(['-', '_']) {
        true => &alphabet::URL_SAFE,
        false => &alphabet::STANDARD,
    };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(alphabet, config).decode(text);
    decoded.map_err(|_| de::Error::custom("not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::view::view;

    #[test]
    fn plain_words_arrive_as_they_were_said() {
        let question = Question {
            method: "PUT",
            scheme: "https",
            authority: "api.example.com:8443",
            target: "/a/b?c=d",
            headers: &[
                ("X-Twice".into(), "1".into()),
                ("x-twice".into(), "2".into()),
            ],
            peer: "10.1.2.3".parse().ok(),
            platform: Some("p"),
        };
        let message = question.message();
        let view = view(&message).unwrap();
        assert_eq!(
            (view.method, view.scheme, view.path),
            ("PUT", "https", "/a/b")
        );
        assert_eq!(view.authority, "api.example.com:8443");
        assert_eq!(view.query.single("c").unwrap().as_deref(), Some("d"));
        assert_eq!(
            view.headers.all("x-twice").collect::<Vec<_>>(),
            [b"1", b"2"]
        );
        assert_eq!(view.peer, "10.1.2.3".parse().ok());
        assert_eq!(view.route_platform, Some("p"));
    }

    #[test]
    fn json_is_read_in_both_spellings_and_what_is_not_read_is_no_mistake() {
        for (extensions, socket, list, raw) in [
            (
                "contextExtensions",
                "socketAddress",
                "headerMap",
                "rawValue",
            ),
            (
                "context_extensions",
                "socket_address",
                "header_map",
                "raw_value",
            ),
        ] {
            let json = format!(
                r#"{{"attributes": {{
                    "source": {{"address": {{"{socket}": {{"address": "10.1.2.3", "portValue": 80}}}}}},
                    "{extensions}": {{"platform": "p"}},
                    "request": {{"time": "2024-01-01T00:00:00Z", "http": {{
                        "method": "GET", "host": "h", "path": "/a", "protocol": "HTTP/1.1",
                        "headers": {{"x-one": "1"}},
                        "{list}": {{"headers": [{{"key": "x-raw", "{raw}": "_-4"}}]}}
                    }}}}
                }}}}"#
            );
            let message = read(json.as_bytes()).unwrap();
            let view = view(&message).unwrap();
            assert_eq!(view.peer, "10.1.2.3".parse().ok());
            assert_eq!(view.route_platform, Some("p"));
            assert_eq!(view.headers.single("x-one").unwrap(), Some("1"));
            assert_eq!(view.headers.all("x-raw").collect::<Vec<_>>(), [b"\xff\xee"]);
        }
    }

    #[test]
    fn a_captured_frame_is_read_whole_or_not_at_all() {
        let frame = include_bytes!("../../tests/samples/check_request.bin");
        assert_eq!(read(frame).unwrap(), frame[5..]);
        let (told, held) = (frame.len() - 5, frame.len() - 6);
        let cases: [(&[u8], QuestionError); 6] = [
            (
                &frame[..frame.len() - 1],
                QuestionError::Length { told, held },
            ),
            (&frame[5..], QuestionError::Unknown),
            (b"\x01\0\0\0\x01x", QuestionError::Compressed),
            (b"", QuestionError::Unknown),
            (b"\0\0\0", QuestionError::Unknown),
            (b"POST / HTTP/1.1", QuestionError::Unknown),
        ];
        for (bytes, want) in cases {
            assert_eq!(read(bytes).unwrap_err(), want);
        }
    }

    #[test]
    fn a_mistake_in_json_is_told_by_its_place_without_what_stands_there() {
        let error = read(b"{\"attributes\":\n {\"source\": \"hunter2\"}}").unwrap_err();
        assert!(
            matches!(error, QuestionError::Json { line: 2, .. }),
            "{error}"
        );
        assert!(!error.to_string().contains("hunter2"));
    }
}
