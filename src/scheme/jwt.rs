//! `jwt`: a token that says itself whom it stands for, signed (RFC 7519, RFC 7515, RFC 8725).
//!
//! The configuration says everything that matters: which keys, each with its algorithm, or where the
//! issuer publishes them, which issuer, what must be claimed, and which claims name the user. The token only names; nothing in
//! it leads to a key or a URL. A valid signature is a proof and remembered as one; whether the
//! token is still good is asked of the clock and the directory each time.
//!
//! Tokens that this project mints carry `gen`, a list of three numbers: the generations of the
//! platform, the account and the user at that time, 0 where there is none. Where the claim is there
//! and the directory is asked, it must be what the records say now; under a key that only we sign
//! with (`minted_here`) it must be there. Under a secret that another issuer has too, its tokens,
//! which say no generations, end by `exp` or one by one.

mod settings;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::Value;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::identity::{Identity, TokenRef};
use crate::keys::hmac::HmacKeys;
use crate::keys::remote::{KeySet, Settings as KeySetSettings};
use crate::keys::{self, Algorithm, Key, Keys};
use crate::request::RequestView;
use crate::scheme::jwt::settings::{Settings, check};
use crate::scheme::{
    Challenge, Context, Demands, Kind, Lookup, Names, Reading, Scheme, Token, Verified,
    challenge_of, check_shape, check_signed, earlier, find, parse_places, unrevoked,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "jwt",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

#[derive(Debug)]
struct Jwt {
    places: Vec<Place>,
    reading: Reading,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    key_set: Option<Arc<KeySet>>,
    minted_here: bool,
    demands: Demands,
    names: Names,
    /// The same for tokens that others have made.
    names_of_others: Names,
    lookup: Lookup,
}

/// Who has signed a token.
#[derive(Clone, Copy, Eq, PartialEq)]
enum By {
    /// We, and nobody else could.
    Us,
    /// We, or an issuer that has the same secret.
    UsOrAnother,
    /// An issuer.
    Another,
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
    let keys = Keys::load(&read.keys, context.base).unwrap_or_else(|found| {
        for it in found {
            let slash = if it.setting.is_empty() { "" } else { "/" };
            complain(
                &format!("/keys/{}{slash}{}", it.index, it.setting),
                &it.message,
            );
        }
        Keys::default()
    });
    let keys = keys.and(own_keys(&read, context));
    check(&read, &mut complain);
    if problems.len() > before {
        return None;
    }
    let key_set = key_set(&read, context)
        .map_err(|message| problems.push(settings.problem("", message)))
        .ok()?;
    let names_of_others = names_of_others(&read);
    Some(Arc::new(Jwt {
        places: places.ok()?,
        reading: context.reading,
        algorithms: read
            .algorithms
            .unwrap_or_else(|| keys.algorithms().collect()),
        keys,
        key_set,
        minted_here: read.minted_here,
        demands: Demands {
            issuers: read.issuer.into_iter().collect(),
            audience: read.audience,
            required: read.required_claims,
            leeway: read.leeway_seconds,
        },
        names_of_others,
        names: read.claims,
        lookup: Lookup {
            platform: context.platform.into(),
            scheme: context.name.into(),
            directory: read.directory,
            kept: context.claims.to_vec(),
            account_roles: read.account_roles,
        },
    }))
}

/// Which claims say who is meant where the token is not ours. Where users are also found by a login, the
/// user's id is our own claim, and what another issuer says there are no ids of the directory.
fn names_of_others(read: &Settings) -> Names {
    let mut names = read.claims.clone();
    if read.minted_here && names.login.is_some() {
        names.user = None;
    }
    names
}

/// Makes what fetches the issuer's key set, where it publishes one.
fn key_set(read: &Settings, context: &Context<'_>) -> Result<Option<Arc<KeySet>>, &'static str> {
    let Some(issuer) = read.issuer.clone() else {
        return Ok(None);
    };
    let source = match (&read.jwks_url, &read.discovery) {
        (Some(url), _) => keys::Source::KeySet(url.clone()),
        (None, Some(url)) => keys::Source::Discovery {
            url: url.clone(),
            issuer: issuer.clone(),
        },
        (None, None) => return Ok(None),
    };
    let (keep, cool_down) = read.keeping().check(&mut |_, _| {});
    let settings = KeySetSettings {
        issuer,
        source,
        algorithms: read.algorithms.clone().unwrap_or_default(),
        keep,
        cool_down,
    };
    let whose = (context.platform, context.name);
    let sets = context.key_sets;
    sets.get(whose, settings, context.outbound).map(Some)
}

/// What tokens that are minted here are verified with: RS256, unless the scheme takes it not, and
/// HS256, if it takes it in so many words.
fn own_keys(read: &Settings, context: &Context<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    if !read.minted_here {
        return keys;
    }
    let named = |it| read.algorithms.as_ref().map(|all| all.contains(&it));
    if named(Algorithm::Rs256).unwrap_or(true) {
        keys.extend(context.signing.verifying(context.platform));
    }
    if named(Algorithm::Hs256).unwrap_or(false) {
        keys.extend(context.hmac.verifying());
    }
    keys
}

impl Scheme for Jwt {
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

    fn is_unguessable(&self) -> bool {
        true
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
            let by = self.check_signature(&token, reads).await?;
            let says_generations = token.claims.contains_key("gen");
            if by == By::Us && !says_generations {
                return Err(denied(Reason::Malformed, "a token of ours has no `gen`").into());
            }
            let ends = self.demands.check(&token.claims, reads.now())?;
            let reference = unrevoked(&token, ends, reads).await?;
            // Whatever else another issuer's token says: its claims may be its users' own to choose.
            let names = match says_generations && by != By::Another {
                true => &self.names,
                false => &self.names_of_others,
            };
            let named = names.read(&token.claims)?;
            let identity = self
                .lookup
                .identify(named, &token.claims, token.claims.get("gen"), reads)
                .await?;
            let method = token.claims.get("method").and_then(Value::as_str);
            Ok(Verified::vouch(Identity {
                expires: earlier(Some(ends), identity.expires),
                token: Some(Box::new(TokenRef {
                    method: method.map(str::to_owned),
                    ..reference
                })),
                ..identity
            }))
        })
    }

    fn tells_claims(&self) -> bool {
        true
    }

    fn challenge(&self) -> Option<Challenge> {
        challenge_of(&self.places).filter(|_| !self.has_no_keys())
    }

    fn takes_signed_with(&self, secrets: &HmacKeys) -> bool {
        secrets.are_among(&self.keys)
    }

    fn warning(&self) -> Option<&'static str> {
        let message = if !self.minted_here {
            "it has no `keys`, so every token is refused; give it the issuer's keys or its \
             `jwks_url`, or null to switch it off"
        } else if self.algorithms.contains(&Algorithm::Hs256) {
            "it has no `keys`, and the platform mints no tokens (`listen.issue`), so every token is \
             refused; give it the issuer's keys, or that, or null to switch it off"
        } else {
            "it has no `keys`, and there are no `signing.key_files` to mint tokens with, so every \
             token is refused; give it the issuer's keys, or those, or null to switch it off"
        };
        self.has_no_keys().then_some(message)
    }
}

impl Jwt {
    /// Tells whether there is no key under which any token could be good.
    fn has_no_keys(&self) -> bool {
        self.keys.is_empty() && self.key_set.is_none()
    }

    /// Demands the signature of a key that the configuration has for this algorithm, or else the
    /// issuer's key set, and tells who signs with that key.
    async fn check_signature(&self, token: &Token<'_>, reads: &Reads) -> Result<By, Failure> {
        let unknown = || {
            denied(
                Reason::Unknown,
                "no key for what the token says it is signed with",
            )
        };
        if !self.algorithms.contains(&token.algorithm) {
            return Err(unknown().into());
        }
        let named = self.keys.candidates(token.kid.as_deref(), token.algorithm);
        let mut wrong = None;
        for key in named {
            match check_signed(key, token, reads.prover()) {
                Ok(()) if key.is_ours() => return Ok(By::Us),
                Ok(()) if key.may_be_ours() => return Ok(By::UsOrAnother),
                Ok(()) => return Ok(By::Another),
                Err(denial) => wrong = Some(denial),
            }
        }
        if let Some(denial) = wrong {
            return Err(denial.into());
        }
        let key_set = self.key_set.as_ref().ok_or_else(unknown)?;
        // Before anything is asked of the issuer: what is no token of its, or over, leads nowhere.
        self.demands.check(&token.claims, reads.now())?;
        let key = key_set.key(token.kid.as_deref(), token.algorithm).await?;
        check_signed(&key, token, reads.prover())?;
        Ok(By::Another)
    }
}

fn denied(reason: Reason, detail: &'static str) -> Denial {
    Denial::new(reason, detail)
}

#[cfg(test)]
mod tests;
