//! A way to a server over TCP that can be made slow, cut or led elsewhere, to see what the other end makes of it.
//!
//! ```ignore
//! let proxy = Proxy::to(redis.address());
//! proxy.set(Way::Slow(Duration::from_millis(100))); // what the server says arrives so much later
//! proxy.set(Way::Hole);      // a partition: connections stay, nothing arrives either way, none is refused
//! proxy.set(Way::Deaf);      // half of one: the server hears everything, and says nothing
//! proxy.set(Way::HalfClosed); // the server has said its last, and still listens
//! proxy.set(Way::Cut);       // connections end, and new ones are refused
//! proxy.set(Way::Open);      // what was held back arrives, as after retransmissions
//! proxy.lead_to(other);      // connections end, and new ones are to another server
//! proxy.translate(&names);   // where the server names another's address, the client reads the one of a proxy
//! ```
//!
//! On threads of its own, so that a test that blocks does not hold it up. It knows nothing of what is said, and lasts
//! as long as the test process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How the way is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    Open,
    Slow(Duration),
    Hole,
    Deaf,
    HalfClosed,
    Cut,
}

/// A way to a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    way: Way,
    to: SocketAddr,
    open: Vec<[TcpStream; 2]>,
    accepted: usize,
    names: Vec<(SocketAddr, SocketAddr)>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    There,
    Back,
}

impl Proxy {
    /// Opens one on a free loopback port.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("the port just bound");
        let state = State {
            way: Way::Open,
            to: server,
            open: Vec::new(),
            accepted: 0,
            names: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.take(&client);
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a store URL, without TLS.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Makes the way so, for connections that there are as for new ones.
    pub fn set(&self, way: Way) {
        let mut state = self.shared.state();
        state.way = way;
        match way {
            Way::Cut => state.end_all(),
            Way::HalfClosed => state.open.iter().for_each(half_close),
            Way::Open | Way::Slow(_) | Way::Hole | Way::Deaf => {}
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Ends all connections, and leads new ones to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        let mut state = self.shared.state();
        state.to = server;
        state.end_all();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Leads new connections to another server, and keeps those that there are where they are.
    pub fn lead_new_to(&self, server: SocketAddr) {
        self.shared.state().to = server;
    }

    /// Has the client read another address wherever the server names one of these, as sentinels and the nodes of a cluster
    /// do: that of a proxy to it, so that nobody goes past the proxies.
    ///
    /// # Panics
    /// Where the two are not of one length: what is said has its length before it.
    pub fn translate(&self, names: &[(SocketAddr, SocketAddr)]) {
        for (name, other) in names {
            assert_eq!(name.to_string().len(), other.to_string().len());
        }
        self.shared.state().names = names.to_vec();
    }

    /// How many connections were taken so far, also those that were ended at once.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }
}

impl State {
    fn end_all(&mut self) {
        for end in self.open.drain(..).flatten() {
            // It may have ended already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock held")
    }

    /// Takes a connection; it ends at once where the way is cut or nobody listens at its end.
    fn take(self: &Arc<Self>, client: &TcpStream) {
        let mut state = self.state();
        state.accepted += 1;
        if state.way == Way::Cut {
            return;
        }
        let Ok(server) = TcpStream::connect(state.to) else {
            return;
        };
        for end in [client, &server] {
            // Both ends send at once what they have, and so does whoever stands between. It may have ended already.
            let _ = end.set_nodelay(true);
        }
        let ends = || [client, &server].map(|it| it.try_clone().expect("a descriptor"));
        state.open.push(ends());
        if state.way == Way::HalfClosed {
            half_close(&ends());
        }
        drop(state);
        for direction in [Direction::There, Direction::Back] {
            let [client, server] = ends();
            let shared = Arc::clone(self);
            thread::spawn(move || match direction {
                Direction::There => shared.pump(client, server, direction),
                Direction::Back => shared.pump(server, client, direction),
            });
        }
    }

    /// Passes on what comes, when the way lets it.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction) {
        let mut part = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut part) {
            self.await_passage(Instant::now(), direction);
            if direction == Direction::Back {
                for names in &self.state().names {
                    rename(&mut part[..length], *names);
                }
            }
            if to.write_all(&part[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Waits until what came at this time may go on, by the way as it is meanwhile.
    fn await_passage(&self, came: Instant, direction: Direction) {
        let mut state = self.state();
        loop {
            let left = match (state.way, direction) {
                (Way::Slow(delay), Direction::Back) => delay.saturating_sub(came.elapsed()),
                (Way::Hole, _) | (Way::Deaf, Direction::Back) => Duration::MAX,
                _ => return,
            };
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left.min(MINUTE));
            state = waited.expect("nobody panics with the lock held").0;
        }
    }
}

fn half_close([client, _]: &[TcpStream; 2]) {
    // It may have ended already.
    let _ = client.shutdown(Shutdown::Write);
}

/// What may stand between a host and a port: in a redirection, in the answers to CLUSTER SLOTS, to SENTINEL
/// GET-MASTER-ADDR-BY-NAME and to SENTINEL REPLICAS, and in what a sentinel publishes.
const BETWEEN: [&str; 5] = [":", "\r\n:", "\r\n$5\r\n", "\r\n$4\r\nport\r\n$5\r\n", " "];

/// Puts another address in the place of one. What was cut in two by the way it came stays as it is.
pub fn rename(text: &mut [u8], (name, other): (SocketAddr, SocketAddr)) {
    for between in BETWEEN {
        let [from, to] = [name, other].map(|it| format!("{}{between}{}", it.ip(), it.port()));
        let mut at = 0;
        while let Some(found) = text[at..]
            .windows(from.len())
            .position(|it| it == from.as_bytes())
        {
            let begin = at + found;
            at = begin + to.len();
            text[begin..at].copy_from_slice(to.as_bytes());
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
