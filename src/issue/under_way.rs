//! What happens between a Check and the answer of an endpoint.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::router;
use crate::clock::Clock;
use crate::config::Config;
use crate::context;
use crate::directory::operations::words::Operation;
use crate::directory::records::RecordKind;
use crate::request::RequestView;
use crate::serve::opening::{Opened, open, read_directory};
use crate::telemetry::Metrics;
use crate::trace::Untraced;

const CONFIG: &str = "
listen: { grpc: [\"127.0.0.1:0\"], issue: \"127.0.0.1:0\" }
store: { directory_file: sample_directory.yaml }
client_address: { from: peer }
platforms:
  - { name: crossbar, preset: crossbar, hosts: [\"*\"], throttle: { bucket: null } }
  - { name: opentact, preset: opentact, hosts: [o.example] }
  - { name: infobip, preset: infobip, hosts: [i.example] }
  - { name: mine, hosts: [m.example], schemes: { k: { kind: api_key, from: [{ header: x-k }] } }, rules: [] }
";

const LOGIN: &str = r#"{"data":{"credentials":"82a2dc91686ec828a67152d45a5c5ef7","account_id":"4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b"}}"#;

const RENEW: &str = r#"{"data":{"action":"refresh_token"}}"#;

async fn opened() -> Opened {
    opened_with(&Arc::new(Metrics::default())).await
}

async fn opened_with(metrics: &Arc<Metrics>) -> Opened {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let config = Config::parse("c.yaml", CONFIG, &folder, |_| None).expect("a configuration");
    let file = read_directory(&config).expect("the sample directory");
    let opened = open(config, file, Clock::system(), metrics, None).await;
    opened.expect("a store in memory")
}

/// A request's method, host and path.
type Line<'a> = (&'a str, &'a str, &'a str);

/// Has a request judged, and gives the context that its endpoint would be sent.
async fn admit(opened: &Opened, line: Line<'_>, header: Option<(&str, &str)>) -> String {
    let headers = header.map(|(name, value)| (name, value.as_bytes()));
    let view = RequestView {
        method: line.0,
        authority: line.1,
        path: line.2,
        headers: headers.into_iter().collect(),
        peer: "127.0.0.1".parse().ok(),
        ..RequestView::default()
    };
    let decision = opened.gate.decide(&view, &Untraced).await;
    decision.context.expect("a rule with `issue` admits it")
}

/// Sends a request to the endpoints; gives the status and the whole answer.
async fn send(opened: &Opened, line: Line<'_>, context: &str, body: &str) -> (u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("the port");
    let served = axum::serve(listener, router(opened.issuing.clone()));
    let served = tokio::spawn(async move { served.await });
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let (header, length) = (context::HEADER, body.len());
    let (method, _, target) = line;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{header}: {context}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    served.abort();
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    (status.expect("a status"), answer)
}

async fn log_in(opened: &Opened) -> String {
    let line = ("PUT", "any.example", "/v2/user_auth");
    let context = admit(opened, line, None).await;
    let (status, answer) = send(opened, line, &context, LOGIN).await;
    assert_eq!(status, 201, "{answer}");
    let (_, rest) = answer.split_once("\"auth_token\":\"").expect("a token");
    rest.split('"').next().expect("its end").to_owned()
}

#[tokio::test]
async fn what_is_revoked_behind_the_check_renews_nothing() {
    let opened = opened().await;
    let revoke = async |kind, id: &str| {
        let (platform, id) = ("crossbar".to_owned(), id.to_owned());
        let operation = Operation::Revoke { kind, platform, id };
        let nobody = tokio::sync::mpsc::channel(1).0;
        let done = opened.operations.perform(operation, &nobody).await;
        done.expect("it is revoked");
    };
    let acme = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
    let john = "8e248327b85591955749e53ea45b6baa";
    for case in [
        "nothing",
        "the user",
        "the account",
        "the platform",
        "the token",
    ] {
        let token = log_in(&opened).await;
        let line = ("PUT", "any.example", "/v2/auth");
        let renewing = admit(&opened, line, Some(("x-auth-token", &token))).await;
        let want = match case {
            "nothing" => 201,
            _ => 401,
        };
        match case {
            "the user" => revoke(RecordKind::User, john).await,
            "the account" => revoke(RecordKind::Account, acme).await,
            "the platform" => {
                let revoked = opened.directory.revoke_platform("crossbar").await;
                revoked.expect("it is revoked");
            }
            "the token" => {
                let view = RequestView {
                    method: "DELETE",
                    authority: "any.example",
                    path: "/v2/token_auth",
                    headers: [("x-auth-token", token.as_bytes())].into_iter().collect(),
                    ..RequestView::default()
                };
                let decision = opened.gate.decide(&view, &Untraced).await;
                let identity = decision.verdict.expect("admitted");
                let token = identity.identity().and_then(|it| it.identity().token);
                let token = token.expect("a token");
                let digest = token.digest.as_str().try_into().expect("a digest");
                let revoked = opened
                    .directory
                    .revoke_digest("crossbar", &digest, token.ends);
                revoked.await.expect("it is revoked");
            }
            _ => {}
        }
        let (status, answer) = send(&opened, line, &renewing, RENEW).await;
        assert_eq!(status, want, "{case}: {answer}");
        let opened_by = |it: &str| it.contains("auth_token\":");
        assert_eq!(opened_by(&answer), want == 201, "{case}");
    }
}

#[tokio::test]
async fn a_session_that_ended_behind_the_check_ends_no_other() {
    let opened = opened().await;
    let session = ("POST", "i.example", "/auth/1/session");
    let body = r#"{"username":"Aladdin","password":"openSesame"}"#;
    let create = async || {
        let context = admit(&opened, session, None).await;
        let (status, answer) = send(&opened, session, &context, body).await;
        assert_eq!(status, 200, "{answer}");
        let (_, rest) = answer.split_once("\"token\":\"").expect("a token");
        let token = rest.split('"').next().expect("its end");
        format!("IBSSO {token}")
    };
    let destroy = ("DELETE", "i.example", "/auth/1/session");
    let old = create().await;
    let admitted = [
        admit(&opened, destroy, Some(("authorization", &old))).await,
        admit(&opened, destroy, Some(("authorization", &old))).await,
    ];
    let (status, answer) = send(&opened, destroy, &admitted[0], "").await;
    assert_eq!(
        (status, answer.ends_with("\r\n\r\n")),
        (200, true),
        "{answer}"
    );
    let new = create().await;
    assert_ne!(new, old);
    let (status, answer) = send(&opened, destroy, &admitted[1], "").await;
    assert_eq!(status, 401, "{answer}");
    let context = admit(&opened, destroy, Some(("authorization", &new))).await;
    let (status, answer) = send(&opened, destroy, &context, "").await;
    assert_eq!(status, 200, "it lives: {answer}");
}

#[tokio::test]
async fn an_endpoint_that_revokes_waits_for_a_replica_and_no_other_does() {
    const END: &str = r#"{"data":{"action":"reset_signature_secret"}}"#;
    let metrics = Arc::new(Metrics::default());
    let opened = opened_with(&metrics).await;
    let waited = || {
        let text = metrics.render();
        let begin = "portcullis_store_duration_seconds_count{operation=\"confirm\"} ";
        let count = text.lines().find_map(|it| it.strip_prefix(begin));
        count.map_or(0, |it| it.parse::<u64>().expect("a count"))
    };
    let host = "any.example";
    for (line, body, revokes) in [
        (("PUT", host, "/v2/auth"), RENEW, false),
        (("DELETE", host, "/v2/token_auth"), "", true),
        (("PUT", host, "/v2/auth"), END, true),
    ] {
        let token = log_in(&opened).await;
        let before = waited();
        let context = admit(&opened, line, Some(("x-auth-token", &token))).await;
        let (status, answer) = send(&opened, line, &context, body).await;
        assert!(status < 300, "{answer}");
        assert_eq!(waited() - before, u64::from(revokes), "{line:?} {body}");
    }
    let session = ("POST", "i.example", "/auth/1/session");
    let body = r#"{"username":"Aladdin","password":"openSesame"}"#;
    let context = admit(&opened, session, None).await;
    let (_, answer) = send(&opened, session, &context, body).await;
    let (_, rest) = answer.split_once("\"token\":\"").expect("a token");
    let token = format!("IBSSO {}", rest.split('"').next().expect("its end"));
    let before = waited();
    let destroy = ("DELETE", "i.example", "/auth/1/session");
    let context = admit(&opened, destroy, Some(("authorization", &token))).await;
    let (status, answer) = send(&opened, destroy, &context, "").await;
    assert_eq!((status, waited() - before), (200, 1), "{answer}");
}
