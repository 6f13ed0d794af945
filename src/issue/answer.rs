//! What the issue listener answers: a status, headers, a body.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::platform::refusal::Written;

/// An answer, ready to be sent. It may hold a token, so nothing of it is shown.
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    /// Answers with JSON.
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("what is answered is plain JSON");
        let content_type = ("content-type".to_owned(), "application/json".to_owned());
        Self {
            status,
            headers: vec![content_type],
            body,
        }
    }

    /// Answers with a status alone.
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// Refuses whoever did not come through Check, in nobody's dialect.
    pub(super) fn forbidden() -> Self {
        let message = "this listener is reached through Envoy and a Check";
        Self::json(403, &json!({ "status": 403, "message": message }))
    }

    /// Puts something in the place of the first `slot` of the body, where it has one.
    pub(super) fn filled(mut self, slot: &str, with: &str) -> Self {
        self.body = self.body.replacen(slot, with, 1);
        self
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl From<Written<'_>> for Answer {
    fn from(written: Written<'_>) -> Self {
        let headers = written.headers.into_iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_owned()));
        Self {
            status: written.status,
            headers: headers.collect(),
            body: written.body,
        }
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Body::from(answer.body));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        for (name, value) in answer.headers {
            // A client's own text, such as its request id, may hold what a header cannot carry.
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(&value))
            {
                headers.append(name, value);
            }
        }
        // Answers hold tokens, and say who is known (RFC 6749 §5.1).
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
