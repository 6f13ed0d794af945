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
//! In a cluster each key has its server, and all are followed (`redis/cluster.rs`).
//!
//! [`Store::watch`] tells of what anybody changes, as long as the [`Lease`] holds (`redis/watch.rs`).

mod batch;
mod breaker;
mod canary;
mod certificate;
mod cluster;
mod failures;
mod fault;
mod guard;
mod link;
mod login;
mod node;
mod place;
mod policy;
mod reply;
mod script;
mod sentinel;
mod servers;
mod settings;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use tokio::task;

pub use self::canary::Lag;
pub use self::certificate::ClientCertificate;
use self::cluster::Cluster;
pub use self::login::{Login, NextLogin};
use self::node::{AbortOnDrop, Follow, Node};
use self::policy::Evictions;
use self::script::{Call, Scripts};
use self::servers::Servers;
pub use self::settings::Settings;
pub use self::watch::Watched;
use crate::store::lease::Lease;
use crate::store::{
    Change, Cursor, DeleteIf, Page, PutIf, Replicas, Sink, Sinks, Store, StoreError, check_key,
    check_prefix, check_value, not_a_counter, ttl_milliseconds,
};

/// How many keys one call of `scan` asks the server to look at; about a tenth of a millisecond.
const PAGE_KEYS: usize = 500;
/// A store in a Redis or Valkey server, or in a cluster of them. Lifetimes go by the server's clock.
pub struct Redis {
    servers: Servers,
    login: Login,
    scripts: Scripts,
    sinks: Arc<Sinks>,
    lease: Lease,
    evictions: Evictions,
    /// Ends with the store.
    _asking: Option<AbortOnDrop>,
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
        let (seeds, by_name) = (settings.seeds()?, settings.is_encrypted());
        let login = Login::first(NextLogin::new(settings)?);
        let sinks = Arc::<Sinks>::default();
        let evictions = Evictions::default();
        let process = format!("{:016x}", getrandom::u64().unwrap_or_default());
        let (servers, lease) = if let Some(seeds) = seeds {
            let cluster = Cluster::new(cluster::Parts {
                login: login.clone(),
                seeds,
                by_name,
                timeout,
                watched,
                sinks: Arc::clone(&sinks),
                evictions: evictions.clone(),
                process,
            });
            let lease = cluster.lease();
            (Servers::Many(cluster), lease)
        } else {
            let lease = Lease::ended("the store was not reached yet");
            let follow = watched.map(|watched| Follow {
                watched,
                process,
                sinks: Arc::clone(&sinks),
                evictions: evictions.clone(),
                lease: lease.clone(),
                heed: None,
            });
            let node = Node::new(login.clone(), timeout, follow);
            (Servers::One(Arc::new(node)), lease)
        };
        let asking = login.sentinels().map(|sentinels| {
            AbortOnDrop(tokio::spawn(async move {
                sentinels.run().await;
            }))
        });
        Ok(Self {
            servers,
            login,
            scripts: Scripts::new(),
            sinks,
            lease,
            evictions,
            _asking: asking,
        })
    }

    /// Gives how the server is logged in to, for whoever changes that.
    #[must_use]
    pub fn login(&self) -> Login {
        self.login.clone()
    }

    /// Makes a change to the end, even if the caller has gone, and reports it.
    async fn change(&self, key: &str, call: Call) -> Result<bool, StoreError> {
        let (servers, sinks) = (self.servers.clone(), Arc::clone(&self.sinks));
        let key = key.to_owned();
        let made = async move {
            let answer = servers.make(&key, &call).await;
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
            self.servers.get(keys).await
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

    fn put_all<'a>(
        &'a self,
        values: &'a [(String, Bytes)],
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            for (key, value) in values {
                check_key(key)?;
                check_value(value)?;
            }
            if values.is_empty() {
                return Ok(());
            }
            let ttl = ttl.map(ttl_milliseconds).transpose()?;
            self.servers.set_all(values, ttl).await
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
            reply::done(key, self.servers.make(key, &call).await?)
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
            let sum = reply::sum(key, self.servers.make(key, &call).await?)?;
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
            self.servers.scan(prefix, cursor).await
        })
    }

    fn confirm<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Replicas, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            self.servers.confirm(key).await
        })
    }

    fn places(&self) -> Vec<String> {
        self.servers.places()
    }

    fn share(&self, key: &str) -> &'static str {
        self.servers.share(key)
    }

    fn shares(&self) -> Vec<&'static str> {
        self.servers.shares()
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

    fn lacks(&self) -> Option<String> {
        self.login.sentinels()?.trouble()
    }

    fn was_reached(&self) -> bool {
        self.servers.was_reached()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.servers.address())
            .finish_non_exhaustive()
    }
}

/// Begins a call that lists a part of the keys on one server.
fn listing(prefix: &str, cursor: &str) -> Call {
    let call = Call::command("SCAN").arg(cursor);
    let call = call.arg("MATCH").arg(pattern(prefix));
    call.arg("COUNT").arg(PAGE_KEYS)
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
