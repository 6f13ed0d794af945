//! Weaker forms of passwords, replaced by Argon2id where the password itself comes by.
//!
//! A user may have nothing but a digest of the hash that old clients sent: of a time when the platform
//! had a scheme that needed it. Whoever knows the password proves it by that digest too, and then it is
//! hashed as it should be, and the digests that no scheme needs any more are gone. That is done beside
//! the verdict, one at a time: nobody waits for it, and what cannot be written is tried at a later
//! login. A hash of SIP (`ha1b`) is of a password of its own, and neither proven nor touched here.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use md5::Md5;
use sha1::Sha1;
use tokio::sync::Semaphore;

use crate::credential::Secret;
use crate::decision::Fault;
use crate::directory::file::Forms;
use crate::directory::names::user_hash;
use crate::directory::pepper::Digest;
use crate::directory::reads::Reads;
use crate::directory::records::User;
use crate::directory::writing::internal;
use crate::directory::{Directory, Index};
use crate::store::{DeleteIf, StoreError};
use crate::telemetry::Metrics;

/// A record that is nobody's: whether it may be deleted tells whether records may be written.
const NOBODYS: &str = "pc:u:rights";

/// What is replaced, and how much of it is under way.
pub struct Upgrades {
    /// What each platform's schemes and logins need.
    forms: HashMap<String, Forms>,
    metrics: Arc<Metrics>,
    working: Arc<Semaphore>,
    /// Whether this process was told that it may not write records.
    forbidden: AtomicBool,
}

impl fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrades(..)")
    }
}

/// What of a user's password is to be otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Due {
    argon2: bool,
    /// Digests that go.
    md5: bool,
    sha1: bool,
}

impl Upgrades {
    /// Replaces what the schemes and logins of each platform do not need; a platform that is not
    /// named is let be.
    #[must_use]
    pub fn new(forms: HashMap<String, Forms>, metrics: Arc<Metrics>) -> Self {
        Self {
            forms,
            metrics,
            // Hashing takes a core for as long as a login does.
            working: Arc::new(Semaphore::new(1)),
            forbidden: AtomicBool::new(false),
        }
    }

    /// Writes what is due, if that is let.
    async fn work(
        &self,
        directory: &Directory,
        platform: &str,
        (seen, due): (&User, Due),
        password: &Secret,
    ) -> Result<(), Fault> {
        let deleted = directory.store().delete(NOBODYS, DeleteIf::Always).await;
        if let Err(StoreError::Forbidden(_)) = &deleted {
            self.forbidden.store(true, Ordering::Relaxed);
        }
        deleted.map_err(super::store_fault)?;
        let argon2 = match due.argon2 {
            true => Some(directory.prover().hash_password(password).await?),
            false => None,
        };
        let change = |old: Option<User>| {
            let old = old.ok_or_else(|| internal("the user is gone"))?;
            let is_seen = (&old.password, &old.md5, &old.sha1)
                == (&seen.password, &seen.md5, &seen.sha1);
            if !is_seen {
                return Err(internal("the user has another password by now"));
            }
            Ok::<_, Fault>(User {
                password: argon2.clone().or_else(|| old.password.clone()),
                md5: old.md5.clone().filter(|_| !due.md5),
                sha1: old.sha1.clone().filter(|_| !due.sha1),
                ..old
            })
        };
        directory.update(platform, &seen.id, change).await.map(drop)
    }
}

impl Reads {
    /// Tells whether a digest of a hash of the user's name and password proves the password.
    #[must_use]
    pub fn proves_weaker_form(&self, user: &User, password: &Secret) -> bool {
        let [md5, sha1] = self.proven(user, password);
        md5 || sha1
    }

    /// Has Argon2id take the place of weaker forms that this password proves, where no scheme of the
    /// platform needs them, in the background, if at all. The password must be the user's.
    pub fn upgrade(&self, user: &User, password: &Secret) {
        let (directory, platform) = (self.directory(), self.platform());
        let Some(upgrades) = &directory.0.upgrades else {
            return;
        };
        let Some(forms) = upgrades.forms.get(platform) else {
            return;
        };
        let [md5, sha1] = self.proven(user, password);
        let due = Due {
            argon2: forms.argon2 && user.password.is_none(),
            md5: md5 && !forms.md5,
            sha1: sha1 && !forms.sha1,
        };
        if !(due.argon2 || due.md5 || due.sha1) {
            return;
        }
        let place = Arc::clone(&upgrades.working).try_acquire_owned();
        let (Ok(place), false) = (place, upgrades.forbidden.load(Ordering::Relaxed)) else {
            upgrades.metrics.count_legacy(platform, "left");
            return;
        };
        let (upgrades, directory) = (Arc::clone(upgrades), directory.clone());
        let (platform, user, password) = (platform.to_owned(), user.clone(), password.clone());
        tokio::spawn(async move {
            let work = upgrades.work(&directory, &platform, (&user, due), &password);
            let outcome = match work.await {
                Ok(()) => "replaced",
                Err(fault) => {
                    tracing::debug!("a weaker form of a password is not replaced: {fault}");
                    "left"
                }
            };
            upgrades.metrics.count_legacy(&platform, outcome);
            drop(place);
        });
    }

    /// Which of the two digests the password proves, the MD5 and the SHA-1.
    fn proven(&self, user: &User, password: &Secret) -> [bool; 2] {
        let (Some(account), Some(login)) = (&user.account, user.login()) else {
            return [false; 2];
        };
        let proves = |index, stored: &Option<Digest>, hash: fn(&str, &Secret) -> Secret| {
            stored.as_ref().is_some_and(|stored| {
                let hash = hash(login, password);
                let values = [account.as_bytes(), hash.expose()];
                let digests = self.directory().digests(self.platform(), index, &values);
                digests.iter().any(|it| it.matches(stored))
            })
        };
        [
            proves(Index::Md5, &user.md5, user_hash::<Md5>),
            proves(Index::Sha1, &user.sha1, user_hash::<Sha1>),
        ]
    }
}
