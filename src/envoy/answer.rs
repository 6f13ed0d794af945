//! From a decision to a `CheckResponse`, written as it goes over the wire.
//!
//! Envoy takes an unset status for an allow, appends to what the client sent unless told to
//! overwrite, and writes CR and LF through. So an allow is built from a [`Permit`](crate::policy::Permit) and nothing
//! else, every denial carries a non-zero status and an HTTP code, every header mutation
//! overwrites, and nothing leaves that has not been checked.

mod allow;
mod refusal;
mod values;

use std::sync::Arc;

use bytes::Bytes;

use crate::decision::{Denial, Failure, Reason};
use crate::envoy::answer::allow::Always;
use crate::envoy::answer::values::{Value, identity_values};
use crate::envoy::wire;
use crate::gate::Decision;
use crate::platform::Platform;
use crate::platform::refusal::{Circumstances, Refusal};
use crate::request::RequestView;

/// Room for an allow of usual length, so that one allocation does.
const USUAL_BYTES: usize = 1024;

/// The fields of `CheckResponse` (envoy.service.auth.v3).
mod field {
    pub(super) const STATUS: u8 = 1;
    pub(super) const DENIED_RESPONSE: u8 = 2;
    pub(super) const OK_RESPONSE: u8 = 3;
    pub(super) const DYNAMIC_METADATA: u8 = 4;
}

/// Names a decision, in metadata and logs: the process and the number of the decision there.
#[derive(Clone, Copy, Debug)]
pub struct DecisionId([u8; 32]);

impl DecisionId {
    /// Names the decision of this number in the process that is named so.
    #[must_use]
    pub fn of(instance: u64, number: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let id = u128::from(instance) << 64 | u128::from(number);
        let digit = |at: usize| DIGITS[(id >> (4 * (31 - at)) & 0xf) as usize];
        Self(std::array::from_fn(digit))
    }

    /// Gives it in 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Writes answers for platforms, and keeps what is the same in all of them.
#[derive(Debug)]
pub struct Answers(Vec<Always>);

impl Answers {
    /// Prepares answers for these platforms.
    pub fn of<'p>(platforms: impl IntoIterator<Item = &'p Arc<Platform>>) -> Self {
        Self(platforms.into_iter().map(Always::of).collect())
    }

    /// Writes the answer to a decision, named `id`, as a `CheckResponse`.
    #[must_use]
    pub fn write(
        &self,
        decision: &Decision,
        request: &RequestView<'_>,
        id: &DecisionId,
        circumstances: impl FnOnce() -> Circumstances,
    ) -> Bytes {
        let mut message = Vec::with_capacity(USUAL_BYTES);
        let mut said = Said::begin(decision, id);
        match (&decision.verdict, decision.platform.as_ref()) {
            (Ok(permit), Some(platform)) => {
                let values = identity_values(permit, &platform.name);
                said.put("rule", permit.rule());
                said.put_all(&values);
                let known = self.0.iter().find(|it| it.is_of(platform));
                let allowed = match known {
                    Some(always) => always.write(&values, request, decision),
                    None => Always::of(platform).write(&values, request, decision),
                };
                // `google.rpc.Code.OK` is 0, and an empty `Status` says so.
                wire::put(&mut message, field::STATUS, b"");
                wire::put(&mut message, field::OK_RESPONSE, &allowed);
            }
            (Err(Failure::Denied(denial)), platform) => refusal::put(
                &mut message,
                &Refusal::of_denial(denial),
                platform.map(|it| &**it),
                request,
                &circumstances(),
            ),
            (Err(Failure::Fault(fault)), platform) => {
                let circumstances = circumstances();
                let refusal = Refusal::of_fault(fault, &circumstances);
                let platform = platform.map(|it| &**it);
                refusal::put(&mut message, &refusal, platform, request, &circumstances);
            }
            // A permit comes from a platform's policy; without one there is nobody to allow for.
            (Ok(_), None) => {
                let denial = Denial::new(Reason::NoPlatform, "no platform");
                let refusal = Refusal::of_denial(&denial);
                refusal::put(&mut message, &refusal, None, request, &circumstances());
            }
        }
        wire::put(&mut message, field::DYNAMIC_METADATA, &said.0);
        message.into()
    }
}

/// Writes a header that replaces whatever was there under its name: a `HeaderValueOption`, as field
/// `number` of what it stands in.
fn put_overwrite(to: &mut Vec<u8>, number: u8, name: &str, value: &str) {
    const HEADER: u8 = 1;
    const APPEND_ACTION: u8 = 3;
    const OVERWRITE_IF_EXISTS_OR_ADD: u64 = 2;
    const KEY: u8 = 1;
    const VALUE: u8 = 2;
    debug_assert!(
        value.bytes().all(|it| matches!(it, b' '..=b'~')),
        "{name} was encoded"
    );
    let header = wire::delimited_length(name.len()) + wire::delimited_length(value.len());
    wire::put_head(to, number, wire::delimited_length(header) + 2);
    wire::put_head(to, HEADER, header);
    wire::put(to, KEY, name.as_bytes());
    wire::put(to, VALUE, value.as_bytes());
    wire::put_number(to, APPEND_ACTION, OVERWRITE_IF_EXISTS_OR_ADD);
}

/// What access logs and later filters may know, a `google.protobuf.Struct`: the identity, and how the decision came about.
struct Said(Vec<u8>);

impl Said {
    fn begin(decision: &Decision, id: &DecisionId) -> Self {
        let mut said = Self(Vec::with_capacity(USUAL_BYTES / 2));
        said.put("decision_id", id.as_str());
        said.put("cache", decision.cache.name());
        let Err(failure) = &decision.verdict else {
            return said;
        };
        if let Some(platform) = &decision.platform {
            said.put("platform", &platform.name);
        }
        match failure {
            Failure::Denied(denial) => {
                said.put("reason", denial.reason().name());
                said.put("detail", denial.detail());
            }
            Failure::Fault(fault) => said.put("fault", fault.dependency().name()),
        }
        if let Some(scheme) = &decision.scheme {
            said.put("scheme", scheme);
        }
        said
    }

    fn put_all(&mut self, values: &[Value<'_>]) {
        for (key, value) in values {
            if let Some(value) = value {
                self.put(key, value);
            }
        }
    }

    /// Writes a text under its key.
    fn put(&mut self, key: &str, text: &str) {
        const FIELDS: u8 = 1;
        const KEY: u8 = 1;
        const VALUE: u8 = 2;
        const STRING_VALUE: u8 = 3;
        let value = wire::delimited_length(text.len());
        let entry = wire::delimited_length(key.len()) + wire::delimited_length(value);
        wire::put_head(&mut self.0, FIELDS, entry);
        wire::put(&mut self.0, KEY, key.as_bytes());
        wire::put_head(&mut self.0, VALUE, value);
        wire::put(&mut self.0, STRING_VALUE, text.as_bytes());
    }
}
