//! Looking names up, with a bound on what that costs.
//!
//! The system's look-up (`getaddrinfo`) takes a thread until it ends, which may be long after
//! whoever asked has given up, and the threads are those that hash passwords and serve the embedded
//! store. So a name is looked up once for all who ask meanwhile, few names at a time, and what was
//! found counts for a while. Where nothing is found in time, what was found last counts on: who
//! stands there is still told by TLS.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use futures_core::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::outbound::{CONNECT, PATIENCE};

/// How many names are looked up at once: as many threads are taken at most.
const LOOK_UPS: usize = 8;

/// How long what was found counts before it is looked up again.
const FRESH: Duration = Duration::from_secs(30);

/// How long what was found last counts while nothing is found.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many names are known. They come from the configuration and from what issuers publish.
const MAX_NAMES: usize = 1024;

type Found = io::Result<Vec<SocketAddr>>;

type LookUp = dyn Fn(&str) -> Found + Send + Sync;

/// What looks names up. Clones share what they know.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Inner>);

struct Inner {
    look_up: Arc<LookUp>,
    places: Arc<Semaphore>,
    names: Mutex<HashMap<Box<str>, Known>>,
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    last: Option<Last>,
    under_way: Option<UnderWay>,
}

/// What was found last, and when.
#[derive(Clone)]
struct Last {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

#[derive(Clone)]
struct UnderWay {
    since: Instant,
    /// What was found, or why nothing was; `None` until then.
    ended: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Vec<SocketAddr>, Arc<str>>;

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(..)")
    }
}

impl Resolver {
    /// Asks the system.
    pub(super) fn system() -> Self {
        Self::asking(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    /// Asks this, on a thread where it may block.
    pub(super) fn asking(look_up: impl Fn(&str) -> Found + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            look_up: Arc::new(look_up),
            places: Arc::new(Semaphore::new(LOOK_UPS)),
            names: Mutex::default(),
        }))
    }

    async fn resolve(self, name: Box<str>) -> Found {
        let (last, UnderWay { since, mut ended }) = match self.known(&name) {
            Ok(fresh) => return Ok(fresh),
            Err(it) => it,
        };
        // Who has something to go on with waits for a moment only, and no longer for one that hangs.
        let patience = if last.is_some() { CONNECT } else { PATIENCE };
        let over = timeout_at(since + patience, ended.wait_for(Option::is_some)).await;
        let found = match over {
            Ok(Ok(ended)) => ended.clone(),
            Ok(Err(_)) => None,
            Err(_) => Some(Err("the name was not found in time".into())),
        };
        let found = found.unwrap_or_else(|| Err("looking the name up was aborted".into()));
        found.or_else(|why| last.ok_or_else(|| failed(&why)))
    }

    /// Gives the addresses of a name where they were found just now.
    ///
    /// # Errors
    /// Those that were found last, if any count still, and the look-up that is under way now.
    fn known(&self, name: &str) -> Result<Vec<SocketAddr>, (Option<Vec<SocketAddr>>, UnderWay)> {
        let mut names = self.lock();
        if names.len() >= MAX_NAMES && !names.contains_key(name) {
            names.retain(|_, it| it.under_way.is_some());
        }
        let known = names.entry(name.into()).or_default();
        let last = known.last.as_ref();
        if let Some(fresh) = last.filter(|it| it.at.elapsed() < FRESH) {
            return Ok(fresh.addresses.clone());
        }
        let last = last.filter(|it| it.at.elapsed() < KEPT);
        let last = last.map(|it| it.addresses.clone());
        // One whose task has died is under way no more.
        let under_way = known.under_way.clone();
        let under_way = under_way.filter(|it| it.ended.has_changed().is_ok());
        let under_way = under_way.unwrap_or_else(|| self.begin(name));
        known.under_way = Some(under_way.clone());
        Err((last, under_way))
    }

    /// Begins a look-up, on a task of its own: what it finds is noted also where nobody waits.
    fn begin(&self, name: &str) -> UnderWay {
        let (sender, ended) = watch::channel(None);
        let (resolver, name) = (self.clone(), Box::<str>::from(name));
        tokio::spawn(async move {
            let found = resolver.look_up(&name).await;
            let outcome = resolver.note(&name, found);
            sender.send_replace(Some(outcome));
        });
        UnderWay {
            since: Instant::now(),
            ended,
        }
    }

    async fn look_up(&self, name: &str) -> Found {
        let places = Arc::clone(&self.0.places);
        let place = tokio::time::timeout(PATIENCE, places.acquire_owned()).await;
        let place = place.map_err(|_| failed("too many names are being looked up"))?;
        let (look_up, name) = (Arc::clone(&self.0.look_up), Box::<str>::from(name));
        let looking = tokio::task::spawn_blocking(move || {
            let found = look_up(&name);
            // Until the thread is free again, whoever waits.
            drop(place);
            found
        });
        looking.await.unwrap_or_else(|it| Err(io::Error::other(it)))
    }

    fn note(&self, name: &str, found: Found) -> Outcome {
        let found = match found {
            Ok(addresses) if addresses.is_empty() => Err("the name has no address".into()),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(Arc::from(error.to_string())),
        };
        let mut names = self.lock();
        let known = names.entry(name.into()).or_default();
        known.under_way = None;
        if let Ok(addresses) = &found {
            known.last = Some(Last {
                addresses: addresses.clone(),
                at: Instant::now(),
            });
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.clone().resolve(name.as_str().into());
        Box::pin(async move { Ok(found.await?.into_iter()) })
    }
}

fn failed(why: &str) -> io::Error {
    io::Error::other(why)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::outbound::{Outbound, OutboundError};

    /// Timers fire on whole milliseconds, and no time passes by itself while a thread is taken.
    const TICK: Duration = Duration::from_millis(2);

    /// What the system finds: nothing until the test says so, where a name hangs.
    struct Script {
        resolver: Resolver,
        asked: Arc<AtomicUsize>,
        answers: Arc<Mutex<Option<u8>>>,
        /// Look-ups of names that begin with `hang` last as long as this.
        hanging: mpsc::Sender<()>,
    }

    fn script() -> Script {
        let (hanging, end) = mpsc::channel::<()>();
        let (end, asked) = (Mutex::new(end), Arc::<AtomicUsize>::default());
        let answers = Arc::new(Mutex::new(Some(1)));
        let (count, says) = (Arc::clone(&asked), Arc::clone(&answers));
        let end = Arc::new(end);
        let resolver = Resolver::asking(move |name| {
            count.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("hang") {
                // Whoever has the lock waits for the sender, and the others for the lock.
                let _ = end.lock().map(|it| it.recv());
            }
            let last = says.lock().unwrap().ok_or_else(|| failed("SERVFAIL"))?;
            Ok(vec![address(last)])
        });
        Script {
            resolver,
            asked,
            answers,
            hanging,
        }
    }

    fn address(last: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, last), 0).into()
    }

    impl Script {
        async fn resolve(&self, name: &str) -> Result<u8, String> {
            let found = self.resolver.clone().resolve(name.into()).await;
            let found = found.map_err(|it| it.to_string())?;
            match found[..] {
                [SocketAddr::V4(it)] => Ok(it.ip().octets()[3]),
                _ => panic!("{found:?}"),
            }
        }

        fn say(&self, answer: Option<u8>) {
            *self.answers.lock().unwrap() = answer;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }

        /// Waits until so many look-ups have begun.
        async fn until_asked(&self, times: usize) {
            while self.asked() < times {
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn look_ups_that_never_end_leave_threads_for_other_work() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(LOOK_UPS + 1)
            .enable_all()
            .build()
            .unwrap();
        let script = script();
        runtime.block_on(async {
            let outbound = Outbound::made(64, Vec::new(), script.resolver.clone());
            for number in 0..64 {
                let outbound = outbound.clone();
                let url = format!("https://hang{number}.example/");
                tokio::spawn(async move { outbound.get(&url).await.map(|it| it.status) });
            }
            script.until_asked(LOOK_UPS).await;
            for _ in 0..100 {
                let other = tokio::task::spawn_blocking(|| 7);
                let other = tokio::time::timeout(Duration::from_secs(30), other).await;
                assert_eq!(other.expect("a free thread").unwrap(), 7);
            }
            assert_eq!(script.asked(), LOOK_UPS);
        });
        drop(script.hanging);
    }

    #[tokio::test]
    async fn a_question_whose_name_is_never_found_is_over_in_its_time() {
        let script = script();
        let outbound = Outbound::made(8, Vec::new(), script.resolver.clone());
        tokio::time::pause();
        let begun = Instant::now();
        let asking = tokio::spawn(async move {
            let reply = outbound.get("https://hang.example/").await;
            reply.map(|it| it.status)
        });
        script.until_asked(1).await;
        tokio::time::advance(PATIENCE + TICK).await;
        let error = asking.await.unwrap().expect_err("no answer");
        assert!(
            matches!(
                error,
                OutboundError::Timeout | OutboundError::Unreachable(_)
            ),
            "{error}"
        );
        assert!(begun.elapsed() <= PATIENCE + TICK);
        drop(script.hanging);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_and_counts_for_a_while() {
        let script = script();
        let (one, two) = tokio::join!(script.resolve("a"), script.resolve("a"));
        assert_eq!((one, two, script.asked()), (Ok(1), Ok(1), 1));
        script.say(Some(2));
        assert_eq!(script.resolve("b").await, Ok(2), "another name");
        // Some time has passed already, on a busy machine.
        tokio::time::pause();
        tokio::time::advance(FRESH / 2).await;
        assert_eq!((script.resolve("a").await, script.asked()), (Ok(1), 2));
        tokio::time::advance(FRESH / 2).await;
        assert_eq!((script.resolve("a").await, script.asked()), (Ok(2), 3));
    }

    #[tokio::test]
    async fn what_was_found_last_counts_through_an_outage_and_not_for_ever() {
        let script = script();
        assert_eq!(script.resolve("a").await, Ok(1));
        script.say(None);
        tokio::time::pause();
        tokio::time::advance(FRESH).await;
        assert_eq!(script.resolve("a").await, Ok(1));
        assert_eq!(script.resolve("b").await, Err("SERVFAIL".to_owned()));
        assert_eq!(script.asked(), 3, "each was tried");
        tokio::time::advance(KEPT - FRESH).await;
        assert_eq!(script.resolve("a").await, Err("SERVFAIL".to_owned()));
        script.say(Some(3));
        assert_eq!(script.resolve("a").await, Ok(3));
    }

    #[tokio::test]
    async fn one_that_hangs_is_waited_for_once_where_there_is_something_to_go_on_with() {
        let script = script();
        let known = Known {
            last: Some(Last {
                addresses: vec![address(9)],
                at: Instant::now(),
            }),
            under_way: None,
        };
        script.resolver.lock().insert("hang".into(), known);
        tokio::time::pause();
        tokio::time::advance(FRESH).await;
        let begun = Instant::now();
        let resolving = script.resolve("hang");
        let passing = async {
            script.until_asked(1).await;
            tokio::time::advance(CONNECT + TICK).await;
        };
        assert_eq!(tokio::join!(resolving, passing).0, Ok(9));
        assert!(begun.elapsed() <= CONNECT + TICK);
        // Nobody waits for it again, and it takes no second thread.
        let begun = Instant::now();
        assert_eq!(script.resolve("hang").await, Ok(9));
        assert_eq!((begun.elapsed(), script.asked()), (Duration::ZERO, 1));
        drop(script.hanging);
    }
}
