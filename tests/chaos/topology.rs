//! What stands where a store is: servers, the ways to them, and what a process is told of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, RedisError, Value, cmd};
use tokio::time::timeout;

use crate::support::proxy::Proxy;
use crate::support::redis::{Product, RedisServer};

/// How many processes are asked.
pub(crate) const PROCESSES: usize = 3;

/// Who the processes log in as, and with what.
pub(crate) const USER: &str = "portcullis";
pub(crate) const PASSWORD: &str = "the-right-password";

/// How long a server may take for a command of ours.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a store is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topology {
    Single,
}

impl Topology {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Single]
            .into_iter()
            .find(|it| it.to_string() == name)
    }

    /// How many ways there are.
    pub(crate) fn ways(self) -> usize {
        match self {
            // Each process has its own.
            Self::Single => PROCESSES,
        }
    }

    /// The only process that a way leads from; `None`: all.
    pub(crate) fn process_of(self, way: Option<usize>) -> Option<usize> {
        match self {
            Self::Single => way,
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
        })
    }
}

/// What stands there. Dropping it ends the servers.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) topology: Topology,
    /// Those that hold data.
    pub(crate) nodes: Vec<RedisServer>,
    pub(crate) ways: Arc<Vec<Proxy>>,
    /// By process.
    urls: Vec<String>,
    /// For whoever writes, who meets no fault of a way.
    pub(crate) writers: String,
}

impl Estate {
    /// Starts it, empty.
    pub(crate) fn start(topology: Topology) -> Self {
        match topology {
            Topology::Single => Self::single(),
        }
    }

    fn single() -> Self {
        let node = start_node();
        let ways: Vec<_> = [(); PROCESSES]
            .map(|()| Proxy::to(node.address()))
            .into_iter()
            .collect();
        Self {
            topology: Topology::Single,
            urls: ways.iter().map(Proxy::url).collect(),
            ways: Arc::new(ways),
            writers: node.url(),
            nodes: vec![node],
        }
    }

    /// The URL that a process has of its store.
    pub(crate) fn url(&self, process: usize) -> &str {
        &self.urls[process]
    }

    /// Gives the numbers of the nodes that are primaries now.
    pub(crate) async fn primaries(&self) -> Vec<usize> {
        let mut primaries = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let role = tell::<Vec<Value>>(node, "ROLE").await.unwrap_or_default();
            let is = |it: &Value| matches!(it, Value::BulkString(it) if it == b"master");
            if role.first().is_some_and(is) {
                primaries.push(number);
            }
        }
        primaries
    }
}

/// One that loses nothing of what it has acknowledged, however it ends, and that knows the processes' user.
fn start_node() -> RedisServer {
    let password = format!(">{PASSWORD}");
    let mut options = vec!["--appendonly", "yes", "--appendfsync", "always"];
    options.extend(["--user", USER, "on", &password, "~pc:*", "~pcu:*", "~pcw:*"]);
    options.extend(RIGHTS);
    RedisServer::start_with(Product::Redis, &options)
}

/// What README.md has for the user.
pub(crate) const RIGHTS: [&str; 13] = [
    "+client|tracking",
    "+client|trackinginfo",
    "+del",
    "+eval",
    "+evalsha",
    "+exists",
    "+get",
    "+incrby",
    "+pexpire",
    "+role",
    "+scan",
    "+set",
    "+wait",
];

/// Sends words that are divided by spaces to a server, on a connection of their own.
///
/// # Errors
/// What it answers, or that it does not within two seconds.
pub(crate) async fn tell<T: FromRedisValue>(
    node: &RedisServer,
    words: &str,
) -> Result<T, RedisError> {
    let mut command = cmd("");
    command.clear();
    command.arg(words.split(' ').collect::<Vec<_>>());
    ask(node, async |mut connection| {
        command.query_async(&mut connection).await
    })
    .await
}

/// Does something on a connection of its own, within two seconds.
///
/// # Errors
/// As [`tell`].
pub(crate) async fn ask<T>(
    node: &RedisServer,
    what: impl AsyncFnOnce(redis::aio::MultiplexedConnection) -> Result<T, RedisError>,
) -> Result<T, RedisError> {
    let client = redis::Client::open(node.url())?;
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let asked = async {
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        what(connection.await?).await
    };
    let late = |_| RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    timeout(PATIENCE * 2, asked).await.map_err(late)?
}
