//! The last denials and faults, one by one, as the audit would tell them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::telemetry::audit::Entry;
use crate::telemetry::glance::lock;

/// How many are kept, and how many are taken between two looks: in a flood, the first of each second.
pub const KEPT: usize = 20;

/// A denial or a fault: as much as the audit's [`Entry`] says of it, and no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// When.
    pub time: SystemTime,
    /// `deny` or `fault`.
    pub outcome: &'static str,
    /// Why it was denied, or what of ours failed.
    pub reason: &'static str,
    /// Names the decision.
    pub decision_id: String,
    /// The platform, by its name.
    pub platform: String,
    /// The scheme whose credential counted, by its name.
    pub scheme: String,
    /// The rule that refused.
    pub rule: String,
    /// The ids of the account, the user and the API key, as far as they are known.
    pub about: [String; 3],
    /// The method.
    pub method: String,
    /// The path, without the query and without tokens.
    pub path: String,
    /// The client's address.
    pub client: Option<IpAddr>,
}

impl Refused {
    fn of(time: SystemTime, entry: &Entry<'_>) -> Self {
        Self {
            time,
            outcome: entry.outcome,
            reason: match entry.reason {
                "" => entry.fault,
                reason => reason,
            },
            decision_id: entry.decision_id.to_owned(),
            platform: entry.platform.to_owned(),
            scheme: entry.scheme.to_owned(),
            rule: entry.rule.to_owned(),
            about: [entry.account, entry.user, entry.key].map(|it| it.to_string()),
            method: entry.method.to_string(),
            path: entry.path.to_string(),
            client: entry.client,
        }
    }
}

/// The last denials and faults.
#[derive(Debug)]
pub struct Refusals {
    /// How many may be taken still, before the next look.
    left: AtomicUsize,
    kept: Mutex<VecDeque<Refused>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            left: AtomicUsize::new(KEPT),
            kept: Mutex::default(),
        }
    }
}

impl Refusals {
    /// Tells whether another one is to be noted, which then counts as taken. In a flood that is a load of what nobody
    /// writes meanwhile.
    #[must_use]
    pub fn want_another(&self) -> bool {
        let left = &self.left;
        left.load(Ordering::Relaxed) > 0
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1))
                .is_ok()
    }

    /// Takes note of one, in the place of the oldest. The lock is held for a move, by so few a second that nobody waits.
    pub fn note(&self, time: SystemTime, entry: &Entry<'_>) {
        let refused = Refused::of(time, entry);
        let mut kept = lock(&self.kept);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(refused);
    }

    /// Lets as many be taken again.
    pub(super) fn go_on(&self) {
        self.left.store(KEPT, Ordering::Relaxed);
    }

    /// Gives them, the newest first.
    #[must_use]
    pub fn last(&self) -> Vec<Refused> {
        lock(&self.kept).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_last_are_kept_as_the_audit_tells_them_and_of_a_flood_so_many_before_the_next_look() {
        let refusals = Refusals::default();
        let flood = |number: u64| {
            let taken = refusals.want_another();
            if taken {
                let path = format!("/{number}\u{1b}<b>");
                let entry = Entry {
                    outcome: "fault",
                    fault: "store",
                    path: path.as_str().into(),
                    user: "u-1".into(),
                    ..Entry::default()
                };
                refusals.note(UNIX_EPOCH, &entry);
            }
            usize::from(taken)
        };
        assert_eq!((0..100).map(flood).sum::<usize>(), KEPT);
        refusals.go_on();
        assert_eq!((100..101).map(flood).sum::<usize>(), 1);
        let last = refusals.last();
        let paths: Vec<_> = last.iter().map(|it| &*it.path).collect();
        assert_eq!((paths[0], paths[1]), ("/100%1B<b>", "/19%1B<b>"));
        assert_eq!((paths.len(), paths[KEPT - 1]), (KEPT, "/1%1B<b>"));
        assert_eq!((last[0].outcome, last[0].reason), ("fault", "store"));
        assert_eq!(last[0].about, ["", "u-1", ""]);
    }
}
