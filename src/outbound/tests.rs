//! Against servers of their own on loopback, which answer with the bytes they are given.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

/// Accepts connections and hands each to `serve`, with what came up to the end of its head.
async fn server<F>(serve: impl Fn(TcpStream, String) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            tokio::spawn(serve(stream, head));
        }
    });
    address
}

/// A server that answers each request with these bytes and closes the connection.
async fn answering(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = bytes.into();
    server(move |mut stream, _| {
        let bytes = bytes.clone();
        async move {
            let _ = stream.write_all(&bytes).await;
        }
    })
    .await
}

fn outbound() -> Outbound {
    Outbound::new(8, None).expect("no certificates to be wrong")
}

#[tokio::test]
async fn an_answer_comes_as_it_is_with_its_age_and_a_redirect_is_not_followed() {
    let address = answering(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nage: 10\r\ncontent-length: 2\r\n\r\n{}",
    )
    .await;
    let reply = outbound().get(&format!("http://{address}/keys")).await;
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.max_age, Some(Duration::from_secs(50)));
    assert_eq!(&reply.body[..], b"{}");
    let trap = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let address = answering(format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{trap}/\r\ncontent-length: 0\r\n\r\n"
    ))
    .await;
    let reply = outbound().get(&format!("http://{address}/keys")).await;
    assert_eq!(reply.expect("an answer").status, 302);
}

#[tokio::test]
async fn a_form_is_posted_with_the_header_it_is_given_and_nothing_of_the_environment() {
    let (seen, mut sent) = mpsc::channel(1);
    let address = server(move |mut stream, head| {
        let seen = seen.clone();
        async move {
            let mut body = vec![0; 26];
            stream.read_exact(&mut body).await.expect("the body");
            let body = String::from_utf8(body).expect("text");
            seen.send((head, body)).await.expect("the test waits");
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    })
    .await;
    let secret = Secret::new(*b"Basic Y2xpZW50OnNlY3JldA==");
    let form = [("token", "a b&c=\u{e4}"), ("x", "1")];
    let url = format!("http://{address}/introspect");
    let reply = outbound().post_form(&url, &form, Some(&secret)).await;
    assert_eq!(reply.expect("an answer").status, 200);
    let (head, body) = sent.recv().await.expect("a request");
    assert_eq!(body, "token=a+b%26c%3D%C3%A4&x=1");
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /introspect HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {address}");
    assert_eq!(
        lines,
        [
            "authorization: Basic Y2xpZW50OnNlY3JldA==",
            "content-length: 26",
            "content-type: application/x-www-form-urlencoded",
            &host,
            concat!("user-agent: portcullis/", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[tokio::test]
async fn a_body_is_read_to_its_bound_and_no_further() {
    let chunked = |bytes: usize| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes))
    };
    for (bytes, taken) in [(MAX_BODY_BYTES, true), (MAX_BODY_BYTES + 1, false)] {
        let url = format!("http://{}/", answering(chunked(bytes)).await);
        let reply = outbound().get(&url).await.map(|it| it.body.len());
        let want = if taken {
            Ok(bytes)
        } else {
            Err(OutboundError::TooLarge)
        };
        assert_eq!(reply, want, "{bytes} bytes");
    }
    let endless = answering(format!(
        "HTTP/1.1 200 OK\r\n{}",
        "x-more: and more\r\n".repeat(10_000)
    ));
    let url = format!("http://{}/", endless.await);
    let error = outbound().get(&url).await.expect_err("a head without end");
    assert!(matches!(error, OutboundError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_three_seconds_and_one_place() {
    // Listens, and never accepts.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let outbound = outbound().with_own_bound(1);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let asking = tokio::spawn({
        let (outbound, url) = (outbound.clone(), url.clone());
        async move { outbound.get(&url).await.map(|it| it.status) }
    });
    tokio::task::yield_now().await;
    let second = outbound.get(&url).await.map(|it| it.status);
    assert_eq!(second, Err(OutboundError::Busy));
    let first = asking.await.expect("no panic");
    assert_eq!(first, Err(OutboundError::Timeout));
    assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(10));
    assert_eq!(outbound.in_flight.available_permits(), 1);
}

#[tokio::test]
async fn nothing_that_failed_tells_the_url() {
    let (listener, garbage) = (
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        answering("SSH-2.0-OpenSSH\r\n").await,
    );
    let closed = listener.local_addr().expect("bound");
    drop(listener);
    for url in [
        format!("http://{closed}/s3cret?token=s3cret"),
        format!("https://{closed}/s3cret?token=s3cret"),
        format!("http://{garbage}/s3cret?token=s3cret"),
        format!("https://{garbage}/s3cret?token=s3cret"),
        "http://s3cret.example.com/s3cret".to_owned(),
        "s3cret".to_owned(),
    ] {
        let error = outbound().get(&url).await.expect_err("no answer");
        let told = format!("{error} {error:?} {:?}", outbound());
        assert!(!told.contains("s3cret"), "{told}");
        assert!(!told.contains("127.0.0.1"), "{told}");
    }
}

#[test]
fn only_https_may_be_asked_and_this_machine() {
    for (url, fine) in [
        ("https://idp.example.com/keys?x=1", true),
        ("https://10.0.0.1:8443/", true),
        ("http://127.0.0.1:8080/keys", true),
        ("http://[::1]:8080/keys", true),
        ("http://localhost/keys", false),
        ("http://idp.example.com/keys", false),
        ("http://127.0.0.1.example.com/", false),
        ("http://127.0.0.1@example.com/", false),
        ("https://user:password@example.com/", false),
        ("https://example.com/#part", false),
        ("ftp://example.com/", false),
        ("file:///etc/passwd", false),
        ("/keys", false),
        ("example.com", false),
        ("", false),
    ] {
        assert_eq!(check_url(url).is_ok(), fine, "{url:?}");
    }
}

/// A server on a thread, which speaks TLS with this certificate, for one request.
fn over_tls(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .expect("a certificate and its key");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let session = rustls::ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = rustls::StreamOwned::new(session, stream);
        if stream.read(&mut [0; 4096]).is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    address
}

#[tokio::test]
async fn a_server_is_asked_only_if_somebody_trusted_vouches_for_it() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let trusting = Outbound::new(1, Some(cert.pem().as_bytes())).expect("its certificate");
    for (outbound, want) in [(trusting, true), (outbound(), false)] {
        let address = over_tls(cert.der().clone(), &signing_key);
        let reply = outbound.get(&format!("https://{address}/")).await;
        match reply {
            Ok(reply) => assert!(want && reply.status == 200),
            Err(OutboundError::Unreachable(why)) => {
                assert!(!want && why.contains("UnknownIssuer"), "{why}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn authorities_are_certificates() {
    for ca in [
        &b""[..],
        b"text",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(Outbound::new(1, Some(ca)).is_err());
    }
    let key = rcgen::generate_simple_self_signed(["idp.example.com".to_owned()]);
    let pem = key.expect("a certificate").cert.pem();
    assert!(Outbound::new(1, Some(pem.as_bytes())).is_ok());
}
