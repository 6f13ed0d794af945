//! A Redis with replicas and the three sentinels that watch over it, of a test's own, on free ports.
//!
//! ```ignore
//! let mut group = Sentinels::start(Product::Redis).await;
//! let config = format!("store: {{ url: \"{}\" }}", group.url());
//! let new = group.failover().await; // gracefully; `new` is the server that is the primary now
//! let old = group.kill_primary().await; // … or as a crash does
//! let new = group.await_takeover(old).await; // a replica took its place
//! group.restart(old); // comes back empty, as a primary that a sentinel makes a replica within a second
//! ```
//!
//! - A server is called by its number, whatever its role: 0 is the primary at the start.
//! - Ready means that every sentinel knows the others and every replica, and each replica is in step.
//! - The sentinels are hasty: a server is down after one and a half seconds (with less, a busy machine has them replace one
//!   that lives, even by one that came back empty), and each is told within half a second of what another has found.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, TlsCertificates, cmd,
};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

use super::process::{Process, command};
use super::redis::{Product, RedisServer, binary};
use super::{free_port, loopback, server_dir};

/// What the sentinels call it.
pub const SERVICE: &str = "mymaster";
const SENTINELS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
const STARTUP_PATIENCE: Duration = Duration::from_secs(30);

/// How to start one.
#[derive(Debug)]
pub struct Builder {
    product: Product,
    replicas: usize,
    options: Vec<String>,
    lines: String,
    tls: Option<TlsCertificates>,
}

/// A primary, its replicas and their sentinels; dropping it kills all of it.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
    tls: Option<TlsCertificates>,
}

#[derive(Debug)]
struct Sentinel {
    process: Process,
    port: u16,
    _dir: TempDir,
}

impl Builder {
    /// How many replicas it has; one otherwise.
    #[must_use]
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// Further options of each server's command line, as [`RedisServer::start_with`] takes them.
    #[must_use]
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(ToString::to_string));
        self
    }

    /// Further lines of each sentinel's configuration. They may be of access rules that leave the default user as it is.
    #[must_use]
    pub fn sentinel_lines(mut self, lines: &str) -> Self {
        self.lines += lines;
        self
    }

    /// Has all of them speak TLS only, and to each other: by this certificate, its key and the authority that vouches for
    /// both ends of every connection, as paths; and the tests by these certificates.
    #[must_use]
    pub fn tls(mut self, [certificate, key, ca]: [&str; 3], tests: TlsCertificates) -> Self {
        let files = [
            ("tls-cert-file", certificate),
            ("tls-key-file", key),
            ("tls-ca-cert-file", ca),
            ("tls-replication", "yes"),
            ("tls-auth-clients", "yes"),
        ];
        for (name, value) in files {
            self.options.extend([format!("--{name}"), value.to_owned()]);
            self.lines += &format!("{name} {value}\n");
        }
        let options = ["--port", "0", "--tls-port", "{port}"].map(str::to_owned);
        self.options.extend(options);
        self.tls = Some(tests);
        self
    }

    /// Starts them and waits until they are ready.
    pub async fn start(self) -> Sentinels {
        let primary = free_port();
        let mut servers = Vec::new();
        for number in 0..=self.replicas {
            let mut all = self.options.iter().map(String::as_str).collect::<Vec<_>>();
            let of = primary.to_string();
            all.extend(["--repl-diskless-sync-delay", "0"]);
            let port = match number {
                0 => primary,
                _ => {
                    all.extend(["--replicaof", "127.0.0.1", &of]);
                    free_port()
                }
            };
            servers.push(RedisServer::start_at(self.product, port, &all));
        }
        let sentinels = (0..SENTINELS).map(|_| self.sentinel(primary));
        let group = Sentinels {
            sentinels: sentinels.collect(),
            servers,
            tls: self.tls,
        };
        group.hurry().await;
        group.await_ready().await;
        group
    }

    fn sentinel(&self, primary: u16) -> Sentinel {
        let (dir, port) = (server_dir(), free_port());
        let ports = match self.tls {
            Some(_) => format!("port 0\ntls-port {port}"),
            None => format!("port {port}"),
        };
        let (home, lines) = (dir.path().display(), &self.lines);
        let text = format!(
            "{ports}\nbind 127.0.0.1\ndir {home}\n{lines}\n\
             sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {SERVICE} 1500\n\
             sentinel failover-timeout {SERVICE} 2000\n"
        );
        let file = dir.path().join("sentinel.conf");
        fs::write(&file, text).expect("a writable temporary directory");
        let mut command = command(binary(self.product).1);
        command.arg(&file).arg("--sentinel");
        let process = Process::spawn("sentinel", command);
        process.await_log("+monitor master", STARTUP_PATIENCE);
        Sentinel {
            process,
            port,
            _dir: dir,
        }
    }
}

impl Sentinels {
    /// Starts them, with one replica.
    pub async fn start(product: Product) -> Self {
        Self::builder(product).start().await
    }

    /// As [`Sentinels::start`], otherwise.
    pub fn builder(product: Product) -> Builder {
        Builder {
            product,
            replicas: 1,
            options: Vec::new(),
            lines: String::new(),
            tls: None,
        }
    }

    /// The store URL by which they are found.
    pub fn url(&self) -> String {
        let scheme = match self.tls {
            Some(_) => "rediss-sentinel",
            None => "redis-sentinel",
        };
        let all = self.sentinel_addresses();
        let all = all.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("{scheme}://{}/{SERVICE}", all.join(","))
    }

    /// Where the sentinels listen.
    pub fn sentinel_addresses(&self) -> [SocketAddr; SENTINELS] {
        std::array::from_fn(|number| loopback(self.sentinels[number].port))
    }

    /// A server, to be paused, resumed, asked where it listens and so on.
    pub fn server(&self, number: usize) -> &RedisServer {
        &self.servers[number]
    }

    /// The same, to be ended and started again.
    pub fn server_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// How many servers there are.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Connects to a server, whatever its role.
    pub async fn connect(&self, number: usize) -> MultiplexedConnection {
        let connected = self.connect_to(self.servers[number].address()).await;
        connected.expect("a connection")
    }

    /// Where the primary is, by what most sentinels say.
    pub async fn primary_address(&self) -> SocketAddr {
        self.poll("agreed", async || self.agreed().await).await
    }

    /// The number of the primary, by what most sentinels say.
    pub async fn primary(&self) -> usize {
        let address = self.primary_address().await;
        let mut all = self.servers.iter();
        let number = all.position(|it| it.address() == address);
        number.expect("one of the servers")
    }

    /// Has a replica take the primary's place while both live (`SENTINEL FAILOVER`), and waits until it has. Gives its
    /// number.
    pub async fn failover(&self) -> usize {
        let old = self.primary().await;
        // No replica is good enough until a sentinel has heard of it lately.
        self.poll("begun", async || {
            self.ask::<()>(0, &["FAILOVER", SERVICE]).await.ok()
        })
        .await;
        self.await_takeover(old).await
    }

    /// Kills the primary as a crash would, and gives its number.
    pub async fn kill_primary(&mut self) -> usize {
        let old = self.primary().await;
        self.kill(old);
        old
    }

    /// Kills a server as a crash would.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    /// Waits until another server than this one is the primary, by what most sentinels and itself say. Gives its number.
    pub async fn await_takeover(&self, old: usize) -> usize {
        self.poll("another primary", async || {
            let new = self.primary().await;
            (new != old && self.is_primary(new).await).then_some(new)
        })
        .await
    }

    /// Starts a server again where it was, empty.
    pub fn restart(&mut self, number: usize) {
        self.servers[number].restart();
    }

    /// Waits until a server is a replica.
    pub async fn await_replica(&self, number: usize) {
        self.poll("a replica", async || {
            (self.role(number).await? == "slave").then_some(())
        })
        .await;
    }

    /// Waits until every replica that runs is in step with the primary.
    pub async fn await_in_step(&self) {
        self.poll("in step", async || self.in_step().await).await;
    }

    /// Has these sentinels take this server for the primary, whatever its role, and the one before for nobody: what
    /// they find out behind a partition.
    pub async fn have_say(&self, sentinels: &[usize], number: usize) {
        let port = self.servers[number].address().port().to_string();
        for &sentinel in sentinels {
            for words in [
                &["REMOVE", SERVICE][..],
                &["MONITOR", SERVICE, "127.0.0.1", &port, "2"],
            ] {
                let told = self.ask::<()>(sentinel, words).await;
                told.unwrap_or_else(|error| panic!("{words:?}: {error}"));
            }
        }
    }

    /// Freezes a sentinel (SIGSTOP).
    pub fn pause_sentinel(&self, number: usize) {
        self.sentinels[number].process.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume_sentinel(&self, number: usize) {
        self.sentinels[number].process.signal("CONT");
    }

    /// Has them look, and tell each other, more often than every ten and every two seconds.
    async fn hurry(&self) {
        let periods = [
            "INFO-PERIOD",
            "500",
            "PUBLISH-PERIOD",
            "300",
            "TILT-PERIOD",
            "1000",
        ];
        for number in 0..SENTINELS {
            let words = [&["DEBUG"][..], &periods].concat();
            let told = self.ask::<()>(number, &words).await;
            told.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
    }

    async fn await_ready(&self) {
        self.await_in_step().await;
        for number in 0..SENTINELS {
            self.poll("acquainted", async || {
                let known = self.ask::<HashMap<String, String>>(number, &["MASTER", SERVICE]);
                let known = known.await.ok()?;
                let counts = |name: &str, count: usize| known.get(name) == Some(&count.to_string());
                let knows = counts("num-other-sentinels", SENTINELS - 1)
                    && counts("num-slaves", self.servers.len() - 1);
                knows.then_some(())
            })
            .await;
        }
    }

    async fn in_step(&self) -> Option<()> {
        for server in &self.servers {
            // One that is dead is in nobody's way.
            let Ok(mut connection) = self.connect_to(server.address()).await else {
                continue;
            };
            let mut info = cmd("INFO");
            info.arg("replication");
            let info: String = info.query_async(&mut connection).await.ok()?;
            if info.contains("role:slave") && !info.contains("master_link_status:up") {
                return None;
            }
        }
        Some(())
    }

    async fn agreed(&self) -> Option<SocketAddr> {
        let mut said = Vec::new();
        for number in 0..SENTINELS {
            let words = ["GET-MASTER-ADDR-BY-NAME", SERVICE];
            let answer = self.ask::<(String, u16)>(number, &words).await;
            said.extend(answer.ok().map(|(_, port)| loopback(port)));
        }
        let most = said.iter().find(|address| {
            let count = said.iter().filter(|it| it == address).count();
            count > SENTINELS / 2
        });
        most.copied()
    }

    async fn is_primary(&self, number: usize) -> bool {
        self.role(number).await.as_deref() == Some("master")
    }

    /// `None` where it does not tell.
    async fn role(&self, number: usize) -> Option<String> {
        let connected = self.connect_to(self.servers[number].address()).await;
        let role = cmd("ROLE");
        let mut connection = connected.ok()?;
        let role = role.query_async::<Vec<::redis::Value>>(&mut connection);
        let role = role.await.ok()?.into_iter().next()?;
        String::from_redis_value(role).ok()
    }

    /// Asks a sentinel (`SENTINEL …`).
    async fn ask<T: FromRedisValue>(&self, number: usize, words: &[&str]) -> Result<T, RedisError> {
        let address = loopback(self.sentinels[number].port);
        let mut connection = self.connect_to(address).await?;
        let mut command = cmd("SENTINEL");
        command.arg(words);
        command.query_async(&mut connection).await
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<MultiplexedConnection, RedisError> {
        let client = match &self.tls {
            Some(tls) => Client::build_with_tls(format!("rediss://{address}"), tls.clone())?,
            None => Client::open(format!("redis://{address}"))?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(Duration::from_secs(2)));
        let connected = client.get_multiplexed_async_connection_with_config(&config);
        // One that is frozen takes connections and says nothing.
        let connected = timeout(Duration::from_secs(2), connected).await;
        connected.unwrap_or_else(|_| Err((ErrorKind::Client, "no answer in time").into()))
    }

    async fn poll<T>(&self, what: &str, attempt: impl AsyncFn() -> Option<T>) -> T {
        let mut tick = interval(Duration::from_millis(20));
        let comes = timeout(PATIENCE, async {
            loop {
                tick.tick().await;
                if let Some(found) = attempt().await {
                    return found;
                }
            }
        });
        comes.await.unwrap_or_else(|_| panic!("never came: {what}"))
    }
}
