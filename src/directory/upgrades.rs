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

    /// Counts somebody who came with a password of which these forms are stored.
    fn count(&self, platform: &str, proven: [bool; 2], outcome: &'static str) {
        for (form, is_proven) in ["md5", "sha1"].into_iter().zip(proven) {
            if is_proven {
                self.metrics.count_legacy(platform, form, outcome);
            }
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
            let is_seen =
                (&old.password, &old.md5, &old.sha1) == (&seen.password, &seen.md5, &seen.sha1);
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
            upgrades.count(platform, [md5, sha1], "left");
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
            upgrades.count(&platform, [md5, sha1], outcome);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Failure, Reason};
    use crate::directory::bench::Bench;
    use crate::scheme::by_password;
    use crate::store::cut::Cut;

    const PASSWORD: &[u8] = b"m32c6NfqYEt";

    /// As KAZOO makes them of `john@example.com:m32c6NfqYEt`.
    const MD5: &str = "82a2dc91686ec828a67152d45a5c5ef7";
    const SHA1: &str = "055cf886cb9b5c5867083463867c527ace0f8ecc";

    const ARGON2: Forms = Forms {
        argon2: true,
        ha1b: false,
        md5: false,
        sha1: false,
    };

    /// Stores John with these forms of his password.
    async fn john(bench: &Bench, forms: Forms) -> User {
        let digest = |index, hash: &str| {
            let directory = &bench.directory;
            directory.digest("p", index, &[b"a1", hash.as_bytes()])
        };
        let prover = bench.directory.prover();
        let argon2 = prover.hash_password(&secret(PASSWORD)).await.unwrap();
        let user = User {
            id: "u1".into(),
            account: Some("a1".into()),
            username: Some("John@example.com".into()),
            password: Some(argon2).filter(|_| forms.argon2),
            md5: forms.md5.then(|| digest(Index::Md5, MD5)),
            sha1: forms.sha1.then(|| digest(Index::Sha1, SHA1)),
            ..User::default()
        };
        bench.directory.put_user("p", &user).await.unwrap();
        user
    }

    fn secret(of: &[u8]) -> Secret {
        Secret::new(of)
    }

    /// Logs John in; gives why he does not get in.
    async fn log_in(directory: &Directory, password: &[u8]) -> Result<(), Reason> {
        let reads = Reads::begin(directory, "p");
        let found = by_password("john@example.com", &secret(password), &reads).await;
        found.map(drop).map_err(|it| match it {
            Failure::Denied(denial) => denial.reason(),
            Failure::Fault(fault) => panic!("{fault}"),
        })
    }

    fn upgrading(directory: &Directory, needed: Forms) -> (Directory, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        let forms = HashMap::from([("p".to_owned(), needed)]);
        let upgrades = Upgrades::new(forms, Arc::clone(&metrics));
        (directory.upgrading(upgrades), metrics)
    }

    /// How many came by the form that most have come by.
    fn count(metrics: &Metrics, outcome: &str) -> usize {
        let counts = ["md5", "sha1"].map(|it| count_of(metrics, it, outcome));
        counts.into_iter().max().unwrap_or_default()
    }

    fn count_of(metrics: &Metrics, form: &str, outcome: &str) -> usize {
        let labels = format!(r#"platform="p",form="{form}",outcome="{outcome}""#);
        let begin = format!("portcullis_legacy_credentials_total{{{labels}}} ");
        let text = metrics.render();
        let line = text.lines().find_map(|it| it.strip_prefix(&begin));
        line.map_or(0, |it| it.parse().unwrap())
    }

    /// Waits until nothing is under way.
    async fn settle(directory: &Directory) {
        let working = &directory.0.upgrades.as_ref().unwrap().working;
        drop(working.acquire().await.unwrap());
    }

    async fn stored(bench: &Bench) -> User {
        bench.directory.user("p", "u1").await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_password_takes_the_place_of_weaker_forms_that_it_proves_and_no_scheme_needs() {
        let with = |argon2, md5, sha1| Forms {
            argon2,
            md5,
            sha1,
            ..Forms::default()
        };
        let all = with(true, true, true);
        for (has, needed, want, replaced) in [
            (with(false, true, false), ARGON2, ARGON2, 1),
            (with(false, false, true), ARGON2, ARGON2, 1),
            (
                with(false, true, true),
                with(true, true, false),
                with(true, true, false),
                1,
            ),
            (with(false, true, true), all, all, 1),
            (all, ARGON2, ARGON2, 1),
            (all, all, all, 0),
            (ARGON2, ARGON2, ARGON2, 0),
        ] {
            let bench = Bench::new();
            let before = john(&bench, has).await;
            let (directory, metrics) = upgrading(&bench.directory, needed);
            let case = format!("{has:?}, {needed:?}");
            assert_eq!(
                log_in(&directory, b"wrong").await,
                Err(Reason::Wrong),
                "{case}"
            );
            settle(&directory).await;
            assert_eq!(stored(&bench).await, before, "{case}");

            assert_eq!(log_in(&directory, PASSWORD).await, Ok(()), "{case}");
            settle(&directory).await;
            let user = stored(&bench).await;
            let got = with(
                user.password.is_some(),
                user.md5.is_some(),
                user.sha1.is_some(),
            );
            assert_eq!(got, want, "{case}");
            assert_eq!(count(&metrics, "replaced"), replaced, "{case}");
            for (form, had) in [("md5", has.md5), ("sha1", has.sha1)] {
                let want = replaced * usize::from(had);
                assert_eq!(count_of(&metrics, form, "replaced"), want, "{case}");
            }
            if before.password.is_some() {
                assert_eq!(user.password, before.password, "{case}");
            }
            // It is the same password, so nothing is revoked; and the old hash finds nobody.
            assert_eq!(user.generation, before.generation, "{case}");
            let reads = bench.reads("p");
            let by_md5 = reads.users(Index::Md5, &[b"a1", MD5.as_bytes()]).await;
            assert_eq!(by_md5.unwrap().len(), usize::from(want.md5), "{case}");

            assert_eq!(log_in(&directory, PASSWORD).await, Ok(()), "{case}");
            assert_eq!(
                log_in(&directory, b"wrong").await,
                Err(Reason::Wrong),
                "{case}"
            );
            settle(&directory).await;
            assert_eq!(stored(&bench).await, user, "{case}");
        }
    }

    #[tokio::test]
    async fn where_records_may_not_be_written_a_login_is_as_good_and_it_is_tried_once() {
        let bench = Bench::new();
        let before = john(
            &bench,
            Forms {
                md5: true,
                ..Forms::default()
            },
        )
        .await;
        let over = bench.through(|it| Arc::new(Cut::forbidding(it)));
        let (directory, metrics) = upgrading(&over, ARGON2);
        for left in 1..4 {
            assert_eq!(log_in(&directory, PASSWORD).await, Ok(()));
            settle(&directory).await;
            assert_eq!(
                (count(&metrics, "replaced"), count(&metrics, "left")),
                (0, left)
            );
        }
        assert!(
            directory
                .0
                .upgrades
                .as_ref()
                .unwrap()
                .forbidden
                .load(Ordering::Relaxed)
        );
        assert_eq!(stored(&bench).await, before);
    }

    #[tokio::test]
    async fn a_store_that_fails_costs_no_login_and_a_later_one_is_tried_again() {
        let bench = Bench::new();
        john(
            &bench,
            Forms {
                md5: true,
                ..Forms::default()
            },
        )
        .await;
        let over = bench.through(|it| Arc::new(Cut::after(1, it)));
        let (directory, metrics) = upgrading(&over, ARGON2);
        for left in 1..3 {
            assert_eq!(log_in(&directory, PASSWORD).await, Ok(()));
            settle(&directory).await;
            assert_eq!(count(&metrics, "left"), left);
        }
        let (directory, metrics) = upgrading(&bench.directory, ARGON2);
        assert_eq!(log_in(&directory, PASSWORD).await, Ok(()));
        settle(&directory).await;
        assert_eq!(count(&metrics, "replaced"), 1);
    }

    #[tokio::test]
    async fn a_password_that_is_changed_meanwhile_stays_changed() {
        let bench = Bench::new();
        let seen = john(
            &bench,
            Forms {
                md5: true,
                ..Forms::default()
            },
        )
        .await;
        let (directory, _) = upgrading(&bench.directory, ARGON2);
        let changed = User {
            password: Some("$argon2id$another".to_owned()),
            ..seen.clone()
        };
        bench.directory.put_user("p", &changed).await.unwrap();
        let upgrades = Arc::clone(directory.0.upgrades.as_ref().unwrap());
        let due = Due {
            argon2: true,
            md5: true,
            sha1: false,
        };
        let password = secret(PASSWORD);
        let work = upgrades
            .work(&directory, "p", (&seen, due), &password)
            .await;
        assert!(work.is_err());
        assert_eq!(stored(&bench).await, changed);
        // A digest beside an Argon2id proves nothing: it is of an older password.
        let prover = bench.directory.prover();
        let hash = prover.hash_password(&secret(b"new")).await;
        let newer = User {
            password: Some(hash.unwrap()),
            ..seen
        };
        bench.directory.put_user("p", &newer).await.unwrap();
        assert_eq!(log_in(&directory, PASSWORD).await, Err(Reason::Wrong));
    }
}
