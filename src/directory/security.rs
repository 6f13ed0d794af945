//! What accounts say about each way to log in (KAZOO's Security API, `auth_modules`), and what holds
//! for one of them by inheritance.
//!
//! Each account's word is a record of its own, so that an import knows nothing of it and it may be
//! changed without the account. Nothing is enforced here.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::{Dependency, Fault};
use crate::directory::decoding::decode;
use crate::directory::reads::Reads;
use crate::directory::records::Account;
use crate::directory::writing::{WRITE_ATTEMPTS, encode};
use crate::directory::{Directory, store_fault};
use crate::store::{DeleteIf, PutIf};

/// How many accounts may stand above one.
const MAX_ABOVE: usize = 16;

/// By the module's name, such as `cb_user_auth`.
pub type AuthModules = BTreeMap<String, AuthModule>;

/// What is said about one way to log in; what is left out is inherited.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthModule {
    /// Off: it issues no tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long a token lives that it issues, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_auth_expiry_s: Option<u64>,
    /// Whether attempts that failed are noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_failed_attempts: Option<bool>,
    /// Whether attempts that succeeded are noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_successful_attempts: Option<bool>,
    /// Whether a second factor is demanded, and of whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_factor: Option<MultiFactor>,
}

/// Whether a second factor is demanded, and of whom.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiFactor {
    /// It is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Which provider's settings count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_id: Option<String>,
    /// The account that it is demanded in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Whether it is demanded in the accounts under that one too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_subaccounts: Option<bool>,
}

impl AuthModule {
    /// Puts what is said nearer over what is said farther away, field by field.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            enabled: self.enabled.or(below.enabled),
            token_auth_expiry_s: self.token_auth_expiry_s.or(below.token_auth_expiry_s),
            log_failed_attempts: self.log_failed_attempts.or(below.log_failed_attempts),
            log_successful_attempts: self
                .log_successful_attempts
                .or(below.log_successful_attempts),
            multi_factor: match (self.multi_factor, below.multi_factor) {
                (Some(nearer), Some(below)) => Some(nearer.over(below)),
                (nearer, below) => nearer.or(below),
            },
        }
    }
}

impl MultiFactor {
    fn over(self, below: Self) -> Self {
        Self {
            enabled: self.enabled.or(below.enabled),
            configuration_id: self.configuration_id.or(below.configuration_id),
            account_id: self.account_id.or(below.account_id),
            include_subaccounts: self.include_subaccounts.or(below.include_subaccounts),
        }
    }
}

impl Directory {
    /// Gives what an account itself says, for whoever is about to change it; nothing is inherited.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn security(
        &self,
        platform: &str,
        account: &str,
    ) -> Result<Option<AuthModules>, Fault> {
        self.stored(&self.security_key(platform, account)).await
    }

    /// Writes what an account says, whatever it said before.
    ///
    /// # Errors
    /// A fault when the store does not take it.
    pub async fn put_security(
        &self,
        platform: &str,
        account: &str,
        modules: &AuthModules,
    ) -> Result<(), Fault> {
        let key = self.security_key(platform, account);
        let value = encode(modules)?;
        let put = self.store().put(&key, &value, PutIf::Always, None);
        put.await.map(drop).map_err(store_fault)
    }

    /// Writes what `change` makes of what an account says, nothing where it says nothing, and gives
    /// it. Where another writer comes first, `change` is asked again with what that one wrote.
    ///
    /// # Errors
    /// What `change` refuses with; a fault when the store does not take it.
    pub async fn change_security<E: From<Fault>>(
        &self,
        platform: &str,
        account: &str,
        change: impl Fn(AuthModules) -> Result<AuthModules, E> + Send + Sync,
    ) -> Result<AuthModules, E> {
        let key = self.security_key(platform, account);
        let change = |old: Option<AuthModules>| change(old.unwrap_or_default());
        let changed = self.swap(&key, None, WRITE_ATTEMPTS, change).await?;
        changed.ok_or_else(|| {
            let detail = "an account's security is being changed by too many writers at once";
            Fault::new(Dependency::Internal, detail).into()
        })
    }

    /// Makes an account say nothing, and tells whether it said anything.
    ///
    /// # Errors
    /// A fault when the store does not answer.
    pub async fn delete_security(&self, platform: &str, account: &str) -> Result<bool, Fault> {
        let key = self.security_key(platform, account);
        let deleted = self.store().delete(&key, DeleteIf::Always).await;
        deleted.map_err(store_fault)
    }

    pub(super) fn security_key(&self, platform: &str, account: &str) -> String {
        format!("pc:c:{platform}:{account}")
    }
}

impl Reads {
    /// Gives what an account itself says; nothing is inherited.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn security(&self, account: &str) -> Result<Option<AuthModules>, Fault> {
        let key = self.directory().security_key(self.platform(), account);
        self.record(key).await
    }

    /// Gives what holds for an account: what it says, over what its parents say up to the first
    /// reseller (`attributes.is_reseller`), over what holds everywhere. A parent that has no record
    /// is the last one.
    ///
    /// # Errors
    /// A fault when the store does not answer, a record cannot be read, or there are more than 16
    /// accounts above this one, as where they go round.
    pub async fn security_merged(
        &self,
        account: &Account,
        system: &AuthModules,
    ) -> Result<AuthModules, Fault> {
        let mut merged = self.security(&account.id).await?.unwrap_or_default();
        let mut parent = inherits_from(account);
        for _ in 0..MAX_ABOVE {
            let Some(id) = parent else { break };
            let (directory, platform) = (self.directory(), self.platform());
            let mut keys = vec![
                directory.security_key(platform, &id),
                directory.account_key(platform, &id),
            ];
            let mut found = self.values(&mut keys).await?.into_iter();
            let said: Option<AuthModules> = read(&keys[0], found.next())?;
            merged = over(merged, for_those_below(said.unwrap_or_default()));
            let account: Option<Account> = read(&keys[1], found.next())?;
            parent = account.as_ref().and_then(inherits_from);
        }
        if parent.is_some() {
            let detail = "an account has more than 16 others above it, or is its own ancestor";
            return Err(Fault::new(Dependency::Store, detail));
        }
        Ok(over(merged, system.clone()))
    }
}

/// Gives the account that this one inherits from. A reseller inherits from none.
fn inherits_from(account: &Account) -> Option<String> {
    let is_reseller = account.attributes.get("is_reseller") == Some(&Value::Bool(true));
    account.parent.clone().filter(|_| !is_reseller)
}

fn over(mut nearer: AuthModules, below: AuthModules) -> AuthModules {
    for (name, below) in below {
        let module = nearer.remove(&name).unwrap_or_default();
        nearer.insert(name, module.over(below));
    }
    nearer
}

/// What an account demands as a second factor of its own logins is demanded below it only where it
/// says so (`include_subaccounts`).
fn for_those_below(mut modules: AuthModules) -> AuthModules {
    for module in modules.values_mut() {
        let passed_on = |it: &MultiFactor| it.include_subaccounts == Some(true);
        module.multi_factor = module.multi_factor.take().filter(passed_on);
    }
    modules
}

fn read<T: DeserializeOwned>(key: &str, value: Option<Option<Bytes>>) -> Result<Option<T>, Fault> {
    let value = value.flatten();
    value.map(|it| decode(key, &it)).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::directory::bench::Bench;

    fn modules(value: Value) -> AuthModules {
        serde_json::from_value(value).unwrap()
    }

    /// Puts an account with what it says.
    async fn put(bench: &Bench, id: &str, parent: Option<&str>, reseller: bool, said: Value) {
        let account = Account {
            id: id.into(),
            parent: parent.map(Into::into),
            attributes: [("is_reseller".to_owned(), json!(reseller))]
                .into_iter()
                .collect(),
            ..Account::default()
        };
        bench.directory.put_account("p", &account).await.unwrap();
        let said = modules(said);
        let put = bench.directory.put_security("p", id, &said);
        put.await.unwrap();
    }

    async fn merged(bench: &Bench, id: &str, system: Value) -> Result<Value, Fault> {
        let reads = bench.reads("p");
        let account = reads.account(id).await.unwrap().unwrap();
        let merged = reads.security_merged(&account, &modules(system)).await?;
        Ok(json!(merged))
    }

    #[test]
    fn the_nearer_word_wins_field_by_field() {
        let nearer = json!({
            "enabled": false, "multi_factor": { "enabled": true },
        });
        let below = json!({
            "enabled": true, "token_auth_expiry_s": 60, "log_failed_attempts": true,
            "log_successful_attempts": false,
            "multi_factor": {
                "enabled": false, "configuration_id": "c", "account_id": "a",
                "include_subaccounts": true,
            },
        });
        let want = json!({
            "enabled": false, "token_auth_expiry_s": 60, "log_failed_attempts": true,
            "log_successful_attempts": false,
            "multi_factor": {
                "enabled": true, "configuration_id": "c", "account_id": "a",
                "include_subaccounts": true,
            },
        });
        let module = |it: &Value| AuthModule::deserialize(it).unwrap();
        assert_eq!(json!(module(&nearer).over(module(&below))), want);
        let nothing = AuthModule::default();
        assert_eq!(json!(nothing.clone().over(module(&below))), below);
        assert_eq!(json!(module(&below).over(nothing)), below);
    }

    #[test]
    fn what_nobody_knows_is_refused_not_lost() {
        for text in [
            json!({ "cb_user_auth": { "enabld": true } }),
            json!({ "cb_user_auth": { "enabled": "true" } }),
            json!({ "cb_user_auth": { "token_auth_expiry_s": -1 } }),
            json!({ "cb_user_auth": { "multi_factor": { "provider": "x" } } }),
        ] {
            assert!(
                serde_json::from_value::<AuthModules>(text.clone()).is_err(),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn an_account_inherits_up_to_the_first_reseller_and_then_from_the_system() {
        let bench = Bench::new();
        let expiry = |seconds: u64| json!({ "token_auth_expiry_s": seconds });
        let top = json!({ "cb_api_auth": expiry(1), "cb_user_auth": { "enabled": false } });
        put(&bench, "top", None, false, top).await;
        let reseller = json!({ "cb_user_auth": { "log_failed_attempts": false } });
        put(&bench, "reseller", Some("top"), true, reseller).await;
        put(
            &bench,
            "branch",
            Some("reseller"),
            false,
            json!({ "cb_user_auth": expiry(2) }),
        )
        .await;
        put(
            &bench,
            "leaf",
            Some("branch"),
            false,
            json!({ "cb_user_auth": { "enabled": true } }),
        )
        .await;
        put(&bench, "orphan", Some("gone"), false, json!({})).await;
        let system = json!({ "cb_user_auth": expiry(3600), "cb_api_auth": expiry(3600) });
        let cases = [
            (
                "leaf",
                json!({
                    "cb_api_auth": expiry(3600),
                    "cb_user_auth": {
                        "enabled": true, "token_auth_expiry_s": 2, "log_failed_attempts": false,
                    },
                }),
            ),
            (
                "reseller",
                json!({
                    "cb_api_auth": expiry(3600),
                    "cb_user_auth": { "token_auth_expiry_s": 3600, "log_failed_attempts": false },
                }),
            ),
            (
                "top",
                json!({
                    "cb_api_auth": expiry(1),
                    "cb_user_auth": { "enabled": false, "token_auth_expiry_s": 3600 },
                }),
            ),
            ("orphan", system.clone()),
        ];
        for (id, want) in cases {
            assert_eq!(
                merged(&bench, id, system.clone()).await.unwrap(),
                want,
                "{id}"
            );
        }
    }

    #[tokio::test]
    async fn a_way_up_that_does_not_end_is_a_fault() {
        let bench = Bench::new();
        put(&bench, "a0", None, false, json!({})).await;
        for depth in 1..=MAX_ABOVE + 1 {
            let parent = format!("a{}", depth - 1);
            put(
                &bench,
                &format!("a{depth}"),
                Some(&parent),
                false,
                json!({}),
            )
            .await;
        }
        let deepest = format!("a{MAX_ABOVE}");
        assert!(merged(&bench, &deepest, json!({})).await.is_ok());
        let deeper = format!("a{}", MAX_ABOVE + 1);
        assert!(merged(&bench, &deeper, json!({})).await.is_err());
        put(&bench, "a0", Some("a1"), false, json!({})).await;
        assert!(merged(&bench, "a1", json!({})).await.is_err());
    }

    #[tokio::test]
    async fn what_an_account_says_is_changed_deleted_and_makes_verdicts_stale() {
        let bench = Bench::new();
        let directory = &bench.directory;
        let reads = bench.reads("p");
        assert_eq!(reads.security("a").await.unwrap(), None);
        let notes = reads.finish();
        let on = modules(json!({ "cb_user_auth": { "enabled": true } }));
        let change = |mut all: AuthModules| {
            all.extend(on.clone());
            Ok::<_, Fault>(all)
        };
        let changed = directory.change_security("p", "a", change).await.unwrap();
        assert_eq!(changed, on);
        assert!(!directory.generations().is_current(&notes));
        let off = modules(json!({ "cb_api_auth": { "enabled": false } }));
        directory.put_security("p", "a", &off).await.unwrap();
        let both = directory.change_security("p", "a", change).await.unwrap();
        assert_eq!(
            both.keys().collect::<Vec<_>>(),
            ["cb_api_auth", "cb_user_auth"]
        );
        assert_eq!(directory.security("p", "a").await.unwrap(), Some(both));
        assert_eq!(directory.security("q", "a").await.unwrap(), None);
        let refuse = |_| Err(Fault::new(Dependency::Internal, "no"));
        let refused = directory.change_security("p", "a", refuse).await;
        assert!(refused.is_err());
        for want in [true, false] {
            assert_eq!(directory.delete_security("p", "a").await.unwrap(), want);
        }
        assert_eq!(directory.security("p", "a").await.unwrap(), None);
    }
}
