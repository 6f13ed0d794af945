//! Series of metrics by name and labels, out of the text and out of what a collector was told.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};

use crate::support::collector::attributes;
use crate::support::http::fetch;
use crate::support::server::Server;

/// What a series was, by its name and its labels in their order.
pub(super) type Series = BTreeMap<String, f64>;

/// Reads what `/metrics` shows.
pub(super) fn shown(server: &Server) -> Series {
    let shown = fetch(server.admin(), "/metrics").expect("metrics");
    let lines = shown.text().lines().filter(|it| !it.starts_with('#'));
    let mut series = Series::new();
    for line in lines {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels = labels.strip_suffix('}').expect("the end of labels");
        let labels = labels.split_terminator(',').map(|it| {
            let (label, value) = it.split_once('=').expect("a label and a value");
            (label.to_owned(), value.trim_matches('"').to_owned())
        });
        let value = value.parse().expect("a number");
        insert(&mut series, name, labels.collect(), value);
    }
    series
}

/// Reads what a collector was told, under the names that Prometheus would give it.
pub(super) fn told(metrics: &[Metric]) -> Series {
    let mut series = Series::new();
    for metric in metrics {
        let mut name = metric.name.replace('.', "_");
        if metric.unit == "s" && !name.ends_with("_seconds") {
            name.push_str("_seconds");
        }
        assert!(!metric.description.is_empty(), "{name}");
        let mut numbers = |points: &[NumberDataPoint], is_counted: bool| {
            for point in points {
                assert_eq!(point.start_time_unix_nano > 0, is_counted, "{name}");
                assert!(point.start_time_unix_nano <= point.time_unix_nano, "{name}");
                let value = match point.value.expect("a value") {
                    Value::AsDouble(it) => it,
                    Value::AsInt(it) => it as f64,
                };
                insert(&mut series, &name, labels(&point.attributes), value);
            }
        };
        let cumulative = AggregationTemporality::Cumulative;
        match metric.data.as_ref().expect("data") {
            Data::Gauge(it) => numbers(&it.data_points, false),
            Data::Sum(it) => {
                assert!(
                    it.is_monotonic && it.aggregation_temporality() == cumulative,
                    "{name}"
                );
                numbers(&it.data_points, true);
            }
            Data::Histogram(it) => {
                assert_eq!(it.aggregation_temporality(), cumulative, "{name}");
                for point in &it.data_points {
                    assert!(point.start_time_unix_nano > 0, "{name}");
                    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                    assert_eq!(
                        point.bucket_counts.len(),
                        point.explicit_bounds.len() + 1,
                        "{name}"
                    );
                    let mut until = 0;
                    for (bound, count) in bounds.zip(&point.bucket_counts) {
                        until += count;
                        let mut labels = labels(&point.attributes);
                        labels.insert("le".to_owned(), bound.to_string());
                        insert(&mut series, &format!("{name}_bucket"), labels, until as f64);
                    }
                    let labels = || labels(&point.attributes);
                    assert_eq!(until, point.count, "{name}");
                    insert(
                        &mut series,
                        &format!("{name}_count"),
                        labels(),
                        until as f64,
                    );
                    let sum = point.sum.expect("a sum");
                    insert(&mut series, &format!("{name}_sum"), labels(), sum);
                }
            }
            other => panic!("{name} is {other:?}"),
        }
    }
    series
}

fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let read = self::attributes(attributes).into_iter();
    read.map(|(key, value)| (key.replace('.', "_"), value.to_owned()))
        .collect()
}

fn insert(series: &mut Series, name: &str, mut labels: BTreeMap<String, String>, value: f64) {
    if let Some(bound) = labels.get_mut("le") {
        let read: f64 = bound.parse().expect("a bound");
        *bound = read.to_string();
    }
    let key = format!("{name} {labels:?}");
    assert_eq!(series.insert(key.clone(), value), None, "{key} twice");
}
