//! A Redis Cluster of a test's own: three primaries and a replica of each, on free ports.
//!
//! ```ignore
//! let mut cluster = Cluster::start(Product::Redis).await;
//! let config = format!("store: {{ url: \"{}\" }}", cluster.url());
//! let new = cluster.failover(0).await; // gracefully; `new` is the node that is a primary now
//! cluster.kill(new); // … or as a crash does; its replica takes over within some seconds
//! cluster.await_takeover(new).await;
//! cluster.restart(new); // comes back empty, as a replica
//! cluster.migrate_slot(slot, from, to).await;
//! ```
//!
//! - A node is called by its number, 0 to 5, whatever its role: 0 to 2 are the primaries at the start, 3 to 5 the replicas
//!   of 0 to 2, in this order.
//! - What lives on a node: `cluster.owner(cluster.slot(key).await).await`, or [`Cluster::key_on`], which makes such a key.
//! - Ready means that every node takes the cluster for whole, and every replica is in step with its primary.

use std::collections::BTreeMap;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, FromRedisValue, TlsCertificates, cmd};
use tokio::time::{interval, timeout};

use super::free_port;
use super::redis::{Product, RedisServer};

/// How many slots there are.
pub const SLOTS: u16 = 16_384;
const PRIMARIES: usize = 3;
const NODES: usize = 2 * PRIMARIES;
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster; dropping it kills all of it.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RedisServer>,
    /// By the node's number.
    ids: Vec<String>,
    /// What the tests themselves present, where it takes TLS only.
    tls: Option<TlsCertificates>,
}

impl Cluster {
    /// Starts one and waits until it is whole.
    pub async fn start(product: Product) -> Self {
        Self::start_with(product, &[]).await
    }

    /// As [`Cluster::start`] of a Redis that takes TLS only, from clients and among itself, with the files of a certificate,
    /// its key and the authority for both sides.
    pub async fn start_tls([certificate, key, ca]: [&str; 3], tests: TlsCertificates) -> Self {
        let mut options = vec!["--port", "0", "--tls-port", "{port}"];
        options.extend(["--tls-cluster", "yes", "--tls-replication", "yes"]);
        options.extend(["--tls-auth-clients", "yes", "--tls-cert-file", certificate]);
        options.extend(["--tls-key-file", key, "--tls-ca-cert-file", ca]);
        Self::start_of(Product::Redis, &options, Some(tests)).await
    }

    /// As [`Cluster::start`], with further options of each server's command line. A user of access rules among them leaves the
    /// default user as it is, by whom the cluster is put together.
    pub async fn start_with(product: Product, options: &[&str]) -> Self {
        Self::start_of(product, options, None).await
    }

    async fn start_of(product: Product, options: &[&str], tls: Option<TlsCertificates>) -> Self {
        let nodes = (0..NODES).map(|_| {
            let (port, bus) = (free_port(), free_port().to_string());
            let mut all = vec!["--cluster-enabled", "yes", "--cluster-port", &bus];
            all.extend(["--cluster-node-timeout", "1000"]);
            all.extend(["--cluster-replica-validity-factor", "0"]);
            all.extend(["--repl-diskless-sync-delay", "0"]);
            all.extend(options);
            (RedisServer::start_at(product, port, &all), bus)
        });
        let (nodes, buses): (Vec<_>, Vec<_>) = nodes.unzip();
        let mut cluster = Self {
            nodes,
            ids: Vec::new(),
            tls,
        };
        cluster.join(&buses).await;
        cluster
    }

    async fn join(&mut self, buses: &[String]) {
        for node in 0..NODES {
            let id = self.ask(node, "CLUSTER MYID").await;
            self.ids.push(id);
            self.tell(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", node + 1))
                .await;
        }
        for node in 1..NODES {
            let (ip, port) = (self.nodes[0].address().ip(), self.nodes[0].address().port());
            self.tell(node, &format!("CLUSTER MEET {ip} {port} {}", buses[0]))
                .await;
        }
        let share = usize::from(SLOTS) / PRIMARIES;
        for node in 0..PRIMARIES {
            let last = match node + 1 {
                PRIMARIES => usize::from(SLOTS),
                next => next * share,
            };
            let range = format!("CLUSTER ADDSLOTSRANGE {} {}", node * share, last - 1);
            self.tell(node, &range).await;
        }
        self.await_all("acquainted", async |cluster: &Self, node| {
            let info: String = cluster.ask(node, "CLUSTER INFO").await;
            let known: String = cluster.ask(node, "CLUSTER NODES").await;
            info.contains(&format!("cluster_known_nodes:{NODES}\r")) && !known.contains("handshake")
        })
        .await;
        for node in PRIMARIES..NODES {
            let primary = &self.ids[node - PRIMARIES];
            self.tell(node, &format!("CLUSTER REPLICATE {primary}"))
                .await;
        }
        self.await_whole().await;
    }

    /// How many nodes there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The cluster's address as a store URL.
    pub fn url(&self) -> String {
        let nodes = self.nodes.iter().map(|it| it.address().to_string());
        let scheme = self.tls.as_ref().map_or("redis", |_| "rediss");
        format!("{scheme}-cluster://{}", nodes.collect::<Vec<_>>().join(","))
    }

    /// The node's server, to be paused, resumed, asked where it listens and so on.
    pub fn node(&self, node: usize) -> &RedisServer {
        &self.nodes[node]
    }

    /// The same, to be ended and started again.
    pub fn node_mut(&mut self, node: usize) -> &mut RedisServer {
        &mut self.nodes[node]
    }

    /// Waits until every node takes the cluster for whole, and every replica is in step with its primary.
    pub async fn await_whole(&self) {
        self.await_all("whole", async |cluster: &Self, node| {
            let info: String = cluster.ask(node, "CLUSTER INFO").await;
            let nodes: String = cluster.ask(node, "CLUSTER NODES").await;
            let replication: String = cluster.ask(node, "INFO replication").await;
            let is_in_step = match replication.contains("role:master") {
                true => replication.contains("state=online"),
                false => replication.contains("master_link_status:up"),
            };
            let replicas = nodes.lines().filter(|it| it.contains("slave ")).count();
            info.contains("cluster_state:ok")
                && info.contains("cluster_slots_ok:16384")
                && replicas == NODES - PRIMARIES
                && is_in_step
        })
        .await;
    }

    /// The numbers of the primaries that have slots, by what a node says that is asked.
    pub async fn primaries(&self, asked: usize) -> Vec<usize> {
        let mut primaries: Vec<_> = self.map(asked).await.into_values().collect();
        primaries.sort_unstable();
        primaries.dedup();
        primaries
    }

    /// Which slot a key is in.
    pub async fn slot(&self, key: &str) -> u16 {
        self.ask(0, &format!("CLUSTER KEYSLOT {key}")).await
    }

    /// Which node a slot belongs to, by what node 0 or, where that is not told, another one says.
    pub async fn owner(&self, slot: u16) -> usize {
        self.map(0)
            .await
            .range(slot..)
            .next()
            .map(|(_, node)| *node)
            .expect("an owner of every slot")
    }

    /// Makes a key that begins so and lives on the node.
    pub async fn key_on(&self, node: usize, prefix: &str) -> String {
        for number in 0_u32.. {
            let key = format!("{prefix}{number}");
            if self.owner(self.slot(&key).await).await == node {
                return key;
            }
        }
        unreachable!("every primary has slots")
    }

    /// The last slot of each range, and whose it is.
    async fn map(&self, asked: usize) -> BTreeMap<u16, usize> {
        type Range = (u16, u16, (String, u16, String));
        let ranges: Vec<::redis::Value> = self.ask(asked, "CLUSTER SLOTS").await;
        let ranges = ranges.into_iter().map(|range| {
            let ::redis::Value::Array(mut parts) = range else {
                panic!("a range: {range:?}")
            };
            parts.truncate(3);
            let ::redis::Value::Array(node) = &mut parts[2] else {
                panic!("a node: {parts:?}")
            };
            node.truncate(3);
            let range = ::redis::from_redis_value::<Range>(::redis::Value::Array(parts));
            let (_, last, (_, _, id)) = range.expect("a range");
            (last, self.number(&id))
        });
        ranges.collect()
    }

    fn number(&self, id: &str) -> usize {
        let found = self.ids.iter().position(|it| it == id);
        found.unwrap_or_else(|| panic!("no node has the id {id}"))
    }

    /// Has the replica of a primary take its place gracefully, and gives the replica's number.
    pub async fn failover(&self, primary: usize) -> usize {
        let replica = self.replica_of(primary).await;
        self.tell(replica, "CLUSTER FAILOVER").await;
        self.await_all("of one mind", async |cluster: &Self, node| {
            let primaries = cluster.primaries(node).await;
            primaries.contains(&replica) && !primaries.contains(&primary)
        })
        .await;
        replica
    }

    /// The number of a replica of a primary.
    pub async fn replica_of(&self, primary: usize) -> usize {
        let replicas = format!("CLUSTER REPLICAS {}", self.ids[primary]);
        let replicas: Vec<String> = self.ask(primary, &replicas).await;
        let line = replicas.first().expect("a replica");
        self.number(line.split(' ').next().expect("an id"))
    }

    /// Ends a node as a crash does.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a node again, which has nothing then.
    pub fn restart(&mut self, node: usize) {
        self.nodes[node].restart();
    }

    /// Waits until another node has taken the place of one that was killed or hangs, in the eyes of a third.
    pub async fn await_takeover(&self, gone: usize) {
        let asked = self.nodes.len() - 1 - gone;
        let mut tick = interval(Duration::from_millis(20));
        let taken = timeout(PATIENCE, async {
            loop {
                tick.tick().await;
                let primaries = self.primaries(asked).await;
                let info: String = self.ask(asked, "CLUSTER INFO").await;
                if !primaries.contains(&gone) && info.contains("cluster_state:ok") {
                    return;
                }
            }
        });
        taken.await.expect("another primary within a minute");
    }

    /// Moves a slot with its keys to another primary, as an operator does.
    pub async fn migrate_slot(&self, slot: u16, from: usize, to: usize) {
        self.begin_migration(slot, from, to).await;
        while self.migrate_keys(slot, from, to, 10).await > 0 {}
        self.end_migration(slot, from, to).await;
    }

    /// Begins to move a slot: keys that the one lacks are asked of the other (ASK).
    pub async fn begin_migration(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (&self.ids[from], &self.ids[to]);
        let import = format!("CLUSTER SETSLOT {slot} IMPORTING {source}");
        self.tell(to, &import).await;
        let migrate = format!("CLUSTER SETSLOT {slot} MIGRATING {target}");
        self.tell(from, &migrate).await;
    }

    /// Moves some keys of a slot, and tells how many.
    pub async fn migrate_keys(&self, slot: u16, from: usize, to: usize, count: usize) -> usize {
        let some = format!("CLUSTER GETKEYSINSLOT {slot} {count}");
        let keys: Vec<String> = self.ask(from, &some).await;
        let address = self.nodes[to].address();
        for key in &keys {
            let (ip, port) = (address.ip(), address.port());
            // It answers NOKEY where the key has gone meanwhile.
            let _: String = self
                .ask(from, &format!("MIGRATE {ip} {port} {key} 0 5000"))
                .await;
        }
        keys.len()
    }

    /// Ends the move of a slot: everybody is told whose it is now.
    pub async fn end_migration(&self, slot: u16, from: usize, to: usize) {
        let target = &self.ids[to];
        for node in [to, from] {
            self.tell(node, &format!("CLUSTER SETSLOT {slot} NODE {target}"))
                .await;
        }
    }

    /// Asks a node with words that hold no spaces.
    pub async fn ask<T: FromRedisValue>(&self, node: usize, words: &str) -> T {
        let mut command = cmd("");
        command.clear();
        command.arg(words.split(' ').collect::<Vec<_>>());
        let answer = command.query_async(&mut self.connect(node).await).await;
        answer.unwrap_or_else(|error| panic!("node {node}, {words}: {error}"))
    }

    async fn tell(&self, node: usize, words: &str) {
        let _: String = self.ask(node, words).await;
    }

    /// Connects to a node.
    pub async fn connect(&self, node: usize) -> MultiplexedConnection {
        let client = match self.tls.clone() {
            Some(tls) => {
                let url = format!("rediss://{}", self.nodes[node].address());
                Client::build_with_tls(url, tls)
            }
            None => Client::open(self.nodes[node].url()),
        };
        let client = client.expect("a client");
        let connection = client.get_multiplexed_async_connection().await;
        connection.unwrap_or_else(|error| panic!("node {node}: {error}"))
    }

    async fn await_all(&self, state: &str, is_so: impl AsyncFn(&Self, usize) -> bool) {
        let mut tick = interval(Duration::from_millis(20));
        for node in 0..NODES {
            let comes = timeout(PATIENCE, async {
                while !is_so(self, node).await {
                    tick.tick().await;
                }
            });
            let came = comes.await;
            assert!(came.is_ok(), "node {node} is not {state}");
        }
    }
}
