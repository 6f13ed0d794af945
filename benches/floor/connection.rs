//! A connection on which Checks are asked, and the words for a load of them.
//!
//! It stands on h2 and not on tonic's client, which costs more than the server that is measured: the generator
//! would be the limit and every ratio 1.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::codegen::http::Request;

/// More than any answer, so that windows are no part of what is measured.
const WINDOW: u32 = 1 << 20;

/// The bytes before a message (gRPC over HTTP/2, Length-Prefixed-Message): whether it is compressed, its length.
pub const PREFIX: usize = 5;

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

/// What came instead of an answer.
pub type NoAnswer = Box<dyn Error + Send + Sync>;

/// Puts before a message what goes before it on the wire.
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a small message"));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// One connection.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    head: Request<()>,
}

impl Connection {
    /// Connects; `timeout` is what is said of how long an answer is waited for (`grpc-timeout`).
    pub async fn open(address: SocketAddr, timeout: &str) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("a server that listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self::over(stream, &address.to_string(), timeout).await
    }

    /// The same over a stream to a server that is called so.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        authority: &str,
        timeout: &str,
    ) -> Self {
        let mut builder = Builder::new();
        builder
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            // Who falls behind gets answers in pieces, and is no less to be measured.
            .data_frame_budget(usize::MAX);
        let (requests, driver) = builder.handshake(stream).await.expect("HTTP/2");
        tokio::spawn(driver);
        // What Envoy sends with a Check.
        let head = Request::post(format!(
            "http://{authority}/envoy.service.auth.v3.Authorization/Check"
        ))
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request made here");
        Self { requests, head }
    }

    /// Asks with a framed message, and gives the message that came.
    pub async fn ask(&self, frame: Bytes) -> Result<Bytes, NoAnswer> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut body) = requests.send_request(self.head.clone(), false)?;
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
