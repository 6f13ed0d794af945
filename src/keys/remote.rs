//! An issuer's key set on the internet: fetched from where the configuration says, kept, renewed.
//!
//! A task of its own fetches it, for the first time when a token first asks for a key, then ahead of
//! the end that the answer gives itself. The last good set is kept while fetching fails, for a
//! stated time. A token that names a key which is not in the set has it fetched once more, at most
//! once a cool-down, and waits for that one fetch with whoever else does; tokens that name known
//! keys wait for nothing. Nothing in a token leads anywhere: there is no URL but the configured one,
//! and what the issuer's own metadata names.
//!
//! *Not known* is told apart from *cannot be told*: without a set, or while the issuer does not
//! answer, a key that is not at hand is a fault.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::decision::{Denial, Dependency, Failure, Fault, Reason};
use crate::keys::fetch::{Fetched, Source};
use crate::keys::{Algorithm, Key, Keys, self_test};
use crate::outbound::Outbound;

/// How long a set is kept after it was last fetched, in seconds, unless a configuration says else.
pub const KEEP_SECONDS: u64 = 24 * 60 * 60;

/// How often a name that is not in the set has it fetched again, in seconds, unless likewise.
pub const COOL_DOWN_SECONDS: u64 = 30;

/// How soon a set is fetched again, whatever its answer says.
const LIFETIME: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5 * 60)..=Duration::from_secs(24 * 60 * 60);

/// The same where the answer says nothing.
const UNSAID: Duration = Duration::from_secs(60 * 60);

/// How soon after a fetch that failed it is tried again; doubled up to 64 times.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How many tokens wait for one issuer at once; for a further one it is a fault. A part of what may
/// be under way at all, so that one slow issuer does not stop whoever has nothing to do with it.
const MAX_WAITING: usize = 1024;

/// How one issuer's keys are come by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// What the log calls it.
    pub issuer: String,
    /// Where its set is.
    pub source: Source,
    /// With which algorithms its keys may be used.
    pub algorithms: Vec<Algorithm>,
    /// How long a set is kept after it was last fetched.
    pub keep: Duration,
    /// How often a name that is not in the set has it fetched again.
    pub cool_down: Duration,
}

/// One issuer's keys. Its task ends with it.
pub struct KeySet {
    settings: Arc<Settings>,
    outbound: Outbound,
    wanted: Arc<Notify>,
    /// The last fetch that a name caused which is not in the set.
    asked: Mutex<Option<Asked>>,
    waiting: Semaphore,
    running: OnceLock<Running>,
}

#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    /// How many fetches had ended then.
    fetches: u64,
}

struct Running {
    state: watch::Receiver<State>,
    task: AbortHandle,
}

/// How the set stands.
#[derive(Clone, Default)]
struct State {
    /// How many fetches have ended.
    fetches: u64,
    under_way: bool,
    /// Why the last one failed.
    failed: Option<Arc<str>>,
    good: Option<Good>,
}

#[derive(Clone)]
struct Good {
    keys: Arc<Keys>,
    since: Instant,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.settings.issuer)
    }
}

impl Drop for KeySet {
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.task.abort();
        }
    }
}

impl KeySet {
    /// Makes one, which asks nobody yet.
    ///
    /// # Errors
    /// That the cryptography of this build does not work.
    pub fn new(settings: Settings, outbound: &Outbound) -> Result<Self, &'static str> {
        self_test::passed()?;
        Ok(Self {
            settings: Arc::new(settings),
            // One fetch at a time: whatever else is asked must not be in its way.
            outbound: outbound.with_own_bound(1),
            wanted: Arc::default(),
            asked: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
            running: OnceLock::new(),
        })
    }

    /// Tells whether this is how it is come by.
    pub(super) fn is_come_by(&self, settings: &Settings) -> bool {
        *self.settings == *settings
    }

    /// Tells whether the last fetch failed, and how long ago the last good one ended; `None` while nobody has asked
    /// for a key.
    pub(super) fn fetching(&self) -> Option<(bool, Option<Duration>)> {
        let state = self.running.get()?.state.borrow();
        let age = state.good.as_ref().map(|it| it.since.elapsed());
        Some((state.failed.is_some(), age))
    }

    /// Gives the key that a token names, or where it names none the only one of the algorithm
    /// (`OpenID` Connect Core §10.1).
    ///
    /// # Errors
    /// A denial where the issuer has no such key, a fault where that cannot be told.
    pub async fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Key, Failure> {
        let mut state = self.running().state.clone();
        let seen = state.borrow_and_update().clone();
        if let Some(key) = self.find(&seen, kid, algorithm) {
            return Ok(key);
        }
        let settled = if seen.under_way || self.asks_again(&seen) {
            let place = self.waiting.try_acquire();
            let _place = place.map_err(|_| self.fault("too many tokens wait for them"))?;
            let ended = state.wait_for(|it| it.fetches > seen.fetches).await;
            let ended = ended.map_err(|_| self.fault("its task has ended"))?;
            ended.clone()
        } else {
            seen
        };
        if let Some(key) = self.find(&settled, kid, algorithm) {
            return Ok(key);
        }
        match (&settled.failed, self.kept(&settled)) {
            (None, Some(_)) => Err(Denial::new(
                Reason::Unknown,
                "the issuer's key set has no key for what the token says it is signed with",
            )
            .into()),
            (failed, _) => {
                let why = failed
                    .as_deref()
                    .unwrap_or("they were not fetched for too long");
                Err(self.fault(why).into())
            }
        }
    }

    fn fault(&self, why: &str) -> Fault {
        let detail = format!("the keys of {} cannot be had: {why}", self.settings.issuer);
        Fault::new(Dependency::KeySet, detail)
    }

    /// Gives the set, unless it was fetched too long ago.
    fn kept<'s>(&self, state: &'s State) -> Option<&'s Keys> {
        let good = state.good.as_ref()?;
        (good.since.elapsed() < self.settings.keep).then_some(&good.keys)
    }

    fn find(&self, state: &State, kid: Option<&str>, algorithm: Algorithm) -> Option<Key> {
        let mut keys = self.kept(state)?.candidates(kid, algorithm);
        let key = keys.next()?;
        keys.next().is_none().then(|| key.clone())
    }

    /// Has a set fetched again that is there and lacks a key, unless that was done just now, and
    /// tells whether it is to be waited for. Without a set, the task tries by itself.
    fn asks_again(&self, state: &State) -> bool {
        if self.kept(state).is_none() {
            return false;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = asked.filter(|it| it.at.elapsed() < self.settings.cool_down) {
            // It may have been asked for and not have begun.
            return last.fetches == state.fetches;
        }
        *asked = Some(Asked {
            at: Instant::now(),
            fetches: state.fetches,
        });
        self.wanted.notify_one();
        true
    }

    fn running(&self) -> &Running {
        self.running.get_or_init(|| {
            let begun = State {
                under_way: true,
                ..State::default()
            };
            let (sender, state) = watch::channel(begun);
            let keeping = keep(
                Arc::clone(&self.settings),
                self.outbound.clone(),
                Arc::clone(&self.wanted),
                sender,
            );
            Running {
                state,
                task: tokio::spawn(keeping).abort_handle(),
            }
        })
    }
}

/// Fetches the set again and again.
async fn keep(
    settings: Arc<Settings>,
    outbound: Outbound,
    wanted: Arc<Notify>,
    state: watch::Sender<State>,
) {
    let mut failures = 0_u32;
    loop {
        state.send_modify(|it| it.under_way = true);
        let fetched = settings.source.fetch(&outbound, &settings.algorithms).await;
        let wait = match &fetched {
            Ok(it) => lifetime(it.max_age).min(settings.keep) * 4 / 5,
            Err(_) => FIRST_RETRY * 2_u32.pow(failures.min(6)),
        };
        failures = note(&settings.issuer, &fetched, failures);
        state.send_modify(|it| it.end(fetched));
        tokio::select! {
            () = tokio::time::sleep(spread(wait)) => {}
            () = wanted.notified() => {}
        }
    }
}

impl State {
    fn end(&mut self, fetched: Result<Fetched, String>) {
        self.fetches += 1;
        self.under_way = false;
        match fetched {
            Ok(it) => {
                self.failed = None;
                self.good = Some(Good {
                    keys: Arc::new(it.keys),
                    since: Instant::now(),
                });
            }
            Err(why) => self.failed = Some(why.into()),
        }
    }
}

/// Tells the log when fetching begins to fail and when it works again, and gives how often it has
/// failed in a row.
fn note(issuer: &str, fetched: &Result<Fetched, String>, failures: u32) -> u32 {
    match fetched {
        Ok(_) if failures > 0 => tracing::info!(issuer, "the issuer's keys are fetched again"),
        Ok(_) => {}
        Err(why) if failures == 0 => tracing::error!(
            issuer,
            "the issuer's keys cannot be fetched: {why}; trying again, with those that are kept until then"
        ),
        Err(why) => tracing::debug!(issuer, "the issuer's keys still cannot be fetched: {why}"),
    }
    match fetched {
        Ok(_) => 0,
        Err(_) => failures.saturating_add(1),
    }
}

/// Gives how long a set counts as fresh whose answer says this.
fn lifetime(max_age: Option<Duration>) -> Duration {
    let said = max_age.unwrap_or(UNSAID);
    said.clamp(*LIFETIME.start(), *LIFETIME.end())
}

/// Takes up to a tenth off, so that sidecars that began together do not ask together.
fn spread(wait: Duration) -> Duration {
    let part = getrandom::u32().unwrap_or(0) % 1000;
    wait.mul_f64(1.0 - f64::from(part) / 10_000.0)
}

#[cfg(test)]
mod tests;
