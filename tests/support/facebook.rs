//! Facebook's Graph API, as far as `debug_token` goes, in its own words
//! (developers.facebook.com/docs/graph-api/reference/debug_token). How it behaves, the token says that it is asked about.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::serve::cores::Cores;
use portcullis::serve::{Running, start};
use serde_json::{Value, json};

use super::issuers::END;
use super::sample::{DIRECTORY, OPENTACT, PEPPER};
use super::standin::{Asked, Instead, Reply, StandIn};

/// The app that is asked for, and its secret.
pub const APP_ID: &str = "100000000000001";
pub const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The token of the user who is linked in the sample directory, and of one who is not.
pub const CALLIFYS: &str = "EAABcallify";
pub const STRANGERS: &str = "EAABstranger";
/// O9: as good, for another app; once as an app's own page says it, and once as Graph refuses to look at it.
pub const FOREIGN: &str = "EAABforeign";
pub const UNSEEN: &str = "EAABunseen";
/// Over.
pub const EXPIRED: &str = "EAABexpired";
/// O10: Graph says nothing. Nor of those that begin so.
pub const SILENT: &str = "EAABsilent";
/// Graph is not well: rate limits of the app, down, gone astray, not Graph at all.
pub const TROUBLED: [&str; 9] = [
    "EAABlimited",
    "EAABtoomany",
    "EAABdown",
    "EAABredirected",
    "EAABmarkup",
    "EAABhuge",
    "EAABendless",
    "EAABclosed",
    "EAABtwofaced",
];

/// The one that the sample configuration asks.
pub static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::start(Duration::ZERO));

/// A running Graph.
#[derive(Debug)]
pub struct Graph(pub StandIn);

impl Graph {
    /// Starts one; each answer comes after `delay`.
    pub fn start(delay: Duration) -> Self {
        Self(StandIn::start_with(move |it| answer(it).after(delay)))
    }

    /// What `graph_url` is set to.
    pub fn url(&self) -> String {
        self.0.url("/v23.0")
    }

    /// How many times it was asked about tokens that begin so.
    pub fn asked_about(&self, beginning: &str) -> usize {
        let named = format!("input_token={beginning}");
        let asked = self.0.asked();
        asked.iter().filter(|it| it.target.contains(&named)).count()
    }

    /// How often it was asked about this token.
    pub fn asked(&self, token: &str) -> usize {
        let named = format!("input_token={token}&");
        let asked = self.0.asked();
        asked.iter().filter(|it| it.target.contains(&named)).count()
    }
}

/// Starts a server in the test's own process, which asks this Graph and whom `more` settings of the scheme name, with
/// files in this directory; its time is the second that the counter says.
pub async fn serve(graph: &Graph, more: &str, directory: &Path) -> (Running, Arc<AtomicU64>) {
    serve_on("directory_file: directory.yaml", graph, more, directory).await
}

/// As [`serve`], with these settings of the store.
pub async fn serve_on(
    store: &str,
    graph: &Graph,
    more: &str,
    directory: &Path,
) -> (Running, Arc<AtomicU64>) {
    let write = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).expect("a temporary directory");
    };
    write("facebook.secret", APP_SECRET);
    write("pepper", PEPPER);
    let (_, users) = DIRECTORY.split_once("\nopentact:\n").expect("opentact");
    let (users, _) = users.split_once("\nopentact-twin:").expect("its twin");
    write("directory.yaml", &format!("opentact:\n{users}"));
    let config = format!(
        r#"
listen: {{ grpc: ["127.0.0.1:0"], admin: "127.0.0.1:0" }}
store: {{ {store} }}
client_address: {{ from: peer }}
platforms:
  - name: opentact
    preset: opentact
    hosts: [{OPENTACT}]
    schemes:
      facebook: {{ app_id: "100000000000001", app_secret_file: facebook.secret, graph_url: "{}", {more} }}
"#,
        graph.url()
    );
    let config = Config::parse("portcullis.yaml", &config, directory, |_| None);
    let config = config.expect("a configuration");
    let seconds = Arc::new(AtomicU64::new(1_800_000_000));
    let shared = Arc::clone(&seconds);
    let clock =
        Clock::from_fn(move || UNIX_EPOCH + Duration::from_secs(shared.load(Ordering::SeqCst)));
    (
        start(config, clock, Cores::start).await.expect("a server"),
        seconds,
    )
}

fn answer(asked: &Asked) -> Reply {
    let parameter = |name: &str| {
        let query = asked
            .target
            .strip_prefix("/v23.0/debug_token?")
            .unwrap_or_default();
        let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
        pairs.find(|it| it.0 == name).map(|it| it.1.to_owned())
    };
    let (token, own) = (parameter("input_token"), parameter("access_token"));
    let refused = |status, message: &str, code: u64| {
        let error = json!({ "message": message, "type": "OAuthException", "code": code, "fbtrace_id": "FOO" });
        json(status, &json!({ "error": error }))
    };
    if own != Some(format!("{APP_ID}%7C{APP_SECRET}")) || asked.method != "GET" {
        return refused(400, "Invalid OAuth access token.", 190);
    }
    let valid = |app_id: &str, user: &str| {
        let data = json!({
            "app_id": app_id, "type": "USER", "application": "Mine", "data_access_expires_at": 1, "expires_at": END,
            "is_valid": true, "scopes": ["public_profile"], "user_id": user,
        });
        json(200, &json!({ "data": data }))
    };
    match token.as_deref().unwrap_or_default() {
        CALLIFYS => valid(APP_ID, "100000000000002"),
        STRANGERS => valid(APP_ID, "100000000000003"),
        FOREIGN => valid("100000000000009", "100000000000002"),
        UNSEEN => refused(
            400,
            "(#100) The App_id in the input_token did not match the Viewing App",
            100,
        ),
        EXPIRED => {
            let error = json!({ "code": 190, "message": "Error validating access token: Session has expired", "subcode": 463 });
            let data = json!({ "app_id": APP_ID, "error": error, "expires_at": 1_600_000_000, "is_valid": false, "scopes": [] });
            json(200, &json!({ "data": data }))
        }
        SILENT => Reply::instead(Instead::Silence),
        "EAABlimited" => refused(400, "(#4) Application request limit reached", 4),
        "EAABtoomany" => json(429, &json!({})),
        "EAABdown" => refused(500, "An unknown error has occurred.", 1),
        "EAABredirected" => Reply::status(302).header("location", "https://evil.example/"),
        "EAABmarkup" => Reply::ok("<html>Sorry, something went wrong.</html>"),
        "EAABhuge" => json(200, &json!({ "data": "x".repeat(300_000) })),
        "EAABendless" => Reply::instead(Instead::Endless),
        "EAABclosed" => Reply::instead(Instead::Close),
        "EAABtwofaced" => Reply::ok(TWOFACED),
        other if other.starts_with(SILENT) => Reply::instead(Instead::Silence),
        _ => json(200, &unknown()),
    }
}

/// Not valid to one reader, and valid to another.
const TWOFACED: &str = r#"{"data":{"app_id":"100000000000001","type":"USER","expires_at":0,"is_valid":false,"is_valid":true,"user_id":"100000000000002"}}"#;

fn json(status: u16, body: &Value) -> Reply {
    let reply = Reply::ok(body.to_string()).header("content-type", "application/json");
    Reply { status, ..reply }
}

/// What Graph says of junk.
fn unknown() -> Value {
    let error =
        json!({ "code": 190, "message": "Invalid OAuth access token - Cannot parse access token" });
    json!({ "data": { "error": error, "is_valid": false, "scopes": [] } })
}
