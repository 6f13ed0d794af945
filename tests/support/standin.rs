//! Somebody else's server: whatever the product asks on the internet, on a loopback port, in plain HTTP.
//!
//! What each path answers can be changed at any time, and what was asked is kept. It can be slow, and it can be away:
//! then connections are accepted and closed. An answer can also be none, or have no end. On threads of its own; it lasts
//! as long as the test process.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::http::{Head, body, visible};

/// A running server.
#[derive(Clone, Debug)]
pub struct StandIn {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    answers: HashMap<String, Reply>,
    /// What answers the other paths.
    others: Option<Others>,
    asked: Vec<Asked>,
    answered: usize,
    away: bool,
}

#[derive(Clone)]
struct Others(Arc<dyn Fn(&Asked) -> Reply + Send + Sync>);

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Others(..)")
    }
}

/// A request that reached it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query, as in the request line.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What a path answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How long it takes.
    pub after: Duration,
    /// What comes in its place.
    pub instead: Option<Instead>,
}

/// What is no answer.
#[derive(Clone, Copy, Debug)]
pub enum Instead {
    /// The end of the connection.
    Close,
    /// A body that never ends.
    Endless,
    /// Nothing, and the connection stays open.
    Silence,
}

impl Reply {
    /// 200 with this body.
    pub fn ok(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            after: Duration::ZERO,
            instead: None,
        }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::ok("")
        }
    }

    /// No answer.
    pub fn instead(instead: Instead) -> Self {
        Self {
            instead: Some(instead),
            ..Self::ok("")
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

impl StandIn {
    /// Starts one that answers 404 to everything.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let server = Self {
            address: listener.local_addr().expect("the port just bound"),
            inner: Arc::default(),
        };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    /// Starts one that asks for its answers.
    pub fn start_with(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let server = Self::start();
        server.lock().others = Some(Others(Arc::new(answer)));
        server
    }

    /// Gives the URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Says what a path answers from now on, whatever the query.
    pub fn answer(&self, path: &str, reply: Reply) {
        self.lock().answers.insert(path.to_owned(), reply);
    }

    /// From now on it closes every connection without an answer, or no more.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Gives every request that has reached it, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// How many requests it has answered.
    pub fn answered(&self) -> usize {
        self.lock().answered
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let lock = self.inner.lock();
        lock.expect("serving does not panic with the lock held")
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut unread = Vec::new();
        loop {
            while let Some((asked, length)) = parse(&unread) {
                unread.drain(..length);
                let path = asked
                    .target
                    .split('?')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let (known, others) = {
                    let mut inner = self.lock();
                    inner.asked.push(asked.clone());
                    if inner.away {
                        return Ok(());
                    }
                    (inner.answers.get(&path).cloned(), inner.others.clone())
                };
                let reply = known.or_else(|| others.map(|it| (it.0)(&asked)));
                let reply = reply.unwrap_or_else(|| Reply::status(404));
                thread::sleep(reply.after);
                match reply.instead {
                    None => stream.write_all(reply.written().as_bytes())?,
                    Some(instead) => return instead.happen(&mut stream),
                }
                self.lock().answered += 1;
            }
            let mut part = [0; 4096];
            let length = stream.read(&mut part)?;
            if length == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&part[..length]);
        }
    }
}

impl Instead {
    fn happen(self, stream: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Close => Ok(()),
            Self::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes())?;
                }
            }
            // Until the other side has had enough.
            Self::Silence => stream.read(&mut [0; 1]).map(|_| ()),
        }
    }
}

impl Reply {
    fn written(&self) -> String {
        let mut text = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + "\r\n" + &self.body
    }
}

fn parse(bytes: &[u8]) -> Option<(Asked, usize)> {
    let (head, begin) = Head::parse(bytes)?;
    let (body, length) = body(&bytes[begin..], head.framing())?;
    let line = visible(&head.start_line);
    let mut words = line.split(' ').map(str::to_owned);
    let asked = Asked {
        method: words.next()?,
        target: words.next()?,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (visible(name), visible(value)))
            .collect(),
        body: visible(&body),
    };
    Some((asked, begin + length))
}
