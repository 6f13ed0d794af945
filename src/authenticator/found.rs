//! What a request presents: its credentials, each with the scheme that decoded it.

use std::sync::Arc;

use crate::credential::{Credential, Place};
use crate::decision::{Denial, Reason};
use crate::platform::{NamedScheme, Platform};
use crate::request::RequestView;
use crate::scheme::Conflict;
use crate::trace::{Found, Step, Trace};

/// Credentials of one request, each with the scheme that decoded it.
pub(super) type Decoded<'p> = Vec<(&'p NamedScheme, Credential)>;

/// Decodes every credential that counts under the platform's rule.
pub(super) fn find<'p>(
    platform: &'p Platform,
    request: &RequestView<'_>,
    trace: &impl Trace,
) -> Result<Decoded<'p>, Denial> {
    // A singleton field (RFC 9110 §11.6.2): two values are refused whatever the schemes read.
    let authorization = request.headers.authorization()?;
    for place in &platform.unread {
        let there = match place {
            Place::Authorization(_) | Place::Certificate => false,
            Place::Header(name) => request.headers.all(name).any(|it| !it.is_empty()),
            Place::Query(name) => request.query.spellings(name).next().is_some(),
        };
        if there {
            let detail = "a credential stands where the upstream reads one and no scheme here does";
            return Err(Denial::new(Reason::Malformed, detail));
        }
    }
    let mut found: Decoded<'p> = Vec::new();
    for named in &platform.schemes {
        let decoded = named.scheme.decode(request);
        trace.step(|| Step::Scheme {
            scheme: Arc::clone(&named.name),
            found: decoded.clone().map(|it| it.as_ref().map(Found::of)),
        });
        let Some(credential) = decoded? else {
            continue;
        };
        found.reserve_exact(1);
        found.push((named, credential));
        if platform.conflict == Conflict::Precedence {
            return Ok(found);
        }
    }
    if found.len() > 1 && platform.conflict == Conflict::Refuse {
        return Err(Denial::new(
            Reason::Conflict,
            "the request carries several credentials",
        ));
    }
    let is_there = |it: &Place| matches!(it, Place::Authorization(_));
    let decoded = found.iter().any(|it| is_there(it.1.place()));
    if authorization.is_some() && !decoded && platform.places().any(is_there) {
        let detail = "no scheme of the platform reads this Authorization";
        return Err(Denial::new(Reason::Malformed, detail));
    }
    Ok(found)
}
