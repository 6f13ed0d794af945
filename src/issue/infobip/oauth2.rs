//! OAuth 2: `POST /auth/1/oauth2/token` (create-oauth2-token; RFC 6749 §4.4), where a client is a user.
//!
//! The platform's documentation knows one more grant, by a code that nothing here gives. There is no
//! token to refresh with, and no scope to ask for: what a token may do is what its user may.

use serde_json::{Map, Value, json};

use crate::decision::{Denial, Failure};
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::core::{Core, Grant};
use crate::issue::form::Form;
use crate::issue::infobip::login::{LoggedIn, log_in};

const WHAT: &str = "token";

/// `iss` of the platform's tokens.
const ISSUER: &str = "infobip.com";

/// Gives a token.
pub(super) async fn token(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let form = match read(asked) {
        Ok(form) => form,
        Err(denial) => {
            core.count(asked, WHAT, Came::denied(&denial));
            return Err(denial.into());
        }
    };
    let needed = || Denial::bad_request("a field of the form is missing or no text");
    let field = |name| form.field(name).ok_or_else(needed);
    let name = field("client_id")?.expose_str().ok_or_else(needed)?;
    let user = log_in(core, asked, WHAT, (name, field("client_secret")?)).await?;
    let lifetime = asked.lifetime();
    let grant = Grant {
        claims: claims(&user),
        generations: user.generations,
        lifetime,
    };
    let token = core.mint(asked, grant)?;
    core.count(asked, WHAT, user.came(Came::of("issued")));
    let body = json!({
        "access_token": token,
        "expires_in": lifetime.as_secs(),
        "token_type": "Bearer",
    });
    Ok(Answer::json(200, &body))
}

fn read(asked: &Asked) -> Result<Form, Denial> {
    let sent = asked.body_of("application/x-www-form-urlencoded");
    let form = sent.and_then(|it| Form::read(it));
    let form = form.ok_or_else(|| Denial::bad_request("the body is no form, or too large"))?;
    let grant = form.field("grant_type").and_then(|it| it.expose_str());
    if grant != Some("client_credentials") {
        return Err(Denial::bad_request("a grant that is not given here"));
    }
    let has = |name| form.field(name).is_some();
    if !has("client_id") || !has("client_secret") {
        return Err(Denial::bad_request("a client's id and secret are needed"));
    }
    Ok(form)
}

/// What the platform documents; and `uid`, the user's id, since several users may have one name.
fn claims(user: &LoggedIn) -> Map<String, Value> {
    let claims = [("sub", &*user.login), ("iss", ISSUER), ("uid", &*user.user)];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), json!(value));
    claims.into_iter().map(owned).collect()
}
