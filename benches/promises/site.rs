//! What servers are configured with, and who is known to them.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::asked::key;
use crate::served::PORTCULLIS;
use crate::support::redis::{Product, RedisServer};

/// What a store but `memory:` is written under.
pub const PEPPER: &str = "a pepper of a bench, 32 bytes or more";

pub const MEMORY: &str = r#"{ url: "memory:", directory_file: directory.yaml }"#;
pub const EMBEDDED: &str = r#"{ url: "embedded:store.redb", pepper_files: [pepper] }"#;

/// The audit as it comes, which has a line for each denial and for one allow of a hundred.
pub const AUDIT: &str = "{ to: audit.jsonl }";
pub const NO_AUDIT: &str = "null";

/// The three presets, with all that is theirs.
pub const PRESETS: &str = "  - { name: crossbar, preset: crossbar, hosts: [crossbar.example.com] }
  - { name: opentact, preset: opentact, hosts: [opentact.example.com] }
  - { name: infobip, preset: infobip, hosts: [infobip.example.com] }
";

/// The platform that is asked, with one rule that takes every path, and without a limit on what is tried.
pub const PLAIN: &str = "  - name: infobip
    preset: infobip
    hosts: [infobip.example.com]
    rules: [{ paths: [\"/**\"], schemes: [api_key] }]
    throttle: { bucket: null, scheme: null }
";

/// Gives the configuration of a server, but for its ports. Cached is longer than a run, and more than are asked for.
pub fn config(store: &str, audit: &str, platforms: &str) -> String {
    format!(
        r#"listen: {{ grpc: ["127.0.0.1:{{grpc}}"], admin: "127.0.0.1:{{admin}}" }}
store: {store}
cache: {{ capacity: 2000000, ttl_seconds: 36000, denial_ttl_seconds: 3600 }}
# A machine that is busy makes no fault.
check: {{ deadline_ms: 20000 }}
client_address: {{ from: peer }}
telemetry: {{ log: warn, audit: {audit} }}
platforms:
{platforms}"#
    )
}

/// How many rows of a list stand in one file: `import` takes 64 MiB.
const ROWS: u64 = 250_000;

/// How many keys an account has. Each is listed with the account's others, so that many in one would take long to write.
const KEYS: u64 = 10_000;

/// Gives the setting of a Redis.
pub fn redis(server: &RedisServer) -> String {
    let url = server.url();
    format!(r#"{{ url: "{url}", pepper_files: [pepper], timeout_ms: 10000 }}"#)
}

/// Gives a directory with so many callers with a key each, and so many users, on the platform that is asked.
pub fn directory(callers: u64, users: u64) -> String {
    of_platform("infobip", callers, users)
}

/// The same on a platform of this name.
pub fn of_platform(name: &str, callers: u64, users: u64) -> String {
    part(name, 0..callers, 0..users)
}

/// The part of a directory that holds these.
fn part(name: &str, callers: Range<u64>, users: Range<u64>) -> String {
    let mut text = format!("{name}:\n");
    let lines = |text: &mut String, list: &str, rows: Range<u64>, line: &dyn Fn(u64) -> String| {
        if !rows.is_empty() {
            let _ = writeln!(text, "  {list}:");
        }
        for number in rows {
            let _ = writeln!(text, "    - {{ {} }}", line(number));
        }
    };
    let accounts = 1..callers.end.div_ceil(KEYS).max(1) + 1;
    lines(&mut text, "accounts", accounts, &|it| {
        format!("id: acc-{it}, name: Bench {it}")
    });
    lines(&mut text, "users", users, &|it| {
        format!("id: u-{it}, username: user-{it}, roles: [Communication Manager], account: acc-1")
    });
    lines(&mut text, "api_keys", callers, &|it| {
        let (secret, account) = (key(it), it / KEYS + 1);
        format!(
            "id: k-{it}, secret: {secret}, scopes: [\"sms:message:send\"], account: acc-{account}"
        )
    });
    text
}

/// The Unix socket on which gRPC is answered too, in a server's directory.
pub const SOCKET: &str = "grpc.sock";

/// Gives a configuration with that socket besides.
pub fn on_unix_too(config: &str) -> String {
    let tcp = r#""127.0.0.1:{grpc}""#;
    config.replace(tcp, &format!(r#"{tcp}, "unix:{{dir}}/{SOCKET}""#))
}

/// Gives the files that stand beside a configuration.
pub fn files(directory: &str) -> [(&'static str, &str); 2] {
    [("directory.yaml", directory), ("pepper", PEPPER)]
}

/// Starts a Redis and has so many callers and users imported there, as an operator would: in parts, since what stands in
/// no part stays as it is.
pub fn filled_redis(callers: u64, users: u64) -> RedisServer {
    let server = RedisServer::start(Product::Redis);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = config(&redis(&server), NO_AUDIT, PRESETS)
        .replace("{grpc}", "1")
        .replace("{admin}", "2");
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).expect("a writable temporary directory");
    };
    write("portcullis.yaml", &config);
    for first in (0..callers.max(users)).step_by(ROWS as usize) {
        let of = |count: u64| first.min(count)..(first + ROWS).min(count);
        let directory = part("infobip", of(callers), of(users));
        for (name, text) in files(&directory) {
            write(name, text);
        }
        import(dir.path());
    }
    server
}

fn import(dir: &Path) {
    let imported = std::process::Command::new(PORTCULLIS)
        .current_dir(dir)
        .args(["import", "directory.yaml", "--config", "portcullis.yaml"])
        .output();
    let imported = imported.expect("the binary that was built");
    assert!(imported.status.success(), "{imported:?}");
}
