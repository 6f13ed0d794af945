//! A server under attack with somebody who is not a part of it, and connections that send any bytes at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::support::check::CheckClient;
use crate::support::client::{Client, Request};
use crate::support::server::Server;

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}", issue: "127.0.0.1:{issue}" }
store: { url: "memory:", directory_file: directory.yaml }
client_address: { from: peer }
platforms:
  - name: mine
    hosts: [mine.example]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ name: all, paths: ["/**"] }]
"#;

const DIRECTORY: &str = "mine: { accounts: [{ id: shop, name: Shop }] }\n";

/// How soon others are answered, also under attack.
const PROMPT: Duration = Duration::from_secs(1);

/// How often it may be asked for that: the tests share the machine, and not every delay is the server's.
const ATTEMPTS: usize = 4;

/// Longer than any peer is waited for, which is ten seconds, with time for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// How much memory an attack may cost, in bytes. A thousand connections alone have some 20 KiB each.
const MEMORY: u64 = 96 * 1024 * 1024;

/// How many descriptors may be open afterwards that were not before: of those who ask how it is.
const DESCRIPTORS: u64 = 8;

/// A server, and somebody who was connected to it before anything happened.
pub(crate) struct Site {
    pub(crate) server: Server,
    client: CheckClient,
    memory: u64,
    descriptors: u64,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let server = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)]);
        let client = CheckClient::connect(server.grpc()).await;
        let (memory, descriptors) = (server.memory(), server.descriptors());
        let mut site = Self {
            server,
            client,
            memory,
            descriptors,
        };
        site.serves_others("before anything").await;
        site.memory = site.server.memory();
        site
    }

    /// Asks all listeners, on connections that were there and on new ones, and looks at the memory.
    pub(crate) async fn serves_others(&mut self, when: &str) {
        let mut slowest = Duration::ZERO;
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            self.ask(when).await;
            slowest = begun.elapsed();
            if slowest <= PROMPT {
                break;
            }
        }
        assert!(slowest <= PROMPT, "{when}: answered after {slowest:?}");
        let more = self.server.memory().saturating_sub(self.memory);
        assert!(more <= MEMORY, "{when}: {more} bytes more than before");
    }

    async fn ask(&mut self, when: &str) {
        let asked = async {
            let old = self.client.check(Bytes::new()).await;
            let mut client = CheckClient::connect(self.server.grpc()).await;
            let new = client.check(Bytes::new()).await;
            for answer in [old, new] {
                assert!(answer.is_ok(), "{when}: {answer:?}");
            }
            let request = Request::new("GET", "/healthz").header("host", "any");
            for (listener, status) in [(self.server.admin(), 200), (self.server.issue(), 403)] {
                let mut client = Client::connect(listener).await;
                let answer = client.exchange(&request.to_bytes()).await;
                assert_eq!(answer.status, status, "{when}");
            }
        };
        let asked = timeout(PATIENCE, asked).await;
        assert!(asked.is_ok(), "{when}: not answered after {PATIENCE:?}");
    }

    /// Asks on the connection that was there.
    pub(crate) async fn is_served(&mut self, when: &str) {
        let answer = timeout(PATIENCE, self.client.check(Bytes::new())).await;
        assert!(matches!(answer, Ok(Ok(_))), "{when}: {answer:?}");
    }

    /// Waits until the server has closed what others had opened, and sees whether it serves on.
    pub(crate) async fn recovers(mut self) {
        let most = self.descriptors + DESCRIPTORS;
        let mut tick = interval(Duration::from_millis(50));
        let closed = timeout(PATIENCE, async {
            while self.server.descriptors() > most {
                tick.tick().await;
            }
        });
        assert!(
            closed.await.is_ok(),
            "{} descriptors are open after {PATIENCE:?}, {} were before",
            self.server.descriptors(),
            self.descriptors
        );
        self.serves_others("afterwards").await;
    }
}

/// Opens connections that have said this.
pub(crate) async fn many(count: usize, to: SocketAddr, said: &[u8]) -> Vec<TcpStream> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let peer = TcpStream::connect(to).await;
        let mut peer =
            peer.expect("a connection, unless `ulimit -n` is low: ./tests/run raises it");
        // The server may have closed it already.
        let _ = peer.write_all(said).await;
        peers.push(peer);
    }
    peers
}

/// Waits until the server has closed all of them.
pub(crate) async fn all_are_closed(peers: Vec<TcpStream>) {
    let mut closing = JoinSet::new();
    for mut peer in peers {
        closing.spawn(async move { is_closed(&mut peer).await });
    }
    closing.join_all().await;
}

/// Waits until the server closes the connection, reading what it says until then.
pub(crate) async fn is_closed(peer: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end as well.
    let closed = timeout(PATIENCE, peer.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "open after {PATIENCE:?}; said {said:?}");
    said
}

/// Sends bytes one a second until the server closes the connection.
pub(crate) async fn is_closed_on_a_byte_a_second(mut peer: TcpStream, bytes: &[u8]) {
    let (mut read, mut write) = peer.split();
    let dripping = async {
        let mut second = interval(Duration::from_secs(1));
        for byte in bytes.iter().cycle() {
            second.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    let mut said = Vec::new();
    let closed = async {
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = dripping => {}
        }
    };
    let closed = timeout(PATIENCE, closed).await;
    assert!(closed.is_ok(), "open after {PATIENCE:?}");
}

/// Sends the same over and over, reading nothing, until the server closes the connection.
pub(crate) async fn is_closed_though_nothing_is_read(mut peer: TcpStream, bytes: &[u8]) {
    let sending = async { while peer.write_all(bytes).await.is_ok() {} };
    let closed = timeout(PATIENCE, sending).await;
    assert!(closed.is_ok(), "open after {PATIENCE:?}");
}
