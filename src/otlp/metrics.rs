//! Metrics as a collector reads them: the same series as in `/metrics`, under the same names.
//!
//! Those that OpenTelemetry's semantic conventions name have the names from there, which Prometheus spells
//! with `_` for `.`.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as read;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::otlp::collector::Collector;
use crate::otlp::protos::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use crate::otlp::protos::common::KeyValue;
use crate::otlp::protos::metrics::metric::Data;
use crate::otlp::protos::metrics::number_data_point::Value;
use crate::otlp::protos::metrics::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use crate::otlp::spans::nanoseconds;
use crate::otlp::{Flush, Gather, Source, named};

/// What has another name there, metrics and attributes.
const NAMED: [(&str, &str); 4] = [
    (
        "rpc_server_call_duration_seconds",
        "rpc.server.call.duration",
    ),
    ("rpc_system_name", "rpc.system.name"),
    ("rpc_method", "rpc.method"),
    ("rpc_response_status_code", "rpc.response.status_code"),
];

/// Tells the collector of metrics.
pub(super) struct Reporter {
    gather: Gather,
    collector: Collector,
    source: Source,
    clock: Clock,
    /// Since when it is counted, in nanoseconds since 1970.
    began: u64,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter(..)")
    }
}

impl Reporter {
    pub(super) fn new(gather: Gather, collector: Collector, source: Source, clock: Clock) -> Self {
        Self {
            began: nanoseconds(clock.now()),
            gather,
            collector,
            source,
            clock,
        }
    }

    /// Tells at once and then so often, until nobody is left who could want a flush. What is not taken needs no
    /// second try: the next time tells all of it.
    pub(super) async fn run(mut self, every: Duration, mut flushes: mpsc::Receiver<Flush>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flush = tokio::select! {
                _ = ticks.tick() => None,
                flush = flushes.recv() => {
                    let Some(done) = flush else { return };
                    Some(done)
                }
            };
            let request = self.request();
            let _ = self
                .collector
                .tell::<_, ExportMetricsServiceResponse>(request)
                .await;
            if let Some(done) = flush {
                let _ = done.send(());
            }
        }
    }

    fn request(&self) -> ExportMetricsServiceRequest {
        let at = At {
            began: self.began,
            now: nanoseconds(self.clock.now()),
        };
        let scope_metrics = ScopeMetrics {
            scope: Some(self.source.scope.clone()),
            metrics: (self.gather)()
                .iter()
                .filter_map(|it| at.metric(it))
                .collect(),
        };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.source.resource.clone()),
            scope_metrics: vec![scope_metrics],
        };
        ExportMetricsServiceRequest {
            resource_metrics: vec![resource_metrics],
        }
    }
}

/// Since when something is counted, and until when.
#[derive(Clone, Copy)]
struct At {
    began: u64,
    now: u64,
}

impl At {
    /// Gives a metric that has series, and is of a kind that there is here; of no other kind is any of ours.
    fn metric(self, family: &read::MetricFamily) -> Option<Metric> {
        if family.metric.is_empty() {
            return None;
        }
        let series = family.metric.iter();
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match family.r#type() {
            read::MetricType::Counter => Data::Sum(Sum {
                data_points: series
                    .filter_map(|it| {
                        // Below 2^53 the one is as exact as the other.
                        let count = Value::AsInt(it.counter.as_ref()?.value as i64);
                        Some(self.number(it, self.began, count))
                    })
                    .collect(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            read::MetricType::Gauge => Data::Gauge(Gauge {
                data_points: series
                    .filter_map(|it| {
                        let value = Value::AsDouble(it.gauge.as_ref()?.value);
                        Some(self.number(it, 0, value))
                    })
                    .collect(),
            }),
            read::MetricType::Histogram => Data::Histogram(Histogram {
                data_points: series.filter_map(|it| self.histogram(it)).collect(),
                aggregation_temporality: cumulative,
            }),
            read::MetricType::Summary
            | read::MetricType::Untyped
            | read::MetricType::GaugeHistogram => return None,
        };
        let is_in_seconds = family.name.ends_with("_seconds");
        Some(Metric {
            name: name(&family.name),
            description: family.help.clone(),
            unit: if is_in_seconds { "s" } else { "" }.to_owned(),
            data: Some(data),
        })
    }

    fn number(self, series: &read::Metric, began: u64, value: Value) -> NumberDataPoint {
        NumberDataPoint {
            start_time_unix_nano: began,
            time_unix_nano: self.now,
            attributes: attributes(series),
            value: Some(value),
        }
    }

    fn histogram(self, series: &read::Metric) -> Option<HistogramDataPoint> {
        let histogram = series.histogram.as_ref()?;
        let mut before = 0;
        let own = |it: &read::Bucket| {
            let until = it.cumulative_count;
            until.saturating_sub(std::mem::replace(&mut before, until))
        };
        let bounds = histogram.bucket.iter().map(|it| it.upper_bound);
        Some(HistogramDataPoint {
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count: histogram.sample_count,
            sum: Some(histogram.sample_sum),
            // The last bucket, which all that is larger falls in, has no bound here.
            explicit_bounds: bounds.filter(|it| it.is_finite()).collect(),
            bucket_counts: histogram.bucket.iter().map(own).collect(),
            attributes: attributes(series),
        })
    }
}

fn attributes(series: &read::Metric) -> Vec<KeyValue> {
    let labels = series.label.iter();
    labels.map(|it| named(name(&it.name), &*it.value)).collect()
}

fn name(read: &str) -> String {
    let other = NAMED.iter().find(|it| it.0 == read);
    other.map_or(read, |it| it.1).to_owned()
}
