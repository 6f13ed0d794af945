//! A server on loopback for tests: what it answers can be changed at any time, and it counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it answers by path, and what was asked. Ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Scripted {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    answers: HashMap<String, Answer>,
    asked: Vec<String>,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Scripted {
    /// Starts one that answers 404 to everything.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            address,
            inner: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    /// Gives the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Says what a path answers from now on; `headers` are whole lines.
    pub(crate) fn answer(&self, path: &str, status: u16, headers: &str, body: impl Into<String>) {
        let answer = Answer {
            status,
            headers: headers.to_owned(),
            body: body.into(),
        };
        self.lock().answers.insert(path.to_owned(), answer);
    }

    /// Gives every path that was asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let answer = {
            let mut inner = self.lock();
            inner.asked.push(path.clone());
            inner.answers.get(&path).cloned()
        };
        let Answer {
            status,
            headers,
            body,
        } = answer.unwrap_or(Answer {
            status: 404,
            headers: String::new(),
            body: String::new(),
        });
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}
