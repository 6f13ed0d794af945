//! Where the primary is, by the sentinels that watch over it.
//!
//! They are asked before every connection, and once a second while there is one: a primary that they have replaced may live
//! on and go on to call itself one, to us and nobody else. Sentinels hear of a replacement one after the other; the
//! truth is by their own rule what was decided last (the highest epoch), so one that has not heard is
//! outdone. None is needed for the service: while none answers, the primary that they named last is used.

mod judgement;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

pub(super) use self::judgement::Primary;
use self::judgement::judge;
use super::fault;

/// How often they are asked whether the primary is still the same.
const ROUND: Duration = Duration::from_secs(1);
/// How long one may take to answer, a connection and TLS included. All are asked at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// Those who know where the primary is.
pub(super) struct Sentinels {
    service: Arc<str>,
    members: RwLock<Vec<Arc<Sentinel>>>,
    /// What they said last.
    named: watch::Sender<Option<Primary>>,
    silence: Mutex<Silence>,
}

/// Which of them do not answer.
#[derive(Default)]
struct Silence {
    /// Why each does not, and how many there are.
    causes: Vec<String>,
    listed: usize,
    /// Whether the operator was told that none answers.
    is_told: bool,
}

/// How they are reached.
pub(super) struct Group {
    /// What they call the servers that are one store.
    pub(super) service: Arc<str>,
    pub(super) clients: Vec<Client>,
}

/// One of them.
struct Sentinel {
    client: Client,
    /// Kept as long as it answers.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Sentinels {
    pub(super) fn new(group: Group) -> Self {
        Self {
            members: RwLock::new(members(group.clients)),
            service: group.service,
            named: watch::Sender::new(None),
            silence: Mutex::default(),
        }
    }

    /// Has them logged in to otherwise from now on.
    pub(super) fn change(&self, group: Group) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members(group.clients);
    }

    /// What they call the servers.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// Gives the primary that they named last.
    pub(super) fn named(&self) -> Option<Primary> {
        self.named.borrow().clone()
    }

    /// Asks where the primary is.
    ///
    /// # Errors
    /// Why that is not known, and never was.
    pub(super) async fn ask(&self) -> Result<Primary, RedisError> {
        let members = self.members.read();
        let members = members.unwrap_or_else(PoisonError::into_inner).clone();
        let listed = members.len();
        let asked = members.into_iter().map(|member| {
            let service = Arc::clone(&self.service);
            async move { member.ask(&service).await }
        });
        let answers = asked.collect::<JoinSet<_>>().join_all().await;
        let (mut said, mut silent) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(primary) => said.extend(primary),
                Err(why) => silent.push(why),
            }
        }
        silent.sort();
        self.tell_silence(listed, &silent);
        self.note(&said, listed);
        self.named().ok_or_else(|| {
            let service = &self.service;
            fault::of_sentinels(match silent.len() == listed {
                true => format!("no sentinel answers ({})", silent.join("; ")),
                false => format!(
                    "no sentinel that answers knows `{service}`; check what `store.url` calls it"
                ),
            })
        })
    }

    /// Says which of them do not answer, in words for operators; `None` where all do, or where no primary is known, which
    /// is told otherwise.
    pub(super) fn trouble(&self) -> Option<String> {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let (silent, listed) = (silence.causes.len(), silence.listed);
        let primary = self.named().filter(|_| silent > 0)?.address();
        let causes = silence.causes.join("; ");
        Some(match silent == listed {
            true => format!(
                "no sentinel answers, so {primary} is used, which they named last ({causes})"
            ),
            false => format!("{silent} of {listed} sentinels do not answer ({causes})"),
        })
    }

    /// Takes what they said for true as far as it is.
    fn note(&self, said: &[Primary], listed: usize) {
        self.named.send_if_modified(|named| {
            let Some(now) = judge(said, listed, named.as_ref()) else {
                return false;
            };
            let (service, primary) = (&*self.service, now.address());
            match named.as_ref().map(Primary::address) {
                None => tracing::info!(service, primary, "the sentinels name the primary"),
                Some(was) if was != primary => {
                    tracing::warn!(service, primary, was, "the sentinels name another primary");
                }
                Some(_) => {}
            }
            named.replace(now.clone()) != Some(now)
        });
    }

    /// Takes note of who does not answer, and tells once that none does, where that is not what the store itself fails of.
    fn tell_silence(&self, listed: usize, causes: &[String]) {
        let is_silent = causes.len() == listed;
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        (silence.causes, silence.listed) = (causes.to_vec(), listed);
        let Some(primary) = self.named() else { return };
        if is_silent == std::mem::replace(&mut silence.is_told, is_silent) {
            return;
        }
        let (service, primary) = (&*self.service, primary.address());
        match is_silent {
            true => tracing::warn!(
                service,
                primary,
                "no sentinel answers, so the primary that they named last is used ({})",
                causes.join("; ")
            ),
            false => tracing::info!(service, primary, "sentinels answer again"),
        }
    }

    /// Waits until they name another primary than the one at this address.
    pub(super) async fn replaced(&self, address: &str) {
        let mut named = self.named.subscribe();
        let is_other = |it: &Option<Primary>| it.as_ref().is_some_and(|it| it.address() != address);
        // It ends with the sender, which is here.
        let _ = named.wait_for(is_other).await;
    }

    /// Asks them for good, round after round.
    pub(super) async fn run(&self) -> Infallible {
        loop {
            time::sleep(ROUND).await;
            // Why nothing is known is told by who connects.
            let _ = self.ask().await;
        }
    }
}

fn members(clients: Vec<Client>) -> Vec<Arc<Sentinel>> {
    let member = |client| Sentinel {
        client,
        connection: Mutex::default(),
    };
    clients.into_iter().map(member).map(Arc::new).collect()
}

impl Sentinel {
    /// Asks it; `None`: it does not know the service.
    ///
    /// # Errors
    /// Why there is no answer.
    async fn ask(&self, service: &str) -> Result<Option<Primary>, String> {
        let asked = time::timeout(PATIENCE, self.exchange(service)).await;
        let address = self.client.get_connection_info().addr();
        let answer = match asked {
            Ok(Ok(answers)) => Primary::read(&answers).map_err(|why| format!("{address}: {why}")),
            Ok(Err(error)) => Err(fault::cause(&address.to_string(), &error)),
            Err(_) => Err(format!("{address}: no answer in time")),
        };
        if answer.is_err() {
            // Another attempt begins anew, so that nothing piles up in one that hangs.
            self.keep(None);
        }
        answer.map_err(|why| fault::of_sentinel(&why))
    }

    async fn exchange(&self, service: &str) -> Result<Vec<Value>, RedisError> {
        let kept = self.connection.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner).clone();
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(None);
                let connected = self
                    .client
                    .get_multiplexed_async_connection_with_config(&config);
                let connection = connected.await?;
                self.keep(Some(connection.clone()));
                connection
            }
        };
        let mut both = Pipeline::with_capacity(2);
        // The first tells of a replacement as soon as it is one, the second how late it was decided.
        both.cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(service);
        both.cmd("SENTINEL").arg("MASTER").arg(service);
        connection.send_packed_commands(&both, 0, 2).await
    }

    fn keep(&self, connection: Option<MultiplexedConnection>) {
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = connection;
    }
}
