//! An allow on the wire: what Envoy sets on the request and what it takes away.
//!
//! Whatever the platform's upstream could take for ours is set or removed, whoever it is for, also what
//! the client did not send: a filter with `allowed_headers` does not show us everything. What does not
//! depend on the request is written once.

use std::sync::Arc;

use crate::context;
use crate::credential::Place;
use crate::envoy::answer::put_overwrite;
use crate::envoy::answer::values::Value;
use crate::envoy::wire;
use crate::gate::Decision;
use crate::platform::Platform;
use crate::request::{RequestView, fold_bit, folds_to, is_sign};

/// The fields of `OkHttpResponse` (envoy.service.auth.v3).
mod field {
    pub(super) const HEADERS: u8 = 2;
    pub(super) const HEADERS_TO_REMOVE: u8 = 5;
    pub(super) const QUERY_PARAMETERS_TO_REMOVE: u8 = 8;
}

/// What every allow of a platform says.
#[derive(Debug)]
pub(super) struct Always {
    platform: Arc<Platform>,
    /// Every header that the upstream could take for one of ours, for a credential, or for another request line.
    hidden: Vec<String>,
    /// What these and the context's header have in common with those that could be taken for them ([`fold_bit`]).
    bits: u64,
    /// How long these are, which is quicker to see.
    lengths: u64,
    /// Query parameters that carry credentials.
    parameters: Vec<String>,
    /// The removal of what is never set.
    removals: Vec<u8>,
}

/// Gives a bit that is the same for all names of a length.
fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

impl Always {
    pub(super) fn of(platform: &Arc<Platform>) -> Self {
        // What an allow sets, or else removes; but for the context, which only some requests have.
        let settable: Vec<_> = platform.told_by().collect();
        let credential_headers = platform.places().filter_map(|it| match it {
            Place::Authorization(_) => Some("authorization"),
            Place::Header(name) => Some(&**name),
            Place::Certificate | Place::Query(_) => None,
        });
        let misleading = platform.policy.misleading_headers();
        let hidden = settable.iter().copied().chain(credential_headers);
        let hidden: Vec<_> = hidden.chain(misleading).collect();
        // Many upstreams read `_` as `-` (RFC 3875 §4.1.18).
        let twins = hidden.iter().map(|it| it.replace('-', "_"));
        let named = hidden.iter().map(|it| (*it).to_owned());
        let mut removed: Vec<String> = Vec::new();
        for name in twins.chain(named) {
            let is_same = |it: &str| it.eq_ignore_ascii_case(&name);
            if !settable.iter().any(|it| is_same(it)) && !removed.iter().any(|it| is_same(it)) {
                removed.push(name);
            }
        }
        let mut removals = Vec::new();
        for name in &removed {
            wire::put(&mut removals, field::HEADERS_TO_REMOVE, name.as_bytes());
        }
        let parameters = platform.places().filter_map(|it| match it {
            Place::Query(name) => Some(name.to_string()),
            Place::Authorization(_) | Place::Certificate | Place::Header(_) => None,
        });
        let alike = || hidden.iter().copied().chain([context::HEADER]);
        Self {
            lengths: alike().fold(0, |all, it| all | length_bit(it.as_bytes())),
            platform: Arc::clone(platform),
            bits: alike().fold(0, |all, it| all | fold_bit(it.as_bytes())),
            hidden: hidden.into_iter().map(str::to_owned).collect(),
            parameters: parameters.collect(),
            removals,
        }
    }

    pub(super) fn is_of(&self, platform: &Arc<Platform>) -> bool {
        Arc::ptr_eq(&self.platform, platform)
    }

    /// Writes an `OkHttpResponse`.
    pub(super) fn write(
        &self,
        to: &mut Vec<u8>,
        values: &[Value<'_>; 8],
        request: &RequestView<'_>,
        decision: &Decision,
    ) {
        let platform = &*self.platform;
        let mut say = |name: &str, value: Option<&str>| match value {
            Some(value) => put_overwrite(to, field::HEADERS, name, value),
            // Envoy removes after it has set, so what is set must not be removed.
            None => wire::put(to, field::HEADERS_TO_REMOVE, name.as_bytes()),
        };
        let names = platform.identity_headers.names();
        for ((key, name), (same, value)) in names.iter().zip(values) {
            debug_assert_eq!(key, same, "names and values are listed in one order");
            say(name, value.as_deref());
        }
        if let Some(name) = platform.policy.account_header() {
            // What the client said of the account was held against the identity; without one, nobody vouches for it.
            let [_, (_, account), ..] = values;
            let is_sent = request.headers.contains(name);
            say(name, account.as_deref().filter(|_| is_sent));
        }
        if let Some(settings) = &platform.assertion {
            let assertion = decision.assertion.as_ref();
            say(&settings.header, assertion.and_then(|it| it.expose_str()));
        }
        if let Some(context) = &decision.context {
            say(context::HEADER, Some(context));
        }
        to.extend_from_slice(&self.removals);
        self.remove_look_alikes(to, request, decision.context.is_some());
        self.remove_parameters(to, request);
    }

    /// Removes what was sent under a name that is not one of ours, and that an upstream could take for one.
    fn remove_look_alikes(&self, to: &mut Vec<u8>, request: &RequestView<'_>, has_context: bool) {
        let is_looked_at =
            |it: &&[u8]| self.lengths & length_bit(it) != 0 && self.bits & fold_bit(it) != 0;
        for name in request.headers.names().filter(is_looked_at) {
            let is_context = folds_to(name, context::HEADER);
            let is_set = has_context && name.eq_ignore_ascii_case(context::HEADER.as_bytes());
            if (is_context && !is_set) || self.is_alike(name) {
                wire::put(to, field::HEADERS_TO_REMOVE, name);
            }
        }
    }

    fn is_alike(&self, name: &[u8]) -> bool {
        let is_it = |it: &String| name.eq_ignore_ascii_case(it.as_bytes());
        name.iter().any(|it| is_sign(*it))
            && self.hidden.iter().any(|it| folds_to(name, it))
            && !self.hidden.iter().any(is_it)
    }

    /// Removes the query parameters that carry credentials, as they are spelled in this request: only those
    /// that are there, since Envoy rebuilds the whole query for each.
    fn remove_parameters(&self, to: &mut Vec<u8>, request: &RequestView<'_>) {
        if request.query.is_empty() {
            return;
        }
        let parameters = self.parameters.iter();
        let mut removed: Vec<&str> = parameters
            .flat_map(|it| request.query.spellings(it))
            .collect();
        // One name has thousands of spellings, too many to compare each with each.
        removed.sort_unstable();
        removed.dedup();
        for spelling in removed {
            let number = field::QUERY_PARAMETERS_TO_REMOVE;
            wire::put(to, number, spelling.as_bytes());
        }
    }
}
