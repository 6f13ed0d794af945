//! `introspection`: a token that its issuer is asked about (RFC 7662).
//!
//! The token says nothing here; the issuer's endpoint says whether it is active, and whom it names.
//! What it says is kept no longer than the token lasts and a bound of its own, and asked again ahead
//! of its end. All but a plain word about the token is a fault: an endpoint that is away, or
//! refuses our own credentials, says nothing about whoever asks to be let in.

mod answer;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Dependency, Failure, Fault, Reason};
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::identity::Identity;
use crate::request::RequestView;
use crate::scheme::introspection::answer::{judge, unclear};
use crate::scheme::introspection::settings::Settings;
use crate::scheme::{
    Allowance, Asker, Budget, Challenge, Context, Demands, Kind, Lookup, Names, Reading, Scheme,
    Verified, challenge_of, check_unbound, earlier, find, parse_places,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "introspection",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

#[derive(Debug)]
struct Introspection {
    places: Vec<Place>,
    reading: Reading,
    endpoint: Endpoint,
    demands: Demands,
    names: Names,
    lookup: Lookup,
    keep: Duration,
    allowance: Allowance,
}

/// Whom to ask, and as whom.
#[derive(Debug)]
struct Endpoint {
    url: String,
    /// The whole value of `Authorization`.
    authorization: Secret,
    asker: Asker,
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
    let allowance = read.check(&mut complain);
    let authorization = read.authorization(context.base, &mut complain);
    if problems.len() > before {
        return None;
    }
    Some(Arc::new(Introspection {
        places: places.ok()?,
        reading: context.reading,
        endpoint: Endpoint {
            url: read.url,
            authorization: authorization?,
            asker: Asker::new(context.outbound),
        },
        demands: Demands {
            issuers: read.issuer.into_iter().collect(),
            audience: read.audience,
            required: Vec::new(),
            leeway: 0,
        },
        names: read.claims,
        lookup: Lookup {
            platform: context.platform.into(),
            scheme: context.name.into(),
            directory: read.directory,
            kept: context.claims.to_vec(),
            account_roles: read.account_roles,
        },
        keep: Duration::from_secs(read.keep_seconds),
        allowance,
    }))
}

impl Scheme for Introspection {
    fn places(&self) -> &[Place] {
        &self.places
    }

    /// Refuses what cannot be a token (RFC 6750 §2.1), which the issuer need not be asked about.
    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some((place, token)) = find(request, &self.places, self.reading)? else {
            return Ok(None);
        };
        let digit = |it: u8| it.is_ascii_alphanumeric() || b"-._~+/".contains(&it);
        let digits = token.trim_end_matches('=');
        if digits.is_empty() || !digits.bytes().all(digit) {
            let detail = "not in the alphabet of tokens";
            return Err(Denial::new(Reason::Malformed, detail));
        }
        let secret = Secret::new(token.as_bytes());
        Ok(Some(Credential::new(place, "", secret)))
    }

    fn is_unguessable(&self) -> bool {
        true
    }

    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            let token = credential.secret().expose_str().unwrap_or_default();
            let form = [("token", token), ("token_type_hint", "access_token")];
            let endpoint = &self.endpoint;
            let authorization = Some(&endpoint.authorization);
            let reply = endpoint
                .asker
                .of(reads)
                .post_form(&endpoint.url, &form, authorization)
                .await
                .map_err(|it| fault(format!("the endpoint cannot be asked: {it}")))?;
            let said = judge(&reply)?;
            check_unbound(&said)?;
            self.demands.check_issuer(&said).map_err(unclear)?;
            if !self.demands.audience.is_empty() {
                self.demands.check_audience(&said).map_err(unclear)?;
            }
            // Whether it has begun the issuer has judged, by its own clock.
            let ends = self.demands.check_end(&said, reads.now());
            let ends = ends.map_err(unclear)?;
            let named = self.names.read(&said).map_err(unclear)?;
            let identity = self.lookup.identify(named, &said, None, reads).await?;
            Ok(Verified::vouch(Identity {
                expires: earlier(ends, identity.expires),
                ..identity
            }))
        })
    }

    fn tells_claims(&self) -> bool {
        true
    }

    fn challenge(&self) -> Option<Challenge> {
        challenge_of(&self.places)
    }

    fn kept_at_most(&self) -> Option<Duration> {
        Some(self.keep)
    }

    fn budget(&self) -> Option<Budget> {
        Some(Budget::Scheme(self.allowance))
    }
}

fn fault(detail: impl Into<String>) -> Fault {
    Fault::new(Dependency::Introspection, detail)
}

#[cfg(test)]
mod tests;
