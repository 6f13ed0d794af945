//! Which Checks have a span, what that is part of, and what it tells.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tonic::Code;

use super::site::{Asker, allowed, config, start};
use crate::asking::Ask;
use crate::support::client::{Request, exchange};
use crate::support::collector::{Collector, attributes};
use crate::support::envoy::Envoy;
use crate::support::sample::{self, INFOBIP, MINE, MY_KEY, OPENTACT};
use crate::support::upstream::Upstream;

const METHOD: &str = "envoy.service.auth.v3.Authorization/Check";

/// All that a span may tell.
const LISTED: [&str; 10] = [
    "portcullis.cache",
    "portcullis.decision_id",
    "portcullis.fault",
    "portcullis.outcome",
    "portcullis.platform",
    "portcullis.reason",
    "portcullis.scheme",
    "rpc.method",
    "rpc.response.status_code",
    "rpc.system.name",
];

/// A `traceparent` of a trace and a span of these numbers.
fn traceparent(trace: u128, span: u64, flags: &str) -> String {
    format!("00-{trace:032x}-{span:016x}-{flags}")
}

fn told(span: &Span) -> BTreeMap<&str, &str> {
    let told = attributes(&span.attributes);
    for key in told.keys() {
        assert!(LISTED.contains(key), "{key} is told");
    }
    told
}

/// The span of this trace.
#[track_caller]
fn of_trace(spans: &[Span], trace: u128) -> &Span {
    let found: Vec<_> = spans
        .iter()
        .filter(|it| it.trace_id == trace.to_be_bytes())
        .collect();
    assert_eq!(found.len(), 1, "one span of {trace}: {spans:?}");
    found[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_check_is_one_span_of_its_callers_that_tells_what_is_listed_and_nothing_else() {
    let collector = Collector::start();
    let mut server = start(&collector.url(), "traces: { sampled: 0 }");
    let mut asker = Asker::of(&server).await;
    let began = SystemTime::now();
    let facebook = Ask::new(OPENTACT, "GET", "/rest/user")
        .header("x-forwarded-proto", "https")
        .header("x-auth-facebook-token", "EAABdown");
    let wrong = Ask::new(MINE, "GET", "/orders/MARKED?my-key=MARKED-key")
        .header("user-agent", "MARKED")
        .header("x-request-id", "MARKED");
    let unreadable = Bytes::from_static(b"\x0a\xffMARKED");
    let cases = [
        (
            "verified",
            allowed().mapped(),
            "cache=miss outcome=allow platform=mine scheme=key",
        ),
        (
            "remembered",
            allowed().mapped(),
            "cache=hit outcome=allow platform=mine scheme=key",
        ),
        (
            "an unknown key",
            wrong.mapped(),
            "cache=miss outcome=deny platform=mine reason=unknown scheme=key",
        ),
        (
            "no credential",
            Ask::new(INFOBIP, "POST", "/sms/3/messages").mapped(),
            "cache=none outcome=deny platform=infobip reason=missing",
        ),
        (
            "no platform",
            Ask::new("MARKED.example.org", "MARKED", "/MARKED").mapped(),
            "cache=none outcome=deny reason=no_platform",
        ),
        (
            "no message",
            unreadable,
            "cache=none outcome=deny reason=malformed",
        ),
        (
            "Graph is down",
            facebook.mapped(),
            "cache=miss fault=facebook outcome=fault platform=opentact scheme=facebook",
        ),
    ];
    let mut ids = Vec::new();
    for (number, (name, message, _)) in (1_u64..).zip(&cases) {
        let parent = traceparent(number.into(), number + 0x100, "01");
        let answer = asker.call(message.clone(), &[&parent]).await;
        let answer = crate::asking::read(answer.expect(name));
        ids.push(answer.metadata["decision_id"].clone());
    }
    // Whom nobody sampled, or by no standard.
    for parents in [
        &[][..],
        &[traceparent(0x99, 1, "00")],
        &["01".to_owned()],
        &[traceparent(0x99, 1, "01"), traceparent(0x98, 1, "01")],
    ] {
        let parents: Vec<_> = parents.iter().map(String::as_str).collect();
        assert_eq!(asker.ask_in(&allowed(), &parents).await.status, 200);
    }
    drop(asker);
    // What was not told yet is told before the end.
    assert!(server.stop().success());
    let spans = collector.spans();
    assert_eq!(spans.len(), cases.len(), "{spans:?}");
    for ((number, (name, _, want)), id) in (1_u64..).zip(&cases).zip(&ids) {
        let span = of_trace(&spans, number.into());
        assert_eq!(
            span.parent_span_id,
            (number + 0x100).to_be_bytes(),
            "{name}"
        );
        assert_eq!(
            (span.name.as_str(), span.kind()),
            (METHOD, SpanKind::Server),
            "{name}"
        );
        // Sampled, and the parent is known to be another's.
        assert_eq!(span.flags, 0x301, "{name}");
        assert!(span.span_id.len() == 8 && span.span_id != [0; 8], "{name}");
        let told = told(span);
        let ours = told.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix("portcullis.")?;
            (key != "decision_id").then(|| format!("{key}={value}"))
        });
        assert_eq!(ours.collect::<Vec<_>>().join(" "), *want, "{name}");
        assert_eq!(told["portcullis.decision_id"], id, "{name}");
        assert_eq!(told["rpc.system.name"], "grpc", "{name}");
        assert_eq!(told["rpc.method"], METHOD, "{name}");
        assert_eq!(told["rpc.response.status_code"], "OK", "{name}");
        let code = span.status.as_ref().expect("a status").code();
        assert_eq!(
            code as i32 == 2,
            want.contains("fault="),
            "{name}: {code:?}"
        );
        let at = |it: u64| UNIX_EPOCH + Duration::from_nanos(it);
        let (start, end) = (at(span.start_time_unix_nano), at(span.end_time_unix_nano));
        assert!(start < end && end <= SystemTime::now(), "{name}");
        assert!(start >= began - Duration::from_millis(1), "{name}");
    }
    for it in collector.resources() {
        let told = attributes(&it.attributes);
        assert_eq!(told["service.name"], "portcullis");
        assert_eq!(told["service.version"], env!("CARGO_PKG_VERSION"));
        assert!(ids[0].starts_with(told["service.instance.id"]), "{told:?}");
    }
    assert!(!collector.text().contains("MARKED"), "{}", collector.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_an_envoy_that_traces_each_check_is_a_part_of_its_trace() {
    let collector = Collector::start();
    let server = start(&collector.url(), "traces: { sampled: 0 }");
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address());
    let envoy = envoy.tracing(collector.address()).start();
    let request = Request::new("GET", "/orders/7")
        .header("host", MINE)
        .header("x-my-key", MY_KEY);
    assert_eq!(exchange(envoy.plain(), &request).await.status, 200);
    // Envoy's for the request, and for the call, and ours.
    let spans = collector.await_spans(3).await;
    let (ours, envoys): (Vec<_>, Vec<_>) = spans.iter().partition(|it| it.name == METHOD);
    assert_eq!(ours.len(), 1, "{spans:?}");
    let is_parent =
        |it: &&&Span| (&it.trace_id, &it.span_id) == (&ours[0].trace_id, &ours[0].parent_span_id);
    let parent = envoys.iter().find(is_parent).expect("a span of Envoy's");
    assert!(parent.name.contains("Check"), "{parent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_that_a_request_names_counts_only_where_that_was_said() {
    let with_trace = |trace, flags| allowed().header("traceparent", traceparent(trace, 7, flags));
    for (settings, counts) in [("", false), (", parent_from: request", true)] {
        let collector = Collector::start();
        let traces = format!("traces: {{ sampled: 0{settings} }}");
        let mut server = start(&collector.url(), &traces);
        let mut asker = Asker::of(&server).await;
        let asked = with_trace(1, "01");
        assert_eq!(asker.ask(&asked).await.status, 200);
        assert_eq!(asker.ask(&with_trace(2, "00")).await.status, 200);
        // What the call says goes before what the request says.
        let calls = [traceparent(3, 8, "01"), traceparent(4, 9, "00")];
        for call in &calls {
            assert_eq!(asker.ask_in(&asked, &[call]).await.status, 200);
        }
        drop(asker);
        assert!(server.stop().success());
        let spans = collector.spans();
        assert_eq!(of_trace(&spans, 3).parent_span_id, 8_u64.to_be_bytes());
        if counts {
            assert_eq!(of_trace(&spans, 1).parent_span_id, 7_u64.to_be_bytes());
        }
        assert_eq!(spans.len(), if counts { 2 } else { 1 }, "{spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_checks_that_belong_to_no_trace_the_part_that_was_asked_for_begins_one() {
    let collector = Collector::start();
    let mut server = start(&collector.url(), "traces: { sampled: 0.25 }");
    let mut asker = Asker::of(&server).await;
    for _ in 0..100 {
        assert_eq!(asker.ask(&allowed()).await.status, 200);
    }
    drop(asker);
    assert!(server.stop().success());
    let spans = collector.spans();
    assert!((22..=28).contains(&spans.len()), "{}", spans.len());
    let traces: HashSet<_> = spans.iter().map(|it| it.trace_id.clone()).collect();
    assert_eq!(traces.len(), spans.len(), "each has a trace of its own");
    let decisions: BTreeSet<_> = spans
        .iter()
        .map(|it| told(it)["portcullis.decision_id"])
        .collect();
    assert_eq!(
        decisions.len(),
        spans.len(),
        "each is of a decision of its own"
    );
    for it in &spans {
        assert!(it.parent_span_id.is_empty(), "{it:?}");
        assert_eq!(it.flags, 0x101, "{it:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_is_a_status_of_grpc_is_told_as_one() {
    let collector = Collector::start();
    let config = config(&collector.url(), "traces: { sampled: 1 }");
    let config = config.replace("check: { ", "check: { on_fault: grpc_error, ");
    let mut server = sample::start(&config);
    let mut asker = Asker::of(&server).await;
    let facebook = Ask::new(OPENTACT, "GET", "/rest/user")
        .header("x-forwarded-proto", "https")
        .header("x-auth-facebook-token", "EAABdown");
    let refused = asker.call(facebook.mapped(), &[]).await;
    assert_eq!(refused.expect_err("a fault").code(), Code::Unavailable);
    drop(asker);
    assert!(server.stop().success());
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(told(&spans[0])["rpc.response.status_code"], "UNAVAILABLE");
}
