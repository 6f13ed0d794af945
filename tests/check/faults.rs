//! Our own failures: never an allow, never a 401; what has been verified meanwhile is not lost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::{Code, Request};

use crate::check::asking::{Answer, Ask, ask, read};
use crate::support::check::CheckClient;
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{ALADDIN, CONFIG, INFOBIP, SENDER_KEY, on_store, start};
use crate::support::server::Server;

const UNAVAILABLE: &str = r#"{"requestError":{"serviceException":{"messageId":"GENERAL_ERROR","text":"Something went wrong. Please contact support."}}}"#;

fn sends(authorization: &str) -> Bytes {
    Ask::new(INFOBIP, "POST", "/sms/3/messages")
        .header("authorization", authorization)
        .mapped()
}

/// A password is never verified within a millisecond.
fn hurried(on_fault: &str) -> Server {
    let check = format!("deadline_ms: 1, on_fault: {on_fault}");
    let config = CONFIG.replace("deadline_ms: 20000", &check);
    start(&config)
}

#[tokio::test]
async fn a_fault_is_a_503_and_the_next_to_ask_finds_what_was_verified() {
    let server = hurried("deny");
    let client = &mut CheckClient::connect(server.grpc()).await;
    let late = ask(client, sends(ALADDIN)).await;
    assert_eq!((late.status, late.body.as_str()), (503, UNAVAILABLE));
    assert_eq!(late.metadata["fault"], "deadline");
    let retry = late.headers.iter().find(|it| it.0 == "retry-after");
    let seconds: u32 = retry.expect("a time").1.parse().expect("seconds");
    assert!((1..=3).contains(&seconds));

    // Each attempt waits for what the first began, and none begins it again.
    let mut attempts = 0;
    while ask(client, sends(ALADDIN)).await.status == 503 {
        attempts += 1;
        assert!(
            attempts < 10_000,
            "the verification that was begun never ended"
        );
    }
    assert_eq!(ask(client, sends(ALADDIN)).await.metadata["cache"], "hit");
    server.await_log("a check could not be decided", Duration::from_secs(5));
    assert!(!server.log().contains("openSesame"));
}

#[tokio::test]
async fn a_fault_is_an_rpc_error_where_that_is_asked_for_and_a_denial_still_is_not() {
    let server = hurried("grpc_error");
    let client = &mut CheckClient::connect(server.grpc()).await;
    let late = client.check(sends(ALADDIN)).await.expect_err("a status");
    assert_eq!(late.code(), Code::Unavailable);
    assert_eq!(ask(client, sends("Basic ?")).await.status, 401);
}

#[tokio::test]
async fn the_answer_comes_before_the_asker_stops_waiting() {
    // Its own deadline is 20 seconds. It is not shared, as it will have passwords to verify that nobody waits for.
    let server = start(CONFIG);
    let client = &mut CheckClient::connect(server.grpc()).await;

    // What is left of 20 ms after the time that an answer may need on its way is nothing.
    let password = |number| BASE64_STANDARD.encode(format!("user:{number}"));
    let late = within(client, "20m", |number| {
        sends(&format!("Basic {}", password(number)))
    });
    assert_eq!(late.await.status, 503);
    let unhurried = within(client, "20S", |_| sends("Basic dXNlcjphbm90aGVy"));
    assert_eq!(unhurried.await.status, 401);

    // What is known needs no time.
    let key = || sends(&format!("App {SENDER_KEY}"));
    assert_eq!(ask(client, key()).await.status, 200);
    assert_eq!(within(client, "20m", |_| key()).await.status, 200);
}

/// Asks with a `grpc-timeout`, after which the client gives up: on a busy machine also on an answer that was sent in
/// time, so it has several attempts, which are counted.
async fn within(
    client: &mut CheckClient,
    timeout: &'static str,
    message: impl Fn(usize) -> Bytes,
) -> Answer {
    for attempt in 0..20 {
        let mut request = Request::new(message(attempt));
        let timeout = timeout.parse().expect("a timeout");
        request.metadata_mut().insert("grpc-timeout", timeout);
        if let Ok(answer) = client.check(request).await {
            return read(answer);
        }
    }
    panic!("no answer within {timeout} in any of 20 attempts");
}

/// Writes a value past the directory, as a defect or a bad backup would.
fn write(redis: SocketAddr, key: &str, value: &str) {
    let mut stream = TcpStream::connect(redis).expect("the server");
    write!(stream, "SET {key} {value}\r\n").expect("a connection");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"+OK\r\n");
}

/// Runs a command on the server's directory; gives how it ended, and what it printed.
fn run(server: &Server, words: &[&str]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(words)
        .arg("--config")
        .arg(server.path("portcullis.yaml"))
        .output()
        .expect("the command");
    let printed = String::from_utf8(done.stdout).expect("UTF-8");
    (done.status.success(), printed)
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_a_fault_that_log_and_verify_name_alike() {
    let redis = RedisServer::start(Product::Redis);
    let server = start(&on_store(&redis.url()));
    let file = server.path("directory.yaml").display().to_string();
    assert!(run(&server, &["import", &file]).0);
    let client = &mut CheckClient::connect(server.grpc()).await;

    let key = "pc:u:infobip:u-1";
    let digest = Sha256::digest(key);
    let digest: String = digest[..8].iter().map(|it| format!("{it:02x}")).collect();
    // Not JSON; JSON, but no user.
    for broken in ["{broken", "[1]"] {
        write(redis.address(), key, broken);
        let fault = ask(client, sends(ALADDIN)).await;
        assert_eq!((fault.status, fault.body.as_str()), (503, UNAVAILABLE));
        assert_eq!(fault.metadata["fault"], "store");

        let (clean, found) = run(&server, &["store", "verify", "--json"]);
        assert!(!clean);
        let rows = found.lines().map(serde_json::from_str::<Value>);
        let rows: Vec<_> = rows.map(|it| it.expect("JSON")).collect();
        let named = rows.iter().find(|it| it["digest"] == *digest);
        let named = named.unwrap_or_else(|| panic!("{digest}: {found}"));
        assert_eq!(named["finding"], "unreadable");
        assert_eq!(
            (&named["kind"], &named["id"]),
            (&"user".into(), &"u-1".into())
        );
        let (_, table) = run(&server, &["store", "verify"]);
        assert!(table.contains(&digest), "{table}");
    }
    let told = format!("the user with digest {digest} cannot be read");
    server.await_log(&told, Duration::from_secs(5));
    assert!(!server.log().contains(key), "{}", server.log());
}
