//! What is told of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::history::{Class, History, Kind, Trouble};
use super::judge::{Terms, Violation, median};
use super::plan::{Fault, Plan};
use super::times::Times;

/// How many violations of a kind are told whole.
const TOLD: usize = 6;
/// How far around one is told what was the matter.
const AROUND: Duration = Duration::from_secs(15);

const NEAR: Duration = Duration::from_millis(500);
/// How long word must have come for an allow to count as one where it comes.
const LONG: Duration = Duration::from_secs(3);

/// Gives it as text.
pub(crate) fn report(plan: &Plan, history: &History, terms: Terms, broken: &[Violation]) -> String {
    let times = Times::new(history);
    let mut text = format!(
        "chaos: {} with seed {}, {} s, {} faults\n",
        plan.topology,
        plan.seed,
        plan.length.as_secs(),
        history.troubles.len()
    );
    counts(&mut text, history, &times);
    staleness(&mut text, history, &times);
    faults(&mut text, history, &times);
    resources(&mut text, history);
    violations(&mut text, plan, history, broken);
    let _ = writeln!(
        text,
        "grace {:?}, deadline {:?}",
        terms.grace, terms.deadline
    );
    text
}

fn counts(text: &mut String, history: &History, times: &Times) {
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    let mut well = Vec::new();
    for it in &history.answers {
        *classes.entry(it.class).or_default() += 1;
        if times.is_well(it.process, it.sent, it.came) {
            well.push(it.came.saturating_sub(it.due));
        }
    }
    let classes: Vec<_> = classes
        .iter()
        .map(|(it, n)| format!("{it:?} {n}"))
        .collect();
    let _ = writeln!(text, "answers: {}", classes.join(", "));
    well.sort();
    let all = well.len();
    let at = |share: f64| milliseconds(quantile(&well, share));
    let _ = writeln!(
        text,
        "while well: {all} answers, p50 {} ms, p99 {} ms, p999 {} ms",
        at(0.5),
        at(0.99),
        at(0.999)
    );
    let excused = history
        .answers
        .iter()
        .filter(|it| it.class == Class::Fault && times.is_well(it.process, it.sent, it.came));
    let stalled =
        (0..history.processes).map(|it| times.stalled(it, Duration::ZERO, history.length));
    let stalled: Vec<_> = stalled
        .map(|it| format!("{:.1}", it.as_secs_f64()))
        .collect();
    let _ = writeln!(
        text,
        "the machine held up one of ours for {} s (by process); 503s while the store is well: {}, those for that included",
        stalled.join(", "),
        excused.count()
    );
}

/// How long after its acknowledgement a revocation still did not hold, at worst.
fn staleness(text: &mut String, history: &History, times: &Times) {
    let mut worst = [Duration::ZERO; 2];
    for it in &history.answers {
        let is_switched = history.kind(it.credential) == Kind::Switched;
        if it.class == Class::Allowed
            && is_switched
            && !times.could_be(it.credential, true, it.sent, it.came)
        {
            let told = times.is_told(it.process, it.sent.saturating_sub(LONG), it.sent);
            let after = it.sent - times.settled_at(it.credential, it.sent);
            let worst = &mut worst[usize::from(told)];
            *worst = after.max(*worst);
        }
    }
    let acked = history.writes.iter().filter(|it| it.end.is_some());
    let revoked = acked.clone().filter(|it| !it.valid).count();
    let longest = acked.filter_map(|it| Some(it.end? - it.begin)).max();
    let unknown = history.writes.iter().filter(|it| it.end.is_none()).count();
    let _ = writeln!(
        text,
        "{revoked} revocations acknowledged (the slowest write {:?}, {unknown} never); worst allow after one: {:?} where word comes, \
         {:?} in and after faults",
        longest.unwrap_or_default(),
        worst[1],
        worst[0]
    );
}

fn faults(text: &mut String, history: &History, times: &Times) {
    let mut by: BTreeMap<Fault, (usize, Duration, usize)> = BTreeMap::new();
    for it in &history.troubles {
        let row = by.entry(it.fault).or_default();
        let (recovered, faults) = recovery(history, it);
        *row = (row.0 + 1, row.1.max(recovered), row.2 + faults);
    }
    let _ = writeln!(
        text,
        "| fault | times | 503s in and after | worst recovery, s |"
    );
    let _ = writeln!(text, "|---|---|---|---|");
    for (fault, (count, recovered, faults)) in by {
        let seconds = recovered.as_secs_f64();
        let _ = writeln!(text, "| {fault} | {count} | {faults} | {seconds:.2} |");
    }
    let _ = times;
}

/// How long after its end the last fault came before the next trouble, and how many there were.
fn recovery(history: &History, trouble: &Trouble) -> (Duration, usize) {
    let nexts = history.troubles.iter().map(|it| it.begin);
    let next = nexts.filter(|it| *it > trouble.begin).min();
    let next = next.unwrap_or(history.length);
    let from = history
        .answers
        .partition_point(|it| it.sent < trouble.begin);
    let after = history.answers[from..]
        .iter()
        .take_while(|it| it.sent < next);
    let faults = after.filter(|it| it.class == Class::Fault && trouble.befalls(it.process));
    let faults: Vec<_> = faults.map(|it| it.sent).collect();
    let last = faults.last().copied().unwrap_or_default();
    (last.saturating_sub(trouble.end), faults.len())
}

fn resources(text: &mut String, history: &History) {
    for process in 0..history.processes {
        let samples = history.samples.iter().filter(|it| it.process == process);
        let samples: Vec<_> = samples.collect();
        let third = samples.len() / 3;
        let medians = |of: &dyn Fn(usize) -> u64| {
            let all: Vec<_> = (0..samples.len()).map(of).collect();
            let last = all.len() - third;
            format!("{} → {}", median(&all[..third]), median(&all[last..]))
        };
        let _ = writeln!(
            text,
            "process {process}, first → last third: {} KiB, {} descriptors, {} threads",
            medians(&|it| samples[it].memory),
            medians(&|it| samples[it].descriptors),
            medians(&|it| samples[it].threads)
        );
    }
}

fn violations(text: &mut String, plan: &Plan, history: &History, broken: &[Violation]) {
    if broken.is_empty() {
        text.push_str("no promise was broken\n");
        return;
    }
    let mut kinds: BTreeMap<_, Vec<&Violation>> = BTreeMap::new();
    for it in broken {
        kinds.entry(it.wrong.name()).or_default().push(it);
    }
    for (name, all) in kinds {
        let _ = writeln!(text, "\nBROKEN {} times: {name}", all.len());
        all.iter()
            .take(TOLD)
            .for_each(|it| violation(text, history, it));
    }
    let _ = writeln!(text, "\nagain: {}", replay(plan));
}

/// What is broken, and all around it that may be why.
fn violation(text: &mut String, history: &History, broken: &Violation) {
    let (at, process, wrong) = (broken.at, broken.process, broken.wrong);
    let seconds = at.as_secs_f64();
    let _ = writeln!(text, "\n{seconds:.3} s, process {process}: {wrong}");
    if let Some(answer) = broken.answer {
        let kind = history.kind(answer.credential);
        let _ = writeln!(text, "  {kind:?} {answer:?}");
        for write in &history.writes {
            let end = write.end.unwrap_or(history.length);
            if write.credential == answer.credential
                && write.begin <= answer.came
                && end + AROUND >= answer.sent
            {
                let _ = writeln!(text, "  {write:?}");
            }
        }
    }
    let is_near = |begin: Duration, end: Duration, around| begin <= at && end + around >= at;
    let troubles = history.troubles.iter();
    for it in troubles.filter(|it| is_near(it.begin, it.end, AROUND)) {
        let _ = writeln!(text, "  {it:?}");
    }
    let stalls = history.stalls.iter();
    let meant = stalls.filter(|it| it.process.is_none_or(|it| it == process));
    for it in meant
        .filter(|it| is_near(it.begin, it.end, NEAR))
        .take(TOLD)
    {
        let _ = writeln!(text, "  {it:?}");
    }
}

/// The command that has the same befall the store.
pub(crate) fn replay(plan: &Plan) -> String {
    format!(
        "PORTCULLIS_CHAOS_TOPOLOGY={} PORTCULLIS_CHAOS_SEED={} PORTCULLIS_CHAOS_SECONDS={} cargo test --test chaos",
        plan.topology,
        plan.seed,
        plan.length.as_secs()
    )
}

/// Gives what this share of sorted times is not above.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(it: Duration) -> String {
    format!("{:.2}", it.as_secs_f64() * 1000.0)
}
