//! Infobip's endpoints (as published, 3.210.0): sessions, OAuth 2 tokens, and the API keys of
//! an account.
//!
//! Which of them a caller may reach is the preset's rules, and what a refusal says is its error table;
//! this is how they read and print.

mod keys;
mod login;
mod oauth2;
mod session;
#[cfg(test)]
mod tests;
mod violations;

use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::decision::{Denial, Failure};
use crate::issue::answer::Answer;
use crate::issue::core::Core;
use crate::issue::{Asked, Dialect, Signature};
use crate::keys::hmac::Header;
use crate::scheme::StoredForm;

/// The row of [`crate::issue::DIALECTS`].
pub(super) const DIALECT: Dialect = Dialect {
    name: "infobip",
    forms: &[StoredForm::Argon2],
    logs_in: true,
    has_sessions: true,
    signature: Signature::Hs256(Header::Named),
    lifetime: Some(Duration::from_hours(1)),
    answer,
};

fn answer<'a>(core: &'a Core, asked: &'a Asked) -> BoxFuture<'a, Result<Answer, Failure>> {
    Box::pin(async move {
        let segments: Vec<_> = asked.segments.iter().map(String::as_str).collect();
        match (asked.context.method.as_str(), segments.as_slice()) {
            ("POST", ["auth", "1", "session"]) => session::create(core, asked).await,
            ("DELETE", ["auth", "1", "session"]) => session::destroy(core, asked).await,
            ("POST", ["auth", "1", "oauth2", "token"]) => oauth2::token(core, asked).await,
            (method, ["settings", "2", "api-keys", rest @ ..]) => {
                keys::answer(core, asked, method, rest).await
            }
            _ => Err(Denial::not_found("the dialect has no such endpoint").into()),
        }
    })
}
