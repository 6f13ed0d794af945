//! The floor: bare connections that the same server tells of the same key, and nothing done with it.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, Value, cmd};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::RECORD;
use crate::support::redis::RedisServer;

/// Gives how long after a write each connection was told of it, round by round.
pub async fn measure(redis: &RedisServer, count: usize, rounds: usize) -> Vec<Vec<Duration>> {
    // A query, so that what tells is RESP3.
    let client = Client::open(format!("{}?protocol=resp3", redis.url())).expect("a client");
    let (sender, mut told) = unbounded_channel();
    let mut watching = Vec::new();
    for _ in 0..count {
        watching.push(watch(&client, sender.clone()).await);
    }
    let mut writer = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let mut measured = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        let set = cmd("SET").arg(RECORD).arg(round).to_owned();
        set.query_async::<()>(&mut writer).await.expect("an answer");
        let mut took = Vec::new();
        for _ in 0..count {
            let heard: Instant = told.recv().await.expect("word from everybody");
            took.push(heard - begun);
        }
        measured.push(took);
    }
    measured
}

async fn watch(client: &Client, told: UnboundedSender<Instant>) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Invalidate {
            let _ = told.send(Instant::now());
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connection.await.expect("a connection");
    let mut tracking = cmd("CLIENT");
    tracking.arg(&["TRACKING", "ON", "BCAST", "PREFIX", "pc:"]);
    let on: Value = tracking
        .query_async(&mut connection)
        .await
        .expect("an answer");
    assert_eq!(on, Value::Okay);
    connection
}
