//! What is decided without a store: hits, denials that are known, public rules, redirects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::asked::{Kind, Question};
use crate::asker::{End, Shape};
use crate::served::{Program, Server, Wrapping};
use crate::site::{AUDIT, MEMORY, NO_AUDIT, PLAIN, PRESETS, config, directory};
use crate::table::{Row, Table, Target, median};
use crate::{BUSY, COUNTED, Setting, counted};

/// How often servers are measured in turn, and for how long each time.
pub const PAIRS: usize = 7;
const TURN: Duration = Duration::from_millis(1200);

/// What share of a core is all of it, as near as it gets.
const WHOLE: f64 = 0.9;

/// Callers whose keys are known to the servers here.
const CALLERS: u64 = 10;

/// What one turn of one server came to.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub rate: f64,
    /// In microseconds.
    pub cost: f64,
    pub share: f64,
}

/// What hits came to, and what others build on.
#[derive(Debug)]
pub struct Hits {
    /// What Portcullis answers to a hit, and c to everything.
    pub answer: Bytes,
    /// Answers a second of c and of Portcullis.
    pub rates: [f64; 2],
}

/// Measures what takes a clock.
pub fn timed(setting: &Setting, table: &mut Table) -> Hits {
    let hit = Arc::new(Question::new(Kind::Hit));
    let (turns, answer, rows) = alternate(setting, &hit);
    let rates = [0, 1].map(|it| median(turns.iter().map(|turn| turn[it].rate)));
    for row in rows {
        table.add(row);
    }
    Hits { answer, rates }
}

/// Measures what is counted.
pub fn counted(setting: &Setting, table: &mut Table, answer: &Bytes) {
    for row in count(setting, answer) {
        table.add(row);
    }
}

/// Gives what Portcullis answers to a hit.
pub fn answer(setting: &Setting) -> Bytes {
    let (on, known) = (config(MEMORY, AUDIT, PRESETS), directory(CALLERS, 0));
    let program = Program::Portcullis {
        config: &on,
        directory: &known,
    };
    let server = Server::start(&setting.runtime, program, &setting.on("0"));
    server.warm(&Arc::new(Question::new(Kind::Hit)))
}

/// Has the servers answer in turn: c and Portcullis on one core, and Portcullis on two.
fn alternate(setting: &Setting, hit: &Arc<Question>) -> (Vec<[Turn; 3]>, Bytes, Vec<Row>) {
    let one = setting.on("0");
    let on = config(MEMORY, AUDIT, PRESETS);
    let known = directory(CALLERS, 0);
    let program = Program::Portcullis {
        config: &on,
        directory: &known,
    };
    let portcullis = Server::start(&setting.runtime, program, &one);
    let answer = portcullis.warm(hit);
    let c = Server::start(&setting.runtime, Program::Constant(&answer), &one);
    c.warm(hit);
    let two = Server::start(&setting.runtime, program, &setting.on("0,1"));
    two.warm(hit);
    let turns =
        (0..setting.times(PAIRS)).map(|_| [&c, &portcullis, &two].map(|it| turn(it, hit, BUSY)));
    let turns: Vec<_> = turns.collect();
    let ratio = |of: usize, to: usize, figure: fn(&Turn) -> f64| {
        median(turns.iter().map(|it| figure(&it[of]) / figure(&it[to])))
    };
    let middle = |server: usize, figure: fn(&Turn) -> f64| {
        median(turns.iter().map(|it| figure(&it[server])))
    };
    let share = median(turns.iter().map(|it| it[0].share.min(it[1].share)));
    let trouble = (share < WHOLE).then(|| {
        let percent = share * 100.0;
        format!("the servers had {percent:.0} % of their core, and something else the rest")
    });
    let throughput = ratio(1, 0, |it| it.rate);
    let rates = (middle(1, |it| it.rate), middle(0, |it| it.rate));
    let costs = (middle(1, |it| it.cost), middle(0, |it| it.cost));
    let doubled = ratio(2, 1, |it| it.cost);
    let flat = (middle(2, |it| it.cost), costs.0);
    let rows = vec![
        Row::judge(
            "cached hit, throughput against c, 4 × 10, one core",
            format!(
                "{throughput:.2} ({:.0} to {:.0} a second; CPU {:.1} to {:.1} µs)",
                rates.0, rates.1, costs.0, costs.1
            ),
            throughput,
            Target::AtLeast(0.85),
            "",
        )
        .unless(trouble.clone()),
        Row::judge(
            "two cores against one, CPU a hit",
            format!("{doubled:.2} ({:.1} to {:.1} µs)", flat.0, flat.1),
            doubled,
            Target::AtMost(1.1),
            "",
        )
        .unless(trouble),
    ];
    (turns, answer, rows)
}

/// Has a server answer for a turn.
pub fn turn(server: &Server<'_>, question: &Arc<Question>, shape: Shape) -> Turn {
    let before = server.busy();
    let answered = server.load(question, shape, End::After(TURN));
    let busy = (server.busy() - before).as_secs_f64();
    let took = answered.took.as_secs_f64();
    let answers = answered.answers as f64;
    Turn {
        rate: answers / took,
        cost: busy * 1e6 / answers,
        share: busy / took,
    }
}

/// The promises that are counted in instructions, by name and target.
const COUNTS: [(&str, f64); 7] = [
    ("cached hit, instructions against c, 4 × 10", 1.2),
    (
        "hit with all its rules, throttle and audit, against one rule and none",
        1.1,
    ),
    (
        "denial from the denial cache, against a hit, without audit",
        1.15,
    ),
    (
        "the same with audit, which has a line for each denial",
        1.15,
    ),
    ("public rule, against a hit", 1.0),
    ("redirect, against a hit", 1.0),
    ("two cores against one, instructions a hit", 1.05),
];

/// Counts instructions.
fn count(setting: &Setting, answer: &Bytes) -> Vec<Row> {
    if let Some(why) = setting.uncounted() {
        let row = |(name, most): (&str, f64)| Row::not_measured(name, why, &format!("≤ {most}"));
        return COUNTS.map(row).into();
    }
    let known = directory(CALLERS, 0);
    let (one, two) = (setting.on("0"), setting.on("0,1"));
    let count = |config: &str, pinned: &Wrapping, kinds: &[Kind]| {
        let program = Program::Portcullis {
            config,
            directory: &known,
        };
        count_kinds(&setting.runtime, program, pinned, kinds)
    };
    let constant = Program::Constant(answer);
    let c = count_kinds(&setting.runtime, constant, &one, &[Kind::Hit])[0];
    let on = config(MEMORY, AUDIT, PRESETS);
    let audited = count(&on, &one, &[Kind::Hit, Kind::Denial]);
    let unaudited = config(MEMORY, NO_AUDIT, PRESETS);
    let kinds = [Kind::Hit, Kind::Denial, Kind::Public, Kind::Redirect];
    let quiet = count(&unaudited, &one, &kinds);
    let plain = count(&config(MEMORY, NO_AUDIT, PLAIN), &one, &[Kind::Hit]);
    let both = count(&on, &two, &[Kind::Hit]);
    let pairs = [
        (audited[0], c),
        (audited[0], plain[0]),
        (quiet[1], quiet[0]),
        (audited[1], audited[0]),
        (quiet[2], quiet[0]),
        (quiet[3], quiet[0]),
        (both[0], audited[0]),
    ];
    let rows = COUNTS.iter().zip(pairs);
    let rows = rows.map(|((name, most), pair)| Row::ratio(name, pair, Target::AtMost(*most)));
    rows.collect()
}

/// Counts what each kind of question costs one server.
fn count_kinds(
    runtime: &Runtime,
    program: Program<'_>,
    pinned: &Wrapping,
    kinds: &[Kind],
) -> Vec<f64> {
    let server = Server::start(runtime, program, &counted::counting(pinned));
    let questions: Vec<_> = kinds
        .iter()
        .map(|it| Arc::new(Question::new(*it)))
        .collect();
    for question in &questions {
        server.warm(question);
    }
    counted::count(&server, true);
    let counts = questions
        .iter()
        .map(|it| counted::per_request(&server, it, BUSY, COUNTED));
    counts.collect()
}
