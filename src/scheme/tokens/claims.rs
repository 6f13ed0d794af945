//! What a scheme demands of the claims of a token whose signature is right, and whom they name.
//!
//! RFC 7519 §4.1, read strictly: times are whole seconds, and a claim of the wrong type is not an
//! absent one. Whether the named user exists is asked elsewhere.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::decision::{Denial, Reason};

/// The last second of the year 9999: what is later is not a time, but an attempt.
const LAST_SECOND: u64 = 253_402_300_799;

/// How many scopes or roles a token may grant.
const MAX_GRANTS: usize = 256;

/// The longest name of an account or user, in bytes: what the directory takes.
const MAX_ID_BYTES: usize = 128;

/// Which claims say who is meant.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Names {
    /// The account's id.
    pub(crate) account: Option<String>,
    /// The user's id; `sub` unless said otherwise.
    pub(crate) user: Option<String>,
    /// The login name or e-mail by which the user is looked up where the token does not say its id. A
    /// name that several users have is nobody's.
    pub(crate) login: Option<String>,
    /// The login name, for users without a record.
    pub(crate) username: Option<String>,
    /// Scopes, divided by spaces or as a list; `scope` unless said otherwise.
    pub(crate) scopes: Option<String>,
    /// Roles, alike, for users without a record.
    pub(crate) roles: Option<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            account: None,
            user: Some("sub".to_owned()),
            login: None,
            username: None,
            scopes: Some("scope".to_owned()),
            roles: None,
        }
    }
}

/// What is demanded of claims.
#[derive(Debug)]
pub(crate) struct Demands {
    /// Of which one must have issued it; empty: any whose key it is.
    pub(crate) issuers: Vec<String>,
    /// Of which one must be meant. A token that is meant for somebody is refused where this is
    /// empty (RFC 7519 §4.1.3).
    pub(crate) audience: Vec<String>,
    /// What must be there, besides `exp`.
    pub(crate) required: Vec<String>,
    /// How far clocks may differ, in seconds.
    pub(crate) leeway: u64,
}

/// Whom claims name, and what they grant.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) account: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) login: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
}

impl Demands {
    /// Gives the end of the token, in Unix seconds, leeway included.
    ///
    /// # Errors
    /// A denial where a demand is not met.
    pub(crate) fn check(&self, claims: &Map<String, Value>, now: u64) -> Result<u64, Denial> {
        let absent = |name: &String| match claims.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::String(it)) => it.is_empty(),
            Some(_) => false,
        };
        if self.required.iter().any(absent) {
            return Err(malformed("a claim that the scheme requires is not there"));
        }
        check_unbound(claims)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        let ends = self.check_times(claims, now)?;
        ends.ok_or_else(|| malformed("the token has no end (`exp`)"))
    }

    /// Gives the end of the token, in Unix seconds, leeway included; `None` where it has none.
    ///
    /// # Errors
    /// A denial where it is over.
    pub(crate) fn check_end(
        &self,
        claims: &Map<String, Value>,
        now: u64,
    ) -> Result<Option<u64>, Denial> {
        // A token is over in the second that `exp` names (RFC 7519 §4.1.4).
        let ends = time(claims, "exp")?.map(|it| it.saturating_add(self.leeway));
        if ends.is_some_and(|it| it <= now) {
            return Err(Denial::new(Reason::Expired, "the token has expired"));
        }
        Ok(ends)
    }

    /// Gives the end, as [`Demands::check_end`].
    ///
    /// # Errors
    /// A denial where it is over or has not begun.
    fn check_times(&self, claims: &Map<String, Value>, now: u64) -> Result<Option<u64>, Denial> {
        let ends = self.check_end(claims, now)?;
        let begins = [time(claims, "nbf")?, time(claims, "iat")?];
        let latest = now.saturating_add(self.leeway);
        if begins.into_iter().flatten().any(|it| it > latest) {
            let detail = "the token is from the future (`nbf`, `iat`)";
            return Err(Denial::new(Reason::NotYetValid, detail));
        }
        Ok(ends)
    }

    /// Demands that one of the issuers has issued it.
    ///
    /// # Errors
    /// A denial where another has.
    pub(crate) fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Denial> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !self.issuers.is_empty() && !self.issuers.iter().any(|it| Some(&**it) == issuer) {
            return Err(Denial::new(
                Reason::Unknown,
                "the token is another issuer's",
            ));
        }
        Ok(())
    }

    /// Demands that one of the audience is meant.
    ///
    /// # Errors
    /// A denial where others are, or nobody is.
    pub(crate) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Denial> {
        let ours = |it: &Value| {
            it.as_str()
                .is_some_and(|it| self.audience.iter().any(|a| a == it))
        };
        let meant = match claims.get("aud") {
            None => self.audience.is_empty(),
            Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(ours),
            Some(one) => ours(one),
        };
        if meant {
            return Ok(());
        }
        Err(Denial::new(
            Reason::Unknown,
            "the token is meant for somebody else (`aud`)",
        ))
    }
}

impl Names {
    /// Reads whom the claims name.
    ///
    /// # Errors
    /// A denial where a claim has the wrong type, or names nothing that there can be.
    pub(crate) fn read(&self, claims: &Map<String, Value>) -> Result<Named, Denial> {
        let claim = |name: &Option<String>| claims.get(name.as_ref()?).filter(|it| !it.is_null());
        Ok(Named {
            account: claim(&self.account).map(id).transpose()?,
            user: claim(&self.user).map(id).transpose()?,
            login: claim(&self.login).map(id).transpose()?,
            username: claim(&self.username).map(text_claim).transpose()?,
            scopes: claim(&self.scopes).map_or(Ok(Vec::new()), words)?,
            roles: claim(&self.roles).map_or(Ok(Vec::new()), roles)?,
        })
    }
}

/// Demands that whoever bears the token may use it. One with `cnf` (RFC 7800 §3.1, RFC 8705 §3, RFC 9449
/// §6) is for whoever has a key besides, which nobody proves to have here.
///
/// # Errors
/// A denial where it is bound to a key or a certificate.
pub(crate) fn check_unbound(claims: &Map<String, Value>) -> Result<(), Denial> {
    match claims.get("cnf") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => {
            let detail = "the token is bound to a key (`cnf`), which is not proven here";
            Err(Denial::new(Reason::Wrong, detail))
        }
    }
}

/// Reads a `NumericDate` (RFC 7519 §2) as a whole number of seconds.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Denial> {
    let refused = || malformed("a time is not a whole number of seconds");
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_u64().filter(|it| *it <= LAST_SECOND);
    seconds.map(Some).ok_or_else(refused)
}

fn id(value: &Value) -> Result<String, Denial> {
    let id = text_claim(value)?;
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(id);
    }
    Err(malformed("a claim is no id"))
}

/// Reads a claim that names somebody: a text without control characters.
///
/// # Errors
/// A denial where it is none.
pub(crate) fn text_claim(value: &Value) -> Result<String, Denial> {
    let text = value
        .as_str()
        .filter(|it| !it.chars().any(char::is_control));
    text.map(str::to_owned)
        .ok_or_else(|| malformed("a claim that names somebody is not a text"))
}

/// RFC 8693 §4.2, and the lists that some issuers write.
fn words(value: &Value) -> Result<Vec<String>, Denial> {
    let words = match value {
        Value::String(words) => words
            .split(' ')
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect(),
        Value::Array(all) => all.iter().map(text_claim).collect::<Result<Vec<_>, _>>()?,
        _ => return Err(malformed("scopes are neither a text nor a list")),
    };
    let whole = |it: &String| !it.is_empty() && it.bytes().all(|b| b.is_ascii_graphic());
    if words.len() <= MAX_GRANTS && words.iter().all(whole) {
        return Ok(words);
    }
    Err(malformed("a scope is one word of printable ASCII"))
}

/// A text is one role: roles hold spaces, and commas divide them upstream.
fn roles(value: &Value) -> Result<Vec<String>, Denial> {
    let roles = match value {
        Value::Array(all) => all.iter().map(text_claim).collect::<Result<Vec<_>, _>>()?,
        one => vec![text_claim(one)?],
    };
    if roles.len() <= MAX_GRANTS && roles.iter().all(|it| !it.contains(',')) {
        return Ok(roles);
    }
    Err(malformed("roles cannot be read"))
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Reason::Malformed, detail)
}
