//! How far a change has come: to the processes that remember what was before, and to a replica.
//!
//! Whoever has changed something calls all processes that are told of changes, by a key behind it, and reads in the
//! canary of each that it has heard; the canary tells of a process in the first place. Word comes in order from one server
//! and in none from several, so in a cluster all of this is so on each server, and who has heard has heard on all. Apart from
//! changing, which waits for nobody.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::decision::{Dependency, Fault};
use crate::directory::{Directory, store_fault};
use crate::store::{PutIf, Replicas};

/// What the name of a process's canary begins with. It holds the calls that the process has heard.
pub const CANARIES: &str = "pcw:";

/// What the name of a call begins with. Within what is told of, and of no other use.
pub const CALLS: &str = "pc:n:";

/// What is written so that replicas confirm it, and all before it.
const CONFIRMED: &str = "pcu:w";

/// How long a call can be heard.
const CALL_TTL: Duration = Duration::from_secs(10);

/// The first pause before canaries are read again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// Who has heard of a change, and so of all before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    /// How many processes live and are told of changes.
    pub processes: usize,
    /// How many of them have heard, and remember nothing that it made untrue.
    pub heard: usize,
    /// How long until it was known of the last of these.
    pub took: Duration,
}

impl Directory {
    /// Calls every process that is told of changes, and waits until all have heard or `patience` is over. A process
    /// that is not told of changes, or has ended meanwhile, is not counted.
    ///
    /// # Errors
    /// A fault where the call cannot be made, or canaries not be read.
    pub async fn await_heard(&self, patience: Duration) -> Result<Heard, Fault> {
        let mut unheard = self.processes().await?;
        let places = self.store().places();
        if places.is_empty() {
            return Err(Fault::new(Dependency::Store, "where to call is not known"));
        }
        let name = getrandom::u64()
            .map_err(|it| Fault::new(Dependency::Internal, format!("no randomness: {it}")))?;
        let calls: Vec<_> = places.iter().map(|it| format!("{name:016x}{it}")).collect();
        let begun = Instant::now();
        let made = calls.iter().map(async |call| {
            let key = format!("{CALLS}{call}");
            let put = self.store().put(&key, b"", PutIf::Always, Some(CALL_TTL));
            put.await.map(drop).map_err(store_fault)
        });
        let made: Result<(), _> = join_all(made).await.into_iter().collect();
        made?;
        let (mut heard, mut took, mut pause) = (0, Duration::ZERO, PAUSES.0);
        loop {
            let keys = unheard
                .iter()
                .flat_map(|process| places.iter().map(move |it| format!("{process}{it}")));
            let values = self.values(&keys.collect::<Vec<_>>()).await?;
            let mut still = Vec::new();
            for (process, values) in unheard.into_iter().zip(values.chunks(places.len())) {
                if values.iter().all(Option::is_none) {
                    // Its process has ended, and long since remembers nothing that counts.
                    continue;
                }
                let mut told = values.iter().zip(&calls);
                if told.all(|(canary, call)| canary.as_deref().is_some_and(|it| tells(it, call))) {
                    heard += 1;
                    took = begun.elapsed();
                } else {
                    still.push(process);
                }
            }
            unheard = still;
            if unheard.is_empty() || begun.elapsed() >= patience {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(Heard {
            processes: heard + unheard.len(),
            heard,
            took,
        })
    }

    /// Waits a moment until a replica of the store, where it has one, has all that was changed before.
    ///
    /// # Errors
    /// A fault where that cannot be asked.
    pub async fn confirm(&self) -> Result<Replicas, Fault> {
        self.store().confirm(CONFIRMED).await.map_err(store_fault)
    }

    /// The same for who has nobody to tell: logs where no replica has it, or that is not known.
    pub async fn confirm_or_log(&self) {
        match self.confirm().await {
            Ok(it) if it.connected > 0 && it.confirmed == 0 => tracing::warn!(
                replicas = it.connected,
                "no replica of the store has confirmed a revocation, which is lost if its primary fails now"
            ),
            Ok(_) => {}
            Err(fault) => {
                tracing::warn!("whether a replica has a revocation is not known: {fault}")
            }
        }
    }

    /// Gives what the names of the canaries of each process begin with: all of them, but for the places.
    async fn processes(&self) -> Result<Vec<String>, Fault> {
        // Who may not read canaries finds none, since nobody with the same rights has one.
        self.value(CANARIES).await?;
        let mut processes = BTreeSet::new();
        let mut cursor = None;
        loop {
            let page = self.store().scan(CANARIES, cursor).await;
            let page = page.map_err(store_fault)?;
            let processes_of = page.keys.iter().filter_map(|it| it.split('{').next());
            processes.extend(processes_of.map(str::to_owned));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(processes.into_iter().collect());
            }
        }
    }
}

/// Tells whether a canary that holds this tells of a call.
fn tells(canary: &[u8], call: &str) -> bool {
    let mut calls = canary.split(|it| *it == b' ');
    calls.any(|it| it == call.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::Bench;

    #[tokio::test]
    async fn whoever_has_not_heard_is_counted_unless_it_has_ended() {
        let directory = Bench::new().directory;
        let store = directory.store();
        let none = directory.await_heard(Duration::ZERO).await.unwrap();
        assert_eq!((none.processes, none.heard), (0, 0));

        for name in ["pcw:deaf", "pcw:ends", "pcw:hears"] {
            let put = store.put(name, b"0123456789abcdef", PutIf::Always, None);
            assert!(put.await.unwrap());
        }
        let (sender, mut calls) = tokio::sync::mpsc::unbounded_channel();
        store.watch(std::sync::Arc::new(move |change| {
            if let crate::store::Change::Key(key) = change {
                let _ = sender.send(key.strip_prefix(CALLS).map(str::to_owned));
            }
        }));
        let process = async {
            let call = calls
                .recv()
                .await
                .unwrap()
                .expect("a call and nothing else");
            // Among others, and not where it is only a part of one.
            for (name, calls) in [
                ("pcw:deaf", format!("{call}0 0{call}")),
                ("pcw:hears", format!("0123456789abcdef {call}")),
            ] {
                let put = store.put(name, calls.as_bytes(), PutIf::Always, None);
                assert!(put.await.unwrap());
            }
            let ended = store.delete("pcw:ends", crate::store::DeleteIf::Always);
            assert!(ended.await.unwrap());
        };
        let patience = Duration::from_millis(100);
        let (heard, ()) = tokio::join!(directory.await_heard(patience), process);
        let heard = heard.unwrap();
        assert_eq!((heard.processes, heard.heard), (2, 1));
        assert!(heard.took < patience, "{heard:?}");
    }
}
