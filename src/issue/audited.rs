//! What the audit says of an endpoint that gave something, took it away, or refused to.

use crate::issue::Asked;
use crate::telemetry::audit::{Audit, Entry, without_tokens};

/// Takes note of what was asked for, and what came of it.
pub(super) fn note(audit: &Audit, asked: &Asked, event: &'static str, outcome: &'static str) {
    let context = &asked.context;
    let identity = context.identity.as_ref();
    let marks: Vec<_> = asked.platform.policy.token_marks().collect();
    let path = without_tokens(&context.path, &marks);
    audit.note(&Entry {
        event,
        outcome,
        platform: &asked.platform.name,
        scheme: identity.map_or("", |it| &it.scheme),
        account: identity
            .and_then(|it| it.account.as_deref())
            .unwrap_or_default()
            .into(),
        user: identity
            .and_then(|it| it.user.as_deref())
            .unwrap_or_default()
            .into(),
        method: context.method.as_str().into(),
        path: path.as_str().into(),
        client: context.client_address,
        request_id: asked.request_id.as_str().into(),
        ..Entry::default()
    });
}
