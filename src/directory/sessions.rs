//! Sessions: one login of a user that lives at a time, ended by idleness, by a cap, or by hand.
//!
//! The whole session is one key, named by its user, and its write is the commit: put if absent, or
//! compared with the dead one it replaces, so of two logins in a race one wins. A token is good
//! only while that key names its digest; the entry that leads from the token to the user is a hint.
//! Idleness is another key, which lives as long as the session may idle, or to its end where it may
//! idle, and is only ever extended, never brought back. It is named by the token's digest, not by the
//! user, so that it can stand before the commit and means nothing to any other session.
//!
//! A process that dies between two of these writes leaves nothing that locks the user out: before
//! the commit all is inert, and a session whose creator has not come to the last write ends after
//! [`UNCONFIRMED`].

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::credential::Secret;
use crate::decision::{Dependency, Fault};
use crate::directory::decoding::decode;
use crate::directory::pepper::Digest;
use crate::directory::reads::Reads;
use crate::directory::{Directory, store_fault};
use crate::store::{DeleteIf, PutIf};

/// How long a verdict about a session may be kept: a request that is answered from memory extends
/// nothing, so the key of idleness lives this much longer than the session may idle.
pub const SLACK: Duration = Duration::from_mins(1);

/// How long a session lives whose creator has not confirmed it.
pub const UNCONFIRMED: Duration = Duration::from_secs(30);

/// How often ending a session that was replaced meanwhile is tried again.
const END_ATTEMPTS: usize = 16;

/// A session, as its user's key holds it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    /// Whose it is.
    pub user: String,
    /// The digest of its token.
    pub token: Digest,
    /// The only addresses it may be used from; `None`: any.
    pub address: Option<IpNet>,
    /// When it was created, in Unix seconds.
    pub created: u64,
    /// When it ends however it is used, in Unix seconds.
    pub ends: u64,
    /// After how many seconds without use it ends; `None`: only at its end.
    pub idle_seconds: Option<u64>,
    /// The generations of the platform, the account and the user when it was created; raising one
    /// ends it.
    pub generations: [u64; 3],
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// The user's id.
    pub user: &'a str,
    /// The generations of the platform, of its account and of it, now.
    pub generations: [u64; 3],
    /// The only addresses it may be used from; `None`: any.
    pub address: Option<IpNet>,
    /// After how long without use it ends; `None`: only at its end.
    pub idle: Option<Duration>,
    /// After how long it ends however it is used.
    pub cap: Duration,
}

impl Directory {
    /// Creates a session for a token that nobody can guess; `false` where the user has a living
    /// one, also one that a race has just made.
    ///
    /// # Errors
    /// A fault when the store does not take it; no session lives then for long.
    pub async fn create_session(
        &self,
        platform: &str,
        token: &Secret,
        new: &NewSession<'_>,
    ) -> Result<bool, Fault> {
        let key = self.session_key(platform, new.user);
        let old = self.value(&key).await?;
        if let Some(old) = &old {
            let old: Session = decode(&key, old)?;
            if self.is_living(platform, &old, new.generations).await? {
                return Ok(false);
            }
        }
        let session = self.session(platform, token, new);
        let value = serde_json::to_vec(&session)
            .map_err(|_| Fault::new(Dependency::Internal, "a session cannot be encoded"))?;
        self.put_hints(platform, &session, new.cap).await?;
        let condition = old.as_deref().map_or(PutIf::Absent, PutIf::Equal);
        let won = self.store().put(&key, &value, condition, Some(new.cap));
        if !won.await.map_err(store_fault)? {
            self.delete_hints(platform, &session).await?;
            return Ok(false);
        }
        match self.extend_session(platform, &session).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // It may have been confirmed all the same, and nobody will be given its token.
            Err(fault) => {
                let _ = self.destroy(platform, &session, &value).await;
                return Err(fault);
            }
        }
        let detail = "the store took longer to make a session than it lives unconfirmed";
        Err(Fault::new(Dependency::Store, detail))
    }

    /// Destroys the session that the token names, and tells whether there was one.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn destroy_session(&self, platform: &str, token: &Secret) -> Result<bool, Fault> {
        for digest in self.session_digests(platform, token) {
            let user: Option<String> = self.stored(&self.token_key(platform, &digest)).await?;
            let Some(user) = user else { continue };
            let key = self.session_key(platform, &user);
            let Some(value) = self.value(&key).await? else {
                continue;
            };
            let named = serde_json::from_slice(&value).ok();
            let Some(session) = named.filter(|it: &Session| it.token.matches(&digest)) else {
                continue;
            };
            // The record first: without it, what is left is inert.
            return self.destroy(platform, &session, &value).await;
        }
        Ok(false)
    }

    /// Destroys the user's session if it is the one of this digest, and tells whether it was.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn destroy_session_of(
        &self,
        platform: &str,
        user: &str,
        token: &Digest,
    ) -> Result<bool, Fault> {
        let Some(value) = self.value(&self.session_key(platform, user)).await? else {
            return Ok(false);
        };
        let session: Session = decode(&self.session_key(platform, user), &value)?;
        if !session.token.matches(token) {
            return Ok(false);
        }
        self.destroy(platform, &session, &value).await
    }

    async fn destroy(
        &self,
        platform: &str,
        session: &Session,
        value: &[u8],
    ) -> Result<bool, Fault> {
        let key = self.session_key(platform, &session.user);
        let gone = self.store().delete(&key, DeleteIf::Equal(value)).await;
        let gone = gone.map_err(store_fault)?;
        self.delete_hints(platform, session).await?;
        Ok(gone)
    }

    /// Destroys whatever session the user has, and tells whether there was one.
    ///
    /// # Errors
    /// A fault when the store does not answer, or new sessions come faster than they go.
    pub async fn end_session_of(&self, platform: &str, user: &str) -> Result<bool, Fault> {
        let key = self.session_key(platform, user);
        for _ in 0..END_ATTEMPTS {
            let Some(value) = self.value(&key).await? else {
                return Ok(false);
            };
            let gone = self.store().delete(&key, DeleteIf::Equal(&value)).await;
            if gone.map_err(store_fault)? {
                if let Ok(session) = serde_json::from_slice(&value) {
                    self.delete_hints(platform, &session).await?;
                }
                return Ok(true);
            }
        }
        let detail = "sessions of one user come faster than they can be ended";
        Err(Fault::new(Dependency::Internal, detail))
    }

    fn session(&self, platform: &str, token: &Secret, new: &NewSession<'_>) -> Session {
        let now = self.clock().unix_seconds();
        let parts = session_parts(platform, token);
        Session {
            user: new.user.to_owned(),
            token: self.0.peppers.digest(&parts),
            address: new.address,
            created: now,
            ends: now.saturating_add(new.cap.as_secs()),
            idle_seconds: new.idle.map(|it| it.as_secs()),
            generations: new.generations,
        }
    }

    async fn is_living(
        &self,
        platform: &str,
        session: &Session,
        generations: [u64; 3],
    ) -> Result<bool, Fault> {
        if session.ends <= self.clock().unix_seconds() || session.generations != generations {
            return Ok(false);
        }
        let used = self.value(&self.use_key(platform, &session.token)).await?;
        Ok(used.is_some())
    }

    /// Writes what is inert until the session's own key names the digest.
    async fn put_hints(&self, platform: &str, new: &Session, cap: Duration) -> Result<(), Fault> {
        let user = serde_json::to_vec(&new.user)
            .map_err(|_| Fault::new(Dependency::Internal, "an id cannot be encoded"))?;
        let hint = self.token_key(platform, &new.token);
        let put = self.store().put(&hint, &user, PutIf::Always, Some(cap));
        put.await.map_err(store_fault)?;
        let key = self.use_key(platform, &new.token);
        let put = self
            .store()
            .put(&key, b"1", PutIf::Always, Some(UNCONFIRMED));
        put.await.map_err(store_fault)?;
        Ok(())
    }

    async fn delete_hints(&self, platform: &str, session: &Session) -> Result<(), Fault> {
        for key in [
            self.token_key(platform, &session.token),
            self.use_key(platform, &session.token),
        ] {
            let deleted = self.store().delete(&key, DeleteIf::Always).await;
            deleted.map_err(store_fault)?;
        }
        Ok(())
    }

    /// Lets the session idle anew from now; `false` where it has ended by idleness, or was never
    /// confirmed.
    async fn extend_session(&self, platform: &str, session: &Session) -> Result<bool, Fault> {
        let left = session.ends.saturating_sub(self.clock().unix_seconds());
        let idle = session.idle_seconds.unwrap_or(left);
        let ttl = Duration::from_secs(idle).saturating_add(SLACK);
        let key = self.use_key(platform, &session.token);
        self.store().touch(&key, ttl).await.map_err(store_fault)
    }

    fn session_digests(&self, platform: &str, token: &Secret) -> Vec<Digest> {
        self.0.peppers.digests(&session_parts(platform, token))
    }

    pub(super) fn session_key(&self, platform: &str, user: &str) -> String {
        format!("pc:s:{platform}:{user}")
    }

    fn token_key(&self, platform: &str, digest: &Digest) -> String {
        format!("pc:t:{platform}:{digest}")
    }

    pub(super) fn use_key(&self, platform: &str, digest: &Digest) -> String {
        format!("pcu:s:{platform}:{digest}")
    }
}

impl Reads {
    /// Gives the user's session. Whether it has ended is not judged here.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn session_of(&self, user: &str) -> Result<Option<Session>, Fault> {
        let key = self.directory().session_key(self.platform(), user);
        self.record(key).await
    }

    /// Gives the session that the token names. Whether it has ended is not judged here.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn session(&self, token: &Secret) -> Result<Option<Session>, Fault> {
        let (directory, platform) = (self.directory(), self.platform());
        let digests = directory.session_digests(platform, token);
        let keys: Vec<_> = digests
            .iter()
            .map(|it| directory.token_key(platform, it))
            .collect();
        let users: Vec<Option<String>> = self.records(keys).await?;
        let keys: Vec<_> = users
            .iter()
            .flatten()
            .map(|it| directory.session_key(platform, it))
            .collect();
        let sessions: Vec<Option<Session>> = self.records(keys).await?;
        let named = |it: &Session| digests.iter().any(|digest| digest.matches(&it.token));
        Ok(sessions.into_iter().flatten().find(named))
    }

    /// Lets the session idle anew from now; `false` where it has ended by idleness, or was never
    /// confirmed. Changes no verdict that stands on the session, so nothing is noted.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn extend_session(&self, session: &Session) -> Result<bool, Fault> {
        self.directory()
            .extend_session(self.platform(), session)
            .await
    }
}

fn session_parts<'p>(platform: &'p str, token: &'p Secret) -> [&'p [u8]; 3] {
    [platform.as_bytes(), b"session", token.expose()]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::directory::bench::Bench;
    use crate::store::cut::Cut;

    const HOUR: Duration = Duration::from_hours(1);

    fn new(user: &str) -> NewSession<'_> {
        NewSession {
            user,
            generations: [0, 0, 0],
            address: None,
            idle: Some(HOUR),
            cap: 24 * HOUR,
        }
    }

    fn token(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    async fn create(bench: &Bench, text: &str) -> bool {
        let (token, new) = (token(text), new("u"));
        let created = bench.directory.create_session("p", &token, &new);
        created.await.unwrap()
    }

    /// Whether the token is good now; using it, like a scheme does.
    async fn works(bench: &Bench, text: &str) -> bool {
        let reads = bench.reads("p");
        match reads.session(&token(text)).await.unwrap() {
            Some(session) => reads.extend_session(&session).await.unwrap(),
            None => false,
        }
    }

    #[tokio::test]
    async fn a_user_has_one_session_until_it_is_destroyed() {
        let bench = Bench::new();
        assert!(create(&bench, "one").await);
        assert!(!create(&bench, "two").await);
        assert!(works(&bench, "one").await && !works(&bench, "two").await);
        let other = bench.reads("q").session(&token("one")).await.unwrap();
        assert_eq!(other, None, "another platform");

        let destroy = |text| {
            let directory = bench.directory.clone();
            async move { directory.destroy_session("p", &token(text)).await.unwrap() }
        };
        assert!(!destroy("two").await);
        assert!(destroy("one").await);
        assert!(!destroy("one").await);
        assert!(!works(&bench, "one").await);
        assert!(create(&bench, "two").await);
        assert!(works(&bench, "two").await);
        assert!(!destroy("one").await);
        assert!(works(&bench, "two").await);
    }

    #[tokio::test]
    async fn of_many_creates_at_once_one_wins_and_only_its_token_works() {
        let bench = Bench::new();
        assert!(create(&bench, "dead").await);
        bench.pass(25 * HOUR);
        let mut racers = JoinSet::new();
        for racer in 0..100 {
            let directory = bench.directory.clone();
            racers.spawn(async move {
                let token = token(&format!("t{racer}"));
                let won = directory.create_session("p", &token, &new("u")).await;
                won.unwrap().then_some(format!("t{racer}"))
            });
        }
        let winners: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        for racer in 0..100 {
            let text = format!("t{racer}");
            assert_eq!(works(&bench, &text).await, text == winners[0], "{text}");
        }
    }

    #[tokio::test]
    async fn a_session_ends_by_idleness_by_its_cap_and_never_comes_back() {
        let bench = Bench::new();
        assert!(create(&bench, "one").await);
        for _ in 0..23 {
            bench.pass(HOUR - SLACK);
            assert!(works(&bench, "one").await);
        }
        bench.pass(HOUR + SLACK);
        assert!(!works(&bench, "one").await, "idle");
        assert!(create(&bench, "two").await, "an idle one may be replaced");
        assert!(!works(&bench, "one").await, "not brought back");
        for _ in 0..24 {
            bench.pass(HOUR - Duration::from_secs(1));
            assert!(works(&bench, "two").await);
        }
        bench.pass(SLACK);
        assert!(!works(&bench, "two").await, "the cap");
    }

    #[tokio::test]
    async fn a_raised_generation_ends_a_session_for_those_who_create_one() {
        let bench = Bench::new();
        assert!(create(&bench, "one").await);
        let revoked = NewSession {
            generations: [0, 0, 1],
            ..new("u")
        };
        let two = token("two");
        let created = bench.directory.create_session("p", &two, &revoked);
        assert!(created.await.unwrap());
        assert!(!works(&bench, "one").await && works(&bench, "two").await);
    }

    #[tokio::test]
    async fn an_absolute_session_ends_by_the_clock_however_it_is_used() {
        let absolute = NewSession {
            idle: None,
            cap: HOUR,
            ..new("u")
        };
        let bench = Bench::new();
        let one = token("one");
        let created = bench.directory.create_session("p", &one, &absolute);
        assert!(created.await.unwrap());
        bench.pass(HOUR - Duration::from_secs(1));
        assert!(works(&bench, "one").await, "never used before");
        assert!(!create(&bench, "two").await);
        bench.pass(Duration::from_secs(1));
        assert!(!works(&bench, "one").await);
        assert!(create(&bench, "two").await);
    }

    /// What a process has done that died after so many writes, in a directory where the user has had a
    /// session before, or has one.
    #[derive(Clone, Copy, Debug)]
    struct Death {
        writes: usize,
        absolute: bool,
        before: bool,
    }

    impl Death {
        fn new_session(self) -> NewSession<'static> {
            NewSession {
                idle: (!self.absolute).then_some(HOUR),
                ..new("u")
            }
        }

        fn process(self, bench: &Bench) -> Directory {
            bench.through(|it| Arc::new(Cut::after(self.writes, it)))
        }

        fn all(writes: usize) -> impl Iterator<Item = Self> {
            let each = move |absolute, before| {
                (0..writes).map(move |writes| Self {
                    writes,
                    absolute,
                    before,
                })
            };
            let kinds = [(false, false), (false, true), (true, false), (true, true)];
            kinds.into_iter().flat_map(move |(a, b)| each(a, b))
        }
    }

    #[tokio::test]
    async fn whichever_write_a_creator_dies_after_nobody_is_locked_out_and_one_token_lives_at_most()
    {
        for death in Death::all(5) {
            let bench = Bench::new();
            if death.before {
                assert!(create(&bench, "past").await);
                bench.pass(2 * HOUR);
            }
            let creator = death.process(&bench);
            let (dying, new) = (token("dying"), death.new_session());
            let created = creator.create_session("p", &dying, &new).await;
            let living = async |names: &[&str]| {
                let mut living = 0;
                for name in names {
                    living += usize::from(works(&bench, name).await);
                }
                living
            };
            if death.writes == 4 {
                assert!(created.unwrap(), "{death:?}: it takes 4");
                assert!(!create(&bench, "another").await);
                continue;
            }
            created.expect_err("it died");
            // Nobody was given its token, so nobody uses it.
            let at_once = create(&bench, "at once").await;
            let names = ["past", "dying", "at once"];
            assert!(
                living(&names[..1 + usize::from(at_once)]).await <= 1,
                "{death:?}"
            );
            assert_eq!(works(&bench, "at once").await, at_once, "{death:?}");
            if at_once {
                assert_eq!(living(&names).await, 1, "{death:?}");
                continue;
            }
            bench.pass(UNCONFIRMED);
            assert!(create(&bench, "later").await, "{death:?}");
            assert!(works(&bench, "later").await, "{death:?}");
            assert_eq!(living(&names).await, 0, "{death:?}");
        }
    }

    #[tokio::test]
    async fn whichever_write_a_destroyer_dies_after_the_session_lives_or_another_can() {
        for death in Death::all(4) {
            let bench = Bench::new();
            let (one, new) = (token("one"), death.new_session());
            let created = bench.directory.create_session("p", &one, &new);
            assert!(created.await.unwrap());
            let destroyer = death.process(&bench);
            let digest = bench.directory.session("p", &one, &new).token;
            let destroyed = if death.before {
                destroyer.destroy_session("p", &one).await
            } else {
                destroyer.destroy_session_of("p", "u", &digest).await
            };
            assert_eq!(
                destroyed.is_ok(),
                death.writes == 3,
                "{death:?}: it takes 3"
            );
            let lives = works(&bench, "one").await;
            assert_eq!(lives, death.writes == 0, "{death:?}");
            assert_eq!(create(&bench, "two").await, !lives, "{death:?}");
            assert_eq!(works(&bench, "two").await, !lives, "{death:?}");
        }
    }

    #[tokio::test]
    async fn a_session_is_destroyed_by_its_digest_and_no_other_in_its_place() {
        let bench = Bench::new();
        assert!(create(&bench, "one").await);
        let digest = |text: &str| {
            let session = bench.directory.session("p", &token(text), &new("u"));
            session.token
        };
        let destroy = async |user: &str, text: &str| {
            let digest = digest(text);
            let destroyed = bench.directory.destroy_session_of("p", user, &digest);
            destroyed.await.unwrap()
        };
        assert!(!destroy("u", "two").await && !destroy("v", "one").await);
        assert!(works(&bench, "one").await);
        assert!(destroy("u", "one").await && !destroy("u", "one").await);
        assert!(create(&bench, "two").await);
        assert!(!destroy("u", "one").await && works(&bench, "two").await);
    }
}
