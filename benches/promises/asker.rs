//! The generator: so many connections, so many requests under way on each, every answer read.
//!
//! On h2, as in the bench `floor`, and for its reason: tonic's client costs more than the servers. A closed loop: who was
//! answered asks again. [`crate::open`] has the open one.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codegen::http::Request;

use crate::asked::{PREFIX, Question};

/// More than any answer, so that windows are no part of what is measured.
const WINDOW: u32 = 1 << 20;

/// How the load is spread.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub connections: usize,
    pub streams: usize,
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    After(Duration),
    Answers(u64),
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    pub answers: u64,
    pub took: Duration,
}

/// Loads the server, the caller with the number `first` asking first; panics at the first answer that is not right.
pub async fn load(
    address: SocketAddr,
    question: &Arc<Question>,
    first: u64,
    shape: Shape,
    end: End,
) -> Answered {
    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        connections.push(Asker::connect(address).await);
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

/// What came instead of an answer.
pub type NoAnswer = Box<dyn Error + Send + Sync>;

/// One connection.
#[derive(Clone)]
pub struct Asker {
    connection: SendRequest<Bytes>,
    head: Request<()>,
}

impl Asker {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("a server that listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut builder = Builder::new();
        builder
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let (connection, driver) = builder.handshake(stream).await.expect("HTTP/2");
        tokio::spawn(driver);
        // What Envoy sends with a Check, with a longer time: a machine that is busy makes no fault.
        let head = Request::post(format!(
            "http://{address}/envoy.service.auth.v3.Authorization/Check"
        ))
        .header("te", "trailers")
        .header("grpc-timeout", "20S")
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request made here");
        Self { connection, head }
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
        let mut connection = self.connection.clone().ready().await?;
        let (response, mut body) = connection.send_request(self.head.clone(), false)?;
        body.send_data(frame, true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut frame = BytesMut::new();
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            frame.extend_from_slice(&part);
        }
        // Only the trailers of an answer with a message say that the call went well.
        let trailers = body.trailers().await?.unwrap_or_default();
        let ended_well = trailers.get("grpc-status").is_some_and(|it| it == "0");
        if !ended_well || frame.len() < PREFIX {
            return Err(format!("{head:?}, {} bytes, {trailers:?}", frame.len()).into());
        }
        Ok(frame.split_off(PREFIX).freeze())
    }
}
