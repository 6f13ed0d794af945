//! The store that several processes share: a Redis or Valkey server.
//!
//! Apart from the embedded store, whose file belongs to one process. Every command touches one key,
//! and what reads before it writes is a script on that key (`redis/script.rs`), so that a Cluster can take
//! the same commands. Commands go over one connection (`redis/link.rs`) and are never sent a second time by
//! themselves.
//!
//! What the users that it logs in as may do stands in `deploy/redis/users.acl`, one for who serves and one for who issues;
//! tests try both, and that they may do nothing else.
//!
//! With sentinels, which server that is changes (`redis/sentinel.rs`), and every connection goes with it.
//!
//! [`Store::watch`] tells of what anybody changes, as long as the [`Lease`] holds (`redis/watch.rs`).

mod breaker;
mod canary;
mod certificate;
mod failures;
mod fault;
mod link;
mod login;
mod place;
mod policy;
mod reply;
mod script;
mod sentinel;
mod settings;
mod watch;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use redis::{Pipeline, Value};
use tokio::task;

pub use self::canary::Lag;
pub use self::certificate::{ClientCertificate, Unfit};
use self::link::Link;
pub use self::login::{Login, NextLogin};
use self::policy::{Evictions, Policy};
use self::script::{Call, Scripts};
pub use self::settings::Settings;
pub use self::watch::Watched;
use self::watch::Watcher;
use crate::store::lease::Lease;
use crate::store::{
    Change, Cursor, DeleteIf, Page, PutIf, Replicas, Sink, Sinks, Store, StoreError, check_key,
    check_prefix, check_value, not_a_counter, ttl_milliseconds,
};

/// How many keys one call of `scan` asks the server to look at; about a tenth of a millisecond.
const PAGE_KEYS: usize = 500;
/// How long a replica may take to confirm, in milliseconds.
const CONFIRMED_WITHIN: u64 = 400;
/// How long to wait for that, others who wait for the same included.
const CONFIRMED_ALL: Duration = Duration::from_millis(1000);
/// How long what is written to be confirmed lives, in milliseconds.
const CONFIRMED_TTL: u64 = 1000;

/// A store in a Redis or Valkey server. Lifetimes go by the server's clock.
pub struct Redis {
    link: Arc<Link>,
    login: Login,
    /// Where replicas are waited for, since nothing is answered on a connection meanwhile.
    aside: OnceLock<Link>,
    scripts: Scripts,
    sinks: Arc<Sinks>,
    lease: Lease,
    evictions: Evictions,
    /// These end with the store.
    _asking: Option<AbortOnDrop>,
    _watching: Option<AbortOnDrop>,
}

impl Redis {
    /// Begins to connect, and goes on in the background until the store is dropped; what is asked
    /// meanwhile fails. [`Store::was_reached`] tells when it has come to that.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the settings cannot be right, whatever the server.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, on which the connection then lives.
    pub fn new(settings: Settings) -> Result<Self, StoreError> {
        let (timeout, watched) = (settings.timeout, settings.watched.clone());
        let login = Login::first(NextLogin::new(settings)?);
        let link = Arc::new(Link::new(login.clone(), timeout));
        let sinks = Arc::<Sinks>::default();
        let lease = Lease::ended("the store was not reached yet");
        let evictions = Evictions::default();
        let watching = watched.map(|watched| {
            let (sinks, lease) = (Arc::clone(&sinks), lease.clone());
            let policy = Policy::new(evictions.clone());
            let watcher = Watcher::new(login.clone(), watched, sinks, lease, Arc::clone(&link));
            AbortOnDrop(tokio::spawn(async move {
                watcher.run(policy).await;
            }))
        });
        let asking = login.sentinels().map(|sentinels| {
            AbortOnDrop(tokio::spawn(async move {
                sentinels.run().await;
            }))
        });
        Ok(Self {
            link,
            login,
            aside: OnceLock::new(),
            scripts: Scripts::new(),
            sinks,
            lease,
            evictions,
            _asking: asking,
            _watching: watching,
        })
    }

    /// Gives how the server is logged in to, for whoever changes that.
    #[must_use]
    pub fn login(&self) -> Login {
        self.login.clone()
    }

    /// Makes a change to the end, even if the caller has gone, and reports it.
    async fn change(&self, key: &str, call: Call) -> Result<bool, StoreError> {
        let (link, sinks) = (Arc::clone(&self.link), Arc::clone(&self.sinks));
        let key = key.to_owned();
        let made = async move {
            let answer = call.make(&link).await;
            let done = answer.and_then(|answer| reply::done(&key, answer));
            // A change that was not confirmed may have been made, so it is reported as well.
            if done != Ok(false) {
                sinks.report(Change::Key(&key));
            }
            done
        };
        task::spawn(made).await.unwrap_or_else(|stopped| {
            Err(StoreError::Unavailable(format!(
                "a write was cut off ({stopped})"
            )))
        })
    }
}

/// A task that ends with whoever began it.
struct AbortOnDrop(task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Store for Redis {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        Box::pin(async move {
            keys.iter().try_for_each(|key| check_key(key))?;
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            // Not MGET, which a Cluster refuses for keys that live apart, and which takes a key of
            // another type for an absent one.
            let mut gets = Pipeline::with_capacity(keys.len());
            for key in keys {
                gets.cmd("GET").arg(key);
            }
            let answers = self.link.ask(&gets).await?;
            let values = keys.iter().zip(answers);
            values.map(|(key, it)| reply::value(key, it)).collect()
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            check_value(value)?;
            let ttl = ttl.map(ttl_milliseconds).transpose()?;
            let call = match condition {
                PutIf::Absent => Call::set(key, value, ttl).arg("NX"),
                PutIf::Always => Call::set(key, value, ttl),
                PutIf::Equal(old) => {
                    let call = self.scripts.replace.call(key).arg(old).arg(value);
                    ttl.into_iter().fold(call, Call::arg)
                }
            };
            self.change(key, call).await
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            let call = match condition {
                DeleteIf::Always => Call::command("DEL").arg(key),
                DeleteIf::Equal(old) => self.scripts.remove.call(key).arg(old),
            };
            self.change(key, call).await
        })
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            let ttl = ttl_milliseconds(ttl)?;
            let call = Call::command("PEXPIRE").arg(key).arg(ttl);
            reply::done(key, call.make(&self.link).await?)
        })
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            let ttl = ttl_milliseconds(ttl)?;
            let call = self.scripts.add.call(key).arg(amount).arg(ttl);
            let sum = reply::sum(key, call.make(&self.link).await?)?;
            sum.ok_or_else(|| not_a_counter(key))
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            let cursor = cursor.map_or_else(|| "0".to_owned(), |Cursor(place)| place);
            let call = Call::command("SCAN").arg(cursor);
            let call = call.arg("MATCH").arg(pattern(prefix));
            let call = call.arg("COUNT").arg(PAGE_KEYS);
            reply::page(call.make(&self.link).await?)
        })
    }

    fn confirm<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Replicas, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
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
        })
    }

    fn watch(&self, sink: Sink) {
        self.sinks.add(sink);
    }

    fn lease(&self) -> Lease {
        self.lease.clone()
    }

    fn evicts(&self) -> Option<String> {
        self.evictions.trouble()
    }

    fn was_reached(&self) -> bool {
        self.link.was_reached()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.login.address())
            .finish_non_exhaustive()
    }
}

/// Gives the pattern that matches what begins with `prefix`, in which no character of it means
/// anything but itself.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_the_prefix_literally() {
        for (prefix, want) in [
            ("", "*"),
            ("pc:u:", "pc:u:*"),
            ("a*b?", r"a\*b\?*"),
            ("[^a-z]", r"\[^a-z\]*"),
            (r"\", r"\\*"),
            ("\u{e4}", "\u{e4}*"),
        ] {
            assert_eq!(pattern(prefix), want, "{prefix}");
        }
    }
}
