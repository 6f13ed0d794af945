//! The generator: so many connections, so many requests under way on each, every answer read.
//!
//! A closed loop: a stream asks again when it has been answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::task::JoinSet;

pub use crate::connection::{Answered, End, Shape};
use crate::connection::{Connection, NoAnswer, framed};
use crate::question::Asked;

/// How long an answer is waited for, as an Envoy says by default.
const TIMEOUT: &str = "200m";

/// Loads the server; panics at the first answer that is not the right one.
pub async fn load(
    address: SocketAddr,
    (asked, message): (Asked, &Bytes),
    shape: Shape,
    end: End,
) -> Answered {
    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        connections.push(Asker::connect(address, message).await);
    }
    let begun = Instant::now();
    let count = Arc::new(AtomicU64::new(0));
    let mut streams = JoinSet::new();
    for asker in connections {
        for _ in 0..shape.streams {
            streams.spawn(asker.clone().ask_on(asked, begun, end, Arc::clone(&count)));
        }
    }
    let answers = streams.join_all().await.iter().sum();
    let took = begun.elapsed();
    Answered { answers, took }
}

/// Asks once.
pub async fn ask(address: SocketAddr, message: &Bytes) -> Result<Bytes, NoAnswer> {
    Asker::connect(address, message).await.ask().await
}

/// One connection, and the question as it goes on the wire.
#[derive(Clone)]
struct Asker {
    connection: Connection,
    frame: Bytes,
}

impl Asker {
    async fn connect(address: SocketAddr, message: &Bytes) -> Self {
        Self {
            connection: Connection::open(address, TIMEOUT).await,
            frame: framed(message),
        }
    }

    async fn ask_on(self, asked: Asked, begun: Instant, end: End, count: Arc<AtomicU64>) -> u64 {
        let mut answers = 0;
        loop {
            let over = match end {
                End::After(time) => begun.elapsed() >= time,
                End::Answers(all) => count.fetch_add(1, Ordering::Relaxed) >= all,
            };
            if over {
                return answers;
            }
            let answer = self.ask().await.expect("an answer to every question");
            assert!(asked.is_answered_by(&answer), "a wrong answer: {answer:?}");
            answers += 1;
        }
    }

    async fn ask(&self) -> Result<Bytes, NoAnswer> {
        self.connection.ask(self.frame.clone()).await
    }
}
