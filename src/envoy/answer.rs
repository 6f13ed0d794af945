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

use crate::decision::{Denial, Failure, Reason};
use crate::envoy::answer::allow::Always;
use crate::envoy::answer::values::{Value, identity_values};
use crate::envoy::wire;
use crate::gate::Decision;
use crate::platform::Platform;
use crate::platform::refusal::{Circumstances, Refusal};
use crate::request::RequestView;

/// The fields of `CheckResponse` (envoy.service.auth.v3).
mod field {
    pub(super) const STATUS: u8 = 1;
    pub(super) const DENIED_RESPONSE: u8 = 2;
    pub(super) const OK_RESPONSE: u8 = 3;
    pub(super) const DYNAMIC_METADATA: u8 = 4;
}

/// Gives a number in 16 hexadecimal digits.
fn hexadecimal(number: u64) -> [u8; 16] {
    // All digits at a time: first each in a byte of its own.
    let mut digits = u128::from(number);
    for (shift, mask) in [
        (32, 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff),
        (16, 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f),
    ] {
        digits = (digits | (digits << shift)) & mask;
    }
    let of_each = |byte: u8| u128::from_ne_bytes([byte; 16]);
    // Of a digit that is a letter, and 6, the fifth bit is set.
    let letters = ((digits + of_each(6)) >> 4) & of_each(1);
    let beyond_digits = u128::from(b'a' - b'9' - 1);
    (digits + of_each(b'0') + letters * beyond_digits).to_be_bytes()
}

/// Names a decision, in metadata and logs: the process and the number of the decision there.
#[derive(Clone, Copy, Debug)]
pub struct DecisionId([u8; 32]);

impl DecisionId {
    /// Names the decision of this number in the process that is named so.
    #[must_use]
    pub fn of(instance: u64, number: u64) -> Self {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&hexadecimal(instance));
        Self(id).with_number(number)
    }

    /// Names the decision of this number in the same process.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> Self {
        self.0[16..].copy_from_slice(&hexadecimal(number));
        self
    }

    /// Gives the name of the process, the first 16 digits of all that it decides.
    #[must_use]
    pub fn process(&self) -> &str {
        str::from_utf8(&self.0[..16]).unwrap_or_default()
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

    /// Writes the answer to a decision, named `id`, as a `CheckResponse`, behind what stands there.
    pub fn write(
        &self,
        message: &mut Vec<u8>,
        decision: &Decision,
        request: &RequestView<'_>,
        id: &DecisionId,
        circumstances: impl FnOnce() -> Circumstances,
    ) {
        match (&decision.verdict, decision.platform.as_ref()) {
            (Ok(permit), Some(platform)) => {
                let values = identity_values(permit, &platform.name);
                // `google.rpc.Code.OK` is 0, and an empty `Status` says so.
                wire::put(message, field::STATUS, b"");
                wire::put_nested(message, field::OK_RESPONSE, |to| {
                    match self.0.iter().find(|it| it.is_of(platform)) {
                        Some(always) => always.write(to, &values, request, decision),
                        None => Always::of(platform).write(to, &values, request, decision),
                    }
                });
                wire::put_nested(message, field::DYNAMIC_METADATA, |to| {
                    let mut said = Said::begin(to, decision, id);
                    said.put("rule", permit.rule());
                    said.put_all(&values);
                });
                return;
            }
            (Err(Failure::Denied(denial)), platform) => refusal::put(
                message,
                &Refusal::of_denial(denial),
                platform.map(|it| &**it),
                request,
                &circumstances(),
            ),
            (Err(Failure::Fault(fault)), platform) => {
                let circumstances = circumstances();
                let refusal = Refusal::of_fault(fault, &circumstances);
                let platform = platform.map(|it| &**it);
                refusal::put(message, &refusal, platform, request, &circumstances);
            }
            // A permit comes from a platform's policy; without one there is nobody to allow for.
            (Ok(_), None) => {
                let denial = Denial::new(Reason::NoPlatform, "no platform");
                let refusal = Refusal::of_denial(&denial);
                refusal::put(message, &refusal, None, request, &circumstances());
            }
        }
        wire::put_nested(message, field::DYNAMIC_METADATA, |to| {
            Said::begin(to, decision, id);
        });
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
    if name.len() + value.len() <= wire::SHORT - 2 * 4 {
        // As nearly all are: each length takes a byte, and what stands before a string is written at once.
        let (name_length, value_length) = (name.len() as u8, value.len() as u8);
        let header = name_length + value_length + 4;
        let before = [
            wire::key(number),
            header + 4,
            wire::key(HEADER),
            header,
            wire::key(KEY),
            name_length,
        ];
        to.extend_from_slice(&before);
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(&[wire::key(VALUE), value_length]);
        to.extend_from_slice(value.as_bytes());
        return wire::put_number(to, APPEND_ACTION, OVERWRITE_IF_EXISTS_OR_ADD);
    }
    let header = wire::delimited_length(name.len()) + wire::delimited_length(value.len());
    wire::put_head(to, number, wire::delimited_length(header) + 2);
    wire::put_head(to, HEADER, header);
    wire::put(to, KEY, name.as_bytes());
    wire::put(to, VALUE, value.as_bytes());
    wire::put_number(to, APPEND_ACTION, OVERWRITE_IF_EXISTS_OR_ADD);
}

/// What access logs and later filters may know, a `google.protobuf.Struct`: the identity, and how the decision came about.
struct Said<'t>(&'t mut Vec<u8>);

impl<'t> Said<'t> {
    fn begin(to: &'t mut Vec<u8>, decision: &Decision, id: &DecisionId) -> Self {
        let mut said = Self(to);
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
        if key.len() + text.len() <= wire::SHORT - 2 * 3 {
            // As in `put_overwrite`.
            let (key_length, text_length) = (key.len() as u8, text.len() as u8);
            let entry = key_length + text_length + 6;
            let before = [wire::key(FIELDS), entry, wire::key(KEY), key_length];
            self.0.extend_from_slice(&before);
            self.0.extend_from_slice(key.as_bytes());
            let between = [
                wire::key(VALUE),
                text_length + 2,
                wire::key(STRING_VALUE),
                text_length,
            ];
            self.0.extend_from_slice(&between);
            return self.0.extend_from_slice(text.as_bytes());
        }
        let value = wire::delimited_length(text.len());
        let entry = wire::delimited_length(key.len()) + wire::delimited_length(value);
        wire::put_head(self.0, FIELDS, entry);
        wire::put(self.0, KEY, key.as_bytes());
        wire::put_head(self.0, VALUE, value);
        wire::put(self.0, STRING_VALUE, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_named_by_its_process_and_its_number_in_hexadecimal_digits() {
        for (instance, number) in [
            (0, 0),
            (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210),
            (u64::MAX, 0x9a9a_9a9a_9a9a_9a9a),
            (1 << 63, 1),
        ] {
            let want = format!("{instance:016x}{number:016x}");
            assert_eq!(DecisionId::of(instance, number).as_str(), want);
            let other = DecisionId::of(instance, !number);
            assert_eq!(other.process(), &want[..16]);
            assert_eq!(other.with_number(number).as_str(), want);
        }
    }

    #[test]
    fn headers_and_metadata_are_whole_whatever_their_length() {
        use prost::Message as _;

        use crate::envoy::protos::auth::{CheckResponse, OkHttpResponse};

        let value = "v".repeat(300);
        for length in 0..=value.len() {
            let (name, value) = ("x-name", &value[..length]);
            let mut ok = Vec::new();
            put_overwrite(&mut ok, 2, name, value);
            let ok = OkHttpResponse::decode(&*ok).expect("a message");
            let header = ok.headers[0].header.clone().expect("a header");
            assert_eq!((&*header.key, &*header.value), (name, value), "{length}");

            let mut message = Vec::new();
            wire::put_nested(&mut message, field::DYNAMIC_METADATA, |to| {
                Said(to).put(name, value);
            });
            let message = CheckResponse::decode(&*message).expect("a message");
            let said = message.dynamic_metadata.expect("metadata").fields;
            let want = prost_types::value::Kind::StringValue(value.to_owned());
            assert_eq!(said[name].kind, Some(want), "{length}");
        }
    }
}
