//! Whose a login name and a password are.
//!
//! Apart from the schemes because a client may log in with the same two and present something else
//! from then on.

use crate::credential::Secret;
use crate::decision::{Denial, Failure, Reason};
use crate::directory::Index;
use crate::directory::reads::Reads;
use crate::directory::records::User;

/// Finds the user with this login name or e-mail and this password; whether it may get in is not judged
/// here. It works as hard where there is no such user.
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
    let known = !users.is_empty();
    for user in users {
        let stored = user.password.as_deref();
        if reads.prover().password(password, stored).await? {
            return Ok(user);
        }
    }
    if known {
        return Err(Denial::new(Reason::Wrong, "wrong password").into());
    }
    reads.prover().password(password, None).await?;
    Err(Denial::new(Reason::Unknown, "no such user").into())
}
