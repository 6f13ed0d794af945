//! The runs that `cargo test` has, and the one that is asked for by the environment.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::judge::{Violation, judge};
use super::plan::{Fault, Pace, Plan, Planned};
use super::report::{replay, report};
use super::run::{run, say};
use super::series::{csv, svg};
use super::site::TERMS;
use super::topology::Topology;

/// The seed of the short run. Whichever it is, each fault comes once.
const SEED: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_the_store_no_promise_is_broken() {
    let seconds: Option<u64> = asked("SECONDS");
    let topology = env::var("PORTCULLIS_CHAOS_TOPOLOGY");
    let topology = topology.map_or(Some(Topology::Single), |it| Topology::named(&it));
    let topology = topology.expect("PORTCULLIS_CHAOS_TOPOLOGY names none");
    let plan = match seconds {
        None => short_plan(asked("SEED").unwrap_or(SEED), topology),
        Some(seconds) => Plan::draw(
            asked("SEED").unwrap_or_else(new_seed),
            topology,
            Duration::from_secs(seconds),
            &long(),
        ),
    };
    let is_long = seconds.is_some();
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/chaos");
    let dir = dir.join(format!("{topology}-{}", plan.seed));
    if is_long {
        say(&format!("chaos: {}\n  in {}", replay(&plan), dir.display()));
    }
    let history = run(&plan, &dir, is_long).await;
    let broken = judge(&history, TERMS);
    let told = report(&plan, &history, TERMS, &broken);
    let title = format!("{topology}, seed {}, {:?}", plan.seed, plan.length);
    for (name, text) in [
        ("report.txt", told.clone()),
        ("broken.txt", listed(&broken)),
        ("series.csv", csv(&history)),
        ("plot.svg", svg(&history, &title)),
    ] {
        fs::write(dir.join(name), text).expect("a file in target");
    }
    if is_long {
        say(&told);
    }
    assert!(broken.is_empty(), "{told}");
}

/// All that is broken, a line each.
fn listed(broken: &[Violation]) -> String {
    let line =
        |it: &Violation| format!("{:?} {} {} {:?}\n", it.at, it.process, it.wrong, it.answer);
    broken.iter().map(line).collect()
}

/// Everything once, shortly, so that `cargo test` has an end; but one process is cut off for long enough that what it
/// remembers must be forgotten.
fn short_plan(seed: u64, topology: Topology) -> Plan {
    let seconds = Duration::from_secs;
    let mut plan = Plan::draw(seed, topology, seconds(23), &short());
    plan.faults.push(Planned {
        fault: Fault::Hole,
        begin: seconds(23),
        end: seconds(28),
        process: Some(0),
        choice: 0,
    });
    slowest_first(&mut plan);
    plan.length = seconds(30);
    plan
}

/// Those that are recovered from last come first, so that a run which lasts until all are is soon over.
fn slowest_first(plan: &mut Plan) {
    let times: Vec<_> = plan.faults.iter().map(|it| (it.begin, it.end)).collect();
    plan.faults
        .sort_by_key(|it| Reverse(it.fault.over_within()));
    for (planned, (begin, end)) in plan.faults.iter_mut().zip(times) {
        (planned.begin, planned.end) = (begin, end);
    }
}

fn short() -> Pace {
    let milliseconds = Duration::from_millis;
    Pace {
        calm: (milliseconds(1000), milliseconds(1000)),
        lasts: milliseconds(300)..milliseconds(600),
        gap: milliseconds(200)..milliseconds(600),
        every: None,
        beside: 0,
    }
}

fn long() -> Pace {
    let milliseconds = Duration::from_millis;
    let every = asked("EVERY").map(Duration::from_secs);
    Pace {
        calm: (milliseconds(5000), milliseconds(10_000)),
        lasts: milliseconds(500)..milliseconds(4000),
        gap: milliseconds(2000)..milliseconds(12_000),
        every,
        beside: if every.is_some() { 0 } else { 4 },
    }
}

fn asked<T: FromStr>(name: &str) -> Option<T> {
    let name = format!("PORTCULLIS_CHAOS_{name}");
    let value = env::var(&name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

#[test]
fn every_fault_is_in_the_short_run() {
    for topology in Topology::ALL {
        let plan = short_plan(SEED, topology);
        for fault in topology.faults() {
            let is_in = plan.faults.iter().any(|it| it.fault == fault);
            assert!(is_in, "{topology}: {fault}");
        }
    }
}

fn new_seed() -> u64 {
    u64::from(std::process::id()) ^ (std::time::UNIX_EPOCH.elapsed().map_or(0, |it| it.as_secs()))
}
