//! The generator: so many connections, so many requests under way on each, every answer read.
//!
//! A closed loop: who was answered asks again. [`crate::open`] has the open one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::asked::Question;
pub use crate::connection::{Answered, End, Shape};
use crate::connection::{Connection, NoAnswer};

/// How long an answer is waited for: a machine that is busy makes no fault.
const TIMEOUT: &str = "20S";

/// Where a server is asked.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Loads the server, the caller with the number `first` asking first; panics at the first answer that is not right.
pub async fn load(
    place: &Place,
    question: &Arc<Question>,
    first: u64,
    shape: Shape,
    end: End,
) -> Answered {
    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        connections.push(Asker::connect(place).await);
    }
    let begun = Instant::now();
    let turns = Arc::new(AtomicU64::new(first));
    let mut streams = JoinSet::new();
    for asker in connections {
        for _ in 0..shape.streams {
            let (asker, question, turns) =
                (asker.clone(), Arc::clone(question), Arc::clone(&turns));
            streams.spawn(async move {
                let mut answers = 0;
                loop {
                    let turn = turns.fetch_add(1, Ordering::Relaxed);
                    let over = match end {
                        End::After(time) => begun.elapsed() >= time,
                        End::Answers(all) => turn - first >= all,
                    };
                    if over {
                        return answers;
                    }
                    asker.ask(&question, turn).await;
                    answers += 1;
                }
            });
        }
    }
    let answers = streams.join_all().await.iter().sum();
    let took = begun.elapsed();
    Answered { answers, took }
}

/// One connection.
#[derive(Clone)]
pub struct Asker(Connection);

impl Asker {
    pub async fn connect(place: &Place) -> Self {
        Self(match place {
            Place::Tcp(address) => Connection::open(*address, TIMEOUT).await,
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream.expect("a server that listens");
                Connection::over(stream, "localhost", TIMEOUT).await
            }
        })
    }

    /// Asks, and makes sure of the answer.
    pub async fn ask(&self, question: &Question, turn: u64) {
        let answer = self.answer(question.frame(turn)).await;
        let answer = answer.expect("an answer to every question");
        assert!(
            question.is_answered_by(&answer),
            "a wrong answer to {:?}: {answer:?}",
            question.kind
        );
    }

    /// Asks, and gives the message that came.
    pub async fn answer(&self, frame: Bytes) -> Result<Bytes, NoAnswer> {
        self.0.ask(frame).await
    }
}
