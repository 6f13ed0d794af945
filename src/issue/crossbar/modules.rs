//! What the Security API has set for a module of an account (`crossbar_auth.erl`,
//! `kazoo_auth`'s hierarchy): its own setting, else its parents' up to the first reseller, else the
//! system's.

use std::time::Duration;

use crate::decision::Fault;
use crate::directory::reads::Reads;
use crate::directory::records::Account;
use crate::directory::security::{AuthModule, AuthModules, MultiFactor};

/// The modules that can be configured.
pub(super) const MODULES: [&str; 4] = ["cb_api_auth", "cb_auth", "cb_ip_auth", "cb_user_auth"];

/// The module of logins with a user's credentials.
pub(super) const USER_AUTH: &str = "cb_user_auth";

/// The module of logins with an account's key.
pub(super) const API_AUTH: &str = "cb_api_auth";

/// The module that refreshes tokens.
pub(super) const AUTH: &str = "cb_auth";

/// How long a token is good where nobody has said otherwise, in seconds.
const TOKEN_SECONDS: u64 = 3600;

/// What holds for a module.
#[derive(Debug)]
pub(super) struct Effective {
    pub(super) enabled: bool,
    pub(super) token_lifetime: Duration,
    pub(super) second_factor: bool,
}

/// What the system says of every module.
pub(super) fn system() -> AuthModules {
    let module = |name: &str| AuthModule {
        enabled: Some(true),
        token_auth_expiry_s: Some(TOKEN_SECONDS),
        log_failed_attempts: Some(true),
        log_successful_attempts: Some(name == USER_AUTH),
        multi_factor: Some(MultiFactor {
            enabled: Some(false),
            ..MultiFactor::default()
        }),
    };
    let named = MODULES.iter().map(|it| ((*it).to_owned(), module(it)));
    named.collect()
}

/// Gives what holds for one module of an account.
///
/// # Errors
/// A fault when the store does not answer.
pub(super) async fn effective(
    account: &Account,
    module: &str,
    reads: &Reads,
) -> Result<Effective, Fault> {
    let mut merged = reads.security_merged(account, &system()).await?;
    let module = merged.remove(module).unwrap_or_default();
    let seconds = module.token_auth_expiry_s.filter(|it| *it > 0);
    let second_factor = module.multi_factor.and_then(|it| it.enabled);
    Ok(Effective {
        enabled: module.enabled == Some(true),
        token_lifetime: Duration::from_secs(seconds.unwrap_or(TOKEN_SECONDS)),
        second_factor: second_factor == Some(true),
    })
}
