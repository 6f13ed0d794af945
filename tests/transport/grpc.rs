//! At the gRPC listener.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::codegen::http::{Request, Response};

use super::peers::{
    PATIENCE, Site, all_are_closed, is_closed, is_closed_on_a_byte_a_second,
    is_closed_though_nothing_is_read, many,
};
use crate::support::check::PATH;
use crate::support::http::fetch;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113 §6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 4;

/// `:method: POST`, `:scheme: http` (RFC 7541 appendix A) and a path, none of which is indexed anew.
fn begun() -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x04, PATH.len() as u8];
    block.extend_from_slice(PATH.as_bytes());
    block
}

/// Makes a frame (RFC 9113 §4.1) that says to have this length.
fn frame_of(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (length as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of(payload.len(), kind, flags, stream, payload)
}

/// The beginning of a connection.
fn greeting() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A connection that has begun.
async fn greeted(site: &Site) -> TcpStream {
    let peers = many(1, site.server.grpc(), &greeting()).await;
    peers.into_iter().next().expect("a connection")
}

/// Whether the server said that the connection ends, of which a reset may keep the peer from hearing.
fn said_goodbye(said: &[u8]) -> bool {
    let mut rest = said;
    while let Some([a, b, c, kind]) = rest.first_chunk::<4>() {
        if *kind == GOAWAY {
            return true;
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    said.is_empty()
}

#[tokio::test]
async fn peers_that_say_nothing_or_a_byte_a_second_are_closed_and_others_are_answered() {
    let mut site = Site::start().await;
    let to = site.server.grpc();
    let mut silent = many(500, to, b"").await;
    // These are gone without a word: no ping is answered.
    silent.extend(many(250, to, PREFACE).await);
    let open = frame(HEADERS, END_HEADERS, 1, &begun());
    silent.extend(many(250, to, &[greeting(), open].concat()).await);
    site.serves_others("with a thousand that are idle").await;
    let headers = frame_of(4096, HEADERS, END_HEADERS, 1, &begun());
    tokio::join!(
        is_closed_on_a_byte_a_second(greeted(&site).await, PREFACE),
        is_closed_on_a_byte_a_second(many(1, to, b"").await.pop().expect("a connection"), PREFACE),
        is_closed_on_a_byte_a_second(greeted(&site).await, &headers),
        all_are_closed(silent),
    );
    site.recovers().await;
}

/// More than are accepted: whoever is there is served on, and who comes is when others are closed.
#[tokio::test]
async fn more_connections_than_there_may_be_wait_and_are_served_then() {
    let mut site = Site::start().await;
    let silent = many(1300, site.server.grpc(), b"").await;
    site.is_served("with more than there may be").await;
    all_are_closed(silent).await;
    site.serves_others("then").await;
    site.recovers().await;
}

#[tokio::test]
async fn a_peer_that_reads_no_answers_is_closed() {
    let mut site = Site::start().await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(1000);
    tokio::join!(
        is_closed_though_nothing_is_read(greeted(&site).await, &pings),
        is_closed_though_nothing_is_read(greeted(&site).await, &settings),
    );
    site.serves_others("then").await;
    site.recovers().await;
}

/// CVE-2023-44487 (rapid reset), CVE-2019-9514: requests that are reset as soon as they are there.
#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection_or_cost_nothing() {
    let mut site = Site::start().await;
    for reason in [8_u32, 0, 0xffff_ffff] {
        let mut flood = Vec::new();
        for stream in (1..40_000).step_by(2) {
            flood.extend(frame(HEADERS, END_HEADERS, stream, &begun()));
            flood.extend(frame(RST_STREAM, 0, stream, &reason.to_be_bytes()));
        }
        let mut peer = greeted(&site).await;
        let sent = peer.write_all(&flood).await;
        site.serves_others("after 20,000 resets").await;
        let said = is_closed(&mut peer).await;
        assert!(sent.is_err() || said_goodbye(&said), "{said:?}");
    }
    site.recovers().await;
}

/// CVE-2025-8671 (MadeYouReset): requests that the server has to reset.
#[tokio::test]
async fn requests_that_the_server_has_to_reset_end_the_connection() {
    let mut site = Site::start().await;
    let mut flood = Vec::new();
    for stream in (1..40_000).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS, stream, &begun()));
        // A window that grows by nothing is an error of the stream (RFC 9113 §6.9).
        flood.extend(frame(8, 0, stream, &[0; 4]));
    }
    let mut peer = greeted(&site).await;
    let sent = peer.write_all(&flood).await;
    site.serves_others("after 20,000 errors").await;
    let said = is_closed(&mut peer).await;
    assert!(sent.is_err() || said_goodbye(&said));
    site.recovers().await;
}

/// A stream flood: more requests at once than there may be, none of which is ever whole.
#[tokio::test]
async fn requests_without_an_end_are_refused_and_told_that_they_are_late() {
    let mut site = Site::start().await;
    let mut flood = Vec::new();
    for stream in (1..40_000).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS, stream, &begun()));
    }
    let mut peer = greeted(&site).await;
    let _ = peer.write_all(&flood).await;
    site.serves_others("with 20,000 requests").await;

    let mut client = connect(&site).await;
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(ask(&mut client, &[0, 0, 0, 4, 0], &[b'a'; 64]).await);
    }
    site.serves_others("with a thousand unfinished messages")
        .await;
    for (answer, _begun) in open {
        // DEADLINE_EXCEEDED
        assert_eq!(status(answer).await, "4");
    }
    drop((client, peer));
    site.recovers().await;
}

#[tokio::test]
async fn a_message_of_any_size_is_denied_by_us_and_costs_no_memory() {
    let mut site = Site::start().await;
    let mut client = connect(&site).await;
    let mut open = Vec::new();
    for _ in 0..200 {
        // What is said to come, never comes; the answer does not wait for it.
        open.push(ask(&mut client, &[0, 0xff, 0xff, 0xff, 0xff], b"").await);
    }
    for (answer, _begun) in open {
        assert_eq!(status(answer).await, "0");
    }
    // 200 of 4 MiB are more than all may have together. Those that have no room are UNAVAILABLE, the others late.
    let mut statuses = Vec::new();
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(ask(&mut client, &[0, 0, 0x40, 0, 0], &[b'a'; 1024]).await);
    }
    site.serves_others("with messages of 800 MiB to come").await;
    for (answer, _begun) in open {
        statuses.push(status(answer).await);
    }
    let many = |code: &str| statuses.iter().filter(|it| *it == code).count();
    assert_eq!((many("4"), many("14")), (64, 136), "{statuses:?}");
    let counted = ["DEADLINE_EXCEEDED", "UNAVAILABLE"].map(|it| counted(&site, it));
    assert_eq!(counted, [64, 136]);
    drop(client);
    site.recovers().await;
}

/// HPACK: a header of 4000 bytes that is indexed once and named 10,000 times (CVE-2016-6581).
#[tokio::test]
async fn headers_that_unfold_to_more_than_may_be_are_refused() {
    let mut site = Site::start().await;
    let mut block = begun();
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f]);
    // 4000 behind a prefix of seven bits (RFC 7541 §5.1).
    let rest = 4000 - 127;
    block.extend_from_slice(&[(rest % 128) as u8 | 0x80, (rest / 128) as u8]);
    block.extend_from_slice(&[b'a'; 4000]);
    block.extend_from_slice(&[0xbe; 10_000]);
    let mut peers = many(50, site.server.grpc(), &greeting()).await;
    let mut bombs = Vec::new();
    for stream in [1, 3, 5, 7] {
        bombs.extend(frame(HEADERS, END_HEADERS, stream, &block));
    }
    for peer in &mut peers {
        let _ = peer.write_all(&bombs).await;
    }
    site.serves_others("with 50 bombs").await;
    all_are_closed(peers).await;
    site.recovers().await;
}

/// CVE-2024-27316 and others (CONTINUATION flood): a head that never ends.
#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    let mut site = Site::start().await;
    for payload in [&[0xbe_u8; 16_000][..], &[0, 1, b'x', 1, b'y'], &[]] {
        let mut peer = greeted(&site).await;
        let head = frame(HEADERS, 0, 1, &begun());
        peer.write_all(&head).await.expect("a connection");
        let more = frame(CONTINUATION, 0, 1, payload).repeat(64);
        let sending = async { while peer.write_all(&more).await.is_ok() {} };
        let closed = timeout(PATIENCE, sending).await;
        assert!(closed.is_ok(), "{} bytes each", payload.len());
    }
    site.serves_others("then").await;
    site.recovers().await;
}

#[tokio::test]
async fn frames_that_are_too_large_and_what_is_not_http_2_end_the_connection() {
    let mut site = Site::start().await;
    let http_1 = b"GET / HTTP/1.1\r\nhost: any\r\n\r\n".to_vec();
    let after = |frame: Vec<u8>| [greeting(), frame].concat();
    for said in [
        http_1,
        vec![0; 4096],
        vec![0xff; 4096],
        after(frame_of(0xff_ffff, DATA, 0, 1, &[0; 1024])),
        after(frame_of(0xff_ffff, HEADERS, END_HEADERS, 1, &[0; 1024])),
        after(frame_of(16_385, SETTINGS, 0, 0, &[0; 1024])),
        after(frame(HEADERS, END_HEADERS, 2, &begun())),
        after(frame(CONTINUATION, 0, 1, &begun())),
        after(frame(HEADERS, END_HEADERS, 1, &[0xff; 64])),
    ] {
        let mut peer = many(1, site.server.grpc(), &said).await;
        is_closed(&mut peer[0]).await;
    }
    site.serves_others("then").await;
    site.recovers().await;
}

/// Empty frames of data without an end (CVE-2019-9518), and pings and settings whose answers are read
/// (CVE-2019-9512, CVE-2019-9515).
#[tokio::test]
async fn frames_that_do_nothing_cost_nothing() {
    let mut site = Site::start().await;
    let mut peer = greeted(&site).await;
    let open = frame(HEADERS, END_HEADERS, 1, &begun());
    let _ = peer.write_all(&open).await;
    let empty = frame(DATA, 0, 1, &[]).repeat(20_000);
    let _ = peer.write_all(&empty).await;
    site.serves_others("with empty frames").await;
    is_closed(&mut peer).await;
    for kind in [PING, SETTINGS] {
        let payload: &[u8] = if kind == PING { &[7; 8] } else { &[] };
        let mut peer = greeted(&site).await;
        let (mut read, mut write) = peer.split();
        let flood = frame(kind, 0, 0, payload).repeat(20_000);
        let sent = async {
            let _ = write.write_all(&flood).await;
            site.serves_others("with frames that want answers").await;
            let _ = write.shutdown().await;
        };
        let reading = async { tokio::io::copy(&mut read, &mut tokio::io::sink()).await };
        let done = timeout(PATIENCE, async { tokio::join!(sent, reading) }).await;
        assert!(done.is_ok(), "frames of kind {kind}");
    }
    site.recovers().await;
}

/// A client that keeps to the protocol: it answers pings and heeds settings.
async fn connect(site: &Site) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(site.server.grpc())
        .await
        .expect("a connection");
    let connected = h2::client::Builder::new()
        .initial_max_send_streams(1000)
        .handshake(stream)
        .await;
    let (client, connection) = connected.expect("a server that speaks HTTP/2");
    tokio::spawn(connection);
    client
}

type Open = (h2::client::ResponseFuture, SendStream<Bytes>);

/// Begins a Check whose message has this prefix and begins like this, and has no end.
async fn ask(client: &mut SendRequest<Bytes>, prefix: &[u8; 5], message: &[u8]) -> Open {
    let request = Request::post(format!("http://any{PATH}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let ready = timeout(PATIENCE, client.clone().ready()).await;
    *client = ready
        .expect("a server that takes requests")
        .expect("a connection");
    let (answer, mut stream) = client.send_request(request, false).expect("a connection");
    let mut begun = BytesMut::with_capacity(prefix.len() + message.len());
    begun.put_slice(prefix);
    begun.put_slice(message);
    stream.send_data(begun.freeze(), false).expect("a stream");
    (answer, stream)
}

/// How many calls the server has counted that ended so.
fn counted(site: &Site, status: &str) -> u64 {
    const NAME: &str = "rpc_server_call_duration_seconds_count";
    let metrics = fetch(site.server.admin(), "/metrics").expect("metrics");
    let status = format!("\"{status}\"");
    let mut lines = metrics.text().lines();
    let line = lines.find(|it| it.starts_with(NAME) && it.contains(&status));
    let value = line.and_then(|it| it.rsplit_once(' ')?.1.parse().ok());
    value.unwrap_or(0)
}

/// Waits for the answer and gives its gRPC status.
async fn status(answer: h2::client::ResponseFuture) -> String {
    let ended = async {
        let answer: Response<RecvStream> = answer.await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        if let Some(status) = answer.headers().get("grpc-status") {
            return status.clone();
        }
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            let length = data.expect("an answer").len();
            let _ = body.flow_control().release_capacity(length);
        }
        let trailers = body.trailers().await.expect("an end");
        trailers.expect("trailers")["grpc-status"].clone()
    };
    let status = timeout(PATIENCE, ended).await;
    let status = status.unwrap_or_else(|_| panic!("no answer after {PATIENCE:?}"));
    status.to_str().expect("a number").to_owned()
}
