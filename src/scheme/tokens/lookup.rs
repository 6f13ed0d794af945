//! Whom a token names, or what was said of one, as the directory knows them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decision::{About, Denial, Failure, Reason};
use crate::directory::Index;
use crate::directory::reads::Reads;
use crate::directory::records::User;
use crate::identity::Identity;
use crate::scheme::tokens::claims::Named;
use crate::scheme::{generations, open_account, open_user};

/// Whether the directory is asked about whom a token names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Asked {
    /// No: the token says everything, as with an identity provider that keeps the users.
    None,
    /// Where there is a record, it counts.
    Optional,
    /// The user, or where the token names none the account, must have a record.
    #[default]
    Required,
}

/// Asks the directory for one scheme.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The platform's name.
    pub(crate) platform: Arc<str>,
    /// The scheme's name in the platform.
    pub(crate) scheme: Arc<str>,
    /// Whether it is asked.
    pub(crate) directory: Asked,
    /// Claims that are kept for rules that ask about them.
    pub(crate) kept: Vec<String>,
    /// Roles of an account that is named without a user.
    pub(crate) account_roles: Vec<String>,
}

impl Lookup {
    /// Asks the directory, as far as the settings say, about whom a token's claims name. `issued`
    /// are the generations that the token was minted under, where it says so.
    ///
    /// # Errors
    /// A denial where the named may not get in, a fault when the store does not answer.
    pub(crate) async fn identify(
        &self,
        named: Named,
        claims: &Map<String, Value>,
        issued: Option<&Value>,
        reads: &Reads,
    ) -> Result<Identity, Failure> {
        let kept = self.kept.iter();
        let kept = kept.filter_map(|it| Some((it.clone(), claims.get(it)?.clone())));
        Ok(Identity {
            claims: kept.collect(),
            ..self.find(named, issued, reads).await?
        })
    }

    async fn find(
        &self,
        named: Named,
        issued: Option<&Value>,
        reads: &Reads,
    ) -> Result<Identity, Failure> {
        if self.directory == Asked::None {
            return Ok(self.claimed(named, None));
        }
        if named.user.is_some() || named.login.is_some() {
            if let Some(user) = user_of(&named, reads).await? {
                let opened = open_user(&self.platform, &self.scheme, user, reads).await?;
                let tell = |it: &mut About| {
                    it.name(
                        opened.identity.account.as_deref(),
                        opened.identity.user.as_deref(),
                    )
                };
                if named.account.is_some() && named.account != opened.identity.account {
                    let detail = "the token's user belongs to another account";
                    let denial = denied(Reason::AccountMismatch, detail);
                    return Err(denial.telling(tell).into());
                }
                check_generations(issued, opened.generations).map_err(|it| it.telling(tell))?;
                return Ok(Identity {
                    scopes: named.scopes,
                    ..opened.identity
                });
            }
            if self.directory == Asked::Required {
                return Err(denied(Reason::Unknown, "the token's user has no record").into());
            }
        }
        let account = open_account(named.account.as_deref(), reads).await?;
        if account.is_none() && self.directory == Asked::Required {
            return Err(denied(Reason::Unknown, "the token names nobody with a record").into());
        }
        let generations = generations(account.as_deref(), 0, reads).await?;
        check_generations(issued, generations)?;
        let by_itself = named.user.is_none() && named.login.is_none();
        let mut identity = self.claimed(named, account.and_then(|it| it.expires));
        identity.generations = Some(generations);
        if by_itself {
            identity.roles.extend(self.account_roles.iter().cloned());
        }
        Ok(identity)
    }

    fn claimed(&self, named: Named, expires: Option<u64>) -> Identity {
        Identity {
            platform: Arc::clone(&self.platform),
            account: named.account,
            user: named.user,
            username: named.username,
            scheme: Arc::clone(&self.scheme),
            scopes: named.scopes,
            roles: named.roles,
            expires,
            ..Identity::default()
        }
    }
}

/// Gives the user whom a token names by its id, or else by its login.
async fn user_of(named: &Named, reads: &Reads) -> Result<Option<User>, Failure> {
    let login = match (&named.user, &named.login) {
        (Some(id), _) => return Ok(reads.user(id).await?),
        (None, Some(login)) => login,
        (None, None) => return Ok(None),
    };
    let mut users = reads.users(Index::Login, &[login.as_bytes()]).await?;
    if users.len() > 1 {
        let detail = "several users have the login that the token names";
        return Err(denied(Reason::Conflict, detail).into());
    }
    Ok(users.pop())
}

fn check_generations(claim: Option<&Value>, now: [u64; 3]) -> Result<(), Denial> {
    let Some(claim) = claim else { return Ok(()) };
    let issued: Option<Vec<u64>> = claim
        .as_array()
        .and_then(|all| all.iter().map(Value::as_u64).collect());
    match issued {
        Some(issued) if issued == now => Ok(()),
        Some(issued) if issued.len() == now.len() => {
            Err(denied(Reason::Revoked, "the user's tokens were revoked"))
        }
        _ => Err(denied(Reason::Malformed, "`gen` is not three generations")),
    }
}

fn denied(reason: Reason, detail: &'static str) -> Denial {
    Denial::new(reason, detail)
}
