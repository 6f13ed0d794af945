//! What the audit says of a Check, and who else shows it.

use std::time::Duration;

use crate::decision::{About, Failure};
use crate::envoy::answer::DecisionId;
use crate::envoy::{Deciding, Door};
use crate::gate::Decision;
use crate::policy::Permit;
use crate::request::RequestView;
use crate::telemetry::Outcome;
use crate::telemetry::audit::{Entry, trace_id, without_tokens};

/// Gives what a decision came to, and the reason of a denial or the dependency of a fault.
pub(super) fn came_to(decision: &Decision) -> (Outcome, &'static str, &'static str) {
    match &decision.verdict {
        Ok(_) => (Outcome::Allow, "", ""),
        Err(Failure::Denied(denial)) => (Outcome::Deny, denial.reason().name(), ""),
        Err(Failure::Fault(fault)) => (Outcome::Fault, "", fault.dependency().name()),
    }
}

impl Door {
    /// Takes note of a decision where somebody wants that: in the audit, and among the last that were refused.
    #[inline]
    pub(super) fn note(
        &self,
        deciding: &Deciding,
        decision: &Decision,
        request: &RequestView<'_>,
        (id, number): (&DecisionId, u64),
        took: Duration,
    ) {
        let is_refused = decision.verdict.is_err();
        let audit = self.0.audit.as_ref();
        let audit = audit.filter(|it| is_refused || it.wants_allow(number));
        let refusals = &self.0.metrics.glance().refusals;
        let is_shown = is_refused && refusals.want_another();
        if audit.is_none() && !is_shown {
            return;
        }
        put(deciding, decision, request, id, took, |entry| {
            if let Some(audit) = audit {
                audit.note(entry);
            }
            if is_shown {
                refusals.note(self.0.clock.now(), entry);
            }
        });
    }
}

/// Puts a decision into words, for whoever takes note of it.
fn put(
    deciding: &Deciding,
    decision: &Decision,
    request: &RequestView<'_>,
    id: &DecisionId,
    took: Duration,
    note: impl FnOnce(&Entry<'_>),
) {
    let path = without_tokens(request.path, &deciding.marks);
    let permit = decision.verdict.as_ref().ok();
    let identity = match permit {
        Some(permit) => permit.identity(),
        None => decision.refused.as_deref(),
    };
    let unknown = About::default();
    let about = match &decision.verdict {
        Err(Failure::Denied(denial)) => denial.about().unwrap_or(&unknown),
        Err(Failure::Fault(_)) | Ok(_) => &unknown,
    };
    let (outcome, reason, fault) = came_to(decision);
    let (account, user, key) = match identity {
        Some(it) => (it.account(), it.user(), it.key()),
        None => (
            about.account.as_deref(),
            about.user.as_deref(),
            about.key.as_deref(),
        ),
    };
    let first = |name: &str| request.headers.all(name).next().unwrap_or_default();
    note(&Entry {
        event: "check",
        outcome: outcome.name(),
        reason,
        fault,
        decision_id: id.as_str(),
        platform: decision.platform.as_ref().map_or("", |it| &it.name),
        scheme: decision.scheme.as_deref().unwrap_or_default(),
        rule: permit
            .map(Permit::rule)
            .or(about.rule.as_deref())
            .unwrap_or_default(),
        account: account.unwrap_or_default().into(),
        user: user.unwrap_or_default().into(),
        key: key.unwrap_or_default().into(),
        method: request.method.into(),
        path: (&*path).into(),
        client: deciding.gate.client_address(request),
        request_id: first("x-request-id").into(),
        trace_id: trace_id(first("traceparent")).unwrap_or_default().into(),
        cache: decision.cache.name(),
        took_us: Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
    });
}
