//! The processes, the directory that they share, and who asks them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis::envoy::protos::auth::attribute_context::{HttpRequest, Request};
use portcullis::envoy::protos::auth::check_response::HttpResponse;
use portcullis::envoy::protos::auth::{AttributeContext, CheckRequest, CheckResponse};
use prost::Message;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep_until, timeout};

use super::draw::Draw;
use super::estate::{Estate, PASSWORD, PROCESSES, USER};
use super::history::{Answer, Class, Kind};
use super::judge::Terms;
use super::run::Until;
use crate::support::check::CheckClient;
use crate::support::server::Server;

/// How many Checks each process is asked a second.
pub(crate) const RATE: u32 = 120;

/// How long whoever asks waits.
const PATIENCE: Duration = Duration::from_secs(10);

const STEADY: usize = 6;
/// Those that are switched themselves, and those whose account is.
const KEYS: usize = 6;
const ACCOUNTS: usize = 3;
const NEVER: usize = 1;

/// What is promised under [`CONFIG`].
pub(crate) const TERMS: Terms = Terms {
    grace: Duration::from_secs(1),
    deadline: Duration::from_millis(150),
};

pub(crate) const PEPPER: &str = "a pepper of the chaos, 32 bytes or more";
const HEADER: &str = "x-key";

/// What is remembered is soon read again, and what is denied is soon forgotten, so that caches reach their size early
/// and a run can tell whether anything grows.
const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
store: { url: "{url}", {login}pepper_files: [pepper], watch_grace_seconds: 1 }
cache: { ttl_seconds: 10, capacity: 500, denial_capacity: 500, proof_capacity: 500 }
check: { deadline_ms: 150 }
client_address: { from: peer }
telemetry: { log: info, log_format: text }
platforms:
  - name: mine
    hosts: ["*"]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ paths: ["/**"], schemes: [key] }]
"#;

/// What is switched to have a credential valid or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    Key,
    Account,
}

/// Gives what each credential is.
pub(crate) fn credentials() -> Vec<Kind> {
    let kinds = [
        (Kind::Steady, STEADY),
        (Kind::Switched, KEYS + ACCOUNTS),
        (Kind::Never, NEVER),
    ];
    let kinds = kinds.iter().map(|(kind, count)| vec![*kind; *count]);
    kinds.collect::<Vec<_>>().concat()
}

/// Gives what a credential is switched by.
pub(crate) fn switched_by(credential: usize) -> By {
    match credential < STEADY + KEYS {
        true => By::Key,
        false => By::Account,
    }
}

/// The directory, in which credential `n` is the key `k-n` of the account `a-n`.
pub(crate) fn directory() -> String {
    let (mut accounts, mut keys) = (String::new(), String::new());
    for number in 0..STEADY + KEYS + ACCOUNTS {
        let _ = writeln!(accounts, "    - {{ id: a-{number}, name: N{number} }}");
        let secret = secret(number);
        let key = format!("    - {{ id: k-{number}, account: a-{number}, secret: {secret} }}");
        let _ = writeln!(keys, "{key}");
    }
    format!("mine:\n  accounts:\n{accounts}  api_keys:\n{keys}")
}

fn secret(credential: usize) -> String {
    format!("a-key-of-the-chaos-{credential:04}")
}

/// The configuration of a process, or of whoever writes, who needs no password.
pub(crate) fn config(url: &str, logs_in: bool) -> String {
    let login = match logs_in {
        true => format!("username: {USER}, password_file: password, "),
        false => String::new(),
    };
    CONFIG.replace("{url}", url).replace("{login}", &login)
}

/// Starts the processes; none is ready before the store has answered.
pub(crate) fn start(estate: &Estate) -> Vec<Server> {
    let files = [("pepper", PEPPER), ("password", PASSWORD)];
    let start = |it| Server::launch(&config(estate.url(it), true), &files);
    let servers: Vec<_> = (0..PROCESSES).map(start).collect();
    servers.iter().for_each(Server::await_ready);
    servers
}

/// One who asks a process at a steady rate, however late answers are.
pub(crate) struct Asker {
    pub(crate) process: usize,
    pub(crate) client: CheckClient,
    pub(crate) draw: Draw,
    pub(crate) begun: Instant,
    pub(crate) answers: UnboundedSender<Answer>,
}

impl Asker {
    /// Asks until the end, and waits for the last answers.
    pub(crate) async fn ask(mut self, until: Until) {
        let mut waiting = tokio::task::JoinSet::new();
        // The processes are not asked at the same moments.
        let offset = Duration::from_secs(1) / RATE / 3 * u32::try_from(self.process).unwrap_or(0);
        for number in 0.. {
            let due = offset + Duration::from_secs(1) * number / RATE;
            if due >= *until.borrow() {
                break;
            }
            sleep_until((self.begun + due).into()).await;
            let credential = self.choose();
            let message = question(credential, &mut self.draw);
            let (mut client, answers) = (self.client.clone(), self.answers.clone());
            let (process, begun) = (self.process, self.begun);
            waiting.spawn(async move {
                let sent = begun.elapsed();
                let class = match timeout(PATIENCE, client.check(message)).await {
                    Ok(Ok(answer)) => class(answer),
                    Ok(Err(_)) => Class::Failed,
                    Err(_) => Class::Silent,
                };
                let came = begun.elapsed();
                let answer = Answer {
                    process,
                    credential,
                    due,
                    sent,
                    came,
                    class,
                };
                // It is kept as long as anybody asks.
                let _ = answers.send(answer);
            });
            while waiting.try_join_next().is_some() {}
        }
        while waiting.join_next().await.is_some() {}
    }

    /// Most are those of which most is to be seen.
    fn choose(&mut self) -> usize {
        match self.draw.below(20) {
            0..5 => self.draw.below(STEADY),
            5..18 => STEADY + self.draw.below(KEYS + ACCOUNTS),
            _ => STEADY + KEYS + ACCOUNTS + self.draw.below(NEVER),
        }
    }
}

/// Asks about a credential; nobody's is a new one each time.
fn question(credential: usize, draw: &mut Draw) -> Bytes {
    let key = match credential < STEADY + KEYS + ACCOUNTS {
        true => secret(credential),
        false => format!("a-key-of-nobody-{:016x}", draw.number()),
    };
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "mine.example".to_owned(),
        headers: [(HEADER.to_owned(), key)].into(),
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http) }),
        ..AttributeContext::default()
    };
    let attributes = Some(attributes);
    CheckRequest { attributes }.encode_to_vec().into()
}

/// What Envoy would make of an answer.
fn class(answer: Bytes) -> Class {
    let Ok(answer) = CheckResponse::decode(answer) else {
        return Class::Failed;
    };
    let is_ok = answer.status.is_none_or(|it| it.code == 0);
    match answer.http_response {
        Some(HttpResponse::DeniedResponse(denied)) if !is_ok => {
            match denied.status.map_or(0, |it| it.code) {
                503 => Class::Fault,
                other => Class::Denied(u16::try_from(other).unwrap_or_default()),
            }
        }
        _ if is_ok => Class::Allowed,
        _ => Class::Failed,
    }
}
