//! The table of promises: what each is, what was measured, and whether it was kept.
//!
//! ```text
//! cargo bench --bench promises              measures in a minute and a half, prints the table and draws it
//! cargo bench --bench promises -- count     the rows that do not depend on what else the machine does
//! cargo bench --bench promises -- misses    the rows of what stands in a Redis: misses, and memory up to a million identities
//! cargo bench --bench promises -- growth    how a hit's cost grows with identities, headers, rules and platforms
//! cargo bench --bench promises -- runtimes  what a runtime for each core brings against one of many threads
//! ```
//!
//! Called in any other way, as `cargo test --benches` does, it shows in seconds that the servers answer rightly.
//! `benches/README.md` has results, and what they are worth.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(unreachable_pub, reason = "a program in several files")]

mod asked;
mod asker;
mod bare;
#[path = "../floor/connection.rs"]
mod connection;
#[path = "../floor/constant.rs"]
mod constant;
mod cores;
mod counted;
mod growth;
mod hits;
mod latency;
mod memory;
mod misses;
mod open;
mod plot;
#[path = "../floor/question.rs"]
#[allow(dead_code, reason = "the headers of its question, and no more")]
mod question;
#[path = "../floor/rules.rs"]
#[allow(dead_code, reason = "other numbers of rules")]
mod rules;
mod runtimes;
mod served;
mod site;
mod starting;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::asked::{Kind, Question};
use crate::asker::{End, Shape};
use crate::served::{Program, Server, Wrapping};
use crate::site::{AUDIT, MEMORY, PRESETS, config, directory, filled_redis};
use crate::table::Table;

/// As four workers of an Envoy would ask.
const BUSY: Shape = Shape {
    connections: 4,
    streams: 10,
};

/// Requests that are counted under callgrind.
const COUNTED: u64 = 2000;

/// Who is known to the Redis, and how many are enough where no clock is looked at.
const KNOWN: u64 = 100_000;
const FEW: u64 = 10_000;

/// Who is known where it takes minutes anyway.
const MANY: u64 = 1_000_000;

/// What all that is measured here has in common.
#[derive(Debug)]
pub struct Setting {
    /// The generator's.
    pub runtime: Runtime,
    is_pinned: bool,
    /// Only to be seen to work.
    is_brief: bool,
}

impl Setting {
    fn new(is_brief: bool) -> Self {
        Self {
            // Others run beside what only shows that it works.
            is_pinned: !is_brief && cores::pin(),
            runtime: served::runtime(),
            is_brief,
        }
    }

    /// How a server is started on these cores.
    fn on(&self, cores: &str) -> Wrapping {
        cores::on(cores, self.is_pinned)
    }

    fn times(&self, times: usize) -> usize {
        if self.is_brief { 1 } else { times }
    }

    fn of(&self, requests: u64) -> u64 {
        if self.is_brief { 100 } else { requests }
    }

    /// Why nothing is counted, if so.
    fn uncounted(&self) -> Option<&'static str> {
        match self.is_brief {
            true => Some("it is only to be seen to work"),
            false => counted::trouble(),
        }
    }

    fn long(&self, length: Duration) -> Duration {
        if self.is_brief { length / 20 } else { length }
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse().expect("an address, as `127.0.0.1:9001`");
    match arguments[..] {
        ["c", at, answer] => constant::serve(address(at), answer.as_ref()),
        ["bare", at, answer, redis, commands] => {
            bare::serve(address(at), answer.as_ref(), redis, commands.as_ref());
        }
        ["formed", form, config] => runtimes::serve(form, config.as_ref()),
        ["runtimes", ..] => {
            let setting = Setting::new(false);
            println!("{}\n", machine(&setting));
            runtimes::measure(&setting);
        }
        ["growth", ..] => {
            let setting = Setting::new(false);
            println!("{}\n", machine(&setting));
            growth::measure(&setting);
        }
        ["count", ..] => measure(false),
        ["misses", ..] => measure_misses(),
        ["--bench"] => measure(true),
        _ => show(),
    }
}

/// Shows that every question is answered rightly, and measures nothing that counts.
fn show() {
    let setting = Setting::new(true);
    let (config, known) = (config(MEMORY, AUDIT, PRESETS), directory(2, 0));
    let program = Program::Portcullis {
        config: &config,
        directory: &known,
    };
    let server = Server::start(&setting.runtime, program, &setting.on("0"));
    for kind in [Kind::Hit, Kind::Denial, Kind::Public, Kind::Redirect] {
        let question = Arc::new(Question::new(kind));
        server.warm(&question);
        server.load(&question, BUSY, End::Answers(100));
    }
    let answer = server.warm(&Arc::new(Question::new(Kind::Hit)));
    runtimes::show(&setting);
    let store = filled_redis(2000, 10);
    misses::measure(&setting, &store, 2000, &answer);
}

/// Measures it, prints and draws what it came to: all, or what does not depend on what else the machine does.
fn measure(with_clock: bool) {
    let begun = Instant::now();
    let setting = Setting::new(false);
    let machine = machine(&setting);
    println!("{machine}\n\n{}\n", said_of_what_is_on());
    let mut table = Table::begin();
    table.add(memory::program());
    table.add(memory::idle(&setting));
    let timed = with_clock.then(|| {
        table.add(starting::embedded(&setting));
        hits::timed(&setting, &mut table)
    });
    let answer = timed.as_ref().map(|it| it.answer.clone());
    let answer = answer.unwrap_or_else(|| hits::answer(&setting));
    hits::counted(&setting, &mut table, &answer);
    let (callers, users) = if with_clock { (KNOWN, KNOWN) } else { (FEW, 0) };
    let store = filled_redis(callers, users);
    if with_clock {
        table.add(starting::on_redis(&setting, &store, users));
    }
    let (miss, asked) = misses::measure(&setting, &store, callers, &answer);
    table.add(miss);
    let (bytes, resident) = memory::of_identities(&setting, &store, callers);
    table.add(bytes);
    drop(store);
    let latencies = timed.map(|it| latency::measure(&setting, &it));
    let latencies = latencies.unwrap_or_default();
    println!("\n{asked}\n\n{resident}");
    if !latencies.is_empty() {
        latency::print(&latencies);
    }
    let drawn = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promises.svg");
    let title = machine.lines().next().unwrap_or_default();
    let plot = plot::svg(&table.0, &latencies, &format!("promises, {title}"));
    fs::write(&drawn, plot).expect("a writable target");
    println!("\nDrawn in {}", drawn.display());
    println!("It took {:.0} s.", begun.elapsed().as_secs_f64());
}

/// Measures what stands in a Redis, and how much memory it takes.
fn measure_misses() {
    let setting = Setting::new(false);
    println!("{}\n", machine(&setting));
    let mut table = Table::begin();
    let answer = hits::answer(&setting);
    let store = filled_redis(MANY, 0);
    let (miss, asked) = misses::measure(&setting, &store, MANY, &answer);
    table.add(miss);
    let (bytes, resident) = memory::of_identities(&setting, &store, MANY);
    table.add(bytes);
    println!("\n{asked}\n\n{resident}");
}

/// Says on what, in which profile and where it is measured.
fn machine(setting: &Setting) -> String {
    let profile = Path::new(served::PORTCULLIS)
        .parent()
        .and_then(Path::file_name);
    let profile = profile.unwrap_or_default().display();
    let cores = match setting.is_pinned {
        true => "servers on core 0 but where two are told, generator and Redis on core 1",
        false => "nothing pinned: taskset or a second core is missing",
    };
    format!("{}; profile {profile}; {cores}", table::machine())
}

/// Says what stands behind every answer that is measured, but where a row says else.
fn said_of_what_is_on() -> String {
    let question = Question::new(Kind::Hit);
    format!(
        "On: the presets crossbar, opentact and infobip with all their rules, schemes and checks of input; identity headers;\n\
         metrics; throttle; the audit, with 1 % of the allows and each denial. A hit is an API key of infobip with one scope,\n\
         and stands on three records. The question has {} bytes and {} headers. The loop is closed, 4 × 10, but for latencies.\n\
         Headers and metrics cannot be switched off, and are on in every row.",
        question.len(),
        question.headers
    )
}
