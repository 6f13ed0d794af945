//! The envelope that every answer of Crossbar comes in (`cb_context.erl`,
//! `create_default_resp_envelope/1`), and what is wrong with what a client sent.
//!
//! The keys stand in alphabetical order, as KAZOO documents them. A token is in it where it was just
//! minted, and is never echoed.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::body::{self, Wrong};
use crate::issue::core::Core;

/// The bucket of a request that costs nothing: consumed, and left of 100.
const UNTOUCHED: (u32, u32) = (0, 100);

/// What KAZOO says of values that break its schema, by field.
#[derive(Debug, Default)]
pub(super) struct Problems(Map<String, Value>);

impl Problems {
    /// Adds one: the field, the rule of JSON Schema that it breaks, and what to say.
    pub(super) fn add(&mut self, field: &str, rule: &str, message: &str) {
        self.say(field, rule, json!({ "message": message }));
    }

    fn say(&mut self, field: &str, rule: &str, said: Value) {
        let field = self.0.entry(field).or_insert_with(|| json!({}));
        field[rule] = said;
    }

    /// Demands a length in characters.
    pub(super) fn length(&mut self, field: &str, value: &str, least: usize, most: usize) {
        let length = value.chars().count();
        if length < least {
            let message = format!("String must be at least {least} characters");
            let said = json!({ "message": message, "target": least });
            self.say(field, "minLength", said);
        }
        if length > most {
            let message = format!("String must not be more than {most} characters");
            let said = json!({ "message": message, "target": most });
            self.say(field, "maxLength", said);
        }
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Demands that there is a value.
    pub(super) fn required(&mut self, field: &str) {
        self.add(field, "required", "Field is required but missing");
    }

    /// Answers 400 where there are some.
    pub(super) fn answer(self, core: &Core, asked: &Asked) -> Option<Answer> {
        if self.0.is_empty() {
            return None;
        }
        let data = Value::Object(self.0);
        Some(failed(core, asked, 400, "validation error", data))
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// Reads `data` of the request's envelope.
///
/// # Errors
/// The answer that tells what is wrong, by field, without what was sent.
pub(super) fn data<T: DeserializeOwned>(core: &Core, asked: &Asked) -> Result<T, Answer> {
    let unread = |status, message: &str, hint: &str| {
        let data = json!({ "message": hint });
        Err(failed(core, asked, status, message, data))
    };
    let Some(body) = &asked.body else {
        return unread(413, "request body too large", "64 KiB are taken");
    };
    if !is_json(&asked.content_type, body) {
        let hint = "send JSON, as application/json";
        return unread(415, "unsupported media type", hint);
    }
    // Nothing that is sent here is a list.
    let wrong = match body::read_without_lists::<Envelope<T>>(body) {
        Ok(envelope) => return Ok(envelope.data),
        Err(wrong) => wrong,
    };
    let mut problems = Problems::default();
    match wrong {
        Wrong::NotJson => problems.add("json", "invalid", "the body is not JSON"),
        Wrong::Field(path, what) => {
            // KAZOO names a field of `data` by itself.
            let field = path.strip_prefix("data.").unwrap_or(&path);
            let rule = match what {
                "a field is missing" => "required",
                "a value of the wrong type" => "type",
                _ => "invalid",
            };
            problems.add(if field.is_empty() { "data" } else { field }, rule, what);
        }
    }
    Err(problems
        .answer(core, asked)
        .unwrap_or_else(Answer::forbidden))
}

/// JSON under its own type, or under none that says otherwise: KAZOO's documentation sends logins
/// with `curl -d`, which calls them a form.
fn is_json(content_type: &str, body: &[u8]) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "" | "application/json" | "application/x-json" => true,
        "application/x-www-form-urlencoded" => body.trim_ascii_start().starts_with(b"{"),
        _ => false,
    }
}

/// Answers with data.
pub(super) fn done(core: &Core, asked: &Asked, data: Value) -> Answer {
    print(core, asked, &Said::of(200, data))
}

/// Answers with a token that was just minted, and what the login has cost and left.
pub(super) fn minted(
    core: &Core,
    asked: &Asked,
    (token, data): (&str, Value),
    tokens: Option<(u32, u32)>,
) -> Answer {
    let said = Said {
        token: Some(token),
        tokens: tokens.unwrap_or(UNTOUCHED),
        ..Said::of(201, data)
    };
    print(core, asked, &said)
}

/// Answers that something is wrong.
pub(super) fn failed(
    core: &Core,
    asked: &Asked,
    status: u16,
    message: &str,
    data: Value,
) -> Answer {
    let said = Said {
        message: Some(message),
        ..Said::of(status, data)
    };
    print(core, asked, &said)
}

/// Answers that there is no such thing.
pub(super) fn not_found(core: &Core, asked: &Asked) -> Answer {
    let data = json!({ "message": "bad identifier" });
    failed(core, asked, 404, "bad_identifier", data)
}

struct Said<'s> {
    status: u16,
    data: Value,
    /// What is wrong, if something is.
    message: Option<&'s str>,
    token: Option<&'s str>,
    tokens: (u32, u32),
}

impl Said<'_> {
    fn of(status: u16, data: Value) -> Self {
        Self {
            status,
            data,
            message: None,
            token: None,
            tokens: UNTOUCHED,
        }
    }
}

fn print(core: &Core, asked: &Asked, said: &Said<'_>) -> Answer {
    let mut envelope = Map::new();
    let mut put = |key: &str, value: Value| envelope.insert(key.to_owned(), value);
    if let Some(token) = said.token {
        put("auth_token", json!(token));
    }
    put("data", said.data.clone());
    if let Some(message) = said.message {
        put("error", json!(said.status.to_string()));
        put("message", json!(message));
    }
    put("node", json!(core.instance()));
    put("request_id", json!(asked.request_id));
    let failed = said.message.is_some();
    put("status", json!(if failed { "error" } else { "success" }));
    let now = Timestamp::try_from(core.clock().now()).unwrap_or_default();
    put("timestamp", json!(format!("{now:.0}")));
    let (consumed, remaining) = said.tokens;
    let tokens = json!({ "consumed": consumed, "remaining": remaining });
    put("tokens", tokens);
    if !failed {
        put("version", json!(env!("CARGO_PKG_VERSION")));
    }
    let answer = Answer::json(said.status, &envelope).with("x-request-id", &asked.request_id);
    // RFC 9110 §11.6.1 wants a challenge with every 401.
    let challenges = asked.platform.challenges.iter();
    let challenges = challenges.filter(|_| said.status == 401);
    challenges.fold(answer, |it, challenge| {
        it.with("www-authenticate", challenge)
    })
}
