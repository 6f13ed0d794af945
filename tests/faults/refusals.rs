//! A Redis that answers, and refuses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::time::interval;

use crate::faults::site::{
    KNOWN, OTHER, PATIENCE, Site, config, connect, connect_to, info, nobodys, tell,
};
use crate::support::client::{Request, exchange};
use crate::support::http::Response;
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{self, CROSSBAR};
use crate::support::server::Server;

#[tokio::test]
async fn while_it_loads_its_data_it_is_a_503() {
    // As slowly as a large one: a twentieth of a second for each key.
    let mut options = vec!["--key-load-delay", "50000", "--rdbcompression", "no"];
    options.extend(["--loading-process-events-interval-bytes", "1024"]);
    options.extend(["--enable-debug-command", "yes"]);
    let redis = RedisServer::start_with(Product::Redis, &options);
    let site = Site::start(&config(&redis.url(), "")).await;
    let mut direct = connect(&redis).await;
    for number in 0..60 {
        let filler = "-".repeat(1024);
        tell::<()>(&mut direct, &format!("SET filler:{number} {filler}")).await;
    }
    // Its answer comes when it has loaded, which is later than anybody waits.
    let reload = async move {
        redis::cmd("DEBUG")
            .arg("RELOAD")
            .exec_async(&mut direct)
            .await
    };
    let reloading = tokio::spawn(reload);
    let refused = |site: &Site| {
        site.server
            .log()
            .contains("still loading its data (LOADING)")
    };
    let deadline = Instant::now() + PATIENCE;
    // Slowly: nobody may try as many keys as a fast machine would.
    let mut tick = interval(Duration::from_millis(20));
    while !refused(&site) {
        tick.tick().await;
        assert!([200, 503].contains(&site.status(OTHER).await));
        assert!([401, 503].contains(&site.status(&nobodys()).await));
        assert!(Instant::now() < deadline, "{}", site.server.log());
    }
    assert!(site.readiness().0);
    let _ = reloading.await.expect("an end");
    site.recovers().await;
}

/// Sends something to crossbar's endpoints.
async fn endpoint(site: &Site, method: &str, path: &str, token: &str, body: &str) -> Response {
    let mut request = Request::new(method, path)
        .header("host", CROSSBAR)
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("x-auth-token", token);
    }
    exchange(site.envoy.plain(), &request.body(body)).await
}

/// All that changes verdicts.
async fn records(of: &mut MultiplexedConnection) -> BTreeMap<String, String> {
    let keys: Vec<String> = tell(of, "KEYS pc:*").await;
    let mut all = BTreeMap::new();
    for key in keys {
        let value = tell(of, &format!("GET {key}")).await;
        all.insert(key, value);
    }
    all
}

#[tokio::test]
async fn full_it_is_read_as_ever_and_what_must_be_written_is_a_503_and_not_half_done() {
    let redis = RedisServer::start(Product::Redis);
    let site = Site::start(&config(&redis.url(), "")).await;
    let mut direct = connect(&redis).await;
    let johns = json!({ "data": {
        "credentials": "82a2dc91686ec828a67152d45a5c5ef7", "account_name": "ACME" } });
    let login = endpoint(&site, "PUT", "/v2/user_auth", "", &johns.to_string()).await;
    assert_eq!(login.status, 201, "{}", login.text());
    let token = login.json()["auth_token"].as_str().map(str::to_owned);
    let token = token.expect("a token");
    let before = records(&mut direct).await;

    tell::<()>(&mut direct, "CONFIG SET maxmemory 1").await;
    assert_eq!(site.status(OTHER).await, 200);
    assert_eq!(site.status(KNOWN).await, 200);
    assert_eq!(site.status(&nobodys()).await, 401);
    assert!(site.readiness().0);
    let reset = json!({ "data": { "action": "reset_signature_secret" } }).to_string();
    for (method, path, body) in [
        ("DELETE", "/v2/token_auth", ""),
        ("PUT", "/v2/auth", &reset),
    ] {
        let answer = endpoint(&site, method, path, &token, body).await;
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.text());
        assert_eq!(answer.json()["status"], "error");
        let again = endpoint(&site, "GET", "/v2/token_auth", &token, "").await;
        assert_eq!(again.status, 200, "{}", again.text());
    }
    // A login needs to write nothing that counts.
    let login = endpoint(&site, "PUT", "/v2/user_auth", "", &johns.to_string()).await;
    assert_eq!(login.status, 201, "{}", login.text());
    site.server
        .await_log("no memory left for writes (OOM)", PATIENCE);
    assert_eq!(records(&mut direct).await, before);

    tell::<()>(&mut direct, "CONFIG SET maxmemory 0").await;
    let ended = endpoint(&site, "DELETE", "/v2/token_auth", &token, "").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    let dead = endpoint(&site, "GET", "/v2/token_auth", &token, "").await;
    assert_eq!(dead.status, 401, "{}", dead.text());
}

const REFUSED: &str = "does not accept the user name or the password (WRONGPASS)";

/// Starts a server that logs in with this password.
fn launch(redis: &RedisServer, user: &str, password: &str) -> Server {
    let settings = format!(", username: {user}, password_file: redis.password");
    let config = config(&redis.url(), &settings);
    let mut files = sample::files().to_vec();
    files.push(("redis.password", password));
    let server = Server::launch(&config, &files);
    server.await_log("listening", PATIENCE);
    server
}

#[tokio::test]
async fn with_the_wrong_password_at_the_start_it_is_a_503_and_never_ready_nor_hammered() {
    let redis = RedisServer::start_with(Product::Redis, &["--requirepass", "right"]);
    let site = Site::before(launch(&redis, "default", "wrong"));
    let url = redis.url().replace("redis://", "redis://:right@");
    let mut direct = connect_to(&url).await;
    site.server.await_log(REFUSED, PATIENCE);
    for _ in 0..20 {
        site.refuses(KNOWN).await;
        site.refuses(&nobodys()).await;
    }
    let (is_ready, says) = site.readiness();
    assert!(!is_ready && says.contains(REFUSED), "{says}");
    assert!(
        !site.server.log().contains("wrong"),
        "{}",
        site.server.log()
    );
    // For 120 requests: some attempts of either connection, with pauses between them that grow.
    let connections = info(&mut direct, "total_connections_received").await;
    assert!(connections < 20, "{connections}");

    tell::<()>(&mut direct, "CONFIG SET requirepass wrong").await;
    site.server.await_ready();
    site.import();
    site.recovers().await;
}

#[tokio::test]
async fn with_a_password_that_changed_in_the_run_it_is_as_lost_until_it_is_right_again() {
    let redis = RedisServer::start_with(Product::Redis, &["--requirepass", "right"]);
    let server = launch(&redis, "default", "right");
    server.await_ready();
    let site = Site::before(server);
    site.fill();
    site.learn().await;
    let url = redis.url().replace("redis://", "redis://:right@");
    let mut direct = connect_to(&url).await;
    tell::<()>(&mut direct, "CONFIG SET requirepass changed").await;
    tell::<u64>(&mut direct, "CLIENT KILL TYPE normal SKIPME yes").await;
    assert_eq!(site.status(KNOWN).await, 200, "within the grace");
    site.refuses(OTHER).await;
    site.refuses(&nobodys()).await;
    site.server.await_log(REFUSED, PATIENCE);
    site.await_change(KNOWN, 200, 503).await;
    assert!(site.readiness().0);
    tell::<()>(&mut direct, "CONFIG SET requirepass right").await;
    site.recovers().await;
}

#[tokio::test]
async fn where_it_does_not_tell_of_changes_all_is_as_ever_and_remembered_for_a_second() {
    let mut options = vec!["--user", "clerk", "on", ">right", "~*", "+@all"];
    options.extend(["-client|tracking", "-client|trackinginfo"]);
    let redis = RedisServer::start_with(Product::Redis, &options);
    let server = launch(&redis, "clerk", "right");
    server.await_ready();
    let site = Site::before(server);
    site.import();
    site.await_status(KNOWN, 200).await;
    site.await_status(&nobodys(), 401).await;
    site.server
        .await_log("does not do CLIENT TRACKING", PATIENCE);
    let (is_ready, says) = site.readiness();
    assert!(
        is_ready && says.contains("does not do CLIENT TRACKING"),
        "{says}"
    );
    assert!(site.metrics().contains("portcullis_store_watch_up 0"));

    // Where it does, an identity is remembered for a minute, and a denial for five seconds.
    for (command, from, to) in [("disable", 200, 401), ("enable", 401, 200)] {
        site.server
            .command(&format!("key {command} --platform mine k-1"), "");
        let begun = Instant::now();
        site.await_change(KNOWN, from, to).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{command}");
    }
    let mut direct = connect(&redis).await;
    site.await_status(KNOWN, 200).await;
    let before = info(&mut direct, "cmdstat_get").await;
    for _ in 0..20 {
        assert_eq!(site.status(KNOWN).await, 200);
    }
    let read = info(&mut direct, "cmdstat_get").await - before;
    assert!(read < 60, "remembered for a second all the same: {read}");
}
