//! What a span tells of a Check.

use std::time::Duration;

use tonic::Code;

use crate::envoy::answer::DecisionId;
use crate::envoy::audited::came_to;
use crate::gate::Decision;
use crate::otlp::{About, Spans};
use crate::request::RequestView;
use crate::telemetry::Parent;

/// Where calls and requests name their trace (W3C Trace Context).
pub(super) const TRACEPARENT: &str = "traceparent";

/// Tells whether the Check of this number has a span: `Some` with what that is part of, if anything.
#[inline]
pub(super) fn wanted(
    spans: &Spans,
    parent: Option<Parent>,
    request: &RequestView<'_>,
    number: u64,
) -> Option<Option<Parent>> {
    if parent.is_none()
        && spans.reads_requests()
        && let Some(asked) = of_request(request)
    {
        return spans.wants_as_asked(&asked, number).then_some(Some(asked));
    }
    spans.wants(parent.as_ref(), number).then_some(parent)
}

fn of_request(request: &RequestView<'_>) -> Option<Parent> {
    let mut all = request.headers.all(TRACEPARENT);
    match (all.next(), all.next()) {
        (Some(only), None) => Parent::read(only),
        _ => None,
    }
}

/// Hands over the span of a decision.
pub(super) fn note(
    spans: &Spans,
    parent: Option<&Parent>,
    decision: &Decision,
    id: &DecisionId,
    (status, took): (Code, Duration),
) {
    let (outcome, reason, fault) = came_to(decision);
    let about = About {
        status,
        platform: decision.platform.as_ref().map_or("", |it| &it.name),
        scheme: decision.scheme.as_deref().unwrap_or_default(),
        outcome: outcome.name(),
        reason,
        fault,
        cache: decision.cache.name(),
        decision_id: id.as_str(),
    };
    spans.note(parent, &about, took);
}
