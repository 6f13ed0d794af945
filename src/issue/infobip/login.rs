//! Logging in: a user's name and password, however an endpoint is told them.
//!
//! Who is unknown, whose password is wrong and who may not get in are answered with one body, after the
//! same work.

use crate::credential::Secret;
use crate::decision::{Denial, Failure, Reason};
use crate::directory::names::attempted_login;
use crate::identity::Identity;
use crate::issue::Asked;
use crate::issue::audited::Came;
use crate::issue::core::Core;
use crate::scheme::{by_password, open_user};

/// A user who has logged in.
pub(super) struct LoggedIn {
    /// Its account's id, if it has one.
    pub(super) account: Option<String>,
    /// Its id.
    pub(super) user: String,
    /// The name that it logs in with.
    pub(super) login: String,
    /// The generations that it has logged in under.
    pub(super) generations: [u64; 3],
}

/// Logs a user in, as often as the throttle lets; `what` it is for counts in metrics.
///
/// # Errors
/// A denial where the user may not get in or too many have failed, a fault when that cannot be told.
pub(super) async fn log_in(
    core: &Core,
    asked: &Asked,
    what: &'static str,
    (name, password): (&str, &Secret),
) -> Result<LoggedIn, Failure> {
    let found = try_in(core, asked, (name, password)).await;
    if let Err(failure) = &found {
        core.count(asked, what, Came::failed(failure));
    }
    let identity = found?;
    Ok(LoggedIn {
        account: identity.account,
        user: identity.user.unwrap_or_default(),
        login: identity.username.unwrap_or_default(),
        generations: identity.generations.unwrap_or_default(),
    })
}

impl LoggedIn {
    /// Says that something came of it for this user.
    pub(super) fn came<'a>(&'a self, came: Came<'a>) -> Came<'a> {
        came.about(self.account.as_deref(), Some(&self.user))
    }
}

async fn try_in(
    core: &Core,
    asked: &Asked,
    (name, password): (&str, &Secret),
) -> Result<Identity, Failure> {
    if asked.context.identity.is_some() {
        // RFC 6749 §2.3 for the one, the platform's `conflict` for both.
        let detail = "a login came with another credential";
        return Err(Denial::new(Reason::Conflict, detail).into());
    }
    // As Basic counts them, so that both count together.
    let targets = [attempted_login(name)];
    let reads = core.reads(asked);
    let verify = async {
        let user = by_password(name, password, &reads).await?;
        let opened = open_user(&asked.platform.name, &"".into(), user, &reads).await?;
        Ok(opened.identity)
    };
    let verdict = core.log_in(asked, &targets, verify);
    core.at_anybody(asked, true, verdict).await
}
