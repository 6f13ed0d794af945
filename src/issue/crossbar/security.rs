//! The Security API (`cb_security.erl`): what holds for the login modules of an account, and who has
//! tried to log in.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::decision::{Failure, Fault};
use crate::directory::attempts::Attempt;
use crate::directory::security::{AuthModule, AuthModules};
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::Core;
use crate::issue::crossbar::envelope::{self, Problems};
use crate::issue::crossbar::modules::{MODULES, system};
use crate::platform::body::template::YEAR_0;

/// The longest that a token may be good, in seconds: a year.
const MAX_TOKEN_SECONDS: u64 = 31_536_000;

/// What KAZOO calls an account's configuration.
const ID: &str = "kazoo_auth_configs";

/// `data` of what is set.
#[derive(Deserialize)]
struct Form {
    auth_modules: AuthModules,
}

/// Tells which modules there are: `GET security`.
pub(super) fn available(core: &Core, asked: &Asked) -> Answer {
    envelope::done(core, asked, json!({ "available_auth_modules": MODULES }))
}

/// Tells, sets, changes or removes what an account has set: `GET|POST|PATCH|DELETE
/// accounts/ID/security`.
pub(super) async fn configure(
    core: &Core,
    asked: &Asked,
    method: &str,
    account: &str,
) -> Result<Answer, Failure> {
    let reads = core.reads(asked);
    let Some(record) = reads.account(account).await? else {
        return Ok(envelope::not_found(core, asked));
    };
    let platform = &asked.platform.name;
    let directory = core.directory();
    let set = match method {
        "GET" => {
            let set = reads.security(account).await?.unwrap_or_default();
            let inherited = reads.security_merged(&record, &system()).await?;
            let data = json!({
                "account": { "auth_modules": set, "id": ID },
                "auth_modules": set,
                "id": ID,
                "inherited_config": { "auth_modules": inherited },
            });
            return Ok(envelope::done(core, asked, data));
        }
        "DELETE" => {
            let set = directory.security(platform, account).await?;
            directory.delete_security(platform, account).await?;
            set.unwrap_or_default()
        }
        "PATCH" | "POST" | "PUT" => {
            let form = match form(core, asked) {
                Ok(form) => form,
                Err(answer) => return Ok(answer),
            };
            let replace = method != "PATCH";
            let change = |old: AuthModules| {
                let mut set = if replace { AuthModules::new() } else { old };
                for (name, module) in &form.auth_modules {
                    let below = set.remove(name).unwrap_or_default();
                    set.insert(name.clone(), module.clone().over(below));
                }
                Ok::<_, Fault>(set)
            };
            directory.change_security(platform, account, change).await?
        }
        _ => {
            return Ok(envelope::failed(
                core,
                asked,
                405,
                "method not allowed",
                json!({}),
            ));
        }
    };
    core.count(asked, "security", Came::of("changed"));
    let data = json!({ "auth_modules": set, "id": ID });
    Ok(envelope::done(core, asked, data))
}

/// Reads and checks what is to be set.
fn form(core: &Core, asked: &Asked) -> Result<Form, Answer> {
    let form: Form = envelope::data(core, asked)?;
    let mut problems = Problems::default();
    for (name, module) in &form.auth_modules {
        if !MODULES.contains(&name.as_str()) {
            let field = format!("auth_modules.{}", shown_name(name));
            problems.add(&field, "enum", "no such module");
        }
        check(name, module, &mut problems);
    }
    match problems.answer(core, asked) {
        None => Ok(form),
        Some(answer) => Err(answer),
    }
}

fn check(name: &str, module: &AuthModule, problems: &mut Problems) {
    if module
        .token_auth_expiry_s
        .is_some_and(|it| it > MAX_TOKEN_SECONDS)
    {
        let field = format!("auth_modules.{}.token_auth_expiry_s", shown_name(name));
        problems.add(&field, "maximum", "Value must be at most 31536000, a year");
    }
}

/// A name that a client made up, cut to what one is.
fn shown_name(name: &str) -> String {
    name.chars().take(32).collect()
}

/// Lists who has tried to log in, newest first: `GET accounts/ID/security/attempts`.
pub(super) async fn attempts(core: &Core, asked: &Asked, account: &str) -> Result<Answer, Failure> {
    let all = core
        .directory()
        .attempts(&asked.platform.name, account)
        .await?;
    let brief = |it: &Attempt| {
        json!({
            "auth_module": it.login.auth_module,
            "auth_type": it.login.auth_type,
            "id": it.id,
            "message": it.login.message,
            "status": it.login.status,
            "timestamp": it.timestamp + YEAR_0,
        })
    };
    let data: Vec<Value> = all.iter().map(brief).collect();
    Ok(envelope::done(core, asked, json!(data)))
}

/// Tells all of one attempt: `GET accounts/ID/security/attempts/ID`.
pub(super) async fn attempt(
    core: &Core,
    asked: &Asked,
    account: &str,
    id: &str,
) -> Result<Answer, Failure> {
    let all = core
        .directory()
        .attempts(&asked.platform.name, account)
        .await?;
    let Some(attempt) = all.into_iter().find(|it| it.id == id) else {
        return Ok(envelope::not_found(core, asked));
    };
    let data = json!({
        "auth_module": attempt.login.auth_module,
        "auth_type": attempt.login.auth_type,
        "client_ip": attempt.login.client_ip,
        "crossbar_request_id": attempt.login.request_id,
        "id": attempt.id,
        "message": attempt.login.message,
        "metadata": { "account_id": account, "owner_id": attempt.login.user },
        "status": attempt.login.status,
        "timestamp": attempt.timestamp + YEAR_0,
    });
    Ok(envelope::done(core, asked, data))
}
