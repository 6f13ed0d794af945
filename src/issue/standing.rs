//! Whether whoever Check has admitted would be admitted now.
//!
//! What Check remembers may be a second old, and a request's body may take seconds to come. What was
//! revoked meanwhile must not leave something good behind.

use crate::decision::{Denial, Dependency, Failure, Fault, Reason};
use crate::directory::pepper::Digest;
use crate::identity::{Identity, TokenRef};
use crate::issue::Asked;
use crate::issue::core::Core;
use crate::scheme::{generations, open_account};

impl Core {
    /// Demands that whoever was admitted would be now: what Check remembers may be a second old, and a
    /// body may take seconds, in which it was revoked.
    ///
    /// # Errors
    /// A denial where it was; a fault when the store does not answer.
    pub(super) async fn confirm(&self, asked: &Asked) -> Result<(), Failure> {
        let Some(identity) = &asked.context.identity else {
            return Ok(());
        };
        let reads = self.reads(asked);
        let revoked = |detail| Denial::new(Reason::Revoked, detail);
        if let Some(token) = &identity.token {
            let digest = digest_of(token)?;
            if reads.is_digest_revoked(&digest).await? {
                return Err(revoked("the token was revoked").into());
            }
        }
        if let Some((user, digest)) = session_of(identity)? {
            let session = reads.session_of(user).await?;
            if session.is_none_or(|it| !it.token.matches(&digest)) {
                return Err(revoked("the session was ended").into());
            }
        }
        let Some(under) = identity.generations else {
            return Ok(());
        };
        let account = open_account(identity.account.as_deref(), &reads).await?;
        let user = match &identity.user {
            Some(id) => reads.user(id).await?,
            None => None,
        };
        if identity.user.is_some() && user.as_ref().is_none_or(|it| it.disabled) {
            return Err(Denial::new(Reason::Disabled, "the user is disabled or gone").into());
        }
        let user = user.map_or(0, |it| it.generation);
        if generations(account.as_deref(), user, &reads).await? != under {
            return Err(revoked("the user's tokens were revoked").into());
        }
        Ok(())
    }
}

/// Lets pass whom Check has admitted under these generations of its records, which may have been
/// raised since: an outcome may be remembered for a while, and what was revoked meanwhile mints
/// nothing new.
///
/// # Errors
/// A denial where they are others.
pub(super) fn still(identity: &Identity, now: [u64; 3]) -> Result<(), Denial> {
    let detail = "the credential was revoked while it was used";
    let same = identity.generations == Some(now);
    same.then_some(())
        .ok_or_else(|| Denial::new(Reason::Revoked, detail))
}

/// Gives the digest under which a token is revoked.
///
/// # Errors
/// A fault where it is none.
pub(super) fn digest_of(token: &TokenRef) -> Result<Digest, Fault> {
    read_digest(&token.digest)
}

/// Gives the user and the digest of the session that was presented; `None` where none was.
///
/// # Errors
/// A fault where the digest is none.
pub(super) fn session_of(identity: &Identity) -> Result<Option<(&str, Digest)>, Fault> {
    let (Some(user), Some(digest)) = (&identity.user, &identity.session) else {
        return Ok(None);
    };
    Ok(Some((user, read_digest(digest)?)))
}

fn read_digest(text: &str) -> Result<Digest, Fault> {
    let unreadable = |_| Fault::new(Dependency::Internal, "a digest cannot be read");
    Digest::try_from(text).map_err(unreadable)
}
