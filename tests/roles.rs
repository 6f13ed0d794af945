//! The users of `deploy/redis/users.acl` on both products: each does its work with its rights, may do nothing else, and
//! what a user lacks is told.

mod support;

use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value, cmd};
use serde_json::json;
use support::client::{Request, exchange};
use support::envoy::Envoy;
use support::http::fetch;
use support::process::Process;
use support::redis::{ADMIN, ISSUER, PASSWORD, Product, RedisServer, SIDECAR, USERS};
use support::sample::{DIRECTORY, INFOBIP, MINE, MY_BARE_KEY, MY_KEY, PEPPER, files, on_store};
use support::server::Server;
use support::upstream::Upstream;
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const ISSUES: &str = "  issue: \"127.0.0.1:{issue}\"\n";

/// A configuration that logs in as this user, of a process that issues or does not.
fn config(redis: &RedisServer, user: &str, issues: bool) -> String {
    let login = format!("timeout_ms: 10000, username: {user}, password_file: redis.password");
    let config = on_store(&redis.url()).replace("timeout_ms: 10000", &login);
    assert!(config.contains(ISSUES));
    match issues {
        true => config,
        false => config.replace(ISSUES, ""),
    }
}

fn launch(config: &str) -> Server {
    let files = [&files()[..], &[("redis.password", PASSWORD)]].concat();
    let server = Server::launch(config, &files);
    server.await_log("listening", PATIENCE);
    server
}

fn start(config: &str) -> Server {
    let server = launch(config);
    server.await_ready();
    server
}

/// A server behind an Envoy.
struct Side {
    server: Server,
    envoy: Envoy,
    _upstream: Upstream,
}

impl Side {
    fn of(server: Server) -> Self {
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .check_timeout(Duration::from_secs(20))
            .issue(server.issue())
            .start();
        Self {
            server,
            envoy,
            _upstream: upstream,
        }
    }

    async fn status(&self, request: &Request) -> u16 {
        exchange(self.envoy.plain(), request).await.status
    }

    async fn await_status(&self, request: &Request, status: u16) {
        await_that(&format!("{status}"), async || {
            self.status(request).await == status
        })
        .await;
    }

    fn shows(&self, path: &str, text: &str) -> bool {
        let shown = fetch(self.server.admin(), path).expect("an admin listener");
        shown.text().contains(text)
    }

    /// Runs a command that fails, with this server's configuration, and gives what it says of that.
    fn failing(&self, words: &str) -> String {
        let ran = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(words.split(' '))
            .arg("--config")
            .arg(self.server.path("portcullis.yaml"))
            .output()
            .expect("the binary that was built");
        assert!(!ran.status.success(), "{words}");
        String::from_utf8(ran.stderr).expect("text")
    }
}

async fn await_that(what: &str, is_so: impl AsyncFn() -> bool) {
    let mut tick = interval(Duration::from_millis(10));
    let comes = timeout(PATIENCE, async {
        while !is_so().await {
            tick.tick().await;
        }
    });
    comes.await.unwrap_or_else(|_| panic!("never came: {what}"));
}

fn with_key(key: &str) -> Request {
    Request::new("GET", "/orders/7")
        .header("host", MINE)
        .header("x-my-key", key)
}

fn with_password(password: &str) -> Request {
    let login = BASE64_STANDARD.encode(format!("admin:{password}"));
    Request::new("GET", "/admin/a")
        .header("host", MINE)
        .header("authorization", format!("Basic {login}"))
}

fn session(method: &str) -> Request {
    Request::new(method, "/auth/1/session")
        .header("host", INFOBIP)
        .header("content-type", "application/json")
}

fn sends(token: &str) -> Request {
    Request::new("POST", "/sms/3/messages")
        .header("host", INFOBIP)
        .header("authorization", format!("IBSSO {token}"))
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("a connection")
}

/// Sends words that are divided by spaces.
async fn tell<T: FromRedisValue>(to: &mut MultiplexedConnection, words: &str) -> T {
    let mut command = cmd("");
    command.clear();
    command.arg(words.split(' ').collect::<Vec<_>>());
    let answer = command.query_async(to).await;
    answer.unwrap_or_else(|error| panic!("{words}: {error}"))
}

#[tokio::test]
async fn each_role_does_its_work_with_its_rights_alone_on_redis() {
    do_the_work(Product::Redis).await;
}

#[tokio::test]
async fn each_role_does_its_work_with_its_rights_alone_on_valkey() {
    do_the_work(Product::Valkey).await;
}

async fn do_the_work(product: Product) {
    let redis = RedisServer::start_with_roles(product, &[]);
    let mut admin = connect(&redis.url_of(ADMIN)).await;

    // Nobody is unknown before somebody who may has begun the store.
    let sidecar = Side::of(launch(&config(&redis, SIDECAR, false)));
    await_that("why it is not ready", async || {
        sidecar.shows(
            "/readyz",
            "import the directory with the rights of `portcullis-issuer`",
        )
    })
    .await;
    assert!(sidecar.shows("/readyz", "deploy/redis/users.acl"));
    assert_eq!(sidecar.status(&with_key(MY_KEY)).await, 503);
    let issuer = Side::of(start(&config(&redis, ISSUER, true)));
    sidecar.server.await_ready();
    tell::<()>(&mut admin, "ACL LOG RESET").await;
    let errors = sidecar.server.log().matches("\"ERROR\"").count();

    let imported = issuer.server.command("import -", DIRECTORY);
    assert!(imported.contains(" created"), "{imported}");
    serve(&sidecar, &issuer).await;
    issue(&sidecar, &issuer).await;
    let uses: Vec<String> = tell(&mut admin, "KEYS pcu:k:mine:*").await;
    assert!(!uses.is_empty(), "when a key was used last is noted");

    // Another that starts now, and one in the midst of a change of peppers.
    let another = start(&config(&redis, SIDECAR, false));
    let changing = config(&redis, SIDECAR, false).replace("[pepper]", "[next, pepper]");
    let next = PEPPER.replace("pepper", "another");
    let files = [
        &files()[..],
        &[("redis.password", PASSWORD), ("next", next.as_str())],
    ];
    let refusals: Vec<Value> = tell(&mut admin, "ACL LOG").await;
    assert_eq!(refusals, [], "nothing is tried that is forbidden");
    let changing = Server::start_with(&changing, &files.concat());
    for server in [&issuer.server, &another, &changing] {
        let log = server.log();
        assert!(!log.contains("\"ERROR\""), "{log}");
        // But for what the configuration is warned of.
        let warnings = log.lines().filter(|it| it.contains("\"WARN\""));
        let amiss: Vec<_> = warnings
            .filter(|it| !it.contains("portcullis.yaml"))
            .collect();
        assert!(amiss.is_empty(), "{amiss:?}");
    }
    let log = sidecar.server.log();
    assert_eq!(log.matches("\"ERROR\"").count(), errors, "{log}");

    let told = sidecar.failing("user disable --platform mine u-1");
    assert!(told.contains("access rules forbid the key"), "{told}");
    assert!(told.contains("deploy/redis/users.acl"), "{told}");
    let told = sidecar.failing("key list --platform mine");
    assert!(told.contains("forbid the command SCAN"), "{told}");
    let another = "mine: { accounts: [{ id: another, name: Another }] }";
    sidecar.server.write("another.yaml", another);
    let file = sidecar.server.path("another.yaml");
    let told = sidecar.failing(&format!("import {}", file.display()));
    assert!(told.contains("(NOPERM)"), "{told}");
    assert!(
        told.contains("nothing was written; run the same import with a user who may write, `portcullis-issuer`"),
        "{told}"
    );
    hold(&redis).await;
}

/// What a process does that does not issue.
async fn serve(sidecar: &Side, issuer: &Side) {
    await_that("word of changes", async || {
        sidecar.shows("/metrics", "portcullis_store_watch_up 1")
            && issuer.shows("/metrics", "portcullis_store_watch_up 1")
    })
    .await;
    assert!(sidecar.shows("/metrics", "portcullis_store_evicts 0"));
    for key in [MY_KEY, MY_BARE_KEY] {
        sidecar.await_status(&with_key(key), 200).await;
    }
    assert_eq!(sidecar.status(&with_key("nobodys-own-key-1")).await, 401);
    assert_eq!(sidecar.status(&with_password("admin-password")).await, 200);
    for number in 0..3 {
        let wrong = with_password(&format!("wrong-{number}"));
        assert_eq!(sidecar.status(&wrong).await, 401);
    }
    await_that("failed attempts", async || {
        let listed = issuer
            .server
            .command("throttle list --platform mine --json", "");
        listed.contains("\"failures\":3")
    })
    .await;
}

/// What who issues does counts where it is not issued.
async fn issue(sidecar: &Side, issuer: &Side) {
    let login = json!({ "username": "Jasmine", "password": "jasmine-password" });
    let login = session("POST").body(login.to_string());
    let made = exchange(issuer.envoy.plain(), &login).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    let token = made["token"].as_str().expect("a token");
    assert_eq!(sidecar.status(&sends(token)).await, 200);
    let ends = session("DELETE").header("authorization", format!("IBSSO {token}"));
    assert_eq!(issuer.status(&ends).await, 200);
    sidecar.await_status(&sends(token), 401).await;

    let revoked = issuer.server.command("key revoke --platform mine k-1", "");
    assert!(revoked.contains("refused by 2 of 2 processes"), "{revoked}");
    assert_eq!(sidecar.status(&with_key(MY_KEY)).await, 401);
}

/// A platform whose users come with an MD5 of theirs, or with their password.
fn with_hashes(redis: &RedisServer, user: &str, form: &str) -> String {
    format!(
        "listen: {{ grpc: [\"127.0.0.1:{{grpc}}\"], admin: \"127.0.0.1:{{admin}}\" }}
store: {{ url: \"{}\", username: {user}, password_file: redis.password, pepper_files: [pepper], timeout_ms: 10000 }}
check: {{ deadline_ms: 20000 }}
platforms:
  - name: old
    hosts: [\"*\"]
    https: off
    schemes: {{ basic: {{ kind: basic, form: {form} }} }}
    rules: [{{ paths: [\"/**\"] }}]
",
        redis.url()
    )
}

/// Whoever may not write records lets in by an old hash and leaves it; whoever may replaces it.
#[tokio::test]
async fn an_old_hash_stays_where_records_may_not_be_written_and_goes_where_they_may() {
    const USERS: &str = "
old:
  accounts: [{ id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b }]
  users: [{ id: u-1, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: m32c6NfqYEt }]
";
    let redis = RedisServer::start_with_roles(Product::Redis, &[]);
    let mut admin = connect(&redis.url_of(ADMIN)).await;
    let before = start(&with_hashes(&redis, ISSUER, "md5"));
    before.command("import -", USERS);
    let kept: String = tell(&mut admin, "GET pc:u:old:u-1").await;
    let verified = before.command("store verify", "");
    assert!(
        verified.contains("old: legacy forms left: 0 ha1b, 1 md5"),
        "{verified}"
    );
    drop(before);

    let begin = |user: &str| {
        let server = start(&with_hashes(&redis, user, "password"));
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .check_timeout(Duration::from_secs(20))
            .start();
        Side {
            server,
            envoy,
            _upstream: upstream,
        }
    };
    let login = |password: &str| {
        let login = BASE64_STANDARD.encode(format!("john@example.com:{password}"));
        let request = Request::new("GET", "/a").header("host", "old.example");
        request.header("authorization", format!("Basic {login}"))
    };
    let counted = |outcome: &str| {
        let labels = format!("platform=\"old\",form=\"md5\",outcome=\"{outcome}\"");
        format!("portcullis_legacy_credentials_total{{{labels}}} 1")
    };
    let sidecar = begin(SIDECAR);
    assert_eq!(sidecar.status(&login("wrong")).await, 401);
    assert!(!sidecar.shows("/metrics", "portcullis_legacy_credentials_total{"));
    assert_eq!(sidecar.status(&login("m32c6NfqYEt")).await, 200);
    await_that("a hash that is left", async || {
        sidecar.shows("/metrics", &counted("left"))
    })
    .await;
    let still: String = tell(&mut admin, "GET pc:u:old:u-1").await;
    assert_eq!(still, kept);

    let issuer = begin(ISSUER);
    assert_eq!(issuer.status(&login("wrong")).await, 401);
    assert_eq!(issuer.status(&login("m32c6NfqYEt")).await, 200);
    await_that("a hash that is replaced", async || {
        issuer.shows("/metrics", &counted("replaced"))
    })
    .await;
    let now: String = tell(&mut admin, "GET pc:u:old:u-1").await;
    assert!(
        now.contains("$argon2id$") && !kept.contains("$argon2id$"),
        "{now}"
    );
    let verified = issuer.server.command("store verify", "");
    assert!(!verified.contains("1 md5"), "{verified}");
    assert_eq!(sidecar.status(&login("m32c6NfqYEt")).await, 200);
    assert_eq!(sidecar.status(&login("wrong again")).await, 401);
}

/// Demands that the sidecar's user may do no more than that.
async fn hold(redis: &RedisServer) {
    let mut sidecar = connect(&redis.url_of(SIDECAR)).await;
    let read: Option<String> = tell(&mut sidecar, "GET pc:k:mine:k-2").await;
    assert!(read.is_some(), "records are there to be read");
    for words in [
        "SET pc:k:mine:k-2 1",
        "SET pc:k:mine:new 1",
        "SET pc:m:peppers 1",
        "SET pc:n:call 1",
        "SET pcu:o:mine:claim 1",
        "GET pcu:o:mine:claim",
        "GET others",
        "DEL pc:k:mine:k-2",
        "DEL pcu:f:mine:count",
        "UNLINK pcu:f:mine:count",
        "PEXPIRE pc:k:mine:k-2 1",
        "RENAME pc:k:mine:k-2 pcw:stolen",
        "SCAN 0",
        "KEYS *",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "ACL LIST",
        "CLIENT LIST",
        "MONITOR",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "PUBLISH channel word",
        "SCRIPT FLUSH",
        "WAIT 1 1",
    ] {
        let mut command = cmd("");
        command.clear();
        command.arg(words.split(' ').collect::<Vec<_>>());
        let refused = command.exec_async(&mut sidecar).await;
        let refused = refused.expect_err(words);
        assert_eq!(refused.code(), Some("NOPERM"), "{words}: {refused}");
    }
    for (script, keys) in [
        ("return redis.call('GET', KEYS[1])", &["pc:k:mine:k-2"][..]),
        ("return redis.call('SET', KEYS[1], '1')", &["pc:k:mine:k-2"]),
        ("return redis.call('SET', 'pc:k:mine:k-2', '1')", &[]),
        ("return redis.call('DEL', 'pc:k:mine:k-2')", &[]),
        ("return redis.call('DEL', KEYS[1])", &["pcu:f:mine:count"]),
        ("return redis.call('FLUSHALL')", &[]),
    ] {
        let mut eval = cmd("EVAL");
        eval.arg(script).arg(keys.len()).arg(keys);
        let refused = eval.exec_async(&mut sidecar).await;
        assert!(refused.is_err(), "{script} {keys:?}");
    }
    let mut nobody = connect(&redis.url_of(ADMIN)).await;
    let kept: Option<String> = tell(&mut nobody, "GET pc:k:mine:k-2").await;
    assert_eq!(kept, read);
}

#[tokio::test]
async fn what_a_user_lacks_is_told_at_the_start_with_the_command_and_the_role() {
    let redis = RedisServer::start_with_roles(Product::Redis, &[]);
    let mut admin = connect(&redis.url_of(ADMIN)).await;
    let issuer = start(&config(&redis, ISSUER, true));
    let before = issuer.log();
    assert!(!before.contains("for want of a right"), "{before}");

    // One that issues, with the rights of one that does not.
    let server = start(&config(&redis, SIDECAR, true));
    server.await_log("it has `listen.issue`", PATIENCE);
    let log = server.log();
    for says in ["a right of `portcullis-issuer`", "the command DEL (NOPERM)"] {
        assert!(log.contains(says), "{says}: {log}");
    }
    assert_eq!(log.matches("for want of a right").count(), 1, "{log}");

    let rights = "resetkeys %R~pc:* -pexpire -set";
    tell::<()>(&mut admin, &format!("ACL SETUSER {SIDECAR} {rights}")).await;
    let server = start(&config(&redis, SIDECAR, false));
    server.await_log("do not count this process", PATIENCE);
    let log = server.log();
    for says in [
        "sessions that idle cannot be used",
        "counts failed attempts alone",
        "used last is not noted",
        "the command PEXPIRE (NOPERM)",
        "the command SET (NOPERM)",
        "the key (NOPERM)",
        "a right of `portcullis-sidecar`",
    ] {
        assert!(log.contains(says), "{says}: {log}");
    }
    assert_eq!(log.matches("for want of a right").count(), 4, "{log}");
}

#[tokio::test]
async fn a_store_that_evicts_is_told_of_in_the_log_and_by_readiness_and_a_metric_until_it_does_not()
{
    for product in [Product::Redis, Product::Valkey] {
        let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
        let redis = RedisServer::start_with_roles(product, &options);
        let mut admin = connect(&redis.url_of(ADMIN)).await;
        let side = Side::of(start(&config(&redis, ISSUER, true)));
        let says = "its maxmemory-policy is allkeys-lru";
        let evicts = |yes: bool| {
            let metric = format!("portcullis_store_evicts {}", u8::from(yes));
            side.shows("/metrics", &metric) && side.shows("/readyz", says) == yes
        };
        await_that("that it evicts", async || evicts(true)).await;
        let shown = fetch(side.server.admin(), "/readyz").expect("an admin listener");
        assert_eq!(shown.status, 200, "it is no worse than its neighbours");

        // Told once, however often it is connected to.
        let word = "changes in the store are told of again";
        for times in 1..=2 {
            tell::<Value>(&mut admin, "CLIENT KILL TYPE normal SKIPME yes").await;
            await_that(word, async || {
                side.server.log().matches(word).count() == times
            })
            .await;
        }
        assert!(evicts(true));
        let log = side.server.log();
        assert_eq!(log.matches(says).count(), 1, "{log}");

        tell::<()>(&mut admin, "CONFIG SET maxmemory-policy noeviction").await;
        tell::<Value>(&mut admin, "CLIENT KILL TYPE normal SKIPME yes").await;
        await_that("that it does not", async || evicts(false)).await;
        side.server
            .await_log("evicts no records any more", PATIENCE);
    }
}

#[tokio::test]
async fn where_the_policy_may_not_be_asked_for_that_is_said_once_and_nothing_else_is_amiss() {
    let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = RedisServer::start_with_roles(Product::Redis, &options);
    let mut admin = connect(&redis.url_of(ADMIN)).await;
    tell::<()>(&mut admin, &format!("ACL SETUSER {ISSUER} -info")).await;
    let side = Side::of(start(&config(&redis, ISSUER, true)));
    let says = "access rules forbid INFO";
    side.server.await_log(says, PATIENCE);
    let word = "changes in the store are told of again";
    tell::<Value>(&mut admin, "CLIENT KILL TYPE normal SKIPME yes").await;
    side.server.await_log(word, PATIENCE);
    assert!(side.shows("/metrics", "portcullis_store_evicts 0"));
    assert!(side.shows("/metrics", "portcullis_store_watch_up 1"));
    let log = side.server.log();
    assert_eq!(log.matches(says).count(), 1, "{log}");
}

#[test]
fn no_server_starts_with_the_placeholders_for_passwords_in_place() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), USERS).expect("a file");
    for product in [Product::Redis, Product::Valkey] {
        let process: Process = RedisServer::refusing(product, file.path());
        process.await_log("password hash must be exactly 64", PATIENCE);
    }
}
