//! Logging in: `PUT user_auth` with a user's hashed credentials, `PUT api_auth` with an account's key
//! (`cb_user_auth.erl`, `cb_api_auth.erl`).
//!
//! Who is unknown, whose credentials are wrong and who is disabled are answered with one body, after
//! the same reads. What the Security API has set is asked only of accounts whose credentials are
//! right, so nobody else learns of it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::credential::Secret;
use crate::decision::{Denial, Failure, Reason};
use crate::directory::Index;
use crate::directory::attempts::Status;
use crate::directory::names::attempted;
use crate::directory::reads::Reads;
use crate::directory::records::Account;
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::Core;
use crate::issue::crossbar::envelope::{self, Problems};
use crate::issue::crossbar::modules::{API_AUTH, Effective, USER_AUTH, effective};
use crate::issue::crossbar::second_factor::{Factor, second_factor};
use crate::issue::crossbar::token::{Bearer, mint};
use crate::scheme::{generations, open_account, open_user};

/// The account whose user is looked up where there is no account: it has none, and takes as long.
const NOBODY: &str = "00000000000000000000000000000000";

/// `data` of a login (`user_auth.json`). Further fields, such as `ui_metadata`, are let be.
#[derive(Deserialize)]
struct UserAuth {
    credentials: Option<Secret>,
    account_name: Option<String>,
    #[serde(alias = "realm")]
    account_realm: Option<String>,
    phone_number: Option<String>,
    account_id: Option<String>,
    method: Option<String>,
    multi_factor_response: Option<Value>,
}

/// `data` of a login with a key (`api_auth.json`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiAuth {
    api_key: Option<Secret>,
}

/// What a login came to, its credentials being right.
enum Login {
    In(Box<Bearer>, Effective),
    /// It ends with this answer all the same, for this.
    Out(Answer, Denial),
}

/// Logs a user in.
pub(super) async fn by_user(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let read = envelope::data(core, asked).and_then(|form: UserAuth| {
        let wrong = form.problems().answer(core, asked);
        wrong.map_or(Ok(form), Err)
    });
    let form = match read {
        Ok(form) => form,
        Err(answer) => return Ok(not_meant(core, asked, answer)),
    };
    let targets = form.targets();
    let reads = core.reads(asked);
    let verdict = core.log_in(asked, &targets, form.verify(core, asked, &reads));
    let verdict = core.at_anybody(asked, false, verdict).await;
    finish(core, asked, &targets, &reads, verdict).await
}

/// Logs an account in.
pub(super) async fn by_key(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let form: ApiAuth = match envelope::data(core, asked) {
        Ok(form) => form,
        Err(answer) => return Ok(not_meant(core, asked, answer)),
    };
    let mut problems = Problems::default();
    let key = form.api_key.unwrap_or_else(|| {
        problems.required("api_key");
        Secret::new(*b"")
    });
    if problems.is_empty() {
        problems.length("api_key", key.expose_str().unwrap_or_default(), 64, 64);
    }
    if let Some(answer) = problems.answer(core, asked) {
        return Ok(not_meant(core, asked, answer));
    }
    // Whose key it was to be is not known, so all of an address count together.
    let targets = ["an account's key".to_owned()];
    let reads = core.reads(asked);
    let verify = verify_key(core, asked, &key, &reads);
    let verdict = core.log_in(asked, &targets, verify);
    let verdict = core.at_anybody(asked, false, verdict).await;
    finish(core, asked, &targets, &reads, verdict).await
}

/// Mints the token of a login that succeeded, and counts one that did not.
async fn finish(
    core: &Core,
    asked: &Asked,
    targets: &[String],
    reads: &Reads,
    verdict: Result<Login, Failure>,
) -> Result<Answer, Failure> {
    let (bearer, effective) = match verdict {
        Ok(Login::In(bearer, effective)) => (bearer, effective),
        Ok(Login::Out(answer, why)) => {
            core.count(asked, "token", Came::denied(&why));
            return Ok(answer);
        }
        Err(failure) => {
            core.count(asked, "token", Came::failed(&failure));
            return Err(failure);
        }
    };
    let token = mint(core, asked, &bearer, effective.token_lifetime)?;
    bearer.note(core, asked, Status::Success, "a token was created");
    core.count(asked, "token", bearer.came(Came::of("issued")));
    let data = bearer.shown(reads).await?;
    let tokens = targets.first().map(|it| core.tokens(asked, it));
    Ok(envelope::minted(core, asked, (&token, data), tokens))
}

impl UserAuth {
    fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        match self.credentials.as_ref().map(Secret::expose_str) {
            None => problems.required("credentials"),
            Some(hash) => problems.length("credentials", hash.unwrap_or_default(), 1, 64),
        }
        for (field, value, least, most) in [
            ("account_name", &self.account_name, 1, 128),
            ("account_realm", &self.account_realm, 4, 253),
            ("phone_number", &self.phone_number, 1, 64),
            ("account_id", &self.account_id, 1, 128),
        ] {
            if let Some(value) = value {
                problems.length(field, value, least, most);
            }
        }
        if self.index().is_none() {
            problems.add(
                "method",
                "enum",
                "Value not found in enumerated list of values",
            );
        }
        problems
    }

    /// `sha1` is what KAZOO's documentation says, and `sha` what it takes.
    fn index(&self) -> Option<Index> {
        match self.method.as_deref() {
            None | Some("md5") => Some(Index::Md5),
            Some("sha" | "sha1") => Some(Index::Sha1),
            Some(_) => None,
        }
    }

    /// Every account that is named, so that nobody gets round a limit by naming another one first.
    fn targets(&self) -> Vec<String> {
        // By itself, as operators lift it (`throttle lift --target`).
        let id = self.account_id.iter().cloned();
        let named = self.named().into_iter();
        let named = named.filter_map(|(index, value)| Some(attempted(index, value?.as_bytes())));
        named.chain(id).collect()
    }

    /// What accounts are looked up by, in KAZOO's order.
    fn named(&self) -> [(Index, Option<&String>); 3] {
        [
            (Index::PhoneNumber, self.phone_number.as_ref()),
            (Index::Realm, self.account_realm.as_ref()),
            (Index::AccountName, self.account_name.as_ref()),
        ]
    }

    /// `find_account/4`: by phone number, else by realm, else by name. Each is looked up whatever the
    /// others find, so that time tells nothing.
    async fn accounts(&self, reads: &Reads) -> Result<Vec<Account>, Failure> {
        let mut found = Vec::new();
        for (index, value) in self.named() {
            let Some(value) = value else { continue };
            let accounts = reads.accounts(index, &[value.as_bytes()]).await?;
            if accounts.is_empty() {
                reads.account(NOBODY).await?;
            }
            found.push(accounts);
        }
        if let Some(id) = &self.account_id {
            found.push(reads.account(id).await?.into_iter().collect());
        }
        Ok(found
            .into_iter()
            .find(|it| !it.is_empty())
            .unwrap_or_default())
    }

    async fn verify(&self, core: &Core, asked: &Asked, reads: &Reads) -> Result<Login, Failure> {
        let accounts = self.accounts(reads).await?;
        // However an account is called, its failures are its own as well.
        let ids = accounts.iter().map(|it| it.id.clone());
        let ids = ids.filter(|it| self.account_id.as_ref() != Some(it));
        let ids: Vec<_> = ids.collect();
        let verify = self.verify_at(core, asked, accounts, reads);
        core.log_in(asked, &ids, verify).await
    }

    async fn verify_at(
        &self,
        core: &Core,
        asked: &Asked,
        accounts: Vec<Account>,
        reads: &Reads,
    ) -> Result<Login, Failure> {
        let index = self.index().unwrap_or(Index::Md5);
        let hash = self.credentials.as_ref().map_or(&b""[..], Secret::expose);
        let ids: Vec<_> = accounts.iter().map(|it| it.id.as_str()).collect();
        let ids = if ids.is_empty() { vec![NOBODY] } else { ids };
        let mut users = Vec::new();
        for id in ids {
            let found = reads.users(index, &[id.as_bytes(), hash]).await?;
            if found.is_empty() {
                reads.user(NOBODY).await?;
            }
            users.extend(found);
        }
        let Some(user) = users.into_iter().find(|it| !it.disabled) else {
            let account = accounts.into_iter().next();
            let detail = "no user of the account has these credentials and may log in";
            let denial = Denial::new(Reason::Unknown, detail);
            let denial = denial.telling(|it| it.account = account.as_ref().map(|it| it.id.clone()));
            note_failure(core, asked, account);
            return Err(denial.into());
        };
        let account = accounts
            .into_iter()
            .find(|it| user.account.as_ref() == Some(&it.id));
        let account = account.ok_or_else(|| Denial::new(Reason::Unknown, "no such account"))?;
        let opened =
            open_user(&asked.platform.name, &USER_AUTH.into(), user.clone(), reads).await?;
        let bearer = Bearer {
            account,
            user: Some(user),
            generations: opened.generations,
            method: USER_AUTH,
        };
        let effective = effective(&bearer.account, USER_AUTH, reads).await?;
        if !effective.enabled {
            return Ok(switched_off(core, asked, &bearer));
        }
        if effective.second_factor {
            let response = self.multi_factor_response.as_ref();
            match second_factor(core, asked, &bearer, response).await {
                Ok(Factor::Proven) => {}
                Ok(Factor::Asked(challenge)) => {
                    let detail = "a second factor is asked for";
                    let why = bearer.denied(Reason::SecondFactor, detail);
                    return Ok(Login::Out(challenge, why));
                }
                Err(failure) => {
                    if matches!(failure, Failure::Denied(_)) {
                        let what = "the second factor was not accepted";
                        bearer.note(core, asked, Status::Failed, what);
                    }
                    return Err(failure.telling(|it| bearer.tell(it)));
                }
            }
        }
        Ok(Login::In(Box::new(bearer), effective))
    }
}

async fn verify_key(
    core: &Core,
    asked: &Asked,
    key: &Secret,
    reads: &Reads,
) -> Result<Login, Failure> {
    let found = reads.accounts(Index::AccountKey, &[key.expose()]).await?;
    let id = found.into_iter().next().map(|it| it.id);
    // The same reads, whether there is one or not.
    let opened = open_account(id.as_deref().or(Some(NOBODY)), reads).await?;
    let opened = opened.map(Arc::unwrap_or_clone);
    let account = opened.ok_or_else(|| Denial::new(Reason::Unknown, "no account has this key"))?;
    let generations = generations(Some(&account), 0, reads).await?;
    let effective = effective(&account, API_AUTH, reads).await?;
    let bearer = Bearer {
        account,
        user: None,
        generations,
        method: API_AUTH,
    };
    if !effective.enabled {
        return Ok(switched_off(core, asked, &bearer));
    }
    if effective.second_factor {
        // An account has no second factor to ask for, and going without would be failing open.
        let detail = "the account's keys need a second factor, which an account does not have";
        return Err(bearer.denied(Reason::SecondFactor, detail).into());
    }
    Ok(Login::In(Box::new(bearer), effective))
}

/// `create_auth_token/2` where the module is off: the other 401, with a space and without data.
fn switched_off(core: &Core, asked: &Asked, bearer: &Bearer) -> Login {
    let answer = envelope::failed(core, asked, 401, "invalid credentials", json!({}));
    let detail = "the account has switched this way to log in off";
    Login::Out(answer, bearer.denied(Reason::SchemeNotAccepted, detail))
}

/// Counts a login of which something is missing or wrong.
fn not_meant(core: &Core, asked: &Asked, answer: Answer) -> Answer {
    core.count(asked, "token", Came::malformed());
    answer
}

/// Notes a login that failed at an account; where there is none, the same is done for nobody's.
fn note_failure(core: &Core, asked: &Asked, account: Option<Account>) {
    let nobody = || Account {
        id: NOBODY.to_owned(),
        ..Account::default()
    };
    let bearer = Bearer {
        account: account.unwrap_or_else(nobody),
        user: None,
        generations: [0; 3],
        method: USER_AUTH,
    };
    let what = "the credentials were not accepted";
    bearer.note(core, asked, Status::Failed, what);
}
