//! Who is calling: the schemes of a platform in their order, then the cache, else a verification.
//!
//! Absent is not wrong: a request without credentials gives no identity and no denial, and only
//! the policy makes something of that. A credential that is there and bad is denied, on a public
//! path too. What several credentials mean is the platform's rule. The throttle is asked before a
//! credential is verified that is not known yet.

mod counters;

use std::net::IpAddr;
use std::sync::Arc;

use crate::authenticator::counters::{Lately, begin, counters};
use crate::cache::{Cache, Outcome, Unverified};
use crate::credential::{Credential, Fingerprinter, Place};
use crate::decision::{CacheUse, Denial, Failure, Fault, Reason};
use crate::directory::Directory;
use crate::directory::pepper::Peppers;
use crate::identity::{Caller, Lineage};
use crate::platform::{NamedScheme, Platform};
use crate::request::RequestView;
use crate::scheme::Conflict;
use crate::throttle::Throttle;
use crate::trace::{Found, Step, Trace};

/// Finds out who is calling.
#[derive(Debug)]
pub struct Authenticator {
    directory: Directory,
    cache: Cache,
    fingerprinter: Fingerprinter,
    /// Part of every fingerprint, with [`Platform::settled`]: what was verified under other settings is
    /// not found under these.
    settled: u64,
    /// `None`: failed attempts are not counted.
    throttle: Option<Throttle>,
}

/// What a request's credentials came to.
#[derive(Debug)]
pub struct Authenticated {
    /// An identity; nobody, where no credential was presented; or why not.
    pub outcome: Result<Option<Arc<Caller>>, Failure>,
    /// Whether the outcome was known.
    pub cache: CacheUse,
    /// The scheme whose credential counted.
    pub scheme: Option<Arc<str>>,
}

impl Authenticated {
    fn without_lookup(outcome: Result<Option<Arc<Caller>>, Denial>) -> Self {
        Self {
            outcome: outcome.map_err(Failure::from),
            cache: CacheUse::None,
            scheme: None,
        }
    }
}

/// Credentials of one request, each with the scheme that decoded it.
type Decoded<'p> = Vec<(&'p NamedScheme, Credential)>;

impl Authenticator {
    /// Makes one for the settings that `settled` tells from others.
    #[must_use]
    pub fn new(
        directory: Directory,
        cache: Cache,
        fingerprinter: Fingerprinter,
        settled: u64,
        throttle: Option<Throttle>,
    ) -> Self {
        Self {
            directory,
            cache,
            fingerprinter,
            settled,
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

    /// Finds out who is calling from `client` in this millisecond, which is another after each wait, and tells `trace` every step.
    pub async fn authenticate(
        &self,
        platform: &Arc<Platform>,
        request: &RequestView<'_>,
        (client, now): (Option<IpAddr>, &mut u64),
        trace: &impl Trace,
    ) -> Authenticated {
        let found = match find(platform, request, trace) {
            Ok(found) => found,
            Err(denial) => return Authenticated::without_lookup(Err(denial)),
        };
        let mut agreed: Option<Authenticated> = None;
        for (scheme, credential) in found {
            let next = self
                .outcome(platform, scheme, credential, (client, *now))
                .await;
            if next.cache != CacheUse::Hit {
                *now = self.milliseconds();
            }
            trace.step(|| Step::Verified {
                scheme: Arc::clone(&scheme.name),
                outcome: next.outcome.clone().map(|_| ()),
            });
            if next.outcome.is_err() {
                return next;
            }
            agreed = Some(match agreed {
                None => next,
                Some(first) if agree(&first, &next) => first,
                Some(_) => {
                    let detail = "the credentials belong to different users";
                    return Authenticated::without_lookup(Err(Denial::new(
                        Reason::Conflict,
                        detail,
                    )));
                }
            });
        }
        agreed.unwrap_or_else(|| Authenticated::without_lookup(Ok(None)))
    }

    async fn outcome(
        &self,
        platform: &Arc<Platform>,
        named: &NamedScheme,
        credential: Credential,
        (client, now): (Option<IpAddr>, u64),
    ) -> Authenticated {
        let key = self.fingerprinter.of(&[
            platform.name.as_bytes(),
            named.name.as_bytes(),
            &self.settled.to_be_bytes(),
            &platform.settled.to_be_bytes(),
            credential.name().as_bytes(),
            credential.secret().expose(),
        ]);
        let done = |outcome: Result<Outcome, Failure>, cache| Authenticated {
            outcome: outcome.and_then(|it| it.map(Some).map_err(Failure::Denied)),
            cache,
            scheme: Some(Arc::clone(&named.name)),
        };
        let unverified = || Unverified {
            key,
            platform: Arc::clone(&platform.name),
            scheme: Arc::clone(&named.scheme),
            credential: Arc::new(credential),
            begin: None,
        };
        if let Some(known) = self.cache.hit(key, now) {
            if known.is_due {
                self.cache.renew(&unverified());
            }
            return done(Ok(known.outcome), CacheUse::Hit);
        }
        let mut unverified = unverified();
        if let Some(throttle) = &self.throttle {
            let lately = Lately {
                good: self.cache.was_good(key),
                refused: self.cache.was_refused(key),
            };
            let counters = counters(platform, named, &unverified.credential, client, &lately);
            unverified.begin = begin(throttle, &platform.name, client, counters);
        }
        // Boxed, so that a hit does not carry what waiting needs.
        match Box::pin(self.cache.load(&unverified)).await {
            refused @ Err(Failure::Denied(_)) => done(refused, CacheUse::None),
            Err(Failure::Fault(fault)) => match self.cache.stale(key, &fault) {
                Some(identity) => done(Ok(Ok(identity)), CacheUse::Stale),
                None => done(Err(fault.into()), CacheUse::Miss),
            },
            loaded => done(loaded, CacheUse::Miss),
        }
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

/// Decodes every credential that counts under the platform's rule.
fn find<'p>(
    platform: &'p Platform,
    request: &RequestView<'_>,
    trace: &impl Trace,
) -> Result<Decoded<'p>, Denial> {
    // A singleton field (RFC 9110 §11.6.2): two values are refused whatever the schemes read.
    let authorization = request.headers.authorization()?;
    for place in &platform.unread {
        let there = match place {
            Place::Authorization(_) | Place::Certificate => false,
            Place::Header(name) => request.headers.all(name).any(|it| !it.is_empty()),
            Place::Query(name) => request.query.spellings(name).next().is_some(),
        };
        if there {
            let detail = "a credential stands where the upstream reads one and no scheme here does";
            return Err(Denial::new(Reason::Malformed, detail));
        }
    }
    let mut found: Decoded<'p> = Vec::new();
    for named in &platform.schemes {
        let decoded = named.scheme.decode(request);
        trace.step(|| Step::Scheme {
            scheme: Arc::clone(&named.name),
            found: decoded.clone().map(|it| it.as_ref().map(Found::of)),
        });
        let Some(credential) = decoded? else {
            continue;
        };
        found.push((named, credential));
        if platform.conflict == Conflict::Precedence {
            return Ok(found);
        }
    }
    if found.len() > 1 && platform.conflict == Conflict::Refuse {
        return Err(Denial::new(
            Reason::Conflict,
            "the request carries several credentials",
        ));
    }
    let is_there = |it: &Place| matches!(it, Place::Authorization(_));
    let decoded = found.iter().any(|it| is_there(it.1.place()));
    if authorization.is_some() && !decoded && platform.places().any(is_there) {
        let detail = "no scheme of the platform reads this Authorization";
        return Err(Denial::new(Reason::Malformed, detail));
    }
    Ok(found)
}
