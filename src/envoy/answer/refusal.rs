//! A refusal on the wire: the one place that builds a denial for Envoy.
//!
//! Apart from the allow, which has nothing in common with it but the message that both end in.
//! What it says is the platform's ([`crate::platform::refusal`]).

use crate::envoy::answer::overwrite;
use crate::envoy::protos::auth::check_response::HttpResponse;
use crate::envoy::protos::auth::{CheckResponse, DeniedHttpResponse};
use crate::envoy::protos::rpc::Status;
use crate::envoy::protos::r#type::HttpStatus;
use crate::platform::Platform;
use crate::platform::refusal::{Asked, Circumstances, Refusal, Written};
use crate::request::RequestView;

/// The codes of `google.rpc.Code` that answers carry. Envoy looks only at zero or not.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// Writes a refusal of the request.
pub(super) fn write(
    refusal: &Refusal<'_>,
    platform: Option<&Platform>,
    request: &RequestView<'_>,
    circumstances: &Circumstances,
) -> CheckResponse {
    let accept: Vec<_> = request.headers.all("accept").collect();
    let accept = accept.join(&b',');
    let asked = Asked {
        path: request.path,
        accept: &String::from_utf8_lossy(&accept),
        request_id: request.headers.single("x-request-id").ok().flatten(),
    };
    denied(
        refusal.reason(),
        refusal.write(platform, asked, circumstances),
    )
}

/// A denial has a status that denies, and an HTTP status of 300 or more.
fn denied(message: &str, written: Written) -> CheckResponse {
    let code = match written.status {
        400 => code::INVALID_ARGUMENT,
        401 => code::UNAUTHENTICATED,
        429 => code::RESOURCE_EXHAUSTED,
        500..=599 => code::UNAVAILABLE,
        _ => code::PERMISSION_DENIED,
    };
    let headers = written.headers.iter();
    let response = DeniedHttpResponse {
        status: Some(HttpStatus {
            code: written.status.into(),
        }),
        headers: headers.map(|it| overwrite(&it.0, &it.1)).collect(),
        body: written.body,
    };
    CheckResponse {
        status: Some(Status {
            code,
            message: message.to_owned(),
        }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(response)),
    }
}
