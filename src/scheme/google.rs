//! `google`: an ID token of Google Sign-In, for users who are linked to their Google account.
//!
//! As Google asks of whoever verifies one (developers.google.com/identity/sign-in/web/backend-auth):
//! signed with a key of its key set, RS256, for one of our client ids, issued by Google under either
//! of its two names, not over, and of the Workspace domain where one is demanded. The user is the
//! one linked with the token's `sub`, never one of the same e-mail address, and nobody is made on
//! first sight.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::identity::Identity;
use crate::keys::remote::{KeySet, Settings as KeySetSettings};
use crate::keys::{Algorithm, Source as KeySource};
use crate::request::RequestView;
use crate::scheme::{
    Challenge, Context, Demands, Keeping, Kind, Reading, Scheme, Source, Token, Verified,
    challenge_of, check_leeway, check_setting, check_shape, check_signed, earlier, find,
    open_linked, parse_places, text_claim, unrevoked,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "google",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// What Google calls itself in tokens.
const ISSUERS: [&str; 2] = ["accounts.google.com", "https://accounts.google.com"];

/// What links of users call it.
const LINK: &str = "google";

/// Settings of a `google` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the token may stand, such as `[{ header: x-auth-google-token }]`.
    from: Vec<Source>,
    /// The client ids of our applications; a token for another application is refused. Without any,
    /// every token is.
    #[serde(default)]
    client_ids: Vec<String>,
    /// The Workspace domain that users must belong to; absent: any Google account.
    hosted_domain: Option<String>,
    /// Where Google publishes its key set.
    #[serde(default = "google_keys")]
    jwks_url: String,
    /// How far Google's clock may differ, 60 at most.
    #[serde(default)]
    leeway_seconds: u64,
    /// How long the key set is kept while it cannot be fetched, in seconds since it last was; a
    /// day, if absent.
    keep_seconds: Option<u64>,
    /// How often at most a token that names an unknown key has the key set fetched again, in
    /// seconds; 30, if absent.
    cool_down_seconds: Option<u64>,
}

fn google_keys() -> String {
    "https://www.googleapis.com/oauth2/v3/certs".to_owned()
}

#[derive(Debug)]
struct Google {
    platform: Arc<str>,
    name: Arc<str>,
    places: Vec<Place>,
    reading: Reading,
    keys: Arc<KeySet>,
    demands: Demands,
    hosted_domain: Option<String>,
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
    check_setting("/jwks_url", Some(&read.jwks_url), &mut complain);
    check_leeway(read.leeway_seconds, &mut complain);
    if read.client_ids.iter().any(String::is_empty) {
        complain("/client_ids", "a client id is not empty");
    }
    if read.hosted_domain.as_ref().is_some_and(String::is_empty) {
        complain("/hosted_domain", "a domain, or null for any");
    }
    let keeping = Keeping {
        keep: read.keep_seconds,
        cool_down: read.cool_down_seconds,
    };
    let (keep, cool_down) = keeping.check(&mut complain);
    let keys = KeySetSettings {
        issuer: ISSUERS[1].to_owned(),
        source: KeySource::KeySet(read.jwks_url),
        algorithms: vec![Algorithm::Rs256],
        keep,
        cool_down,
    };
    let whose = (context.platform, context.name);
    let keys = context.key_sets.get(whose, keys, context.outbound);
    if let Err(message) = keys {
        complain("", message);
    }
    if problems.len() > before {
        return None;
    }
    Some(Arc::new(Google {
        platform: context.platform.into(),
        name: context.name.into(),
        places: places.ok()?,
        reading: context.reading,
        keys: keys.ok()?,
        demands: Demands {
            issuers: ISSUERS.map(str::to_owned).to_vec(),
            audience: read.client_ids,
            required: ["iss", "aud", "sub"].map(str::to_owned).to_vec(),
            leeway: read.leeway_seconds,
        },
        hosted_domain: read.hosted_domain,
    }))
}

impl Scheme for Google {
    fn places(&self) -> &[Place] {
        &self.places
    }

    /// Looks at the token's shape only: it is parsed where it is not known yet.
    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some((place, text)) = find(request, &self.places, self.reading)? else {
            return Ok(None);
        };
        check_shape(&text)?;
        let secret = Secret::new(text.as_bytes());
        Ok(Some(Credential::new(place, "", secret)))
    }

    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            let text = credential.secret().expose_str();
            let text = text.ok_or_else(|| denied(Reason::Malformed, "a token is ASCII"))?;
            let token = Token::parse(text)?;
            // Before Google is asked for anything: a token that is not for us leads nowhere.
            let ends = self.check_claims(&token, reads.now())?;
            let key = self.keys.key(token.kid.as_deref(), token.algorithm).await?;
            check_signed(&key, &token, reads.prover())?;
            let reference = unrevoked(&token, ends, reads).await?;
            let subject = token.claims.get("sub").map(text_claim).transpose()?;
            let subject = (LINK, &*subject.unwrap_or_default());
            let identity = open_linked(&self.platform, &self.name, subject, reads).await?;
            Ok(Verified::vouch(Identity {
                expires: earlier(Some(ends), identity.expires),
                token: Some(Box::new(reference)),
                ..identity
            }))
        })
    }

    fn challenge(&self) -> Option<Challenge> {
        challenge_of(&self.places).filter(|_| !self.demands.audience.is_empty())
    }

    fn warning(&self) -> Option<&'static str> {
        let message = "it has no `client_ids`, so every token is refused; give it those of your \
                       applications, or null to switch it off";
        self.demands.audience.is_empty().then_some(message)
    }
}

impl Google {
    /// Gives the end of the token, in Unix seconds.
    fn check_claims(&self, token: &Token<'_>, now: u64) -> Result<u64, Denial> {
        if token.algorithm != Algorithm::Rs256 {
            return Err(denied(Reason::Unknown, "Google signs with RS256"));
        }
        let ends = self.demands.check(&token.claims, now)?;
        let domain = token.claims.get("hd").and_then(Value::as_str);
        match &self.hosted_domain {
            Some(wanted) if domain != Some(wanted) => Err(denied(
                Reason::Unknown,
                "the token is of another Workspace domain (`hd`), or of none",
            )),
            Some(_) | None => Ok(ends),
        }
    }
}

fn denied(reason: Reason, detail: &'static str) -> Denial {
    Denial::new(reason, detail)
}
