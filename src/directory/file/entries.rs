//! Rows become entries: records of the directory, with the secrets that they are to be stored with.
//!
//! A row is parsed once, and nothing later looks at the file again. What an entry lacks is what
//! cannot be made without the store's pepper or the prover: digests and hashes.

use serde::de::DeserializeOwned;

use crate::credential::Secret;
use crate::directory::file::checks::Row;
use crate::directory::file::rows::{AccountRow, KeyRow, UserRow};
use crate::directory::names::ha1b;
use crate::directory::records::{Account, ApiKey, User};
use crate::proof::check_phc;

/// A record with the secrets that it is to be written with.
pub(super) trait Entry {
    /// As the file writes it.
    type Row: DeserializeOwned;

    /// Takes a row over, and adds what is wrong with its values; the entry then counts for nothing
    /// but for what refers to it.
    fn check(row: Self::Row, problems: &mut Row<'_>) -> Self;
}

/// An account to be stored.
#[derive(Debug)]
pub(super) struct AccountEntry {
    /// Without the digest of its API key.
    pub(super) record: Account,
    pub(super) api_key: Option<Secret>,
}

/// A user to be stored.
#[derive(Debug)]
pub(super) struct UserEntry {
    /// Without anything made of its password.
    pub(super) record: User,
    pub(super) password: Option<Secret>,
    /// Whether the row says nothing of a password, so that what is stored stays.
    pub(super) keeps_password: bool,
    /// What was brought instead of a password, all in lower case.
    pub(super) argon2: Option<String>,
    pub(super) ha1b: Option<Secret>,
    pub(super) md5: Option<Secret>,
    pub(super) sha1: Option<Secret>,
    /// The seed of its second factor; without one, what is stored stays.
    pub(super) totp: Option<Secret>,
}

/// An API key to be stored.
#[derive(Debug)]
pub(super) struct KeyEntry {
    /// Without the digest of its secret.
    pub(super) record: ApiKey,
    /// Without one, what is stored stays.
    pub(super) secret: Option<Secret>,
}

impl Entry for AccountEntry {
    type Row = AccountRow;

    fn check(row: AccountRow, problems: &mut Row<'_>) -> Self {
        problems.id("/id", &row.id);
        check_some(&row.parent, |it| problems.id("/parent", it));
        check_some(&row.name, |it| problems.text("/name", it));
        check_some(&row.realm, |it| problems.text("/realm", it));
        for (index, number) in row.phone_numbers.iter().enumerate() {
            problems.text(&format!("/phone_numbers/{index}"), number);
        }
        check_some(&row.api_key, |it| problems.hex("/api_key", it, 64));
        let record = Account {
            expires: problems.time("/expires_at", row.expires_at.as_deref()),
            id: row.id,
            name: row.name,
            realm: row.realm,
            parent: row.parent,
            phone_numbers: row.phone_numbers,
            disabled: !row.enabled,
            attributes: row.attributes,
            ..Account::default()
        };
        problems.size(&record);
        Self {
            record,
            api_key: row.api_key,
        }
    }
}

impl Entry for UserEntry {
    type Row = UserRow;

    fn check(row: UserRow, problems: &mut Row<'_>) -> Self {
        problems.id("/id", &row.id);
        check_some(&row.account, |it| problems.id("/account", it));
        check_logins(&row, problems);
        check_secrets(&row, problems);
        problems.roles(&row.roles);
        for (index, link) in row.links.iter().enumerate() {
            problems.text(&format!("/links/{index}/issuer"), &link.issuer);
            problems.text(&format!("/links/{index}/subject"), &link.subject);
        }
        let record = User {
            id: row.id,
            account: row.account,
            username: row.username,
            email: row.email,
            roles: row.roles,
            disabled: !row.enabled,
            links: row.links,
            attributes: row.attributes,
            ..User::default()
        };
        problems.size(&record);
        let totp = row.totp_secret.as_ref();
        let totp = totp.and_then(|it| problems.totp_secret("/totp_secret", it));
        let keeps_password = row.password.is_none() && row.credentials.is_none();
        let sip = row.sip.as_ref();
        let sip = sip.map(|it| ha1b(&it.login, &it.domain, &it.password));
        let hashes = row.credentials.unwrap_or_default();
        let argon2 = hashes.argon2.as_ref().and_then(Secret::expose_str);
        Self {
            record,
            password: row.password,
            keeps_password,
            argon2: argon2.map(str::to_owned),
            ha1b: sip.or_else(|| hashes.ha1b.as_ref().map(lowered)),
            md5: hashes.md5.as_ref().map(lowered),
            sha1: hashes.sha1.as_ref().map(lowered),
            totp,
        }
    }
}

impl Entry for KeyEntry {
    type Row = KeyRow;

    fn check(row: KeyRow, problems: &mut Row<'_>) -> Self {
        problems.id("/id", &row.id);
        check_some(&row.account, |it| problems.id("/account", it));
        check_some(&row.user, |it| problems.id("/user", it));
        check_some(&row.name, |it| problems.text("/name", it));
        check_some(&row.secret, |it| problems.api_key_secret("/secret", it));
        problems.scopes(&row.scopes);
        let record = ApiKey {
            allowed_addresses: problems.addresses(&row.allowed_ips),
            valid_from: problems.time("/valid_from", row.valid_from.as_deref()),
            valid_to: problems.time("/valid_to", row.valid_to.as_deref()),
            id: row.id,
            name: row.name,
            account: row.account,
            user: row.user,
            scopes: row.scopes,
            disabled: !row.enabled,
            only_scopes: row.only_scopes,
            attributes: row.attributes,
            ..ApiKey::default()
        };
        if let (Some(from), Some(to)) = (record.valid_from, record.valid_to)
            && to <= from
        {
            problems.problem("/valid_to", "must be after `valid_from`");
        }
        problems.size(&record);
        Self {
            record,
            secret: row.secret,
        }
    }
}

fn check_logins(row: &UserRow, problems: &mut Row<'_>) {
    check_some(&row.username, |it| problems.login("/username", it));
    check_some(&row.email, |it| problems.email("/email", it));
    if row.username.is_none() && row.email.is_none() {
        problems.problem("", "a user needs a `username` or an `email`");
    }
    if let Some(sip) = &row.sip {
        problems.login("/sip/login", &sip.login);
        problems.login("/sip/domain", &sip.domain);
        problems.password("/sip/password", &sip.password);
    }
}

fn check_secrets(row: &UserRow, problems: &mut Row<'_>) {
    check_some(&row.password, |it| problems.password("/password", it));
    let Some(hashes) = &row.credentials else {
        return;
    };
    if row.password.is_some() {
        problems.problem("/credentials", "give `password` or `credentials`, not both");
    }
    if row.account.is_none() && (hashes.md5.is_some() || hashes.sha1.is_some()) {
        let message = "`md5` and `sha1` are looked up by account, which this user does not have";
        problems.problem("/credentials", message);
    }
    let digits = [
        ("md5", &hashes.md5, 32),
        ("sha1", &hashes.sha1, 40),
        ("ha1b", &hashes.ha1b, 32),
    ];
    for (name, hash, digits) in digits {
        check_some(hash, |it| {
            problems.hex(&format!("/credentials/{name}"), it, digits)
        });
    }
    check_some(&hashes.argon2, |it| {
        if let Err(message) = check_phc(it.expose_str().unwrap_or_default()) {
            problems.problem("/credentials/argon2", message);
        }
    });
}

fn check_some<T>(value: &Option<T>, check: impl FnOnce(&T)) {
    value.as_ref().map(check);
}

/// Hashes are compared as text, in lower case, as clients present them.
fn lowered(hash: &Secret) -> Secret {
    Secret::new(hash.expose().to_ascii_lowercase())
}
