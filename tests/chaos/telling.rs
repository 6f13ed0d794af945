//! What is said to a server to have it fail, or to see how it is: by the user who may do anything, past all proxies.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, RedisError, Value, cmd};
use tokio::time::timeout;

use crate::support::redis::RedisServer;

/// How long a server may take for a command.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends words that are divided by spaces to a server, on a connection of their own.
///
/// # Errors
/// What it answers, or that it does not within five seconds.
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

/// Does something on a connection of its own, however long that takes once the connection is there.
///
/// # Errors
/// As [`tell`].
pub(crate) async fn ask<T>(
    node: &RedisServer,
    what: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, RedisError>,
) -> Result<T, RedisError> {
    let client = redis::Client::open(node.url())?;
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    // One that is frozen takes connections and says nothing.
    let connection = timeout(PATIENCE, connection).await;
    let late = |_| RedisError::from((ErrorKind::Io, "no connection in time"));
    what(connection.map_err(late)??).await
}

/// Whether a server is a primary; `None` where it does not tell.
pub(crate) async fn is_primary(node: &RedisServer) -> Option<bool> {
    let role = tell::<Vec<Value>>(node, "ROLE").await.ok()?;
    Some(matches!(role.first(), Some(Value::BulkString(it)) if it == b"master"))
}

/// Whether a server is in step: a replica with its primary, or a primary with `replicas` of its own.
pub(crate) async fn is_in_step(node: &RedisServer, replicas: usize) -> bool {
    let info = tell::<String>(node, "INFO replication").await;
    let info = info.unwrap_or_default();
    match info.contains("role:master") {
        true => info.matches("state=online").count() == replicas,
        false => info.contains("master_link_status:up"),
    }
}
