//! Each of the operations that Infobip publishes, asked for with every scheme and with every scope.
//!
//! They stand in `golden/infobip/operations.txt`, apart from the preset's rules, which say the same in another order.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use crate::check::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::client::{Request, exchange};
use crate::support::issuers::{INFOBIP, INFOBIP_SECRET, changed, dd2020s};
use crate::support::server::Server;

const OPERATIONS: &str = include_str!("../golden/infobip/operations.txt");

/// How many the platform publishes.
const PUBLISHED: usize = 943;

const HOST: &str = "infobip.example.com";

/// How many clients ask at a time.
const CLIENTS: usize = 4;

const SCHEMES: [&str; 4] = ["api_key", "basic", "session", "oauth2"];

/// What an operation asks for.
struct Operation {
    method: &'static str,
    path: &'static str,
    schemes: Vec<&'static str>,
    scopes: BTreeSet<&'static str>,
}

impl Operation {
    fn public(&self) -> bool {
        self.schemes.is_empty()
    }

    /// Asks for it with a credential; parameters of the path are made up.
    fn with(&self, authorization: Option<&str>) -> Bytes {
        let segments = self.path.split('/').map(|it| match it.strip_prefix('{') {
            Some(name) => format!("an-{}", name.trim_end_matches('}')),
            None => it.to_owned(),
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let asked = Ask {
            peer: "127.0.0.1".to_owned(),
            ..Ask::new(HOST, self.method, path)
        };
        match authorization {
            Some(it) => asked.header("authorization", it),
            None => asked,
        }
        .mapped()
    }
}

fn operations() -> Vec<Operation> {
    let (mut schemes, mut scopes) = (Vec::new(), BTreeSet::new());
    let mut all = Vec::new();
    let lines = OPERATIONS
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty());
    for line in lines {
        if let Some((takes, one_of)) = line.strip_prefix('[').and_then(|it| it.split_once("] ")) {
            schemes = takes.split(' ').filter(|it| *it != "nobody").collect();
            scopes = one_of.split(' ').filter(|it| *it != "-").collect();
            continue;
        }
        let (methods, path) = line.split_once(' ').expect("methods and a path");
        all.extend(methods.split(',').map(|method| Operation {
            method,
            path,
            schemes: schemes.clone(),
            scopes: scopes.clone(),
        }));
    }
    assert_eq!(all.len(), PUBLISHED);
    all
}

/// Who may do what by which scopes: users by roles made up for this, keys by themselves.
struct Cast {
    scopes: BTreeSet<&'static str>,
    /// Those of single operations, each once.
    sets: Vec<BTreeSet<&'static str>>,
}

impl Cast {
    fn of(operations: &[Operation]) -> Self {
        let sets = operations.iter().map(|it| &it.scopes);
        let sets = sets.cloned().collect::<BTreeSet<_>>();
        Self {
            scopes: sets.iter().flatten().copied().collect(),
            sets: sets.into_iter().collect(),
        }
    }

    fn start(&self) -> Server {
        let roles = json!({ "Everything": self.scopes, "Nothing": [] });
        let config = format!(
            r#"
listen: {{ grpc: ["127.0.0.1:{{grpc}}"], issue: "127.0.0.1:{{issue}}", admin: "127.0.0.1:{{admin}}" }}
store: {{ directory_file: directory.yaml }}
check: {{ deadline_ms: 20000 }}
client_address: {{ from: peer }}
platforms:
  - name: infobip
    preset: infobip
    hosts: ["*"]
    https: off
    schemes: {{ oauth2: {{ keys: [{{ kid: 9wokXdhI, algorithm: HS256, secret_file: infobip.secret }}] }} }}
    role_scopes: {roles}
"#
        );
        let files = [
            ("directory.yaml", &*self.directory()),
            ("infobip.secret", INFOBIP_SECRET),
        ];
        Server::start_with(&config, &files)
    }

    fn directory(&self) -> String {
        let mut text = String::from(
            "infobip:\n  users:\n    - { id: may, username: may, password: word, roles: [Everything] }\n    - { id: may-not, username: may-not, password: word, roles: [Nothing] }\n  api_keys:\n",
        );
        let mut key = |secret: String, scopes: BTreeSet<&str>| {
            let scopes = json!(scopes);
            writeln!(
                text,
                "    - {{ id: {secret}, secret: {secret}, scopes: {scopes} }}"
            )
            .expect("a string takes all");
        };
        for (index, scope) in self.scopes.iter().enumerate() {
            key(only(index), [*scope].into());
        }
        for (index, set) in self.sets.iter().enumerate() {
            key(all_but(index), &self.scopes - set);
        }
        key("key-of-all-scopes".to_owned(), self.scopes.clone());
        key("key-without-scope".to_owned(), BTreeSet::new());
        text
    }

    /// A key that has this scope and no other.
    fn key_of(&self, scope: &str) -> String {
        let index = self.scopes.iter().position(|it| *it == scope);
        format!("App {}", only(index.expect("a scope of theirs")))
    }

    /// A key that has every scope but these.
    fn key_without(&self, scopes: &BTreeSet<&str>) -> String {
        let index = self.sets.iter().position(|it| it == scopes);
        format!("App {}", all_but(index.expect("a set of theirs")))
    }
}

fn only(index: usize) -> String {
    format!("key-of-scope-{index:04}")
}

fn all_but(index: usize) -> String {
    format!("key-without-set-{index:04}")
}

/// Logs a user in as Envoy lets clients: Check admits the request, and the issue listener answers what bears its context.
async fn session(server: &Server, user: &str) -> String {
    let path = "/auth/1/session";
    let login = Ask {
        peer: "127.0.0.1".to_owned(),
        ..Ask::new(HOST, "POST", path)
    };
    let client = &mut CheckClient::connect(server.grpc()).await;
    let admitted = ask(client, login.mapped()).await;
    let context = admitted
        .headers
        .iter()
        .find(|it| it.0 == "x-portcullis-context");
    let request = Request::new("POST", path)
        .header("host", HOST)
        .header("content-type", "application/json")
        .header("x-portcullis-context", &context.expect("a context").1)
        .body(json!({ "username": user, "password": "word" }).to_string());
    let answer = exchange(server.issue(), &request).await;
    let token = answer.json()["token"].clone();
    format!("IBSSO {}", token.as_str().expect("a token"))
}

/// What is presented under a scheme, with every scope and with none.
fn presented(scheme: &str, sessions: &[String; 2]) -> [String; 2] {
    let bearer = |user| {
        let claims = changed(dd2020s(), json!({ "sub": user }));
        format!("Bearer {}", INFOBIP.token(&claims))
    };
    match scheme {
        "api_key" => ["key-of-all-scopes", "key-without-scope"].map(|it| format!("App {it}")),
        // may:word, may-not:word
        "basic" => ["bWF5OndvcmQ=", "bWF5LW5vdDp3b3Jk"].map(|it| format!("Basic {it}")),
        "oauth2" => ["may", "may-not"].map(bearer),
        "session" => sessions.clone(),
        other => panic!("no credential for {other}"),
    }
}

/// What should be answered to each question about an operation.
fn questions(
    operation: &Operation,
    cast: &Cast,
    sessions: &[String; 2],
) -> Vec<(String, Bytes, u16)> {
    let mut all = Vec::new();
    let mut question = |what: &str, credential: Option<&str>, status| {
        let name = format!("{} {}: {what}", operation.method, operation.path);
        all.push((name, operation.with(credential), status));
    };
    question("nobody", None, if operation.public() { 200 } else { 401 });
    if operation.public() {
        return all;
    }
    for scheme in SCHEMES {
        let [with, without] = presented(scheme, sessions);
        let taken = operation.schemes.contains(&scheme);
        let status = |admitted: bool| if taken && admitted { 200 } else { 403 };
        question(
            &format!("{scheme} with all scopes"),
            Some(&with),
            status(true),
        );
        let asks_for_none = operation.scopes.is_empty();
        question(
            &format!("{scheme} without scopes"),
            Some(&without),
            status(asks_for_none),
        );
    }
    if operation.schemes.contains(&"api_key") && !operation.scopes.is_empty() {
        for scope in &operation.scopes {
            question(scope, Some(&cast.key_of(scope)), 200);
        }
        let others = cast.key_without(&operation.scopes);
        question("a key of all other scopes", Some(&others), 403);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_published_operation_takes_its_schemes_and_any_of_its_scopes_and_nothing_else() {
    let operations = operations();
    let cast = Cast::of(&operations);
    let server = cast.start();
    let sessions = [
        session(&server, "may").await,
        session(&server, "may-not").await,
    ];
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let mine = operations.iter().skip(client).step_by(CLIENTS);
        let mine = mine
            .flat_map(|it| questions(it, &cast, &sessions))
            .collect::<Vec<_>>();
        let address = server.grpc();
        clients.spawn(async move {
            let client = &mut CheckClient::connect(address).await;
            let mut wrong = Vec::new();
            for (name, question, want) in mine {
                let got = ask(client, question).await.status;
                if got != want {
                    wrong.push(format!("{name}: {got}, not {want}"));
                }
            }
            wrong
        });
    }
    let wrong = clients.join_all().await.concat();
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}
