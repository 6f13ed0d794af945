//! Metrics: a collector is told what `/metrics` shows, and no client makes a series.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tonic::Code;

use super::series::{Series, shown, told};
use super::site::{Asker, allowed, start};
use crate::asking::Ask;
use crate::support::collector::{Collector, Manner};
use crate::support::sample::{ALADDIN, CROSSBAR, INFOBIP, JOHN_MD5, MINE, OPENTACT};
use crate::support::server::Server;

const EACH_SECOND: &str = "otlp: { metrics_seconds: 1 }, traces: { sampled: 1 }";

/// Waits until the collector was told what is shown, and gives that.
async fn both(collector: &Collector, server: &Server) -> Series {
    let mut last = (Series::new(), Series::new());
    let what = "the metrics that are shown";
    collector
        .await_metrics(what, |it| {
            last = (told(it), shown(server));
            (last.0 == last.1).then(|| last.0.clone())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_text_is_told_with_the_same_value_and_no_other() {
    let collector = Collector::start();
    // So that these two are there, too.
    collector.set(Manner::Refusing(Code::InvalidArgument));
    let server = start(&collector.url(), EACH_SECOND);
    let mut asker = Asker::of(&server).await;
    for _ in 0..3 {
        assert_eq!(asker.ask(&allowed()).await.status, 200);
        let john = Ask::new(CROSSBAR, "GET", "/v2/accounts").header("authorization", JOHN_MD5);
        asker.ask(&john).await;
        let aladdin = Ask::new(INFOBIP, "POST", "/sms/3/messages").header("authorization", ALADDIN);
        asker.ask(&aladdin).await;
        assert_ne!(
            asker
                .ask(&Ask::new("nobody.example.org", "GET", "/"))
                .await
                .status,
            200
        );
        let facebook = Ask::new(OPENTACT, "GET", "/rest/user")
            .header("x-forwarded-proto", "https")
            .header("x-auth-facebook-token", "EAABdown");
        assert_eq!(asker.ask(&facebook).await.status, 503);
    }
    collector.await_calls(3).await;
    collector.set(Manner::Taking);
    let series = both(&collector, &server).await;
    for name in [
        "portcullis_checks_total",
        "portcullis_check_duration_seconds_bucket",
        "portcullis_check_duration_seconds_sum",
        "portcullis_denials_total",
        "portcullis_faults_total",
        "portcullis_cache_entries",
        "portcullis_store_duration_seconds_count",
        "portcullis_ready",
        "portcullis_store_watch_up",
        "portcullis_revocation_lag_seconds_count",
        "portcullis_config_loaded_timestamp_seconds",
        "portcullis_build_info",
        "portcullis_spans_dropped_total",
        "portcullis_otlp_failures_total",
        "rpc_server_call_duration_seconds_count",
    ] {
        let is_it = |it: &&String| it.split(' ').next() == Some(name);
        assert!(series.keys().any(|it| is_it(&it)), "{name} in {series:?}");
    }
    let calls: Vec<_> = series
        .iter()
        .filter(|(key, _)| key.starts_with("rpc_server_call_duration_seconds_count"))
        .collect();
    let labels = "{\"rpc_method\": \"envoy.service.auth.v3.Authorization/Check\", \
                  \"rpc_response_status_code\": \"OK\", \"rpc_system_name\": \"grpc\"}";
    let name = format!("rpc_server_call_duration_seconds_count {labels}");
    assert_eq!(calls, [(&name, &15.0)]);
}

/// Asks for what only this number has in every place that a client chooses.
async fn ask_strangely(mut asker: Asker, number: usize) {
    let strange = format!("strange{number}");
    let login = BASE64_STANDARD.encode(format!("{strange}:{strange}"));
    let trace = format!("00-{number:032x}-{number:016x}-01");
    let stamped = |ask: Ask| {
        ask.header(&format!("x-{strange}"), &strange)
            .header("user-agent", &strange)
            .header("x-request-id", &strange)
            .header("traceparent", &trace)
    };
    let mut asks = vec![
        Ask::new(&format!("{strange}.example.org"), "GET", "/"),
        Ask::new(&format!("{strange}.mine.example"), "GET", "/nowhere"),
        Ask::new(MINE, &strange.to_uppercase(), "/orders/7"),
        Ask::new(
            MINE,
            "GET",
            format!("/{strange}/{strange}?{strange}={strange}"),
        ),
        Ask::new(MINE, "GET", "/orders/7").header("x-my-key", &strange),
        Ask::new(MINE, "GET", "/admin/x").header("authorization", format!("{strange} {login}")),
    ];
    // This one takes as long as a password does.
    if number.is_multiple_of(5) {
        asks.push(
            Ask::new(MINE, "GET", "/admin/x").header("authorization", format!("Basic {login}")),
        );
    }
    for asked in asks {
        let parents = [trace.as_str()];
        assert_ne!(asker.ask_in(&stamped(asked), &parents).await.status, 200);
    }
    let parents = [strange.as_str()];
    assert_eq!(
        asker.ask_in(&stamped(allowed()), &parents).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_strange_values_add_no_series() {
    let collector = Collector::start();
    let server = start(&collector.url(), EACH_SECOND);
    let asker = Asker::of(&server).await;
    // By then failures are throttled and throttling is remembered, too: what can happen has happened.
    asker.for_each(0..100, ask_strangely).await;
    let names = |it: Series| it.into_keys().collect::<BTreeSet<_>>();
    let before = names(both(&collector, &server).await);
    asker.for_each(100..1100, ask_strangely).await;
    let after = names(both(&collector, &server).await);
    assert_eq!(before, after);
    // In no span either, which the traces are part of that callers name.
    assert!(collector.text().contains("portcullis.decision_id"));
    let text = collector.text().to_lowercase();
    assert!(!text.contains("strange"), "a client's words are told");
}
