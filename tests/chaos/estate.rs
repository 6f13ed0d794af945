//! What stands there: servers, the ways to them, and what each process is told of them.
//!
//! Every process has a proxy of its own to each server, and reads the address of that wherever another server names it,
//! so that its ways may fail and nobody else's. Servers know each other directly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{RedisError, Value};
use tokio::time::sleep;

use super::telling::{is_in_step, is_primary, tell};
use super::topology::Topology;
use crate::support::cluster::Cluster;
use crate::support::proxy::{Proxy, Way};
use crate::support::redis::{Product, RedisServer};
use crate::support::sentinel::Sentinels;
#[cfg(test)]
use crate::support::{loopback, proxy::rename};

/// How many processes are asked.
pub(crate) const PROCESSES: usize = 3;

/// Who the processes log in as, and with what: one of those who only answer Checks, with the rights that `deploy/RUNNING.md` gives them.
pub(crate) const USER: &str = "portcullis-sidecar";
pub(crate) const PASSWORD: &str = "the-right-password";
const USERS: &str = include_str!("../../deploy/redis/users.acl");

/// How long until all stands as at the start.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// What stands there. Dropping it ends the servers.
#[derive(Debug)]
pub(crate) struct Estate {
    servers: Servers,
    /// By process.
    pub(crate) ways: Arc<Vec<Ways>>,
    urls: Vec<String>,
    /// For whoever writes, who meets no fault of a way.
    pub(crate) writers: String,
}

#[derive(Debug)]
enum Servers {
    Single(RedisServer),
    Sentinel(Sentinels),
    Cluster(Cluster),
}

/// The ways of a process: first those to servers with data, by their number, then those to sentinels.
#[derive(Debug)]
pub(crate) struct Ways {
    all: Vec<Proxy>,
    nodes: usize,
}

impl Ways {
    fn to(nodes: &[SocketAddr], sentinels: &[SocketAddr]) -> Self {
        let servers = [nodes, sentinels].concat();
        let all: Vec<_> = servers.iter().map(|it| Proxy::to(*it)).collect();
        let names = servers.iter().zip(&all);
        let names: Vec<_> = names.map(|(it, proxy)| (*it, proxy.address())).collect();
        all.iter().for_each(|it| it.translate(&names));
        Self {
            all,
            nodes: nodes.len(),
        }
    }

    /// Makes all of them so, or those to servers with data alone.
    pub(crate) fn set(&self, way: Way, to_sentinels_too: bool) {
        let count = match to_sentinels_too {
            true => self.all.len(),
            false => self.nodes,
        };
        self.all[..count].iter().for_each(|it| it.set(way));
    }

    fn addresses(&self) -> Vec<String> {
        self.all.iter().map(|it| it.address().to_string()).collect()
    }
}

impl Estate {
    /// Starts it, empty.
    pub(crate) async fn start(topology: Topology) -> Self {
        let options = options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        match topology {
            Topology::Single => {
                let server = RedisServer::start_with(Product::Redis, &options);
                let writers = server.url();
                Self::of(Servers::Single(server), writers, &[], |ways| {
                    format!("redis://{}", ways[0])
                })
            }
            Topology::Sentinel => {
                let builder = Sentinels::builder(Product::Redis).options(&options);
                let group = builder.start().await;
                let (writers, sentinels) = (group.url(), group.sentinel_addresses());
                let named = group.url().rsplit_once('/').map(|(_, it)| it.to_owned());
                let named = named.expect("the name of what they watch over");
                let nodes = group.count();
                Self::of(Servers::Sentinel(group), writers, &sentinels, |ways| {
                    format!("redis-sentinel://{}/{named}", ways[nodes..].join(","))
                })
            }
            Topology::Cluster => {
                let cluster = Cluster::start_with(Product::Redis, &options).await;
                let writers = cluster.url();
                Self::of(Servers::Cluster(cluster), writers, &[], |ways| {
                    format!("redis-cluster://{}", ways.join(","))
                })
            }
        }
    }

    fn of(
        servers: Servers,
        writers: String,
        sentinels: &[SocketAddr],
        url: impl Fn(&[String]) -> String,
    ) -> Self {
        let nodes = (0..servers.count()).map(|it| servers.node(it).address());
        let nodes: Vec<_> = nodes.collect();
        let ways = (0..PROCESSES).map(|_| Ways::to(&nodes, sentinels));
        let ways: Vec<_> = ways.collect();
        Self {
            servers,
            urls: ways.iter().map(|it| url(&it.addresses())).collect(),
            ways: Arc::new(ways),
            writers,
        }
    }

    /// The URL that a process has of its store.
    pub(crate) fn url(&self, process: usize) -> &str {
        &self.urls[process]
    }

    pub(crate) fn node(&self, number: usize) -> &RedisServer {
        self.servers.node(number)
    }

    pub(crate) fn node_mut(&mut self, number: usize) -> &mut RedisServer {
        match &mut self.servers {
            Servers::Single(server) => server,
            Servers::Sentinel(group) => group.server_mut(number),
            Servers::Cluster(cluster) => cluster.node_mut(number),
        }
    }

    /// All servers with data.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &RedisServer> {
        (0..self.servers.count()).map(|it| self.node(it))
    }

    pub(crate) fn has_replicas(&self) -> bool {
        !matches!(self.servers, Servers::Single(_))
    }

    /// Gives the numbers of the servers that are primaries now.
    pub(crate) async fn primaries(&self) -> Vec<usize> {
        let mut primaries = Vec::new();
        for (number, node) in self.nodes().enumerate() {
            if is_primary(node).await == Some(true) {
                primaries.push(number);
            }
        }
        primaries
    }

    /// Has a replica take the place of this primary while both live.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) async fn fail_over(&self, primary: usize) -> Result<(), RedisError> {
        match &self.servers {
            Servers::Single(server) => tell::<Value>(server, "PING").await.map(drop),
            Servers::Sentinel(group) => {
                group.failover().await;
                Ok(())
            }
            Servers::Cluster(cluster) => {
                cluster.failover(primary).await;
                Ok(())
            }
        }
    }

    /// Waits until another has taken the place of a primary that was lost.
    pub(crate) async fn await_takeover(&self, lost: usize) {
        match &self.servers {
            Servers::Single(_) => {}
            Servers::Sentinel(group) => {
                group.await_takeover(lost).await;
            }
            Servers::Cluster(cluster) => cluster.await_takeover(lost).await,
        }
    }

    /// Waits until as many are primaries as at the start, and everybody else is in step with one.
    ///
    /// # Panics
    /// Where that does not come.
    pub(crate) async fn await_whole(&self) {
        let begun = Instant::now();
        while !self.is_whole().await {
            assert!(begun.elapsed() < PATIENCE, "the store is not whole again");
            sleep(PAUSE).await;
        }
    }

    async fn is_whole(&self) -> bool {
        let (primaries, replicas) = match self.servers {
            Servers::Single(_) => (1, 0),
            Servers::Sentinel(_) => (1, 1),
            Servers::Cluster(_) => (3, 1),
        };
        for node in self.nodes() {
            if !is_in_step(node, replicas).await {
                return false;
            }
            let is_member = matches!(self.servers, Servers::Cluster(_));
            let state = match is_member {
                true => tell::<String>(node, "CLUSTER INFO").await,
                false => Ok(String::new()),
            };
            if is_member && !state.is_ok_and(|it| it.contains("cluster_state:ok")) {
                return false;
            }
        }
        self.primaries().await.len() == primaries
    }
}

impl Servers {
    fn node(&self, number: usize) -> &RedisServer {
        match self {
            Self::Single(server) => server,
            Self::Sentinel(group) => group.server(number),
            Self::Cluster(cluster) => cluster.node(number),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Sentinel(group) => group.count(),
            Self::Cluster(cluster) => cluster.count(),
        }
    }
}

/// A server that loses nothing of what it has acknowledged, however it ends, and that knows the processes' user.
fn options() -> Vec<String> {
    let mut options = vec!["--appendonly", "yes", "--appendfsync", "always"];
    let mut users = USERS.lines().map(|it| it.split(' '));
    let ours = users.find(|it| it.clone().any(|word| word == USER));
    let rights = ours.expect("a line of this user").skip(2);
    let password = format!(">{PASSWORD}");
    options.extend(["--user", USER]);
    options.extend(rights.map(|it| match it.starts_with('#') {
        true => &password,
        false => it,
    }));
    options.into_iter().map(str::to_owned).collect()
}

#[test]
fn addresses_are_translated_wherever_servers_name_them() {
    let names = (loopback(40_001), loopback(50_002));
    for (said, read) in [
        (
            "-MOVED 7 127.0.0.1:40001\r\n",
            "-MOVED 7 127.0.0.1:50002\r\n",
        ),
        (
            "$9\r\n127.0.0.1\r\n$5\r\n40001\r\n",
            "$9\r\n127.0.0.1\r\n$5\r\n50002\r\n",
        ),
        (
            "$9\r\n127.0.0.1\r\n:40001\r\n",
            "$9\r\n127.0.0.1\r\n:50002\r\n",
        ),
        (":40001\r\n127.0.0.1:40003", ":40001\r\n127.0.0.1:40003"),
    ] {
        let mut text = said.as_bytes().to_vec();
        rename(&mut text, names);
        assert_eq!(String::from_utf8_lossy(&text), read);
    }
}
