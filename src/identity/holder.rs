//! An identity as it is kept and judged: the same, in a third of the memory, since many are kept.
//!
//! What is equal for many stands apart and is shared; what is its own stands in as few pieces as there can be. A scheme
//! does not make one: it says who it is by an [`Identity`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use crate::identity::texts::Texts;
use crate::identity::{Identity, TokenRef};

/// Where among the texts each stands.
const ACCOUNT: usize = 0;
const USER: usize = 1;
const KEY: usize = 2;
const USERNAME: usize = 3;
const SESSION: usize = 4;

/// An [`Identity`], in few bytes. Its fields are those of that.
#[derive(Clone, Eq, PartialEq)]
pub struct Holder {
    /// What many have in common.
    pub terms: Arc<Terms>,
    texts: Texts<5>,
    /// `u64::MAX` where it never ends.
    expires: u64,
    /// Most have none of these two.
    generations: Option<Box<[u64; 3]>>,
    token: Option<Box<TokenRef>>,
}

/// On which terms somebody is let in: that of an identity which is equal for many.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "as in `Identity`")]
pub struct Terms {
    pub platform: Arc<str>,
    pub scheme: Arc<str>,
    pub scopes: Box<[String]>,
    pub roles: Box<[String]>,
    pub claims: BTreeMap<String, Value>,
    pub allowed_addresses: Box<[IpNet]>,
    pub only_scopes: bool,
}

impl Holder {
    /// Makes one of an identity; `share` gives terms that are equal to these, where others have them already.
    #[must_use]
    pub fn sharing(identity: Identity, share: impl FnOnce(Terms) -> Arc<Terms>) -> Self {
        let Identity {
            platform,
            account,
            user,
            key,
            username,
            scheme,
            scopes,
            roles,
            claims,
            expires,
            allowed_addresses,
            generations,
            token,
            only_scopes,
            session,
        } = identity;
        let texts = [&account, &user, &key, &username, &session];
        Self {
            terms: share(Terms {
                platform,
                scheme,
                scopes: scopes.into(),
                roles: roles.into(),
                claims,
                allowed_addresses: allowed_addresses.into(),
                only_scopes,
            }),
            texts: Texts::of(texts.map(Option::as_deref)),
            expires: expires.map_or(u64::MAX, |it| it.min(u64::MAX - 1)),
            generations: generations.map(Box::new),
            token,
        }
    }

    /// Gives the identity that it was made of.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let owned = |it: Option<&str>| it.map(str::to_owned);
        let Terms {
            platform,
            scheme,
            scopes,
            roles,
            claims,
            allowed_addresses,
            only_scopes,
        } = Terms::clone(&self.terms);
        Identity {
            platform,
            account: owned(self.account()),
            user: owned(self.user()),
            key: owned(self.key()),
            username: owned(self.username()),
            scheme,
            scopes: scopes.into(),
            roles: roles.into(),
            claims,
            expires: self.expires(),
            allowed_addresses: allowed_addresses.into(),
            generations: self.generations.as_deref().copied(),
            token: self.token.clone(),
            only_scopes,
            session: owned(self.texts.get(SESSION)),
        }
    }

    /// The account's id in the directory.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.texts.get(ACCOUNT)
    }

    /// The user's id in the directory.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.texts.get(USER)
    }

    /// The API key's id in the directory, where one was presented.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.texts.get(KEY)
    }

    /// The login name or e-mail.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.texts.get(USERNAME)
    }

    /// When it ends, in Unix seconds.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        (self.expires != u64::MAX).then_some(self.expires)
    }
}

impl From<Identity> for Holder {
    fn from(identity: Identity) -> Self {
        Self::sharing(identity, Arc::new)
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Identity {
        Identity {
            platform: "p".into(),
            account: Some("a".into()),
            user: Some("u".into()),
            key: Some("k".into()),
            username: Some("n".into()),
            scheme: "s".into(),
            scopes: vec!["one".into(), "two".into()],
            roles: vec!["r".into()],
            claims: [("tier".to_owned(), json!("gold"))].into(),
            expires: Some(7),
            allowed_addresses: vec!["10.0.0.0/8".parse().unwrap()],
            generations: Some([1, 2, 3]),
            token: Some(Box::new(TokenRef {
                digest: "d".into(),
                text: "t".into(),
                ends: 8,
                method: None,
            })),
            only_scopes: true,
            session: Some("of a session".into()),
        }
    }

    #[test]
    fn nothing_of_an_identity_is_lost_or_made_up() {
        let none = Identity::default();
        let empty = Identity {
            account: Some(String::new()),
            session: Some(String::new()),
            expires: Some(0),
            ..Identity::default()
        };
        for identity in [whole(), none, empty] {
            let holder = Holder::from(identity.clone());
            let texts = [
                (holder.account(), &identity.account),
                (holder.user(), &identity.user),
                (holder.key(), &identity.key),
                (holder.username(), &identity.username),
            ];
            for (kept, said) in texts {
                assert_eq!(kept, said.as_deref());
            }
            assert_eq!(holder.expires(), identity.expires);
            assert_eq!(holder.identity(), identity);
        }
    }

    #[test]
    fn one_takes_few_bytes() {
        // With the counts of its `Arc`, a piece of 96 bytes.
        assert!(size_of::<Holder>() + 16 <= 88, "{}", size_of::<Holder>());
    }
}
