//! What a cached hit costs above the floor, which is c: the same tonic with a constant answer.
//!
//! ```text
//! cargo bench --bench floor             compares them, in a minute or two, and prints a table
//! cargo bench --bench floor -- count    only counts instructions
//! cargo bench --bench floor -- rules    counts what a hit costs with 1, 50 and 943 rules
//! cargo bench --bench floor -- serve    only starts both, for a generator from outside
//! ```
//!
//! Called in any other way, as `cargo test --benches` does, it shows in a second that both servers answer rightly.
//! It has no target to meet. `benches/README.md` has results, and what they are worth.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(unreachable_pub, reason = "a program in several files")]

mod connection;
mod constant;
mod instructions;
mod load;
mod question;
mod rules;
mod servers;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::time::Duration;

use crate::load::{End, Shape};
use crate::question::Asked;
use crate::servers::{Bench, Server, Which, Wrapping};

/// As four workers of an Envoy would ask.
const BUSY: Shape = Shape {
    connections: 4,
    streams: 10,
};
const IDLE: Shape = Shape {
    connections: 1,
    streams: 1,
};

/// How generators from outside find the method.
const PROTO: &str = "envoy/service/auth/v3/external_auth.proto";
const METHOD: &str = "envoy.service.auth.v3.Authorization.Check";

/// How often the servers are measured in turn, and for how long each time.
const PAIRS: usize = 9;
const TURN: Duration = Duration::from_millis(1500);

/// What share of a core is all of it, as near as it gets.
const WHOLE: f64 = 0.9;

/// Requests of the shorter of two runs under callgrind.
const COUNTED: u64 = 2000;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["c", address, answer] => {
            let address = address.parse().expect("an address, as `127.0.0.1:9001`");
            constant::serve(address, answer.as_ref());
        }
        ["count", ..] => count_only(),
        ["rules", ..] => count_with_rules(),
        ["serve", ..] => serve(),
        ["--bench"] => compare(),
        _ => answer(),
    }
}

/// Shows that both servers answer rightly under load, and measures nothing.
fn answer() {
    let bench = Bench::new(question::CONFIG.to_owned(), Asked::Hit);
    for which in [Which::Portcullis, Which::Constant] {
        bench
            .start(which, &Wrapping::default())
            .load(BUSY, End::Answers(200));
    }
}

/// Starts both and waits to be interrupted.
fn serve() {
    let bench = Bench::new(question::CONFIG.to_owned(), Asked::Hit);
    let portcullis = bench.start(Which::Portcullis, &Wrapping::default());
    let c = bench.start(Which::Constant, &Wrapping::default());
    let question = bench.dir.path().join("question.bin");
    std::fs::write(&question, &bench.message).expect("a writable temporary directory");
    println!("portcullis  {}", portcullis.grpc);
    println!("c           {}", c.grpc);
    println!("question    {}", question.display());
    println!("Both answer until Ctrl-C, portcullis with cached hits. From outside, such as:\n");
    println!(
        "ghz --insecure --import-paths proto --proto {PROTO} --call {METHOD} --binary-file {} \\\n  \
         --connections 4 --concurrency 40 --total 50000 {}\n",
        question.display(),
        portcullis.grpc
    );
    println!(
        "That counts calls; decisions are counted at http://{}/metrics",
        portcullis.admin()
    );
    let _ = bench.runtime.block_on(tokio::signal::ctrl_c());
}

/// Measures both and prints the table.
fn compare() {
    let (servers, setting) = pin();
    let bench = Bench::new(question::CONFIG.to_owned(), Asked::Hit);
    let portcullis = bench.start(Which::Portcullis, &servers);
    let c = bench.start(Which::Constant, &servers);
    let answer = std::fs::metadata(bench.answer()).expect("a file just written");
    println!("{setting}");
    println!(
        "question {} bytes, {} headers; answer {} bytes; {PAIRS} turns of {:.1} s for each server\n",
        bench.message.len(),
        question::HEADERS.len(),
        answer.len(),
        TURN.as_secs_f64(),
    );
    println!("| a cached hit | c | portcullis | ratio |");
    println!("|---|---|---|---|");
    let turns: Vec<_> = (0..PAIRS).map(|_| (turn(&c), turn(&portcullis))).collect();
    row("answers a second, 4 × 10", &turns, |it| it.rate, 0);
    row("CPU a request, µs, 4 × 10", &turns, |it| it.cost, 2);
    c.stop();
    portcullis.stop();
    count(&bench, &servers);
    let share = median(turns.iter().map(|it| it.0.share.min(it.1.share)));
    println!("\nThe servers used {:.0} % of their core.", share * 100.0);
    if share < WHOLE {
        println!("That is not all of it: something else ran, and answers a second tell little.");
    }
}

/// Prints the rows that do not depend on what else the machine does.
fn count_only() {
    let (servers, setting) = pin();
    println!("{setting}\n\n| a cached hit | c | portcullis | ratio |\n|---|---|---|---|");
    count(
        &Bench::new(question::CONFIG.to_owned(), Asked::Hit),
        &servers,
    );
}

/// Counts instructions, and prints them or why not.
fn count(bench: &Bench, servers: &Wrapping) {
    if !instructions::can_be_counted() {
        println!("| instructions a request | valgrind is not installed | | |");
        return;
    }
    for (name, shape) in [("4 × 10", BUSY), ("1 × 1", IDLE)] {
        // Portcullis first: c answers what it answered.
        let [portcullis, c] = [Which::Portcullis, Which::Constant]
            .map(|it| instructions::per_request(bench, it, servers, shape, COUNTED));
        let figure = format!("instructions a request, {name}");
        row(&figure, &[(c, portcullis)], |it| *it, 0);
        if shape == BUSY {
            count_others(servers, c);
        }
    }
}

/// Counts instructions of what is decided without a hit, and prints them.
fn count_others(servers: &Wrapping, c: f64) {
    for (name, asked) in [
        ("a denial from the cache", Asked::Denial),
        ("a public rule", Asked::Public),
    ] {
        let bench = Bench::new(question::CONFIG.to_owned(), asked);
        let which = Which::Portcullis;
        let cost = instructions::per_request(&bench, which, servers, BUSY, COUNTED);
        row(&format!("the same for {name}"), &[(c, cost)], |it| *it, 0);
    }
}

/// Counts instructions with few rules and with many, and prints them.
fn count_with_rules() {
    assert!(instructions::can_be_counted(), "valgrind is not installed");
    let (servers, setting) = pin();
    println!("{setting}\n\n| rules | instructions a request, 4 × 10 |\n|---|---|");
    for count in rules::COUNTS {
        let bench = Bench::new(rules::config(count), Asked::Hit);
        let cost = instructions::per_request(&bench, Which::Portcullis, &servers, BUSY, COUNTED);
        println!("| {count} | {cost:.0} |");
    }
}

/// What one turn of one server came to.
struct Turn {
    rate: f64,
    /// In microseconds.
    cost: f64,
    share: f64,
}

fn turn(server: &Server<'_>) -> Turn {
    let before = server.busy();
    let answered = server.load(BUSY, End::After(TURN));
    let busy = (server.busy() - before).as_secs_f64();
    let took = answered.took.as_secs_f64();
    let answers = answered.answers as f64;
    Turn {
        rate: answers / took,
        cost: busy * 1e6 / answers,
        share: busy / took,
    }
}

/// Prints medians, and the median and the extremes of the ratios within the pairs.
fn row<T>(figure: &str, pairs: &[(T, T)], of: impl Fn(&T) -> f64, decimals: usize) {
    let c = median(pairs.iter().map(|it| of(&it.0)));
    let portcullis = median(pairs.iter().map(|it| of(&it.1)));
    let ratios: Vec<_> = pairs.iter().map(|it| of(&it.1) / of(&it.0)).collect();
    let ratio = median(ratios.iter().copied());
    let spread = match ratios.len() {
        0 | 1 => String::new(),
        _ => {
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let most = ratios.iter().copied().fold(0.0, f64::max);
            format!(" ({least:.2} to {most:.2})")
        }
    };
    println!("| {figure} | {c:.decimals$} | {portcullis:.decimals$} | {ratio:.2}{spread} |");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Puts this process on core 1, and says how servers are put on core 0; neither where that cannot be done.
fn pin() -> (Wrapping, &'static str) {
    let myself = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", "1", &myself])
        .output();
    if !pinned.is_ok_and(|it| it.status.success()) {
        return (
            Wrapping::default(),
            "nothing pinned: taskset or a second core is missing",
        );
    }
    let words = ["taskset", "--cpu-list", "0"].map(str::to_owned);
    (
        Wrapping(words.into()),
        "servers on core 0, generator on core 1",
    )
}
