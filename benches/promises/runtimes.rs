//! What it brings that connections live on a runtime of one thread for each core, against one runtime with many threads
//! for them and all else: the same service, served both ways by this program.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::serve::cores::Cores;
use portcullis::serve::start;
use tokio::runtime::Builder;

use crate::asked::{Kind, Question};
use crate::asker::{End, Shape};
use crate::hits::{PAIRS, turn};
use crate::served::{Program, Server, Wrapping};
use crate::site::{AUDIT, MEMORY, PRESETS, config, directory, on_unix_too};
use crate::support::process::{Process, command};
use crate::table::median;
use crate::{BUSY, COUNTED, Setting, counted};

/// As `portcullis serve` has it, and with connections on the runtime of all else.
const FORMS: [&str; 2] = ["cores", "plain"];

const SHAPES: [(&str, Shape); 2] = [
    ("4 × 10", BUSY),
    (
        "1 × 1",
        Shape {
            connections: 1,
            streams: 1,
        },
    ),
];

/// What of the plain form's instructions or CPU the other may need at most to be worth it.
const WORTH: f64 = 0.9;

/// The calls to the kernel that are counted.
const CALLS: [&str; 3] = ["sendto", "futex", "epoll_wait"];

const PATIENCE: Duration = Duration::from_secs(30);

/// Serves with the configuration in the file until the process is killed.
pub fn serve(form: &str, file: &Path) {
    let config = Config::load(file).expect("a configuration");
    let cores = || match form {
        "plain" => Cores::of(0),
        _ => Cores::start(),
    };
    let runtime = Builder::new_multi_thread().enable_all().build();
    let served = runtime.expect("threads").block_on(async {
        let running = start(config, Clock::system(), cores).await?;
        running.until(pending()).await
    });
    served.expect("a service");
}

/// Shows that both forms answer rightly on both kinds of sockets.
pub fn show(setting: &Setting) {
    for mut server in start_both(setting, &Wrapping::default()) {
        let hit = Arc::new(Question::new(Kind::Hit));
        server.load(&hit, BUSY, End::Answers(100));
        server.turn_to_unix();
        server.load(&hit, BUSY, End::Answers(100));
    }
}

/// Measures it, and prints a table.
pub fn measure(setting: &Setting) {
    println!(
        "Cached hits: a runtime for each core, to one with many threads for all. `kept`: {WORTH} of the instructions or the \
         CPU, or less.\n\n| hits | instructions | CPU, µs | answers a second | {} | |\n|---|---|---|---|---|---|---|---|",
        CALLS.map(|it| format!("`{it}` a hit")).join(" | ")
    );
    let uncounted = setting.uncounted();
    let mut shares = Vec::new();
    for (cores, named) in [("0", "one core"), ("0,1", "two cores")] {
        let pinned = setting.on(cores);
        let mut timed = start_both(setting, &pinned);
        let counting = counted::counting(&pinned);
        let mut counted = uncounted.is_none().then(|| start_both(setting, &counting));
        for server in counted.iter().flatten() {
            counted::count(server, true);
        }
        for socket in ["TCP", "Unix"] {
            if socket == "Unix" {
                let all = timed.iter_mut().chain(counted.iter_mut().flatten());
                all.for_each(Server::turn_to_unix);
            }
            for (shape_named, shape) in SHAPES {
                let row = Row::measure(&timed, counted.as_ref(), shape);
                println!("| {socket}, {shape_named}, {named} | {} |", row.in_words());
                if cores == "0" && shape == BUSY {
                    shares.push(row.share);
                }
            }
        }
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "\nOn one core, 4 × 10, the servers had {:.0} % of it; load {} at the end.",
        median(shares.into_iter()) * 100.0,
        load.split(' ').next().unwrap_or_default()
    );
}

fn start_both<'s>(setting: &'s Setting, wrapping: &Wrapping) -> [Server<'s>; 2] {
    let config = on_unix_too(&config(MEMORY, AUDIT, PRESETS));
    let directory = directory(1, 0);
    FORMS.map(|form| {
        let program = Program::Formed {
            form,
            config: &config,
            directory: &directory,
        };
        let server = Server::start(&setting.runtime, program, wrapping);
        server.warm(&Arc::new(Question::new(Kind::Hit)));
        server
    })
}

/// A figure of a form for each core and of the plain one, and their ratio.
#[derive(Clone, Copy, Debug)]
struct Figure {
    ratio: f64,
    of: [f64; 2],
}

impl Figure {
    /// Medians, that of the ratios of neighbours among them.
    fn of(pairs: &[[f64; 2]]) -> Self {
        Self {
            ratio: median(pairs.iter().map(|it| it[0] / it[1])),
            of: [0, 1].map(|at| median(pairs.iter().map(|it| it[at]))),
        }
    }

    fn in_words(self, decimals: usize) -> String {
        let [cores, plain] = self.of;
        let ratio = self.ratio;
        format!("{ratio:.2} ({cores:.decimals$} to {plain:.decimals$})")
    }
}

/// What hits came to.
#[derive(Debug)]
struct Row {
    instructions: Option<Figure>,
    cost: Figure,
    rate: Figure,
    calls: Option<[[f64; CALLS.len()]; 2]>,
    /// What the servers had of a core.
    share: f64,
}

impl Row {
    fn measure(timed: &[Server<'_>; 2], counted: Option<&[Server<'_>; 2]>, shape: Shape) -> Self {
        let hit = Arc::new(Question::new(Kind::Hit));
        let both = || timed.each_ref().map(|it| turn(it, &hit, shape));
        let turns: Vec<_> = (0..PAIRS).map(|_| both()).collect();
        let figure = |of: fn(&crate::hits::Turn) -> f64| {
            let pairs = turns.iter().map(|it| it.each_ref().map(of));
            Figure::of(&pairs.collect::<Vec<_>>())
        };
        let count = |it: &Server<'_>| counted::per_request(it, &hit, shape, COUNTED);
        let calls = timed.each_ref().map(|it| calls(it, &hit, shape));
        Self {
            instructions: counted.map(|it| Figure::of(&[it.each_ref().map(count)])),
            cost: figure(|it| it.cost),
            rate: figure(|it| it.rate),
            calls: calls[0].zip(calls[1]).map(|(cores, plain)| [cores, plain]),
            share: median(turns.iter().map(|it| it[0].share.min(it[1].share))),
        }
    }

    fn in_words(&self) -> String {
        let instructions = self.instructions;
        let is_kept = self.cost.ratio <= WORTH || instructions.is_some_and(|it| it.ratio <= WORTH);
        let calls = |at: usize| {
            let calls = self.calls.map(|it| it.map(|form| form[at]));
            calls.map_or("no strace".to_owned(), |[cores, plain]| {
                format!("{cores:.2} to {plain:.2}")
            })
        };
        [
            instructions.map_or("no valgrind".to_owned(), |it| it.in_words(0)),
            self.cost.in_words(1),
            self.rate.in_words(0),
            calls(0),
            calls(1),
            calls(2),
            if is_kept { "kept" } else { "not worth it" }.to_owned(),
        ]
        .join(" | ")
    }
}

/// Counts calls to the kernel, per hit; `None` where strace is missing, or may not look.
fn calls(server: &Server<'_>, hit: &Arc<Question>, shape: Shape) -> Option<[f64; CALLS.len()]> {
    let id = server.id().to_string();
    std::process::Command::new("strace")
        .arg("-V")
        .output()
        .ok()?;
    let mut counting = command("strace");
    let traced = format!("trace={}", CALLS.join(","));
    counting.args(["-f", "-c", "-e", &traced, "-p", &id]);
    let mut strace = Process::spawn("strace", counting);
    strace.await_log("attached", PATIENCE);
    server.load_raw(hit, shape, End::Answers(COUNTED));
    strace.signal("INT");
    strace.await_end(PATIENCE);
    // `% time  seconds  usecs/call  calls  [errors]  syscall`
    let log = strace.log();
    let calls = |name: &str| {
        let lines = log
            .lines()
            .map(|it| it.split_whitespace().collect::<Vec<_>>());
        let mut calls = lines.filter(|it| it.last() == Some(&name) && it.len() > 4);
        let calls = calls.next().and_then(|it| it[3].parse::<f64>().ok());
        calls.unwrap_or(0.0) / COUNTED as f64
    };
    Some(CALLS.map(calls))
}
