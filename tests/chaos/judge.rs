//! Whether what happened keeps the promises: nothing but a history goes in, and nothing but what breaks one comes out.

use std::fmt;
use std::time::Duration;

use super::history::{Answer, Class, History, Kind};
use super::times::{Span, Times};

/// How long a revocation may take to hold where word of it comes: 50 ms are promised. The rest is for two cores that run
/// a debug build of three processes, a Redis and whoever asks, and perhaps another build.
const HEARD: Duration = Duration::from_millis(50 + 250);
/// How long what is remembered counts where nothing is told of changes, after the grace.
const UNTOLD: Duration = Duration::from_secs(1);
/// What is added to bounds that are measured through a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(250);
/// Where the machine held one of ours up for so much of the half second before an answer (the store is given up for a quarter
/// of a second at first, and half as much again), the store had no chance of being in time, which is 50 ms.
const HELD_UP: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(500));

/// What must not grow, and what it may grow by between the first and the last third.
const MEMORY: (f64, u64) = (1.10, 8 * 1024);
const DESCRIPTORS: (f64, u64) = (1.0, 8);
const THREADS: (f64, u64) = (1.0, 4);
/// What comes before is how a process warms up.
const WARM: Duration = Duration::from_secs(30);
/// In less time nothing can be told of growth.
const GROWS: Duration = Duration::from_secs(150);

/// What was promised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// `store.watch_grace_seconds`.
    pub(crate) grace: Duration,
    /// `check.deadline_ms`.
    pub(crate) deadline: Duration,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// A revoked credential was let in, so long after the acknowledgement.
    Stale { after: Duration },
    /// A credential of nobody was let in.
    Nobodys,
    /// A valid credential was denied.
    Denied,
    /// A fault where nothing was wrong with the store.
    Unwell,
    /// The answer came after the deadline.
    Late,
    /// There was none, or the RPC failed.
    Unanswered,
    /// A process did not come back.
    Unrecovered,
    /// A process took more and more of something.
    Grown {
        what: &'static str,
        first: u64,
        last: u64,
    },
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) wrong: Wrong,
    pub(crate) process: usize,
    pub(crate) at: Duration,
    pub(crate) answer: Option<Answer>,
}

/// Gives all that was broken, by its time.
pub(crate) fn judge(history: &History, terms: Terms) -> Vec<Violation> {
    let times = Times::new(history);
    let answers = history.answers.iter();
    let mut all: Vec<_> = answers
        .flat_map(|it| of_answer(history, &times, terms, it))
        .collect();
    all.extend((0..history.processes).flat_map(|it| unrecovered(history, &times, it)));
    all.extend((0..history.processes).flat_map(|it| grown(history, it)));
    all.sort_by_key(|it| it.at);
    all
}

/// How old what is remembered may be at a process.
pub(crate) fn staleness(times: &Times, terms: Terms, process: usize, at: Duration) -> Duration {
    let longest = terms.grace + UNTOLD + SLACK;
    match times.is_told(process, at.saturating_sub(longest), at) {
        true => HEARD,
        false => longest,
    }
}

fn of_answer(history: &History, times: &Times, terms: Terms, answer: &Answer) -> Vec<Violation> {
    let Answer {
        process,
        credential,
        sent,
        came,
        ..
    } = *answer;
    let kind = history.kind(credential);
    let old = staleness(times, terms, process, sent);
    let old = old + times.stalled(process, sent.saturating_sub(old), came);
    let could = |valid| times.could_be(credential, valid, sent.saturating_sub(old), came);
    let mut wrong = Vec::new();
    match answer.class {
        Class::Allowed if kind == Kind::Never => wrong.push(Wrong::Nobodys),
        Class::Allowed if !could(true) => {
            let after = sent.saturating_sub(times.settled_at(credential, sent));
            wrong.push(Wrong::Stale { after });
        }
        Class::Denied(_) if kind != Kind::Never && !could(false) => wrong.push(Wrong::Denied),
        Class::Fault => {
            let stalled = times.stalled(process, sent.saturating_sub(HELD_UP.1), came);
            if times.is_well(process, sent, came) && stalled < HELD_UP.0 {
                wrong.push(Wrong::Unwell);
            }
        }
        Class::Failed | Class::Silent => wrong.push(Wrong::Unanswered),
        Class::Allowed | Class::Denied(_) => {}
    }
    let stalled = times.stalled(process, sent, came);
    if came.saturating_sub(sent) > terms.deadline + SLACK + stalled {
        wrong.push(Wrong::Late);
    }
    let violation = |wrong| Violation {
        wrong,
        process,
        at: sent,
        answer: Some(*answer),
    };
    wrong.into_iter().map(violation).collect()
}

/// After troubles that come one upon the other, a process lets those in again who were never touched, before all of them are
/// to be recovered from.
fn unrecovered(history: &History, times: &Times, process: usize) -> Vec<Violation> {
    let spans = times.unwell(process).iter();
    let over = spans.filter(|(_, to)| *to <= history.length);
    let missing = over.filter(|(from, to)| {
        let troubles = history.troubles.iter();
        let ends = troubles.filter(|it| it.befalls(process) && (*from..=*to).contains(&it.begin));
        let last = ends.map(|it| it.end).max().unwrap_or(*from);
        !times.lets_in(process, last, *to)
    });
    let violation = |(_, to): &Span| Violation {
        wrong: Wrong::Unrecovered,
        process,
        at: *to,
        answer: None,
    };
    missing.map(violation).collect()
}

fn grown(history: &History, process: usize) -> Vec<Violation> {
    let samples = history.samples.iter();
    let samples: Vec<_> = samples
        .filter(|it| it.process == process && it.at >= WARM)
        .collect();
    if history.length < GROWS || samples.len() < 3 {
        return Vec::new();
    }
    let third = samples.len() / 3;
    let mut violations = Vec::new();
    for (what, (times, plus), of) in [
        ("memory, KiB", MEMORY, 0),
        ("descriptors", DESCRIPTORS, 1),
        ("threads", THREADS, 2),
    ] {
        let all = samples
            .iter()
            .map(|it| [it.memory, it.descriptors, it.threads][of]);
        let all: Vec<_> = all.collect();
        let (first, last) = (median(&all[..third]), median(&all[all.len() - third..]));
        if last as f64 > first as f64 * times + plus as f64 {
            violations.push(Violation {
                wrong: Wrong::Grown { what, first, last },
                process,
                at: history.length,
                answer: None,
            });
        }
    }
    violations
}

pub(crate) fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl Wrong {
    /// What it is, without how much.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stale { .. } => "let in after a revocation",
            Self::Nobodys => "let in who is nobody",
            Self::Denied => "denied who is valid",
            Self::Unwell => "a fault while the store is well",
            Self::Late => "later than the deadline",
            Self::Unanswered => "no answer",
            Self::Unrecovered => "did not come back after the fault",
            Self::Grown { what, .. } => what,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { after } => {
                write!(f, "let in {after:?} after its revocation was acknowledged")
            }
            Self::Grown { what, first, last } => write!(f, "{what} grew from {first} to {last}"),
            other => f.write_str(other.name()),
        }
    }
}
