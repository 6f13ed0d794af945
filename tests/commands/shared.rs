//! A directory in a Redis: commands reach it without a server of ours, and servers hear of what changes.

use std::time::Duration;

use tokio::time::{interval, timeout};

use super::running::{ALADDIN, CONFIG, DIRECTORY, check, run};
use crate::support::redis::{Product, RedisServer};
use crate::support::server::Server;

pub(crate) const PEPPER: &str = "a pepper of a test, 32 bytes or more\n";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config(redis: &RedisServer) -> String {
    config_at(&redis.url())
}

pub(crate) fn config_at(url: &str) -> String {
    let store = format!("store: {{ url: \"{url}\", pepper_files: [pepper], timeout_ms: 10000 }}");
    CONFIG
        .replace("store: { directory_file: directory.yaml }", &store)
        .replace("  control: \"unix:control.sock\"\n", "")
}

/// Asks until the answer is what it should become.
pub(crate) async fn await_check(server: &Server, header: (&str, &str), want: &str) {
    let mut tick = interval(Duration::from_millis(10));
    let became = timeout(PATIENCE, async {
        while check(server, header).await != want {
            tick.tick().await;
        }
    });
    became.await.unwrap_or_else(|_| panic!("never {want}"));
}

#[tokio::test]
async fn what_a_command_changes_in_a_redis_counts_on_every_server() {
    let mut redis = RedisServer::start(Product::Redis);
    let files = [("pepper", PEPPER)];
    let servers = [(); 2].map(|()| Server::start_with(&config(&redis), &files));
    let [one, two] = &servers;
    let imported = run(one, "import -", DIRECTORY).done();
    assert!(imported.starts_with("3 records: 3 created, "), "{imported}");
    for server in &servers {
        await_check(server, ALADDIN, "allow").await;
        await_check(server, ("x-key", "a-key-from-the-file"), "allow").await;
    }
    run(two, "user disable u-1", "").done();
    run(two, "key revoke k-1", "").done();
    for server in &servers {
        await_check(server, ALADDIN, "disabled").await;
        await_check(server, ("x-key", "a-key-from-the-file"), "revoked").await;
    }
    let verified = run(one, "store verify", "").done();
    assert!(
        verified.starts_with("3 records and 4 index entries: 0 orphaned"),
        "{verified}"
    );
    let exported = run(one, "export", "").done();
    assert!(
        exported.contains("u-1") && !exported.contains("k-1"),
        "{exported}"
    );

    two.write("pepper", "another pepper, of 32 bytes or more\n");
    run(two, "user list", "").failed(2, "written under another pepper");
    redis.stop();
    run(one, "user list", "").failed(1, "the store cannot be used");
}
