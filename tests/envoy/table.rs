//! Tables of requests and what must come of them.
//!
//! A row is a name, a request, and a transcript: either what reached the application,
//!
//! ```text
//! GET /orders/1 reached the upstream
//! x-auth-platform: mine
//! ```
//!
//! with every header that Envoy did not add itself, and the body, where there is one; or what the client was answered while nothing reached it,
//!
//! ```text
//! 401
//! content-type: application/json
//!
//! {"trouble":"missing"}
//! ```
//!
//! with every header but Envoy's own, and what differs from answer to answer as the golden bodies have it. Transcripts are compared as a whole, so a header too many is a failure as much as
//! one that lacks. Each row goes through both listeners, Envoy's usual one and the one with `encode_raw_headers`; the
//! second usually meets a warm cache, and must be answered the same. Where several servers share a store, each row goes
//! through all of them.
//!
//! A table is a function that makes its rows; `tables.rs` says on which stores it is tried.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{interval, timeout};

use crate::support::client::{Client, Request};
use crate::support::envoy::Envoy;
use crate::support::http::{Response, fetch, visible};
use crate::support::server::Server;
use crate::support::upstream::{Seen, Upstream};

/// How long what is done in one place may take to reach another.
const PATIENCE: Duration = Duration::from_secs(20);

/// Headers that every request reaches the upstream with, and that are the same however it is decided.
const ENVOYS_REQUEST_HEADERS: [&str; 5] = [
    "content-length",
    "host",
    "x-envoy-expected-rq-timeout-ms",
    "x-forwarded-proto",
    "x-request-id",
];

const ENVOYS_RESPONSE_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "date",
    "server",
    "x-envoy-upstream-service-time",
];

/// What stands in the golden bodies for what differs from answer to answer.
const GOLDEN_ID: &str = "0b7f6b8e3f8f4d0c9a55f3d1c2b4a697";
const GOLDEN_NODE: &str = "node-1";
const GOLDEN_TIME: &str = "2026-11-22T17:04:05Z";
const GOLDEN_TOKEN: &str = "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl";
const GOLDEN_VERSION: &str = "4.3.142";
/// The seconds after which a fault may be tried again, which are spread.
const GOLDEN_WAIT: &str = "1";
const WAITS: [&str; 3] = ["1", "2", "3"];

/// Servers with the sample configuration on one store, an Envoy before each, and the upstream of them all.
#[derive(Debug)]
pub(crate) struct World {
    store: &'static str,
    sides: Vec<(Server, Envoy)>,
    upstream: Upstream,
}

impl World {
    /// Puts Envoys before the servers; `store` is how failures call what they share.
    pub(crate) fn of(store: &'static str, servers: Vec<Server>) -> Self {
        let upstream = Upstream::start();
        let with_envoy = |server: Server| {
            let envoy = Envoy::builder(server.grpc(), upstream.address())
                .check_timeout(Duration::from_secs(20))
                .issue(server.issue())
                .host("*", &[])
                .host("by-route.example.com", &[("platform", "mine")])
                .host("astray.example.com", &[("platform", "nobody")])
                .start();
            (server, envoy)
        };
        Self {
            store,
            sides: servers.into_iter().map(with_envoy).collect(),
            upstream,
        }
    }

    /// One of its servers, for commands.
    pub(crate) fn server(&self) -> &Server {
        &self.sides[0].0
    }

    /// What the server of one side counts, as Prometheus reads it.
    pub(crate) fn metrics(&self, side: usize) -> String {
        let metrics = fetch(self.sides[side].0.admin(), "/metrics");
        metrics.expect("an admin listener").text().to_owned()
    }

    /// Where the servers answer what issues, without an Envoy before them.
    pub(crate) fn issue_listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.sides.iter().map(|(server, _)| server.issue())
    }

    /// The last of its servers and Envoys: another than the first where there are several.
    pub(crate) fn last(&self) -> usize {
        self.sides.len() - 1
    }

    /// Where one side's Envoy listens, the usual way.
    pub(crate) fn address(&self, side: usize) -> SocketAddr {
        self.sides[side].1.plain()
    }

    /// Sends one request to one side, from an address that nobody has come from before.
    pub(crate) async fn ask(&self, side: usize, request: &Request) -> Response {
        self.ask_from(side, fresh_address(), request).await
    }

    /// As [`World::ask`], from this address.
    pub(crate) async fn ask_from(&self, side: usize, from: IpAddr, request: &Request) -> Response {
        let mut client = Client::connect_from(from, self.address(side)).await;
        client.exchange(&request.to_bytes()).await
    }

    /// Sends every row through both listeners of every Envoy; panics with all that came out otherwise than it should.
    pub(crate) async fn check(&self, table: &str, rows: Vec<Row>) {
        let failures = self.failures(table, rows).await;
        assert!(failures.is_empty(), "\n{failures}{}", self.log());
    }

    /// As [`World::check`], but gives what came out otherwise, or nothing.
    pub(crate) async fn failures(&self, table: &str, rows: Vec<Row>) -> String {
        let mut failures = String::new();
        for row in rows {
            for (number, (_, envoy)) in self.sides.iter().enumerate() {
                for (listener, address) in [
                    ("plain", envoy.plain()),
                    ("raw_headers", envoy.raw_headers()),
                ] {
                    let (want, got) = self.send(&row, address).await;
                    if got != want {
                        let (name, store, number) = (&row.name, self.store, number + 1);
                        failures += &format!(
                            "== {table}: {name} (on {store}, server {number}, {listener})\n-- want\n{want}\n-- got\n{got}\n\n"
                        );
                    }
                }
            }
        }
        failures
    }

    /// Sends a row again and again until it comes out as it should, everywhere: for what reaches a server by itself.
    pub(crate) async fn await_check(&self, row: Row) {
        let mut tick = interval(Duration::from_millis(10));
        let mut failures = String::new();
        let came = timeout(PATIENCE, async {
            loop {
                failures = self.failures("awaited", vec![row.clone()]).await;
                if failures.is_empty() {
                    return;
                }
                tick.tick().await;
            }
        });
        let came = came.await;
        assert!(
            came.is_ok(),
            "after {PATIENCE:?}:\n{failures}{}",
            self.log()
        );
    }

    /// Gives the transcript of what one side answers to a request, from this address, by the id of the golden bodies.
    pub(crate) async fn told(&self, side: usize, from: IpAddr, request: &Request) -> String {
        let request = request.clone().header("x-request-id", GOLDEN_ID);
        answer(&self.ask_from(side, from, &request).await)
    }

    /// Gives what every server has written.
    pub(crate) fn log(&self) -> String {
        let log = |(server, _): &(Server, Envoy)| server.log();
        self.sides.iter().map(log).collect()
    }

    async fn send(&self, row: &Row, address: SocketAddr) -> (String, String) {
        let id = fresh_id();
        let request = row.request.clone().header("x-request-id", &id);
        let from = row.from.unwrap_or_else(fresh_address);
        let mut client = Client::connect_from(from, address).await;
        let response = client.exchange(&request.to_bytes()).await;
        let named = |it: &Seen| it.headers_named("x-request-id") == [id.as_str()];
        let got = transcript(&response, &self.upstream.seen_where(named));
        (row.want.replace(GOLDEN_ID, &id), got)
    }
}

/// A request and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    request: Request,
    want: String,
    /// `None`: another address each time.
    from: Option<IpAddr>,
}

/// Makes a row.
pub(crate) fn row(name: impl Into<String>, request: Request, want: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        request,
        want: want.into(),
        from: Some(Ipv4Addr::LOCALHOST.into()),
    }
}

impl Row {
    /// The request, as it is sent.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Sends the request from another address than 127.0.0.1.
    pub(crate) fn from(self, address: [u8; 4]) -> Self {
        let from = Some(address.into());
        Self { from, ..self }
    }

    /// Sends the request from an address that nobody has come from before, each time: for what is limited by address.
    pub(crate) fn anywhere(self) -> Self {
        Self { from: None, ..self }
    }
}

/// Begins a request to one of the hosts.
pub(crate) fn to(host: &str, method: &str, target: impl AsRef<[u8]>) -> Request {
    Request::new(method, target).header("host", host)
}

/// The transcript of a request that reached the upstream: its line, and headers as `name: value` lines by name.
pub(crate) fn reached(line: &str, headers: &str) -> String {
    let headers = headers.trim();
    let between = if headers.is_empty() { "" } else { "\n" };
    format!("{line} reached the upstream{between}{headers}")
}

/// The transcript of an answer.
pub(crate) fn answered(status: u16, headers: &str, body: &str) -> String {
    format!("{status}\n{}\n\n{body}", headers.trim())
}

/// Reads a body that was written from a platform's contract, by its name under `tests/golden/`.
pub(crate) fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let text = fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("no {}: {error}", path.display()));
    text.strip_suffix('\n')
        .expect("a line feed that the body does not have")
        .to_owned()
}

/// Makes an id by which one request is found again.
fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Gives an address of this machine's that it has not given before, none of which tests choose themselves.
pub(crate) fn fresh_address() -> IpAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    Ipv4Addr::from(first + COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

fn transcript(response: &Response, seen: &[Seen]) -> String {
    let answer = answer(response);
    match (response.status, seen) {
        (200, [seen]) => {
            let line = [seen.method.as_slice(), b" ", &seen.path].concat();
            let body = if seen.body.is_empty() { "" } else { "\n\n" };
            reached(&visible(&line), &added(seen)) + body + &visible(&seen.body)
        }
        (_, []) => answer,
        (_, seen) => format!("{answer}\n\nand yet this reached the upstream: {seen:#?}"),
    }
}

/// All headers that reached the upstream, but Envoy's own.
fn added(seen: &Seen) -> String {
    let mut lines: Vec<_> = seen
        .headers
        .iter()
        .map(|(name, value)| (visible(name), visible(value)))
        .filter(|(name, _)| !ENVOYS_REQUEST_HEADERS.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.sort();
    lines.join("\n")
}

/// All that the client was answered, but for Envoy's own headers; what differs each time as in the golden bodies.
fn answer(response: &Response) -> String {
    let mut lines: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| !ENVOYS_RESPONSE_HEADERS.contains(&name.as_str()))
        .map(|(name, value)| {
            let spread = response.status == 503 && name == "retry-after";
            let value = if spread && WAITS.contains(&value.as_str()) {
                GOLDEN_WAIT
            } else {
                value
            };
            format!("{name}: {value}")
        })
        .collect();
    lines.sort();
    let mut body = response.text().to_owned();
    if let Some(time) = field(&body, "timestamp") {
        let parsed: Timestamp = time.parse().expect("a timestamp in RFC 3339");
        let age = Timestamp::now().duration_since(parsed).as_secs();
        assert!((-1..60).contains(&age), "{time} is not the time");
        assert_eq!(time.len(), GOLDEN_TIME.len(), "{time}");
        body = body.replace(&time, GOLDEN_TIME);
    }
    if let Some(node) = field(&body, "node") {
        let digits = node.bytes().all(|it| it.is_ascii_hexdigit());
        assert!(digits && node.len() == 16, "{node} names no process");
        body = body.replace(&node, GOLDEN_NODE);
    }
    if let Some(token) = field(&body, "auth_token") {
        let parts = token.split('.').filter(|it| it.len() > 10).count();
        assert_eq!(parts, 3, "{token} is no token");
        body = body.replace(&token, GOLDEN_TOKEN);
    }
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    body = body.replace(&version, &format!("\"version\":\"{GOLDEN_VERSION}\""));
    answered(response.status, &lines.join("\n"), &body)
}

/// The text of a JSON field, found without a parser, since the bytes count.
fn field(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("\"{name}\":\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.to_owned())
}
