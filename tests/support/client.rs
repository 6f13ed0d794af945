//! An HTTP/1.1 client that sends exactly the bytes it is given, from any loopback address.
//!
//! It adds no header, checks nothing and follows nothing; [`Request`] is a convenience over bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::http::Response;

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request on a connection of its own.
pub async fn exchange(to: SocketAddr, request: &Request) -> Response {
    Client::connect(to)
        .await
        .exchange(&request.to_bytes())
        .await
}

/// A request to be written out; what is not said is not sent.
#[derive(Clone, Debug)]
pub struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    /// Begins a request with its request line.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        let head = [method.as_bytes(), b" ", target.as_ref(), b" HTTP/1.1\r\n"].concat();
        let body = Vec::new();
        Self { head, body }
    }

    /// Adds a header line `name: value`, after those that are there.
    pub fn header(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.raw([name.as_ref(), b": ", value.as_ref(), b"\r\n"].concat())
    }

    /// Adds bytes to the head as they are; a line must bring its own end.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.head.extend_from_slice(bytes.as_ref());
        self
    }

    /// Sets the body, and a `content-length` for it.
    pub fn body(self, bytes: impl AsRef<[u8]>) -> Self {
        let body = bytes.as_ref().to_vec();
        Self {
            body,
            ..self.header("content-length", bytes.as_ref().len().to_string())
        }
    }

    /// Writes it out.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head.as_slice(), b"\r\n", self.body.as_slice()].concat()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    sent_head: bool,
}

impl Client {
    /// Connects from 127.0.0.1.
    pub async fn connect(to: SocketAddr) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST.into(), to).await
    }

    /// Connects from a chosen address: every one in 127.0.0.0/8 is this machine's.
    pub async fn connect_from(source: IpAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // From 127.0.0.1 it goes by itself, and then takes no port of those that `free_port` has just given.
        if source != IpAddr::from(Ipv4Addr::LOCALHOST) {
            socket
                .bind(SocketAddr::from((source, 0)))
                .expect("a loopback source address");
        }
        let stream = timeout(PATIENCE, socket.connect(to))
            .await
            .unwrap_or_else(|_| panic!("no connection to {to} within {PATIENCE:?}"))
            .unwrap_or_else(|error| panic!("no connection to {to}: {error}"));
        Self {
            stream,
            unread: Vec::new(),
            sent_head: false,
        }
    }

    /// Sends the bytes and waits for the answer to them; panics where the connection closes instead.
    pub async fn exchange(&mut self, bytes: &[u8]) -> Response {
        self.send(bytes).await;
        self.receive()
            .await
            .expect("the connection closed without an answer")
    }

    /// Sends bytes, a request or a part of one.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.sent_head = bytes.starts_with(b"HEAD ");
        // A refusal may come and the connection close before all is sent; the answer tells.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Waits for the next answer; `None` when the connection closes without one. Panics after ten seconds.
    pub async fn receive(&mut self) -> Option<Response> {
        timeout(PATIENCE, self.read_response())
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "no answer within {PATIENCE:?}; so far: {:?}",
                    String::from_utf8_lossy(&self.unread)
                )
            })
    }

    async fn read_response(&mut self) -> Option<Response> {
        let mut closed = false;
        loop {
            if let Some((response, length)) = Response::parse(&self.unread, self.sent_head, closed)
            {
                self.unread.drain(..length);
                return Some(response);
            }
            if closed {
                return None;
            }
            // A reset is an end as well.
            let read = self.stream.read_buf(&mut self.unread).await;
            closed = read.unwrap_or(0) == 0;
        }
    }
}
