//! What befalls the store, and when: drawn from a seed before anything begins.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::draw::Draw;
use super::estate::PROCESSES;
use super::topology::Topology;

/// What befalls the store, or the way to it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fault {
    /// The way is slow, and within what an operation may take.
    Slow,
    /// It is slower than that.
    TooSlow,
    Cut,
    Hole,
    Deaf,
    HalfClosed,
    /// SIGSTOP.
    Frozen,
    /// CLIENT KILL of all connections, again and again.
    Killed,
    /// The same of those alone that tell of changes.
    KilledTracking,
    /// CLIENT PAUSE ALL.
    Paused,
    /// CLIENT PAUSE WRITE.
    PausedWrites,
    /// An orderly end, and a start with all data.
    Restarted,
    /// SIGKILL, and a start with all data.
    Crashed,
    /// FLUSHALL, and all restored.
    Emptied,
    /// A restart without data, and all restored.
    RestartedEmpty,
    /// The password is another for a while; connections are ended.
    WrongPassword,
    /// The access rules lack GET for a while.
    NoRights,
    /// REPLICAOF somebody who is not there.
    ReadOnly,
    /// CONFIG SET maxmemory 1.
    Full,
    /// No connection more is taken, and those that are there end.
    Crowded,
    /// A replica takes the place of its primary while both live.
    FailedOver,
    /// SIGKILL until a replica has taken the place.
    Lost,
}

/// How long until a lost connection is made anew at the latest: the longest pause between attempts is 5 s
/// (`src/store/redis/link.rs`), and the attempt takes time.
const RECONNECTED: Duration = Duration::from_millis(6000);
/// The same after the server has refused us, where that pause is 30 s.
const READMITTED: Duration = Duration::from_millis(31_500);

impl Fault {
    pub(crate) const ALL: [Self; 22] = [
        Self::Slow,
        Self::TooSlow,
        Self::Cut,
        Self::Hole,
        Self::Deaf,
        Self::HalfClosed,
        Self::Frozen,
        Self::Killed,
        Self::KilledTracking,
        Self::Paused,
        Self::PausedWrites,
        Self::Restarted,
        Self::Crashed,
        Self::Emptied,
        Self::RestartedEmpty,
        Self::WrongPassword,
        Self::NoRights,
        Self::ReadOnly,
        Self::Full,
        Self::Crowded,
        Self::FailedOver,
        Self::Lost,
    ];

    /// Whether it is one of the way, which may befall one process alone.
    pub(crate) fn is_of_way(self) -> bool {
        matches!(
            self,
            Self::Slow | Self::TooSlow | Self::Cut | Self::Hole | Self::Deaf | Self::HalfClosed
        )
    }

    /// How long after its end a Check may still be a 503.
    pub(crate) fn recovers_within(self) -> Duration {
        match self {
            Self::WrongPassword => READMITTED,
            _ => RECONNECTED,
        }
    }

    /// How long after its end a process may still not be told of changes.
    pub(crate) fn hears_within(self) -> Duration {
        match self {
            Self::WrongPassword | Self::NoRights => READMITTED,
            _ => RECONNECTED,
        }
    }

    /// How long after its end nothing of it may be seen any more.
    pub(crate) fn over_within(self) -> Duration {
        self.recovers_within().max(self.hears_within())
    }
}

/// A fault to come. Times are since the begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    /// The only process that it befalls; `None`: all.
    pub(crate) process: Option<usize>,
    /// By what one is chosen of several that it may befall.
    pub(crate) choice: u64,
}

/// How faults follow each other.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Without any, at the begin and at the end.
    pub(crate) calm: (Duration, Duration),
    pub(crate) lasts: Range<Duration>,
    /// From the end of one to the begin of the next.
    pub(crate) gap: Range<Duration>,
    /// Every so often, instead.
    pub(crate) every: Option<Duration>,
    /// One in so many faults of a server has one of a way beside it; 0: none.
    pub(crate) beside: usize,
}

/// All that is to come.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) topology: Topology,
    pub(crate) length: Duration,
    /// By their begin.
    pub(crate) faults: Vec<Planned>,
}

impl Plan {
    /// Draws one: all faults of the topology come in turn, in a new order each time.
    pub(crate) fn draw(seed: u64, topology: Topology, length: Duration, pace: &Pace) -> Self {
        let mut draw = Draw::new(seed, 0);
        let mut turns = Vec::new();
        let mut faults = Vec::new();
        let mut begin = pace.calm.0;
        loop {
            let fault = *turns.last().unwrap_or(&Fault::Slow);
            if turns.is_empty() {
                turns.extend(topology.faults());
                draw.shuffle(&mut turns);
                continue;
            }
            turns.pop();
            let end = begin + draw.within(&pace.lasts);
            if end + pace.calm.1 > length {
                break;
            }
            let planned = Planned::draw(fault, begin, end, &mut draw);
            if !fault.is_of_way() && pace.beside > 0 && draw.below(pace.beside) == 0 {
                faults.push(planned.beside(&mut draw));
            }
            faults.push(planned);
            begin = match pace.every {
                Some(every) => begin + every,
                None => end + draw.within(&pace.gap),
            };
        }
        faults.sort_by_key(|it| it.begin);
        Self {
            seed,
            topology,
            length,
            faults,
        }
    }
}

impl Planned {
    fn draw(fault: Fault, begin: Duration, end: Duration, draw: &mut Draw) -> Self {
        // One in four is of all ways.
        let process = draw.below(PROCESSES + 1);
        let process = Some(process).filter(|it| fault.is_of_way() && *it < PROCESSES);
        Self {
            fault,
            begin,
            end,
            process,
            choice: draw.number(),
        }
    }

    /// Draws a fault of a way that begins while this one lasts.
    fn beside(&self, draw: &mut Draw) -> Self {
        let of_way = Fault::ALL.iter().filter(|it| it.is_of_way());
        let of_way: Vec<_> = of_way.collect();
        let fault = *of_way[draw.below(of_way.len())];
        let middle = self.begin + (self.end - self.begin) / 2;
        let end = middle + draw.within(&(Duration::ZERO..(self.end - self.begin)));
        Self::draw(fault, middle, end, draw)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[test]
fn a_seed_gives_one_plan_in_which_every_fault_comes() {
    let seconds = Duration::from_secs;
    let pace = Pace {
        calm: (seconds(2), seconds(10)),
        lasts: seconds(1)..seconds(4),
        gap: seconds(2)..seconds(12),
        every: None,
        beside: 4,
    };
    let draw = |seed| Plan::draw(seed, Topology::Single, seconds(600), &pace).faults;
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    for fault in Topology::Single.faults() {
        assert!(draw(7).iter().any(|it| it.fault == fault), "{fault}");
    }
    assert!(draw(7).iter().all(|it| it.begin >= seconds(2)));
    assert!(draw(7).iter().all(|it| it.begin < it.end));
    let every = Pace {
        every: Some(seconds(60)),
        beside: 0,
        ..pace
    };
    let hourly = Plan::draw(7, Topology::Single, seconds(3600), &every).faults;
    assert_eq!(hourly.len(), 60);
}
