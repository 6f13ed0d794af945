//! Opentact's `GET /rest/auth` (doc.opentact.org, "Passing authentication"): who the caller is, and a
//! token that stands for it from then on.
//!
//! Any credential will do that the platform takes, an earlier token included; Check has judged it.

use std::time::Duration;

use futures_core::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::decision::{Denial, Failure, Reason};
use crate::directory::records::{Account, Attributes, User};
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::{Core, Grant};
use crate::issue::standing::still;
use crate::issue::{Asked, Dialect, Signature};
use crate::keys::hmac::Header;
use crate::scheme::open_user;

/// The row of [`crate::issue::DIALECTS`].
pub(super) const DIALECT: Dialect = Dialect {
    name: "opentact",
    forms: &[],
    logs_in: false,
    has_sessions: false,
    signature: Signature::Hs256(Header::Bare),
    lifetime: Some(Duration::from_hours(24)),
    answer,
};

/// What is told of a user, in the order of the documentation; null where the directory says nothing.
const USER: [&str; 13] = [
    "uuid",
    "email",
    "wss_online",
    "role",
    "created_on",
    "modified_on",
    "deleted_on",
    "phone_number",
    "dob",
    "avatar",
    "first_name",
    "last_name",
    "gender",
];

/// The same of its account.
const ACCOUNT: [&str; 8] = [
    "created_on",
    "modified_on",
    "uuid",
    "email",
    "name",
    "level",
    "deleted_on",
    "balance",
];

fn answer<'a>(core: &'a Core, asked: &'a Asked) -> BoxFuture<'a, Result<Answer, Failure>> {
    Box::pin(async move {
        let segments: Vec<_> = asked.segments.iter().map(String::as_str).collect();
        match (asked.context.method.as_str(), segments.as_slice()) {
            ("GET", ["rest", "auth"]) => {
                let answered = auth(core, asked).await;
                answered.inspect_err(|it| core.count(asked, "token", Came::failed(it)))
            }
            _ => Ok(not_found()),
        }
    })
}

/// Tells of the caller, and mints its token.
async fn auth(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let identity = asked.identity()?;
    let stands_for_none = || {
        let detail = "the credential stands for no user";
        Denial::new(Reason::SchemeNotAccepted, detail)
    };
    let id = identity.user.as_ref().ok_or_else(stands_for_none)?;
    let reads = core.reads(asked);
    let gone = || Denial::new(Reason::Unknown, "the user is gone");
    let user = reads.user(id).await?.ok_or_else(gone)?;
    let opened = open_user(&asked.platform.name, &identity.scheme, user.clone(), &reads).await?;
    still(identity, opened.generations)?;
    let account = match &user.account {
        Some(id) => reads.account(id).await?,
        None => None,
    };
    let grant = Grant {
        claims: claims(&user),
        generations: opened.generations,
        lifetime: asked.lifetime(),
    };
    let token = core.mint(asked, grant)?;
    core.count(asked, "token", Came::of("issued"));
    let payload = payload(&user, account.as_ref(), &token);
    let body = json!({ "success": true, "payload": payload });
    Ok(Answer::json(200, &body))
}

fn claims(user: &User) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("uuid".to_owned(), json!(user.id));
    if let Some(role) = user.roles.first() {
        claims.insert("role".to_owned(), json!(role));
    }
    claims
}

fn payload(user: &User, account: Option<&Account>, token: &str) -> Map<String, Value> {
    let mut payload = documented(&USER, &user.attributes);
    let mut put = |key: &str, value: Value| payload.insert(key.to_owned(), value);
    put("uuid", json!(user.id));
    if let Some(email) = &user.email {
        put("email", json!(email));
    }
    put("role", json!(user.roles.first()));
    put("token", json!(token));
    put(
        "account",
        user.account
            .as_ref()
            .map_or(Value::Null, |id| shown(id, account).into()),
    );
    payload
}

fn shown(id: &str, account: Option<&Account>) -> Map<String, Value> {
    let none = Attributes::new();
    let attributes = account.map_or(&none, |it| &it.attributes);
    let mut shown = documented(&ACCOUNT, attributes);
    shown.insert("uuid".to_owned(), json!(id));
    if let Some(name) = account.and_then(|it| it.name.as_ref()) {
        shown.insert("name".to_owned(), json!(name));
    }
    shown
}

/// Gives attributes, those that the documentation has first.
fn documented(fields: &[&str], attributes: &Attributes) -> Map<String, Value> {
    let value = |it: &&str| attributes.get(*it).cloned().unwrap_or_default();
    let documented = fields.iter().map(|it| ((*it).to_owned(), value(it)));
    let mut shown: Map<_, _> = documented.collect();
    shown.extend(attributes.clone());
    shown
}

/// A rule of somebody's own leads here, and there is nothing.
fn not_found() -> Answer {
    let envelope = json!({
        "success": false, "message": "Not Found", "status": 404, "meta": "", "fields": {},
    });
    Answer::json(404, &envelope)
}
