//! Writing down who has tried to log in, for whoever runs the account (`crossbar_auth.erl`'s
//! `log_attempt`).
//!
//! Apart from the requests, so that neither how long one takes nor what the next one waits for tells
//! whether there is such an account. Whether it wants to know is asked here as well.

use crate::decision::Fault;
use crate::directory::attempts::{Attempt, Status};
use crate::directory::reads::Reads;
use crate::issue::core::Core;
use crate::issue::crossbar::modules::system;
use crate::issue::notes::Whose;

/// Of how many accounts attempts are written at a time; the others wait for the next.
const ACCOUNTS_AT_ONCE: usize = 128;

impl Core {
    /// Writes attempts that were noted, in one write an account. Where the store does not take one,
    /// it is kept, and nothing more is written. Gives whether more wait that may be written.
    pub async fn write_attempts(&self) -> bool {
        for _ in 0..ACCOUNTS_AT_ONCE {
            let Some((whose, attempts)) = self.notes().take() else {
                self.tell_of_notes(Ok(()));
                return false;
            };
            match write(self, &whose, &attempts).await {
                Ok(true) => {}
                Ok(false) => self.forget(attempts.len()),
                Err(fault) => {
                    self.forget(self.notes().put_back(whose, attempts));
                    self.tell_of_notes(Err(&fault));
                    return false;
                }
            }
        }
        true
    }
}

/// Writes what the account wants noted of its attempts, where there is one. `Ok(false)`: others were
/// faster too often.
async fn write(core: &Core, whose: &Whose, attempts: &[Attempt]) -> Result<bool, Fault> {
    let Whose { platform, account } = whose;
    let reads = Reads::begin(core.directory(), platform);
    let Some(record) = reads.account(account).await? else {
        return Ok(true);
    };
    let modules = reads.security_merged(&record, &system()).await?;
    let wanted = |it: &&Attempt| {
        let module = modules.get(&it.login.auth_module);
        let noted = module.and_then(|module| match it.login.status {
            Status::Failed => module.log_failed_attempts,
            Status::Success => module.log_successful_attempts,
        });
        noted == Some(true)
    };
    let wanted: Vec<_> = attempts.iter().filter(wanted).cloned().collect();
    if wanted.is_empty() {
        return Ok(true);
    }
    let directory = core.directory();
    directory.note_attempts(platform, account, &wanted).await
}
