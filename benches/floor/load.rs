//! The generator: so many connections, so many requests under way on each, every answer read.
//!
//! It stands on h2 and not on tonic's client, which costs more than the server that is measured: the generator
//! would be the limit and every ratio 1. A closed loop: a stream asks again when it has been answered.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codegen::http::Request;

use crate::question::Asked;

/// More than any answer, so that windows are no part of what is measured.
const WINDOW: u32 = 1 << 20;

/// The bytes before a message (gRPC over HTTP/2, Length-Prefixed-Message): whether it is compressed, its length.
const PREFIX: usize = 5;

/// How the load is spread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

/// What came instead of an answer.
pub type NoAnswer = Box<dyn Error + Send + Sync>;

/// Asks once.
pub async fn ask(address: SocketAddr, message: &Bytes) -> Result<Bytes, NoAnswer> {
    Asker::connect(address, message).await.ask().await
}

/// One connection, and the question as it goes on the wire.
#[derive(Clone)]
struct Asker {
    connection: SendRequest<Bytes>,
    head: Request<()>,
    body: Bytes,
}

impl Asker {
    async fn connect(address: SocketAddr, message: &Bytes) -> Self {
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
        // What Envoy sends with a Check.
        let head = Request::post(format!(
            "http://{address}/envoy.service.auth.v3.Authorization/Check"
        ))
        .header("te", "trailers")
        .header("grpc-timeout", "200m")
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request made here");
        let mut body = BytesMut::with_capacity(PREFIX + message.len());
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).expect("a small message"));
        body.extend_from_slice(message);
        Self {
            connection,
            head,
            body: body.freeze(),
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
        let mut connection = self.connection.clone().ready().await?;
        let (response, mut body) = connection.send_request(self.head.clone(), false)?;
        body.send_data(self.body.clone(), true)?;
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
