//! One run: everything is started, suffers what is planned, and what happened is gathered.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};

use super::draw::Draw;
use super::estate::{Estate, PROCESSES, Ways};
use super::history::{History, Kind, Sample, Trouble};
#[cfg(test)]
use super::plan::Fault;
use super::plan::{Plan, Planned};
use super::site::{Asker, credentials, start};
use super::stalls::{Stalls, Whom};
use super::suffering::{Sufferer, suffer_on_way};
use super::writing::Writer;
use crate::support::check::CheckClient;
use crate::support::server::Server;

/// How long all is well at the end, which is long enough to be judged by what is promised where nothing is wrong.
const WELL: Duration = Duration::from_secs(8);

/// When a run ends, which is known once all is over that was planned.
pub(crate) type Until = watch::Receiver<Duration>;

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
    let (ends, until) = watch::channel(Duration::MAX);
    let mut work = JoinSet::new();
    for (process, server) in servers.iter().enumerate() {
        let asker = Asker {
            process,
            client: CheckClient::connect(server.grpc()).await,
            draw: Draw::new(plan.seed, 100 + process as u64),
            begun,
            answers: answers.clone(),
        };
        work.spawn(asker.ask(until.clone()));
    }
    drop(answers);
    let kinds = credentials();
    for (credential, _) in switched(&kinds) {
        let draw = Draw::new(plan.seed, 1000 + credential as u64);
        work.spawn(writer.clone().switch(credential, draw, until.clone()));
    }
    drop(writer);
    let whom = Whom::default();
    let stalls = Stalls::look(begun, Arc::clone(&whom));
    let ours = servers.iter().enumerate();
    let ours = ours.map(|(process, it)| (it.id(), Some(process)));
    let ours = ours.chain([(std::process::id(), None)]);
    let ours: Vec<_> = ours.collect();
    let (troubles, troubled) = unbounded_channel();
    let on_ways = tokio::spawn(on_ways(
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
    let suffer = async {
        let estate = on_servers(sufferer, plan, tells, troubles).await;
        on_ways.await.expect("all ways are open again");
        let troubles = sorted(troubled, |it| it.begin).await;
        ends.send_replace(end(plan.length, &troubles));
        (estate, troubles)
    };
    let (samples, (estate, troubles)) =
        tokio::join!(sample(&servers, begun, until.clone()), suffer);
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
        troubles,
        samples,
        stalls: stalls.end(),
        length: *until.borrow(),
    }
}

/// When a run of this length ends: not before all is to be recovered from, and is seen to be, however long it lasted.
fn end(length: Duration, troubles: &[Trouble]) -> Duration {
    let over = troubles.iter();
    let over = over.map(|it| it.end + it.fault.over_within() + WELL);
    over.max().unwrap_or_default().max(length)
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
async fn sample(servers: &[Server], begun: Instant, until: Until) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut tick = interval(Duration::from_secs(1));
    while begun.elapsed() < *until.borrow() {
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

#[test]
fn a_run_lasts_until_all_is_to_be_recovered_from_and_seen_to_be() {
    let seconds = Duration::from_secs;
    let trouble = |fault, end| Trouble {
        fault,
        begin: seconds(1),
        end: seconds(end),
        process: None,
    };
    for (troubles, want) in [
        (vec![], seconds(30)),
        (vec![trouble(Fault::Cut, 2)], seconds(30)),
        (vec![trouble(Fault::Cut, 29)], seconds(43)),
        (
            vec![trouble(Fault::NoRights, 3), trouble(Fault::Cut, 20)],
            Duration::from_millis(42_500),
        ),
    ] {
        assert_eq!(end(seconds(30), &troubles), want);
    }
}
