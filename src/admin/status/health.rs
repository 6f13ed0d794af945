//! How everything stands that an operator would look after, each with a mark and a word.

use crate::admin::status::seen::{NOW, Row, lately};
use crate::admin::status::words::{count, long, time};
use crate::admin::{Shown, Standing, counts_untold};
use crate::decision::Dependency;
use crate::telemetry::glance::{Counted, Look};

/// How long before its end a certificate is to be looked after: ACME renews at a third of ninety days.
const ENDS_SOON: u64 = 21 * 86_400;

type Said = (&'static str, &'static str, String);

/// One row for each of them.
pub(super) fn rows(shown: &Shown, looks: &[Look]) -> Vec<Row> {
    let configured = shown.overview.configured.get();
    let now = shown.overview.clock.unix_seconds();
    let mut rows = vec![
        row("Readiness", readiness(&shown.readiness.get())),
        row("Store", store(shown, looks, &configured.store)),
        row("Changes in the store", changes(shown)),
        row("Failures of ours", failures(looks)),
    ];
    rows.push(row("Configuration", match &configured.refused {
        Some(it) => {
            let ago = long(now.saturating_sub(it.since));
            let problems = it.problems;
            let detail = format!(
                "another was not fit {ago} ago ({problems} problems, which the log tells); the one below stays in force"
            );
            ("bad", "Refused", detail)
        }
        None => ("good", "In force", format!("since {}", time(configured.loaded))),
    }));
    for (listener, until) in &configured.certificates {
        rows.push(row(
            &format!("Certificate of {listener}"),
            certificate(*until, now),
        ));
    }
    let lost = shown.metrics.audit_dropped();
    if lost > 0 {
        let detail = format!("{} lines were not written since the start", count(lost));
        rows.push(row("Audit", ("bad", "Lossy", detail)));
    }
    rows
}

fn row(what: &str, (mark, word, detail): Said) -> Row {
    let cells = vec![what.to_owned(), word.to_owned(), detail];
    Row { mark, cells }
}

fn readiness(standing: &Standing) -> Said {
    match standing {
        Standing::Ready => ("good", "Ready", "Checks may be sent here".to_owned()),
        Standing::Starting => ("warn", "Starting", "it has only begun".to_owned()),
        Standing::StoreNotReached(why) => (
            "bad",
            "Not ready",
            format!("the store was not reached yet, trying again: {why}"),
        ),
        Standing::Draining => (
            "warn",
            "Draining",
            "about to end: answers under way are finished".to_owned(),
        ),
    }
}

fn store(shown: &Shown, looks: &[Look], which: &str) -> Said {
    let (now, _) = lately(looks);
    let failed = now.failures[Dependency::Store as usize];
    if let Standing::StoreNotReached(_) = shown.readiness.get() {
        return ("bad", "Not reached", which.to_owned());
    }
    if failed > 0 {
        return (
            "bad",
            "Failing",
            format!("{which}: {} faults in the last {NOW} s", count(failed)),
        );
    }
    if let Some(evicts) = shown.cache.evicts() {
        return (
            "warn",
            "Evicts",
            format!("it may lose what was written: {evicts}"),
        );
    }
    if let Some(lacks) = shown.cache.lacks() {
        return ("warn", "Lacking", format!("it does without: {lacks}"));
    }
    ("good", "No faults", which.to_owned())
}

fn changes(shown: &Shown) -> Said {
    match shown.cache.trouble() {
        None => (
            "good",
            "Told",
            "every change is told of, so that what is remembered is true".to_owned(),
        ),
        Some(trouble) => {
            let counts = counts_untold(&shown.cache);
            (
                "bad",
                "Not told",
                format!("what is remembered counts {counts}: {trouble}"),
            )
        }
    }
}

fn failures(looks: &[Look]) -> Said {
    let (now, _) = lately(looks);
    let all = looks
        .iter()
        .fold(Counted::default(), |sum, it| sum.and(&it.counted));
    let named = |counted: &Counted| {
        let each = Dependency::ALL.iter().zip(counted.failures);
        let each = each.filter(|it| it.1 > 0);
        let each: Vec<_> = each
            .map(|(it, failed)| format!("{} {}", it.name(), count(failed)))
            .collect();
        each.join(", ")
    };
    match (named(&now), named(&all)) {
        (now, _) if !now.is_empty() => ("bad", "Failing", format!("in the last {NOW} s: {now}")),
        (_, lately) if !lately.is_empty() => (
            "warn",
            "Failed",
            format!("in the last two minutes, and not in the last {NOW} s: {lately}"),
        ),
        _ => ("good", "None", "in the last two minutes".to_owned()),
    }
}

fn certificate(until: u64, now: u64) -> Said {
    let left = until.saturating_sub(now);
    let detail = format!("valid until {}", time(until));
    match left {
        0 => ("bad", "Ended", detail),
        1..=ENDS_SOON => ("warn", "Ends soon", format!("{detail}, for {}", long(left))),
        _ => ("good", "Valid", format!("{detail}, for {}", long(left))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn look(dependency: Dependency, failed: u64) -> Look {
        let mut look = Look {
            took: Duration::from_secs(1),
            ..Look::default()
        };
        look.counted.failures[dependency as usize] = failed;
        look
    }

    #[test]
    fn failures_are_told_while_they_go_on_and_for_two_minutes_after() {
        let quiet = look(Dependency::Store, 0);
        let mut looks = vec![quiet; 3];
        assert_eq!(failures(&looks).1, "None");
        looks.extend([look(Dependency::Store, 2), look(Dependency::KeySet, 1)]);
        let (mark, word, detail) = failures(&looks);
        assert_eq!(
            (mark, word, &*detail),
            ("bad", "Failing", "in the last 10 s: key_set 1, store 2")
        );
        looks.extend([quiet; NOW]);
        let (mark, word, detail) = failures(&looks);
        assert_eq!((mark, word), ("warn", "Failed"));
        assert!(detail.ends_with(": key_set 1, store 2"), "{detail}");
    }

    #[test]
    fn a_certificate_is_marked_three_weeks_before_its_end() {
        let now = 1_790_000_000;
        for (left, want) in [
            (0, ("bad", "Ended")),
            (1, ("warn", "Ends soon")),
            (ENDS_SOON, ("warn", "Ends soon")),
            (ENDS_SOON + 1, ("good", "Valid")),
        ] {
            let (mark, word, _) = certificate(now + left, now);
            assert_eq!((mark, word), want, "{left}");
        }
        assert_eq!(certificate(now - 1, now).1, "Ended");
    }
}
