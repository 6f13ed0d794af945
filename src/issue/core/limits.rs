//! How often a client may try to log in.

use std::net::IpAddr;

use crate::decision::{Denial, Failure};
use crate::issue::Asked;
use crate::issue::core::Core;
use crate::throttle::{Attempt, Trying};

/// What failed logins of one client are counted against, whomever they named.
const LOGINS: &str = "scheme logins";

/// Attempts whose verdict is to come. Where nobody waits for it any more, they count as failed: each has cost what one
/// costs, and who hangs up before the answer would have any number of them.
struct Begun(Vec<Trying>);

impl Begun {
    fn end<T>(mut self, verdict: &Result<T, Failure>, counts: impl FnOnce(&Denial) -> bool) {
        let trying = std::mem::take(&mut self.0);
        if let Err(Failure::Denied(denial)) = verdict
            && counts(denial)
        {
            trying.into_iter().for_each(Trying::failed);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Trying::failed);
    }
}

impl Core {
    /// Lets `verify` judge a login at `targets`, unless too many have failed at one of them from the
    /// same address, or may yet fail. One that it denies counts as failed at each.
    ///
    /// # Errors
    /// The throttle's denial, or why `verify` gives none.
    pub(in crate::issue) async fn log_in<T>(
        &self,
        asked: &Asked,
        targets: &[String],
        verify: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let address = asked.context.client_address;
        self.limited(asked, address, targets, verify).await
    }

    /// Lets `verify` judge a login, unless too many of the same client were at nobody, whomever they
    /// named: what a platform's schemes have each, its logins have together. `hashes`: a password is
    /// hashed for it.
    ///
    /// # Errors
    /// As there.
    pub(in crate::issue) async fn at_anybody<T>(
        &self,
        asked: &Asked,
        hashes: bool,
        verify: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let (limits, address) = (asked.platform.of_scheme, asked.context.client_address);
        let (Some(limits), Some(_)) = (limits, address) else {
            return verify.await;
        };
        let attempt = Attempt {
            platform: &asked.platform.name,
            address,
            target: LOGINS,
        };
        let limits = if hashes { limits.hashing() } else { limits };
        let begun = Begun(vec![self.0.parts.throttle.ask(&limits, &attempt)?]);
        let verdict = verify.await;
        begun.end(&verdict, Denial::is_made_up);
        verdict
    }

    /// The same as [`Core::log_in`] from all addresses together, for what only whoever has the first factor can try.
    ///
    /// # Errors
    /// As there.
    pub(in crate::issue) async fn try_second_factor<T>(
        &self,
        asked: &Asked,
        user: &str,
        verify: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let target = format!("second factor of {user}");
        self.limited(asked, None, &[target], verify).await
    }

    async fn limited<T>(
        &self,
        asked: &Asked,
        address: Option<IpAddr>,
        targets: &[String],
        verify: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let (platform, throttle) = (&*asked.platform, &self.0.parts.throttle);
        let attempts = targets.iter().map(|target| Attempt {
            platform: &platform.name,
            address,
            target,
        });
        // Where one is refused, those before it end here.
        let asked = attempts.map(|it| throttle.ask(&platform.throttle, &it));
        let begun = Begun(asked.collect::<Result<Vec<_>, _>>()?);
        let verdict = verify.await;
        // What is shut was named by whoever may name it.
        begun.end(&verdict, |it| it.status() == 401);
        verdict
    }

    /// Tells what the last login at `target` has cost its client, and what is left: KAZOO's `tokens`.
    pub(in crate::issue) fn tokens(&self, asked: &Asked, target: &str) -> (u32, u32) {
        let attempt = Attempt {
            platform: &asked.platform.name,
            address: asked.context.client_address,
            target,
        };
        let limits = &asked.platform.throttle;
        self.0.parts.throttle.tokens(limits, &attempt)
    }
}
