//! A server on a Redis, behind an Envoy that would let failures pass, and what is asked of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};
use tokio::time::{interval, timeout};

use crate::support::client::{Client, Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::http::{Response, fetch};
use crate::support::redis::RedisServer;
use crate::support::sample::{self, MINE};
use crate::support::server::Server;
use crate::support::upstream::Upstream;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Envoy's own default for a Check, which nobody's answer may come after.
const DEADLINE: Duration = Duration::from_millis(200);

/// Keys: one that tests make known to the server first, and one that the directory has too.
pub(crate) const KNOWN: &str = "a-key-that-is-known-0001";
pub(crate) const OTHER: &str = "a-key-that-is-there-0002";

/// John of the sample, who logs in, and those keys.
pub(crate) const DIRECTORY: &str = "
crossbar:
  accounts:
    - { id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: ACME }
  users:
    - { id: 8e248327b85591955749e53ea45b6baa, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: m32c6NfqYEt }
mine:
  api_keys:
    - { id: k-1, account: a-1, secret: a-key-that-is-known-0001 }
    - { id: k-2, account: a-1, secret: a-key-that-is-there-0002 }
";

/// What the platform says of a failure of ours.
const TROUBLE: &str = r#"{"trouble":"try again","status":503}"#;

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) envoy: Envoy,
    upstream: Upstream,
}

/// Gives the sample's configuration on a Redis, with the deadline and the timeout that are by default, and these settings
/// of the store besides.
pub(crate) fn config(url: &str, settings: &str) -> String {
    sample::on_store(url)
        .replace(", timeout_ms: 10000", settings)
        .replace("check: { deadline_ms: 20000 }\n", "")
}

impl Site {
    /// Starts one whose directory is filled, and which knows [`KNOWN`].
    pub(crate) async fn start(config: &str) -> Self {
        let site = Self::before(sample::start(config));
        site.fill();
        site.learn().await;
        site
    }

    /// Puts an Envoy before a server.
    pub(crate) fn before(server: Server) -> Self {
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .failure_mode_allow()
            .check_timeout(Duration::from_secs(20))
            .issue(server.issue())
            .start();
        Self {
            server,
            envoy,
            upstream,
        }
    }

    pub(crate) fn import(&self) {
        self.server.command("import -", DIRECTORY);
    }

    /// Imports, and waits until the server has heard of it: word that came later would make unknown whom it knows.
    pub(crate) fn fill(&self) {
        self.import();
        let told = self
            .server
            .command("platform revoke --platform infobip", "");
        assert!(told.contains("refused by 1 of 1 process"), "{told}");
    }

    /// Makes [`KNOWN`] known, once changes are told of.
    pub(crate) async fn learn(&self) {
        self.await_metric("portcullis_store_watch_up 1").await;
        self.await_status(KNOWN, 200).await;
        assert_eq!(self.status(KNOWN).await, 200);
    }

    pub(crate) async fn ask(&self, key: &str) -> Response {
        exchange(self.envoy.plain(), &with(key)).await
    }

    pub(crate) async fn status(&self, key: &str) -> u16 {
        self.ask(key).await.status
    }

    /// Opens a connection, for many requests.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.envoy.plain()).await
    }

    /// Demands that nothing can be said of this key, and that this is said as it must be.
    pub(crate) async fn refuses(&self, key: &str) {
        let reached = self.upstream.seen().len();
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let begun = Instant::now();
            let answer = self.ask(key).await;
            fastest = fastest.min(begun.elapsed());
            assert_eq!((answer.status, answer.text()), (503, TROUBLE));
            let seconds = answer.header("retry-after").expect("when to come again");
            assert!(["1", "2", "3"].contains(&seconds), "{seconds}");
        }
        // A busy machine may hold one up, but not all.
        assert!(fastest < DEADLINE, "{fastest:?}");
        assert_eq!(self.upstream.seen().len(), reached);
        // It was a denial that Envoy got, and no failure.
        let errors = self.envoy.statistic("http.plain.ext_authz.error");
        assert_eq!(errors, 0);
        self.envoy.await_log("503 UAEX ext_authz_denied", PATIENCE);
        self.envoy.await_log("fault=store", PATIENCE);
    }

    /// Demands that this key is all the while answered so or so, and gives when it is answered otherwise at last.
    pub(crate) async fn await_change(&self, key: &str, from: u16, to: u16) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(key).await;
            if status == to {
                return;
            }
            assert_eq!(status, from, "{key}");
            assert!(Instant::now() < deadline, "{key} is {from} for ever");
        }
    }

    pub(crate) async fn await_status(&self, key: &str, status: u16) {
        self.poll(&format!("{key}: {status}"), async || {
            self.status(key).await == status
        })
        .await;
    }

    pub(crate) async fn await_metric(&self, line: &str) {
        self.poll(line, async || self.metrics().contains(line))
            .await;
    }

    async fn poll(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let mut tick = interval(Duration::from_millis(10));
        let comes = timeout(PATIENCE, async {
            while !is_so().await {
                tick.tick().await;
            }
        });
        comes.await.unwrap_or_else(|_| panic!("never came: {what}"));
    }

    pub(crate) fn metrics(&self) -> String {
        let metrics = fetch(self.server.admin(), "/metrics").expect("an admin listener");
        metrics.text().to_owned()
    }

    /// Whether it is ready, and what it says of that.
    pub(crate) fn readiness(&self) -> (bool, String) {
        let answer = fetch(self.server.admin(), "/readyz").expect("an admin listener");
        (answer.status == 200, answer.text().to_owned())
    }

    /// Demands that all is well again, and [`KNOWN`] known.
    pub(crate) async fn recovers(&self) {
        self.await_status(OTHER, 200).await;
        self.await_status(&nobodys(), 401).await;
        self.learn().await;
    }
}

/// Gives a key that is nobody's, and that nobody has tried yet: who is denied is remembered too.
pub(crate) fn nobodys() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!("a-key-of-nobody-{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// A request that presents a key.
pub(crate) fn with(key: &str) -> Request {
    Request::new("GET", "/orders/7")
        .header("host", MINE)
        .header("x-my-key", key)
}

pub(crate) async fn connect(server: &RedisServer) -> MultiplexedConnection {
    connect_to(&server.url()).await
}

pub(crate) async fn connect_to(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("a connection")
}

/// Sends words that are divided by spaces.
pub(crate) async fn tell<T: FromRedisValue>(to: &mut MultiplexedConnection, words: &str) -> T {
    let mut command = cmd("");
    command.clear();
    command.arg(words.split(' ').collect::<Vec<_>>());
    let answer = command.query_async(to).await;
    answer.unwrap_or_else(|error| panic!("{words}: {error}"))
}

/// Waits until INFO has this line.
pub(crate) async fn await_info(of: &mut MultiplexedConnection, line: &str) {
    let mut tick = interval(Duration::from_millis(10));
    let comes = timeout(PATIENCE, async {
        while !tell::<String>(of, "INFO").await.contains(line) {
            tick.tick().await;
        }
    });
    comes.await.unwrap_or_else(|_| panic!("never came: {line}"));
}

/// Reads a number of INFO ALL: `name:5`, or `name:calls=5,…`.
pub(crate) async fn info(of: &mut MultiplexedConnection, name: &str) -> u64 {
    let text: String = tell(of, "INFO ALL").await;
    let value = text
        .lines()
        .find_map(|it| it.strip_prefix(name)?.strip_prefix(':'));
    let Some(value) = value else { return 0 };
    let value = value.strip_prefix("calls=").unwrap_or(value);
    let value = value.split(',').next().expect("one at least");
    value.parse().expect("a number")
}
