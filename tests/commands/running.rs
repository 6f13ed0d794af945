//! A server with a control socket, commands beside it, and Checks of what they did.

use std::io::Write;
use std::process::{Command, Stdio};

use prost::Message;
use serde_json::Value;

use portcullis::envoy::protos::auth::attribute_context::{HttpRequest, Request};
use portcullis::envoy::protos::auth::check_response::HttpResponse;
use portcullis::envoy::protos::auth::{AttributeContext, CheckRequest, CheckResponse};

use crate::support::check::CheckClient;
use crate::support::server::Server;

/// One platform, of one's own, with users who have passwords and programs that have keys.
pub(crate) const CONFIG: &str = r#"
listen:
  grpc: ["127.0.0.1:{grpc}"]
  admin: "127.0.0.1:{admin}"
  control: "unix:control.sock"
store: { directory_file: directory.yaml }
# Far above what hashing a password takes on a busy machine.
check: { deadline_ms: 20000 }
client_address: { from: peer }
platforms:
  - name: mine
    hosts: ["*"]
    schemes:
      key: { kind: api_key, from: [{ header: x-key }] }
      login: { kind: basic }
    rules: [{ paths: ["/**"], schemes: [key, login] }]
"#;

pub(crate) const DIRECTORY: &str = "
mine:
  accounts:
    - { id: acc-1, name: One }
  users:
    - { id: u-1, account: acc-1, username: Aladdin, password: openSesame, roles: [reader] }
  api_keys:
    - { id: k-1, account: acc-1, secret: a-key-from-the-file }
";

/// Aladdin with openSesame (RFC 7617 §2).
pub(crate) const ALADDIN: (&str, &str) = ("authorization", "Basic QWxhZGRpbjpvcGVuU2VzYW1l");

/// Starts the server.
pub(crate) fn start() -> Server {
    Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)])
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Demands that it was done, and gives what it printed.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Demands that it failed with this code and said this.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(says), "{says:?}: {self:?}");
        assert_eq!(self.out, "", "nothing was done");
    }

    /// Demands that it was done, and reads what it printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let out = self.done();
        serde_json::from_str(&out).unwrap_or_else(|it| panic!("{it}: {out}"))
    }
}

/// Runs a command on the server's directory: its words, and what it reads from standard input.
pub(crate) fn run(server: &Server, words: &str, input: &str) -> Ran {
    let config = server.path("portcullis.yaml");
    let config = config.to_str().expect("a path in UTF-8");
    let words = words.split_whitespace();
    bare(words.chain(["--config", config]), input)
}

/// Runs the binary with these arguments.
pub(crate) fn bare<'a>(arguments: impl Iterator<Item = &'a str>, input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary that was built");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that reads nothing may be gone.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("a child of ours");
    Ran {
        code: output.status.code().expect("no signal"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Asks the server about a request with this header: `allow`, or the reason of the denial.
pub(crate) async fn check(server: &Server, (name, value): (&str, &str)) -> String {
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "mine.example".to_owned(),
        headers: [(name.to_owned(), value.to_owned())].into(),
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http) }),
        ..AttributeContext::default()
    };
    let attributes = Some(attributes);
    let message = CheckRequest { attributes }.encode_to_vec();
    let mut client = CheckClient::connect(server.grpc()).await;
    let answer = client.check(bytes::Bytes::from(message)).await;
    let answer = CheckResponse::decode(answer.expect("an answer")).expect("a CheckResponse");
    if let Some(HttpResponse::OkResponse(_)) = answer.http_response {
        return "allow".to_owned();
    }
    let metadata = answer.dynamic_metadata.expect("metadata");
    match &metadata.fields["reason"].kind {
        Some(prost_types::value::Kind::StringValue(reason)) => reason.clone(),
        other => panic!("{other:?}"),
    }
}
