//! From the call of `portcullis serve` until `/readyz` says 200.

use crate::Setting;
use crate::served::{Program, Server};
use crate::site::{AUDIT, EMBEDDED, PRESETS, config, redis};
use crate::support::redis::RedisServer;
use crate::table::{Row, Target, median};

/// How often it is started.
const STARTS: usize = 9;

/// Which part of a start may be waiting for a core that others have.
const WAITING: f64 = 0.1;

/// Gives the row of a store of its own, which is there already.
pub fn embedded(setting: &Setting) -> Row {
    row(setting, "start to serving, embedded store", EMBEDDED)
}

/// Gives the row of a Redis with what is there.
pub fn on_redis(setting: &Setting, store: &RedisServer, users: u64) -> Row {
    let promise = format!("start to serving, Redis with {users} users");
    row(setting, &promise, &redis(store))
}

fn row(setting: &Setting, promise: &str, store: &str) -> Row {
    let config = config(store, AUDIT, PRESETS);
    let program = Program::Portcullis {
        config: &config,
        directory: "",
    };
    let cores = setting.on("0,1");
    let mut dir = tempfile::tempdir().expect("a temporary directory");
    let (mut took, mut waited) = (Vec::new(), Vec::new());
    // The first makes the store, and is not counted.
    for _ in 0..=setting.times(STARTS) {
        let (server, start) = Server::start_in(&setting.runtime, dir, program, &cores);
        took.push(start.as_secs_f64() * 1000.0);
        waited.push(server.waited().as_secs_f64() / start.as_secs_f64());
        dir = server.stop();
    }
    let took = &took[1..];
    let waiting = median(waited.into_iter().skip(1));
    let trouble = (waiting > WAITING).then(|| {
        let percent = waiting * 100.0;
        format!("for {percent:.0} % of it, others had the cores")
    });
    let middle = median(took.iter().copied());
    let least = took.iter().copied().fold(f64::INFINITY, f64::min);
    let most = took.iter().copied().fold(0.0, f64::max);
    Row::judge(
        promise,
        format!("{middle:.0} ms ({least:.0} to {most:.0})"),
        middle,
        Target::AtMost(50.0),
        " ms",
    )
    .unless(trouble)
}
