//! How far a revocation has come, as a command tells it, and whether that is so.

use serde_json::json;
use tokio::time::{interval, timeout};

use super::running::{ALADDIN, DIRECTORY, Ran, check, run};
use super::shared::{PATIENCE, PEPPER, await_check, config};
use crate::support::redis::{Product, RedisServer};
use crate::support::server::Server;

const KEY: (&str, &str) = ("x-key", "a-key-from-the-file");

/// Starts servers on a Redis and fills it, and waits until each is told of changes and remembers the key.
async fn start<const N: usize>(redis: &RedisServer) -> [Server; N] {
    let servers = [(); N].map(|()| Server::start_with(&config(redis), &[("pepper", PEPPER)]));
    run(&servers[0], "import -", DIRECTORY).done();
    await_redis(redis, &["KEYS", "pcw:*"], |it| it.len() == N).await;
    for server in &servers {
        await_check(server, KEY, "allow").await;
        await_check(server, ALADDIN, "allow").await;
        assert_eq!(check(server, KEY).await, "allow", "from memory");
    }
    servers
}

/// Asks the Redis until its answer, a list, is as wanted.
async fn await_redis(
    redis: &RedisServer,
    words: &[&str],
    is_wanted: impl Fn(&[redis::Value]) -> bool,
) {
    let client = redis::Client::open(redis.url()).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("a connection");
    let mut tick = interval(std::time::Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            let answer: Vec<redis::Value> =
                command.query_async(&mut connection).await.expect("a list");
            if is_wanted(&answer) {
                return;
            }
        }
    });
    comes
        .await
        .unwrap_or_else(|_| panic!("{words:?}: not as wanted"));
}

/// Waits until a replica has what is written: it counts as connected while it still loads.
async fn await_replica(redis: &RedisServer) {
    let has_replica =
        |role: &[redis::Value]| matches!(&role[2], redis::Value::Array(it) if it.len() == 1);
    await_redis(redis, &["ROLE"], has_replica).await;
    let client = redis::Client::open(redis.url()).expect("a client");
    // Apart from the settings of the one above: its answers must come within half a second.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connection.await.expect("a connection");
    let mut both = redis::pipe();
    both.cmd("SET").arg("other").arg(1).ignore();
    both.cmd("WAIT").arg(1).arg(10_000);
    let confirmed: (u64,) = both.query_async(&mut connection).await.expect("an answer");
    assert_eq!(confirmed, (1,));
}

/// Demands `begin`, a time in milliseconds, and `end`.
#[track_caller]
fn assert_told(told: &str, begin: &str, end: &str) {
    let after = told
        .strip_prefix(begin)
        .and_then(|it| it.strip_suffix(end))
        .and_then(|it| {
            it.strip_prefix(" after ")?
                .strip_suffix(" ms")?
                .parse()
                .ok()
        });
    let after: f64 = after.unwrap_or_else(|| panic!("not {begin:?}…{end:?}: {told:?}"));
    assert!(after > 0.0 && after < 2000.0, "{told}");
}

#[tokio::test]
async fn a_command_tells_how_many_processes_refuse_what_it_revoked_and_they_do() {
    for product in [Product::Redis, Product::Valkey] {
        let redis = RedisServer::start(product);
        let servers = start::<3>(&redis).await;
        let [one, ..] = &servers;
        for (words, done, header, want) in [
            ("key disable k-1", "key k-1 of mine is off", KEY, "disabled"),
            (
                "user disable u-1",
                "user u-1 of mine is off",
                ALADDIN,
                "disabled",
            ),
            (
                "account disable acc-1",
                "account acc-1 of mine is off",
                ALADDIN,
                "locked",
            ),
        ] {
            let ran = run(one, words, "");
            assert_eq!(ran.err, "", "{words}");
            let begin = format!("{done}; refused by 3 of 3 processes");
            assert_told(&ran.done(), &begin, "\n");
            for server in &servers {
                assert_eq!(check(server, header).await, want, "the next Check: {words}");
            }
            let enabled = run(one, &words.replace("disable", "enable"), "").done();
            assert!(enabled.ends_with(" is on\n"), "{enabled}");
            for server in &servers {
                await_check(server, header, "allow").await;
            }
        }
        let rotated = run(one, "key rotate k-1", "");
        let told = rotated
            .err
            .strip_suffix("; its secret is shown this once:\n");
        let begin = "portcullis: key k-1 of mine has a new secret; the former one is refused by 3 of 3 processes";
        assert_told(told.expect("words"), begin, "");
        let second = rotated.done();
        let second = ("x-key", second.trim_end());
        for server in &servers {
            assert_eq!(check(server, KEY).await, "expired");
            assert_eq!(check(server, second).await, "allow");
        }
        let rotated = run(one, "key rotate k-1 --overlap 1h --json", "").json();
        assert_eq!(rotated["revocation"]["heard"], 3);
        let revoked = run(one, "key revoke k-1", "").done();
        let begin = "key k-1 of mine is revoked for good; refused by 3 of 3 processes";
        assert_told(&revoked, begin, "\n");
        for server in &servers {
            assert_eq!(check(server, second).await, "revoked");
        }
        for words in ["user revoke u-1", "account revoke acc-1", "platform revoke"] {
            let revoked = run(one, &format!("{words} --json"), "").json();
            assert_eq!(revoked["generation"], 1, "{words}");
            let mut revocation = revoked["revocation"].clone();
            assert!(revocation["milliseconds"].take().is_f64(), "{revoked}");
            let want = json!({
                "processes": 3, "heard": 3, "milliseconds": null, "replicas": 0, "confirmed": 0,
            });
            assert_eq!(revocation, want, "{words}");
        }
        let none = run(one, "session revoke --user u-1", "").done();
        assert_eq!(none, "there was no such session\n");
    }
}

#[tokio::test]
async fn a_process_that_hangs_is_told_of_as_missing_and_notices_later() {
    let redis = RedisServer::start(Product::Redis);
    let servers = start::<3>(&redis).await;
    servers[2].signal("STOP");
    let ran = run(&servers[0], "key disable k-1", "");
    let says = "1 of 3 did not answer within 2 s: ended, hanging, or cut off from the store; what it remembers counts \
                until 5 s after the revocation at the latest";
    assert_eq!(ran.err, format!("portcullis: {says}\n"));
    // It is done, and to do it again would tell nobody sooner.
    assert_told(
        &ran.done(),
        "key k-1 of mine is off; refused by 2 of 3 processes",
        "\n",
    );
    for server in &servers[..2] {
        assert_eq!(check(server, KEY).await, "disabled");
    }
    let json = run(&servers[0], "key revoke k-1 --json", "").json();
    let revocation = &json["revocation"];
    assert_eq!(
        (&revocation["processes"], &revocation["heard"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(revocation["others_within_seconds"], 5);
    servers[2].signal("CONT");
    await_check(&servers[2], KEY, "revoked").await;
}

#[tokio::test]
async fn a_replica_confirms_a_revocation_or_it_is_told_that_none_has() {
    for product in [Product::Redis, Product::Valkey] {
        let redis = RedisServer::start_with(product, &["--repl-diskless-sync-delay", "0"]);
        let [server] = start::<1>(&redis).await;
        let port = redis.address().port().to_string();
        let options = ["--replicaof", "127.0.0.1", &port];
        let replica = RedisServer::start_with(product, &options);
        await_replica(&redis).await;

        let ran = run(&server, "key disable k-1", "");
        assert_eq!(ran.err, "");
        let begin = "key k-1 of mine is off; refused by 1 of 1 process";
        assert_told(&ran.done(), begin, "; confirmed by 1 of 1 replica\n");

        replica.pause();
        let ran = run(&server, "key revoke k-1", "");
        let lost = "no replica of the store has confirmed it: it is lost if the primary fails now";
        assert!(ran.err.contains(lost), "{ran:?}");
        let begin = "key k-1 of mine is revoked for good; refused by 1 of 1 process";
        assert_told(&ran.done(), begin, "\n");
        let json = run(&server, "user revoke u-1 --json", "").json();
        let revocation = &json["revocation"];
        assert_eq!(
            (&revocation["replicas"], &revocation["confirmed"]),
            (&json!(1), &json!(0))
        );
    }
}

#[tokio::test]
async fn where_processes_cannot_be_counted_the_command_says_so_and_when_they_notice() {
    let clerk = ["--user", "clerk", "on", ">right", "resetkeys", "+@all"];
    let nobody = "; no process is told at once\n";
    for (rights, out, err) in [
        (
            &["~pc:*", "~pcu:*"][..],
            "\n",
            "how many processes have heard is not known",
        ),
        (
            &["~pc:*", "~pcu:*", "~pcw:*", "-client|tracking"],
            nobody,
            "one that runs all the same notices within a second, or cut off from the store within 5 s",
        ),
    ] {
        let redis = RedisServer::start_with(Product::Redis, &[&clerk[..], rights].concat());
        let login = "timeout_ms: 10000, username: clerk, password_file: password";
        let config = config(&redis).replace("timeout_ms: 10000", login);
        let files = [("pepper", PEPPER), ("password", "right")];
        let server = Server::start_with(&config, &files);
        run(&server, "import -", DIRECTORY).done();
        assert_eq!(check(&server, KEY).await, "allow");
        let ran: Ran = run(&server, "key revoke k-1", "");
        assert!(ran.err.contains(err), "{ran:?}");
        assert_eq!(
            ran.done(),
            format!("key k-1 of mine is revoked for good{out}")
        );
        await_check(&server, KEY, "revoked").await;
    }
}
