//! The way of a request: from a view to a verdict.
//!
//! One direction, no step reaches back: platform, path, HTTPS, credentials, cache or verification,
//! policy. Nothing here knows how the request came or how the answer is written, so `explain`,
//! the demo and the RPC take the same way.

mod waiting;

use std::net::IpAddr;
use std::sync::Arc;

use crate::assertion::Assertions;
use crate::authenticator::{Authenticated, Authenticator};
use crate::context::{self, Context};
use crate::credential::Secret;
use crate::decision::{CacheUse, Denial, Failure, Fault, Reason};
use crate::gate::waiting::{Until, Waiting};
use crate::identity::{Holder, Lineage};
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
    pub refused: Option<Arc<Holder>>,
    /// What the issue listener is told, where the request goes there.
    pub context: Option<String>,
    /// What the upstream is told so that it can verify it, where the platform has that and it is
    /// somebody's request.
    pub assertion: Option<Arc<Secret>>,
}

/// Whose request it is, and what is judged of it.
struct Asked<'a> {
    platform: &'a Arc<Platform>,
    request: &'a RequestView<'a>,
    path: PathSegments<'a>,
    client: Option<IpAddr>,
}

/// Who was found to be calling, and how.
struct Caller {
    identity: Option<Arc<Holder>>,
    cache: CacheUse,
    scheme: Option<Arc<str>>,
}

impl Asked<'_> {
    fn admit(
        &self,
        identity: &Option<Arc<Holder>>,
        (lineages, now): (&[Arc<Lineage>], u64),
        trace: &impl Trace,
    ) -> Result<Permit, Refusal> {
        let facts = Facts {
            client_address: self.client,
            now,
            lineages,
        };
        let policy = &self.platform.policy;
        policy.admit(self.request, &self.path, identity.clone(), facts, trace)
    }
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
        let waiting = match self.decide_at_once(request, trace) {
            Ok(decision) => return decision,
            Err(waiting) => waiting,
        };
        // Boxed, so that what is known does not carry what waiting needs.
        Box::pin(self.wait(waiting, trace)).await
    }

    /// Decides by what is known.
    fn decide_at_once<'a>(
        &'a self,
        request: &'a RequestView<'a>,
        trace: &impl Trace,
    ) -> Result<Decision, Box<Waiting<'a>>> {
        let platform = match self.platforms.route(request) {
            Ok(platform) => platform,
            Err(denial) => return Ok(Decision::early(None, denial)),
        };
        let path = match self.read(platform, request, trace) {
            Ok(path) => path,
            Err(denial) => return Ok(Decision::early(Some(Arc::clone(platform)), denial)),
        };
        let asked = Asked {
            platform,
            request,
            path,
            client: self.client_address(request),
        };
        // What is known is judged by one look at the clock.
        let now = self.authenticator.milliseconds();
        match self
            .authenticator
            .authenticate(platform, request, now, trace)
        {
            Ok(found) => self.judge(asked, found, now / 1000, trace),
            Err(unknown) => Err(Box::new(Waiting {
                asked,
                until: Until::Verified(unknown),
            })),
        }
    }

    /// Asks the policy whether whoever was found is admitted, in this second.
    fn judge<'a>(
        &self,
        asked: Asked<'a>,
        found: Authenticated,
        now: u64,
        trace: &impl Trace,
    ) -> Result<Decision, Box<Waiting<'a>>> {
        let Authenticated {
            outcome,
            cache,
            scheme,
        } = found;
        let mut caller = Caller {
            identity: None,
            cache,
            scheme,
        };
        let verdict = match outcome {
            Ok(identity) => {
                trace.step(|| Step::Identity(identity.clone()));
                caller.identity = identity;
                match asked.admit(&caller.identity, (&[], now), trace) {
                    Ok(permit) => Ok(permit),
                    Err(Refusal::Denied(denial)) => Err(denial.into()),
                    Err(Refusal::NeedsLineage(account)) => {
                        let until = Until::Placed(caller, account, now);
                        return Err(Box::new(Waiting { asked, until }));
                    }
                }
            }
            Err(failure) => Err(failure),
        };
        Ok(self.settle(&asked, caller, verdict, now))
    }

    /// Puts a decision together, with what the issue listener and the upstream are told.
    fn settle(
        &self,
        asked: &Asked<'_>,
        caller: Caller,
        verdict: Result<Permit, Failure>,
        now: u64,
    ) -> Decision {
        let asserted = verdict.and_then(|it| {
            let assertion = self.assert(asked.platform, &it, now)?;
            Ok((it, assertion))
        });
        let (verdict, assertion) = match asserted {
            Ok((permit, assertion)) => (Ok(permit), assertion),
            Err(failure) => (Err(failure), None),
        };
        let issues = verdict.as_ref().ok().filter(|it| it.issues());
        let context = issues.map(|it| self.context(asked, it));
        Decision {
            cache: caller.cache,
            scheme: caller.scheme,
            refused: caller.identity.filter(|_| verdict.is_err()),
            verdict,
            context,
            assertion,
            platform: Some(Arc::clone(asked.platform)),
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
    fn context(&self, asked: &Asked<'_>, permit: &Permit) -> String {
        let context = Context {
            platform: asked.platform.name.to_string(),
            method: asked.request.method.to_owned(),
            path: asked.request.path.to_owned(),
            client_address: asked.client,
            identity: permit.identity().map(Holder::identity),
            issued: self.authenticator.now(),
        };
        context.seal(self.authenticator.peppers())
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
