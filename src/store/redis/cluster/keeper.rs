//! Who is asked where nobody has said lately who has which slots: the servers that the URL names.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::sync::Notify;
use tokio::time;

use super::Cluster;
use super::view::{Place, View};
use crate::store::StoreError;
use crate::store::redis::{fault, link};

/// How long a server that the URL names may take to say who has which slots.
const SEED_PATIENCE: Duration = Duration::from_secs(1);
/// How long nobody may have said that until one that the URL names is asked again.
const UNHEARD: Duration = Duration::from_secs(2);
/// How long at least between two times that they are asked.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest first pause after a time that none answered, and the longest of all.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why a server does not say who has which slots, or why none does.
struct Unknown {
    why: StoreError,
    /// Whether the server does not know us.
    is_refusal: bool,
}

/// Has those asked that the URL names, as long as nobody else says who has which slots and whenever a server fails.
/// Each cause is logged once until it is known again.
pub(super) async fn keep(cluster: Weak<Cluster>, wake: Arc<Notify>) {
    let (mut failures, mut told, mut is_woken) = (0_u32, None, false);
    loop {
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        let mut pause = PAUSE;
        if is_woken || cluster.is_unheard() {
            match cluster.ask_seeds().await {
                Ok(()) => (failures, told) = (0, None),
                Err(Unknown { why, is_refusal }) => {
                    if told.as_ref() != Some(&why) {
                        tracing::error!("{why}; trying again in the background");
                        told = Some(why.clone());
                    }
                    cluster.status.send_modify(|it| it.trouble = Some(why));
                    let pauses = if is_refusal {
                        link::PAUSES_REFUSED
                    } else {
                        PAUSES
                    };
                    pause = PAUSE.max(link::pause_after(failures, pauses));
                    failures = failures.saturating_add(1);
                }
            }
        }
        drop(cluster);
        time::sleep(pause).await;
        is_woken = time::timeout(UNHEARD / 2, wake.notified()).await.is_ok();
    }
}

impl Cluster {
    /// Asks those that the URL names, one after the other until one says who has which slots. Another is the first each time,
    /// since one may be cut off from the rest and not know.
    async fn ask_seeds(&self) -> Result<(), Unknown> {
        let seeds = &self.parts.seeds;
        let first = self.next.fetch_add(1, Ordering::Relaxed) % seeds.len().max(1);
        let mut unknown = Vec::with_capacity(seeds.len());
        for seed in seeds.iter().cycle().skip(first).take(seeds.len()) {
            match self.ask_seed(seed).await {
                Ok(()) => return Ok(()),
                Err(it) => unknown.push(it),
            }
        }
        Err(together(unknown))
    }

    async fn ask_seed(&self, (host, port): &(String, u16)) -> Result<(), Unknown> {
        let place = Place {
            host: host.clone(),
            port: *port,
        };
        let address = place.to_string();
        let login = self.parts.login.at(host, *port);
        let asked = async {
            let mut connection = link::connect(&login, |_| {}).await.connected?;
            let mut nodes = cmd("CLUSTER");
            nodes.arg("NODES");
            nodes.query_async::<Value>(&mut connection).await
        };
        let unknown = |why: &str| Unknown {
            why: StoreError::Unavailable(format!("{address}: {why}")),
            is_refusal: false,
        };
        let asked = time::timeout(SEED_PATIENCE, asked).await;
        let answer = asked.map_err(|_| unknown("no answer in time"))?;
        let answer = answer.map_err(|it| match it.code() {
            Some("ERR") => {
                unknown("it does not belong to a cluster; a server of its own is `redis://…`")
            }
            _ => Unknown {
                why: fault::of_connection(&address, &it),
                is_refusal: fault::is_refusal(&it),
            },
        })?;
        match View::read(&answer, &place) {
            Some(view) if view.has_slots() => {
                self.heed(&place, &answer);
                Ok(())
            }
            Some(_) => Err(unknown("it has not joined its cluster")),
            None => Err(unknown("it does not tell of its cluster")),
        }
    }

    fn is_unheard(&self) -> bool {
        self.views().heard().is_none_or(|it| it.elapsed() > UNHEARD)
    }
}

/// Says why none of them says it, in the same words whoever was asked first.
fn together(unknown: Vec<Unknown>) -> Unknown {
    let is_refusal = unknown.iter().all(|it| it.is_refusal);
    let words = unknown.into_iter().map(|it| match it.why {
        StoreError::Unavailable(why) => why,
        other => other.to_string(),
    });
    let mut words: Vec<_> = words.collect();
    words.sort();
    Unknown {
        why: StoreError::Unavailable(words.join("; ")),
        is_refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_nobody_tells_is_one_and_the_same_cause_whoever_was_asked_first() {
        let unknown = |why: &str, is_refusal| Unknown {
            why: StoreError::Unavailable(why.to_owned()),
            is_refusal,
        };
        for (one, other, want) in [(true, true, true), (true, false, false)] {
            let (a, b) = (|| unknown("a: refused", one), || unknown("b: late", other));
            for all in [vec![a(), b()], vec![b(), a()]] {
                let all = together(all);
                let why = StoreError::Unavailable("a: refused; b: late".to_owned());
                assert_eq!((all.why, all.is_refusal), (why, want));
            }
        }
    }
}
