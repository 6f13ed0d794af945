//! The issue listener: where clients get what they present later, behind the same door as all else.
//!
//! Envoy sends requests here only after Check has admitted them, with a sealed [`Context`] that says
//! whose they are; nothing is answered without one. So there is one authenticator, one policy and
//! one idea of the client's address, and nothing here asks who is calling. A dialect parses what a
//! platform's clients send and prints what they expect; the `core` does the
//! work, and knows no platform's words.

mod answer;
mod audited;
mod body;
pub mod core;
mod crossbar;
mod form;
mod infobip;
mod notes;
mod opentact;
mod standing;
mod totp;
mod turns;
mod uuid;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use futures_core::future::BoxFuture;

use crate::context::{self, Context, ContextError};
use crate::current::Current;
use crate::decision::{Dependency, Failure, Fault};
use crate::identity::Identity;
use crate::issue::answer::Answer;
use crate::issue::core::Core;
use crate::keys::hmac::Header;
use crate::platform::Platform;
use crate::platform::settings::{IssueSettings, SessionLife};
use crate::policy::path::PathSegments;
use crate::scheme::StoredForm;

/// The largest body that is read, in bytes: a login has a few hundred.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long a request may take, its body included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the keys are that verify our tokens (RFC 8414 §2, `jwks_uri`).
const JWKS: &str = "/.well-known/jwks.json";

/// How a platform's clients ask for credentials, and how they are answered.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What `issue.dialect` of a platform says.
    pub name: &'static str,
    /// The stored forms of passwords that its logins verify, besides those of the schemes.
    pub forms: &'static [StoredForm],
    /// Whether clients log in at its endpoints, where failures are limited by the client's address.
    pub logs_in: bool,
    /// Whether it makes sessions, which the platform's `issue` says the life of.
    pub has_sessions: bool,
    /// What its tokens are signed with.
    pub signature: Signature,
    /// How long its tokens are good where `issue.token_seconds` of the platform does not say; `None`
    /// where something else does.
    pub lifetime: Option<Duration>,
    answer: Answering,
}

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signature {
    /// RS256, under the keys of `signing`.
    Rs256,
    /// HS256, under the platform's own secret.
    Hs256(Header),
}

type Answering = for<'a> fn(&'a Core, &'a Asked) -> BoxFuture<'a, Result<Answer, Failure>>;

/// Every dialect.
pub const DIALECTS: &[Dialect] = &[crossbar::DIALECT, infobip::DIALECT, opentact::DIALECT];

/// Gives the dialect of this name.
#[must_use]
pub fn dialect(name: &str) -> Option<&'static Dialect> {
    DIALECTS.iter().find(|it| it.name == name)
}

/// An admitted request, whole.
struct Asked {
    context: Context,
    platform: Arc<Platform>,
    dialect: &'static Dialect,
    /// The path, decoded.
    segments: Vec<String>,
    /// What stands behind the path, as it came.
    query: String,
    content_type: String,
    accept: String,
    /// The client's id for the request, or ours.
    request_id: String,
    /// `None`: larger than any.
    body: Option<Bytes>,
}

impl Asked {
    /// Gives who asks.
    ///
    /// # Errors
    /// A fault where it is nobody.
    fn identity(&self) -> Result<&Identity, Failure> {
        // The presets' rules ask for one; a rule of somebody's own may not.
        let detail = "a rule with `issue` admits nobody to an endpoint that is about somebody";
        let identity = self.context.identity.as_ref();
        identity.ok_or_else(|| Fault::new(Dependency::Internal, detail).into())
    }

    /// Gives the body where it was sent under this media type; `None` also where it is too large.
    fn body_of(&self, media_type: &str) -> Option<&Bytes> {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        let same = essence.trim().eq_ignore_ascii_case(media_type);
        self.body.as_ref().filter(|_| same)
    }

    /// Gives how long a session of the platform lives.
    ///
    /// # Errors
    /// A fault where the platform issues nothing, which cannot be.
    fn session_life(&self) -> Result<SessionLife, Fault> {
        let life = self
            .platform
            .issue
            .as_ref()
            .map(IssueSettings::session_life);
        life.ok_or_else(|| Fault::new(Dependency::Internal, "the platform issues nothing"))
    }

    /// Gives how long a token of the platform is good.
    fn lifetime(&self) -> Duration {
        let set = self.platform.issue.as_ref().and_then(|it| it.token_seconds);
        let set = set.map(|it| Duration::from_secs(it.get().into()));
        set.or(self.dialect.lifetime).unwrap_or_default()
    }
}

/// Shows neither body nor path nor query: credentials stand there.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("platform", &self.platform.name)
            .finish_non_exhaustive()
    }
}

/// Gives the endpoints of every platform that has a dialect.
pub fn router(core: impl Into<Current<Core>>) -> Router {
    Router::new().fallback(answer).with_state(core.into())
}

pub(crate) async fn answer(State(core): State<Current<Core>>, request: Request) -> Response {
    let core = Core::clone(&core.get());
    let (parts, body) = request.into_parts();
    let mut asked = match admitted(&core, &parts) {
        Ok(asked) => asked,
        Err(why) => {
            core.tell(&why);
            return Answer::forbidden().into();
        }
    };
    let answered = tokio::time::timeout(PATIENCE, reply(&core, &mut asked, body)).await;
    let late = |_| {
        let detail = "an endpoint took too long, or its request's body did";
        Err(Fault::new(Dependency::Deadline, detail).into())
    };
    let answered = answered.unwrap_or_else(late);
    answered
        .unwrap_or_else(|failure| core.refuse(&asked, &failure))
        .into()
}

async fn reply(core: &Core, asked: &mut Asked, body: Body) -> Result<Answer, Failure> {
    asked.body = to_bytes(body, MAX_BODY_BYTES).await.ok();
    if asked.context.path == JWKS && asked.context.method == Method::GET.as_str() {
        return Ok(Answer::json(200, &core.jwks(&asked.platform)));
    }
    core.confirm(asked).await?;
    (asked.dialect.answer)(core, asked).await
}

/// Reads who was admitted for this very request.
fn admitted(core: &Core, parts: &Parts) -> Result<Asked, Unadmitted> {
    let mut contexts = parts.headers.get_all(context::HEADER).iter();
    let sealed = contexts.next().ok_or(Unadmitted::Absent)?;
    if contexts.next().is_some() {
        return Err(Unadmitted::Several);
    }
    let sealed = sealed.to_str().map_err(|_| ContextError::Forged)?;
    let request = (parts.method.as_str(), parts.uri.path());
    let context = core.open(sealed, request)?;
    let platform = core
        .platform(&context.platform)
        .ok_or(Unadmitted::Platform)?;
    let dialect = platform.issue.as_ref().map(|it| it.dialect.as_str());
    let dialect = dialect
        .and_then(self::dialect)
        .ok_or(Unadmitted::Platform)?;
    let path = PathSegments::parse(&context.path).map_err(|_| ContextError::Forged)?;
    let segments = path.iter().map(str::to_owned).collect();
    let text = |name| text_of(&parts.headers, name);
    let request_id = text("x-request-id");
    Ok(Asked {
        segments,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        platform,
        dialect,
        content_type: text(header::CONTENT_TYPE.as_str()),
        accept: text(header::ACCEPT.as_str()),
        request_id: if request_id.is_empty() || request_id.len() > 128 {
            core.fresh_id()
        } else {
            request_id
        },
        context,
        body: None,
    })
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|it| it.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Why a request is not answered at all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Unadmitted {
    #[error(
        "it carries no context: it did not come by a route of Envoy that asks Check, under a rule with `issue`"
    )]
    Absent,
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error("no platform with a dialect has its name")]
    Platform,
    #[error("it carries several contexts")]
    Several,
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod under_way;
