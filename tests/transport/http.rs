//! At the admin and the issue listener.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::peers::{
    PATIENCE, Site, all_are_closed, is_closed, is_closed_on_a_byte_a_second,
    is_closed_though_nothing_is_read, many,
};

fn listeners(site: &Site) -> [SocketAddr; 2] {
    [site.server.admin(), site.server.issue()]
}

async fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.expect("a connection")
}

/// Slowloris.
#[tokio::test]
async fn peers_that_say_nothing_or_a_byte_a_second_are_closed_and_others_are_answered() {
    let mut site = Site::start().await;
    let mut silent = Vec::new();
    for to in listeners(&site) {
        silent.extend(many(500, to, b"").await);
        silent.extend(many(250, to, b"GET /healthz HTTP/1.1\r\nhost: any\r\nx-a: ").await);
        silent.extend(many(250, to, b"GET /healthz HTTP/1.1\r\nhost: any\r\n\r\n").await);
    }
    site.serves_others("with a thousand that are idle at each listener")
        .await;
    let slow = listeners(&site).map(|to| async move {
        is_closed_on_a_byte_a_second(connect(to).await, b"GET / HTTP/1.1\r\n").await;
    });
    let [admin, issue] = slow;
    tokio::join!(admin, issue, all_are_closed(silent));
    site.recovers().await;
}

#[tokio::test]
async fn a_peer_that_reads_no_answers_is_closed() {
    let mut site = Site::start().await;
    let request = "GET /metrics HTTP/1.1\r\nhost: any\r\n\r\n".repeat(100);
    let request = request.as_bytes();
    let [admin, issue] = listeners(&site).map(|to| async move {
        is_closed_though_nothing_is_read(connect(to).await, request).await;
    });
    tokio::join!(admin, issue);
    site.serves_others("then").await;
    site.recovers().await;
}

#[tokio::test]
async fn heads_that_are_too_large_and_bodies_without_an_end_are_cut() {
    let mut site = Site::start().await;
    let lines = "x-a: b\r\n".repeat(257);
    let value = "a".repeat(256 * 1024);
    let begun = "PUT /v2/user_auth HTTP/1.1\r\nhost: any\r\n";
    for (what, head, status) in [
        ("lines", format!("{begun}{lines}\r\n"), "431"),
        ("a value", format!("{begun}x-a: {value}\r\n\r\n"), "431"),
        ("a target", format!("GET /{value} HTTP/1.1\r\n\r\n"), "431"),
        ("garbage", "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        (
            "two lengths",
            format!("{begun}content-length: 5\r\ncontent-length: 6\r\n\r\n"),
            "400",
        ),
    ] {
        for to in listeners(&site) {
            let mut peer = connect(to).await;
            // It may be closed before all is sent.
            let _ = peer.write_all(head.as_bytes()).await;
            let said = is_closed(&mut peer).await;
            let said = String::from_utf8_lossy(&said);
            // What was sent and not read makes the end a reset, which may overtake the answer.
            let fits = said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status}"));
            assert!(fits, "{what} at {to}: {said}");
        }
    }
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let chunked = format!("{begun}transfer-encoding: chunked\r\n\r\n");
    let long = format!("{begun}content-length: 18446744073709551615\r\n\r\n");
    for (head, more) in [(&chunked, chunk.as_bytes()), (&long, &[b'a'; 0x10000])] {
        for to in listeners(&site) {
            let mut peer = connect(to).await;
            peer.write_all(head.as_bytes()).await.expect("a connection");
            let sending = async { while peer.write_all(more).await.is_ok() {} };
            let closed = timeout(PATIENCE, sending).await;
            assert!(closed.is_ok(), "{head} at {to} goes on");
        }
    }
    site.serves_others("then").await;
    site.recovers().await;
}
