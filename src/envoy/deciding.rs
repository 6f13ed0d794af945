//! How Checks are decided, and how long that may take.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tonic::Code;

use crate::decision::{Dependency, Failure, Fault};
use crate::envoy::OnFault;
use crate::envoy::answer::Answers;
use crate::envoy::tallies::Tallies;
use crate::gate::{Decision, Gate};
use crate::request::RequestView;
use crate::telemetry::Metrics;
use crate::telemetry::audit::Marks;
use crate::trace::Untraced;

/// How Checks are decided: what a reload replaces.
#[derive(Debug)]
pub struct Deciding {
    pub(super) gate: Gate,
    pub(super) answers: Answers,
    pub(super) tallies: Tallies,
    /// Of all platforms: the path of one API may have been sent to another.
    pub(super) marks: Marks,
    pub(super) deadline: Duration,
    on_fault: OnFault,
}

impl Deciding {
    /// Has this gate decide, within the deadline; `on_fault` is what a fault becomes.
    #[must_use]
    pub fn new(
        gate: Gate,
        (deadline, on_fault): (Duration, OnFault),
        metrics: &Arc<Metrics>,
    ) -> Self {
        let platforms = gate.platforms().iter();
        Self {
            marks: Marks::of(platforms.flat_map(|it| it.policy.token_marks())),
            tallies: Tallies::of(metrics, gate.platforms()),
            answers: Answers::of(gate.platforms().iter()),
            gate,
            deadline,
            on_fault,
        }
    }

    /// Gives how the call ends for gRPC.
    pub(super) fn status(&self, decision: &Decision) -> Code {
        match (&decision.verdict, self.on_fault) {
            (Err(Failure::Fault(_)), OnFault::GrpcError) => Code::Unavailable,
            (Err(Failure::Fault(_)), OnFault::Deny) | (Err(Failure::Denied(_)) | Ok(_), _) => {
                Code::Ok
            }
        }
    }

    /// Decides a request, or says that it could not in time.
    pub(super) async fn decide(&self, request: &RequestView<'_>, deadline: Duration) -> Decision {
        let mut decision = pin!(self.gate.decide(request, &Untraced));
        // What is known is decided at once, and needs no timer.
        let at_once = poll_fn(|it| Poll::Ready(decision.as_mut().poll(it)));
        if let Poll::Ready(decision) = at_once.await {
            return decision;
        }
        // Boxed, so that what is known does not carry the timer.
        match Box::pin(tokio::time::timeout(deadline, decision)).await {
            Ok(decision) => decision,
            Err(_) => {
                let late = Fault::new(Dependency::Deadline, "no decision within the time allowed");
                Decision::late(self.gate.platforms().route(request).ok().cloned(), late)
            }
        }
    }
}
