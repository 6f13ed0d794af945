//! Whether whoever was proven may get in at all: users that are switched off, accounts that are shut.
//!
//! Apart from the schemes because the answer is the same whatever was presented.

use std::sync::Arc;

use crate::decision::{About, Denial, Failure, Fault, Reason};
use crate::directory::Index;
use crate::directory::reads::Reads;
use crate::directory::records::{Account, User};
use crate::identity::Identity;

/// Loads the account that a credential acts for, and denies where it is shut. An account that has
/// no record shuts nobody out: platforms may keep users and keys only.
///
/// # Errors
/// A denial for a disabled or expired account, a fault when the store does not answer.
pub(crate) async fn open_account(
    id: Option<&str>,
    reads: &Reads,
) -> Result<Option<Arc<Account>>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let Some(account) = reads.shared_account(id).await? else {
        return Ok(None);
    };
    let locked = |denial: Denial| Err(denial.telling(|it| it.name(Some(id), None)).into());
    if account.disabled {
        return locked(Denial::new(Reason::Locked, "the account is disabled"));
    }
    if let Some(end) = account.expires.filter(|it| *it <= reads.now()) {
        let detail = "the account has expired";
        return locked(Denial::ended(Reason::Locked, detail, end));
    }
    Ok(Some(account))
}

/// A user who may get in.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Who it is.
    pub(crate) identity: Identity,
    /// See [`generations`].
    pub(crate) generations: [u64; 3],
}

/// Says who a user is whose credential has been proven, and denies where it may not get in.
///
/// # Errors
/// A denial for a disabled user and for a shut account, a fault when the store does not answer.
pub(crate) async fn open_user(
    platform: &Arc<str>,
    scheme: &Arc<str>,
    user: User,
    reads: &Reads,
) -> Result<Opened, Failure> {
    let tell = |it: &mut About| it.name(user.account.as_deref(), Some(&user.id));
    if user.disabled {
        let denial = Denial::new(Reason::Disabled, "the user is disabled");
        return Err(denial.telling(tell).into());
    }
    let account = open_account(user.account.as_deref(), reads).await;
    let account = account.map_err(|it| it.telling(tell))?;
    let generations = generations(account.as_deref(), user.generation, reads).await?;
    Ok(Opened {
        generations,
        identity: Identity {
            generations: Some(generations),
            platform: Arc::clone(platform),
            username: user.login().map(str::to_owned),
            account: user.account,
            user: Some(user.id),
            scheme: Arc::clone(scheme),
            roles: user.roles,
            expires: account.and_then(|it| it.expires),
            ..Identity::default()
        },
    })
}

/// Says who the user is that is linked to a subject of an external issuer, as [`open_user`] does. A
/// subject of two users is nobody's.
///
/// # Errors
/// As [`open_user`], and a denial where nobody is linked.
pub(crate) async fn open_linked(
    platform: &Arc<str>,
    scheme: &Arc<str>,
    (issuer, subject): (&str, &str),
    reads: &Reads,
) -> Result<Identity, Failure> {
    let parts = [issuer.as_bytes(), subject.as_bytes()];
    let mut users = reads.users(Index::Link, &parts).await?.into_iter();
    let user = match (users.next(), users.next()) {
        (Some(user), None) => user,
        (Some(_), Some(_)) => {
            let detail = "several users are linked to this subject";
            return Err(Denial::new(Reason::Conflict, detail).into());
        }
        (None, _) => {
            let detail = "no user is linked to this subject";
            return Err(Denial::new(Reason::Unknown, detail).into());
        }
    };
    Ok(open_user(platform, scheme, user, reads).await?.identity)
}

/// Gives the generations of the platform, the account and the user, 0 where there is none: what was
/// issued under others is revoked.
///
/// # Errors
/// A fault when the store does not answer or the platform's record cannot be read.
pub(crate) async fn generations(
    account: Option<&Account>,
    user: u64,
    reads: &Reads,
) -> Result<[u64; 3], Fault> {
    let account = account.map_or(0, |it| it.generation);
    Ok([reads.platform_generation().await?, account, user])
}

/// Gives the earlier of two ends.
pub(crate) fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
