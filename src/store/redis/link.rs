//! The one connection to the server, made anew whenever it is lost.
//!
//! Apart from the commands, which know nothing of attempts and pauses. The keeper of connections
//! in the `redis` crate is not used: a refused password ends its attempts for good, and callers
//! wait out its pauses instead of hearing the cause. Here they wait for the first attempt after a
//! loss, and fail at once with the cause when it has failed.
//!
//! One that answers as a replica is left as one that was lost: behind its address another may stand by now.
//!
//! A server that does not answer is no reason to connect again: the commands fail at their
//! timeout, then at once for a moment (`breaker.rs`), and work as soon as it answers. When the way
//! to it is cut, the kernel ends the connection (`settings.rs`).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, PushInfo, PushKind, RedisError, Value, cmd};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time;

use super::batch::Readers;
use super::failures::Failures;
use super::guard::Guard;
use super::login::Login;
use super::{fault, reply};
use crate::store::StoreError;

/// How long one attempt to connect may take, with TLS and the password.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How many commands may await their answers; further ones wait their turn, within their time. With
/// more before it, a command could not be answered within that by a server that is slow already.
const IN_FLIGHT_MAX: usize = 256;
/// How many may do either; further ones fail at once. It is as many as the cache has verified at once, so
/// that all of them may ask together after all that was known has changed: a server that is well is
/// through with them in time.
const PENDING_MAX: usize = 4096;
/// The longest that the first pause between attempts may be, and the longest that any may be.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// The same for a server that refuses the password, which seldom changes by itself.
pub(super) const PAUSES_REFUSED: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(30));

/// A way to the server, open or not.
pub(super) struct Link {
    login: Login,
    status: watch::Receiver<Status>,
    timeout: Duration,
    pending: Semaphore,
    guard: Guard,
    pub(super) readers: Readers,
}

/// How things stand.
#[derive(Default)]
struct Status {
    /// `None` while the first attempt since the start or the loss is under way.
    outcome: Option<Result<Connected, StoreError>>,
    /// Whether there ever was a connection.
    reached: bool,
}

#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    lost: Arc<Notify>,
}

impl Link {
    /// Begins to connect, in a task that ends with this value. `timeout` is for one command.
    pub(super) fn new(login: Login, timeout: Duration) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let guard = Guard::new();
        let link = Self {
            login: login.clone(),
            status,
            timeout,
            pending: Semaphore::new(PENDING_MAX),
            guard: guard.clone(),
            readers: Readers::default(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                never = keep_connected(&login, &sender, &guard) => match never {},
            }
        });
        link
    }

    /// Has the connection made anew: the server is not what it was.
    pub(super) fn lose(&self) {
        if let Some(Ok(connected)) = &self.status.borrow().outcome {
            connected.lost.notify_one();
        }
    }

    /// Has the next command try a server that was given up: it was heard of on another connection.
    pub(super) fn hurry(&self) {
        self.guard.hurry();
    }

    pub(super) fn was_reached(&self) -> bool {
        self.status.borrow().reached
    }

    /// Sends commands together and gives one answer to each, which may be an error of the server.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if they did not come.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let _place = self.place()?;
        self.ask_for(1, commands).await
    }

    /// Gives one of the places of those who await an answer.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is none left.
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let place = self.pending.try_acquire();
        place.map_err(|_| self.unavailable("too many commands await its answers"))
    }

    /// Asks for so many who have a place each, and would ask one by one.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub(super) async fn ask_for(
        &self,
        askers: u32,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, StoreError> {
        // Where there is no connection, there is no need to wait for the answers of others.
        if let Some(Err(cause)) = &self.status.borrow().outcome {
            return Err(cause.clone());
        }
        let given_up = "it did not answer, so the store was given up for a moment";
        let pass = self.guard.admit();
        let pass = pass.ok_or_else(|| self.unavailable(given_up))?;
        let answers = time::timeout(self.timeout, self.send(commands)).await;
        let answers = answers.unwrap_or_else(|_| Err(self.unavailable("no answer in time")));
        self.guard.note(&self.login, pass, askers, answers.is_ok());
        answers
    }

    async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let Connected {
            mut connection,
            lost,
        } = self.connected().await?;
        let count = commands.len();
        let answers = connection.send_packed_commands(commands, 0, count).await;
        if answers.iter().flatten().any(reply::is_of_replica) {
            lost.notify_one();
        }
        answers.map_err(|error| {
            if error.is_unrecoverable_error() {
                lost.notify_one();
            }
            fault::of_connection(&self.login.address(), &error)
        })
    }

    /// Sends one command; as [`Link::ask`].
    pub(super) async fn ask_one(&self, command: &Pipeline) -> Result<Value, StoreError> {
        let answer = self.ask(command).await?.pop();
        answer.ok_or_else(|| self.unavailable("no answer"))
    }

    async fn connected(&self) -> Result<Connected, StoreError> {
        let mut status = self.status.clone();
        loop {
            if let Some(outcome) = &status.borrow_and_update().outcome {
                return outcome.clone();
            }
            let changed = status.changed().await;
            changed.map_err(|_| self.unavailable("the task that connects was stopped"))?;
        }
    }

    pub(super) fn unavailable(&self, why: &str) -> StoreError {
        let address = self.login.address();
        StoreError::Unavailable(format!("{address}: {why}; {}", fault::REACH_IT))
    }
}

/// Connects, waits until the connection is lost, and so on. Each cause of a failure is logged once
/// until there is a connection again.
async fn keep_connected(
    login: &Login,
    status: &watch::Sender<Status>,
    guard: &Guard,
) -> Infallible {
    let mut failures = Failures::default();
    let mut told = None;
    loop {
        let tried = login.changes();
        let lost = Arc::new(Notify::new());
        let on_loss = Arc::clone(&lost);
        let attempt = connect(login, move |push| {
            if push.kind == PushKind::Disconnection {
                on_loss.notify_one();
            }
        });
        let Attempt { address, connected } = attempt.await;
        let pauses = match primary(connected, &address).await {
            Ok(connection) => {
                tracing::info!(address, "connected to the store");
                told = None;
                guard.close(login);
                let begun = Instant::now();
                let connected = Connected { connection, lost };
                stay(connected, status, login.left(&address)).await;
                // One that does not last counts as a failure, lest we hammer the server.
                if begun.elapsed() > PAUSES.1 {
                    failures.forget();
                }
                PAUSES
            }
            Err(Unconnected { cause, is_refusal }) => {
                if told.as_ref() != Some(&cause) {
                    tracing::error!("{cause}; trying again in the background");
                    told = Some(cause.clone());
                }
                status.send_modify(|status| status.outcome = Some(Err(cause)));
                if is_refusal { PAUSES_REFUSED } else { PAUSES }
            }
        };
        let pause = pause_after(failures.note(pauses), pauses);
        login.pause(tried, pause, &address).await;
    }
}

/// Lends a connection to commands until it is lost, or the server is elsewhere.
async fn stay(
    connected: Connected,
    status: &watch::Sender<Status>,
    left: impl Future<Output = ()>,
) {
    let lost = Arc::clone(&connected.lost);
    status.send_modify(|status| {
        status.outcome = Some(Ok(connected));
        status.reached = true;
    });
    tokio::select! {
        () = lost.notified() => {}
        () = left => {}
    }
    status.send_modify(|status| status.outcome = None);
}

/// What came of connecting once.
pub(super) struct Attempt {
    /// Where, for operators and for [`Login::left`].
    pub(super) address: String,
    /// Or why not.
    pub(super) connected: Result<MultiplexedConnection, RedisError>,
}

/// Connects once. `on_push` is told all that the server says unasked, and when the connection has gone.
pub(super) async fn connect(
    login: &Login,
    on_push: impl Fn(PushInfo) + Send + Sync + 'static,
) -> Attempt {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_concurrency_limit(IN_FLIGHT_MAX)
        // Whoever asks has one of their own, which includes the wait for a connection.
        .set_response_timeout(None)
        .set_push_sender(move |push: PushInfo| {
            on_push(push);
            Ok::<(), Infallible>(())
        });
    match login.client().await {
        Ok(client) => Attempt {
            address: client.get_connection_info().addr().to_string(),
            connected: client
                .get_multiplexed_async_connection_with_config(&config)
                .await,
        },
        Err(error) => Attempt {
            address: login.address(),
            connected: Err(error),
        },
    }
}

/// Why there is no connection to read and write over.
struct Unconnected {
    cause: StoreError,
    /// Whether the server does not know us.
    is_refusal: bool,
}

/// Takes no connection to a replica, which has yesterday's records. Where the access rules do not let us ask, its refusal of
/// the first write will tell.
async fn primary(
    connected: Result<MultiplexedConnection, RedisError>,
    address: &str,
) -> Result<MultiplexedConnection, Unconnected> {
    let unconnected = |error: RedisError| Unconnected {
        is_refusal: fault::is_refusal(&error),
        cause: fault::of_connection(address, &error),
    };
    let mut connection = connected.map_err(unconnected)?;
    let role = cmd("ROLE");
    let role = role.query_async::<Value>(&mut connection);
    let unavailable = |why: &str| Unconnected {
        is_refusal: false,
        cause: StoreError::Unavailable(format!("{address}: {why}")),
    };
    let role = time::timeout(CONNECT_TIMEOUT, role).await;
    let late = || unavailable(&format!("no answer in time; {}", fault::REACH_IT));
    match role.map_err(|_| late())? {
        Ok(role) if reply::is_primary(&role) => Ok(connection),
        Ok(role) => Err(unavailable(&reply::no_primary(&role))),
        Err(error) if error.code() == Some("NOPERM") => Ok(connection),
        Err(error) => Err(unconnected(error)),
    }
}

/// Gives a random pause, so that many processes that lost one server do not come back as one.
pub(super) fn pause_after(failures: u32, (first, longest): (Duration, Duration)) -> Duration {
    let ceiling = first.saturating_mul(1 << failures.min(16)).min(longest);
    let share = getrandom::u32().unwrap_or(u32::MAX);
    ceiling.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::net::TcpListener;

    use super::*;
    use crate::store::redis::settings::Settings;

    #[test]
    fn pauses_grow_up_to_a_limit_and_differ() {
        for (failures, longest) in [(0, 50), (1, 100), (2, 200), (7, 5000), (u32::MAX, 5000)] {
            let longest = Duration::from_millis(longest);
            let pauses: Vec<_> = (0..100).map(|_| pause_after(failures, PAUSES)).collect();
            assert!(pauses.iter().all(|pause| *pause <= longest), "{failures}");
            // All of a hundred in the lower half would be a wonder.
            assert!(
                pauses.iter().any(|pause| *pause > longest / 2),
                "{failures}"
            );
            assert!(
                pauses.iter().any(|pause| *pause < longest / 2),
                "{failures}"
            );
        }
    }

    #[tokio::test]
    async fn a_cause_is_told_once_however_many_attempts_fail() {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let writer = log.reopen().expect("the same file");
        let subscriber = tracing_subscriber::fmt().with_writer(writer);
        let _told = tracing::subscriber::set_default(subscriber.finish());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("the port");
        let settings = Settings {
            timeout: Duration::from_secs(10),
            url: format!("redis://{address}"),
            ..Settings::default()
        };
        let timeout = settings.timeout;
        let link = Link::new(
            Login::new(settings.into_client().expect("a client")),
            timeout,
        );

        for _ in 0..4 {
            // Closed at once.
            listener.accept().await.expect("an attempt");
        }
        let asked = link.ask(Pipeline::new().cmd("PING")).await;
        let closed = format!(
            "{address}: the connection was closed; {}",
            fault::REACH_IT_ALIKE
        );
        assert_eq!(asked.err(), Some(StoreError::Unavailable(closed.clone())));
        assert!(!link.was_reached());
        let log = fs::read_to_string(log.path()).expect("text");
        assert_eq!(log.matches(&closed).count(), 1, "{log}");
    }
}
