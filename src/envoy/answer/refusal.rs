//! A refusal on the wire: the one place that builds a denial for Envoy.
//!
//! Apart from the allow, which has nothing in common with it but the message that both end in.
//! What it says is the platform's ([`crate::platform::refusal`]).

use std::borrow::Cow;

use crate::envoy::answer::{field, put_overwrite};
use crate::envoy::wire;
use crate::platform::Platform;
use crate::platform::refusal::{Asked, Circumstances, Refusal, Written};
use crate::request::RequestView;

/// The codes of `google.rpc.Code` that answers carry. Envoy looks only at zero or not.
mod code {
    pub(super) const INVALID_ARGUMENT: u8 = 3;
    pub(super) const PERMISSION_DENIED: u8 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const UNAVAILABLE: u8 = 14;
    pub(super) const UNAUTHENTICATED: u8 = 16;
}

/// Writes a refusal of the request into a `CheckResponse`.
pub(super) fn put(
    to: &mut Vec<u8>,
    refusal: &Refusal<'_>,
    platform: Option<&Platform>,
    request: &RequestView<'_>,
    circumstances: &Circumstances,
) {
    let mut accepts = request.headers.all("accept");
    let accept = match (accepts.next(), accepts.next()) {
        (first, None) => Cow::Borrowed(first.unwrap_or_default()),
        (_, Some(_)) => {
            let all: Vec<_> = request.headers.all("accept").collect();
            Cow::Owned(all.join(&b','))
        }
    };
    let asked = Asked {
        path: request.path,
        accept: &String::from_utf8_lossy(&accept),
        request_id: request.headers.single("x-request-id").ok().flatten(),
    };
    let written = refusal.write(platform, asked, circumstances);
    put_denied(to, refusal.reason(), &written);
}

/// A denial has a status that denies, and an HTTP status of 300 or more.
fn put_denied(to: &mut Vec<u8>, reason: &str, written: &Written<'_>) {
    let code = match written.status {
        400 => code::INVALID_ARGUMENT,
        401 => code::UNAUTHENTICATED,
        429 => code::RESOURCE_EXHAUSTED,
        500..=599 => code::UNAVAILABLE,
        _ => code::PERMISSION_DENIED,
    };
    // `google.rpc.Status`: code and message.
    wire::put_nested(to, field::STATUS, |to| {
        wire::put_number(to, 1, code.into());
        wire::put(to, 2, reason.as_bytes());
    });
    // `DeniedHttpResponse`: an `HttpStatus`, headers and body.
    wire::put_nested(to, field::DENIED_RESPONSE, |to| {
        wire::put_nested(to, 1, |to| wire::put_number(to, 1, written.status.into()));
        for (name, value) in &written.headers {
            put_overwrite(to, 2, name, value);
        }
        wire::put(to, 3, written.body.as_bytes());
    });
}
