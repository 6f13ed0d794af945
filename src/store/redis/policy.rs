//! Whether a server deletes records when it is full, and whoever runs it does not know.
//!
//! Nothing fails then, and nobody is told: a revocation that was deleted lets in whom it kept out. So the server is asked
//! for its policy on every connection that word of changes comes on, and once in a while, since it may be set at any time.
//! Records that end by themselves are no better off under `volatile-…`: revocations are among them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::time;

/// How often it is asked, in heartbeats of the watch: once a minute.
const EVERY: u64 = 300;
/// How long the answer may take; who waits for it asks for nothing else meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is wrong with the policies of all servers, by their addresses. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Evictions(Arc<Mutex<BTreeMap<String, String>>>);

/// What is known of the policy of one. It is forgotten with this value.
pub(super) struct Policy {
    address: String,
    all: Evictions,
    /// Whether the server did not tell on this connection.
    is_refused: bool,
    /// Whether that was logged.
    is_refusal_told: bool,
}

impl Evictions {
    /// Says which servers evict, in words for operators; `None` where none is known to.
    pub(super) fn trouble(&self) -> Option<String> {
        let all = self.lock();
        let all: Vec<_> = all.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policy {
    pub(super) fn new(all: Evictions) -> Self {
        Self {
            address: String::new(),
            all,
            is_refused: false,
            is_refusal_told: false,
        }
    }

    /// Begins with a connection to the server at this address: another one than before where it was replaced.
    pub(super) async fn begin(&mut self, address: &str, connection: &mut MultiplexedConnection) {
        self.stand_at(address);
        self.look(connection, 0).await;
    }

    fn stand_at(&mut self, address: &str) {
        if self.address != address {
            self.all.lock().remove(&self.address);
            address.clone_into(&mut self.address);
        }
    }

    /// Asks the server where this heartbeat of a connection, from 0 on, is one for that, and logs what has changed.
    pub(super) async fn look(&mut self, connection: &mut MultiplexedConnection, beat: u64) {
        self.is_refused &= beat > 0;
        if self.is_refused || !beat.is_multiple_of(EVERY) {
            return;
        }
        let mut info = cmd("INFO");
        let info = info.arg("memory").query_async::<String>(connection);
        match time::timeout(PATIENCE, info).await {
            Ok(Ok(info)) => self.note(evicting(&info)),
            Ok(Err(error)) if error.code() == Some("NOPERM") => {
                if !self.is_refusal_told {
                    tracing::info!(
                        address = self.address,
                        "whether the store evicts records is not known: its access rules forbid INFO (`+info`)"
                    );
                }
                (self.is_refused, self.is_refusal_told) = (true, true);
            }
            // Whoever watches over the connection will notice, if it is more than that.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    fn note(&self, trouble: Option<String>) {
        let trouble = trouble.map(|it| format!("{}: {it}", self.address));
        let mut all = self.all.lock();
        let before = match &trouble {
            Some(trouble) => all.insert(self.address.clone(), trouble.clone()),
            None => all.remove(&self.address),
        };
        drop(all);
        match trouble {
            Some(trouble) if before.as_ref() != Some(&trouble) => tracing::warn!("{trouble}"),
            None if before.is_some() => {
                tracing::info!(
                    address = self.address,
                    "the store evicts no records any more"
                );
            }
            Some(_) | None => {}
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        self.all.lock().remove(&self.address);
    }
}

/// Says what may happen, from the answer to INFO MEMORY; `None` where nothing is evicted. Without a limit nothing is,
/// whatever the policy.
fn evicting(info: &str) -> Option<String> {
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|it| it.strip_prefix(name)?.strip_prefix(':'))
    };
    let policy = field("maxmemory_policy").filter(|it| *it != "noeviction")?;
    if field("maxmemory") == Some("0") {
        return None;
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    let policy = match policy {
        it if it.len() <= 32 && it.bytes().all(is_word) => it,
        _ => "not `noeviction`",
    };
    Some(format!(
        "its maxmemory-policy is {policy}: when it is full it deletes records and tells nobody, so that who was \
         revoked may be let in again and who is known may be unknown; set `maxmemory-policy noeviction`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(limit: &str, policy: &str) -> String {
        format!(
            "# Memory\r\nused_memory:1\r\nmaxmemory:{limit}\r\nmaxmemory_human:1B\r\nmaxmemory_policy:{policy}\r\n"
        )
    }

    #[test]
    fn it_evicts_under_every_other_policy_where_there_is_a_limit() {
        for (limit, policy, want) in [
            ("1048576", "noeviction", None),
            ("1048576", "allkeys-lru", Some("policy is allkeys-lru:")),
            ("1048576", "volatile-ttl", Some("policy is volatile-ttl:")),
            ("1", "N\u{1b}[0m", Some("policy is not `noeviction`:")),
            ("0", "allkeys-lru", None),
        ] {
            let found = evicting(&info(limit, policy));
            match want {
                Some(want) => assert!(
                    found.as_ref().is_some_and(|it| it.contains(want)),
                    "{found:?}"
                ),
                None => assert_eq!(found, None, "{limit} {policy}"),
            }
        }
        assert_eq!(evicting("# Memory\r\n"), None, "not told");
        assert!(
            evicting("maxmemory_policy:allkeys-lfu").is_some(),
            "no limit told"
        );
    }

    #[test]
    fn each_server_is_told_of_until_it_evicts_no_more_or_is_left() {
        let all = Evictions::default();
        let [one, other] = ["one:1", "other:2"].map(|it| {
            let mut policy = Policy::new(all.clone());
            policy.stand_at(it);
            policy
        });
        assert_eq!(all.trouble(), None);
        one.note(Some("lru".to_owned()));
        other.note(Some("lfu".to_owned()));
        assert_eq!(all.trouble().as_deref(), Some("one:1: lru; other:2: lfu"));
        one.note(None);
        assert_eq!(all.trouble().as_deref(), Some("other:2: lfu"));
        drop(other);
        assert_eq!(all.trouble(), None);
    }
}
