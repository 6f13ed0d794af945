//! `ha1b`: the MD5 of `login@domain:domain:password`, as SIP registrars store it
//! (column `ha1b` of `auth_db`), presented whole.
//!
//! It names nobody, so the user is found by it, through a keyed index; two users with the same one
//! are nobody. It is as good as a password, can be replayed, and answers SIP challenges too: no
//! platform should take it over plain HTTP.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::Index;
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::request::RequestView;
use crate::scheme::{
    Budget, Context, Kind, Reading, Scheme, Source, StoredForm, Verified, find, is_lower_hex,
    open_user, parse_places,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "ha1b",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// Settings of a `ha1b` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the hash may stand, such as `[{ header: x-auth-ha1b-token }, { query: ha1b }]`.
    from: Vec<Source>,
}

#[derive(Debug)]
struct Ha1b {
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
    Some(Arc::new(Ha1b {
        platform: context.platform.into(),
        name: context.name.into(),
        places,
        reading: context.reading,
    }))
}

impl Scheme for Ha1b {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some((place, hash)) = find(request, &self.places, self.reading)? else {
            return Ok(None);
        };
        if !is_lower_hex(&hash, 32) {
            let detail = "not an MD5 in lower-case hexadecimal";
            return Err(Denial::new(Reason::Malformed, detail));
        }
        let secret = Secret::new(hash.as_bytes());
        Ok(Some(Credential::new(place, "", secret)))
    }

    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            let hash = credential.secret().expose();
            let users = reads.users(Index::Ha1b, &[hash]).await?;
            let mut users = users.into_iter();
            let user = match (users.next(), users.next()) {
                (Some(user), None) => user,
                (Some(_), Some(_)) => {
                    let detail = "several users have this hash";
                    return Err(Denial::new(Reason::Conflict, detail).into());
                }
                (None, _) => {
                    return Err(Denial::new(Reason::Unknown, "no user has this hash").into());
                }
            };
            let opened = open_user(&self.platform, &self.name, user, reads).await?;
            Ok(Verified::vouch(opened.identity))
        })
    }

    /// Of a name and a domain that are known, only the password is left to guess.
    fn budget(&self) -> Option<Budget> {
        Some(Budget::Guesses)
    }

    fn stored_form(&self) -> Option<StoredForm> {
        Some(StoredForm::Ha1b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::Bench;
    use crate::directory::records::{Account, User};
    use crate::request::query::Query;

    const HA1B: &str = "4e704e98102feb915109fe2ff0cef5da";

    fn scheme() -> Ha1b {
        let from = [
            Source::Header("x-auth-ha1b-token".into()),
            Source::Query("ha1b".into()),
        ];
        Ha1b {
            platform: "p".into(),
            name: "ha1b".into(),
            places: parse_places(&from).unwrap(),
            reading: Reading::default(),
        }
    }

    #[test]
    fn only_a_lower_case_md5_is_looked_up() {
        let upper = HA1B.to_uppercase();
        let cases: [(&str, &str, Result<bool, Reason>); 9] = [
            (HA1B, "", Ok(true)),
            ("", "ha1b=4e704e98102feb915109fe2ff0cef5da", Ok(true)),
            (HA1B, "ha1b=4e704e98102feb915109fe2ff0cef5da", Ok(true)),
            (
                HA1B,
                "ha1b=7f643f2ac14a1bc2acd37e13080c2389",
                Err(Reason::Conflict),
            ),
            ("", "", Ok(false)),
            ("", "HA1B=4e704e98102feb915109fe2ff0cef5da", Ok(false)),
            (&upper, "", Err(Reason::Malformed)),
            (&HA1B[1..], "", Err(Reason::Malformed)),
            (
                "1000@mydomain.com:mydomain.com:123456",
                "",
                Err(Reason::Malformed),
            ),
        ];
        for (header, query, want) in cases {
            let request = RequestView {
                headers: [("x-auth-ha1b-token", header.as_bytes())]
                    .into_iter()
                    .collect(),
                query: Query::parse(query),
                ..RequestView::default()
            };
            let got = scheme().decode(&request);
            let got = got.map(|it| it.is_some()).map_err(|it| it.reason());
            assert_eq!(got, want, "{header} ? {query}");
        }
    }

    #[tokio::test]
    async fn one_user_is_found_by_the_hash_and_nobody_by_two() {
        let bench = Bench::new();
        let put = async |id: &str, hash: &str, disabled| {
            let digest = bench.directory.digest("p", Index::Ha1b, &[hash.as_bytes()]);
            let user = User {
                id: id.into(),
                account: Some("a".into()),
                ha1b: Some(digest),
                disabled,
                ..User::default()
            };
            bench.directory.put_user("p", &user).await.unwrap();
        };
        let off = "0".repeat(32);
        let twin = "1".repeat(32);
        put("u", HA1B, false).await;
        put("off", &off, true).await;
        put("t1", &twin, false).await;
        put("t2", &twin, false).await;
        let user = async |hash: &str| {
            let place = Place::Query("ha1b".into());
            let credential = Credential::new(place, "", Secret::new(hash.as_bytes()));
            let reads = bench.reads("p");
            match scheme().verify(&credential, &reads).await {
                Ok(verified) => Ok(verified.into_identity().user.unwrap()),
                Err(Failure::Denied(denial)) => Err(denial.reason()),
                Err(Failure::Fault(fault)) => panic!("{fault}"),
            }
        };
        assert_eq!(user(HA1B).await, Ok("u".to_owned()));
        // HA1 of the same login, and HA1B where the domain is left out.
        assert_eq!(
            user("7f643f2ac14a1bc2acd37e13080c2389").await,
            Err(Reason::Unknown)
        );
        assert_eq!(
            user("6f2bb7c3d9cc53c23daeabaabe5ee438").await,
            Err(Reason::Unknown)
        );
        assert_eq!(user(&off).await, Err(Reason::Disabled));
        assert_eq!(user(&twin).await, Err(Reason::Conflict));
        let shut = Account {
            id: "a".into(),
            disabled: true,
            ..Account::default()
        };
        bench.directory.put_account("p", &shut).await.unwrap();
        assert_eq!(user(HA1B).await, Err(Reason::Locked));
    }
}
