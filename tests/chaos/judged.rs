//! The judge finds what is planted, and nothing in what is right.

use std::time::Duration;

use super::history::{Answer, Class, History, Kind, Sample, Stall, Trouble, Write};
use super::judge::{Terms, Wrong, judge};
use super::plan::Fault;

const TERMS: Terms = Terms {
    grace: Duration::from_secs(1),
    deadline: Duration::from_millis(150),
};

const STEADY: usize = 0;
const SWITCHED: usize = 1;
const NEVER: usize = 2;

/// Two processes for a minute, which answer well, and a store that fails from 20 s to 22 s.
fn history() -> History {
    let trouble = Trouble {
        fault: Fault::Frozen,
        begin: at(20_000),
        end: at(22_000),
        process: None,
    };
    let mut history = History {
        processes: 2,
        credentials: vec![Kind::Steady, Kind::Switched, Kind::Never],
        troubles: vec![trouble],
        length: at(60_000),
        ..History::default()
    };
    for process in [0, 1] {
        for second in 0..60 {
            answer(&mut history, process, STEADY, second * 1000, Class::Allowed);
        }
    }
    // Revoked at 10 s and at 20.5 s, restored at 15 s.
    for (milliseconds, valid) in [(10_000, false), (15_000, true), (20_500, false)] {
        history.writes.push(Write {
            credential: SWITCHED,
            valid,
            begin: at(milliseconds),
            end: Some(at(milliseconds + 10)),
        });
    }
    history
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn answer(history: &mut History, process: usize, credential: usize, sent: u64, class: Class) {
    timed(history, process, credential, (sent, sent + 1), class);
}

fn timed(
    history: &mut History,
    process: usize,
    credential: usize,
    (sent, came): (u64, u64),
    class: Class,
) {
    let (sent, came) = (at(sent), at(came));
    history.answers.push(Answer {
        process,
        credential,
        due: sent,
        sent,
        came,
        class,
    });
    history.answers.sort_by_key(|it| it.sent);
}

/// What is found with this one answer more, of process 1.
fn found(credential: usize, sent: u64, class: Class) -> Vec<Wrong> {
    let mut history = history();
    answer(&mut history, 1, credential, sent, class);
    wrongs(&history)
}

fn wrongs(history: &History) -> Vec<Wrong> {
    judge(history, TERMS).iter().map(|it| it.wrong).collect()
}

fn stale(milliseconds: u64) -> Vec<Wrong> {
    let after = at(milliseconds);
    vec![Wrong::Stale { after }]
}

#[test]
fn an_allow_counts_as_stale_once_the_bound_is_over() {
    for (sent, want) in [
        (9_000, vec![]),
        (10_005, vec![]),
        (10_300, vec![]),
        (10_320, stale(310)),
        (14_998, stale(4988)),
        // Restored in this moment.
        (15_000, vec![]),
        (16_000, vec![]),
        // While the store is lost, for the grace and a second.
        (22_700, vec![]),
        (22_800, stale(2290)),
        (40_000, stale(19_490)),
    ] {
        assert_eq!(found(SWITCHED, sent, Class::Allowed), want, "{sent}");
    }
}

#[test]
fn what_was_never_acknowledged_may_be_so_or_so() {
    let mut history = history();
    history.writes.push(Write {
        credential: SWITCHED,
        valid: true,
        begin: at(30_000),
        end: None,
    });
    answer(&mut history, 0, SWITCHED, 50_000, Class::Allowed);
    answer(&mut history, 0, SWITCHED, 50_001, Class::Denied(401));
    assert_eq!(wrongs(&history), []);
    answer(&mut history, 0, SWITCHED, 29_000, Class::Allowed);
    assert_eq!(wrongs(&history), stale(8490));
}

#[test]
fn whoever_is_nobody_is_never_let_in() {
    assert_eq!(found(NEVER, 21_000, Class::Allowed), [Wrong::Nobodys]);
    assert_eq!(found(NEVER, 21_000, Class::Denied(401)), []);
}

#[test]
fn whoever_is_valid_is_never_denied_whatever_the_store_does() {
    for (credential, sent, want) in [
        (STEADY, 5_000, vec![Wrong::Denied]),
        (STEADY, 21_000, vec![Wrong::Denied]),
        (SWITCHED, 9_000, vec![Wrong::Denied]),
        (SWITCHED, 12_000, vec![]),
        (SWITCHED, 15_200, vec![]),
        (SWITCHED, 15_400, vec![Wrong::Denied]),
    ] {
        let found = found(credential, sent, Class::Denied(403));
        assert_eq!(found, want, "{credential} {sent}");
    }
}

#[test]
fn a_fault_is_one_where_the_store_is_well() {
    for (sent, want) in [
        (19_000, vec![Wrong::Unwell]),
        (21_000, vec![]),
        (27_900, vec![]),
        (28_100, vec![Wrong::Unwell]),
    ] {
        assert_eq!(found(STEADY, sent, Class::Fault), want, "{sent}");
    }
    let mut history = history();
    history.troubles[0].process = Some(0);
    answer(&mut history, 1, STEADY, 21_000, Class::Fault);
    assert_eq!(wrongs(&history), [Wrong::Unwell], "another's trouble");
    let (begin, end) = (at(20_900), at(20_990));
    history.stalls.push(Stall {
        process: Some(1),
        begin,
        end,
    });
    assert_eq!(wrongs(&history), [], "nobody was let run");
}

#[test]
fn an_answer_is_there_and_in_time() {
    for class in [Class::Failed, Class::Silent] {
        assert_eq!(found(STEADY, 21_000, class), [Wrong::Unanswered]);
    }
    for (came, want) in [(21_400, vec![]), (21_401, vec![Wrong::Late])] {
        let mut history = history();
        timed(&mut history, 0, STEADY, (21_000, came), Class::Fault);
        assert_eq!(wrongs(&history), want, "{came}");
    }
}

#[test]
fn a_process_that_does_not_come_back_is_found() {
    let mut history = history();
    let is_out = |it: &Answer| it.process == 1 && (at(22_000)..at(28_001)).contains(&it.sent);
    history.answers.retain(|it| !is_out(it));
    assert_eq!(wrongs(&history), [Wrong::Unrecovered]);
    // Where another is still to be recovered from, or the next comes before, there is time until those are over.
    let mut slow = history.clone();
    slow.troubles.push(Trouble {
        fault: Fault::WrongPassword,
        begin: at(10_000),
        end: at(11_000),
        process: None,
    });
    assert_eq!(wrongs(&slow), []);
    let trouble = Trouble {
        begin: at(25_000),
        end: at(26_000),
        ..history.troubles[0]
    };
    history.troubles.push(trouble);
    assert_eq!(wrongs(&history), []);
    for mut out in [slow, history] {
        let is_out = |it: &Answer| it.process == 1 && it.sent >= at(20_000);
        out.answers.retain(|it| !is_out(it));
        assert_eq!(wrongs(&out), [Wrong::Unrecovered]);
    }
}

#[test]
fn growth_is_found() {
    let mut history = history();
    history.length = at(300_000);
    for second in 0..300 {
        history.samples.push(Sample {
            at: at(second * 1000),
            process: 0,
            memory: 40_000 + second * 50,
            descriptors: 20 + second % 5,
            threads: 9 + second / 50,
        });
    }
    let found = wrongs(&history);
    let of = |name: &str| {
        let mut all = found.iter();
        all.any(|it| matches!(it, Wrong::Grown { what, .. } if *what == name))
    };
    assert!(!of("memory, KiB") && !of("descriptors") && !of("threads"));
    for it in &mut history.samples {
        let seconds = it.at.as_secs();
        it.memory = 40_000 + seconds * 100;
        it.descriptors = 20 + seconds / 15;
        it.threads = 9 + seconds / 30;
    }
    let found = wrongs(&history);
    assert_eq!(found.len(), 3, "{found:?}");
}
