//! What a request waits for that cannot be decided at once.
//!
//! Apart from the gate so that what is known is decided by plain functions: a future carries room for whatever it could
//! wait for, and would be moved and freed with each request.

use std::sync::Arc;

use crate::authenticator::Unknown;
use crate::decision::{Dependency, Failure, Fault};
use crate::gate::{Asked, Caller, Decision, Gate};
use crate::identity::{Holder, Lineage};
use crate::policy::{Permit, Refusal};
use crate::trace::{Step, Trace};

/// A request that cannot be decided at once.
pub(super) struct Waiting<'a> {
    pub(super) asked: Asked<'a>,
    /// What for.
    pub(super) until: Until<'a>,
}

pub(super) enum Until<'a> {
    /// A credential is to be verified.
    Verified(Box<Unknown<'a>>),
    /// A rule asks where an account stands, in this second.
    Placed(Caller, String, u64),
}

impl Gate {
    /// Waits for what is not known, and decides by that.
    pub(super) async fn wait(&self, waiting: Box<Waiting<'_>>, trace: &impl Trace) -> Decision {
        let mut waiting = waiting;
        loop {
            let Waiting { asked, until } = *waiting;
            match until {
                Until::Verified(unknown) => {
                    let verified = self.authenticator.verify(unknown, asked.client, trace);
                    let (found, now) = verified.await;
                    waiting = match self.judge(asked, found, now / 1000, trace) {
                        Ok(decision) => return decision,
                        Err(waiting) => waiting,
                    };
                }
                Until::Placed(caller, account, now) => {
                    let placed = self.admit_in(&asked, &caller.identity, (account, now), trace);
                    let verdict = placed.await;
                    return self.settle(&asked, caller, verdict, now);
                }
            }
        }
    }

    /// Loads where the account stands, and whatever else the policy then declares to need, and asks it again.
    async fn admit_in(
        &self,
        asked: &Asked<'_>,
        identity: &Option<Arc<Holder>>,
        (mut account, now): (String, u64),
        trace: &impl Trace,
    ) -> Result<Permit, Failure> {
        let mut lineages: Vec<Arc<Lineage>> = Vec::new();
        let platform = &asked.platform.name;
        loop {
            if lineages.iter().any(|it| it.account == account) {
                let detail = "a rule asks for what it was told";
                return Err(Fault::new(Dependency::Internal, detail).into());
            }
            let loaded = self.authenticator.lineage(platform, &account).await?;
            trace.step(|| Step::Lineage(Arc::clone(&loaded)));
            lineages.push(loaded);
            account = match asked.admit(identity, (&lineages, now), trace) {
                Ok(permit) => return Ok(permit),
                Err(Refusal::Denied(denial)) => return Err(denial.into()),
                Err(Refusal::NeedsLineage(account)) => account,
            };
        }
    }
}
