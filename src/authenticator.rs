//! Who is calling: the schemes of a platform in their order, then the cache, else a verification.
//!
//! Absent is not wrong: a request without credentials gives no identity and no denial, and only
//! the policy makes something of that. A credential that is there and bad is denied, on a public
//! path too. What several credentials mean is the platform's rule. The throttle is asked before a
//! credential is verified that is not known yet.

mod counters;
mod found;

use std::net::IpAddr;
use std::sync::Arc;
use std::{ptr, vec};

use crate::authenticator::counters::{Lately, begin, counters};
use crate::authenticator::found::find;
use crate::cache::{Cache, Outcome, Unverified};
use crate::credential::{Begun, Credential, Fingerprint, Fingerprinter};
use crate::decision::{CacheUse, Denial, Dependency, Failure, Fault, Reason};
use crate::directory::Directory;
use crate::directory::pepper::Peppers;
use crate::identity::{Holder, Lineage};
use crate::platform::{NamedScheme, Platform, Platforms};
use crate::request::RequestView;
use crate::throttle::Throttle;
use crate::trace::{Step, Trace};

/// Finds out who is calling.
#[derive(Debug)]
pub struct Authenticator {
    directory: Directory,
    cache: Cache,
    fingerprinter: Fingerprinter,
    /// The fingerprints of each platform's schemes, as far as their settings make them: what was verified under others is
    /// not found under these.
    begun: Vec<(Arc<Platform>, Vec<Begun>)>,
    /// `None`: failed attempts are not counted.
    throttle: Option<Throttle>,
}

/// What a request's credentials came to.
#[derive(Debug)]
pub struct Authenticated {
    /// An identity; nobody, where no credential was presented; or why not.
    pub outcome: Result<Option<Arc<Holder>>, Failure>,
    /// Whether the outcome was known.
    pub cache: CacheUse,
    /// The scheme whose credential counted.
    pub scheme: Option<Arc<str>>,
}

impl Authenticated {
    fn without_lookup(outcome: Result<Option<Arc<Holder>>, Denial>) -> Self {
        Self {
            outcome: outcome.map_err(Failure::from),
            cache: CacheUse::None,
            scheme: None,
        }
    }
}

/// A credential that is not known, and what comes after it.
#[derive(Debug)]
pub struct Unknown<'p> {
    rest: Rest<'p>,
    named: &'p NamedScheme,
    credential: Credential,
    key: Fingerprint,
}

/// Credentials of one request that are still to be looked at.
#[derive(Debug)]
struct Rest<'p> {
    platform: &'p Platform,
    found: vec::IntoIter<(&'p NamedScheme, Credential)>,
    /// What those before came to.
    agreed: Option<Authenticated>,
}

impl Rest<'_> {
    /// Takes what the next one came to. Gives what they all come to, where that settles it.
    fn take(
        &mut self,
        named: &NamedScheme,
        next: Authenticated,
        trace: &impl Trace,
    ) -> Option<Authenticated> {
        trace.step(|| Step::Verified {
            scheme: Arc::clone(&named.name),
            outcome: next.outcome.clone().map(|_| ()),
        });
        if next.outcome.is_err() {
            return Some(next);
        }
        match &self.agreed {
            None => self.agreed = Some(next),
            Some(first) if agree(first, &next) => {}
            Some(_) => {
                let detail = "the credentials belong to different users";
                let conflict = Denial::new(Reason::Conflict, detail);
                return Some(Authenticated::without_lookup(Err(conflict)));
            }
        }
        None
    }
}

impl Authenticator {
    /// Makes one for these platforms, under the settings that `settled` tells from others.
    #[must_use]
    pub fn new(
        directory: Directory,
        cache: Cache,
        fingerprinter: Fingerprinter,
        (platforms, settled): (&Platforms, u64),
        throttle: Option<Throttle>,
    ) -> Self {
        let begin = |platform: &Arc<Platform>| {
            let of_scheme = |named: &NamedScheme| {
                fingerprinter.begin(&[
                    platform.name.as_bytes(),
                    named.name.as_bytes(),
                    &settled.to_be_bytes(),
                    &platform.settled.to_be_bytes(),
                ])
            };
            let schemes = platform.schemes.iter().map(of_scheme);
            (Arc::clone(platform), schemes.collect())
        };
        Self {
            begun: platforms.iter().map(begin).collect(),
            directory,
            cache,
            fingerprinter,
            throttle,
        }
    }

    /// The time, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.directory.clock().unix_seconds()
    }

    /// The same, in milliseconds.
    #[must_use]
    pub fn milliseconds(&self) -> u64 {
        self.directory.clock().unix_milliseconds()
    }

    /// The peppers of the directory.
    #[must_use]
    pub fn peppers(&self) -> &Peppers {
        self.directory.peppers()
    }

    /// Tells where an account stands.
    ///
    /// # Errors
    /// A fault when it cannot be told now.
    pub async fn lineage(&self, platform: &str, account: &str) -> Result<Arc<Lineage>, Fault> {
        let key = self
            .fingerprinter
            .of(&[b"lineage", platform.as_bytes(), account.as_bytes()]);
        self.cache.lineage(key, platform, account).await
    }

    /// Finds out who is calling by what is known in this millisecond, and tells `trace` every step.
    ///
    /// # Errors
    /// What is to be verified, which takes waiting, and so is apart: what is known carries nothing of that.
    pub fn authenticate<'p>(
        &self,
        platform: &'p Platform,
        request: &RequestView<'_>,
        now: u64,
        trace: &impl Trace,
    ) -> Result<Authenticated, Box<Unknown<'p>>> {
        let found = match find(platform, request, trace) {
            Ok(found) => found.into_iter(),
            Err(denial) => return Ok(Authenticated::without_lookup(Err(denial))),
        };
        let rest = Rest {
            platform,
            found,
            agreed: None,
        };
        self.walk(rest, now, trace)
    }

    /// Goes on as [`Authenticator::authenticate`] where something is to be verified, for `client`. Gives also what millisecond
    /// it is then.
    pub async fn verify(
        &self,
        unknown: Box<Unknown<'_>>,
        client: Option<IpAddr>,
        trace: &impl Trace,
    ) -> (Authenticated, u64) {
        let mut unknown = unknown;
        loop {
            let Unknown {
                mut rest,
                named,
                credential,
                key,
            } = *unknown;
            let asked = (rest.platform, named);
            let next = self.verify_one(asked, credential, key, client).await;
            let now = self.milliseconds();
            if let Some(end) = rest.take(named, next, trace) {
                return (end, now);
            }
            unknown = match self.walk(rest, now, trace) {
                Ok(end) => return (end, now),
                Err(unknown) => unknown,
            };
        }
    }

    /// Goes on as far as credentials are known.
    fn walk<'p>(
        &self,
        mut rest: Rest<'p>,
        now: u64,
        trace: &impl Trace,
    ) -> Result<Authenticated, Box<Unknown<'p>>> {
        while let Some((named, credential)) = rest.found.next() {
            let asked = (rest.platform, named);
            let Some(key) = self.fingerprint(asked, &credential) else {
                let fault = Fault::new(Dependency::Internal, "a platform that nobody prepared");
                return Ok(done(asked, Err(fault.into()), CacheUse::None));
            };
            let Some(known) = self.known(asked, &credential, key, now) else {
                return Err(Box::new(Unknown {
                    rest,
                    named,
                    credential,
                    key,
                }));
            };
            if let Some(end) = rest.take(named, known, trace) {
                return Ok(end);
            }
        }
        let nobody = || Authenticated::without_lookup(Ok(None));
        Ok(rest.agreed.unwrap_or_else(nobody))
    }

    /// Gives what the cache knows a credential by; `None` for a platform that is not one of these.
    fn fingerprint(
        &self,
        (platform, named): Asked<'_>,
        credential: &Credential,
    ) -> Option<Fingerprint> {
        let mut begun = self.begun.iter();
        let (_, begun) = begun.find(|it| ptr::eq(&*it.0, platform))?;
        let at = platform.schemes.iter().position(|it| ptr::eq(it, named))?;
        let parts = [credential.name().as_bytes(), credential.secret().expose()];
        Some(begun.get(at)?.of(&parts))
    }

    /// Gives what the cache knows of a credential, and has it verified anew in the background where that is due.
    fn known(
        &self,
        asked: Asked<'_>,
        credential: &Credential,
        key: Fingerprint,
        now: u64,
    ) -> Option<Authenticated> {
        let known = self.cache.hit(key, now)?;
        if known.is_due {
            self.cache
                .renew(&unverified(asked, credential.clone(), key));
        }
        Some(done(asked, Ok(known.outcome), CacheUse::Hit))
    }

    /// Has a credential verified that is not known, unless the throttle forbids it.
    async fn verify_one(
        &self,
        asked: Asked<'_>,
        credential: Credential,
        key: Fingerprint,
        client: Option<IpAddr>,
    ) -> Authenticated {
        let (platform, named) = asked;
        let mut unverified = unverified(asked, credential, key);
        if let Some(throttle) = &self.throttle {
            let lately = Lately {
                good: self.cache.was_good(key),
                refused: self.cache.was_refused(key),
            };
            let counters = counters(platform, named, &unverified.credential, client, &lately);
            unverified.begin = begin(throttle, &platform.name, client, counters);
        }
        match self.cache.load(&unverified).await {
            refused @ Err(Failure::Denied(_)) => done(asked, refused, CacheUse::None),
            Err(Failure::Fault(fault)) => match self.cache.stale(key, &fault) {
                Some(identity) => done(asked, Ok(Ok(identity)), CacheUse::Stale),
                None => done(asked, Err(fault.into()), CacheUse::Miss),
            },
            loaded => done(asked, loaded, CacheUse::Miss),
        }
    }
}

/// By whose scheme a credential was decoded.
type Asked<'p> = (&'p Platform, &'p NamedScheme);

fn unverified(
    (platform, named): Asked<'_>,
    credential: Credential,
    key: Fingerprint,
) -> Unverified {
    Unverified {
        key,
        platform: Arc::clone(&platform.name),
        scheme: Arc::clone(&named.scheme),
        credential: Arc::new(credential),
        begin: None,
    }
}

fn done(
    (_, named): Asked<'_>,
    outcome: Result<Outcome, Failure>,
    cache: CacheUse,
) -> Authenticated {
    Authenticated {
        outcome: outcome.and_then(|it| it.map(Some).map_err(Failure::Denied)),
        cache,
        scheme: Some(Arc::clone(&named.name)),
    }
}

fn agree(one: &Authenticated, other: &Authenticated) -> bool {
    match (&one.outcome, &other.outcome) {
        (Ok(Some(one)), Ok(Some(other))) => {
            one.account() == other.account() && one.user() == other.user() && one.user().is_some()
        }
        _ => false,
    }
}
