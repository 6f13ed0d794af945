//! Calls of Check by their status, under the name that OpenTelemetry gives to the like of all servers.
//!
//! Nearly every call ends by an allow or a denial, and those are counted already, so they are not counted
//! twice: what is shown is put together when it is read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use tonic::Code;

use crate::decision::CacheUse;
use crate::telemetry::Outcome;
use crate::telemetry::durations::{Durations, Reading};
use crate::telemetry::labels::{CallLabels, DurationLabels};

/// `rpc.server.call.duration`, as Prometheus spells it.
const NAME: &str = "rpc_server_call_duration_seconds";

/// What is called: Check, in full.
pub const METHOD: &str = "envoy.service.auth.v3.Authorization/Check";

/// The statuses by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Gives the name of a status of gRPC, as its documents write it.
#[must_use]
pub fn status_name(status: Code) -> &'static str {
    STATUSES[status as usize]
}

/// Calls of Check. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    checks: Family<DurationLabels, Durations>,
    /// What is no check that was allowed or denied, by status.
    others: Arc<[Durations; STATUSES.len()]>,
}

impl Calls {
    /// Reads those that were allowed or denied from what is counted of checks.
    pub(super) fn beside(checks: &Family<DurationLabels, Durations>) -> Self {
        Self {
            checks: checks.clone(),
            others: Arc::default(),
        }
    }

    pub(super) fn count(&self, status: Code, took: Duration) {
        self.others[status as usize].note(took);
    }

    /// Allows and denials, which end well for gRPC.
    fn decided(&self) -> Reading {
        let mut all = Reading::default();
        for outcome in [Outcome::Allow, Outcome::Deny] {
            for cache in CacheUse::ALL {
                let (outcome, cache) = (outcome.name(), cache.name());
                let labels = DurationLabels { outcome, cache };
                if let Some(durations) = self.checks.get(&labels) {
                    all = all.and(durations.read());
                }
            }
        }
        all
    }
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How long calls of Check took, by how they ended for gRPC.";
        let mut encoder = encoder.encode_descriptor(NAME, help, None, MetricType::Histogram)?;
        for (status, others) in self.others.iter().enumerate() {
            let mut reading = others.read();
            if status == Code::Ok as usize {
                reading = reading.and(self.decided());
            }
            // What never happened has no series.
            if reading.count() == 0 {
                continue;
            }
            let labels = CallLabels {
                rpc_system_name: "grpc",
                rpc_method: METHOD,
                rpc_response_status_code: STATUSES[status],
            };
            reading.encode(&mut encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Metrics, Tally};

    #[test]
    fn a_call_is_counted_once_by_how_it_ended_for_grpc() {
        let metrics = Arc::new(Metrics::default());
        let took = Duration::from_millis(1);
        let tally = Tally::of(&metrics, "mine", "key");
        tally.count(Outcome::Allow, CacheUse::Hit, took);
        tally.count(Outcome::Deny, CacheUse::None, took);
        // As the edge does it: a fault by what became of it.
        tally.count(Outcome::Fault, CacheUse::Miss, took);
        metrics.count_call(Code::Ok, took);
        tally.count(Outcome::Fault, CacheUse::Miss, took);
        metrics.count_call(Code::Unavailable, took);
        let text = metrics.render();
        let count = |status: &str| {
            format!(
                "rpc_server_call_duration_seconds_count{{rpc_system_name=\"grpc\",\
                 rpc_method=\"envoy.service.auth.v3.Authorization/Check\",rpc_response_status_code=\"{status}\"}}"
            )
        };
        for line in [count("OK") + " 3", count("UNAVAILABLE") + " 1"] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
        }
        assert!(!text.contains(&count("INTERNAL")), "{text}");
    }

    #[test]
    fn statuses_have_the_names_of_their_numbers() {
        for (number, name) in (0..).zip(STATUSES) {
            let debug = format!("{:?}", Code::from_i32(number)).to_uppercase();
            assert_eq!(debug, name.replace('_', ""), "{number}");
        }
    }
}
