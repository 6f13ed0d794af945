//! The API keys of an account: `/settings/2/api-keys`.
//!
//! Whoever the preset's rules let come here manages the keys of the own account, and of no other;
//! another's key is as one that there is not. A key's secret is shown when it is made, and is nowhere
//! afterwards.

mod form;
mod list;
mod merge;
mod time;
mod words;

use serde_json::{Map, Value, json};

use crate::credential::Secret;
use crate::decision::{Denial, Failure, Fault, Reason};
use crate::directory::records::ApiKey;
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::Core;
use crate::issue::infobip::keys::form::Form;
use crate::issue::infobip::keys::merge::{Change, permissions, platform, unlinked};
use crate::issue::infobip::keys::time::{a_year_after, written};
use crate::issue::infobip::violations::Violations;
use crate::issue::uuid;
use crate::strict_json;

const WHAT: &str = "api_key";

/// How many keys an account may have: nothing deletes one.
const MAX_KEYS: usize = 1000;

/// The longest id of a key, in bytes.
const MAX_ID_BYTES: usize = 128;

/// Why a request is not done.
#[derive(Debug)]
enum Stop {
    Failure(Failure),
    Wrong(Violations),
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

impl From<Violations> for Stop {
    fn from(wrong: Violations) -> Self {
        Self::Wrong(wrong)
    }
}

/// Answers a request below `/settings/2/api-keys`; `rest` is the path behind it.
pub(super) async fn answer(
    core: &Core,
    asked: &Asked,
    method: &str,
    rest: &[&str],
) -> Result<Answer, Failure> {
    let done = match (account(asked)?, method, rest) {
        (account, "GET", []) => list::answer(core, asked, account).await,
        (account, "POST", []) => create(core, asked, account).await,
        (account, "GET", [id]) => read(core, asked, account, id).await,
        (account, "PUT", [id]) => update(core, asked, account, id).await,
        _ => Err(Denial::not_found("keys have no such endpoint").into()),
    };
    let count = |came: Came<'_>| {
        if method != "GET" {
            core.count(asked, WHAT, came);
        }
    };
    match done {
        Ok(answer) => Ok(answer),
        Err(Stop::Failure(failure)) => {
            count(Came::failed(&failure));
            Err(failure)
        }
        Err(Stop::Wrong(wrong)) => {
            count(Came::malformed());
            Ok(wrong.answer(core, asked))
        }
    }
}

/// Gives the account whose keys these are: the caller's.
fn account(asked: &Asked) -> Result<&str, Failure> {
    let detail = "the caller belongs to no account, so it has no keys";
    let none = || Denial::new(Reason::Relation, detail);
    Ok(asked.identity()?.account.as_deref().ok_or_else(none)?)
}

/// Demands that the account that a request names, if it names one, is the caller's.
fn is_own(named: Option<&str>, account: &str) -> Result<(), Denial> {
    match named {
        Some(other) if other != account => {
            let detail = "the request is about another account";
            Err(Denial::new(Reason::Relation, detail))
        }
        _ => Ok(()),
    }
}

async fn read(core: &Core, asked: &Asked, account: &str, id: &str) -> Result<Answer, Stop> {
    if !is_id(id) {
        return Err(no_such_key().into());
    }
    let key = core
        .directory()
        .key_of_account(&asked.platform.name, account, id);
    let key = key.await?.ok_or_else(no_such_key)?;
    Ok(Answer::json(200, &shown(&key, None)))
}

async fn create(core: &Core, asked: &Asked, account: &str) -> Result<Answer, Stop> {
    let form = form(asked)?;
    is_own(form.account.as_deref(), account)?;
    let (directory, platform) = (core.directory(), &asked.platform.name);
    let now = core.clock().unix_seconds();
    let mut wrong = Violations::default();
    if form.name.is_none() {
        wrong.add("name", "is required");
    }
    if form.valid_to.is_some_and(|it| it <= now) {
        wrong.add("validTo", "must not be over yet");
    }
    if directory.count_keys_of_account(platform, account).await? >= MAX_KEYS {
        let full = format!("has {MAX_KEYS} keys already, which is as many as an account may have");
        wrong.add("accountId", full);
    }
    wrong.none()?;
    let secret = secret()?;
    let new = ApiKey {
        id: id()?,
        account: Some(account.to_owned()),
        secret: Some(directory.key_digest(platform, &Secret::new(secret.as_bytes()))),
        valid_from: Some(now),
        valid_to: Some(a_year_after(now)),
        ..unlinked()
    };
    let key = Change::new(form)?.apply(new)?;
    // The key itself is written last, so that what breaks off leaves none, or one whose secret nobody
    // knows.
    directory.put_api_key(platform, &key).await?;
    tell(asked, &key, "created");
    core.count(asked, WHAT, Came::of("issued").key(&key.id));
    Ok(Answer::json(200, &shown(&key, Some(&secret))))
}

async fn update(core: &Core, asked: &Asked, account: &str, id: &str) -> Result<Answer, Stop> {
    if !is_id(id) {
        return Err(no_such_key().into());
    }
    let form = form(asked)?;
    is_own(form.account.as_deref(), account)?;
    let change = Change::new(form)?;
    let apply = |old: Option<ApiKey>| {
        let own = old.filter(|it| it.account.as_deref() == Some(account));
        Ok::<_, Stop>(change.apply(own.ok_or_else(no_such_key)?)?)
    };
    let updated = core
        .directory()
        .update(&asked.platform.name, id, apply)
        .await?;
    // What a key may do no more is revoked.
    core.directory().confirm_or_log().await;
    tell(asked, &updated.record, "updated");
    core.count(asked, WHAT, Came::of("changed").key(id));
    Ok(Answer::json(200, &shown(&updated.record, None)))
}

fn no_such_key() -> Denial {
    Denial::not_found("the account has no such key")
}

/// Tells whether a key may have this id: a longer one could not even be asked for.
fn is_id(id: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
    id.len() <= MAX_ID_BYTES && id.bytes().all(plain)
}

/// Reads what a request says of a key.
fn form(asked: &Asked) -> Result<Form, Violations> {
    let Some(body) = &asked.body else {
        return Err(Violations::of("body", "is larger than 64 KiB"));
    };
    let essence = asked.content_type.split(';').next().unwrap_or_default();
    if !matches!(
        essence.trim().to_ascii_lowercase().as_str(),
        "" | "application/json"
    ) {
        return Err(Violations::of("content-type", "must be application/json"));
    }
    let fields = strict_json::object(body);
    let fields = fields.ok_or_else(|| {
        let what = "must be one JSON object, in which no name stands twice";
        Violations::of("body", what)
    })?;
    Form::read(fields, &asked.platform.policy)
}

/// Logs who has done what to a key: whoever makes one may give it any scope.
fn tell(asked: &Asked, key: &ApiKey, done: &str) {
    let identity = asked.context.identity.as_ref();
    let user = identity.and_then(|it| it.user.as_deref());
    let (platform, id, account) = (&asked.platform.name, &key.id, key.account.as_deref());
    let enabled = !key.disabled;
    tracing::info!(%platform, id, account, user, enabled, "an API key was {done}");
}

/// Makes an id as the platform's are: 32 hexadecimal digits.
fn id() -> Result<String, Fault> {
    Ok(uuid::random()?.replace('-', "").to_uppercase())
}

/// Makes a secret as the platform's are: 32 hexadecimal digits, and a UUID.
fn secret() -> Result<String, Fault> {
    Ok(format!("{}-{}", id()?.to_lowercase(), uuid::random()?))
}

/// Gives a key as answers show it (`ApiKey` of the published schema), with its secret where it was
/// just made.
fn shown(key: &ApiKey, secret: Option<&str>) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("id", json!(key.id));
    if let Some(secret) = secret {
        put("apiKeySecret", json!(secret));
    }
    put("accountId", json!(key.account));
    put("name", json!(key.name.as_deref().unwrap_or_default()));
    let net = |it: &ipnet::IpNet| match it.prefix_len() == it.max_prefix_len() {
        true => it.addr().to_string(),
        false => it.to_string(),
    };
    let addresses: Vec<_> = key.allowed_addresses.iter().map(net).collect();
    put("allowedIPs", json!(addresses));
    for (name, time) in [("validFrom", key.valid_from), ("validTo", key.valid_to)] {
        if let Some(time) = time {
            put(name, json!(written(time)));
        }
    }
    put("enabled", json!(!key.disabled && !key.revoked));
    let platform = platform(key);
    if platform.is_empty() {
        put("permissions", json!(permissions(key)));
        put("scopeGuids", json!(key.scopes));
    } else {
        put("platform", json!(platform));
    }
    shown
}

#[cfg(test)]
mod tests;
