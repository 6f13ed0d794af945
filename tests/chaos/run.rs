//! One run: everything is started, suffers what is planned, and what happened is gathered.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::RwLock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};

use super::draw::Draw;
use super::estate::{Estate, PROCESSES, Ways};
use super::history::{History, Kind, Sample, Trouble};
use super::plan::{Plan, Planned};
use super::site::{Asker, credentials, start};
use super::stalls::{Stalls, Whom};
use super::suffering::{Sufferer, suffer_on_way};
use super::writing::Writer;
use crate::support::check::CheckClient;
use crate::support::server::Server;

/// Has it happen. `dir` is where logs go; `tells` has every fault told as it begins.
pub(crate) async fn run(plan: &Plan, dir: &PathBuf, tells: bool) -> History {
    let estate = Estate::start(plan.topology).await;
    let writing = Arc::new(RwLock::new(()));
    let (writes, written) = unbounded_channel();
    let (answers, answered) = unbounded_channel();
    let filled = Instant::now();
    let mut writer = Writer::new(&estate, filled, Arc::clone(&writing), writes).await;
    let servers = tokio::task::block_in_place(|| start(&estate));
    let begun = Instant::now();
    writer.begin(begun);
    let mut work = JoinSet::new();
    for (process, server) in servers.iter().enumerate() {
        let asker = Asker {
            process,
            client: CheckClient::connect(server.grpc()).await,
            draw: Draw::new(plan.seed, 100 + process as u64),
            begun,
            answers: answers.clone(),
        };
        work.spawn(asker.ask(plan.length));
    }
    drop(answers);
    let kinds = credentials();
    for (credential, _) in switched(&kinds) {
        let draw = Draw::new(plan.seed, 1000 + credential as u64);
        work.spawn(writer.clone().switch(credential, draw, plan.length));
    }
    drop(writer);
    let whom = Whom::default();
    let stalls = Stalls::look(begun, Arc::clone(&whom));
    let ours = servers.iter().enumerate();
    let ours = ours.map(|(process, it)| (it.id(), Some(process)));
    let ours = ours.chain([(std::process::id(), None)]);
    let ours: Vec<_> = ours.collect();
    let (troubles, troubled) = unbounded_channel();
    work.spawn(on_ways(
        Arc::clone(&estate.ways),
        plan.clone(),
        begun,
        tells,
        troubles.clone(),
    ));
    let sufferer = Sufferer {
        estate,
        begun,
        writing,
        ours,
        whom,
    };
    sufferer.look_at_all();
    let (samples, estate) = tokio::join!(
        sample(&servers, begun, plan.length),
        on_servers(sufferer, plan, tells, troubles)
    );
    while let Some(done) = work.join_next().await {
        done.expect("whoever asks and writes comes to the end");
    }
    keep_logs(&servers, dir);
    drop((servers, estate));
    History {
        processes: PROCESSES,
        credentials: kinds,
        answers: sorted(answered, |it| it.sent).await,
        writes: sorted(written, |it| it.begin).await,
        troubles: sorted(troubled, |it| it.begin).await,
        samples,
        stalls: stalls.end(),
        length: plan.length,
    }
}

fn switched(kinds: &[Kind]) -> impl Iterator<Item = (usize, &Kind)> {
    let all = kinds.iter().enumerate();
    all.filter(|(_, kind)| **kind == Kind::Switched)
}

async fn sorted<T, K: Ord>(mut from: UnboundedReceiver<T>, by: impl Fn(&T) -> K) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(it) = from.recv().await {
        all.push(it);
    }
    all.sort_by_key(by);
    all
}

async fn on_ways(
    ways: Arc<Vec<Ways>>,
    plan: Plan,
    begun: Instant,
    tells: bool,
    troubles: UnboundedSender<Trouble>,
) {
    for planned in plan.faults.iter().filter(|it| it.fault.is_of_way()) {
        sleep_until((begun + planned.begin).into()).await;
        tell(tells, planned, begun);
        let begin = begun.elapsed();
        suffer_on_way(&ways, planned, begun).await;
        let trouble = Trouble {
            fault: planned.fault,
            begin,
            end: begun.elapsed(),
            process: planned.process,
        };
        // It is kept until all is over.
        let _ = troubles.send(trouble);
    }
}

async fn on_servers(
    mut sufferer: Sufferer,
    plan: &Plan,
    tells: bool,
    troubles: UnboundedSender<Trouble>,
) -> Estate {
    let begun = sufferer.begun;
    for planned in plan.faults.iter().filter(|it| !it.fault.is_of_way()) {
        sleep_until((begun + planned.begin).into()).await;
        tell(tells, planned, begun);
        let trouble = sufferer.suffer(planned).await;
        // As above.
        let _ = troubles.send(trouble);
    }
    sufferer.estate
}

fn tell(tells: bool, planned: &Planned, begun: Instant) {
    if tells {
        let (at, lasts) = (begun.elapsed(), planned.end - planned.begin);
        let whose = planned.process;
        let whose = whose.map_or_else(String::new, |it| format!(" on the way of {it}"));
        say(&format!(
            "{:8.2} s  {} for {lasts:?}{whose}",
            at.as_secs_f64(),
            planned.fault
        ));
    }
}

/// Says something at once, whether or not the test harness keeps what is printed.
pub(crate) fn say(line: &str) {
    // Nobody may listen.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Looks each second at what processes have.
async fn sample(servers: &[Server], begun: Instant, length: Duration) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut tick = interval(Duration::from_secs(1));
    while begun.elapsed() < length {
        tick.tick().await;
        for (process, server) in servers.iter().enumerate() {
            samples.push(Sample {
                at: begun.elapsed(),
                process,
                memory: server.memory() / 1024,
                descriptors: server.descriptors(),
                threads: server.threads(),
            });
        }
    }
    samples
}

fn keep_logs(servers: &[Server], dir: &PathBuf) {
    fs::create_dir_all(dir).expect("a directory in target");
    for (process, server) in servers.iter().enumerate() {
        let file = dir.join(format!("process-{process}.log"));
        fs::write(file, server.log()).expect("a file in target");
    }
}
