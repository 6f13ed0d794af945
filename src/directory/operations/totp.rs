//! A user's second factor by command: for whoever has lost the phone, or is to have a first one.

use crate::directory::operations::Operations;
use crate::directory::operations::words::{Clear, OperationError, Outcome};
use crate::directory::records::User;
use crate::directory::totp::{parse_seed, to_base32};

/// Bytes of randomness in a seed that we make: as many as HMAC-SHA-1 gives (RFC 4226 §4, R6).
const SEED_BYTES: usize = 20;

impl Operations {
    /// Gives a user this seed; where there is none, a random one, which is told.
    pub(super) async fn set_totp(
        &self,
        platform: &str,
        id: &str,
        seed: Option<Clear>,
    ) -> Result<Outcome, OperationError> {
        let made = match seed {
            Some(_) => None,
            None => Some(random_seed()?),
        };
        let text = made.as_ref().or(seed.as_ref()).map(Clear::expose);
        let seed = parse_seed(text.unwrap_or_default());
        let seed = seed.map_err(|it| OperationError::Problems(vec![it.to_owned()]))?;
        let set = |user: &mut User| {
            let old = user.totp.take();
            user.totp = Some(self.directory.sealed_totp(platform, id, &seed, old)?);
            Ok(())
        };
        match self.change(platform, id, set).await? {
            Outcome::Record { record, .. } => Ok(Outcome::Record {
                record,
                secret: made,
            }),
            other => Ok(other),
        }
    }

    /// Takes a user's second factor away, if it has one.
    pub(super) async fn remove_totp(
        &self,
        platform: &str,
        id: &str,
    ) -> Result<Outcome, OperationError> {
        let remove = |user: &mut User| {
            user.totp = None;
            Ok(())
        };
        self.change(platform, id, remove).await
    }
}

fn random_seed() -> Result<Clear, OperationError> {
    let mut bytes = [0; SEED_BYTES];
    let failed = |it| OperationError::Fault(format!("no randomness: {it}"));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(Clear::new(to_base32(&bytes)))
}
