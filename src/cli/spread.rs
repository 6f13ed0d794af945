//! How far a revocation has come, in words and for machines.
//!
//! It is done once it is written, and nothing here makes a failure of it: who is told late, refuses late, and how late is
//! known.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::say_error;
use crate::decision::Fault;
use crate::directory::Directory;
use crate::directory::spread::Heard;
use crate::store::Replicas;

/// How long processes may take to say that they have heard.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what a process remembers counts where it is not told of changes (`cache`).
const UNTOLD: Duration = Duration::from_secs(1);

/// What a process does with what was revoked.
pub const REFUSED: &str = "refused by";

/// The same where there is something new in its place.
pub const FORMER_REFUSED: &str = "the former one is refused by";

/// What it does where something new is as good as what was before.
pub const KNOWN: &str = "known to";

/// How far a revocation has come.
#[derive(Debug)]
pub enum Spread {
    /// The store is within the running process, which has revoked it.
    OneProcess,
    /// The store is everybody's.
    Shared(Measured),
}

/// How far it has come through a store that is everybody's.
#[derive(Debug)]
pub struct Measured {
    heard: Result<Heard, Fault>,
    replicas: Result<Replicas, Fault>,
    /// How long what a process remembers that has not heard may still count.
    late: Duration,
}

impl Measured {
    /// Measures it. What a process remembers counts for `grace` after the last word that it had, and for `stale` where the
    /// store fails.
    pub async fn measure(directory: &Directory, grace: Duration, stale: Duration) -> Self {
        let (heard, replicas) = tokio::join!(directory.await_heard(PATIENCE), directory.confirm());
        Self {
            heard,
            replicas,
            late: grace.max(UNTOLD).saturating_add(stale),
        }
    }
}

impl Spread {
    /// Adds to a line what became of it, and warns on standard error of what did not. `verb` is what a process does that
    /// has heard, such as `refused by`.
    #[must_use]
    pub fn finish(&self, line: &str, verb: &str) -> String {
        match self {
            Self::OneProcess => format!("{line}; {verb} the running server at once"),
            Self::Shared(it) => {
                it.warnings().iter().for_each(say_error);
                format!(
                    "{line}{}{}",
                    it.heard_in_words(verb),
                    it.replicas_in_words()
                )
            }
        }
    }

    /// Gives it for machines; what is not known is null.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self::Shared(it) = self else {
            return json!({
                "processes": 1, "heard": 1, "milliseconds": 0.0, "replicas": 0, "confirmed": 0,
            });
        };
        let heard = it.heard.as_ref().ok();
        let replicas = it.replicas.as_ref().ok();
        let mut shown = json!({
            "processes": heard.map(|it| it.processes),
            "heard": heard.map(|it| it.heard),
            "milliseconds": heard.filter(|it| it.heard > 0).map(|it| milliseconds(it.took)),
            "replicas": replicas.map(|it| it.connected),
            "confirmed": replicas.map(|it| it.confirmed),
        });
        if heard.is_none_or(|it| it.heard < it.processes) {
            shown["others_within_seconds"] = json!(it.late.as_secs());
        }
        shown
    }
}

impl Measured {
    fn heard_in_words(&self, verb: &str) -> String {
        match &self.heard {
            Err(_) => String::new(),
            Ok(Heard { processes: 0, .. }) => "; no process is told at once".to_owned(),
            Ok(Heard {
                processes,
                heard,
                took,
            }) => {
                let noun = if *processes == 1 {
                    "process"
                } else {
                    "processes"
                };
                let after = match heard {
                    0 => String::new(),
                    _ => format!(" after {} ms", milliseconds(*took)),
                };
                format!("; {verb} {heard} of {processes} {noun}{after}")
            }
        }
    }

    fn replicas_in_words(&self) -> String {
        match &self.replicas {
            Ok(it) if it.confirmed > 0 => {
                let noun = if it.connected == 1 {
                    "replica"
                } else {
                    "replicas"
                };
                format!("; confirmed by {} of {} {noun}", it.confirmed, it.connected)
            }
            _ => String::new(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let late = self.late.as_secs();
        let mut warnings = Vec::new();
        match &self.heard {
            Ok(it) if it.processes == 0 => warnings.push(
                format!("one that runs all the same notices within a second, or cut off from the store within {late} s"),
            ),
            Ok(it) if it.heard < it.processes => warnings.push(format!(
                "{} of {} did not answer within {} s: ended, hanging, or cut off from the store; what it remembers \
                 counts until {late} s after the revocation at the latest",
                it.processes - it.heard,
                it.processes,
                PATIENCE.as_secs(),
            )),
            Ok(_) => {}
            Err(fault) => warnings.push(format!(
                "how many processes have heard is not known ({fault}); each notices within {late} s at the latest"
            )),
        }
        match &self.replicas {
            Ok(it) if it.connected > 0 && it.confirmed == 0 => warnings.push(
                "no replica of the store has confirmed it: it is lost if the primary fails now; run this again to \
                 see it confirmed"
                    .to_owned(),
            ),
            Ok(_) => {}
            Err(fault) => {
                warnings.push(format!("whether a replica of the store has it is not known ({fault})"));
            }
        }
        warnings
    }
}

/// In milliseconds, with one decimal below ten.
fn milliseconds(it: Duration) -> f64 {
    let milliseconds = it.as_secs_f64() * 1000.0;
    match milliseconds < 10.0 {
        true => (milliseconds * 10.0).round() / 10.0,
        false => milliseconds.round(),
    }
}
