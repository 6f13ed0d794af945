//! Tokens: minting them as KAZOO does, telling of them, revoking and renewing them
//! (`crossbar_auth.erl`, `cb_token_auth.erl`, `cb_auth.erl`).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac as _};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::decision::{About, Denial, Failure, Fault, Reason};
use crate::directory::attempts::{Login, Status};
use crate::directory::pepper::Digest;
use crate::directory::reads::Reads;
use crate::directory::records::{Account, RecordKind, User};
use crate::identity::{Identity, TokenRef};
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::{Core, Grant};
use crate::issue::crossbar::envelope::{self, Problems};
use crate::issue::crossbar::modules::{AUTH, effective};
use crate::issue::crossbar::second_factor::{Factor, second_factor};
use crate::issue::standing::still;
use crate::scheme::{generations, open_account, open_user};

/// `iss` of KAZOO's tokens.
const ISSUER: &str = "kazoo";

/// Whom a token stands for.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) account: Account,
    /// `None`: the account itself.
    pub(super) user: Option<User>,
    pub(super) generations: [u64; 3],
    /// The module that has logged it in.
    pub(super) method: &'static str,
}

impl Bearer {
    /// Gives what a login shows of it (`crossbar_util:populate_resp/3`): attributes of the account
    /// and of the user, who wins, and what follows from the records.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub(super) async fn shown(&self, reads: &Reads) -> Result<Value, Failure> {
        let mut data = Map::new();
        let above = reads.lineage(&self.account.id).await?;
        let is_reseller =
            |it: &&Account| it.attributes.get("is_reseller") == Some(&Value::Bool(true));
        let reseller = above.iter().skip(1).find(is_reseller).or(above.last());
        let reseller = reseller.map(|it| it.id.clone());
        data.insert("apps".to_owned(), json!([]));
        data.insert(
            "is_master_account".to_owned(),
            json!(self.account.parent.is_none()),
        );
        data.insert("is_reseller".to_owned(), json!(false));
        data.insert("reseller_id".to_owned(), json!(reseller));
        data.extend(self.account.attributes.clone());
        if let Some(user) = &self.user {
            data.extend(user.attributes.clone());
            data.insert("owner_id".to_owned(), json!(user.id));
        }
        data.insert("account_id".to_owned(), json!(self.account.id));
        if let Some(name) = &self.account.name {
            data.insert("account_name".to_owned(), json!(name));
        }
        data.sort_keys();
        Ok(Value::Object(data))
    }

    /// Says that something came of it for this bearer.
    pub(super) fn came<'a>(&'a self, came: Came<'a>) -> Came<'a> {
        let user = self.user.as_ref().map(|it| it.id.as_str());
        came.about(Some(&self.account.id), user)
    }

    /// Says whom a denial is about.
    pub(super) fn tell(&self, about: &mut About) {
        let user = self.user.as_ref().map(|it| it.id.as_str());
        about.name(Some(&self.account.id), user);
    }

    /// Denies this bearer something.
    pub(super) fn denied(&self, reason: Reason, detail: &'static str) -> Denial {
        Denial::new(reason, detail).telling(|it| self.tell(it))
    }

    /// Puts an attempt to log in into words.
    pub(super) fn attempt(&self, asked: &Asked, status: Status, message: &str) -> Login {
        Login {
            auth_type: "jwt_auth_token".to_owned(),
            auth_module: self.method.to_owned(),
            status,
            message: message.to_owned(),
            client_ip: asked.context.client_address,
            request_id: Some(asked.request_id.clone()),
            user: self.user.as_ref().map(|it| it.id.clone()),
        }
    }

    /// Notes an attempt for whoever runs the account, if it wants to know.
    pub(super) fn note(&self, core: &Core, asked: &Asked, status: Status, message: &str) {
        let login = self.attempt(asked, status, message);
        core.note(asked, &self.account.id, login);
    }

    /// Finds whom an identity stands for now.
    ///
    /// # Errors
    /// A denial where it may not get in any more, a fault when the store does not answer.
    async fn of(identity: &Identity, asked: &Asked, reads: &Reads) -> Result<Self, Failure> {
        let gone = || Denial::new(Reason::Unknown, "whom the token names is gone");
        let user = match &identity.user {
            Some(id) => Some(reads.user(id).await?.ok_or_else(gone)?),
            None => None,
        };
        let account = open_account(identity.account.as_deref(), reads).await?;
        let account = account.map(Arc::unwrap_or_clone).ok_or_else(gone)?;
        let generations = match &user {
            Some(user) => {
                open_user(&asked.platform.name, &AUTH.into(), user.clone(), reads)
                    .await?
                    .generations
            }
            None => generations(Some(&account), 0, reads).await?,
        };
        still(identity, generations)?;
        Ok(Self {
            account,
            user,
            generations,
            method: AUTH,
        })
    }
}

/// Mints a token with the claims that KAZOO documents (`kz_auth:include_claims`).
///
/// # Errors
/// A fault where it cannot be signed.
pub(super) fn mint(
    core: &Core,
    asked: &Asked,
    bearer: &Bearer,
    lifetime: Duration,
) -> Result<String, Fault> {
    let owner = bearer.user.as_ref().map(|it| it.id.as_str());
    let subject = owner.unwrap_or(&bearer.account.id);
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), json!(ISSUER));
    claims.insert(
        "identity_sig".to_owned(),
        json!(own_signature(core, asked, bearer, subject)),
    );
    claims.insert("account_id".to_owned(), json!(bearer.account.id));
    if let Some(owner) = owner {
        claims.insert("owner_id".to_owned(), json!(owner));
    }
    claims.insert("method".to_owned(), json!(bearer.method));
    let grant = Grant {
        claims,
        generations: bearer.generations,
        lifetime,
    };
    core.mint(asked, grant)
}

/// Signs the identity under secrets that follow from the pepper and the generations, so that they
/// change with them and are stored nowhere.
fn own_signature(core: &Core, asked: &Asked, bearer: &Bearer, subject: &str) -> String {
    let peppers = core.directory().peppers();
    let platform = &asked.platform.name;
    let secret = |purpose: &[u8], of: &[u8]| peppers.mac(purpose, of).to_string();
    let of = format!("{platform}\n{subject}\n{:?}", bearer.generations);
    let own = secret(b"signature secret", of.as_bytes());
    let system = secret(b"system signature secret", platform.as_bytes());
    identity_signature(&own, &system, subject)
}

/// `kz_auth_identity:sign/1`: HMAC-SHA-256 of who is meant, under both secrets, in base64url.
fn identity_signature(own: &str, system: &str, subject: &str) -> String {
    let key = format!("{own}{system}");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes any key");
    mac.update(subject.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Tells of the token in the path, which must be the one that was presented: `GET user_auth/TOKEN`.
pub(super) async fn show(core: &Core, asked: &Asked, token: &str) -> Result<Answer, Failure> {
    let (identity, presented) = presented(asked)?;
    let reads = core.reads(asked);
    let same = Digest::try_from(presented.text.as_str());
    if !same.is_ok_and(|it| core.directory().is_text_of(token, &it)) {
        let detail = "the path names another token than was presented";
        return Err(Denial::new(Reason::Wrong, detail).into());
    }
    let bearer = Bearer::of(identity, asked, &reads).await?;
    let mut data = bearer.shown(&reads).await?;
    if let Value::Object(data) = &mut data {
        data.insert("method".to_owned(), json!(presented.method));
        data.sort_keys();
    }
    Ok(envelope::done(core, asked, data))
}

/// Tells of whoever asks: `GET token_auth`.
pub(super) async fn tell(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let identity = asked.identity()?;
    let method = identity.token.as_ref().and_then(|it| it.method.clone());
    let mut data = json!({
        "account_id": identity.account,
        "method": method.unwrap_or_else(|| format!("cb_{}_auth", identity.scheme)),
    });
    if let Some(user) = &identity.user {
        data["owner_id"] = json!(user);
    }
    Ok(envelope::done(core, asked, data))
}

/// Revokes the token that was presented, which KAZOO only seems to do: `DELETE token_auth`.
pub(super) async fn revoke(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let (_, presented) = presented(asked)?;
    core.revoke(&asked.platform, presented).await?;
    core.count(asked, "token", Came::of("revoked"));
    Ok(envelope::done(core, asked, json!({})))
}

#[derive(Deserialize)]
struct Act {
    action: Option<String>,
    multi_factor_response: Option<Value>,
}

/// Renews the token, or ends every token of whoever asks: `PUT auth`.
pub(super) async fn act(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let act = match act_of(core, asked, &["refresh_token", "reset_signature_secret"]) {
        Ok(act) => act,
        Err(answer) => return Ok(answer),
    };
    let identity = asked.identity()?;
    if act.action.as_deref() == Some("reset_signature_secret") {
        return match (&identity.user, &identity.account) {
            (Some(user), _) => end_all(core, asked, RecordKind::User, user).await,
            (None, Some(account)) => end_all(core, asked, RecordKind::Account, account).await,
            (None, None) => Ok(envelope::not_found(core, asked)),
        };
    }
    let reads = core.reads(asked);
    let bearer = Bearer::of(identity, asked, &reads).await?;
    still(identity, bearer.generations)?;
    let effective = effective(&bearer.account, AUTH, &reads).await?;
    if !effective.enabled {
        let denial = bearer.denied(Reason::SchemeNotAccepted, "the account has switched it off");
        core.count(asked, "token", Came::denied(&denial));
        let message = "invalid credentials";
        return Ok(envelope::failed(core, asked, 401, message, json!({})));
    }
    if effective.second_factor {
        let response = act.multi_factor_response.as_ref();
        if let Factor::Asked(challenge) = second_factor(core, asked, &bearer, response).await? {
            let denial = bearer.denied(Reason::SecondFactor, "a second factor is asked for");
            core.count(asked, "token", Came::denied(&denial));
            return Ok(challenge);
        }
    }
    let token = mint(core, asked, &bearer, effective.token_lifetime)?;
    core.count(asked, "token", bearer.came(Came::of("issued")));
    let data = bearer.shown(&reads).await?;
    Ok(envelope::minted(core, asked, (&token, data), None))
}

/// Ends every token of an account or of one of its users: `PUT accounts/ID[/users/ID]/auth`.
pub(super) async fn act_on(
    core: &Core,
    asked: &Asked,
    account: &str,
    user: Option<&str>,
) -> Result<Answer, Failure> {
    if let Err(answer) = act_of(core, asked, &["reset_signature_secret"]) {
        return Ok(answer);
    }
    let Some(user) = user else {
        return end_all(core, asked, RecordKind::Account, account).await;
    };
    let found = core.reads(asked).user(user).await?;
    if found.is_none_or(|it| it.account.as_deref() != Some(account)) {
        return Ok(envelope::not_found(core, asked));
    }
    end_all(core, asked, RecordKind::User, user).await
}

async fn end_all(
    core: &Core,
    asked: &Asked,
    kind: RecordKind,
    id: &str,
) -> Result<Answer, Failure> {
    if !core.revoke_all(&asked.platform, kind, id).await? {
        return Ok(envelope::not_found(core, asked));
    }
    core.count(asked, "token", Came::of("revoked"));
    Ok(envelope::done(core, asked, json!({})))
}

fn act_of(core: &Core, asked: &Asked, known: &[&str]) -> Result<Act, Answer> {
    let act: Act = envelope::data(core, asked)?;
    let mut problems = Problems::default();
    match &act.action {
        None => problems.required("action"),
        Some(it) if !known.contains(&it.as_str()) => {
            let message = "Value not found in enumerated list of values";
            problems.add("action", "enum", message);
        }
        Some(_) => {}
    }
    match problems.answer(core, asked) {
        None => Ok(act),
        Some(answer) => Err(answer),
    }
}

fn presented(asked: &Asked) -> Result<(&Identity, &TokenRef), Failure> {
    let identity = asked.identity()?;
    let detail = "what was presented is no token";
    let token = identity.token.as_deref();
    let token = token.ok_or_else(|| Denial::new(Reason::SchemeNotAccepted, detail))?;
    Ok((identity, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k26_an_identity_is_signed_as_kazoo_signs_it() {
        let signature = identity_signature(
            "0123456789abcdef0123456789abcdef",
            "fedcba9876543210fedcba9876543210",
            "8e248327b85591955749e53ea45b6baa",
        );
        assert_eq!(signature, "-jUZYg-21SzGI7vbkWnIKpbR9FJyR5k4qd9xtMBH1CI");
    }
}
