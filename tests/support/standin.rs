//! A server on the internet that credentials are verified with, as a test wants it: honest, slow, broken, lying, huge.
//!
//! Written by hand on threads of its own, like [`super::upstream`]. What it answers, a function says that is given the
//! request; what a real one would answer is in the rooms beside, one for each.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::upstream::{Seen, parse};

/// How much of a body without end is sent before it is taken for endless.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

/// What comes of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status and JSON.
    Json(u16, Value),
    /// These bytes, whatever they are, and the end of the connection.
    Bytes(Vec<u8>),
    /// A body that never ends.
    Endless,
    /// Nothing, and the connection stays open.
    Silence,
}

impl Answer {
    /// A whole answer of a status, further header lines, and a body.
    pub fn whole(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n{headers}\r\n");
        Self::Bytes([head, body.to_owned()].concat().into_bytes())
    }
}

/// A running stand-in; it lasts as long as the test process.
#[derive(Debug)]
pub struct Standin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    answered: Arc<AtomicUsize>,
}

impl Standin {
    /// Starts one on a free loopback port; each answer comes after `delay`.
    pub fn start(
        delay: Duration,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("the port just bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answered = Arc::new(AtomicUsize::new(0));
        let (requests, count) = (Arc::clone(&seen), Arc::clone(&answered));
        let answer = Arc::new(move |request: &Seen| {
            thread::sleep(delay);
            answer(request)
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, count) = (Arc::clone(&requests), Arc::clone(&count));
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(stream, &requests, &count, &*answer));
            }
        });
        Self {
            address,
            seen,
            answered,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives every request that has reached it, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock();
        seen.expect("serving does not panic with the lock held")
            .clone()
    }

    /// How many it has answered.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn serve(
    mut stream: TcpStream,
    requests: &Mutex<Vec<Seen>>,
    answered: &AtomicUsize,
    answer: &dyn Fn(&Seen) -> Answer,
) -> io::Result<()> {
    let mut unread = Vec::new();
    loop {
        while let Some((seen, length)) = parse(&unread) {
            unread.drain(..length);
            requests
                .lock()
                .expect("serving does not panic with the lock held")
                .push(seen.clone());
            match answer(&seen) {
                Answer::Json(status, value) => {
                    let body = value.to_string();
                    let headers = "content-type: application/json\r\n";
                    let Answer::Bytes(bytes) = Answer::whole(status, headers, &body) else {
                        unreachable!("a whole answer is bytes");
                    };
                    stream.write_all(&bytes)?;
                }
                Answer::Bytes(bytes) => {
                    stream.write_all(&bytes)?;
                    answered.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                Answer::Endless => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                    for _ in 0..ENDLESS_BYTES / 1024 {
                        stream.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes())?;
                    }
                    panic!("somebody has read {ENDLESS_BYTES} bytes of a body without end");
                }
                Answer::Silence => {
                    // Until the other side has had enough.
                    let _ = stream.read(&mut [0; 1]);
                    return Ok(());
                }
            }
            answered.fetch_add(1, Ordering::SeqCst);
        }
        let mut part = [0; 4096];
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        unread.extend_from_slice(&part[..length]);
    }
}
