//! What a client is answered whose request is refused: the platform's error table, written out.
//!
//! A denial and a fault are one here: what differs is told by the reason, the status and the error
//! table. It says nothing of a fault but that there is one. Apart from the edges that send it,
//! Envoy's protobuf and the issue listener's HTTP, so that both answer alike.

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::decision::{Denial, Fault, Reason};
use crate::platform::Platform;
use crate::platform::body::template::Values;
use crate::platform::errors::{FAULT, Occasion};

/// The status of a fault (RFC 9110 §15.6.4).
const SERVICE_UNAVAILABLE: u16 = 503;

/// The longest id of a request that is repeated to the client, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What an answer says besides the decision.
#[derive(Debug)]
pub struct Circumstances {
    /// Names this decision, in metadata and logs.
    pub decision_id: String,
    /// Names this process.
    pub instance: String,
    /// The time.
    pub now: SystemTime,
    /// Counts decisions, to spread retries.
    pub number: u64,
}

/// What of the request shows in an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'r> {
    /// Its path, as it came.
    pub path: &'r str,
    /// Its `Accept`, empty where it has none.
    pub accept: &'r str,
    /// Its `X-Request-ID`, where it has one.
    pub request_id: Option<&'r str>,
}

/// A denial or a fault on its way to the client.
#[derive(Debug)]
pub struct Refusal<'d> {
    reason: &'d str,
    status: u16,
    message: &'d str,
    location: &'d str,
    retry_after: Option<u32>,
    since: Option<u64>,
}

/// A refusal as HTTP says it.
#[derive(Debug)]
pub struct Written<'w> {
    /// From 300 to 599.
    pub status: u16,
    /// Names in lower case, values fit for a header.
    pub headers: Vec<(&'w str, Cow<'w, str>)>,
    /// Empty where there is none.
    pub body: String,
}

impl<'d> Refusal<'d> {
    /// Takes a denial.
    #[must_use]
    pub fn of_denial(denial: &'d Denial) -> Self {
        Self {
            reason: denial.reason().name(),
            status: denial.status(),
            message: public_text(denial),
            location: denial.location().unwrap_or(""),
            retry_after: denial
                .retry_after()
                .map(|it| u32::try_from(it.as_secs()).unwrap_or(u32::MAX)),
            since: denial.since(),
        }
    }

    /// Takes nothing of the fault but that there is one: the rest is for the log.
    #[must_use]
    pub fn of_fault(_: &Fault, circumstances: &Circumstances) -> Self {
        Self {
            reason: FAULT,
            status: SERVICE_UNAVAILABLE,
            message: "",
            location: "",
            // Spread, so that those who were refused together do not come back together.
            retry_after: Some(1 + u32::try_from(circumstances.number % 3).unwrap_or(0)),
            since: None,
        }
    }

    /// The reason's word, or `fault`.
    #[must_use]
    pub fn reason(&self) -> &'d str {
        self.reason
    }

    /// Writes it as the platform does, or in neutral words where there is none.
    #[must_use]
    pub fn write<'w>(
        &self,
        platform: Option<&'w Platform>,
        asked: Asked<'_>,
        circumstances: &Circumstances,
    ) -> Written<'w> {
        let occasion = Occasion {
            reason: self.reason,
            status: self.status,
            path: asked.path,
            accept: asked.accept,
            since: self.since,
        };
        let row = platform.and_then(|it| it.errors.pick(&occasion));
        let status = row.map_or(self.status, |it| it.status(self.status));
        let values = self.values(status, asked, circumstances);
        let (mut headers, body) = match row {
            Some(row) => {
                let headers = row
                    .headers(&values)
                    .map(|(name, value)| (name, Cow::Owned(value)));
                let body = row.body().map(|it| (it.content_type(), it.render(&values)));
                (headers.collect(), body)
            }
            None => (Vec::new(), Some(neutral_body(status))),
        };
        let mut add = |name, value| headers.push((name, value));
        if let Some((content_type, _)) = &body {
            add("content-type", Cow::Borrowed(*content_type));
        }
        if status == 401 {
            for challenge in platform.into_iter().flat_map(|it| &it.challenges) {
                add("www-authenticate", Cow::Borrowed(challenge.as_str()));
            }
        }
        if let Some(seconds) = self.retry_after {
            add("retry-after", seconds.to_string().into());
        }
        Written {
            // Whatever it was given, it refuses.
            status: if (300..600).contains(&status) {
                status
            } else {
                403
            },
            headers,
            body: body.map(|it| it.1).unwrap_or_default(),
        }
    }

    fn values<'v>(
        &'v self,
        status: u16,
        asked: Asked<'v>,
        circumstances: &'v Circumstances,
    ) -> Values<'v> {
        let sent_id = asked
            .request_id
            .filter(|it| it.len() <= MAX_REQUEST_ID_BYTES);
        Values {
            instance: &circumstances.instance,
            location: self.location,
            message: self.message,
            path: asked.path,
            reason: self.reason,
            request_id: sent_id.unwrap_or(&circumstances.decision_id),
            retry_after: self.retry_after.unwrap_or(0),
            since: self.since.unwrap_or(0),
            status,
            timestamp: Timestamp::try_from(circumstances.now).unwrap_or_default(),
        }
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
