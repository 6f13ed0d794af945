//! Spans: what they tell of a Check, which Checks have one, and who hands them to the collector.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::Code;

use crate::clock::Clock;
use crate::otlp::collector::{Collector, Refused};
use crate::otlp::protos::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use crate::otlp::protos::trace::span::SpanKind;
use crate::otlp::protos::trace::status::StatusCode;
use crate::otlp::protos::trace::{ResourceSpans, ScopeSpans, Span, Status};
use crate::otlp::{Flush, Source, Traces, attribute};
use crate::outbound::rate::Rate;
use crate::telemetry::{METHOD, Metrics, Parent, status_name};

/// How many spans may wait to be told. At some 700 bytes a span, 3 MB.
const QUEUE_SPANS: usize = 4096;

/// How many are told at once.
const BATCH: usize = 512;

/// How many spans a second, and at once, there are because a request asked for them, which a client writes.
const ASKED_A_SECOND: u32 = 100;

/// How often it is looked whether some wait. Nobody who hands one over wakes anybody.
const TICK: Duration = Duration::from_millis(200);

/// How long a collector that takes nothing is left alone; doubled each time until [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// What the flags of a span say (OTLP, `Span.flags`): that it is sampled, and whether its parent is another's.
const SAMPLED: u32 = 0x001;
const OWN: u32 = 0x100;
const REMOTE: u32 = 0x300;

/// What a span tells of a Check: all of it. What is empty is left out.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// How the call ended for gRPC.
    pub status: Code,
    /// The platform, by its name in the configuration.
    pub platform: &'a str,
    /// The scheme whose credential counted, by its name in the platform.
    pub scheme: &'a str,
    /// `allow`, `deny` or `fault`.
    pub outcome: &'static str,
    /// Why it was denied.
    pub reason: &'static str,
    /// What of ours failed.
    pub fault: &'static str,
    /// How the outcome was come by.
    pub cache: &'static str,
    /// Names the decision, as dynamic metadata, the audit and the log do.
    pub decision_id: &'a str,
}

/// Takes spans. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Spans(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Span>,
    traces: Traces,
    asked: Rate,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Spans {
    pub(super) fn queue(
        traces: Traces,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> (Self, mpsc::Receiver<Span>) {
        let (queue, waiting) = mpsc::channel(QUEUE_SPANS);
        let inner = Inner {
            queue,
            traces,
            asked: Rate::new(ASKED_A_SECOND, ASKED_A_SECOND),
            clock,
            metrics,
        };
        (Self(Arc::new(inner)), waiting)
    }

    /// Tells whether a trace that the request names counts, where the call names none.
    #[inline]
    #[must_use]
    pub fn reads_requests(&self) -> bool {
        self.0.traces.of_requests
    }

    /// Tells whether the Check of this number has a span, where the request itself names the trace: as many as it
    /// likes up to a rate, and beyond that the same part as of those that belong to none.
    #[must_use]
    pub fn wants_as_asked(&self, parent: &Parent, number: u64) -> bool {
        parent.sampled && (self.0.asked.take() || self.0.traces.sampled.takes(number))
    }

    /// Tells whether the Check of this number has a span, where the call names the trace or none is named.
    #[inline]
    #[must_use]
    pub fn wants(&self, parent: Option<&Parent>, number: u64) -> bool {
        match parent {
            Some(parent) => parent.sampled,
            None => self.0.traces.sampled.takes(number),
        }
    }

    /// Hands over the span of a Check that has ended now; where too many wait, it is lost and counted. Never
    /// waits.
    pub fn note(&self, parent: Option<&Parent>, about: &About<'_>, took: Duration) {
        let span = self.0.queue.try_reserve().ok().and_then(|place| {
            place.send(span(parent, about, (self.0.clock.now(), took))?);
            Some(())
        });
        if span.is_none() {
            self.0.metrics.count_spans_dropped(1);
        }
    }
}

/// Puts a span together; `None` where the system gives no randomness to name it by.
fn span(
    parent: Option<&Parent>,
    about: &About<'_>,
    (ended, took): (SystemTime, Duration),
) -> Option<Span> {
    let mut trace = [0; 16];
    let mut own = [0; 8];
    getrandom::fill(&mut own).ok()?;
    match parent {
        Some(parent) => trace = parent.trace,
        None => getrandom::fill(&mut trace).ok()?,
    }
    let words = [
        ("rpc.system.name", "grpc"),
        ("rpc.method", METHOD),
        ("rpc.response.status_code", status_name(about.status)),
        ("portcullis.platform", about.platform),
        ("portcullis.scheme", about.scheme),
        ("portcullis.outcome", about.outcome),
        ("portcullis.reason", about.reason),
        ("portcullis.fault", about.fault),
        ("portcullis.cache", about.cache),
        ("portcullis.decision_id", about.decision_id),
    ];
    let told = words.into_iter().filter(|(_, it)| !it.is_empty());
    // A denial is a good end of a Check.
    let code = if about.fault.is_empty() {
        StatusCode::Unset
    } else {
        StatusCode::Error
    };
    let ended = nanoseconds(ended);
    Some(Span {
        trace_id: trace.into(),
        span_id: own.into(),
        parent_span_id: parent.map_or(Vec::new(), |it| it.span.into()),
        name: METHOD.to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: ended.saturating_sub(u64::try_from(took.as_nanos()).unwrap_or(0)),
        end_time_unix_nano: ended,
        attributes: told.map(|(key, it)| attribute(key, it)).collect(),
        status: Some(Status { code: code.into() }),
        flags: SAMPLED | if parent.is_some() { REMOTE } else { OWN },
    })
}

pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Hands spans to the collector.
#[derive(Debug)]
pub(super) struct Sender {
    queue: mpsc::Receiver<Span>,
    collector: Collector,
    source: Source,
    metrics: Arc<Metrics>,
    /// What was handed over and not taken yet.
    batch: Vec<Span>,
    /// Until when the collector is left alone, and for how long the next time.
    pause: (Option<Instant>, Duration),
}

impl Sender {
    pub(super) fn new(
        queue: mpsc::Receiver<Span>,
        collector: Collector,
        source: Source,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            queue,
            collector,
            source,
            metrics,
            batch: Vec::new(),
            pause: (None, SHORTEST),
        }
    }

    /// Hands over what comes until nobody is left who could want a flush.
    pub(super) async fn run(mut self, mut flushes: mpsc::Receiver<Flush>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                now = ticks.tick() => {
                    if self.pause.0.is_none_or(|it| it <= now) {
                        self.hand_over().await;
                    }
                }
                flush = flushes.recv() => {
                    let Some(done) = flush else { return };
                    self.hand_over().await;
                    let _ = done.send(());
                }
            }
        }
    }

    /// Hands over all that wait, until the collector takes no more for now.
    async fn hand_over(&mut self) {
        loop {
            while self.batch.len() < BATCH
                && let Ok(span) = self.queue.try_recv()
            {
                self.batch.push(span);
            }
            if self.batch.is_empty() {
                return;
            }
            let answer = self.collector.tell(self.request()).await;
            let lost = match answer {
                Ok(ExportTraceServiceResponse { partial_success }) => {
                    let rejected = partial_success.map_or(0, |it| it.rejected_spans);
                    u64::try_from(rejected).unwrap_or(0)
                }
                Err(Refused::ForNow) => {
                    let pause = self.pause.1;
                    self.pause = (Some(Instant::now() + pause), (pause * 2).min(LONGEST));
                    return;
                }
                Err(Refused::ForGood) => self.batch.len() as u64,
            };
            self.pause = (None, SHORTEST);
            self.metrics.count_spans_dropped(lost);
            self.batch.clear();
        }
    }

    fn request(&self) -> ExportTraceServiceRequest {
        let scope_spans = ScopeSpans {
            scope: Some(self.source.scope.clone()),
            spans: self.batch.clone(),
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.source.resource.clone()),
            scope_spans: vec![scope_spans],
        };
        ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::audit::Share;

    fn asked(sampled: bool) -> Parent {
        Parent {
            trace: [1; 16],
            span: [2; 8],
            sampled,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_ask_for_a_hundred_spans_a_second_and_beyond_that_for_the_part_of_all() {
        for (sampled, beyond) in [(0.0, 0), (0.25, 250)] {
            let traces = Traces {
                sampled: Share::of(sampled).expect("a share"),
                of_requests: true,
            };
            let (spans, _queue) = Spans::queue(traces, Clock::system(), Arc::default());
            let wanted = |parent: Parent| {
                let all = 0..1000;
                all.filter(|it| spans.wants_as_asked(&parent, *it)).count()
            };
            assert_eq!(wanted(asked(false)), 0);
            let first = wanted(asked(true));
            assert!(first.abs_diff(100 + beyond * 9 / 10) <= 2, "{first}");
            let further = wanted(asked(true));
            assert!(further.abs_diff(beyond) <= beyond / 100, "{further}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(wanted(asked(true)) >= 100, "in the next");
            // What the call says is an Envoy's, and bounded there.
            assert!((0..1000).all(|it| spans.wants(Some(&asked(true)), it)));
        }
    }
}
