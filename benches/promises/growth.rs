//! How the cost of a hit grows with what it stands among.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::asked::{Kind, Question};
use crate::asker::End;
use crate::hits::turn;
use crate::rules;
use crate::served::{Program, Server, Wrapping};
use crate::site::{AUDIT, MEMORY, PRESETS, config, directory, filled_redis, of_platform, redis};
use crate::support::redis::RedisServer;
use crate::table::median;
use crate::{BUSY, COUNTED, MANY, Setting, counted};

/// Those that are only timed would take long under callgrind.
const COUNTED_IDENTITIES: [u64; 3] = [1_000, 10_000, 100_000];
const TIMED_IDENTITIES: [u64; 4] = [1_000, 10_000, 100_000, MANY];
const HEADERS: [usize; 5] = [6, 21, 40, 70, 100];
const RULES: [usize; 4] = [1, 10, 100, 943];
const PLATFORMS: [usize; 3] = [1, 10, 50];

/// How much more is the same: of what is counted, and of what is timed.
const SAME: f64 = 1.05;
const SAME_BY_THE_CLOCK: f64 = 1.3;

/// How often is timed.
const TURNS: usize = 5;

/// What was measured at each size.
type Points = [(u64, f64)];

/// Measures and prints all of it.
pub fn measure(setting: &Setting) {
    if let Some(why) = counted::trouble() {
        println!("not measured: {why}");
        return;
    }
    let last = |it: &Points| it[it.len() - 1].1 / it[0].1;
    let headers = headers(setting);
    let slope =
        |a: usize, b: usize| (headers[b].1 - headers[a].1) / (headers[b].0 - headers[a].0) as f64;
    let dearer = slope(3, 4) / slope(0, 1);
    let each = format!(
        "each must be read; the last ones cost {:.0} each, {dearer:.2} of what the first cost",
        slope(3, 4)
    );
    print(
        "headers of the question",
        "instructions a hit",
        &headers,
        &each,
        dearer <= SAME,
    );
    let rules = rules(setting);
    let one = format!("not at all: one is found by its path; {:.2}", last(&rules));
    print(
        "rules of the platform",
        "instructions a hit",
        &rules,
        &one,
        last(&rules) <= SAME,
    );
    let platforms = platforms(setting);
    let one = format!(
        "not at all: one is found by its host; {:.2}",
        last(&platforms)
    );
    print(
        "platforms",
        "instructions a hit",
        &platforms,
        &one,
        last(&platforms) <= SAME,
    );
    let store = filled_redis(MANY, 0);
    let counts = counted_identities(setting, &store);
    let one = format!("not at all: one is found by its hash; {:.2}", last(&counts));
    print(
        "identities cached",
        "instructions a hit",
        &counts,
        &one,
        last(&counts) <= SAME,
    );
    let times = timed_identities(setting, &store);
    let memory = format!(
        "by what memory takes to answer where caches are too small; {:.2}",
        last(&times)
    );
    let is_met = last(&times) <= SAME_BY_THE_CLOCK;
    print(
        "identities cached",
        "CPU a hit, µs",
        &times,
        &memory,
        is_met,
    );
}

fn print(what: &str, figure: &str, points: &Points, must: &str, is_met: bool) {
    let decimals = if figure.ends_with("µs") { 2 } else { 0 };
    println!("| {what} | {figure} |\n|---|---|");
    for (size, value) in points {
        println!("| {size} | {value:.decimals$} |");
    }
    let verdict = if is_met { "met" } else { "missed" };
    println!("\nMust grow {must}: {verdict}\n");
}

fn headers(setting: &Setting) -> Vec<(u64, f64)> {
    let config = config(MEMORY, AUDIT, PRESETS);
    let directory = directory(1, 0);
    let questions = HEADERS.map(|it| Arc::new(Question::with_headers(it)));
    let server = start(
        setting,
        &config,
        &directory,
        &counted::counting(&setting.on("0")),
    );
    for question in &questions {
        server.warm(question);
    }
    counted::count(&server, true);
    let count = |it: &Arc<Question>| {
        let cost = counted::per_request(&server, it, BUSY, COUNTED);
        (it.headers as u64, cost)
    };
    questions.iter().map(count).collect()
}

fn rules(setting: &Setting) -> Vec<(u64, f64)> {
    let directory = directory(1, 0);
    let question = Arc::new(Question::new(Kind::Hit));
    let count = |it: usize| {
        let cost = count(setting, &rules::config(it), &directory, &question);
        (it as u64, cost)
    };
    RULES.into_iter().map(count).collect()
}

fn platforms(setting: &Setting) -> Vec<(u64, f64)> {
    let count = |number: usize| {
        let mut platforms = String::new();
        for it in 0..number {
            let _ = writeln!(
                platforms,
                "  - name: p{it}\n    hosts: [p{it}.example.com]\n    schemes: {{ key: {{ kind: api_key, from: \
                 [{{ authorization: App }}] }} }}\n    rules: [{{ paths: [\"/orders/**\"], schemes: [key] }}]"
            );
        }
        let last = format!("p{}", number - 1);
        let host = format!("{last}.example.com");
        let question = Arc::new(Question::elsewhere(&host, "/orders/17"));
        let config = config(MEMORY, AUDIT, &platforms);
        let cost = count(setting, &config, &of_platform(&last, 1, 0), &question);
        (number as u64, cost)
    };
    PLATFORMS.into_iter().map(count).collect()
}

fn counted_identities(setting: &Setting, store: &RedisServer) -> Vec<(u64, f64)> {
    let count = |callers: u64| {
        let server = filled(
            setting,
            store,
            callers,
            &counted::counting(&setting.on("0")),
        );
        counted::count(&server, true);
        let question = Arc::new(Question::new(Kind::Hit).of_callers(callers));
        (
            callers,
            counted::per_request(&server, &question, BUSY, COUNTED),
        )
    };
    COUNTED_IDENTITIES.into_iter().map(count).collect()
}

fn timed_identities(setting: &Setting, store: &RedisServer) -> Vec<(u64, f64)> {
    let servers = TIMED_IDENTITIES.map(|it| (it, filled(setting, store, it, &setting.on("0"))));
    // In turn, so that what else the machine does is shared by all.
    let turns: Vec<_> = (0..TURNS)
        .map(|_| {
            servers.each_ref().map(|(callers, server)| {
                let question = Arc::new(Question::new(Kind::Hit).of_callers(*callers));
                turn(server, &question, BUSY).cost
            })
        })
        .collect();
    let of = |index: usize| median(turns.iter().map(|it| it[index]));
    TIMED_IDENTITIES
        .into_iter()
        .enumerate()
        .map(|(index, it)| (it, of(index)))
        .collect()
}

/// Starts a server that keeps so many identities.
fn filled<'s>(
    setting: &'s Setting,
    store: &RedisServer,
    callers: u64,
    wrapping: &Wrapping,
) -> Server<'s> {
    let config = config(&redis(store), AUDIT, PRESETS);
    let server = start(setting, &config, "", wrapping);
    server.warm(&Arc::new(Question::new(Kind::Hit)));
    let misses = Arc::new(Question::new(Kind::Miss).of_callers(callers));
    server.load(&misses, BUSY, End::Answers(callers - 1));
    server
}

fn count(setting: &Setting, config: &str, directory: &str, question: &Arc<Question>) -> f64 {
    let server = start(
        setting,
        config,
        directory,
        &counted::counting(&setting.on("0")),
    );
    server.warm(question);
    counted::count(&server, true);
    counted::per_request(&server, question, BUSY, COUNTED)
}

fn start<'s>(
    setting: &'s Setting,
    config: &str,
    directory: &str,
    wrapping: &Wrapping,
) -> Server<'s> {
    Server::start(
        &setting.runtime,
        Program::Portcullis { config, directory },
        wrapping,
    )
}
