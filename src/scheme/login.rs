//! Whose a login name and a password are.
//!
//! Apart from the schemes because a client may log in with the same two and present something else
//! from then on.

use crate::credential::Secret;
use crate::decision::{Denial, Failure, Fault, Reason};
use crate::directory::Index;
use crate::directory::reads::Reads;
use crate::directory::records::User;

/// The user that is read where a login names none: there is none, and it takes as long.
const NOBODY: &str = "00000000000000000000000000000000";

/// Finds the user with this login name or e-mail and this password; whether it may get in is not judged
/// here. It reads as much and works as hard where there is no such user. A password that proves a
/// weaker form than Argon2id is [hashed anew](Reads::upgrade) beside it.
///
/// # Errors
/// A denial where there is none, a fault when the store does not answer or too many passwords are
/// waiting to be hashed.
pub(crate) async fn by_password(
    name: &str,
    password: &Secret,
    reads: &Reads,
) -> Result<User, Failure> {
    let users = reads.users(Index::Login, &[name.as_bytes()]).await?;
    if users.is_empty() {
        read_nobody(reads).await?;
        reads.prover().password(password, None).await?;
        return Err(Denial::new(Reason::Unknown, "no such user").into());
    }
    for user in &users {
        if is_password(user, password, reads).await? {
            reads.upgrade(user, password);
            return Ok(user.clone());
        }
    }
    let wrong = Denial::new(Reason::Wrong, "wrong password");
    Err(match users.as_slice() {
        [user] => wrong.telling(|it| it.name(user.account.as_deref(), Some(&user.id))),
        _ => wrong,
    }
    .into())
}

/// Reads what would be read of a user.
///
/// # Errors
/// A fault when the store does not answer.
pub(crate) async fn read_nobody(reads: &Reads) -> Result<(), Fault> {
    reads.user(NOBODY).await.map(drop)
}

/// One Argon2id, whatever is stored and whoever it is. What is proven of a user who may not get in is not
/// remembered: a second answer that came sooner would tell that the password is right.
async fn is_password(user: &User, password: &Secret, reads: &Reads) -> Result<bool, Fault> {
    let (prover, stored) = (reads.prover(), user.password.as_deref());
    let proven = match user.disabled {
        true => prover.password_afresh(password, stored).await?,
        false => prover.password(password, stored).await?,
    };
    Ok(proven || (stored.is_none() && reads.proves_weaker_form(user, password)))
}
