//! The Check RPC (`envoy.service.auth.v3.Authorization`): bytes in, bytes out.
//!
//! With [`view`] and [`answer`] these are the only rooms that know Envoy's protobuf. The codec
//! hands over the raw message, so a message that cannot be decoded is ours to answer: a gRPC error
//! would be an allow under `failure_mode_allow`. This is also where a failure becomes an answer,
//! and the one place where a fault is logged.

pub mod answer;
mod aside;
mod audited;
pub mod codec;
mod deciding;
pub mod question;
pub mod reply;
mod tallies;
mod timeout;
mod told;
mod traced;
pub mod view;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

use crate::clock::Clock;
use crate::current::Current;
use crate::decision::{Dependency, Failure, Fault};
use crate::envoy::answer::DecisionId;
use crate::envoy::aside::Aside;
use crate::envoy::timeout::parse_timeout;
use crate::envoy::told::Told;
use crate::gate::{Decision, Gate};
use crate::otlp::Spans;
use crate::platform::refusal::Circumstances;
use crate::request::RequestView;
use crate::telemetry::audit::Audit;
use crate::telemetry::{Metrics, Outcome, Parent};

pub use deciding::Deciding;

/// The generated messages and service; `proto/` documents them.
#[expect(missing_docs, reason = "generated")]
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths
)]
pub mod protos {
    mod packages {
        include!(concat!(env!("OUT_DIR"), "/protos.rs"));
    }
    include!(concat!(
        env!("OUT_DIR"),
        "/envoy.service.auth.v3.Authorization.rs"
    ));
    pub use packages::envoy::config::core::v3 as core;
    pub use packages::envoy::service::auth::v3 as auth;
    pub use packages::envoy::r#type::v3 as r#type;
    pub use packages::google::rpc;
}

/// The descriptors of the service, as reflection serves them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// How much earlier than Envoy's own timeout we answer, so that our answer still counts.
const HEADROOM: Duration = Duration::from_millis(20);

/// Room for an answer of usual length, so that one allocation does.
const USUAL_BYTES: usize = 1024;

/// The largest message that is read, in bytes: Envoy's largest headers are 8 MiB by setting and 60 KiB
/// by default, and no body is asked for.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// What a fault becomes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// A denial with 503, which stays closed whatever Envoy's `failure_mode_allow` says.
    #[default]
    Deny,
    /// The gRPC status `UNAVAILABLE`, so that Envoy's failure mode decides.
    GrpcError,
}

/// The gRPC service that a [`Door`] answers for, as health checks name it.
pub const SERVICE: &str = protos::authorization_server::SERVICE_NAME;

/// How many bytes stand before a message (gRPC over HTTP/2, Length-Prefixed-Message): whether it is
/// compressed, and its length.
pub const PREFIX: usize = 5;

/// Answers Checks.
#[derive(Clone, Debug)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deciding: Current<Deciding>,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Random in each process, so that decision ids are unique without drawing one per request.
    instance: u64,
    /// The same in words.
    name: String,
    decisions: AtomicU64,
    told: Told,
    audit: Option<Audit>,
    spans: Option<Spans>,
    aside: Aside,
}

impl Door {
    /// Opens the door to a gate. `instance` names this process, in answers and ids; `audit` and `spans` take
    /// note of what is decided, where somebody wants that. What must be waited for is waited for on the
    /// runtime that this is called on.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn new(
        gate: Gate,
        metrics: Arc<Metrics>,
        clock: Clock,
        settings: (Duration, OnFault),
        instance: u64,
        (audit, spans): (Option<Audit>, Option<Spans>),
    ) -> Self {
        let decisions = AtomicU64::new(0);
        Self(Arc::new(Inner {
            deciding: Current::from(Deciding::new(gate, settings, &metrics)),
            metrics,
            clock,
            instance,
            name: format!("{instance:016x}"),
            decisions,
            told: Told::default(),
            audit,
            spans,
            aside: Aside::here(),
        }))
    }

    /// Gives what is in force here, for whoever replaces it. A Check that has begun is decided by what
    /// was in force then.
    #[must_use]
    pub fn deciding(&self) -> Current<Deciding> {
        self.0.deciding.clone()
    }

    /// Answers a `CheckRequest` by a `CheckResponse`. `timeout` is what Envoy says of how long it waits
    /// (`grpc-timeout`).
    ///
    /// # Errors
    /// `UNAVAILABLE` for a fault, where that is what one is to become.
    pub async fn check(&self, message: Bytes, timeout: Option<&str>) -> Result<Bytes, Status> {
        let framed = self.check_framed(message, timeout, None).await?;
        Ok(framed.slice(PREFIX..))
    }

    /// Gives the span that a Check is part of, by the metadata of the call; `None` also where nobody wants spans.
    #[must_use]
    pub fn parent(&self, metadata: &HeaderMap) -> Option<Parent> {
        self.0.spans.as_ref()?;
        let mut all = metadata.get_all(traced::TRACEPARENT).iter();
        let (only, None) = (all.next()?, all.next()) else {
            return None;
        };
        Parent::read(only.as_bytes())
    }

    /// Counts a call that ended before there was a Check to decide.
    pub fn count_call(&self, status: Code, took: Duration) {
        self.0.metrics.count_call(status, took);
    }

    /// As [`Door::check`], with what stands before the answer on the wire, as part of a span.
    ///
    /// # Errors
    /// As there.
    pub async fn check_framed(
        &self,
        message: Bytes,
        timeout: Option<&str>,
        parent: Option<Parent>,
    ) -> Result<Bytes, Status> {
        let allowed = timeout.and_then(parse_timeout);
        let allowed = allowed.map(|it| it.saturating_sub(HEADROOM));
        let deciding = self.0.deciding.get();
        let deadline = allowed.map_or(deciding.deadline, |it| it.min(deciding.deadline));
        let answer = self.answer(&deciding, message, deadline, parent);
        let answer = self.0.aside.run(answer).await;
        answer.unwrap_or_else(|_| self.broken(parent))
    }

    /// Decides the message, and writes the answer.
    async fn answer(
        &self,
        deciding: &Deciding,
        message: Bytes,
        deadline: Duration,
        parent: Option<Parent>,
    ) -> Result<Bytes, Status> {
        let begun = Instant::now();
        let (decision, request) = match view::view(&message) {
            Ok(request) => (deciding.decide(&request, deadline).await, request),
            Err(denial) => (Decision::early(None, denial), Default::default()),
        };
        let took = begun.elapsed();
        self.conclude(deciding, &decision, &request, (took, parent))
    }

    /// Takes note of what was decided, and writes it.
    fn conclude(
        &self,
        deciding: &Deciding,
        decision: &Decision,
        request: &RequestView<'_>,
        (took, parent): (Duration, Option<Parent>),
    ) -> Result<Bytes, Status> {
        self.observe(deciding, decision, took);
        let number = self.0.decisions.fetch_add(1, Ordering::Relaxed);
        let id = DecisionId::of(self.0.instance, number);
        self.note(deciding, decision, request, (&id, number), took);
        if let Some(spans) = &self.0.spans
            && let Some(parent) = traced::wanted(spans, parent, request, number)
        {
            let status = deciding.status(decision);
            traced::note(spans, parent.as_ref(), decision, &id, (status, took));
        }
        let circumstances = || Circumstances {
            decision_id: id.as_str().to_owned(),
            instance: self.0.name.clone(),
            now: self.0.clock.now(),
            number,
        };
        if let Err(Failure::Fault(fault)) = &decision.verdict {
            self.tell(fault, decision, id.as_str());
            if deciding.status(decision) != Code::Ok {
                return Err(Status::unavailable(
                    "the authorization service cannot decide now",
                ));
            }
        }
        let mut framed = Vec::with_capacity(USUAL_BYTES);
        framed.extend_from_slice(&[0; PREFIX]);
        let answers = &deciding.answers;
        answers.write(&mut framed, decision, request, &id, circumstances);
        let length = u32::try_from(framed.len() - PREFIX).unwrap_or_default();
        framed[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        Ok(framed.into())
    }

    /// Answers a Check whose decision broke off.
    fn broken(&self, parent: Option<Parent>) -> Result<Bytes, Status> {
        let broken = Fault::new(Dependency::Internal, "a task died");
        let decision = Decision::late(None, broken);
        self.conclude(
            &self.0.deciding.get(),
            &decision,
            &Default::default(),
            (Duration::ZERO, parent),
        )
    }

    /// Logs a fault: the first of each second and dependency, with how many were left out since.
    fn tell(&self, fault: &Fault, decision: &Decision, decision_id: &str) {
        let dependency = fault.dependency();
        let Some(left_out) = self.0.told.another(dependency, self.0.clock.unix_seconds()) else {
            return;
        };
        let platform = decision.platform.as_ref().map_or("", |it| &it.name);
        tracing::error!(
            platform,
            dependency = dependency.name(),
            decision_id,
            left_out,
            "a check could not be decided: {fault}"
        );
    }

    fn observe(&self, deciding: &Deciding, decision: &Decision, took: Duration) {
        let outcome = match &decision.verdict {
            Ok(_) => Outcome::Allow,
            Err(Failure::Denied(denial)) => {
                let platform = decision.platform.as_ref().map_or("", |it| &it.name);
                self.0.metrics.count_denial(platform, denial);
                Outcome::Deny
            }
            Err(Failure::Fault(fault)) => {
                self.0.metrics.count_fault(fault);
                self.count_call(deciding.status(decision), took);
                Outcome::Fault
            }
        };
        let tally = deciding.tallies.of_decision(decision);
        tally.count(outcome, decision.cache, took);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost::Message as _;

    use super::*;
    use crate::config::Config;
    use crate::envoy::protos::auth::CheckResponse;
    use crate::envoy::protos::auth::check_response::HttpResponse;
    use crate::serve::opening::{open, read_directory};

    const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:0"] }
client_address: { from: peer }
platforms:
  - name: mine
    hosts: ["*"]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ paths: ["/**"], allow: public }]
"#;

    #[tokio::test]
    async fn a_decision_that_broke_off_is_a_503_and_no_allow() {
        let config = Config::parse("c.yaml", CONFIG, Path::new("."), |_| None);
        let config = config.expect("a configuration");
        let file = read_directory(&config).expect("no directory");
        let opened = open(config, file, Clock::system(), &Arc::default(), None).await;
        let opened = opened.expect("a store in memory");
        let settings = (Duration::from_secs(1), OnFault::Deny);
        let (metrics, clock) = (Arc::default(), Clock::system());
        let door = Door::new(opened.gate, metrics, clock, settings, 0, (None, None));
        let framed = door.broken(None).expect("an answer");
        let answer = CheckResponse::decode(&framed[PREFIX..]).expect("a message");
        let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else {
            panic!("{answer:?}");
        };
        assert_ne!(answer.status.map(|it| it.code), Some(0));
        assert_eq!(denied.status.map(|it| it.code), Some(503));
    }
}
