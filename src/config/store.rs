//! The store's settings: which one, and what it is written under.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::certificate::Unfit;
use crate::config::directory::DirectorySource;
use crate::credential::Secret;
use crate::directory::pepper::Peppers;
use crate::document::{Document, Problem};
use crate::store::redis::{self, ClientCertificate};

/// The store, as a configuration writes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawStore {
    /// `memory:`, `embedded:PATH` for a file, `redis://HOST[:PORT][/DATABASE]`,
    /// `redis-sentinel://HOST[:PORT][,HOST…]/SERVICE[/DATABASE]`, or `redis-cluster://HOST[:PORT][,HOST…]`;
    /// `rediss` stands for TLS.
    pub url: String,
    /// The user of the Redis server's access rules, with a `password_file`; absent: its default user.
    pub username: Option<String>,
    /// A file with the password for the Redis server.
    pub password_file: Option<String>,
    /// A file with the certificates (PEM) that vouch for the Redis server's; absent: the system's.
    pub ca_file: Option<String>,
    /// A file with the certificate (PEM) that is shown to servers that want one of their clients, and
    /// those that vouch for it.
    pub client_cert_file: Option<String>,
    /// A file with its private key (PEM).
    pub client_key_file: Option<String>,
    /// The user of the sentinels' access rules, with a `sentinel_password_file`; absent: their default user.
    pub sentinel_username: Option<String>,
    /// A file with the password for the sentinels; absent: they want none.
    pub sentinel_password_file: Option<String>,
    /// How long an operation of the Redis server may take, in milliseconds.
    pub timeout_ms: u64,
    /// Files with the peppers that the store is written under, newest first, 32 bytes or more each.
    /// `memory:` makes its own.
    pub pepper_files: Vec<String>,
    /// What a `memory:` store is filled with, at start and again when it changes.
    pub directory_file: Option<String>,
    /// How long what is remembered counts after the last word of the Redis server, which tells what
    /// others change in it.
    pub watch_grace_seconds: u64,
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            url: "memory:".to_owned(),
            username: None,
            password_file: None,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            sentinel_username: None,
            sentinel_password_file: None,
            timeout_ms: 50,
            pepper_files: Vec::new(),
            directory_file: None,
            watch_grace_seconds: 5,
        }
    }
}

/// The store to open.
#[derive(Debug)]
pub struct StoreSettings {
    /// Which.
    pub kind: StoreKind,
    /// What it is written under, and what keys are derived from; made for this run where the store
    /// ends with it and no files are named.
    pub peppers: Peppers,
    /// What a `memory:` store is filled with.
    pub directory: Option<DirectorySource>,
    /// How long what is remembered counts after the last word of changes; `None`: nobody remembers anything, so changes
    /// need not be heard of.
    pub watch_grace: Option<Duration>,
}

/// A kind of store.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// In a file of this process.
    Embedded(PathBuf),
    /// In this process's memory.
    Memory,
    /// In a Redis or Valkey server.
    Redis(Box<redis::Settings>),
}

impl StoreSettings {
    /// Checks the settings and reads the files that they name, relative to `base`; `None` where
    /// they have problems, which are added.
    pub fn read(
        raw: &RawStore,
        base: &Path,
        document: &Document,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut complain = |pointer: &str, message: &str| {
            problems.push(document.problem(&format!("/store{pointer}"), message));
        };
        let kind = match raw.url.split_once(':') {
            Some(("memory", "")) => Some(StoreKind::Memory),
            Some(("embedded", path)) if !path.is_empty() => {
                Some(StoreKind::Embedded(base.join(path)))
            }
            Some((
                "redis" | "rediss" | "redis-sentinel" | "rediss-sentinel" | "redis-cluster"
                | "rediss-cluster",
                _,
            )) => redis_settings(raw, base, &mut complain).map(|it| StoreKind::Redis(Box::new(it))),
            _ => {
                complain(
                    "/url",
                    "a store is `memory:`, `embedded:PATH`, `redis://HOST`, `redis-sentinel://HOST/SERVICE`, \
                     `redis-cluster://HOST`, or one of the latter three with `rediss` for TLS",
                );
                None
            }
        };
        let in_memory = matches!(kind, Some(StoreKind::Memory));
        let is_local = in_memory || matches!(kind, Some(StoreKind::Embedded(_)));
        let remote = [
            ("/username", raw.username.is_some()),
            ("/password_file", raw.password_file.is_some()),
            ("/ca_file", raw.ca_file.is_some()),
            ("/client_cert_file", raw.client_cert_file.is_some()),
            ("/client_key_file", raw.client_key_file.is_some()),
            ("/sentinel_username", raw.sentinel_username.is_some()),
            (
                "/sentinel_password_file",
                raw.sentinel_password_file.is_some(),
            ),
        ];
        for (pointer, given) in remote {
            if given && is_local {
                complain(pointer, "only a Redis store has one");
            }
        }
        if !in_memory && raw.directory_file.is_some() {
            complain(
                "/directory_file",
                "only a `memory:` store is filled from a file; use `portcullis import`",
            );
        }
        let mut keys = Vec::new();
        for (index, file) in raw.pepper_files.iter().enumerate() {
            match Secret::read(&base.join(file)) {
                Ok(secret) => keys.push(secret),
                Err(message) => complain(&format!("/pepper_files/{index}"), &message),
            }
        }
        if keys.len() < raw.pepper_files.len() || (kind.is_none() && keys.is_empty()) {
            return None;
        }
        let peppers = if in_memory && keys.is_empty() {
            Peppers::ephemeral()
        } else {
            Peppers::new(keys)
        };
        let peppers = match peppers {
            Ok(peppers) => peppers,
            Err(error) => {
                complain("/pepper_files", &error.to_string());
                return None;
            }
        };
        let directory = raw
            .directory_file
            .as_ref()
            .map(|it| DirectorySource::File(base.join(it)));
        Some(Self {
            kind: kind?,
            peppers,
            directory,
            watch_grace: Some(Duration::from_secs(raw.watch_grace_seconds)),
        })
    }
}

fn redis_settings(
    raw: &RawStore,
    base: &Path,
    complain: &mut impl FnMut(&str, &str),
) -> Option<redis::Settings> {
    if raw.url.contains('@') {
        complain(
            "/url",
            "user name and password have settings of their own, `username` and `password_file`",
        );
        return None;
    }
    if raw.timeout_ms == 0 {
        complain("/timeout_ms", "must be above 0");
    }
    let has_sentinels = raw.url.contains("-sentinel:");
    if !has_sentinels {
        for (pointer, given) in [
            ("/sentinel_username", raw.sentinel_username.is_some()),
            (
                "/sentinel_password_file",
                raw.sentinel_password_file.is_some(),
            ),
        ] {
            if given {
                complain(pointer, "only a `redis-sentinel:` store has one");
            }
        }
    }
    let password = password(
        ("/username", raw.username.as_ref()),
        ("/password_file", raw.password_file.as_ref()),
        base,
        complain,
    );
    let sentinel_password = match has_sentinels {
        true => self::password(
            ("/sentinel_username", raw.sentinel_username.as_ref()),
            (
                "/sentinel_password_file",
                raw.sentinel_password_file.as_ref(),
            ),
            base,
            complain,
        ),
        false => Some(None),
    };
    let ca = read("/ca_file", raw.ca_file.as_ref(), base, complain);
    let own = (
        read(
            "/client_cert_file",
            raw.client_cert_file.as_ref(),
            base,
            complain,
        ),
        read(
            "/client_key_file",
            raw.client_key_file.as_ref(),
            base,
            complain,
        ),
    );
    let settings = redis::Settings {
        ca: ca?.map(|it| it.expose().to_vec()),
        certificate: certificate((own.0?, own.1?), raw, complain)?,
        password: password?,
        sentinel_password: sentinel_password?,
        sentinel_username: raw.sentinel_username.clone(),
        timeout: Duration::from_millis(raw.timeout_ms),
        url: raw.url.clone(),
        username: raw.username.clone(),
        watched: None,
    };
    let checked = settings.check_url();
    checked.map_err(|it| complain("/url", &it)).ok()?;
    let checked = settings.check_ca();
    checked.map_err(|it| complain("/ca_file", &it)).ok()?;
    Some(settings)
}

/// Reads a file that the setting at `pointer` may name; `None` where that is a problem.
fn read(
    pointer: &str,
    file: Option<&String>,
    base: &Path,
    complain: &mut impl FnMut(&str, &str),
) -> Option<Option<Secret>> {
    let Some(file) = file else { return Some(None) };
    let read = Secret::read(&base.join(file));
    read.map_err(|it| complain(pointer, &it)).ok().map(Some)
}

/// Reads the password that a user is logged in with; `None` where nobody can be logged in so.
fn password(
    (user_at, user): (&str, Option<&String>),
    (file_at, file): (&str, Option<&String>),
    base: &Path,
    complain: &mut impl FnMut(&str, &str),
) -> Option<Option<Secret>> {
    if user.is_some() && file.is_none() {
        // By a name alone nobody is logged in: it would be the default user, who may do more.
        let beside = file_at.trim_start_matches('/');
        complain(user_at, &format!("needs `{beside}` beside it"));
        return None;
    }
    let password = read(file_at, file, base, complain)?;
    let wrong = match password.as_ref().map(Secret::expose_str) {
        Some(None) => "the password is not UTF-8",
        Some(Some("")) => "the file is empty",
        Some(Some(text)) if text.contains(['\n', '\r']) => "the file holds more than one line",
        _ => return Some(password),
    };
    complain(file_at, wrong);
    None
}

/// Puts a certificate and its key together; `None` where that is a problem.
fn certificate(
    own: (Option<Secret>, Option<Secret>),
    raw: &RawStore,
    complain: &mut impl FnMut(&str, &str),
) -> Option<Option<ClientCertificate>> {
    let mut wrong = |pointer, message: &str| {
        complain(pointer, message);
        None
    };
    let (certificate, key) = match own {
        (None, None) => return Some(None),
        (Some(_), None) => return wrong("/client_cert_file", "needs `client_key_file` beside it"),
        (None, Some(_)) => return wrong("/client_key_file", "needs `client_cert_file` beside it"),
        (Some(certificate), Some(key)) => (certificate, key),
    };
    if !raw.url.starts_with("rediss") {
        let message = "only a connection with TLS (`rediss`) has one";
        return wrong("/client_cert_file", message);
    }
    match ClientCertificate::new(certificate.expose().to_vec(), key) {
        Ok(certificate) => Some(Some(certificate)),
        Err(unfit) => {
            let pointer = match unfit {
                Unfit::Certificate => "/client_cert_file",
                Unfit::Key | Unfit::Mismatch => "/client_key_file",
            };
            wrong(pointer, &unfit.to_string())
        }
    }
}
