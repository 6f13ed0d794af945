//! What Graph's answer about a token comes to.
//!
//! A denial is only what Graph says plainly about the token: not valid, another app's, nobody's,
//! over. All else is a fault, also a refusal of the app's own token (code 190 beside `data` and not
//! in it), which says nothing about whoever asks to be let in.

use serde_json::{Map, Value};

use crate::decision::{Denial, Failure, Fault, Reason};
use crate::outbound::Reply;
use crate::scheme::facebook::{denied, fault};
use crate::strict_json::object;

/// Codes of errors that pass: no answer now, and too many calls by the app, a user, a page.
const PASSING: [u64; 7] = [1, 2, 4, 17, 32, 341, 613];

/// The code of a parameter that is wrong, with which Graph also says that a token is another app's.
const WRONG_PARAMETER: u64 = 100;

/// The longest id of a user, in bytes.
const MAX_USER_BYTES: usize = 128;

/// For whom a token stands.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Vouched {
    /// The user's id in this app.
    pub(super) user: String,
    /// When the token ends, in Unix seconds; `None`: not by itself.
    pub(super) expires: Option<u64>,
}

/// Judges an answer of `debug_token`.
///
/// `data_access_expires_at` says how long the app may read the user's data; whose the token is stays
/// as true after that, so it is not looked at.
pub(super) fn judge(reply: &Reply, app_id: &str, now: u64) -> Result<Vouched, Failure> {
    let status = reply.status;
    if !matches!(status, 200 | 400..=499) || status == 429 {
        return Err(fault(format!("Graph answers with HTTP {status}")).into());
    }
    let answer = object(&reply.body).ok_or_else(|| fault("Graph's answer is not JSON"))?;
    if let Some(error) = answer.get("error") {
        return Err(refused(error));
    }
    let data = answer.get("data").and_then(Value::as_object);
    let data = data
        .filter(|_| status == 200)
        .ok_or_else(|| fault(format!("Graph's answer (HTTP {status}) is about no token")))?;
    if let Some(error) = data.get("error")
        && passes(error)
    {
        return Err(fault(format!("Graph has error {}", code(error))).into());
    }
    let expires = data.get("expires_at").and_then(Value::as_u64);
    let over = expires.is_some_and(|it| it != 0 && it <= now);
    let expired = || Denial::new(Reason::Expired, "the token has expired");
    match data.get("is_valid") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) if over => return Err(expired().into()),
        Some(Value::Bool(false)) => {
            return Err(denied("Graph says that it is no valid token").into());
        }
        _ => return Err(unclear("is_valid").into()),
    }
    if id(data, "app_id")?.is_none_or(|it| it != app_id) {
        return Err(denied("the token is another app's").into());
    }
    // A page's token names the user too who manages the page.
    if data.get("type").is_some_and(|it| *it != "USER") {
        return Err(denied("the token is not a user's").into());
    }
    let user = id(data, "user_id")?.ok_or_else(|| denied("the token is nobody's"))?;
    let expires = expires.ok_or_else(|| unclear("expires_at"))?;
    if over {
        return Err(expired().into());
    }
    Ok(Vouched {
        user,
        expires: Some(expires).filter(|it| *it != 0),
    })
}

/// What it comes to that Graph does not look at a token.
fn refused(error: &Value) -> Failure {
    let message = error.get("message").and_then(Value::as_str);
    let foreign = message.is_some_and(|it| it.contains("did not match the Viewing App"));
    match code(error) {
        WRONG_PARAMETER if foreign => denied("the token is another app's").into(),
        190 => fault("Graph refuses the app's own id and secret (error 190)").into(),
        code => fault(format!("Graph refuses to answer (error {code})")).into(),
    }
}

fn passes(error: &Value) -> bool {
    PASSING.contains(&code(error)) || error.get("is_transient") == Some(&Value::Bool(true))
}

/// Gives an error's code, 0 where it has none.
fn code(error: &Value) -> u64 {
    error.get("code").and_then(Value::as_u64).unwrap_or(0)
}

/// Reads an id, which Graph has written as a number and as a text.
fn id(data: &Map<String, Value>, name: &str) -> Result<Option<String>, Fault> {
    match data.get(name) {
        None => Ok(None),
        Some(Value::Number(it)) if it.is_u64() => Ok(Some(it.to_string())),
        Some(Value::String(it)) if (1..=MAX_USER_BYTES).contains(&it.len()) => Ok(Some(it.clone())),
        Some(_) => Err(unclear(name)),
    }
}

fn unclear(name: &str) -> Fault {
    fault(format!("Graph's answer cannot be read (`{name}`)"))
}
