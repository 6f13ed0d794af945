//! From a decision to a `CheckResponse`.
//!
//! Envoy takes an unset status for an allow, appends to what the client sent unless told to
//! overwrite, and writes CR and LF through. So an allow is built from a [`Permit`] and nothing
//! else, every denial carries a non-zero status and an HTTP code, every header mutation
//! overwrites, and nothing leaves that has not been checked.

mod refusal;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use crate::context;
use crate::credential::Place;
use crate::decision::{Denial, Failure};
use crate::envoy::protos::auth::check_response::HttpResponse;
use crate::envoy::protos::auth::{CheckResponse, OkHttpResponse};
use crate::envoy::protos::core::header_value_option::HeaderAppendAction;
use crate::envoy::protos::core::{HeaderValue, HeaderValueOption};
use crate::envoy::protos::rpc::Status;
use crate::gate::Decision;
use crate::platform::Platform;
use crate::platform::refusal::{Circumstances, Refusal};
use crate::policy::Permit;
use crate::request::{RequestView, folds_to};

/// `google.rpc.Code.OK`, the code of every allow.
const OK: i32 = 0;

/// Writes the answer to a decision as a `CheckResponse`.
#[must_use]
pub fn encode(
    decision: &Decision,
    request: &RequestView<'_>,
    circumstances: &Circumstances,
) -> Bytes {
    let refuse =
        |refusal: &Refusal<'_>, platform| refusal::write(refusal, platform, request, circumstances);
    let mut response = match (&decision.verdict, &decision.platform) {
        (Ok(permit), Some(platform)) => allow(permit, platform, request, decision),
        (Err(Failure::Denied(denial)), platform) => {
            refuse(&Refusal::of_denial(denial), platform.as_deref())
        }
        (Err(Failure::Fault(fault)), platform) => refuse(
            &Refusal::of_fault(fault, circumstances),
            platform.as_deref(),
        ),
        // A permit comes from a platform's policy; without one there is nobody to allow for.
        (Ok(_), None) => {
            let denial = Denial::new(crate::decision::Reason::NoPlatform, "no platform");
            refuse(&Refusal::of_denial(&denial), None)
        }
    };
    response.dynamic_metadata = Some(metadata(decision, circumstances));
    response.encode_to_vec().into()
}

fn allow(
    permit: &Permit,
    platform: &Platform,
    request: &RequestView<'_>,
    decision: &Decision,
) -> CheckResponse {
    let names = platform.identity_headers.names();
    let values = identity_values(permit, platform);
    let mut headers = Vec::new();
    let mut headers_to_remove: Vec<String> = Vec::new();
    for ((key, name), (same, value)) in names.iter().zip(&values) {
        debug_assert_eq!(key, same, "names and values are listed in one order");
        match value {
            Some(value) => headers.push(overwrite(name, value)),
            None => headers_to_remove.push((*name).to_owned()),
        }
    }
    // What the client said of the account was held against the identity; without one, nobody vouches for it.
    let account_header = platform.policy.account_header();
    if let (Some(name), [_, (_, Some(account)), ..]) = (account_header, &values)
        && request.headers.contains(name)
    {
        headers.push(overwrite(name, account));
    }
    if let Some(context) = &decision.context {
        headers.push(overwrite(context::HEADER, context));
    }
    let assertion_header = platform.assertion.as_ref().map(|it| &*it.header);
    let assertion = decision.assertion.as_ref();
    if let (Some(name), Some(text)) = (assertion_header, assertion.and_then(|it| it.expose_str())) {
        headers.push(overwrite(name, text));
    }
    let mut remove = |name: &str| {
        // Envoy removes after it has set: what is set must not be removed.
        let is_set = headers
            .iter()
            .filter_map(|it| it.header.as_ref())
            .any(|it| it.key.eq_ignore_ascii_case(name));
        if !is_set
            && !headers_to_remove
                .iter()
                .any(|it| it.eq_ignore_ascii_case(name))
        {
            headers_to_remove.push(name.to_owned());
        }
    };
    let credential_headers = platform.places().filter_map(|it| match it {
        Place::Authorization(_) => Some("authorization"),
        Place::Header(name) => Some(name.as_str()),
        Place::Certificate | Place::Query(_) => None,
    });
    let hidden: Vec<&str> = names
        .iter()
        .map(|it| it.1)
        .chain(credential_headers)
        .chain(account_header)
        .chain(assertion_header)
        .collect();
    for name in &hidden {
        // Many upstreams read `_` as `-` (RFC 3875 §4.1.18). The twin is named even where it was
        // not seen: a filter with `allowed_headers` does not show us everything.
        remove(&name.replace('-', "_"));
    }
    for name in hidden
        .iter()
        .filter(|it| !names.iter().any(|set| set.1 == **it))
    {
        remove(name);
    }
    for name in request.headers.names() {
        if folds_to(name, context::HEADER) || hidden.iter().any(|it| folds_to(name, it)) {
            remove(name);
        }
    }
    let ok = OkHttpResponse {
        headers,
        headers_to_remove,
        query_parameters_to_remove: credential_parameters(platform, request),
    };
    CheckResponse {
        status: Some(Status {
            code: OK,
            message: String::new(),
        }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::OkResponse(ok)),
    }
}

/// The query parameters that carry credentials, as they are spelled in this request: only those
/// that are there, since Envoy rebuilds the whole query for each.
fn credential_parameters(platform: &Platform, request: &RequestView<'_>) -> Vec<String> {
    let mut spellings = Vec::new();
    for place in platform.places() {
        if let Place::Query(name) = place {
            for spelling in request.query.spellings(name) {
                if !spellings.iter().any(|it| it == spelling) {
                    spellings.push(spelling.to_owned());
                }
            }
        }
    }
    spellings
}

/// The fields of the identity, under the keys of the settings and in their order.
fn identity_values<'p>(
    permit: &'p Permit,
    platform: &'p Platform,
) -> [(&'static str, Option<Cow<'p, str>>); 8] {
    let identity = permit.identity();
    let text = |it: Option<&'p String>| it.map(|it| header_text(it, ""));
    let list = |it: &'p [String], separator: &str| {
        let encoded: Vec<_> = it.iter().map(|it| header_text(it, separator)).collect();
        Some(Cow::from(encoded.join(separator))).filter(|it| !it.is_empty())
    };
    [
        ("platform", Some(Cow::Borrowed(&*platform.name))),
        ("account", text(identity.and_then(|it| it.account.as_ref()))),
        ("user", text(identity.and_then(|it| it.user.as_ref()))),
        (
            "username",
            text(identity.and_then(|it| it.username.as_ref())),
        ),
        ("scheme", text(identity.map(|it| &it.scheme))),
        ("scopes", identity.and_then(|it| list(&it.scopes, " "))),
        ("roles", identity.and_then(|it| list(&it.roles, ","))),
        (
            "expires",
            identity
                .and_then(|it| it.expires)
                .map(|it| it.to_string().into()),
        ),
    ]
}

/// Percent-encodes what a header cannot carry (RFC 9110 §5.5): everything but printable ASCII, `%`
/// itself, spaces at the ends, and the separator of a list.
fn header_text<'t>(text: &'t str, separator: &str) -> Cow<'t, str> {
    let last = text.len().saturating_sub(1);
    let plain = |index: usize, byte: u8| match byte {
        b'%' => false,
        b' ' => separator != " " && index != 0 && index != last,
        b'!'..=b'~' => !separator.as_bytes().contains(&byte),
        _ => false,
    };
    if text
        .bytes()
        .enumerate()
        .all(|(index, byte)| plain(index, byte))
    {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for (index, byte) in text.bytes().enumerate() {
        if plain(index, byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

/// A header that replaces whatever the client sent under its name.
fn overwrite(name: &str, value: &str) -> HeaderValueOption {
    debug_assert!(
        value.bytes().all(|it| matches!(it, b' '..=b'~')),
        "{name} was encoded"
    );
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    }
}

/// What access logs and later filters may know: the identity, and how the decision came about.
fn metadata(decision: &Decision, circumstances: &Circumstances) -> Struct {
    let mut fields = BTreeMap::new();
    let mut put = |key: &str, value: String| {
        fields.insert(
            key.to_owned(),
            Value {
                kind: Some(Kind::StringValue(value)),
            },
        );
    };
    put("decision_id", circumstances.decision_id.clone());
    put("cache", decision.cache.name().to_owned());
    if let Some(platform) = &decision.platform {
        put("platform", platform.name.to_string());
    }
    match &decision.verdict {
        Ok(permit) => {
            put("rule", permit.rule().to_owned());
            if let Some(platform) = &decision.platform {
                for (key, value) in identity_values(permit, platform) {
                    if let Some(value) = value {
                        put(key, value.into_owned());
                    }
                }
            }
        }
        Err(Failure::Denied(denial)) => {
            put("reason", denial.reason().name().to_owned());
            put("detail", denial.detail().to_owned());
        }
        Err(Failure::Fault(fault)) => put("fault", fault.dependency().name().to_owned()),
    }
    if let (Err(_), Some(scheme)) = (&decision.verdict, &decision.scheme) {
        put("scheme", scheme.to_string());
    }
    Struct { fields }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn header_values_carry_any_text_and_can_be_told_apart() {
        let cases = [
            ("ACME, Inc.", "", "ACME, Inc."),
            ("ACME, Inc.", ",", "ACME%2C Inc."),
            ("a b", " ", "a%20b"),
            (" a ", "", "%20a%20"),
            ("50%", "", "50%25"),
            ("a\r\nx: y", "", "a%0D%0Ax: y"),
            ("pässwörd", "", "p%C3%A4ssw%C3%B6rd"),
        ];
        for (text, separator, want) in cases {
            assert_eq!(header_text(text, separator), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_header(text in any::<String>()) {
            for separator in ["", " ", ","] {
                let encoded = header_text(&text, separator);
                prop_assert!(encoded.bytes().all(|it| matches!(it, b' '..=b'~')));
                prop_assert_eq!(encoded.trim(), &*encoded);
            }
        }
    }
}
