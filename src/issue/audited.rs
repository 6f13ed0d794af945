//! What the audit says of an endpoint that gave something, changed it, took it away, or refused to.

use crate::decision::{Denial, Failure, Reason};
use crate::issue::Asked;
use crate::telemetry::audit::{Audit, Entry, Marks, without_tokens};

/// What came of what an endpoint was asked for, and whom it is about: the caller where nothing else is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came<'a> {
    pub(super) outcome: &'static str,
    reason: &'static str,
    fault: &'static str,
    account: Option<&'a str>,
    user: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Came<'a> {
    /// It was given, changed or taken away.
    pub(super) fn of(outcome: &'static str) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }

    /// It was refused, as what was sent cannot be meant.
    pub(super) fn malformed() -> Self {
        Self {
            reason: Reason::Malformed.name(),
            ..Self::of("refused")
        }
    }

    /// It was refused.
    pub(super) fn denied(denial: &'a Denial) -> Self {
        let about = denial.about();
        Self {
            reason: denial.reason().name(),
            account: about.and_then(|it| it.account.as_deref()),
            user: about.and_then(|it| it.user.as_deref()),
            ..Self::of("refused")
        }
    }

    /// It failed, by the caller's fault or ours.
    pub(super) fn failed(failure: &'a Failure) -> Self {
        match failure {
            Failure::Denied(denial) => Self::denied(denial),
            Failure::Fault(fault) => Self {
                fault: fault.dependency().name(),
                ..Self::of("fault")
            },
        }
    }

    /// Says whom it is about.
    pub(super) fn about(self, account: Option<&'a str>, user: Option<&'a str>) -> Self {
        Self {
            account,
            user,
            ..self
        }
    }

    /// Says which API key it is about.
    pub(super) fn key(self, id: &'a str) -> Self {
        Self {
            key: Some(id),
            ..self
        }
    }
}

/// Takes note of what was asked for, and what came of it.
pub(super) fn note(audit: &Audit, asked: &Asked, event: &'static str, came: Came<'_>) {
    let context = &asked.context;
    let identity = context.identity.as_ref();
    let (account, user) = match (came.account, came.user) {
        (None, None) => (
            identity.and_then(|it| it.account.as_deref()),
            identity.and_then(|it| it.user.as_deref()),
        ),
        named => named,
    };
    let marks = Marks::of(asked.platform.policy.token_marks());
    let path = without_tokens(&context.path, &marks);
    audit.note(&Entry {
        event,
        outcome: came.outcome,
        reason: came.reason,
        fault: came.fault,
        platform: &asked.platform.name,
        scheme: identity.map_or("", |it| &it.scheme),
        account: account.unwrap_or_default().into(),
        user: user.unwrap_or_default().into(),
        key: came.key.unwrap_or_default().into(),
        method: context.method.as_str().into(),
        path: (&*path).into(),
        client: context.client_address,
        request_id: asked.request_id.as_str().into(),
        ..Entry::default()
    });
}
