//! What the upstream is told of an admitted request so that it can verify it by itself: a short-lived
//! JWT (RFC 7519) under a key that the platform's key set has.
//!
//! It says whom the identity headers name, and to whom it is said (`aud`). It is no credential: its
//! `typ` is its own and its keys sign nothing else. One is signed for an identity, kept, and put on
//! each request of it until half of its lifetime is over; so it names no request, and has no `jti`.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Moka;
use serde::Serialize;

use crate::credential::{Fingerprint, Fingerprinter, Secret};
use crate::decision::Fault;
use crate::identity::{Holder, Terms};
use crate::keys::asserting::AssertionKeys;
use crate::platform::Platforms;
use crate::platform::settings::AssertionSettings;

/// How far a clock may be set back, in seconds, before what was signed later is signed anew.
const SET_BACK: u64 = 5;

/// Signs assertions, and keeps them while they are good.
#[derive(Debug)]
pub struct Assertions {
    keys: AssertionKeys,
    fingerprinter: Fingerprinter,
    kept: Moka<u128, Kept>,
}

/// One that was signed, or why it could not be.
#[derive(Clone, Debug)]
struct Kept {
    token: Result<Arc<Secret>, Fault>,
    /// In Unix seconds.
    signed: u64,
    /// The first second in which another is signed, in Unix seconds.
    due: u64,
}

impl Assertions {
    /// Makes one that keeps as many assertions as it is told to, for the identities of these
    /// platforms.
    #[must_use]
    pub fn new(
        keys: AssertionKeys,
        fingerprinter: Fingerprinter,
        platforms: &Platforms,
        capacity: u64,
    ) -> Self {
        let lifetimes = platforms
            .iter()
            .filter_map(|it| Some(it.assertion.as_ref()?.lifetime_seconds));
        let longest = Duration::from_secs(lifetimes.max().unwrap_or_default());
        let kept = Moka::builder().max_capacity(capacity).time_to_live(longest);
        Self {
            keys,
            fingerprinter,
            kept: kept.build(),
        }
    }

    /// Gives the assertion of an identity of the platform whose settings these are. Signs where none
    /// is kept that is good for half of its lifetime, or as long as the identity; whoever comes
    /// meanwhile waits for that signature, some tens of microseconds, and makes none.
    ///
    /// # Errors
    /// A fault where it cannot be signed.
    pub fn of(
        &self,
        identity: &Holder,
        settings: &AssertionSettings,
        now: u64,
    ) -> Result<Arc<Secret>, Fault> {
        let key = self.key(identity).as_u128();
        let is_over = |it: &Kept| now >= it.due || now.saturating_add(SET_BACK) < it.signed;
        let kept = self.kept.entry_by_ref(&key);
        let kept = kept.or_insert_with_if(|| self.sign(identity, settings, now), is_over);
        kept.into_value().token
    }

    fn sign(&self, identity: &Holder, settings: &AssertionSettings, now: u64) -> Kept {
        let lifetime = settings.lifetime_seconds;
        let expires = now.saturating_add(lifetime);
        // What ends with the identity would end no later if it were signed again.
        let (expires, due) = match identity.expires() {
            Some(end) if end <= expires => (end, end),
            _ => (expires, now.saturating_add(lifetime.div_ceil(2))),
        };
        let claims = Claims::of(identity, settings, (now, expires));
        let token = self
            .keys
            .sign(&identity.terms.platform, &claims)
            .map(Arc::new);
        // A fault is never kept: whoever comes next tries again.
        let due = if token.is_ok() { due } else { now };
        Kept {
            token,
            signed: now,
            due,
        }
    }

    /// Names all that an assertion says of an identity.
    fn key(&self, identity: &Holder) -> Fingerprint {
        let Terms {
            platform,
            scheme,
            scopes,
            roles,
            ..
        } = &*identity.terms;
        let expires = identity.expires().map(u64::to_be_bytes);
        let count = scopes.len().to_be_bytes();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(12 + scopes.len() + roles.len());
        parts.extend([platform.as_bytes(), scheme.as_bytes(), &count]);
        for text in [identity.account(), identity.user(), identity.username()] {
            // An empty text is not the same as none.
            let text = text.map(str::as_bytes);
            let tag: &[u8] = if text.is_some() { b"some" } else { b"none" };
            parts.extend([tag, text.unwrap_or_default()]);
        }
        parts.push(expires.as_ref().map_or(&[], |it| it));
        parts.extend(scopes.iter().chain(&**roles).map(String::as_bytes));
        self.fingerprinter.of(&parts)
    }
}

/// What an assertion says (RFC 7519 §4.1, RFC 9068 §2.2).
#[derive(Serialize)]
struct Claims<'i> {
    iss: &'i str,
    aud: Audience<'i>,
    /// The user; without one, the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'i str>,
    iat: u64,
    exp: u64,
    platform: &'i str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'i str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'i str>,
    scheme: &'i str,
    /// RFC 8693 §4.2.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: &'i [String],
}

/// One is a text, more are a list (RFC 7519 §4.1.3).
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'i> {
    One(&'i str),
    Several(&'i [String]),
}

impl<'i> Claims<'i> {
    fn of(identity: &'i Holder, settings: &'i AssertionSettings, (iat, exp): (u64, u64)) -> Self {
        let (account, user, terms) = (identity.account(), identity.user(), &*identity.terms);
        Self {
            iss: &settings.issuer,
            aud: match &settings.audience[..] {
                [one] => Audience::One(one),
                several => Audience::Several(several),
            },
            sub: user.or(account),
            iat,
            exp,
            platform: &terms.platform,
            account,
            user,
            username: identity.username(),
            scheme: &terms.scheme,
            scope: terms.scopes.join(" "),
            roles: &terms.roles,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const NOW: u64 = 1_790_000_000;

    fn settings() -> AssertionSettings {
        AssertionSettings {
            issuer: "https://auth.example.com".to_owned(),
            audience: vec!["orders".to_owned()],
            header: "x-auth-assertion".to_owned(),
            lifetime_seconds: 60,
        }
    }

    fn assertions() -> Assertions {
        let keys = AssertionKeys::generate().unwrap();
        let fingerprinter = Fingerprinter::random().unwrap();
        let kept = Moka::builder().max_capacity(100);
        Assertions {
            kept: kept.build(),
            ..Assertions::new(keys, fingerprinter, &Platforms::default(), 100)
        }
    }

    fn ada() -> Identity {
        Identity {
            platform: "mine".into(),
            account: Some("shop".to_owned()),
            user: Some("ada".to_owned()),
            username: Some("ada@example.com".to_owned()),
            scheme: "login".into(),
            scopes: vec!["orders:read".to_owned(), "orders:write".to_owned()],
            roles: vec!["Chief Engineer".to_owned()],
            ..Identity::default()
        }
    }

    fn claims(token: &Secret) -> Value {
        let payload = token.expose_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    #[test]
    fn it_says_whom_the_identity_headers_name_and_nothing_that_is_not_known() {
        let assertions = assertions();
        let of = |identity: &Identity, settings: &AssertionSettings| {
            claims(
                &assertions
                    .of(&identity.clone().into(), settings, NOW)
                    .unwrap(),
            )
        };
        let whole = json!({
            "iss": "https://auth.example.com", "aud": "orders", "sub": "ada",
            "iat": NOW, "exp": NOW + 60,
            "platform": "mine", "account": "shop", "user": "ada", "username": "ada@example.com",
            "scheme": "login", "scope": "orders:read orders:write", "roles": ["Chief Engineer"],
        });
        assert_eq!(of(&ada(), &settings()), whole);

        let key = Identity {
            user: None,
            username: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            scheme: "key".into(),
            ..ada()
        };
        let two = AssertionSettings {
            audience: vec!["orders".to_owned(), "bills".to_owned()],
            ..settings()
        };
        let less = json!({
            "iss": "https://auth.example.com", "aud": ["orders", "bills"], "sub": "shop",
            "iat": NOW, "exp": NOW + 60,
            "platform": "mine", "account": "shop", "scheme": "key",
        });
        assert_eq!(of(&key, &two), less);

        let nobody = Identity {
            account: None,
            ..key
        };
        assert!(of(&nobody, &settings()).get("sub").is_none());
    }

    #[test]
    fn one_is_signed_in_half_of_its_lifetime_and_none_lasts_longer_than_the_identity() {
        let assertions = assertions();
        let at = |now: u64, identity: &Identity| {
            let token = assertions
                .of(&identity.clone().into(), &settings(), NOW + now)
                .unwrap();
            let claims = claims(&token);
            let [iat, exp] = ["iat", "exp"].map(|it| claims[it].as_u64().unwrap() - NOW);
            (iat, exp)
        };
        // When it is asked for, then when it was signed and when it ends.
        for (now, want) in [
            (10, (10, 70)),
            (39, (10, 70)),
            // Another thread may have read the clock before.
            (9, (10, 70)),
            (40, (40, 100)),
            (69, (40, 100)),
            (500, (500, 560)),
            // The clock was set back.
            (100, (100, 160)),
        ] {
            assert_eq!(at(now, &ada()), want, "{now}");
        }
        let ending = Identity {
            expires: Some(NOW + 100),
            ..ada()
        };
        for (now, want) in [
            (0, (0, 60)),
            (30, (30, 90)),
            (60, (60, 100)),
            // Another would end no later.
            (90, (60, 100)),
            (99, (60, 100)),
        ] {
            assert_eq!(at(now, &ending), want, "{now}");
        }
    }

    #[test]
    fn whoever_comes_at_once_gets_one_signature() {
        let assertions = assertions();
        let gate = std::sync::Barrier::new(8);
        let ask = || {
            gate.wait();
            assertions.of(&ada().into(), &settings(), NOW).unwrap()
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(all.iter().all(|it| Arc::ptr_eq(it, &all[0])));
    }

    #[test]
    fn whoever_differs_in_anything_that_is_said_has_one_of_their_own() {
        let assertions = assertions();
        let one = |change: fn(&mut Identity)| {
            let mut identity = ada();
            change(&mut identity);
            assertions.of(&identity.into(), &settings(), NOW).unwrap()
        };
        let same: [fn(&mut Identity); 2] = [|_| (), |it| it.allowed_addresses = Vec::new()];
        assert!(Arc::ptr_eq(&one(same[0]), &one(same[1])));
        let changes: [fn(&mut Identity); 13] = [
            |_| (),
            |it| it.platform = "other".into(),
            |it| it.account = None,
            |it| it.account = Some(String::new()),
            |it| it.user = None,
            |it| it.username = None,
            |it| it.scheme = "key".into(),
            |it| it.scopes = Vec::new(),
            |it| it.scopes.swap(0, 1),
            |it| it.scopes = vec!["orders:readorders:write".to_owned()],
            |it| it.roles.insert(0, it.scopes.pop().unwrap()),
            |it| it.roles = Vec::new(),
            |it| it.expires = Some(NOW + 30),
        ];
        let all: Vec<_> = changes.into_iter().map(one).collect();
        for (index, one) in all.iter().enumerate() {
            let twins = all.iter().filter(|it| Arc::ptr_eq(it, one)).count();
            assert_eq!(twins, 1, "{index}");
        }
    }

    #[test]
    fn what_cannot_be_signed_is_a_fault_and_what_is_signed_is_not_shown() {
        let without = Assertions {
            keys: AssertionKeys::default(),
            ..assertions()
        };
        for _ in 0..2 {
            without.of(&ada().into(), &settings(), NOW).unwrap_err();
        }
        let token = assertions().of(&ada().into(), &settings(), NOW).unwrap();
        assert_eq!(format!("{token:?}"), "(..)");
    }
}
