//! Telling a collector what operators want to know, by OTLP over gRPC: metrics from time to time, and a
//! span of each Check that is sampled.
//!
//! Metrics are what `/metrics` shows, read from the same counters. Whoever decides hands a span over if
//! there is room for it and never waits; a collector is talked to by tasks of their own, on none of the
//! threads that connections live on. One that is down, slow or refuses costs spans, which are counted,
//! and nothing else. What is told names nobody and holds nothing that a client chose.

mod collector;
mod metrics;
mod spans;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::credential::Secret;
use crate::current::Current;
use crate::otlp::collector::{Collector, METRICS, TRACES};
use crate::otlp::metrics::Reporter;
use crate::otlp::spans::Sender;
use crate::telemetry::Metrics;
use crate::telemetry::audit::Share;

pub use collector::{check_endpoint, read_headers};
pub use spans::{About, Spans};
pub use tls::check_authorities;

/// How long the collector may take for what it was not told before the end.
const LAST: Duration = Duration::from_secs(2);

/// What this service is called.
const NAME: &str = "portcullis";

/// The messages that a collector is told; `proto/opentelemetry/` documents them.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths
)]
mod protos {
    mod packages {
        include!(concat!(env!("OUT_DIR"), "/otlp.rs"));
    }
    pub(super) use packages::opentelemetry::proto::collector;
    pub(super) use packages::opentelemetry::proto::common::v1 as common;
    pub(super) use packages::opentelemetry::proto::metrics::v1 as metrics;
    pub(super) use packages::opentelemetry::proto::resource::v1 as resource;
    pub(super) use packages::opentelemetry::proto::trace::v1 as trace;
}

/// What a collector is told, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where it is, `http://HOST:PORT` or `https://HOST:PORT`; see [`check_endpoint`].
    pub endpoint: String,
    /// How it is known, and we by it.
    pub trust: Trust,
    /// How often it is told of metrics.
    pub every: Duration,
    /// Of which Checks it is told a span.
    pub traces: Traces,
}

/// How a collector is known, and we by it: what files say, which may change meanwhile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Certificates (PEM) that vouch for it besides those of the system; see [`check_authorities`].
    pub ca: Option<Secret>,
    /// What is sent with all that it is told; see [`read_headers`].
    pub headers: Vec<(String, Secret)>,
}

/// Of which Checks a span is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traces {
    /// Of how many of those that belong to no trace yet. Of all others, whoever began the trace has decided.
    pub sampled: Share,
    /// Whether the trace is that of the request, where that of the call is not told. Clients write it.
    pub of_requests: bool,
}

/// Gives the metrics as they are now.
pub type Gather = Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;

/// Wants to hear once all that there is was told, or could not be.
type Flush = oneshot::Sender<()>;

/// What tells a collector, while it is kept.
#[derive(Debug)]
pub struct Otlp {
    spans: Spans,
    trust: Current<Trust>,
    /// To whoever tells spans, and then to whoever tells metrics.
    flushes: [mpsc::Sender<Flush>; 2],
}

impl Otlp {
    /// Begins to tell, on the runtime that this is called on. `instance` names this process.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn start(
        settings: &Settings,
        instance: u64,
        gather: Gather,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let trust = Current::from(settings.trust.clone());
        let endpoint = &settings.endpoint;
        let to = |signal| Collector::new(endpoint, trust.clone(), signal, Arc::clone(metrics));
        let source = Source::of(instance);
        let (spans, queue) = Spans::queue(settings.traces, clock.clone(), Arc::clone(metrics));
        let sender = Sender::new(queue, to(TRACES), source.clone(), Arc::clone(metrics));
        let reporter = Reporter::new(gather, to(METRICS), source, clock.clone());
        let (flush_spans, spans_flushed) = mpsc::channel(1);
        let (flush_metrics, metrics_flushed) = mpsc::channel(1);
        tokio::spawn(sender.run(spans_flushed));
        tokio::spawn(reporter.run(settings.every, metrics_flushed));
        Self {
            spans,
            trust,
            flushes: [flush_spans, flush_metrics],
        }
    }

    /// Gives what takes spans.
    #[must_use]
    pub fn spans(&self) -> Spans {
        self.spans.clone()
    }

    /// Gives how the collector is known, for whoever replaces it.
    #[must_use]
    pub fn trust(&self) -> Current<Trust> {
        self.trust.clone()
    }

    /// Tells what was not told yet, as far as the collector takes it in time.
    pub async fn end(&self) {
        if timeout(LAST, self.flush()).await.is_err() {
            tracing::warn!("the collector did not take the last spans and metrics in time");
        }
    }

    async fn flush(&self) {
        for flush in &self.flushes {
            let (done, flushed) = oneshot::channel();
            if flush.send(done).await.is_ok() {
                let _ = flushed.await;
            }
        }
    }
}

/// A key and what stands behind it; `key` is one of ours, and never a client's.
fn attribute(key: &'static str, value: impl Into<String>) -> protos::common::KeyValue {
    named(key.to_owned(), value)
}

fn named(key: String, value: impl Into<String>) -> protos::common::KeyValue {
    use protos::common::any_value::Value;
    protos::common::KeyValue {
        key,
        value: Some(protos::common::AnyValue {
            value: Some(Value::StringValue(value.into())),
        }),
    }
}

/// Who tells: in which process, and by which version.
#[derive(Clone, Debug)]
struct Source {
    resource: protos::resource::Resource,
    scope: protos::common::InstrumentationScope,
}

impl Source {
    fn of(instance: u64) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            attribute("service.name", NAME),
            attribute("service.version", version),
            attribute("service.instance.id", format!("{instance:016x}")),
        ];
        let scope = protos::common::InstrumentationScope {
            name: NAME.to_owned(),
            version: version.to_owned(),
        };
        Self {
            resource: protos::resource::Resource { attributes },
            scope,
        }
    }
}
