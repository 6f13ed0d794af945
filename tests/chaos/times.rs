//! What can be asked of a history about times, quickly: a long run has a million answers.

use std::time::Duration;

use super::history::{Class, History, Kind, Stall, Write};

/// An interval; both ends belong to it.
pub(crate) type Span = (Duration, Duration);

/// A history, sorted for questions.
#[derive(Debug)]
pub(crate) struct Times {
    /// By process: when faults may be, and when word of changes may be missing.
    unwell: Vec<Vec<Span>>,
    untold: Vec<Vec<Span>>,
    /// By process, when somebody was let in who was never touched.
    let_in: Vec<Vec<Duration>>,
    /// By process, when the machine did not let it run, or somebody whom it needs.
    stalls: Vec<Vec<Span>>,
    /// By credential.
    writes: Vec<Vec<Write>>,
}

impl Times {
    pub(crate) fn new(history: &History) -> Self {
        let spans = |more: &dyn Fn(super::plan::Fault) -> Duration| {
            let of = |process| {
                let troubles = history.troubles.iter();
                let troubles = troubles.filter(|it| it.befalls(process));
                merged(troubles.map(|it| (it.begin, it.end + more(it.fault))))
            };
            (0..history.processes).map(of).collect()
        };
        let mut let_in = vec![Vec::new(); history.processes];
        for it in &history.answers {
            if it.class == Class::Allowed && history.kind(it.credential) == Kind::Steady {
                let_in[it.process].push(it.sent);
            }
        }
        let_in.iter_mut().for_each(|it| it.sort());
        let mut writes = vec![Vec::new(); history.credentials.len()];
        for it in &history.writes {
            writes[it.credential].push(*it);
        }
        let stalls = |process| {
            let meant = move |it: &&Stall| it.process.is_none_or(|it| it == process);
            let stalls = history.stalls.iter().filter(meant);
            merged(stalls.map(|it| (it.begin, it.end)))
        };
        Self {
            stalls: (0..history.processes).map(stalls).collect(),
            unwell: spans(&|it| it.recovers_within()),
            untold: spans(&|it| it.hears_within()),
            let_in,
            writes,
        }
    }

    /// When faults may be at a process: from the begin of a trouble until it is to be recovered from, and those that meet
    /// together.
    pub(crate) fn unwell(&self, process: usize) -> &[Span] {
        &self.unwell[process]
    }

    /// Whether the store was well for a process all the time.
    pub(crate) fn is_well(&self, process: usize, from: Duration, to: Duration) -> bool {
        !meets(&self.unwell[process], from, to)
    }

    /// Whether a process was told of changes all the time.
    pub(crate) fn is_told(&self, process: usize, from: Duration, to: Duration) -> bool {
        !meets(&self.untold[process], from, to)
    }

    /// How much of a time the machine did not let a process run.
    pub(crate) fn stalled(&self, process: usize, from: Duration, to: Duration) -> Duration {
        let all = &self.stalls[process];
        let first = all.partition_point(|it| it.1 < from);
        let met = all[first..].iter().take_while(|it| it.0 <= to);
        met.map(|it| it.1.min(to).saturating_sub(it.0.max(from)))
            .sum()
    }

    /// Whether a process let somebody in who was never touched.
    pub(crate) fn lets_in(&self, process: usize, from: Duration, to: Duration) -> bool {
        let all = &self.let_in[process];
        let first = all.partition_point(|it| *it < from);
        all.get(first).is_some_and(|it| *it <= to)
    }

    /// Whether a credential may have been valid, or not, at some time between. All are valid at first.
    pub(crate) fn could_be(
        &self,
        credential: usize,
        valid: bool,
        from: Duration,
        to: Duration,
    ) -> bool {
        let (settled, rest) = self.settled(credential, from);
        let under_way = rest.iter().take_while(|it| it.begin <= to);
        settled.is_none_or(|it| it.valid) == valid
            || under_way.into_iter().any(|it| it.valid == valid)
    }

    /// When what a credential is at a time was acknowledged; 0 where it was never touched.
    pub(crate) fn settled_at(&self, credential: usize, at: Duration) -> Duration {
        let (settled, _) = self.settled(credential, at);
        settled.and_then(|it| it.end).unwrap_or_default()
    }

    /// The last write that was acknowledged by then, and those after it.
    fn settled(&self, credential: usize, at: Duration) -> (Option<&Write>, &[Write]) {
        let writes = &self.writes[credential];
        let count = writes.partition_point(|it| it.end.is_some_and(|end| end <= at));
        (writes[..count].last(), &writes[count..])
    }
}

fn merged(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => merged.push(span),
        }
    }
    merged
}

fn meets(spans: &[Span], from: Duration, to: Duration) -> bool {
    let first = spans.partition_point(|it| it.1 < from);
    spans.get(first).is_some_and(|it| it.0 <= to)
}
