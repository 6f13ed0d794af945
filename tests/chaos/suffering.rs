//! Has the store suffer what is planned, and puts all right again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{RedisError, Value, pipe};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::block_in_place;
use tokio::time::{sleep, sleep_until};

use super::history::Trouble;
use super::plan::{Fault, Planned};
use super::topology::{Estate, PASSWORD, USER, ask, tell};
use crate::support::proxy::{Proxy, Way};
use crate::support::redis::RedisServer;

/// Within what an operation may take, 50 ms, and without.
const SLOW: Duration = Duration::from_millis(15);
const TOO_SLOW: Duration = Duration::from_millis(120);

/// How often what is killed again and again is.
const AGAIN: Duration = Duration::from_millis(100);

/// How long a server may take to be as it was.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who suffers.
#[derive(Debug)]
pub(crate) struct Sufferer {
    pub(crate) estate: Estate,
    pub(crate) begun: Instant,
    /// Held by whoever writes; nobody writes into a store that is emptied and restored.
    pub(crate) writing: Arc<RwLock<()>>,
}

/// Has a way be so while that is planned.
pub(crate) async fn suffer_on_way(ways: &[Proxy], planned: &Planned, begun: Instant) {
    let way = match planned.fault {
        Fault::Slow => Way::Slow(SLOW),
        Fault::TooSlow => Way::Slow(TOO_SLOW),
        Fault::Cut => Way::Cut,
        Fault::Hole => Way::Hole,
        Fault::Deaf => Way::Deaf,
        Fault::HalfClosed => Way::HalfClosed,
        other => unreachable!("{other} is none of a way"),
    };
    let meant = || {
        let all = ways.iter().enumerate();
        all.filter(|(number, _)| planned.way.is_none_or(|it| it == *number))
    };
    meant().for_each(|(_, it)| it.set(way));
    sleep_until((begun + planned.end).into()).await;
    meant().for_each(|(_, it)| it.set(Way::Open));
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
        Trouble {
            fault: planned.fault,
            begin,
            end: self.begun.elapsed(),
            process: None,
        }
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
        let node = &mut self.estate.nodes[number];
        match fault {
            Fault::Frozen => {
                node.pause();
                sleep_until(end.into()).await;
                node.resume();
            }
            Fault::Killed => again(node, end, &["CLIENT KILL TYPE normal SKIPME yes"]).await?,
            Fault::KilledTracking => kill_tracking(node, end).await?,
            Fault::Paused => paused(node, end, "ALL").await?,
            Fault::PausedWrites => paused(node, end, "WRITE").await?,
            Fault::Restarted => {
                block_in_place(|| node.stop());
                sleep_until(end.into()).await;
                block_in_place(|| node.restart());
            }
            Fault::Crashed => {
                node.kill();
                sleep_until(end.into()).await;
                block_in_place(|| node.restart());
            }
            Fault::Emptied | Fault::RestartedEmpty => {
                emptied(node, fault, end, &self.writing).await?;
            }
            Fault::WrongPassword => {
                let wrong = format!("ACL SETUSER {USER} resetpass >another");
                let kill = format!("CLIENT KILL USER {USER}");
                let right = format!("ACL SETUSER {USER} resetpass >{PASSWORD}");
                during(node, end, &[&wrong, &kill], &right).await?;
            }
            Fault::NoRights => {
                let [wrong, right] =
                    ['-', '+'].map(|it| format!("ACL SETUSER {USER} {it}get {it}client|tracking"));
                during(node, end, &[&wrong], &right).await?;
            }
            Fault::ReadOnly => {
                // Nobody listens there, so it keeps what it has.
                let words = ["REPLICAOF 127.0.0.1 1"];
                during(node, end, &words, "REPLICAOF NO ONE").await?;
            }
            Fault::Full => {
                let words = ["CONFIG SET maxmemory 1"];
                during(node, end, &words, "CONFIG SET maxmemory 0").await?;
            }
            Fault::Crowded => crowded(node, end).await?,
            Fault::Slow
            | Fault::TooSlow
            | Fault::Cut
            | Fault::Hole
            | Fault::Deaf
            | Fault::HalfClosed => unreachable!("{fault} is of a way"),
        }
        Ok(())
    }
}

/// Says words, and at the end those that undo them.
async fn during(
    node: &RedisServer,
    end: Instant,
    words: &[&str],
    undo: &str,
) -> Result<(), RedisError> {
    for it in words {
        tell::<Value>(node, it).await?;
    }
    sleep_until(end.into()).await;
    tell::<Value>(node, undo).await.map(drop)
}

/// Says words again and again until the end.
async fn again(node: &RedisServer, end: Instant, words: &[&str]) -> Result<(), RedisError> {
    while Instant::now() < end {
        for it in words {
            tell::<Value>(node, it).await?;
        }
        sleep(AGAIN).await;
    }
    Ok(())
}

async fn kill_tracking(node: &RedisServer, end: Instant) -> Result<(), RedisError> {
    while Instant::now() < end {
        let clients: String = tell(node, "CLIENT LIST").await?;
        let tracks = |line: &&str| {
            let mut words = line.split(' ');
            words.any(|it| it.starts_with("flags=") && it.contains('t'))
        };
        for line in clients.lines().filter(tracks) {
            let id = line.split(' ').next().unwrap_or_default();
            let id = id.replace("id=", "CLIENT KILL ID ");
            tell::<Value>(node, &id).await?;
        }
        sleep(AGAIN).await;
    }
    Ok(())
}

/// It ends by itself: whoever would end it is held up as well.
async fn paused(node: &RedisServer, end: Instant, what: &str) -> Result<(), RedisError> {
    let left = end.saturating_duration_since(Instant::now()).as_millis();
    tell::<Value>(node, &format!("CLIENT PAUSE {left} {what}")).await?;
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

/// Loses all that is in it, and has it again at the end.
async fn emptied(
    node: &mut RedisServer,
    fault: Fault,
    end: Instant,
    writing: &Arc<RwLock<()>>,
) -> Result<(), RedisError> {
    let nobody_writes: OwnedRwLockWriteGuard<()> = Arc::clone(writing).write_owned().await;
    let kept = kept(node).await?;
    tell::<Value>(node, "FLUSHALL").await?;
    if fault == Fault::RestartedEmpty {
        block_in_place(|| node.restart());
    }
    sleep_until(end.into()).await;
    restore(node, &kept).await?;
    drop(nobody_writes);
    Ok(())
}

/// All that changes verdicts.
async fn kept(node: &RedisServer) -> Result<Vec<(String, Vec<u8>)>, RedisError> {
    let keys: Vec<String> = tell(node, "KEYS pc:*").await?;
    let mut kept = Vec::new();
    for key in keys {
        // What lives for a while only may be gone by now.
        let value: Option<Vec<u8>> = tell(node, &format!("GET {key}")).await?;
        kept.extend(value.map(|it| (key, it)));
    }
    Ok(kept)
}

/// In one step, as a backup that is in place before anybody is let to it.
async fn restore(node: &RedisServer, kept: &[(String, Vec<u8>)]) -> Result<(), RedisError> {
    let begun = Instant::now();
    loop {
        let restored = ask(node, async |mut connection| {
            let mut all = pipe();
            all.atomic();
            for (key, value) in kept {
                all.set(key, value).ignore();
            }
            all.query_async::<()>(&mut connection).await
        });
        match restored.await {
            Err(_) if begun.elapsed() < PATIENCE => sleep(AGAIN).await,
            other => return other,
        }
    }
}
