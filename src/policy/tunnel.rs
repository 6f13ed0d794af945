//! A method that a request names besides its own: `X-HTTP-Method-Override: DELETE`, `?verb=PUT`.
//!
//! Apart from the rules, which must hold for both methods: an upstream that honours the override
//! and one that does not must both be safe. A method in a body is not seen here.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::decision::Denial;
use crate::request::RequestView;

/// Where the platform lets a client name another method than the one it sends, in clear: rules
/// must then hold for both.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MethodOverride {
    /// Such as `x-http-method-override`.
    pub headers: Vec<String>,
    /// Such as `verb`.
    pub query: Vec<String>,
}

/// Headers in which some upstreams find another path or method than that of the request line, which is judged.
pub(crate) const MISLEADING: [&str; 5] = [
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

impl MethodOverride {
    /// Gives the headers that no rule holds for, and that an upstream may take another path or method from.
    pub(crate) fn misleading(&self) -> impl Iterator<Item = &str> {
        let all: [&str; 5] = MISLEADING;
        let is_judged = |it: &&str| {
            self.headers
                .iter()
                .any(|name| name.eq_ignore_ascii_case(it))
        };
        all.into_iter().filter(move |it| !is_judged(it))
    }

    /// Gives the other method that the request asks for, in upper case; `None` where it asks for none.
    ///
    /// # Errors
    /// A denial (400) where it names several, or what is no method.
    pub(crate) fn asked<'r>(
        &self,
        request: &RequestView<'r>,
    ) -> Result<Option<Cow<'r, str>>, Denial> {
        let mut asked: Option<Cow<'r, str>> = None;
        let headers = self
            .headers
            .iter()
            .map(|it| Ok(request.headers.single_unmistakable(it)?.map(Cow::Borrowed)));
        let query = self
            .query
            .iter()
            .map(|it| request.query.single_unmistakable(it));
        for found in headers.chain(query) {
            let Some(method) = found.map_err(|_: Denial| unclear_method())? else {
                continue;
            };
            if asked
                .as_ref()
                .is_some_and(|it| !it.eq_ignore_ascii_case(&method))
            {
                return Err(unclear_method());
            }
            asked = Some(method);
        }
        let Some(method) = asked else { return Ok(None) };
        if !method.bytes().all(|it| it.is_ascii_alphabetic()) {
            return Err(unclear_method());
        }
        Ok(Some(Cow::Owned(method.to_ascii_uppercase())))
    }
}

fn unclear_method() -> Denial {
    Denial::bad_request("the method that the request tunnels is unclear")
}
