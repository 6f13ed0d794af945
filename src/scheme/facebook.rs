//! `facebook`: an access token of Facebook Login, which Facebook's Graph API is asked about
//! (`debug_token`), or a token of Limited Login, which Facebook has signed.
//!
//! An access token says nothing by itself: whose it is, and for which app it was issued, Graph says. A
//! token of another app is nobody's here, or any site could collect tokens and be its visitors.
//! The user is found by the link to this app's id of it, never by e-mail.
//!
//! Asking takes longer than a Check may, and spends a quota of the app. So what Graph said is kept
//! for a minute and asked again ahead of its end, tokens that are not known are asked about a few at
//! a time and so often in a second, and of one client only so many.

mod answer;
mod limited;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
use crate::outbound::{OutboundError, check_url};
use crate::request::RequestView;
use crate::scheme::facebook::answer::{Vouched, judge};
use crate::scheme::facebook::limited::Limited;
use crate::scheme::{
    Allowance, Asker, Budget, Challenge, Context, Kind, RawAllowance, Reading, Scheme, Source,
    Verified, challenge_of, check_leeway, check_setting, check_shape, earlier, find, open_linked,
    parse_places,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "facebook",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// How long Graph's word is good: who logs out or takes the app's permission back is out after that.
const KEPT: Duration = Duration::from_secs(60);

/// How many tokens of one client may be nobody's in a window, unless settings say else: a tenth of
/// what Graph may be asked by all of them.
const FAILURES: u32 = 300;

/// How many times what Graph is asked in a second it may be asked at once.
const BURST_SECONDS: u32 = 10;

/// The most that Graph may be asked in a second.
const MAX_CALLS_PER_SECOND: u32 = 10_000;

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
    /// How far Facebook's clock may differ, where Limited Login's tokens are concerned; 60 at most.
    #[serde(default)]
    leeway_seconds: u64,
    /// How often in a second Graph is asked about tokens that are not known, from all addresses
    /// together, 10000 at most; ten times that at once. What is beyond is a failure of ours.
    #[serde(default = "calls")]
    calls_per_second: u32,
    /// How many tokens of one client may be nobody's; 300 in 60 seconds, if absent.
    #[serde(default)]
    throttle: RawAllowance,
}

fn calls() -> u32 {
    50
}

fn keys() -> String {
    "https://www.facebook.com/.well-known/oauth/openid/jwks/".to_owned()
}

fn graph() -> String {
    "https://graph.facebook.com/v23.0".to_owned()
}

#[derive(Debug)]
struct Facebook {
    platform: Arc<str>,
    name: Arc<str>,
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
    asker: Asker,
    allowance: Allowance,
    limited: Limited,
    /// The minute in which it was last told that Graph is asked as often as it may be.
    told: AtomicU64,
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
        platform: context.platform.into(),
        name: context.name.into(),
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
        check_leeway(read.leeway_seconds, complain);
        let (calls, allowance) = (
            read.calls_per_second,
            read.throttle.check(FAILURES, complain),
        );
        if !(1..=MAX_CALLS_PER_SECOND).contains(&calls) {
            complain("/calls_per_second", "from 1 to 10000");
        }
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
        let keys = read.jwks_url.clone();
        let limited = Limited::new(id, keys, read.leeway_seconds, context)
            .map_err(|message| complain("", message))
            .ok()?;
        let burst = calls.saturating_mul(BURST_SECONDS);
        Some(Self {
            id: id.clone(),
            issuer: format!("facebook:{id}"),
            secret,
            graph: read.graph_url.trim_end_matches('/').to_owned(),
            asker: Asker::new(context.outbound).with_rate(calls, burst),
            allowance,
            limited,
            told: AtomicU64::new(0),
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
        Ok((self.ask(token, reads).await?, None))
    }

    /// Asks Graph about a token.
    async fn ask(&self, token: &str, reads: &Reads) -> Result<Vouched, Failure> {
        // The app's own token, which may ask about all that are issued for it, is its id and secret.
        let own = [self.id.as_bytes(), b"|", self.secret.expose()].concat();
        let own = Secret::new(own);
        let own = own.expose_str().unwrap_or_default();
        let query = Serializer::new(String::new())
            .append_pair("input_token", token)
            .append_pair("access_token", own)
            .finish();
        let reply = self
            .asker
            .of(reads)
            .get(&format!("{}/debug_token?{query}", self.graph))
            .await;
        let reply = reply.map_err(|it| {
            if it == OutboundError::TooOften {
                self.tell(reads.now() / 60);
            }
            fault(format!("Graph cannot be asked: {it}"))
        })?;
        judge(&reply, &self.id, reads.now())
    }

    /// Logs, once a minute, that tokens are refused since Graph is asked as often as it may be.
    fn tell(&self, minute: u64) {
        if self.told.swap(minute, Ordering::Relaxed) != minute {
            tracing::warn!(
                app_id = self.id,
                "Graph is asked about unknown tokens as often as `calls_per_second` lets it be:                  further ones are a 503"
            );
        }
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
                token: token.map(Box::new),
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
        let app = self.app.as_ref();
        app.map(|it| Budget::Scheme(it.allowance))
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
