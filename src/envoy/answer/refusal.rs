//! A refusal's way to the client: the platform's error table, a body, a denial on the wire.
//!
//! Apart from the allow, which has nothing in common with it but the message that both end in. A
//! denial and a fault are one here: what differs is told by the reason, the status and the error
//! table. It says nothing of a fault but that there is one.

use jiff::Timestamp;

use crate::decision::{Denial, Fault, Reason};
use crate::envoy::answer::{Circumstances, overwrite};
use crate::envoy::protos::auth::check_response::HttpResponse;
use crate::envoy::protos::auth::{CheckResponse, DeniedHttpResponse};
use crate::envoy::protos::core::HeaderValueOption;
use crate::envoy::protos::rpc::Status;
use crate::envoy::protos::r#type::HttpStatus;
use crate::platform::Platform;
use crate::platform::body::template::Values;
use crate::platform::errors::{FAULT, Occasion};
use crate::request::RequestView;

/// The codes of `google.rpc.Code` that answers carry. Envoy looks only at zero or not.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// The status of a fault (RFC 9110 §15.6.4).
const SERVICE_UNAVAILABLE: u16 = 503;

/// A denial or a fault on its way to the client.
pub(super) struct Refusal<'d> {
    reason: &'d str,
    status: u16,
    message: &'d str,
    location: &'d str,
    retry_after: Option<u32>,
}

impl<'d> Refusal<'d> {
    pub(super) fn of_denial(denial: &'d Denial) -> Self {
        Self {
            reason: denial.reason().name(),
            status: denial.status(),
            message: public_text(denial),
            location: denial.location().unwrap_or(""),
            retry_after: denial
                .retry_after()
                .map(|it| u32::try_from(it.as_secs()).unwrap_or(u32::MAX)),
        }
    }

    /// Nothing of the fault but that there is one: the rest is for the log.
    pub(super) fn of_fault(_: &Fault, circumstances: &Circumstances) -> Self {
        Self {
            reason: FAULT,
            status: SERVICE_UNAVAILABLE,
            message: "",
            location: "",
            // Spread, so that those who were refused together do not come back together.
            retry_after: Some(1 + u32::try_from(circumstances.number % 3).unwrap_or(0)),
        }
    }

    pub(super) fn write(
        &self,
        platform: Option<&Platform>,
        request: &RequestView<'_>,
        circumstances: &Circumstances,
    ) -> CheckResponse {
        let accept: Vec<u8> = request
            .headers
            .all("accept")
            .collect::<Vec<_>>()
            .join(&b',');
        let accept = String::from_utf8_lossy(&accept);
        let occasion = Occasion {
            reason: self.reason,
            status: self.status,
            path: request.path,
            accept: &accept,
        };
        let row = platform.and_then(|it| it.errors.pick(&occasion));
        let status = row.map_or(self.status, |it| it.status(self.status));
        let sent_id = request
            .headers
            .single("x-request-id")
            .ok()
            .flatten()
            .filter(|it| it.len() <= 128);
        let values = Values {
            instance: &circumstances.instance,
            location: self.location,
            message: self.message,
            path: request.path,
            reason: self.reason,
            request_id: sent_id.unwrap_or(&circumstances.decision_id),
            retry_after: self.retry_after.unwrap_or(0),
            status,
            timestamp: Timestamp::try_from(circumstances.now).unwrap_or_default(),
        };
        let (mut headers, body) = match row {
            Some(row) => {
                let headers = row
                    .headers(&values)
                    .map(|(name, value)| overwrite(name, &value))
                    .collect();
                let body = row.body().map(|it| (it.content_type(), it.render(&values)));
                (headers, body)
            }
            None => (Vec::new(), Some(neutral_body(status))),
        };
        if let Some((content_type, _)) = &body {
            headers.push(overwrite("content-type", content_type));
        }
        if status == 401 {
            let challenges = platform.into_iter().flat_map(|it| &it.challenges);
            headers.extend(challenges.map(|it| overwrite("www-authenticate", it)));
        }
        if let Some(seconds) = self.retry_after {
            headers.push(overwrite("retry-after", &seconds.to_string()));
        }
        denied(
            status,
            self.reason,
            headers,
            body.map(|it| it.1).unwrap_or_default(),
        )
    }
}

/// What the client may read of a denial. Why a credential was not good is for the log: whoever is
/// told "no such user" and "wrong password" apart can find out who is a customer.
fn public_text(denial: &Denial) -> &'static str {
    match denial.reason() {
        reason if reason.status() != 401 || reason == Reason::Missing => denial.detail(),
        _ => "the credential was not accepted",
    }
}

/// What is answered where no platform's format is known.
fn neutral_body(status: u16) -> (&'static str, String) {
    let text = axum::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|it| it.canonical_reason());
    let text = text.unwrap_or("Refused");
    (
        "application/json",
        format!(r#"{{"status":{status},"message":"{text}"}}"#),
    )
}

/// The only place that builds a denial: it has a status that denies, and an HTTP status of 300 or
/// more, whatever it is given.
fn denied(
    status: u16,
    message: &str,
    headers: Vec<HeaderValueOption>,
    body: String,
) -> CheckResponse {
    let status = if (300..600).contains(&status) {
        status
    } else {
        403
    };
    let code = match status {
        400 => code::INVALID_ARGUMENT,
        401 => code::UNAUTHENTICATED,
        429 => code::RESOURCE_EXHAUSTED,
        500..=599 => code::UNAVAILABLE,
        _ => code::PERMISSION_DENIED,
    };
    let response = DeniedHttpResponse {
        status: Some(HttpStatus {
            code: status.into(),
        }),
        headers,
        body,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_cannot_tell_an_unknown_user_from_a_wrong_password() {
        let text = |reason, detail| public_text(&Denial::new(reason, detail));
        assert_eq!(
            text(Reason::Unknown, "no such user"),
            text(Reason::Wrong, "wrong password")
        );
        assert_eq!(text(Reason::Scope, "no such scope"), "no such scope");
        assert_eq!(text(Reason::Missing, "nothing sent"), "nothing sent");
    }

    #[test]
    fn a_denial_cannot_be_written_as_an_allow() {
        for status in [0, 100, 200, 204, 299, 600, 999] {
            let response = denied(status, "x", vec![], String::new());
            assert_ne!(response.status.map_or(0, |it| it.code), 0);
            let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else {
                panic!()
            };
            assert_eq!(denied.status.map(|it| it.code), Some(403));
        }
    }
}
