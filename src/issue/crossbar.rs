//! KAZOO Crossbar's endpoints (github.com/2600hz/kazoo, applications/crossbar): logging in by
//! `user_auth` and `api_auth`, what there is to know and do about a token, and the Security API.
//!
//! Which of them a caller may reach is the preset's rules; this is how they read and print.

mod attempts;
mod envelope;
mod login;
mod modules;
mod second_factor;
mod security;
mod token;

use futures_core::future::BoxFuture;

use crate::decision::Failure;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::Core;
use crate::issue::{Asked, Dialect, Signature};
use crate::scheme::StoredForm;

/// The row of [`crate::issue::DIALECTS`].
pub(super) const DIALECT: Dialect = Dialect {
    name: "crossbar",
    forms: &[StoredForm::Md5, StoredForm::Sha1],
    logs_in: true,
    has_sessions: false,
    signature: Signature::Rs256,
    // The Security API's to say.
    lifetime: None,
    answer,
};

fn answer<'a>(core: &'a Core, asked: &'a Asked) -> BoxFuture<'a, Result<Answer, Failure>> {
    Box::pin(async move {
        let segments: Vec<_> = asked.segments.iter().map(String::as_str).collect();
        // `v1` and `v2` are answered alike.
        let rest = segments.get(1..).unwrap_or_default();
        match (asked.context.method.as_str(), rest) {
            ("PUT", ["user_auth"]) => login::by_user(core, asked).await,
            ("PUT", ["api_auth"]) => login::by_key(core, asked).await,
            ("GET", ["user_auth", token] | ["accounts", _, "user_auth", token]) => {
                token::show(core, asked, token).await
            }
            ("GET", ["token_auth"]) => token::tell(core, asked).await,
            ("DELETE", ["token_auth"]) => token::revoke(core, asked).await,
            ("PUT", ["auth"]) => {
                let answered = token::act(core, asked).await;
                answered.inspect_err(|it| core.count(asked, "token", Came::failed(it)))
            }
            ("PUT", ["accounts", account, "auth"]) => {
                token::act_on(core, asked, account, None).await
            }
            ("PUT", ["accounts", account, "users", user, "auth"]) => {
                token::act_on(core, asked, account, Some(user)).await
            }
            ("GET", ["security"]) => Ok(security::available(core, asked)),
            (method, ["accounts", account, "security"]) => {
                security::configure(core, asked, method, account).await
            }
            ("GET", ["accounts", account, "security", "attempts"]) => {
                security::attempts(core, asked, account).await
            }
            ("GET", ["accounts", account, "security", "attempts", id]) => {
                security::attempt(core, asked, account, id).await
            }
            _ => Ok(envelope::not_found(core, asked)),
        }
    })
}
