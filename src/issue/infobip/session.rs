//! Sessions: `POST` and `DELETE /auth/1/session` (create-session, destroy-session).
//!
//! A user has one at a time. It is bound to the address that it was created from, unless whoever logs in
//! says that it is not to be.

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::json;

use crate::credential::Secret;
use crate::decision::{Denial, Dependency, Failure, Fault, Reason};
use crate::directory::sessions::NewSession;
use crate::issue::answer::Answer;
use crate::issue::audited::Came;
use crate::issue::body;
use crate::issue::core::Core;
use crate::issue::infobip::login::log_in;
use crate::issue::standing::session_of;
use crate::issue::{Asked, uuid};

const WHAT: &str = "session";

/// `CreateSessionRequest`. Further fields are let be.
#[derive(Deserialize)]
struct Create {
    username: String,
    password: Secret,
    /// Whether it may be used from any address.
    r#unsafe: Option<bool>,
}

/// Creates one.
pub(super) async fn create(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let form = match read(asked) {
        Ok(form) => form,
        Err(denial) => {
            core.count(asked, WHAT, Came::denied(&denial));
            return Err(denial.into());
        }
    };
    let user = log_in(core, asked, WHAT, (&form.username, &form.password)).await?;
    let life = asked.session_life()?;
    let new = NewSession {
        user: &user.user,
        generations: user.generations,
        address: address(asked, form.r#unsafe == Some(true))?,
        idle: life.idle,
        cap: life.cap,
    };
    let token = uuid::random()?;
    let secret = Secret::new(token.as_bytes());
    let directory = core.directory();
    let created = directory.create_session(&asked.platform.name, &secret, &new);
    let refused = match created.await {
        Ok(true) => {
            core.count(asked, WHAT, user.came(Came::of("issued")));
            return Ok(Answer::json(200, &json!({ "token": token })));
        }
        Ok(false) => {
            Denial::bad_request("the user has a session, which must be destroyed first").into()
        }
        Err(fault) => Failure::from(fault),
    };
    core.count(asked, WHAT, user.came(Came::failed(&refused)));
    Err(refused)
}

/// Destroys the one that was presented.
pub(super) async fn destroy(core: &Core, asked: &Asked) -> Result<Answer, Failure> {
    let identity = asked.identity()?;
    let detail = "what was presented is no session";
    let presented = session_of(identity)?;
    let (user, digest) = presented.ok_or_else(|| Denial::new(Reason::SchemeNotAccepted, detail))?;
    let directory = core.directory();
    let destroyed = directory.destroy_session_of(&asked.platform.name, user, &digest);
    if !destroyed.await? {
        let detail = "the session was ended while it was used";
        return Err(Denial::new(Reason::Revoked, detail).into());
    }
    directory.confirm_or_log().await;
    core.count(asked, WHAT, Came::of("revoked"));
    Ok(Answer::empty(200))
}

fn read(asked: &Asked) -> Result<Create, Denial> {
    let sent = asked.body_of("application/json");
    let sent = sent.ok_or_else(|| Denial::bad_request("the body is not JSON, or too large"))?;
    let read: Result<Create, _> = body::read(sent);
    let read = read.map_err(|_| Denial::bad_request("the body is not what creates a session"))?;
    if read.username.is_empty() || read.password.expose().is_empty() {
        return Err(Denial::bad_request("a name and a password are needed"));
    }
    Ok(read)
}

/// Gives the addresses that a session is bound to.
///
/// # Errors
/// A fault where it is to be bound and the client's is not known.
fn address(asked: &Asked, unbound: bool) -> Result<Option<IpNet>, Fault> {
    if unbound {
        return Ok(None);
    }
    let detail = "the client's address is not known, so no session can be bound to it";
    let known = asked.context.client_address;
    let known = known.ok_or_else(|| Fault::new(Dependency::Internal, detail))?;
    Ok(Some(IpNet::from(known)))
}
