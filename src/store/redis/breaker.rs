//! When to stop asking a server that does not answer, and when to try again.
//!
//! Whoever waits for an answer that does not come waits out its timeout, each time. So after many
//! that did not come, nobody asks for a moment; then one does, with those who ask along with it, and that answer decides. Apart from
//! the connection, and with the time as a parameter: what it decides can be read off here.

use std::time::{Duration, Instant};

/// How long commands are counted together.
const WINDOW: Duration = Duration::from_secs(1);
/// Of how many of them it takes half without an answer.
const ASKED_MIN: u32 = 20;
/// How long nobody asks at first; doubled with each attempt that fails.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// How long at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Decides who may ask.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Counts what it has decided, so that nothing counts that was asked before.
    term: u64,
}

#[derive(Debug)]
enum State {
    /// All may.
    Closed {
        since: Instant,
        asked: u32,
        unanswered: u32,
    },
    /// Nobody may until then, and then one. Where nothing is heard of that one, the next may as
    /// long after it as it had to wait.
    Open { until: Instant, pause: Duration },
}

/// That somebody may ask.
#[derive(Debug)]
pub(super) struct Pass(u64);

/// What has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    Opened,
    Closed,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::counting_from(now),
            term: 0,
        }
    }

    /// Tells whether commands may be sent, those that go together as one.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Pass> {
        if let State::Open { until, pause } = &mut self.state {
            if now < *until {
                return None;
            }
            *until = now + *pause;
            self.term += 1;
        }
        Some(Pass(self.term))
    }

    /// Takes note of whether so many who asked together had an answer, whatever it said.
    #[expect(clippy::needless_pass_by_value, reason = "a pass is used once")]
    pub(super) fn note(
        &mut self,
        pass: Pass,
        askers: u32,
        is_answered: bool,
        now: Instant,
    ) -> Option<Turn> {
        if pass.0 != self.term {
            return None;
        }
        match &mut self.state {
            State::Open { .. } if is_answered => self.close(now),
            State::Open { until, pause } => {
                *pause = (*pause * 2).min(PAUSE_MAX);
                *until = now + *pause;
                self.term += 1;
                None
            }
            State::Closed {
                since,
                asked,
                unanswered,
            } => {
                if now.duration_since(*since) >= WINDOW {
                    (*since, *asked, *unanswered) = (now, 0, 0);
                }
                *asked = asked.saturating_add(askers);
                if !is_answered {
                    *unanswered = unanswered.saturating_add(askers);
                }
                if *asked < ASKED_MIN || *unanswered < *asked - *unanswered {
                    return None;
                }
                let pause = PAUSE_MIN;
                let until = now + pause;
                self.state = State::Open { until, pause };
                self.term += 1;
                Some(Turn::Opened)
            }
        }
    }

    /// Lets the next try at once: the server was heard of elsewhere.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let State::Open { until, .. } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// Lets all ask: the server has answered here.
    pub(super) fn close(&mut self, now: Instant) -> Option<Turn> {
        let was_open = matches!(self.state, State::Open { .. });
        self.state = State::counting_from(now);
        self.term += 1;
        was_open.then_some(Turn::Closed)
    }
}

impl State {
    fn counting_from(since: Instant) -> Self {
        Self::Closed {
            since,
            asked: 0,
            unanswered: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A breaker, and a clock that is set by hand.
    struct Bench {
        breaker: Breaker,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let breaker = Breaker::new(now);
            Self { breaker, now }
        }

        fn pass(&mut self, milliseconds: u64) {
            self.now += Duration::from_millis(milliseconds);
        }

        /// Asks, and is answered or not.
        fn ask(&mut self, is_answered: bool) -> Option<Turn> {
            let pass = self.breaker.admit(self.now).expect("a pass");
            self.breaker.note(pass, 1, is_answered, self.now)
        }

        fn is_open(&mut self) -> bool {
            self.breaker.admit(self.now).is_none()
        }

        /// One that has just opened.
        fn opened() -> Self {
            let mut bench = Self::new();
            for _ in 1..ASKED_MIN {
                assert_eq!(bench.ask(false), None);
            }
            assert_eq!(bench.ask(false), Some(Turn::Opened));
            bench
        }
    }

    #[test]
    fn those_who_ask_together_count_each() {
        for (askers, opens) in [(19, false), (20, true), (u32::MAX, true)] {
            let mut bench = Bench::new();
            let pass = bench.breaker.admit(bench.now).expect("a pass");
            let turn = bench.breaker.note(pass, askers, false, bench.now);
            assert_eq!(turn.is_some(), opens, "{askers}");
        }
    }

    #[test]
    fn it_opens_when_half_of_twenty_within_a_second_were_not_answered() {
        // Answered, not answered, milliseconds between each.
        for (answered, unanswered, pause, opens) in [
            (0, 19, 0, false),
            (0, 20, 0, true),
            (10, 10, 0, true),
            (11, 10, 0, false),
            (1000, 999, 0, false),
            (0, 20, 52, true),
            // 19 of them fit into a second.
            (0, 1000, 53, false),
        ] {
            let mut bench = Bench::new();
            let all = std::iter::repeat_n(true, answered);
            let all = all.chain(std::iter::repeat_n(false, unanswered));
            let mut opened = false;
            for is_answered in all {
                opened |= bench.ask(is_answered) == Some(Turn::Opened);
                if opened {
                    break;
                }
                bench.pass(pause);
            }
            assert_eq!(opened, opens, "{answered} {unanswered} {pause}");
        }
    }

    #[test]
    fn it_stays_open_for_longer_and_longer_and_lets_one_try_in_between() {
        let mut bench = Bench::opened();
        for pause in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            bench.pass(pause - 1);
            assert!(bench.is_open(), "{pause}");
            bench.pass(1);
            let pass = bench.breaker.admit(bench.now).expect("one may try");
            assert!(bench.is_open(), "one at a time");
            assert_eq!(bench.breaker.note(pass, 1, false, bench.now), None);
        }
        bench.pass(5000);
        assert_eq!(bench.ask(true), Some(Turn::Closed));
        for _ in 1..ASKED_MIN {
            assert_eq!(bench.ask(false), None);
        }
        assert_eq!(bench.ask(false), Some(Turn::Opened));
        bench.pass(250);
        assert!(!bench.is_open(), "it begins anew");
    }

    #[test]
    fn one_that_tries_and_is_never_heard_of_does_not_keep_it_open() {
        let mut bench = Bench::opened();
        bench.pass(250);
        let lost = bench.breaker.admit(bench.now).expect("one may try");
        bench.pass(250);
        assert_eq!(bench.ask(true), Some(Turn::Closed));
        for _ in 0..100 {
            assert_eq!(bench.ask(true), None);
        }
        assert_eq!(bench.breaker.note(lost, 1, false, bench.now), None);
    }

    #[test]
    fn what_was_asked_before_it_opened_says_nothing_after() {
        let mut bench = Bench::new();
        let late: Vec<_> = (0..100)
            .map(|_| bench.breaker.admit(bench.now).expect("a pass"))
            .collect();
        for _ in 1..ASKED_MIN {
            bench.ask(false);
        }
        assert_eq!(bench.ask(false), Some(Turn::Opened));
        for pass in late {
            assert_eq!(bench.breaker.note(pass, 1, true, bench.now), None);
        }
        assert!(bench.is_open());
    }

    #[test]
    fn where_the_server_is_heard_of_one_may_try_at_once_and_a_new_connection_is_for_all() {
        let mut bench = Bench::opened();
        bench.breaker.hurry(bench.now);
        assert_eq!(bench.ask(false), None);
        assert!(bench.is_open(), "it did not answer here");
        bench.breaker.hurry(bench.now);
        assert_eq!(bench.ask(true), Some(Turn::Closed));

        let mut bench = Bench::opened();
        assert_eq!(bench.breaker.close(bench.now), Some(Turn::Closed));
        assert_eq!(bench.breaker.close(bench.now), None);
        assert!(!bench.is_open());
        bench.breaker.hurry(bench.now);
        assert!(!bench.is_open());
    }
}
