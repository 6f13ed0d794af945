//! One server: the way to it, and word of what changes there.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::task;

use super::canary::Canary;
use super::link::Link;
use super::login::Login;
use super::policy::{Evictions, Policy};
use super::reply;
use super::watch::{Heed, Watched, Watcher};
use crate::store::lease::Lease;
use crate::store::{Replicas, Sinks, StoreError};

/// How long a replica may take to confirm, in milliseconds.
const CONFIRMED_WITHIN: u64 = 400;
/// How long to wait for that, others who wait for the same included.
const CONFIRMED_ALL: Duration = Duration::from_millis(1000);
/// How long what is written to be confirmed lives, in milliseconds.
const CONFIRMED_TTL: u64 = 1000;

/// A server.
pub(super) struct Node {
    pub(super) link: Arc<Link>,
    pub(super) login: Login,
    /// Where replicas are waited for, since nothing is answered on a connection meanwhile.
    aside: OnceLock<Link>,
    followed: Option<Followed>,
}

/// How it is followed.
pub(super) struct Followed {
    pub(super) canary: Canary,
    pub(super) lease: Lease,
    /// Ends with the store.
    _watching: AbortOnDrop,
}

/// How it is to be followed.
pub(super) struct Follow {
    pub(super) watched: Watched,
    pub(super) process: String,
    pub(super) sinks: Arc<Sinks>,
    pub(super) evictions: Evictions,
    pub(super) lease: Lease,
    pub(super) heed: Option<Heed>,
}

/// A task that ends with whoever began it.
pub(super) struct AbortOnDrop(pub(super) task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Node {
    /// Begins to connect, and goes on in the background until it is dropped. `timeout` is for one command.
    pub(super) fn new(login: Login, timeout: Duration, follow: Option<Follow>) -> Self {
        let link = Arc::new(Link::new(login.clone(), timeout));
        let followed = follow.map(|it| it.begin(&login, &link));
        Self {
            link,
            login,
            aside: OnceLock::new(),
            followed,
        }
    }

    pub(super) fn followed(&self) -> Option<&Followed> {
        self.followed.as_ref()
    }

    /// As [`crate::store::Store::confirm`], of this server's replicas.
    pub(super) async fn confirm(&self, key: &str) -> Result<Replicas, StoreError> {
        let role = self.link.ask_one(Pipeline::new().cmd("ROLE")).await?;
        let connected = reply::replicas(&role)?;
        if connected == 0 {
            return Ok(Replicas::default());
        }
        // WAIT is for what was written on its own connection. Replicas take writes in their order, so who has this
        // one has all before it.
        let aside = || Link::new(self.login.clone(), CONFIRMED_ALL);
        let aside = self.aside.get_or_init(aside);
        let mut both = Pipeline::with_capacity(2);
        both.cmd("SET").arg(key).arg(1);
        both.arg("PX").arg(CONFIRMED_TTL);
        both.cmd("WAIT").arg(1).arg(CONFIRMED_WITHIN);
        let answers = aside.ask(&both).await?;
        let [set, waited] = <[Value; 2]>::try_from(answers)
            .map_err(|_| StoreError::Unavailable("no answer to WAIT".to_owned()))?;
        reply::done(key, set)?;
        Ok(Replicas {
            connected,
            confirmed: reply::confirmed(waited)?,
        })
    }
}

impl Follow {
    fn begin(self, login: &Login, link: &Arc<Link>) -> Followed {
        let Self {
            watched,
            process,
            sinks,
            evictions,
            lease,
            heed,
        } = self;
        let canary = Canary::new(&watched, &process);
        let (login, link) = (login.clone(), Arc::clone(link));
        let mut watcher = Watcher::new(login, watched, sinks, lease.clone(), link, canary.clone());
        if let Some(heed) = heed {
            watcher = watcher.heeded_by(heed);
        }
        let watching = tokio::spawn(async move {
            watcher.run(Policy::new(evictions)).await;
        });
        Followed {
            canary,
            lease,
            _watching: AbortOnDrop(watching),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.login.address())
    }
}
