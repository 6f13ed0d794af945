//! How long from a revocation until another process refuses, above the floor, which is how long Redis takes to tell.
//!
//! ```text
//! cargo bench --bench revocation    measures in some ten seconds, and prints a table
//! ```
//!
//! Called in any other way, as `cargo test --benches` does, it shows in a few seconds that whoever watches refuses.
//! `benches/README.md` has results, and what they are worth.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(unreachable_pub, reason = "a program in several files")]

mod floor;
mod served;
#[path = "../../tests/support/mod.rs"]
mod support;
mod watchers;

use std::time::Duration;

use crate::support::redis::{Product, RedisServer};

/// How many watch, and how often something is revoked then.
const MEASURED: [(usize, usize); 3] = [(1, 500), (10, 300), (100, 200)];

/// The same where it is only to be seen to work.
const SHOWN: [(usize, usize); 2] = [(1, 2), (3, 2)];

/// The key of the record that is revoked.
const RECORD: &str = "pc:k:mine:k-1";

/// What a server has, `{url}` being the Redis's.
const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
store: { url: "{url}", pepper_files: [pepper], timeout_ms: 10000 }
check: { deadline_ms: 20000 }
# Longer than a run: what is refused is refused because it was told of.
cache: { ttl_seconds: 3600 }
client_address: { from: peer }
telemetry: { log: warn }
platforms:
  - name: mine
    hosts: ["*"]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ paths: ["/**"], schemes: [key] }]
"#;

const PEPPER: &str = "a pepper of a bench, 32 bytes or more";

const DIRECTORY: &str = "
mine:
  accounts: [{ id: acc-1, name: Bench }]
  api_keys: [{ id: k-1, account: acc-1, secret: a-key-of-the-bench }]
";

/// What is presented.
const KEY: (&str, &str) = ("x-key", "a-key-of-the-bench");

fn main() {
    let is_bench = std::env::args().any(|it| it == "--bench");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(compare(match is_bench {
        true => &MEASURED,
        false => &SHOWN,
    }));
}

/// Measures and prints the table.
async fn compare(measured: &[(usize, usize)]) {
    println!("| revocation → refused, ms | p50 | p99 | everywhere, p50 | everywhere, p99 |");
    println!("|---|---|---|---|---|");
    for (count, rounds) in measured.iter().copied() {
        let redis = RedisServer::start(Product::Redis);
        let told = floor::measure(&redis, count, rounds).await;
        row(&format!("plain tracking, {count} watching"), &told);
        let redis = RedisServer::start(Product::Redis);
        let refused = watchers::measure(&redis, count, rounds).await;
        row(&format!("portcullis, {count} watching"), &refused);
    }
    let redis = RedisServer::start(Product::Redis);
    let rounds = served::measure(&redis, measured[0].1).await;
    row("portcullis, 1 process asked by Check", &rounds);
}

/// Prints what every watcher took, and in each round the last of them.
fn row(name: &str, rounds: &[Vec<Duration>]) {
    let each = percentiles(rounds.iter().flatten().copied());
    let last = percentiles(rounds.iter().filter_map(|it| it.iter().max().copied()));
    println!("| {name} | {each} | {last} |");
}

fn percentiles(took: impl Iterator<Item = Duration>) -> String {
    let mut took: Vec<_> = took.collect();
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    format!("{:.3} | {:.3}", at(50), at(99))
}
