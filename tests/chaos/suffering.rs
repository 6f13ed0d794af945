//! Has the store suffer what is planned, and puts all right again.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisError, Value, pipe};
use tokio::sync::RwLock;
use tokio::task::block_in_place;
use tokio::time::{sleep, sleep_until};

use super::emptied::{kept, restore};
use super::estate::{Estate, PASSWORD, USER, Ways};
use super::history::Trouble;
use super::plan::{Fault, Planned};
use super::stalls::Whom;
use super::telling::{ask, tell};
use crate::support::proxy::Way;
use crate::support::redis::RedisServer;

/// Within what an operation may take, 50 ms, and without.
const SLOW: Duration = Duration::from_millis(15);
const TOO_SLOW: Duration = Duration::from_millis(120);

/// How often what is killed again and again is.
const AGAIN: Duration = Duration::from_millis(100);

/// How long it may take to have something happen, or put right.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who suffers.
#[derive(Debug)]
pub(crate) struct Sufferer {
    pub(crate) estate: Estate,
    pub(crate) begun: Instant,
    /// Held by whoever writes; nobody writes into a store that is emptied and restored.
    pub(crate) writing: Arc<RwLock<()>>,
    /// Who is looked at for stalls, but for the servers, and who with them.
    pub(crate) ours: Vec<(u32, Option<usize>)>,
    pub(crate) whom: Whom,
}

/// Has a way be so while that is planned.
pub(crate) async fn suffer_on_way(ways: &[Ways], planned: &Planned, begun: Instant) {
    let way = match planned.fault {
        Fault::Slow => Way::Slow(SLOW),
        Fault::TooSlow => Way::Slow(TOO_SLOW),
        Fault::Cut => Way::Cut,
        Fault::Hole => Way::Hole,
        Fault::Deaf => Way::Deaf,
        Fault::HalfClosed => Way::HalfClosed,
        other => unreachable!("{other} is none of a way"),
    };
    let both = planned.choice.is_multiple_of(2);
    let meant = || {
        let all = ways.iter().enumerate();
        all.filter(|(process, _)| planned.process.is_none_or(|it| it == *process))
    };
    meant().for_each(|(_, it)| it.set(way, both));
    sleep_until((begun + planned.end).into()).await;
    meant().for_each(|(_, it)| it.set(Way::Open, both));
}

impl Sufferer {
    /// Has a server suffer this until it is planned to end, and gives what it was.
    ///
    /// # Panics
    /// Where it cannot be put right again.
    pub(crate) async fn suffer(&mut self, planned: &Planned) -> Trouble {
        let begin = self.begun.elapsed();
        let number = self.victim(planned).await;
        let end = self.begun + planned.end;
        let done = self.suffer_at(number, planned.fault, end).await;
        done.unwrap_or_else(|error| panic!("{planned:?}: {error}"));
        self.estate.await_whole().await;
        self.look_at_all();
        Trouble {
            fault: planned.fault,
            begin,
            end: self.begun.elapsed(),
            process: None,
        }
    }

    /// Has the servers that run now be looked at for stalls.
    pub(crate) fn look_at_all(&self) {
        let servers = self.estate.nodes().map(|it| (it.id(), None));
        let all = servers.chain(self.ours.iter().copied()).collect();
        *self.whom.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    async fn victim(&self, planned: &Planned) -> usize {
        let primaries = self.estate.primaries().await;
        let count = u64::try_from(primaries.len()).expect("few").max(1);
        let chosen = usize::try_from(planned.choice % count).expect("few");
        primaries.get(chosen).copied().unwrap_or_default()
    }

    async fn suffer_at(
        &mut self,
        number: usize,
        fault: Fault,
        end: Instant,
    ) -> Result<(), RedisError> {
        let node = self.estate.node(number);
        match fault {
            Fault::Frozen => {
                node.pause();
                sleep_until(end.into()).await;
                node.resume();
                Ok(())
            }
            Fault::Killed => killed(node, end).await,
            Fault::KilledTracking => killed_tracking(node, end).await,
            Fault::Paused => paused(node, end, "ALL").await,
            Fault::PausedWrites => paused(node, end, "WRITE").await,
            Fault::Restarted | Fault::Crashed | Fault::Lost => {
                self.ended(number, fault, end).await;
                Ok(())
            }
            Fault::Emptied | Fault::RestartedEmpty => self.emptied(number, fault, end).await,
            Fault::WrongPassword => {
                let wrong = format!("ACL SETUSER {USER} resetpass >another");
                let kill = format!("CLIENT KILL USER {USER}");
                let right = format!("ACL SETUSER {USER} resetpass >{PASSWORD}");
                self.on_all(end, &[&wrong, &kill], &right).await
            }
            Fault::NoRights => {
                let [wrong, right] =
                    ['-', '+'].map(|it| format!("ACL SETUSER {USER} {it}get {it}client|tracking"));
                self.on_all(end, &[&wrong], &right).await
            }
            Fault::ReadOnly => {
                // Nobody listens there, so it keeps what it has.
                let words = ["REPLICAOF 127.0.0.1 1"];
                during(node, end, &words, "REPLICAOF NO ONE").await
            }
            Fault::Full => {
                let words = ["CONFIG SET maxmemory 1"];
                self.on_all(end, &words, "CONFIG SET maxmemory 0").await
            }
            Fault::Crowded => crowded(node, end).await,
            Fault::FailedOver => self.estate.fail_over(number).await,
            Fault::Slow
            | Fault::TooSlow
            | Fault::Cut
            | Fault::Hole
            | Fault::Deaf
            | Fault::HalfClosed => unreachable!("{fault} is of a way"),
        }
    }

    /// Ends a server, and starts it again with all that it had.
    async fn ended(&mut self, number: usize, fault: Fault, end: Instant) {
        let node = self.estate.node_mut(number);
        match fault {
            Fault::Restarted => block_in_place(|| node.stop()),
            _ => node.kill(),
        }
        sleep_until(end.into()).await;
        if fault == Fault::Lost {
            self.estate.await_takeover(number).await;
        }
        let node = self.estate.node_mut(number);
        block_in_place(|| node.restart());
    }

    /// Says words to every server, and at the end those that undo them.
    async fn on_all(&self, end: Instant, words: &[&str], undo: &str) -> Result<(), RedisError> {
        for node in self.estate.nodes() {
            say(node, words).await?;
        }
        sleep_until(end.into()).await;
        for node in self.estate.nodes() {
            say(node, &[undo]).await?;
        }
        Ok(())
    }

    /// Has a server lose all that is in it, and puts it where it belongs by then.
    async fn emptied(
        &mut self,
        number: usize,
        fault: Fault,
        end: Instant,
    ) -> Result<(), RedisError> {
        let nobody_writes = Arc::clone(&self.writing).write_owned().await;
        let node = self.estate.node_mut(number);
        let kept = kept(node).await?;
        say(node, &["FLUSHALL"]).await?;
        if fault == Fault::RestartedEmpty {
            block_in_place(|| node.restart());
        }
        sleep_until(end.into()).await;
        restore(&self.estate, &kept).await?;
        drop(nobody_writes);
        Ok(())
    }
}

/// Says words, again where a busy machine is late.
async fn say(node: &RedisServer, words: &[&str]) -> Result<(), RedisError> {
    for it in words {
        let begun = Instant::now();
        loop {
            match tell::<Value>(node, it).await {
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(AGAIN).await,
                Ok(_) => break,
            }
        }
    }
    Ok(())
}

/// Says words, and at the end those that undo them.
async fn during(
    node: &RedisServer,
    end: Instant,
    words: &[&str],
    undo: &str,
) -> Result<(), RedisError> {
    say(node, words).await?;
    sleep_until(end.into()).await;
    say(node, &[undo]).await
}

/// Ends all connections again and again.
async fn killed(node: &RedisServer, end: Instant) -> Result<(), RedisError> {
    while Instant::now() < end {
        say(node, &["CLIENT KILL TYPE normal SKIPME yes"]).await?;
        sleep(AGAIN).await;
    }
    Ok(())
}

/// Ends those alone that tell of changes.
async fn killed_tracking(node: &RedisServer, end: Instant) -> Result<(), RedisError> {
    while Instant::now() < end {
        let clients: String = tell(node, "CLIENT LIST").await?;
        let tracks = |line: &&str| {
            let mut words = line.split(' ');
            words.any(|it| it.starts_with("flags=") && it.contains('t'))
        };
        for line in clients.lines().filter(tracks) {
            let id = line.split(' ').next().unwrap_or_default();
            let id = id.replace("id=", "CLIENT KILL ID ");
            say(node, &[&id]).await?;
        }
        sleep(AGAIN).await;
    }
    Ok(())
}

/// It ends by itself: whoever would end it is held up as well.
async fn paused(node: &RedisServer, end: Instant, what: &str) -> Result<(), RedisError> {
    let left = end.saturating_duration_since(Instant::now()).as_millis();
    say(node, &[&format!("CLIENT PAUSE {left} {what}")]).await?;
    sleep_until(end.into()).await;
    Ok(())
}

/// Whoever is there is sent away, and nobody comes in, so one who is there already has to undo it.
async fn crowded(node: &RedisServer, end: Instant) -> Result<(), RedisError> {
    ask(node, async |mut connection| {
        let mut both = pipe();
        both.cmd("CONFIG").arg("SET").arg("maxclients").arg(1);
        both.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal");
        both.arg("SKIPME").arg("yes");
        both.query_async::<()>(&mut connection).await?;
        sleep_until(end.into()).await;
        let mut undo = redis::cmd("CONFIG");
        undo.arg("SET").arg("maxclients").arg(10_000);
        undo.query_async(&mut connection).await
    })
    .await
}
