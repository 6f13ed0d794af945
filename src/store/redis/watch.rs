//! Word of what changes in the server, whoever changes it.
//!
//! A connection of its own, on which the server tells the name of every key that changes (CLIENT TRACKING in
//! broadcasting mode, Redis 6 and Valkey). It remembers nothing for that, and nobody who writes has to think of it. What
//! it tells goes to those who [watch](crate::store::Store::watch); that it tells at all is a
//! [`Lease`], extended by a heartbeat, since a server that hangs or has lost its place tells neither changes nor
//! that there are none.
//!
//! Nothing is trusted until the server has said that it is a primary that tells (ROLE, CLIENT TRACKINGINFO, over RESP3:
//! over RESP2 it would say so and never tell). Whatever was read before then counts as changed. While the connection is lost
//! the lease runs out; it is taken back at once where the server turns out to be a replica now, which tells what its
//! primary tells it, late or never.

mod begin;
mod end;
mod watched;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, PushInfo, PushKind, Value};
use tokio::sync::{Notify, watch};
use tokio::time;

use self::end::End;
pub use self::watched::Watched;
use super::canary::{Canary, Release};
use super::failures::Failures;
use super::link::{self, Attempt, Link};
use super::policy::Policy;
use super::{fault, login::Login, reply};
use crate::store::lease::Lease;
use crate::store::{Change, Sinks, StoreError};

/// How often the server is asked whether it is still there, and a primary.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// How long it may take to say so, twice in a row at most.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the lag is measured, in heartbeats.
const CANARY_BEATS: u64 = 5;
/// The longest first pause between attempts, and the longest of all.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How long until a server that does not tell is asked again.
const UNWILLING: Duration = Duration::from_secs(30);

/// Follows one server.
pub(super) struct Watcher {
    login: Login,
    watched: Watched,
    sinks: Arc<Sinks>,
    lease: Lease,
    /// What is read and written over; of no use either where the server is a primary no more.
    link: Arc<Link>,
    canary: Canary,
    /// When what was answered last was asked.
    heard: watch::Sender<Option<Instant>>,
    /// Who else is told what the server says of the cluster that it belongs to.
    heed: Option<Heed>,
}

/// Is told an answer to CLUSTER NODES, and tells whether it is one.
pub(super) type Heed = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// How things stand, over all connections.
struct Standing {
    policy: Policy,
    /// What the operator was told last; `None`: nothing, or that all is well.
    told: Option<String>,
    /// Where the last attempt went.
    address: String,
}

impl Watcher {
    pub(super) fn new(
        login: Login,
        watched: Watched,
        sinks: Arc<Sinks>,
        lease: Lease,
        link: Arc<Link>,
        canary: Canary,
    ) -> Self {
        Self {
            canary,
            heard: watch::Sender::default(),
            heed: None,
            login,
            watched,
            sinks,
            lease,
            link,
        }
    }

    /// Has somebody told what the server says of its cluster, with each answer and before it counts as one.
    pub(super) fn heeded_by(self, heed: Heed) -> Self {
        Self {
            heed: Some(heed),
            ..self
        }
    }

    /// Follows it for good, and connects anew whenever the connection is lost. Each cause is logged once until it
    /// tells again.
    pub(super) async fn run(self, policy: Policy) -> Infallible {
        tokio::select! {
            never = self.keep_following(policy) => never,
            never = self.run_out() => never,
        }
    }

    async fn keep_following(&self, policy: Policy) -> Infallible {
        let mut failures = Failures::default();
        let mut standing = Standing {
            policy,
            told: None,
            address: self.login.address(),
        };
        loop {
            let (begun, tried) = (Instant::now(), self.login.changes());
            let Err(end) = self.follow(&mut standing).await;
            if begun.elapsed() > PAUSES.1 {
                failures.forget();
            }
            let soon = link::pause_after(failures.note(end.pauses()), end.pauses());
            let (why, pause) = self.heed_end(end, &standing, soon);
            if standing.told.as_ref() != Some(&why) {
                tracing::warn!(
                    "changes in the store are not told of: {why}; trying again in the background"
                );
                standing.told = Some(why);
            }
            self.login.pause(tried, pause, &standing.address).await;
        }
    }

    /// Does to the lease what an end demands, and gives why, and how long until it is tried again.
    fn heed_end(&self, end: End, standing: &Standing, soon: Duration) -> (String, Duration) {
        match end {
            End::Lost(why) | End::Refused(why) => {
                let why = why.to_string();
                self.lease.run_out(&why);
                (why, soon)
            }
            End::Demoted | End::Elsewhere | End::Replaced => {
                let why = format!("{}: {}", standing.address, end.in_words());
                self.lease.take_back(&why);
                self.sinks.report(Change::Everything);
                // Where it was replaced, its connection goes by itself.
                if !matches!(end, End::Replaced) {
                    self.link.lose();
                }
                (why, soon)
            }
            End::Unwilling(why) => {
                self.lease.take_back(&why);
                (why, UNWILLING)
            }
        }
    }

    /// Connects, and follows until that ends.
    async fn follow(&self, standing: &mut Standing) -> Result<Infallible, End> {
        let lost = Arc::new(Notify::new());
        let mut connection = self.connect(&lost, standing).await?;
        let policy = &mut standing.policy;
        policy.begin(&standing.address, &mut connection).await;
        let asked = (self.now(), Instant::now());
        self.begin(&mut connection).await?;
        // It tells from here on, so what changes unheard has changed by now.
        self.sinks.report(Change::Everything);
        self.extend(asked);
        if standing.told.take().is_some() {
            tracing::info!(
                address = standing.address,
                "changes in the store are told of again"
            );
        }
        self.canary.wake();
        let mut missed = 0;
        for beat in 0_u64.. {
            standing.policy.look(&mut connection, beat + 1).await;
            let is_called = tokio::select! {
                () = lost.notified() => return Err(self.lost("the connection was closed")),
                () = self.login.left(&standing.address) => return Err(End::Replaced),
                () = self.canary.called() => true,
                () = time::sleep(HEARTBEAT) => false,
            };
            let asked = (self.now(), Instant::now());
            let beat = self.beat(&mut connection, is_called || beat % CANARY_BEATS == 0);
            match time::timeout(PATIENCE, beat).await {
                // Word comes in order: what changed before the answer was told before it.
                Ok(answer) => {
                    answer?;
                    missed = 0;
                    self.extend(asked);
                    self.link.hurry();
                }
                Err(_) if missed == 0 => missed = 1,
                Err(_) => break,
            }
        }
        Err(self.lost("no answer in time"))
    }

    /// Lets what was read count for the grace from when the server was asked.
    fn extend(&self, (asked, heard): (u64, Instant)) {
        let grace = u64::try_from(self.watched.grace.as_millis());
        self.lease
            .extend(asked.saturating_add(grace.unwrap_or(u64::MAX)));
        self.heard.send_replace(Some(heard));
    }

    /// Has the lease end by the time that passes as well, and not only by the clock that it is looked at by, which may be set
    /// back while no word comes.
    async fn run_out(&self) -> Infallible {
        let mut heard = self.heard.subscribe();
        loop {
            let last = *heard.borrow_and_update();
            if let Some(last) = last {
                let end = time::sleep_until((last + self.watched.grace).into());
                tokio::select! {
                    biased;
                    _ = heard.changed() => continue,
                    () = end => self.lease.ran_out(),
                }
            }
            // It fails only with this value.
            let _ = heard.changed().await;
        }
    }

    async fn connect(
        &self,
        lost: &Arc<Notify>,
        standing: &mut Standing,
    ) -> Result<MultiplexedConnection, End> {
        let (lost, sinks, canary) = (
            Arc::clone(lost),
            Arc::clone(&self.sinks),
            self.canary.clone(),
        );
        let attempt = link::connect(&self.login, move |push: PushInfo| match push.kind {
            PushKind::Invalidate => heed(&push.data, &sinks, &canary),
            PushKind::Disconnection => lost.notify_one(),
            _ => {}
        });
        let Attempt { address, connected } = attempt.await;
        standing.address = address;
        connected.map_err(|it| {
            let why = fault::of_connection(&standing.address, &it);
            match fault::is_refusal(&it) {
                true => End::Refused(why),
                false => End::Lost(why),
            }
        })
    }

    /// Asks whether it is still there, and a primary; and by a canary, whether it is the server that is read from:
    /// behind one address may stand another by now, and an old connection still lead to the one before.
    async fn beat(
        &self,
        connection: &mut MultiplexedConnection,
        with_canary: bool,
    ) -> Result<(), End> {
        let released = match with_canary {
            true => self.canary.release(&self.link).await,
            false => Release::Failed,
        };
        let mut all = Pipeline::with_capacity(2);
        all.cmd("ROLE");
        let answers = self.ask(connection, all).await?;
        match answers.first() {
            Some(role) if reply::is_primary(role) => match released {
                Release::AtReplica => Err(End::Elsewhere),
                // Word of what was written before this was asked comes before the answer.
                Release::Written if self.canary.is_awaited() => Err(End::Elsewhere),
                Release::Written | Release::Failed => Ok(()),
            },
            Some(Value::Array(_)) => Err(End::Demoted),
            _ => Err(self.lost("it does not tell its role")),
        }
    }

    /// Asks this and, where the server belongs to a cluster, what it says of that.
    async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        mut all: Pipeline,
    ) -> Result<Vec<Value>, End> {
        if self.heed.is_some() {
            all.cmd("CLUSTER").arg("NODES");
        }
        let answers = connection.send_packed_commands(&all, 0, all.len()).await;
        let mut answers =
            answers.map_err(|it| End::Lost(fault::of_connection(&self.login.address(), &it)))?;
        if let Some(heed) = &self.heed
            && !answers.pop().is_some_and(|it| heed(&it))
        {
            return Err(self.lost("it does not tell of its cluster"));
        }
        Ok(answers)
    }

    fn lost(&self, why: &str) -> End {
        let why = format!("{}: {why}; {}", self.login.address(), fault::REACH_IT);
        End::Lost(StoreError::Unavailable(why))
    }

    fn unwilling(&self, why: &str) -> End {
        let until = "until it does, what is remembered counts for a second";
        End::Unwilling(format!("{}: {why}; {until}", self.login.address()))
    }

    fn now(&self) -> u64 {
        self.watched.clock.unix_milliseconds()
    }
}

/// Passes on what a push says has changed, but for the canary, which is told of calls last.
fn heed(data: &[Value], sinks: &Sinks, canary: &Canary) {
    let Some(Value::Array(keys)) = data.first() else {
        // Nil: the whole database was emptied. Whatever else it may be, it says that something changed.
        return sinks.report(Change::Everything);
    };
    for key in keys {
        match key {
            Value::BulkString(key) => match str::from_utf8(key) {
                Ok(key) if canary.heard(key) => {}
                Ok(key) => {
                    sinks.report(Change::Key(key));
                    canary.heed_call(key);
                }
                // None of ours.
                Err(_) => {}
            },
            _ => sinks.report(Change::Everything),
        }
    }
}
