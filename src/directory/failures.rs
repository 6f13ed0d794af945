//! Counters of failed attempts, as every process on the store shares them.
//!
//! A counter belongs to a block of client addresses, a target and a window of time. It is named by
//! the digest of the first two, so that the store tells neither, and by the window's end, so that
//! every process knows it without asking. Windows of different counters end at different times.
//! When to count and when to refuse is decided elsewhere.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decision::Fault;
use crate::directory::pepper::Digest;
use crate::directory::{Directory, store_fault};
use crate::store::{Cursor, DeleteIf};

/// Names one counter in the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counter {
    digest: Digest,
    window: u64,
    ends: u64,
    key: String,
}

/// A counter as it stands in the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted {
    /// What it is named by: nothing can be read from it.
    pub digest: String,
    /// Failed attempts.
    pub failures: u64,
    /// When it ends, in Unix seconds.
    pub ends: u64,
}

/// Which attempts are meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempts {
    /// Everybody's.
    All,
    /// Those of one client against one target.
    Of {
        /// Any address of the client's block; `None`: not known.
        address: Option<IpAddr>,
        /// What was tried.
        target: String,
    },
}

impl Counter {
    /// When its window ends, in Unix seconds.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.ends
    }
}

impl Directory {
    /// Names the counter for attempts from `address` against `target` at this time. A window is a
    /// second long at least.
    #[must_use]
    pub fn failure_counter(
        &self,
        platform: &str,
        address: Option<IpAddr>,
        target: &str,
        window: Duration,
    ) -> Counter {
        let block = address_block(address);
        let digest = self.0.peppers.digest(&counted(platform, &block, target));
        self.counter(platform, digest, window.as_secs().max(1))
    }

    /// Names the counter of the same client and target in the window that runs now.
    #[must_use]
    pub fn current_counter(&self, platform: &str, counter: &Counter) -> Counter {
        self.counter(platform, counter.digest.clone(), counter.window)
    }

    fn counter(&self, platform: &str, digest: Digest, window: u64) -> Counter {
        let now = self.clock().unix_seconds();
        let since_begin = (now + digest.number() % window) % window;
        let ends = (now - since_begin.min(now)).saturating_add(window);
        let key = format!("{}{digest}:{ends}", prefix(platform));
        Counter {
            digest,
            window,
            ends,
            key,
        }
    }

    /// Adds failed attempts, and gives the sum of every process.
    ///
    /// # Errors
    /// A fault when the store does not take them; they may count all the same.
    pub async fn add_failures(&self, counter: &Counter, count: u64) -> Result<u64, Fault> {
        let left = counter.ends.saturating_sub(self.clock().unix_seconds());
        let ttl = Duration::from_secs(left.max(1));
        let sum = self.store().add(&counter.key, count, ttl).await;
        sum.map_err(store_fault)
    }

    /// Gives the sums of counters, in their order; 0 where there is none (any more).
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn failures(&self, counters: &[Counter]) -> Result<Vec<u64>, Fault> {
        let keys: Vec<_> = counters.iter().map(|it| it.key.clone()).collect();
        let values = self.values(&keys).await?;
        Ok(values.iter().map(|it| number(it.as_deref())).collect())
    }

    /// Gives a page of a platform's counters, the first without a cursor; a counter may come twice.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn counted_failures(
        &self,
        platform: &str,
        cursor: Option<Cursor>,
    ) -> Result<(Vec<Counted>, Option<Cursor>), Fault> {
        let prefix = prefix(platform);
        let page = self.store().scan(&prefix, cursor).await;
        let page = page.map_err(store_fault)?;
        let values = self.values(&page.keys).await?;
        let counted = page.keys.iter().zip(values).filter_map(|(key, value)| {
            let (digest, ends) = key.strip_prefix(&prefix)?.split_once(':')?;
            Some(Counted {
                digest: digest.to_owned(),
                failures: number(Some(&value?)),
                ends: ends.parse().ok()?,
            })
        });
        Ok((counted.collect(), page.next))
    }

    /// Deletes counters, and tells how many there were.
    ///
    /// # Errors
    /// A fault when the store does not answer; some may be deleted.
    pub async fn lift_failures(&self, platform: &str, of: &Attempts) -> Result<usize, Fault> {
        let prefixes = match of {
            Attempts::All => vec![prefix(platform)],
            Attempts::Of { address, target } => {
                let block = address_block(*address);
                let digests = self.0.peppers.digests(&counted(platform, &block, target));
                let named = |it: &Digest| format!("{}{it}:", prefix(platform));
                digests.iter().map(named).collect()
            }
        };
        let mut gone = HashSet::new();
        for prefix in prefixes {
            let mut cursor = None;
            loop {
                let page = self.store().scan(&prefix, cursor).await;
                let page = page.map_err(store_fault)?;
                for key in page.keys {
                    let deleted = self.store().delete(&key, DeleteIf::Always).await;
                    if deleted.map_err(store_fault)? {
                        gone.insert(key);
                    }
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(gone.len())
    }
}

/// Gives the part of an address that one client is taken to have: the whole of IPv4, also where it
/// is written as IPv6, and the first 64 bits of IPv6, below which one subscriber numbers at will.
#[must_use]
pub fn address_block(address: Option<IpAddr>) -> Vec<u8> {
    match address.map(|it| it.to_canonical()) {
        None => Vec::new(),
        Some(IpAddr::V4(it)) => it.octets().to_vec(),
        Some(IpAddr::V6(it)) => it.octets()[..8].to_vec(),
    }
}

fn counted<'p>(platform: &'p str, block: &'p [u8], target: &'p str) -> [&'p [u8]; 4] {
    [platform.as_bytes(), b"failures", block, target.as_bytes()]
}

fn prefix(platform: &str) -> String {
    format!("pcu:f:{platform}:")
}

/// Reads a sum; what is no number counts as none.
fn number(value: Option<&[u8]>) -> u64 {
    let text = value.and_then(|it| std::str::from_utf8(it).ok());
    text.and_then(|it| it.parse().ok()).unwrap_or(0)
}
