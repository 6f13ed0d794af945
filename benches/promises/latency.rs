//! How long a hit takes, by how much of what a server can do is asked of it.

use std::sync::Arc;
use std::time::Duration;

use crate::asked::{Kind, Question};
use crate::hits::Hits;
use crate::open;
use crate::served::{Program, Server};
use crate::site::{AUDIT, MEMORY, PRESETS, config, directory};
use crate::{BUSY, Setting};

/// How much of its capacity, in percent.
const LOADS: [u32; 3] = [25, 50, 75];
const LENGTH: Duration = Duration::from_secs(4);

/// What one server came to at one load, in milliseconds.
#[derive(Debug)]
pub struct Latency {
    pub server: &'static str,
    pub load: u32,
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    late: f64,
}

/// Measures c and Portcullis in turn, at parts of what each of them can do.
pub fn measure(setting: &Setting, hits: &Hits) -> Vec<Latency> {
    let hit = Arc::new(Question::new(Kind::Hit));
    let one = setting.on("0");
    let (on, known) = (config(MEMORY, AUDIT, PRESETS), directory(1, 0));
    let program = Program::Portcullis {
        config: &on,
        directory: &known,
    };
    let servers = [
        (
            "c",
            Server::start(&setting.runtime, Program::Constant(&hits.answer), &one),
        ),
        ("portcullis", Server::start(&setting.runtime, program, &one)),
    ];
    let mut measured = Vec::new();
    for (_, server) in &servers {
        server.warm(&hit);
    }
    for load in LOADS {
        for ((name, server), capacity) in servers.iter().zip(hits.rates) {
            let rate = capacity * f64::from(load) / 100.0;
            let length = setting.long(LENGTH);
            let asked = open::ask(&server.place, &hit, BUSY.connections, rate, length);
            let came = setting.runtime.block_on(asked);
            measured.push(Latency {
                server: name,
                load,
                rate,
                p50: came.at(500),
                p99: came.at(990),
                p999: came.at(999),
                late: came.late_at(990),
            });
        }
    }
    measured
}

/// Prints it.
pub fn print(measured: &[Latency]) {
    println!(
        "| latency of a hit, ms | asked a second | p50 | p99 | p99.9 | of it the generator's, p99 |"
    );
    println!("|---|---|---|---|---|---|");
    for it in measured {
        println!(
            "| {} at {} % | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
            it.server, it.load, it.rate, it.p50, it.p99, it.p999, it.late
        );
    }
}
