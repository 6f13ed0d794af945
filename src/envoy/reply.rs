//! A `CheckResponse` in plain words: what Envoy is told to do.
//!
//! It reads the bytes that go to Envoy, so that what `explain` shows is what was sent and not what
//! was meant.

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::envoy::protos::auth::CheckResponse;
use crate::envoy::protos::auth::check_response::HttpResponse;
use crate::envoy::protos::core::{HeaderValue, HeaderValueOption};

/// What Envoy is told to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reply {
    /// The code of `google.rpc.Status`; Envoy lets the request pass if and only if it is 0.
    pub code: i32,
    /// The HTTP status that the client gets; `None` where the request goes to the upstream.
    pub status: Option<i32>,
    /// Headers that are set: for the upstream of an allow, for the client of a denial.
    pub headers_set: Vec<Header>,
    /// Headers that the upstream does not see.
    pub headers_removed: Vec<String>,
    /// Query parameters that the upstream does not see, as they are spelled in the request.
    pub query_parameters_removed: Vec<String>,
    /// The body that the client gets.
    pub body: String,
}

/// A header.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Reply {
    /// Reads a message; `None` for one that is no `CheckResponse`, or that Envoy could take either
    /// way.
    #[must_use]
    pub fn read(message: Bytes) -> Option<Self> {
        let response = CheckResponse::decode(message).ok()?;
        let code = response.status?.code;
        match response.http_response? {
            HttpResponse::OkResponse(ok) if code == 0 => Some(Self {
                code,
                status: None,
                headers_set: headers(ok.headers),
                headers_removed: ok.headers_to_remove,
                query_parameters_removed: ok.query_parameters_to_remove,
                body: String::new(),
            }),
            HttpResponse::DeniedResponse(denied) if code != 0 => Some(Self {
                code,
                status: Some(denied.status?.code),
                headers_set: headers(denied.headers),
                headers_removed: Vec::new(),
                query_parameters_removed: Vec::new(),
                body: denied.body,
            }),
            HttpResponse::OkResponse(_) | HttpResponse::DeniedResponse(_) => None,
        }
    }
}

fn headers(options: Vec<HeaderValueOption>) -> Vec<Header> {
    let headers = options.into_iter().filter_map(|it| it.header);
    let plain = |it: HeaderValue| Header {
        name: it.key,
        value: it.value,
    };
    headers.map(plain).collect()
}
