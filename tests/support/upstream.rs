//! The application behind Envoy: an HTTP/1.1 server that answers every request with what reached it.
//!
//! Written by hand on threads of its own, so that no library tidies what a test wants to see and a test that blocks
//! does not block it. It answers 200 to everything, with a JSON object:
//! `{"method": …, "path": …, "headers": [[name, value], …], "body": …}`, bytes outside visible ASCII
//! percent-encoded. [`Upstream::seen`] has the bytes themselves.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::http::{Head, body, visible};

/// A running upstream; it lasts as long as the test process.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Vec<u8>,
    /// The target as in the request line: path and query, nothing decoded.
    pub path: Vec<u8>,
    /// In order, repetitions kept.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Upstream {
    /// Starts one on a free loopback port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("the port just bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&requests);
                thread::spawn(move || serve(stream, &requests));
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives every request that has reached it, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen_where(|_| true)
    }

    /// Gives those of them that are meant.
    pub fn seen_where(&self, meant: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let seen = self
            .seen
            .lock()
            .expect("serving does not panic with the lock held");
        seen.iter().filter(|it| meant(it)).cloned().collect()
    }
}

impl Seen {
    /// Gives the values of a header in this very spelling, in order, made visible.
    pub fn headers_named(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(key, _)| key == name.as_bytes())
            .map(|(_, value)| visible(value))
            .collect()
    }

    fn to_json(&self) -> Value {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| [visible(name), visible(value)])
            .collect();
        json!({
            "method": visible(&self.method),
            "path": visible(&self.path),
            "headers": headers,
            "body": visible(&self.body),
        })
    }
}

fn serve(mut stream: TcpStream, requests: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let mut unread = Vec::new();
    loop {
        while let Some((seen, length)) = parse(&unread) {
            unread.drain(..length);
            let answer = seen.to_json().to_string();
            requests
                .lock()
                .expect("serving does not panic with the lock held")
                .push(seen);
            let length = answer.len();
            // In one piece: of several, the later would wait for the first to be acknowledged.
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}"
            );
            stream.write_all(answer.as_bytes())?;
        }
        let mut part = [0; 4096];
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        unread.extend_from_slice(&part[..length]);
    }
}

fn parse(bytes: &[u8]) -> Option<(Seen, usize)> {
    let (head, begin) = Head::parse(bytes)?;
    let (body, length) = body(&bytes[begin..], head.framing())?;
    // The first and the last space: a target may hold more, which is what a test would want to see.
    let line = head.start_line;
    let first = line.iter().position(|byte| *byte == b' ')?;
    let last = line.iter().rposition(|byte| *byte == b' ')?;
    let seen = Seen {
        method: line[..first].to_vec(),
        path: line.get(first + 1..last)?.to_vec(),
        headers: head.headers,
        body,
    };
    Some((seen, begin + length))
}
