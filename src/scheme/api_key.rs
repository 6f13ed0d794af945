//! `api_key`: a secret that a program presents, in a header of the platform's choice, behind a word
//! of `Authorization` (`App KEY` at Infobip), or in the query.
//!
//! A key acts for an account, or for one of its users: then whoever presents it is that user, as long
//! as that one may get in and what was issued when the key got its secret is not revoked. It carries
//! its own scopes, and may be bound to addresses and a period. In the store it is a keyed digest, so
//! a lookup is by digest and costs the same for any key.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::{Credential, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::directory::records::ApiKey;
use crate::document::{Document, Problem};
use crate::identity::Identity;
use crate::request::RequestView;
use crate::scheme::{
    Challenge, Context, Kind, Reading, Scheme, Source, Verified, earlier, find, open_account,
    open_user, parse_places,
};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "api_key",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// Settings of an `api_key` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the key may stand, such as `[{ header: x-my-key }, { query: key }]`.
    from: Vec<Source>,
}

#[derive(Debug)]
struct Key {
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
    let places = match parse_places(&read.from) {
        Ok(places) => places,
        Err(message) => {
            problems.push(settings.problem("/from", message));
            return None;
        }
    };
    Some(Arc::new(Key {
        platform: context.platform.into(),
        name: context.name.into(),
        places,
        reading: context.reading,
    }))
}

impl Scheme for Key {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let found = find(request, &self.places, self.reading)?;
        let Some((place, key)) = found else {
            return Ok(None);
        };
        if key.as_bytes().contains(&b' ') {
            return Err(Denial::new(Reason::Malformed, "an API key holds no spaces"));
        }
        Ok(Some(Credential::new(
            place,
            "",
            Secret::new(key.as_bytes()),
        )))
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
            let key = reads
                .api_key(credential.secret())
                .await?
                .ok_or_else(|| Denial::new(Reason::Unknown, "no such API key"))?;
            let opened = match is_valid(&key, reads.now()) {
                Ok(()) => self.open(&key, reads).await,
                Err(denial) => Err(denial.into()),
            };
            let opened = opened.map_err(|it| {
                it.telling(|it| {
                    it.account = it.account.take().or_else(|| key.account.clone());
                    it.key = Some(key.id.clone());
                })
            })?;
            reads.note_use(&key);
            Ok(Verified::vouch(Identity {
                key: Some(key.id),
                scopes: key.scopes,
                only_scopes: key.only_scopes,
                expires: earlier(key.valid_to, opened.expires),
                allowed_addresses: key.allowed_addresses,
                ..opened
            }))
        })
    }

    /// RFC 9110 §11.6.1 wants a challenge with every 401; where no word of `Authorization` is
    /// read, there is no registered name for one, and `ApiKey` is what servers commonly say.
    fn challenge(&self) -> Option<Challenge> {
        let word = self.places.iter().find_map(|it| match it {
            Place::Authorization(word) => Some(&**word),
            Place::Certificate | Place::Header(_) | Place::Query(_) => None,
        });
        Some(Challenge {
            scheme: word.unwrap_or("ApiKey").to_owned(),
            parameters: "",
        })
    }

    fn binds_addresses(&self) -> bool {
        true
    }
}

/// Lets a key pass whose time it is, and that nobody has ended.
///
/// # Errors
/// Why it is not good.
fn is_valid(key: &ApiKey, now: u64) -> Result<(), Denial> {
    let denied = |reason, detail| Err(Denial::new(reason, detail));
    if key.revoked {
        return denied(Reason::Revoked, "the API key was revoked");
    }
    if key.disabled {
        return denied(Reason::Disabled, "the API key is disabled");
    }
    if key.valid_from.is_some_and(|it| now < it) {
        return denied(Reason::NotYetValid, "the API key is not valid yet");
    }
    if key.valid_to.is_some_and(|it| it <= now) {
        return denied(Reason::Expired, "the API key has expired");
    }
    Ok(())
}

impl Key {
    /// Says for whom the key acts, who must be allowed in.
    async fn open(&self, key: &ApiKey, reads: &Reads) -> Result<Identity, Failure> {
        let Some(id) = &key.user else {
            let account = open_account(key.account.as_deref(), reads).await?;
            return Ok(Identity {
                platform: Arc::clone(&self.platform),
                account: key.account.clone(),
                scheme: Arc::clone(&self.name),
                expires: account.and_then(|it| it.expires),
                ..Identity::default()
            });
        };
        // Boxed, so that others do not carry what a user needs.
        Box::pin(self.open_of(id, key, reads)).await
    }

    /// The same of a key that acts for this user.
    async fn open_of(&self, id: &str, key: &ApiKey, reads: &Reads) -> Result<Identity, Failure> {
        let user = reads.user(id).await?;
        let mut user =
            user.ok_or_else(|| Denial::new(Reason::Unknown, "the API key's user has no record"))?;
        if !key.may_act_for(user.account.as_deref()) {
            let detail = "the API key's user belongs to another account";
            return Err(Denial::new(Reason::AccountMismatch, detail).into());
        }
        user.account = user.account.or_else(|| key.account.clone());
        let opened = open_user(&self.platform, &self.name, user, reads).await?;
        if key.generations.is_some_and(|it| it != opened.generations) {
            let detail = "the keys of the API key's user were revoked";
            return Err(Denial::new(Reason::Revoked, detail).into());
        }
        Ok(opened.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Index;
    use crate::directory::bench::{Bench, START};
    use crate::directory::records::{Account, User};
    use crate::request::query::Query;
    use crate::scheme::Conflict;

    fn infobip(reading: Reading) -> Key {
        let from = [
            Source::Authorization("App".into()),
            Source::Query("apiKey".into()),
        ];
        Key {
            platform: "p".into(),
            name: "api_key".into(),
            places: parse_places(&from).unwrap(),
            reading,
        }
    }

    #[track_caller]
    fn check(
        reading: Reading,
        authorization: &str,
        query: &str,
        want: Result<Option<&str>, Reason>,
    ) {
        let request = RequestView {
            headers: [("authorization", authorization.as_bytes())]
                .into_iter()
                .collect(),
            query: Query::parse(query),
            ..RequestView::default()
        };
        let got = infobip(reading).decode(&request).map_err(|it| it.reason());
        let got = got.map(|it| it.map(|it| it.secret().expose_str().unwrap().to_owned()));
        assert_eq!(
            got,
            want.map(|it| it.map(str::to_owned)),
            "{authorization} ? {query}"
        );
    }

    #[tokio::test]
    async fn a_keys_use_is_noted_where_it_gets_in_and_nobody_waits_for_that() {
        let bench = Bench::new();
        let scheme = infobip(Reading::default());
        let key = |id: &str, disabled: bool| ApiKey {
            id: id.into(),
            secret: Some(bench.directory.digest("p", Index::ApiKey, &[id.as_bytes()])),
            disabled,
            ..ApiKey::default()
        };
        for key in [key("k-on", false), key("k-off", true), key("k-idle", false)] {
            bench.directory.put_api_key("p", &key).await.unwrap();
        }
        let present = async |id: &str| {
            let place = Place::Query("apiKey".into());
            let credential = Credential::new(place, "", Secret::new(id.as_bytes()));
            scheme.verify(&credential, &bench.reads("p")).await.is_ok()
        };
        let used = async || {
            let ids = ["k-on", "k-off", "k-idle"];
            bench.directory.last_uses("p", &ids).await.unwrap()
        };
        let written = async |at: u64| {
            while used().await[0] != Some(at) {
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(used().await, [None, None, None]);
        assert!(present("k-on").await && !present("k-off").await);
        written(START).await;
        assert_eq!(used().await, [Some(START), None, None]);
        let minute = 60;
        for (passed, last) in [(minute - 1, START), (1, START + minute)] {
            bench.pass(std::time::Duration::from_secs(passed));
            assert!(present("k-on").await);
            written(last).await;
        }
    }

    #[test]
    fn a_key_is_found_behind_its_word_and_in_the_query() {
        let refuse = Reading::default();
        check(refuse, "App key-1", "", Ok(Some("key-1")));
        check(refuse, "app  key-1", "", Ok(Some("key-1")));
        check(refuse, "", "a=b&apiKey=key-1", Ok(Some("key-1")));
        check(refuse, "", "apikey=key-1", Ok(None));
        check(refuse, "Basic key-1", "", Ok(None));
        check(refuse, "App", "", Err(Reason::Malformed));
        check(refuse, "App key 1", "", Err(Reason::Malformed));
        check(refuse, "App key-1", "apiKey=key-1", Ok(Some("key-1")));
        check(refuse, "App key-1", "apiKey=key-2", Err(Reason::Conflict));
        let first = Reading {
            conflict: Conflict::Precedence,
            ..refuse
        };
        check(first, "App key-1", "apiKey=key-2", Ok(Some("key-1")));
    }

    const SECRET: &str = "an-opaque-handle";

    /// A platform with two users of `a1`, one of nobody's, and accounts that end.
    async fn bench() -> Bench {
        let bench = Bench::new();
        for (id, account, disabled) in [
            ("u1", Some("a1"), false),
            ("off", Some("a1"), true),
            ("shut", Some("a2"), false),
            ("free", None, false),
        ] {
            let user = User {
                id: id.into(),
                account: account.map(Into::into),
                username: Some(format!("name of {id}")),
                roles: vec!["admin".into()],
                disabled,
                ..User::default()
            };
            bench.directory.put_user("p", &user).await.unwrap();
        }
        for (id, disabled) in [("a1", false), ("a2", true)] {
            let account = Account {
                id: id.into(),
                disabled,
                expires: Some(START + 60),
                ..Account::default()
            };
            bench.directory.put_account("p", &account).await.unwrap();
        }
        bench
    }

    async fn verify(bench: &Bench, user: &str, account: Option<&str>) -> Result<Identity, Reason> {
        verify_issued(bench, Some(user), account, None).await
    }

    async fn verify_issued(
        bench: &Bench,
        user: Option<&str>,
        account: Option<&str>,
        generations: Option<[u64; 3]>,
    ) -> Result<Identity, Reason> {
        let secret = bench
            .directory
            .digest("p", Index::ApiKey, &[SECRET.as_bytes()]);
        let key = ApiKey {
            id: "k".into(),
            user: user.map(Into::into),
            account: account.map(Into::into),
            generations,
            secret: Some(secret),
            scopes: vec!["read".into()],
            valid_to: Some(START + 120),
            ..ApiKey::default()
        };
        bench.directory.put_api_key("p", &key).await.unwrap();
        let place = Place::Authorization("Bearer".into());
        let credential = Credential::new(place, "", Secret::new(SECRET.as_bytes()));
        let reads = bench.reads("p");
        let verified = infobip(Reading::default())
            .verify(&credential, &reads)
            .await;
        match verified {
            Ok(verified) => Ok(verified.into_identity()),
            Err(Failure::Denied(denial)) => Err(denial.reason()),
            Err(Failure::Fault(fault)) => panic!("{fault}"),
        }
    }

    #[tokio::test]
    async fn a_key_for_a_user_is_that_user_as_long_as_it_may_get_in() {
        let bench = bench().await;
        for account in [Some("a1"), None] {
            let identity = verify(&bench, "u1", account).await.unwrap();
            assert_eq!(identity.user.as_deref(), Some("u1"));
            assert_eq!(identity.username.as_deref(), Some("name of u1"));
            assert_eq!(identity.account.as_deref(), Some("a1"));
            assert_eq!(identity.roles, ["admin"]);
            assert_eq!(identity.scopes, ["read"]);
            assert_eq!(identity.expires, Some(START + 60), "the account ends first");
        }
        let free = verify(&bench, "free", Some("a1")).await.unwrap();
        assert_eq!(free.account.as_deref(), Some("a1"));
        assert_eq!(free.expires, Some(START + 60));
        let cases = [
            ("off", None, Reason::Disabled),
            ("shut", None, Reason::Locked),
            ("free", Some("a2"), Reason::Locked),
            ("u1", Some("a2"), Reason::AccountMismatch),
            ("gone", None, Reason::Unknown),
        ];
        for (user, account, want) in cases {
            let got = verify(&bench, user, account).await;
            assert_eq!(got.err(), Some(want), "{user} {account:?}");
        }
    }

    #[tokio::test]
    async fn a_key_for_a_user_ends_when_platform_account_or_user_are_revoked_and_no_other_does() {
        let bench = bench().await;
        let directory = &bench.directory;
        let issued = Some([0, 0, 0]);
        let check = async |user, account, generations, want| {
            let got = verify_issued(&bench, user, account, generations).await;
            assert_eq!(got.err(), want, "{user:?} {account:?} {generations:?}");
        };
        let (one, free, key) = (Some("u1"), Some("free"), Some("a1"));
        for user in [one, free, None] {
            check(user, key, issued, None).await;
        }
        let mut user = directory.user("p", "u1").await.unwrap().unwrap();
        user.generation = 1;
        directory.put_user("p", &user).await.unwrap();
        check(one, key, issued, Some(Reason::Revoked)).await;
        check(one, key, Some([0, 0, 1]), None).await;
        check(free, key, issued, None).await;

        let mut account = directory.account("p", "a1").await.unwrap().unwrap();
        account.generation = 1;
        directory.put_account("p", &account).await.unwrap();
        check(one, None, Some([0, 0, 1]), Some(Reason::Revoked)).await;
        check(free, key, issued, Some(Reason::Revoked)).await;
        check(free, None, issued, None).await;

        directory.revoke_platform("p").await.unwrap();
        check(free, None, issued, Some(Reason::Revoked)).await;
        check(one, key, Some([1, 1, 1]), None).await;
        check(one, key, None, None).await;
        check(None, key, issued, None).await;
    }

    #[test]
    fn places_that_cannot_carry_a_credential_are_refused() {
        let refused = |it: Source| parse_places(&[it]).is_err();
        assert!(refused(Source::Header("Authorization".into())));
        assert!(refused(Source::Header("host".into())));
        assert!(refused(Source::Header(":path".into())));
        assert!(refused(Source::Header("x-envoy-original-path".into())));
        assert!(refused(Source::Header("x y".into())));
        assert!(refused(Source::Authorization(String::new())));
        assert!(parse_places(&[]).is_err());
        assert_eq!(
            parse_places(&[Source::Header("X-My-Key".into())]),
            Ok(vec![Place::Header("x-my-key".into())])
        );
    }
}
