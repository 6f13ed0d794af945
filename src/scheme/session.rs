//! `session`: a token of a login that lasts, behind a word of `Authorization` (`IBSSO TOKEN` at
//! Infobip).
//!
//! The token says nothing; everything stands in the directory ([`crate::directory::sessions`]). Each
//! verification extends the session, so what it says is kept for less long than the directory
//! allows for. Logging in and out is not here.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::directory::sessions::SLACK;
use crate::document::{Document, Problem};
use crate::identity::Identity;
use crate::request::RequestView;
use crate::scheme::{
    Challenge, Context, Kind, Reading, Scheme, Source, Verified, challenge_of, earlier, find,
    open_user, parse_places,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "session",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// Settings of a `session` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the token may stand, such as `[{ authorization: IBSSO }]`.
    from: Vec<Source>,
}

#[derive(Debug)]
struct Sessions {
    platform: Arc<str>,
    name: Arc<str>,
    places: Vec<Place>,
    reading: Reading,
}

fn build(
    context: &Context<'_>,
    settings: &Document,
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Scheme>> {
    let read: Settings = settings.read("", problems)?;
    let places = parse_places(&read.from)
        .map_err(|message| problems.push(settings.problem("/from", message)))
        .ok()?;
    Some(Arc::new(Sessions {
        platform: context.platform.into(),
        name: context.name.into(),
        places,
        reading: context.reading,
    }))
}

impl Scheme for Sessions {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some((place, token)) = find(request, &self.places, self.reading)? else {
            return Ok(None);
        };
        if token.contains(' ') {
            let detail = "a session's token holds no spaces";
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
            let session = reads.session(credential.secret()).await?;
            let session = session.ok_or_else(|| denied(Reason::Unknown, "no such session"))?;
            if session.ends <= reads.now() {
                return Err(denied(Reason::Expired, "the session has reached its end").into());
            }
            let user = reads.user(&session.user).await?;
            let user = user.ok_or_else(|| denied(Reason::Unknown, "the user is gone"))?;
            let opened = open_user(&self.platform, &self.name, user, reads).await?;
            let refused = |reason, detail| {
                let (account, user) = (&opened.identity.account, &session.user);
                denied(reason, detail).telling(|it| it.name(account.as_deref(), Some(user)))
            };
            if session.generations != opened.generations {
                return Err(refused(Reason::Revoked, "the user's sessions were revoked").into());
            }
            if !reads.extend_session(&session).await? {
                let detail = "the session was not used for too long";
                return Err(refused(Reason::Expired, detail).into());
            }
            Ok(Verified::vouch(Identity {
                expires: earlier(Some(session.ends), opened.identity.expires),
                allowed_addresses: session.address.into_iter().collect(),
                session: Some(session.token.to_string()),
                ..opened.identity
            }))
        })
    }

    fn challenge(&self) -> Option<Challenge> {
        challenge_of(&self.places)
    }

    fn binds_addresses(&self) -> bool {
        true
    }

    fn kept_at_most(&self) -> Option<Duration> {
        Some(SLACK)
    }
}

fn denied(reason: Reason, detail: &'static str) -> Denial {
    Denial::new(reason, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::{Bench, START};
    use crate::directory::records::User;
    use crate::directory::sessions::NewSession;

    const TOKEN: &str = "2f9b4d31-2d0d-49a8-85f0-9b862bdca394";

    fn scheme() -> Sessions {
        Sessions {
            platform: "p".into(),
            name: "session".into(),
            places: vec![Place::Authorization("IBSSO".into())],
            reading: Reading::default(),
        }
    }

    #[test]
    fn a_token_is_found_behind_its_word_only() {
        let cases = [
            ("IBSSO 2f9b4d31-2d0d", Ok(true)),
            ("ibsso 2f9b4d31-2d0d", Ok(true)),
            ("IBBSO 2f9b4d31-2d0d", Ok(false)),
            ("IBSSO", Err(Reason::Malformed)),
            ("IBSSO a b", Err(Reason::Malformed)),
        ];
        for (value, want) in cases {
            let request = RequestView {
                headers: [("authorization", value.as_bytes())].into_iter().collect(),
                ..RequestView::default()
            };
            let got = scheme().decode(&request);
            let got = got.map(|it| it.is_some()).map_err(|it| it.reason());
            assert_eq!(got, want, "{value}");
        }
    }

    async fn put_user(bench: &Bench, generation: u64, disabled: bool) {
        let user = User {
            id: "u-1".into(),
            username: Some("Aladdin".into()),
            generation,
            disabled,
            ..User::default()
        };
        bench.directory.put_user("p", &user).await.unwrap();
    }

    async fn log_in(bench: &Bench, generation: u64) {
        let new = NewSession {
            user: "u-1",
            generations: [0, 0, generation],
            address: Some("127.0.0.2/32".parse().unwrap()),
            idle: Some(Duration::from_hours(1)),
            cap: Duration::from_hours(24),
        };
        let token = Secret::new(TOKEN.as_bytes());
        let created = bench.directory.create_session("p", &token, &new);
        assert!(created.await.unwrap());
    }

    async fn verify(bench: &Bench, token: &str) -> Result<Identity, Reason> {
        let place = Place::Authorization("IBSSO".into());
        let credential = Credential::new(place, "", Secret::new(token.as_bytes()));
        let reads = bench.reads("p");
        match scheme().verify(&credential, &reads).await {
            Ok(verified) => Ok(verified.into_identity()),
            Err(Failure::Denied(denial)) => Err(denial.reason()),
            Err(Failure::Fault(fault)) => panic!("{fault}"),
        }
    }

    #[tokio::test]
    async fn a_session_is_its_users_from_its_address_until_it_ends() {
        let bench = Bench::new();
        put_user(&bench, 0, false).await;
        log_in(&bench, 0).await;
        let identity = verify(&bench, TOKEN).await.unwrap();
        assert_eq!(identity.user.as_deref(), Some("u-1"));
        assert_eq!(identity.username.as_deref(), Some("Aladdin"));
        assert_eq!(identity.expires, Some(START + 24 * 3600));
        assert_eq!(
            identity.allowed_addresses,
            ["127.0.0.2/32".parse().unwrap()]
        );
        let other = TOKEN.replace('2', "3");
        assert_eq!(verify(&bench, &other).await, Err(Reason::Unknown));
        // Infobip: 60 minutes of inactivity.
        bench.pass(Duration::from_mins(59));
        assert!(verify(&bench, TOKEN).await.is_ok());
        bench.pass(Duration::from_mins(61));
        assert_eq!(verify(&bench, TOKEN).await, Err(Reason::Expired));
    }

    #[tokio::test]
    async fn revoking_the_platform_ends_its_sessions() {
        let bench = Bench::new();
        put_user(&bench, 0, false).await;
        log_in(&bench, 0).await;
        assert!(verify(&bench, TOKEN).await.is_ok());
        bench.directory.revoke_platform("p").await.unwrap();
        assert_eq!(verify(&bench, TOKEN).await, Err(Reason::Revoked));
    }

    #[tokio::test]
    async fn revoking_or_disabling_the_user_ends_its_session() {
        let bench = Bench::new();
        put_user(&bench, 0, false).await;
        log_in(&bench, 0).await;
        put_user(&bench, 0, true).await;
        assert_eq!(verify(&bench, TOKEN).await, Err(Reason::Disabled));
        put_user(&bench, 1, false).await;
        assert_eq!(verify(&bench, TOKEN).await, Err(Reason::Revoked));
    }
}
