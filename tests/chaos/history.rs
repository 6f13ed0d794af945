//! What happened. Times are since the begin of the run.

use std::time::Duration;

use super::plan::Fault;

/// What a credential is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Valid, and never touched.
    Steady,
    /// Switched off and on again.
    Switched,
    /// Nobody's.
    Never,
}

/// What was answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Class {
    Allowed,
    /// With this HTTP status, which is the caller's fault.
    Denied(u16),
    /// 503: a fault of ours.
    Fault,
    /// The RPC failed.
    Failed,
    /// Nothing.
    Silent,
}

/// One Check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) process: usize,
    pub(crate) credential: usize,
    /// When it was to be sent, when it was, and when the answer was there.
    pub(crate) due: Duration,
    pub(crate) sent: Duration,
    pub(crate) came: Duration,
    pub(crate) class: Class,
}

/// One switch of a credential, all attempts together: it may have been made at any time between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) credential: usize,
    pub(crate) valid: bool,
    pub(crate) begin: Duration,
    /// When it was acknowledged, if it was.
    pub(crate) end: Option<Duration>,
}

/// A fault as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    /// The only process that it befell; `None`: all.
    pub(crate) process: Option<usize>,
}

/// How much a process had of what is not endless.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) process: usize,
    /// In KiB.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// A time in which the machine did not let somebody run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// One of the processes; `None`: what all of them need, such as the store or whoever asks.
    pub(crate) process: Option<usize>,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) processes: usize,
    /// By the number of the credential.
    pub(crate) credentials: Vec<Kind>,
    /// By when they were sent.
    pub(crate) answers: Vec<Answer>,
    /// By their begin. Those of one credential do not overlap.
    pub(crate) writes: Vec<Write>,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) stalls: Vec<Stall>,
    pub(crate) length: Duration,
}

impl Trouble {
    pub(crate) fn befalls(&self, process: usize) -> bool {
        self.process.is_none_or(|it| it == process)
    }
}

impl History {
    pub(crate) fn kind(&self, credential: usize) -> Kind {
        self.credentials[credential]
    }
}
