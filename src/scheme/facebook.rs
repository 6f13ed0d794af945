//! `facebook`: an access token of Facebook Login, which Facebook's Graph API is asked about
//! (`debug_token`), or a token of Limited Login, which Facebook has signed.
//!
//! An access token says nothing by itself: whose it is, and for which app it was issued, Graph says. A
//! token of another app is nobody's here, or any site could collect tokens and be its visitors.
//! The user is found by the link to this app's id of it, never by e-mail.
//!
//! Asking takes longer than a Check may, and spends a quota of the app. So what Graph said is kept
//! for a minute and asked again ahead of its end, a bounded number of tokens is asked about at once,
//! and a client has only so many failed attempts.

mod answer;
mod limited;

use std::sync::Arc;
use std::time::Duration;

use form_urlencoded::Serializer;
use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Dependency, Failure, Fault, Reason};
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::identity::{Identity, TokenRef};
use crate::outbound::{Outbound, check_url};
use crate::request::RequestView;
use crate::scheme::facebook::answer::{Vouched, judge};
use crate::scheme::facebook::limited::Limited;
use crate::scheme::{
    Budget, Challenge, Context, Kind, Reading, Scheme, Source, Verified, challenge_of,
    check_setting, check_shape, earlier, find, open_linked, parse_places,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "facebook",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// How long Graph's word is good: who logs out or takes the app's permission back is out after that.
const KEPT: Duration = Duration::from_secs(60);

/// How many tokens are asked about at once; a further one is a fault and does not wait.
const IN_FLIGHT: usize = 32;

/// The longest id of an app, in digits; today's have 17 at most.
const MAX_APP_ID_DIGITS: usize = 32;

/// The longest access token that Graph is asked about, in bytes: theirs are a few hundred, and a
/// URL that Graph refuses would be a failure of ours.
const MAX_TOKEN_BYTES: usize = 2048;

/// Settings of a `facebook` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the token may stand, such as `[{ header: x-auth-facebook-token }]`.
    from: Vec<Source>,
    /// The id of the app that the tokens are issued for, in quotes. Users are linked to the issuer
    /// `facebook:APP_ID`. Without it and `app_secret_file`, every token is refused.
    app_id: Option<String>,
    /// A file with the app's secret.
    app_secret_file: Option<String>,
    /// Where Graph is, with its version.
    #[serde(default = "graph")]
    graph_url: String,
    /// Where Facebook publishes the keys of Limited Login's tokens.
    #[serde(default = "keys")]
    jwks_url: String,
}

fn keys() -> String {
    "https://www.facebook.com/.well-known/oauth/openid/jwks/".to_owned()
}

fn graph() -> String {
    "https://graph.facebook.com/v23.0".to_owned()
}

#[derive(Debug)]
struct Facebook {
    platform: String,
    name: String,
    places: Vec<Place>,
    reading: Reading,
    app: Option<App>,
}

/// The app that tokens are issued for, and whom to ask about them.
#[derive(Debug)]
struct App {
    id: String,
    issuer: String,
    secret: Secret,
    graph: String,
    outbound: Outbound,
    limited: Limited,
}

fn build(
    context: &Context<'_>,
    settings: &Document,
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Scheme>> {
    let before = problems.len();
    let read: Settings = settings.read("", problems)?;
    let mut complain =
        |pointer: &str, message: &str| problems.push(settings.problem(pointer, message));
    let places = parse_places(&read.from);
    if let Err(message) = places {
        complain("/from", message);
    }
    let app = App::read(&read, context, &mut complain);
    if problems.len() > before {
        return None;
    }
    Some(Arc::new(Facebook {
        platform: context.platform.to_owned(),
        name: context.name.to_owned(),
        places: places.ok()?,
        reading: context.reading,
        app,
    }))
}

impl App {
    /// Gives the app where the settings name one; what is wrong with them is told.
    fn read(
        read: &Settings,
        context: &Context<'_>,
        complain: &mut impl FnMut(&str, &str),
    ) -> Option<Self> {
        if let Err(message) = check_url(&read.graph_url) {
            complain("/graph_url", message);
        } else if read.graph_url.contains('?') {
            complain("/graph_url", "a URL that paths are added to has no query");
        }
        check_setting("/jwks_url", Some(&read.jwks_url), complain);
        let (id, file) = match (&read.app_id, &read.app_secret_file) {
            (Some(id), Some(file)) => (id, file),
            (None, None) => return None,
            (Some(_), None) => {
                complain("", "`app_id` needs `app_secret_file`");
                return None;
            }
            (None, Some(_)) => {
                complain("", "`app_secret_file` needs `app_id`");
                return None;
            }
        };
        let digits = id.bytes().all(|it| it.is_ascii_digit());
        if !digits || !(1..=MAX_APP_ID_DIGITS).contains(&id.len()) {
            complain("/app_id", "the id of an app is a number");
        }
        let secret = Secret::read(&context.base.join(file))
            .map_err(|message| complain("/app_secret_file", &message))
            .ok()?;
        let is_secret = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_graphic());
        if !secret.expose_str().is_some_and(is_secret) {
            complain("/app_secret_file", "the file holds no app's secret");
        }
        let limited = Limited::new(id, read.jwks_url.clone(), context)
            .map_err(|message| complain("", message))
            .ok()?;
        Some(Self {
            id: id.clone(),
            issuer: format!("facebook:{id}"),
            secret,
            graph: read.graph_url.trim_end_matches('/').to_owned(),
            outbound: context.outbound.with_own_bound(IN_FLIGHT),
            limited,
        })
    }

    /// Tells for whom a token stands, whichever of the two it is.
    async fn check(
        &self,
        token: &str,
        reads: &Reads,
    ) -> Result<(Vouched, Option<TokenRef>), Failure> {
        if token.contains('.') {
            let (vouched, token) = self.limited.check(token, reads).await?;
            return Ok((vouched, Some(token)));
        }
        Ok((self.ask(token, reads.now()).await?, None))
    }

    /// Asks Graph about a token.
    async fn ask(&self, token: &str, now: u64) -> Result<Vouched, Failure> {
        // The app's own token, which may ask about all that are issued for it, is its id and secret.
        let own = [self.id.as_bytes(), b"|", self.secret.expose()].concat();
        let own = Secret::new(own);
        let own = own.expose_str().unwrap_or_default();
        let query = Serializer::new(String::new())
            .append_pair("input_token", token)
            .append_pair("access_token", own)
            .finish();
        let reply = self
            .outbound
            .get(&format!("{}/debug_token?{query}", self.graph))
            .await;
        let reply = reply.map_err(|it| fault(format!("Graph cannot be asked: {it}")))?;
        judge(&reply, &self.id, now)
    }
}

impl Scheme for Facebook {
    fn places(&self) -> &[Place] {
        &self.places
    }

    /// Refuses what Graph need not be asked about.
    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some((place, token)) = find(request, &self.places, self.reading)? else {
            return Ok(None);
        };
        if token.contains('.') {
            check_shape(&token)?;
            return Ok(Some(credential(place, &token)));
        }
        // Apps' own tokens hold a `|`: they are nobody's.
        let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
        if !(1..=MAX_TOKEN_BYTES).contains(&token.len()) || !token.bytes().all(plain) {
            let detail = "not a user's access token of Facebook Login";
            return Err(Denial::new(Reason::Malformed, detail));
        }
        Ok(Some(credential(place, &token)))
    }

    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            let Some(app) = &self.app else {
                return Err(denied("the scheme has no app whose tokens it takes").into());
            };
            let token = credential.secret().expose_str().unwrap_or_default();
            let (vouched, token) = app.check(token, reads).await?;
            let subject = (app.issuer.as_str(), vouched.user.as_str());
            let identity = open_linked(&self.platform, &self.name, subject, reads).await?;
            Ok(Verified::vouch(Identity {
                expires: earlier(vouched.expires, identity.expires),
                token,
                ..identity
            }))
        })
    }

    fn challenge(&self) -> Option<Challenge> {
        challenge_of(&self.places).filter(|_| self.app.is_some())
    }

    fn kept_at_most(&self) -> Option<Duration> {
        Some(KEPT)
    }

    fn budget(&self) -> Option<Budget> {
        self.app.as_ref().map(|_| Budget::Scheme)
    }

    fn warning(&self) -> Option<&'static str> {
        let message = "it has no `app_id` and `app_secret_file`, so every token is refused; give it \
                       those of the app, or null to switch it off";
        self.app.is_none().then_some(message)
    }
}

fn credential(place: Place, token: &str) -> Credential {
    Credential::new(place, "", Secret::new(token.as_bytes()))
}

fn denied(detail: &'static str) -> Denial {
    Denial::new(Reason::Unknown, detail)
}

fn fault(detail: impl Into<String>) -> Fault {
    Fault::new(Dependency::Facebook, detail)
}

#[cfg(test)]
mod tests;
