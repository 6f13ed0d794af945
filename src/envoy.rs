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
mod framed;
pub mod question;
pub mod reply;
mod tallies;
mod timeout;
mod told;
mod traced;
pub mod view;
pub mod wire;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::codegen::http::{HeaderMap, HeaderName};
use tonic::{Code, Status};

use crate::clock::Clock;
use crate::current::Current;
use crate::decision::{Dependency, Failure, Fault};
use crate::envoy::answer::DecisionId;
use crate::envoy::aside::Aside;
use crate::envoy::framed::framed;
use crate::envoy::timeout::parse_timeout;
use crate::envoy::told::Told;
use crate::gate::{Decision, Gate};
use crate::otlp::Spans;
use crate::platform::refusal::Circumstances;
use crate::request::RequestView;
use crate::telemetry::audit::Audit;
use crate::telemetry::{Metrics, Outcome, Parent};

pub use deciding::Deciding;
pub use framed::PREFIX;

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

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What a call's metadata say of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// How long Envoy waits (`grpc-timeout`).
    timeout: Option<Duration>,
    /// The span that it is part of.
    parent: Option<Parent>,
}

/// Answers Checks.
#[derive(Clone, Debug)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deciding: Current<Deciding>,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// The first id: random in each process, so that ids are unique without drawing one per request.
    first: DecisionId,
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
            first: DecisionId::of(instance, 0),
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
        let call = Call {
            timeout: timeout.and_then(parse_timeout),
            parent: None,
        };
        let framed = self.check_framed(&message, call).await?;
        Ok(framed.slice(PREFIX..))
    }

    /// Reads what its metadata say of a call.
    #[must_use]
    pub fn call(&self, metadata: &HeaderMap) -> Call {
        let timeout = metadata.get(&GRPC_TIMEOUT).and_then(|it| it.to_str().ok());
        Call {
            timeout: timeout.and_then(parse_timeout),
            parent: self.parent(metadata),
        }
    }

    /// Gives the span that a Check is part of; `None` also where nobody wants spans.
    fn parent(&self, metadata: &HeaderMap) -> Option<Parent> {
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

    /// As [`Door::check`], with what stands before the answer on the wire.
    ///
    /// # Errors
    /// As there.
    pub async fn check_framed(&self, message: &[u8], call: Call) -> Result<Bytes, Status> {
        let Call { timeout, parent } = call;
        let allowed = timeout.map(|it| it.saturating_sub(HEADROOM));
        let deciding = self.0.deciding.get();
        let deadline = allowed.map_or(deciding.deadline, |it| it.min(deciding.deadline));
        // As a block, which borrows all that it needs: a function's arguments would stand in it twice.
        let answer = pin!(async {
            let begun = Instant::now();
            let request = view::view(message);
            let decision = match &request {
                Ok(request) => deciding.decide(request, deadline).await,
                Err(denial) => Decision::early(None, denial.clone()),
            };
            let took = begun.elapsed();
            let request = request.unwrap_or_default();
            self.conclude(&deciding, &decision, &request, (took, parent))
        });
        let answer = self.0.aside.run(answer).await;
        answer.unwrap_or_else(|_| self.broken(parent))
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
        let id = self.0.first.with_number(number);
        self.note(deciding, decision, request, (&id, number), took);
        if let Some(spans) = &self.0.spans
            && let Some(parent) = traced::wanted(spans, parent, request, number)
        {
            let status = deciding.status(decision);
            traced::note(spans, parent.as_ref(), decision, &id, (status, took));
        }
        let circumstances = || Circumstances {
            decision_id: id.as_str().to_owned(),
            instance: self.0.first.process().to_owned(),
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
        let answers = &deciding.answers;
        Ok(framed(|to| {
            answers.write(to, decision, request, &id, circumstances);
        }))
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
        let (tally, denials) = deciding.tallies.of_decision(decision);
        let outcome = match &decision.verdict {
            Ok(_) => Outcome::Allow,
            Err(Failure::Denied(denial)) => {
                denials.count(denial.reason());
                Outcome::Deny
            }
            Err(Failure::Fault(fault)) => {
                self.0.metrics.count_fault(fault);
                self.count_call(deciding.status(decision), took);
                Outcome::Fault
            }
        };
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

    async fn door() -> Door {
        let config = Config::parse("c.yaml", CONFIG, Path::new("."), |_| None);
        let config = config.expect("a configuration");
        let file = read_directory(&config).expect("no directory");
        let opened = open(config, file, Clock::system(), &Arc::default(), None).await;
        let opened = opened.expect("a store in memory");
        let settings = (Duration::from_secs(1), OnFault::Deny);
        let (metrics, clock) = (Arc::default(), Clock::system());
        Door::new(opened.gate, metrics, clock, settings, 0, (None, None))
    }

    #[tokio::test]
    async fn a_check_takes_little_room_where_it_need_not_wait() {
        // It was 3 KiB once, which took a tenth of a hit to move and to free.
        let door = door().await;
        let check = door.check_framed(b"", Call::default());
        assert!(size_of_val(&check) <= 1000, "{}", size_of_val(&check));
    }

    #[tokio::test]
    async fn a_decision_that_broke_off_is_a_503_and_no_allow() {
        let door = door().await;
        let framed = door.broken(None).expect("an answer");
        let answer = CheckResponse::decode(&framed[PREFIX..]).expect("a message");
        let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else {
            panic!("{answer:?}");
        };
        assert_ne!(answer.status.map(|it| it.code), Some(0));
        assert_eq!(denied.status.map(|it| it.code), Some(503));
    }
}
