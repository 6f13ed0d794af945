//! The way of a request: from a view to a verdict.
//!
//! One direction, no step reaches back: platform, path, HTTPS, credentials, cache or verification,
//! policy. Nothing here knows how the request came or how the answer is written, so `explain`,
//! the demo and the RPC take the same way.

use std::net::IpAddr;
use std::sync::Arc;

use crate::assertion::Assertions;
use crate::authenticator::{Authenticated, Authenticator};
use crate::context::{self, Context};
use crate::credential::Secret;
use crate::decision::{CacheUse, Denial, Dependency, Failure, Fault, Reason};
use crate::identity::{Caller, Lineage};
use crate::platform::https;
use crate::platform::{Platform, Platforms};
use crate::policy::path::PathSegments;
use crate::policy::{Facts, Permit, Refusal, UNCLEAR};
use crate::request::{ClientAddress, RequestView};
use crate::trace::{Step, Trace};

/// Decides requests.
#[derive(Debug)]
pub struct Gate {
    platforms: Platforms,
    authenticator: Authenticator,
    client_address: Option<ClientAddress>,
    assertions: Assertions,
}

/// What was decided, and how.
#[derive(Debug)]
pub struct Decision {
    /// Which platform's; `None` where none answers.
    pub platform: Option<Arc<Platform>>,
    /// The verdict.
    pub verdict: Result<Permit, Failure>,
    /// Whether the outcome was known.
    pub cache: CacheUse,
    /// The scheme whose credential counted, if one was found.
    pub scheme: Option<Arc<str>>,
    /// Whom the rules did not admit, where a scheme vouched for somebody; those they did stand in the
    /// permit.
    pub refused: Option<Arc<Caller>>,
    /// What the issue listener is told, where the request goes there.
    pub context: Option<String>,
    /// What the upstream is told so that it can verify it, where the platform has that and it is
    /// somebody's request.
    pub assertion: Option<Arc<Secret>>,
}

impl Gate {
    /// Puts a gate before these platforms.
    #[must_use]
    pub fn new(
        platforms: Platforms,
        authenticator: Authenticator,
        client_address: Option<ClientAddress>,
        assertions: Assertions,
    ) -> Self {
        Self {
            platforms,
            authenticator,
            client_address,
            assertions,
        }
    }

    /// The platforms behind it.
    #[must_use]
    pub fn platforms(&self) -> &Platforms {
        &self.platforms
    }

    /// Gives the client's address, where it is known.
    #[must_use]
    pub fn client_address(&self, request: &RequestView<'_>) -> Option<IpAddr> {
        request.client_address(self.client_address?)
    }

    /// Decides one request, and tells `trace` every step.
    pub async fn decide(&self, request: &RequestView<'_>, trace: &impl Trace) -> Decision {
        let platform = match self.platforms.route(request) {
            Ok(platform) => Arc::clone(platform),
            Err(denial) => return Decision::early(None, denial),
        };
        let path = match self.read(&platform, request, trace) {
            Ok(path) => path,
            Err(denial) => return Decision::early(Some(platform), denial),
        };
        let client = self.client_address(request);
        // What is known is judged by one look at the clock.
        let mut now = self.authenticator.milliseconds();
        let found = self
            .authenticator
            .authenticate(&platform, request, (client, &mut now), trace)
            .await;
        let Authenticated {
            outcome,
            cache,
            scheme,
        } = found;
        let now = now / 1000;
        let (verdict, vouched) = match outcome {
            Ok(identity) => {
                let asking = (client, now);
                let admitted = self.admit(&platform, request, &path, &identity, asking, trace);
                (admitted.await, identity)
            }
            Err(failure) => (Err(failure), None),
        };
        let asserted = verdict.and_then(|it| {
            let assertion = self.assert(&platform, &it, now)?;
            Ok((it, assertion))
        });
        let (verdict, assertion) = match asserted {
            Ok((permit, assertion)) => (Ok(permit), assertion),
            Err(failure) => (Err(failure), None),
        };
        let refused = vouched.filter(|_| verdict.is_err());
        let issues = verdict.as_ref().ok().filter(|it| it.issues());
        let context = issues.map(|it| self.context(&platform, request, client, it));
        Decision {
            verdict,
            cache,
            scheme,
            refused,
            context,
            assertion,
            platform: Some(platform),
        }
    }

    /// Signs what the upstream is told of an admitted request, where the platform has that.
    fn assert(
        &self,
        platform: &Platform,
        permit: &Permit,
        now: u64,
    ) -> Result<Option<Arc<Secret>>, Fault> {
        let (Some(settings), Some(identity)) = (&platform.assertion, permit.identity()) else {
            return Ok(None);
        };
        self.assertions.of(identity, settings, now).map(Some)
    }

    /// Seals what the issue listener is told of an admitted request.
    fn context(
        &self,
        platform: &Platform,
        request: &RequestView<'_>,
        client_address: Option<IpAddr>,
        permit: &Permit,
    ) -> String {
        let context = Context {
            platform: platform.name.to_string(),
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            client_address,
            identity: permit.identity().map(Caller::identity),
            issued: self.authenticator.now(),
        };
        context.seal(self.authenticator.peppers())
    }

    /// Asks the policy, and loads what it declares to need.
    async fn admit(
        &self,
        platform: &Platform,
        request: &RequestView<'_>,
        path: &PathSegments<'_>,
        identity: &Option<Arc<Caller>>,
        (client_address, now): (Option<IpAddr>, u64),
        trace: &impl Trace,
    ) -> Result<Permit, Failure> {
        trace.step(|| Step::Identity(identity.clone()));
        let mut lineages: Vec<Arc<Lineage>> = Vec::new();
        loop {
            let facts = Facts {
                client_address,
                now,
                lineages: &lineages,
            };
            let policy = &platform.policy;
            let account = match policy.admit(request, path, identity.clone(), facts, trace) {
                Ok(permit) => return Ok(permit),
                Err(Refusal::Denied(denial)) => return Err(denial.into()),
                Err(Refusal::NeedsLineage(account)) => account,
            };
            if lineages.iter().any(|it| it.account == account) {
                let detail = "a rule asks for what it was told";
                return Err(Fault::new(Dependency::Internal, detail).into());
            }
            let lineage = self.authenticator.lineage(&platform.name, &account);
            // Boxed, so that a rule that asks for none does not carry what waiting needs.
            let loaded = Box::pin(lineage).await?;
            trace.step(|| Step::Lineage(Arc::clone(&loaded)));
            lineages.push(loaded);
        }
    }

    /// Reads what is judged before any credential is looked at.
    fn read<'r>(
        &self,
        platform: &Platform,
        request: &RequestView<'r>,
        trace: &impl Trace,
    ) -> Result<PathSegments<'r>, Denial> {
        let path = PathSegments::parse(request.path);
        trace.step(|| {
            let segments = |it: &PathSegments<'_>| it.iter().map(str::to_owned).collect();
            let read = path.as_ref().map(segments);
            Step::Path(read.map_err(ToString::to_string))
        });
        let path = path.or_else(|_| {
            let front = platform.policy.front(request.path);
            let unclear = || Denial::new(Reason::Path, UNCLEAR);
            let settles = |it: &PathSegments<'_>| self.platforms.settled_by(request, it);
            front.filter(settles).ok_or_else(unclear)
        })?;
        let mut told_by = platform.told_by().chain([context::HEADER]);
        if request.headers.contains("connection")
            && told_by.any(|it| request.headers.are_to_drop(it))
        {
            let detail =
                "the request asks that what its upstream is told be dropped (`connection`)";
            return Err(Denial::bad_request(detail));
        }
        let https = https::judge(platform, request);
        trace.step(|| Step::Https(https.clone()));
        https.map(|()| path)
    }
}

impl Decision {
    /// A denial before any credential was looked at.
    #[must_use]
    pub fn early(platform: Option<Arc<Platform>>, denial: Denial) -> Self {
        Self {
            platform,
            verdict: Err(denial.into()),
            cache: CacheUse::None,
            scheme: None,
            refused: None,
            context: None,
            assertion: None,
        }
    }

    /// A fault because the decision did not come in time.
    #[must_use]
    pub fn late(platform: Option<Arc<Platform>>, fault: Fault) -> Self {
        Self {
            platform,
            verdict: Err(fault.into()),
            cache: CacheUse::None,
            scheme: None,
            refused: None,
            context: None,
            assertion: None,
        }
    }
}

#[cfg(test)]
mod tests;
