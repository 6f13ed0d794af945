//! What operators ask of the directory: one type for every question, and one function that answers.
//!
//! Apart from the control socket and the commands because both use it: a command sends an
//! [`Operation`] to the server that has the directory open, or performs it itself where the store
//! can be reached from anywhere. What is long comes as [`Line`]s, one after the other, so that a
//! directory of any size passes through little memory. It prints nothing and asks nobody back.

mod bulk;
mod changes;
mod platforms;
mod sessions;
mod throttle;
mod totp;
pub mod verify;
pub mod words;

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::directory::Directory;
use crate::directory::file::Forms;
use crate::directory::operations::verify::verify;
use crate::directory::operations::words::{Line, Operation, OperationError, Outcome, Whose};
use crate::directory::records::RecordKind;

/// Performs operations on a directory.
#[derive(Clone, Debug)]
pub struct Operations {
    directory: Directory,
    platforms: BTreeMap<String, Forms>,
}

impl Operations {
    /// Takes the directory, and the platforms with the forms in which each wants passwords stored.
    #[must_use]
    pub fn new(directory: Directory, platforms: BTreeMap<String, Forms>) -> Self {
        Self {
            directory,
            platforms,
        }
    }

    /// Performs an operation, and says so in the log. Dropping the future stops it between records.
    ///
    /// # Errors
    /// Why it was not performed, also where nobody takes the lines any more.
    pub async fn perform(
        &self,
        operation: Operation,
        lines: &mpsc::Sender<Line>,
    ) -> Result<Outcome, OperationError> {
        let name = operation.name();
        let (kind, platform, id) = subject(&operation);
        let done = match operation {
            Operation::Add {
                kind,
                platform,
                row,
            } => self.add(kind, &platform, &row).await,
            Operation::Export { platform } => self.export(platform, lines).await,
            Operation::Failures { platform } => self.failures(&platform, lines).await,
            Operation::Import {
                source,
                text,
                dry_run,
            } => self.import(source, text, dry_run, lines).await,
            Operation::Lift { platform, of } => self.lift(&platform, &of).await,
            Operation::Link {
                platform,
                id,
                link,
                remove,
            } => self.link(&platform, &id, link, remove).await,
            Operation::List {
                kind,
                platform,
                account,
            } => self.list(kind, &platform, account.as_deref(), lines).await,
            Operation::Revoke { kind, platform, id } => self.revoke(kind, &platform, &id).await,
            Operation::RevokePlatform { platform } => self.revoke_platform(&platform).await,
            Operation::RevokeSession { platform, whose } => {
                self.revoke_session(&platform, whose).await
            }
            Operation::Rotate {
                platform,
                id,
                secret,
                overlap_seconds,
            } => self.rotate(&platform, &id, secret, overlap_seconds).await,
            Operation::Sessions { platform, user } => {
                self.sessions(&platform, user.as_deref(), lines).await
            }
            Operation::Show { kind, platform, id } => self.show(kind, &platform, &id).await,
            Operation::ShowPlatform { platform } => self.show_platform(&platform).await,
            Operation::Switch {
                kind,
                platform,
                id,
                enabled,
            } => self.switch(kind, &platform, &id, enabled).await,
            Operation::Totp {
                platform,
                id,
                seed,
                remove,
            } => match remove {
                false => self.set_totp(&platform, &id, seed).await,
                true => self.remove_totp(&platform, &id).await,
            },
            Operation::Verify { repair } => {
                let platforms = self.platforms.keys().map(String::as_str);
                let verified = verify(&self.directory, platforms, repair, lines).await;
                verified.map(Outcome::Verified)
            }
        };
        let failed = done.as_ref().err().map(OperationError::kind);
        tracing::info!(
            operation = name,
            kind,
            platform,
            id,
            failed,
            "directory operation"
        );
        done
    }

    fn forms(&self, platform: &str) -> Forms {
        self.platforms.get(platform).copied().unwrap_or_default()
    }

    fn check_platform(&self, platform: &str) -> Result<(), OperationError> {
        if self.platforms.contains_key(platform) {
            return Ok(());
        }
        let known: Vec<_> = self.platforms.keys().map(String::as_str).collect();
        Err(OperationError::Refused(format!(
            "the server has no platform {platform}; it has {}",
            known.join(", ")
        )))
    }
}

/// What the log is told beside an operation's name. No name of a person is in it.
fn subject(operation: &Operation) -> (Option<String>, Option<String>, Option<String>) {
    let (kind, platform, id) = match operation {
        Operation::Add { kind, platform, .. } | Operation::List { kind, platform, .. } => {
            (Some(*kind), Some(platform), None)
        }
        Operation::Export { platform } => (None, platform.as_ref(), None),
        Operation::Import { .. } | Operation::Verify { .. } => (None, None, None),
        Operation::Link { platform, id, .. } | Operation::Totp { platform, id, .. } => {
            (Some(RecordKind::User), Some(platform), Some(id))
        }
        Operation::RevokeSession { platform, whose } => {
            let user = match whose {
                Whose::Token(_) => None,
                Whose::User(id) => Some(id),
            };
            (Some(RecordKind::User), Some(platform), user)
        }
        Operation::Failures { platform }
        | Operation::Lift { platform, .. }
        | Operation::RevokePlatform { platform }
        | Operation::ShowPlatform { platform } => (None, Some(platform), None),
        Operation::Rotate { platform, id, .. } => (Some(RecordKind::Key), Some(platform), Some(id)),
        Operation::Sessions { platform, user } => {
            (Some(RecordKind::User), Some(platform), user.as_ref())
        }
        Operation::Revoke { kind, platform, id }
        | Operation::Show { kind, platform, id }
        | Operation::Switch {
            kind, platform, id, ..
        } => (Some(*kind), Some(platform), Some(id)),
    };
    (
        kind.map(|it| it.to_string()),
        platform.cloned(),
        id.cloned(),
    )
}

/// Sends a line; nobody to take it means that whoever asked has gone.
async fn send(lines: &mpsc::Sender<Line>, line: Line) -> Result<(), OperationError> {
    let gone = |_| OperationError::Fault("nobody listens any more".to_owned());
    lines.send(line).await.map_err(gone)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};

    use crate::clock::Clock;
    use crate::credential::{Fingerprinter, Secret};
    use crate::directory::failures::Attempts;
    use crate::directory::file::Imported;
    use crate::directory::file::written::Row;
    use crate::directory::operations::verify::Verified;
    use crate::directory::operations::words::{Clear, Exported};
    use crate::directory::pepper::Peppers;
    use crate::directory::reads::Reads;
    use crate::directory::records::{ApiKey, User};
    use crate::directory::security::{AuthModule, AuthModules};
    use crate::directory::sessions::NewSession;
    use crate::directory::{Index, MAX_HINTS};
    use crate::proof::Prover;
    use crate::store::embedded::Embedded;
    use crate::store::{DeleteIf, PutIf};

    use super::*;

    const SAMPLE: &str = include_str!("../cli/sample_directory.yaml");
    const OLD: &str = "003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9";
    const JOHN: &str = "8e248327b85591955749e53ea45b6baa";
    const ACME: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";

    struct Desk {
        operations: Operations,
        seconds: Arc<AtomicU64>,
    }

    impl Desk {
        /// The sample directory, at the beginning of 2026.
        async fn open() -> Self {
            let seconds = Arc::new(AtomicU64::new(1_767_225_600));
            let now = Arc::clone(&seconds);
            let clock = Clock::from_fn(move || {
                UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed))
            });
            let store = Arc::new(Embedded::memory(clock.clone()).unwrap());
            let prover = Prover::new(Fingerprinter::random().unwrap(), 100, 2).unwrap();
            let peppers = Peppers::ephemeral().unwrap();
            let directory = Directory::new(store, peppers, prover, clock);
            let argon2 = Forms {
                argon2: true,
                ..Forms::default()
            };
            let md5 = Forms {
                md5: true,
                ..Forms::default()
            };
            let platforms = [("crossbar", md5), ("infobip", argon2), ("opentact", argon2)];
            let platforms = platforms.map(|(name, forms)| (name.to_owned(), forms));
            let operations = Operations::new(directory, platforms.into());
            let desk = Self {
                operations,
                seconds,
            };
            desk.import(SAMPLE).await.unwrap();
            desk
        }

        fn directory(&self) -> &Directory {
            &self.operations.directory
        }

        async fn delete(&self, key: &str) {
            let deleted = self.directory().store().delete(key, DeleteIf::Always);
            assert!(deleted.await.unwrap(), "{key}");
        }

        async fn ask(&self, operation: Operation) -> (Result<Outcome, OperationError>, Vec<Line>) {
            let (sender, mut receiver) = mpsc::channel(1);
            let operations = self.operations.clone();
            let work = tokio::spawn(async move { operations.perform(operation, &sender).await });
            let mut lines = Vec::new();
            while let Some(line) = receiver.recv().await {
                lines.push(line);
            }
            (work.await.unwrap(), lines)
        }

        async fn record(
            &self,
            operation: Operation,
        ) -> Result<(Row, Option<Clear>), OperationError> {
            match self.ask(operation).await.0? {
                Outcome::Record { record, secret } => Ok((record, secret)),
                other => panic!("{other:?}"),
            }
        }

        async fn import(&self, text: &str) -> Result<Imported, OperationError> {
            let import = Operation::Import {
                source: "d.yaml".into(),
                text: Clear::new(text.into()),
                dry_run: false,
            };
            match self.ask(import).await.0? {
                Outcome::Imported(imported) => Ok(imported),
                other => panic!("{other:?}"),
            }
        }

        async fn export(&self) -> (Exported, String) {
            let (outcome, lines) = self.ask(Operation::Export { platform: None }).await;
            let text = |line| match line {
                Line::Text(text) => text,
                other => panic!("{other:?}"),
            };
            let Ok(Outcome::Exported(exported)) = outcome else {
                panic!("{outcome:?}")
            };
            (exported, lines.into_iter().map(text).collect())
        }

        async fn verify(&self, repair: bool) -> (Verified, Vec<String>) {
            let (outcome, lines) = self.ask(Operation::Verify { repair }).await;
            let Ok(Outcome::Verified(verified)) = outcome else {
                panic!("{outcome:?}")
            };
            let finding = |line| match line {
                Line::Row(row) => row["finding"].as_str().unwrap().to_owned(),
                other => panic!("{other:?}"),
            };
            (verified, lines.into_iter().map(finding).collect())
        }

        /// Until when a secret opens something, as a scheme would see it.
        async fn ends(&self, secret: &str) -> Option<Option<u64>> {
            let reads = Reads::begin(self.directory(), "infobip");
            let key = reads
                .api_key(&Secret::new(secret.as_bytes()))
                .await
                .unwrap();
            key.map(|it| it.valid_to)
        }
    }

    fn on(
        operation: fn(RecordKind, String, String) -> Operation,
        kind: RecordKind,
        id: &str,
    ) -> Operation {
        operation(kind, "infobip".into(), id.into())
    }

    fn revoke(kind: RecordKind, platform: String, id: String) -> Operation {
        Operation::Revoke { kind, platform, id }
    }

    fn show(kind: RecordKind, platform: String, id: String) -> Operation {
        Operation::Show { kind, platform, id }
    }

    fn enable(kind: RecordKind, platform: String, id: String) -> Operation {
        Operation::Switch {
            kind,
            platform,
            id,
            enabled: true,
        }
    }

    fn rotate(secret: Option<&str>, overlap_seconds: u64) -> Operation {
        Operation::Rotate {
            platform: "infobip".into(),
            id: "sample-key".into(),
            secret: secret.map(|it| Clear::new(it.into())),
            overlap_seconds,
        }
    }

    fn add(kind: RecordKind, row: &Value) -> Operation {
        Operation::Add {
            kind,
            platform: "infobip".into(),
            row: Clear::new(row.to_string()),
        }
    }

    #[tokio::test]
    async fn an_export_that_is_imported_again_changes_nothing() {
        let desk = Desk::open().await;
        let (exported, text) = desk.export().await;
        assert_eq!(exported.records, 23);
        // An account's key, five md5 users and seven keys.
        assert_eq!(exported.withheld, 13);
        for secret in [OLD, "openSesame", "0123456789abcdef0123456789"] {
            assert!(!text.contains(secret), "{secret}");
        }
        let again = desk.import(&text).await.unwrap();
        assert_eq!((again.records, again.created, again.changed), (23, 0, 0));
    }

    #[tokio::test]
    async fn an_export_restores_argon2_elsewhere_and_names_the_keys_that_it_cannot() {
        let desk = Desk::open().await;
        let (_, text) = desk.export().await;
        let elsewhere = Desk::open().await;
        let revived = text.replace("\"id\":\"sample-", "\"id\":\"other-");
        let Err(OperationError::Problems(problems)) = elsewhere.import(&revived).await else {
            panic!("keys without secrets were taken")
        };
        assert_eq!(problems.len(), 7, "{problems:#?}");
        let want =
            "infobip.api_keys[0].secret: required, since the directory does not have this key";
        assert!(problems[1].contains(want), "{problems:#?}");
        let infobip = &text[text.find("infobip:").unwrap()..];
        let users = infobip.split("  api_keys:").next().unwrap();
        let users = users.replace("u-1", "u-100");
        let users = users.replace("\"Aladdin\"", "\"Abu\"");
        let (before, _) = elsewhere.export().await;
        elsewhere.import(&users).await.unwrap();
        assert_eq!(elsewhere.export().await.0.records, before.records + 1);
        let abu = elsewhere
            .directory()
            .user("infobip", "u-100")
            .await
            .unwrap()
            .unwrap();
        let password = Secret::new(*b"openSesame");
        let prover = elsewhere.directory().prover();
        let proven = prover.password(&password, abu.password.as_deref()).await;
        assert!(proven.unwrap());
    }

    #[tokio::test]
    async fn a_row_that_does_not_fit_the_directory_is_told_at_its_line_and_nothing_is_written() {
        let desk = Desk::open().await;
        let before = desk.export().await;
        let namesakes: String = (0..4)
            .map(|it| format!("    - {{ id: n{it}, account: a{it}, username: Jafar }}\n"))
            .collect();
        let cases = [
            (
                "infobip:\n  users:\n    - { id: good, username: good }\n    - { id: u-9, account: acc-1, username: Aladdin }\n".to_owned(),
                "d.yaml:4: infobip.users[1].username: the same login as user u-1 of the directory, in the same account",
            ),
            (
                format!("infobip:\n  api_keys:\n    - {{ id: k-9, secret: {OLD} }}\n"),
                "d.yaml:3: infobip.api_keys[0].secret: the same as of key sample-key of the directory",
            ),
            (
                "infobip:\n  api_keys:\n    - { id: k-9 }\n".to_owned(),
                "d.yaml:3: infobip.api_keys[0].secret: required, since the directory does not have this key",
            ),
            (
                format!("infobip:\n  users:\n{namesakes}"),
                "d.yaml:6: infobip.users[3].username: more than 4 users of the file and the directory",
            ),
        ];
        for (text, want) in cases {
            let Err(OperationError::Problems(problems)) = desk.import(&text).await else {
                panic!("{text}")
            };
            assert!(problems.iter().any(|it| it.contains(want)), "{problems:#?}");
            assert_eq!(desk.export().await, before, "{text}");
        }
    }

    #[tokio::test]
    async fn a_rotated_key_takes_the_old_secret_as_long_as_the_overlap_and_no_import_brings_it_back()
     {
        let desk = Desk::open().await;
        let now = desk.seconds.load(Ordering::Relaxed);
        let (record, secret) = desk.record(rotate(None, 3600)).await.unwrap();
        let new = secret.unwrap();
        assert_eq!(new.expose().len(), 64);
        assert_eq!(
            record["former_secrets_end_at"],
            json!(["2026-01-01T01:00:00Z"])
        );
        assert_eq!(desk.ends(new.expose()).await, Some(None));
        assert_eq!(desk.ends(OLD).await, Some(Some(now + 3600)));

        desk.import(SAMPLE).await.unwrap();
        assert_eq!(desk.ends(new.expose()).await, Some(None), "after an import");
        assert_eq!(desk.ends(OLD).await, Some(Some(now + 3600)));

        let (_, secret) = desk
            .record(rotate(Some("a-secret-of-our-own"), 0))
            .await
            .unwrap();
        assert_eq!(secret, None, "what was given is not shown");
        assert_eq!(desk.ends("a-secret-of-our-own").await, Some(None));
        for ended in [OLD, new.expose()] {
            assert_eq!(
                desk.ends(ended).await,
                Some(Some(now)),
                "every earlier secret ends"
            );
        }
        for used in [OLD, "a-secret-of-our-own"] {
            let refused = desk.record(rotate(Some(used), 0)).await.unwrap_err();
            assert!(
                refused.to_string().contains("this very secret"),
                "{refused}"
            );
        }
        let refused = desk
            .record(rotate(Some("sample-inside-00000000000000000"), 0))
            .await;
        assert!(
            matches!(refused, Err(OperationError::Problems(_))),
            "{refused:?}"
        );
        let refused = desk.record(rotate(None, 93 * 86_400)).await;
        assert!(
            matches!(refused, Err(OperationError::Problems(_))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_revoked_key_is_off_for_good() {
        let desk = Desk::open().await;
        let key = RecordKind::Key;
        let (record, _) = desk.record(on(revoke, key, "sample-key")).await.unwrap();
        assert_eq!(record["revoked"], json!(true));
        for operation in [on(enable, key, "sample-key"), rotate(None, 0)] {
            let refused = desk.record(operation).await.unwrap_err();
            assert!(refused.to_string().contains("for good"), "{refused}");
        }
        desk.import(&SAMPLE.replace(OLD, "another-secret-of-it"))
            .await
            .unwrap();
        assert_eq!(desk.ends("another-secret-of-it").await, None);
        let (record, _) = desk.record(on(show, key, "sample-key")).await.unwrap();
        assert_eq!(record["revoked"], json!(true), "after an import");
        assert_eq!(desk.export().await.0.revoked, 1);
    }

    #[tokio::test]
    async fn revoking_a_user_or_account_raises_its_generation() {
        let desk = Desk::open().await;
        for (kind, id) in [(RecordKind::User, "u-1"), (RecordKind::Account, "acc-1")] {
            for want in [1, 2] {
                let (record, _) = desk.record(on(revoke, kind, id)).await.unwrap();
                assert_eq!(record["generation"], json!(want), "{kind}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_added_is_checked_like_a_row_of_a_file() {
        let desk = Desk::open().await;
        let user = RecordKind::User;
        let links = json!([{ "issuer": "google", "subject": "1098" }]);
        let row = json!({
            "id": "u-9", "username": "Abu", "account": "acc-1", "password": "p", "links": links,
        });
        let (record, _) = desk.record(add(user, &row)).await.unwrap();
        assert_eq!(record["credentials"], json!(["argon2"]));
        let cases = [
            (row, "user u-9 of infobip is there already"),
            (
                json!({ "id": "u-8" }),
                "a user needs a `username` or an `email`",
            ),
            (json!({ "id": "u-8", "username": "a:b" }), "username: a `:`"),
            (
                json!({ "id": "u-8", "username": "a", "x": 1 }),
                "x: unknown key",
            ),
            (
                json!({ "id": "u-8", "username": "Abu", "account": "acc-1" }),
                "the same login as user u-9",
            ),
            (
                json!({ "id": "u-8", "username": "a", "account": "acc-7" }),
                "account: there is no such account",
            ),
            (
                json!({ "id": "u-8", "username": "a", "links": links }),
                "links[0]: user u-9 of the directory has this link",
            ),
            (json!(["u-8"]), "a row is a JSON object"),
        ];
        for (row, want) in cases {
            let refused = desk.record(add(user, &row)).await.unwrap_err().to_string();
            assert!(refused.contains(want), "{refused}");
        }
        let branch = json!({ "id": "acc-2", "parent": "acc-1" });
        desk.record(add(RecordKind::Account, &branch))
            .await
            .unwrap();
        let (_, secret) = desk
            .record(add(RecordKind::Key, &json!({ "id": "k-9" })))
            .await
            .unwrap();
        assert_eq!(desk.ends(secret.unwrap().expose()).await, Some(None));
    }

    #[tokio::test]
    async fn a_platform_of_another_configuration_is_refused() {
        let desk = Desk::open().await;
        let platform = || "elsewhere".to_owned();
        let operations = [
            Operation::Export {
                platform: Some(platform()),
            },
            Operation::List {
                kind: RecordKind::User,
                platform: platform(),
                account: None,
            },
            revoke(RecordKind::User, platform(), "u-1".into()),
            show(RecordKind::User, platform(), "u-1".into()),
        ];
        for operation in operations {
            let refused = desk.ask(operation).await.0.unwrap_err().to_string();
            assert!(
                refused.contains("no platform elsewhere; it has crossbar"),
                "{refused}"
            );
        }
    }

    #[tokio::test]
    async fn litter_in_the_index_is_found_and_repaired_and_records_are_left_alone() {
        let desk = Desk::open().await;
        let (clean, findings) = desk.verify(true).await;
        assert_eq!((clean.records, clean.left(), findings.len()), (23, 0, 0));
        assert_eq!(clean.legacy["crossbar"].md5, 5);
        assert_eq!(clean.legacy["infobip"], verify::Legacy::default());

        let directory = desk.directory();
        let store = directory.store();
        let login = |name: &str| {
            let digest = directory.digest("infobip", Index::Login, &[name.as_bytes()]);
            directory.index_key("infobip", Index::Login, &digest)
        };
        let foreign = "00".repeat(36);
        let foreign_key = ApiKey {
            id: "foreign".into(),
            secret: Some(foreign.as_str().try_into().unwrap()),
            ..ApiKey::default()
        };
        directory
            .put_api_key("infobip", &foreign_key)
            .await
            .unwrap();
        for (key, value) in [
            (login("nobody"), r#"["u-404"]"#),
            (login("Jafar"), r#"["u-2","u-1"]"#),
            (login("broken"), "{"),
            ("pc:u:opentact:broken".to_owned(), "{"),
        ] {
            assert!(
                store
                    .put(&key, value.as_bytes(), PutIf::Always, None)
                    .await
                    .unwrap()
            );
        }
        assert!(
            store
                .delete(&login("Aladdin"), DeleteIf::Always)
                .await
                .unwrap()
        );

        let (found, mut findings) = desk.verify(false).await;
        findings.sort_unstable();
        let want = [
            "orphaned",
            "orphaned",
            "unindexed",
            "unknown_pepper",
            "unknown_pepper",
            "unreadable",
            "unreadable",
        ];
        assert_eq!(findings, want);
        assert_eq!((found.left(), found.repaired), (7, 0));
        let (repaired, _) = desk.verify(true).await;
        assert_eq!((repaired.left(), repaired.repaired), (3, 4));
        let (after, _) = desk.verify(false).await;
        assert_eq!(
            (after.unknown_pepper, after.unreadable, after.left()),
            (2, 1, 3)
        );
        let reads = Reads::begin(directory, "infobip");
        let users: Vec<User> = reads.users(Index::Login, &[b"Aladdin"]).await.unwrap();
        assert_eq!(users[0].id, "u-1");
    }

    #[tokio::test]
    async fn security_settings_of_accounts_that_are_gone_are_found_and_removed() {
        let desk = Desk::open().await;
        let directory = desk.directory();
        let modules = [("cb_user_auth".to_owned(), AuthModule::default())];
        let modules = AuthModules::from(modules);
        for account in [ACME, "gone"] {
            let put = directory.put_security("crossbar", account, &modules);
            put.await.unwrap();
        }
        directory.revoke_platform("crossbar").await.unwrap();
        for (repair, left) in [(false, 1), (true, 0), (true, 0)] {
            let (found, _) = desk.verify(repair).await;
            assert_eq!((found.left(), found.unreadable), (left, 0), "{repair}");
        }
        let said = async |account| directory.security("crossbar", account).await.unwrap();
        assert_eq!(said("gone").await, None);
        assert_eq!(said(ACME).await, Some(modules), "it has its account");

        for key in ["pc:c:crossbar:gone", "pc:c:infobip:acc-1", "pc:p:opentact"] {
            let put = directory.store().put(key, b"{", PutIf::Always, None);
            assert!(put.await.unwrap(), "{key}");
        }
        let (found, findings) = desk.verify(true).await;
        assert_eq!(findings, ["unreadable"; 3]);
        assert_eq!((found.unreadable, found.left()), (3, 3), "none is touched");
    }

    #[tokio::test]
    async fn a_platform_is_shown_and_revoked_by_the_name_that_the_configuration_gives() {
        let desk = Desk::open().await;
        let show = |name: &str| Operation::ShowPlatform {
            platform: name.into(),
        };
        let revoke = |name: &str| Operation::RevokePlatform {
            platform: name.into(),
        };
        let row = |generation: u64| json!({ "platform": "infobip", "generation": generation });
        for (operation, want) in [
            (show("infobip"), row(0)),
            (revoke("infobip"), row(1)),
            (revoke("infobip"), row(2)),
            (show("infobip"), row(2)),
        ] {
            let (record, secret) = desk.record(operation).await.unwrap();
            assert_eq!((Value::Object(record), secret), (want, None));
        }
        for operation in [show("nobody"), revoke("nobody")] {
            let refused = desk.record(operation).await.unwrap_err();
            assert_eq!(refused.kind(), "refused");
        }
    }

    /// The accounts of crossbar that are found so.
    async fn found(desk: &Desk, index: Index, name: &str) -> Vec<String> {
        let reads = Reads::begin(desk.directory(), "crossbar");
        let accounts = reads.accounts(index, &[name.as_bytes()]).await.unwrap();
        accounts.into_iter().map(|it| it.id).collect()
    }

    #[tokio::test]
    async fn an_account_is_found_by_what_people_know_of_it_and_by_its_api_key() {
        let desk = Desk::open().await;
        let key = "0123456789abcdef".repeat(4);
        let by = [
            (Index::AccountKey, key.as_str()),
            (Index::AccountName, "acme inc. SAMPLE"),
            (Index::PhoneNumber, "+1 (415) 555-0100"),
            (Index::Realm, "ACME.sip.example.com"),
        ];
        for (index, name) in by {
            assert_eq!(found(&desk, index, name).await, [ACME], "{index:?}");
        }
        for (index, name) in [
            (Index::AccountKey, OLD),
            (Index::AccountName, "ACME"),
            (Index::AccountName, ""),
            (Index::ApiKey, &key),
            (Index::Login, "john@example.com"),
        ] {
            assert!(found(&desk, index, name).await.is_empty(), "{index:?}");
        }
        let reads = Reads::begin(desk.directory(), "crossbar");
        let key = Secret::new(key.as_bytes());
        assert_eq!(reads.api_key(&key).await.unwrap(), None);

        // As an older version left it.
        for key in index_entries(&desk).await {
            desk.delete(&key).await;
        }
        assert!(found(&desk, Index::Realm, by[3].1).await.is_empty());
        let (verified, findings) = desk.verify(true).await;
        assert_eq!(verified.left(), 0);
        assert!(findings.iter().all(|it| it == "unindexed"), "{findings:?}");
        for (index, name) in by {
            assert_eq!(found(&desk, index, name).await, [ACME], "{index:?}");
        }
        assert_eq!(desk.verify(false).await.1, [""; 0]);

        // Left over from a name that the account does not have any more.
        let directory = desk.directory();
        let digest = directory.digest("crossbar", Index::Realm, &[b"old.example"]);
        let key = directory.index_key("crossbar", Index::Realm, &digest);
        let ids = json!([ACME]).to_string();
        let put = directory
            .store()
            .put(&key, ids.as_bytes(), PutIf::Always, None);
        put.await.unwrap();
        assert_eq!(found(&desk, Index::Realm, "old.example").await, [""; 0]);
        assert_eq!(desk.verify(true).await.1, ["orphaned"]);
        assert_eq!(desk.verify(false).await.1, [""; 0]);
    }

    #[tokio::test]
    async fn keys_are_listed_by_account_also_those_that_an_older_version_wrote() {
        let desk = Desk::open().await;
        let directory = desk.directory();
        let listed = async || {
            let keys = directory.keys_of_account("infobip", "acc-1").await.unwrap();
            keys.len()
        };
        let all = listed().await;
        assert!(all > 0);
        let page = directory.store().scan("pc:i:infobip:key_account:", None);
        for key in page.await.unwrap().keys {
            desk.delete(&key).await;
        }
        assert_eq!(listed().await, 0);
        let (verified, findings) = desk.verify(true).await;
        assert_eq!((verified.unindexed, verified.left()), (all, 0));
        assert!(findings.iter().all(|it| it == "unindexed"), "{findings:?}");
        assert_eq!(listed().await, all);

        // What was written of a key before whoever wrote it died.
        let key = ApiKey {
            id: "half".into(),
            account: Some("acc-1".into()),
            secret: Some(directory.digest("infobip", Index::ApiKey, &[b"half-a-key"])),
            ..ApiKey::default()
        };
        let hints = directory.hints("infobip", &key);
        directory.ensure_hints(&hints, &key.id).await.unwrap();
        assert_eq!(listed().await, all);
        let reads = Reads::begin(directory, "infobip");
        let found = reads.api_key(&Secret::new(b"half-a-key".to_vec())).await;
        assert_eq!(found.unwrap(), None);
        assert_eq!(desk.verify(true).await.1, ["orphaned", "orphaned"]);
        assert_eq!(desk.verify(false).await.1, [""; 0]);
    }

    async fn index_entries(desk: &Desk) -> Vec<String> {
        let page = desk.directory().store().scan("pc:i:crossbar:", None).await;
        let keys = page.unwrap().keys.into_iter();
        keys.filter(|it| !it.contains(":md5:") && !it.contains(":login:"))
            .collect()
    }

    #[tokio::test]
    async fn what_one_account_of_the_directory_has_is_no_other_accounts() {
        let desk = Desk::open().await;
        let key = "0123456789abcdef".repeat(4);
        let account = |rest: &str| format!("crossbar: {{ accounts: [{{ id: new, {rest} }}] }}");
        let problem = async |text: String| match desk.import(&text).await {
            Err(OperationError::Problems(problems)) => problems.join("; "),
            other => format!("{other:?}"),
        };
        for (rest, place) in [
            (format!("api_key: {key}"), "api_key"),
            ("realm: acme.SIP.example.com".to_owned(), "realm"),
        ] {
            let want = format!(
                "d.yaml:1: crossbar.accounts[0].{place}: the same as of account {ACME} of the directory"
            );
            assert_eq!(problem(account(&rest)).await, want);
        }
        let shared = "name: ACME Inc Sample, phone_numbers: ['+14155550100']";
        for id in 0..MAX_HINTS - 1 {
            let text = account(shared).replace("new", &format!("n{id}"));
            assert!(desk.import(&text).await.is_ok(), "{id}");
        }
        assert_eq!(
            found(&desk, Index::AccountName, "acmeincsample")
                .await
                .len(),
            MAX_HINTS
        );
        let problems = problem(account(shared)).await;
        let want = "more than 4 accounts of the file and the directory share it";
        assert_eq!(problems.matches(want).count(), 2, "{problems}");
        assert_eq!(desk.import(SAMPLE).await.unwrap().changed, 0, "nobody else");
    }

    #[tokio::test]
    async fn a_key_is_added_only_for_a_user_of_its_account() {
        let desk = Desk::open().await;
        let key = |user: &str, account: &str| {
            let row = json!({ "id": "k", "user": user, "account": account });
            Operation::Add {
                kind: RecordKind::Key,
                platform: "crossbar".into(),
                row: Clear::new(row.to_string()),
            }
        };
        for (user, account, want) in [
            ("nobody", ACME, "user: there is no such user"),
            (
                JOHN,
                "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c",
                "user: the user belongs to another account than the key",
            ),
        ] {
            let problems = desk.record(key(user, account)).await.unwrap_err();
            assert_eq!(problems.to_string(), want);
        }
        let (record, _) = desk.record(key(JOHN, ACME)).await.unwrap();
        assert_eq!(record["user"], json!(JOHN));
        assert!(
            desk.export()
                .await
                .1
                .contains(&format!(r#""user":"{JOHN}""#))
        );
    }

    /// Whether a key of crossbar's that acts for a user is one that no revocation has ended.
    async fn lives(desk: &Desk, secret: &str) -> bool {
        let directory = desk.directory();
        let reads = Reads::begin(directory, "crossbar");
        let key = reads.api_key(&Secret::new(secret.as_bytes())).await;
        let key = key.unwrap().expect("the key");
        let present = directory.key_generations("crossbar", &key).await.unwrap();
        assert!(present.is_some() && key.generations.is_some(), "{secret}");
        key.generations == present
    }

    #[tokio::test]
    async fn a_key_for_a_user_ends_with_what_is_revoked_and_no_import_brings_it_back() {
        let desk = Desk::open().await;
        let file = |user: &str, secret: &str| {
            format!("crossbar: {{ api_keys: [{{ id: k, user: {user}{secret} }}] }}")
        };
        let import = async |user: &str, secret: &str| {
            desk.import(&file(user, secret)).await.unwrap();
        };
        let rotate = |secret: &str, overlap_seconds| Operation::Rotate {
            platform: "crossbar".into(),
            id: "k".into(),
            secret: Some(Clear::new(secret.into())),
            overlap_seconds,
        };
        let on = |kind, id: &str| revoke(kind, "crossbar".into(), id.into());
        let platform = Operation::RevokePlatform {
            platform: "crossbar".into(),
        };
        let (first, second) = ("first-handle-of-john", "second-handle-of-john");
        import(JOHN, &format!(", secret: {first}")).await;
        for ends in [
            on(RecordKind::User, JOHN),
            on(RecordKind::Account, ACME),
            platform,
        ] {
            assert!(lives(&desk, first).await, "{ends:?}");
            desk.record(ends.clone()).await.unwrap();
            assert!(!lives(&desk, first).await, "{ends:?}");
            for secret in [String::new(), format!(", secret: {first}")] {
                import(JOHN, &secret).await;
                assert!(!lives(&desk, first).await, "{ends:?} {secret}");
            }
            desk.record(rotate(second, 60)).await.unwrap();
            assert!(lives(&desk, second).await, "{ends:?}");
            assert!(!lives(&desk, first).await, "{ends:?}: the overlap");
            desk.delete("pc:k:crossbar:k").await;
            import(JOHN, &format!(", secret: {first}")).await;
        }
        desk.record(on(RecordKind::User, JOHN)).await.unwrap();
        import(JOHN, ", secret: another-handle-of-john").await;
        assert!(lives(&desk, "another-handle-of-john").await);
        desk.record(rotate(second, 60)).await.unwrap();
        assert!(lives(&desk, "another-handle-of-john").await, "the overlap");
    }

    #[tokio::test]
    async fn a_key_from_before_generations_or_without_a_user_has_none_until_it_has_another_secret()
    {
        let desk = Desk::open().await;
        let directory = desk.directory();
        let key = |user: Option<&str>| ApiKey {
            id: "old".into(),
            user: user.map(Into::into),
            secret: Some(directory.digest("crossbar", Index::ApiKey, &[b"old-handle-of-john"])),
            ..ApiKey::default()
        };
        let file = format!(
            "crossbar: {{ api_keys: [{{ id: old, user: {JOHN}, secret: old-handle-of-john }}] }}"
        );
        let rotated = Operation::Rotate {
            platform: "crossbar".into(),
            id: "old".into(),
            secret: None,
            overlap_seconds: 0,
        };
        let generations = async || {
            let key = directory.record_key(RecordKind::Key, "crossbar", "old");
            let text = directory.value(&key).await.unwrap().expect("the key");
            let stored: ApiKey = serde_json::from_slice(&text).unwrap();
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert_eq!(text.contains("generations"), stored.generations.is_some());
            stored.generations
        };
        directory
            .put_api_key("crossbar", &key(Some(JOHN)))
            .await
            .unwrap();
        assert_eq!(desk.import(&file).await.unwrap().changed, 0);
        assert_eq!(generations().await, None);
        desk.record(rotated.clone()).await.unwrap();
        assert_eq!(generations().await, Some([0, 0, 0]));

        directory.put_api_key("crossbar", &key(None)).await.unwrap();
        desk.record(rotated).await.unwrap();
        assert_eq!(generations().await, None, "no user");
        desk.import(&file).await.unwrap();
        assert_eq!(generations().await, Some([0, 0, 0]), "a user from now on");
    }

    #[tokio::test]
    async fn a_second_factor_is_kept_sealed_through_imports_and_never_shown() {
        let desk = Desk::open().await;
        let user = |rest: &str| {
            format!(
                "infobip: {{ users: [{{ id: u-1, account: acc-1, username: Aladdin{rest} }}] }}"
            )
        };
        let stored = async || {
            let user = desk.directory().user("infobip", "u-1").await.unwrap();
            let user = user.unwrap();
            let seed = desk.directory().totp_seed("infobip", &user).unwrap();
            (user.totp, seed)
        };
        assert!(stored().await == (None, None));
        let text = "gezd gnbv gy3t qojq GEZD GNBV GY3T QOJQ";
        let with = user(&format!(", totp_secret: {text}"));
        assert_eq!(desk.import(&with).await.unwrap().changed, 1);
        let (sealed, seed) = stored().await;
        assert_eq!(seed, Some(Secret::new(*b"12345678901234567890")));
        for text in [&with, &user("")] {
            assert_eq!(desk.import(text).await.unwrap().changed, 0, "{text}");
            assert!(stored().await.0 == sealed);
        }
        let show = Operation::Show {
            kind: RecordKind::User,
            platform: "infobip".into(),
            id: "u-1".into(),
        };
        let (shown, _) = desk.record(show).await.unwrap();
        assert_eq!(shown["totp"], json!(true));
        let (exported, file) = desk.export().await;
        assert!(exported.withheld > 0 && !file.contains("totp\":") && file.contains("argon2"));
        let value = desk.directory().value("pc:u:infobip:u-1").await.unwrap();
        let record = String::from_utf8(value.unwrap().to_vec()).unwrap();
        for text in [json!(shown).to_string(), file.clone(), record] {
            assert!(!text.to_lowercase().contains("gezd") && !text.contains("1234567890"));
        }
        assert_eq!(desk.import(&file).await.unwrap().changed, 0);
        assert!(stored().await.0 == sealed);

        let other = user(", totp_secret: AAAAAAAAAAAAAAAAAAAAAAAAAA======");
        assert_eq!(desk.import(&other).await.unwrap().changed, 1);
        assert_eq!(stored().await.1, Some(Secret::new([0; 16])));
    }

    fn totp(seed: Option<&str>, remove: bool) -> Operation {
        Operation::Totp {
            platform: "infobip".into(),
            id: "u-1".into(),
            seed: seed.map(|it| Clear::new(it.into())),
            remove,
        }
    }

    #[tokio::test]
    async fn a_second_factor_is_set_and_removed_and_a_random_one_is_told_once() {
        let desk = Desk::open().await;
        let stored = async || {
            let user = desk.directory().user("infobip", "u-1").await.unwrap();
            let seed = desk.directory().totp_seed("infobip", &user.unwrap());
            seed.unwrap()
        };
        let given = totp(Some("gezd gnbv gy3t qojq GEZD GNBV GY3T QOJQ"), false);
        let (record, told) = desk.record(given).await.unwrap();
        assert_eq!((&record["totp"], told), (&json!(true), None));
        assert_eq!(stored().await, Some(Secret::new(*b"12345678901234567890")));

        let (record, told) = desk.record(totp(None, false)).await.unwrap();
        let told = told.expect("a random seed");
        let seed = stored().await.expect("a seed");
        assert_eq!(seed.expose().len(), 20);
        assert_eq!(
            crate::directory::totp::to_base32(seed.expose()),
            told.expose()
        );
        assert!(!json!(record).to_string().contains(told.expose()));
        let (_, another) = desk.record(totp(None, false)).await.unwrap();
        assert_ne!(another, Some(told));

        for (text, want) in [
            ("GEZD", "16 to 128 bytes"),
            ("not base32 at all, 1890", "base32"),
        ] {
            let refused = desk.record(totp(Some(text), false)).await.unwrap_err();
            assert!(refused.to_string().contains(want), "{refused}");
            assert!(stored().await.is_some(), "it stays");
        }
        for _ in 0..2 {
            let (record, told) = desk.record(totp(None, true)).await.unwrap();
            assert_eq!((record.get("totp"), told), (None, None));
            assert_eq!(stored().await, None);
        }
        let mut nobody = totp(None, false);
        if let Operation::Totp { id, .. } = &mut nobody {
            *id = "nobody".into();
        }
        let refused = desk.record(nobody).await.unwrap_err();
        assert_eq!(refused.to_string(), "there is no user nobody in infobip");
    }

    #[tokio::test]
    async fn lists_may_be_narrowed_to_an_account_and_show_no_digest() {
        let desk = Desk::open().await;
        let list = |kind, account: Option<&str>| Operation::List {
            kind,
            platform: "crossbar".into(),
            account: account.map(str::to_owned),
        };
        for (kind, account, want) in [
            (RecordKind::User, None, 5),
            (RecordKind::User, Some(ACME), 2),
            (RecordKind::Account, Some(ACME), 3),
            (RecordKind::Key, None, 1),
        ] {
            let (outcome, lines) = desk.ask(list(kind, account)).await;
            assert_eq!(outcome, Ok(Outcome::Listed { records: want }), "{kind}");
            assert_eq!(lines.len(), want);
        }
        let john = desk
            .directory()
            .user("crossbar", JOHN)
            .await
            .unwrap()
            .unwrap();
        let (_, lines) = desk.ask(list(RecordKind::User, None)).await;
        let digest = john.md5.unwrap().to_string();
        assert!(!serde_json::to_string(&lines).unwrap().contains(&digest));
    }

    #[tokio::test]
    async fn failed_attempts_are_listed_by_digest_and_lifted_by_client_and_target_or_all() {
        let desk = Desk::open().await;
        let window = Duration::from_secs(300);
        let address = |text: &str| text.parse().ok();
        let mut ends = Vec::new();
        for (client, target, count) in [("192.0.2.1", "a", 3), ("192.0.2.2", "a", 20)] {
            let directory = desk.directory();
            let counter = directory.failure_counter("infobip", address(client), target, window);
            directory.add_failures(&counter, count).await.unwrap();
            ends.push(counter.ends());
        }
        let list = async || {
            let platform = "infobip".to_owned();
            let (outcome, lines) = desk.ask(Operation::Failures { platform }).await;
            let records = lines.len();
            assert_eq!(outcome, Ok(Outcome::Listed { records }));
            let row = |it| match it {
                Line::Row(row) => (row["failures"].clone(), row["seconds_left"].clone()),
                other => panic!("{other:?}"),
            };
            let mut rows: Vec<_> = lines.into_iter().map(row).collect();
            rows.sort_by_key(|it| it.0.as_u64());
            rows
        };
        let now = desk.directory().clock().unix_seconds();
        let row = |failures: u64, ends: u64| (json!(failures), json!(ends - now));
        assert_eq!(list().await, [row(3, ends[0]), row(20, ends[1])]);

        let lift = async |of: Attempts| {
            let platform = "infobip".to_owned();
            desk.ask(Operation::Lift { platform, of }).await.0
        };
        let of = Attempts::Of {
            address: address("192.0.2.2"),
            target: "a".to_owned(),
        };
        for counters in [1, 0] {
            assert_eq!(lift(of.clone()).await, Ok(Outcome::Lifted { counters }));
        }
        assert_eq!(list().await, [row(3, ends[0])]);
        let counter = desk.directory().failure_counter(
            "infobip",
            address("192.0.2.2"),
            "john@example.com",
            window,
        );
        desk.directory().add_failures(&counter, 1).await.unwrap();
        let of = Attempts::Of {
            address: address("192.0.2.2"),
            target: "John@Example.COM".to_owned(),
        };
        assert_eq!(lift(of).await, Ok(Outcome::Lifted { counters: 1 }));
        assert_eq!(
            lift(Attempts::All).await,
            Ok(Outcome::Lifted { counters: 1 })
        );
        assert_eq!(list().await, []);
        let elsewhere = Operation::Failures {
            platform: "nowhere".to_owned(),
        };
        let refused = desk.ask(elsewhere).await.0;
        assert!(
            matches!(refused, Err(OperationError::Refused(_))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn sessions_are_listed_as_they_are_now_and_ended_by_user_or_token() {
        let desk = Desk::open().await;
        let create = async |user: &'static str, hours: u64| {
            let token = Secret::new(format!("token of {user}").into_bytes());
            let new = NewSession {
                user,
                generations: [0, 0, 0],
                address: Some("10.0.0.0/8".parse().unwrap()),
                idle: Some(Duration::from_hours(hours)),
                cap: Duration::from_hours(24),
            };
            let created = desk.directory().create_session("infobip", &token, &new);
            assert!(created.await.unwrap(), "{user}");
        };
        let states = async |user: Option<&str>| {
            let sessions = Operation::Sessions {
                platform: "infobip".into(),
                user: user.map(str::to_owned),
            };
            let lines = desk.ask(sessions).await.1.into_iter();
            let state = |it| match it {
                Line::Row(row) => format!("{} {}", row["user"], row["state"]).replace('"', ""),
                other => panic!("{other:?}"),
            };
            lines.map(state).collect::<Vec<_>>()
        };
        let end = async |whose: Whose| {
            let platform = "infobip".to_owned();
            let revoke = Operation::RevokeSession { platform, whose };
            desk.ask(revoke).await.0
        };
        create("u-1", 1).await;
        create("u-2", 12).await;
        assert_eq!(states(None).await, ["u-1 on", "u-2 on"]);
        assert_eq!(states(Some("u-2")).await, ["u-2 on"]);
        assert_eq!(states(Some("u-")).await, [""; 0]);
        desk.seconds.fetch_add(2 * 3600, Ordering::Relaxed);
        assert_eq!(states(None).await, ["u-1 idle", "u-2 on"]);
        desk.record(on(revoke, RecordKind::User, "u-2"))
            .await
            .unwrap();
        assert_eq!(states(None).await, ["u-1 idle", "u-2 revoked"]);

        let platform = "infobip".to_owned();
        let raised = desk.record(Operation::RevokePlatform { platform }).await;
        assert_eq!(raised.unwrap().0["generation"], json!(1));
        assert_eq!(states(None).await, ["u-1 revoked", "u-2 revoked"]);

        let token = Whose::Token(Clear::new("token of u-2".into()));
        for existed in [true, false] {
            assert_eq!(end(token.clone()).await, Ok(Outcome::Revoked { existed }));
        }
        for existed in [true, false] {
            let user = Whose::User("u-1".into());
            assert_eq!(end(user).await, Ok(Outcome::Revoked { existed }));
        }
        assert_eq!(states(None).await, [""; 0]);
    }

    #[test]
    fn operations_pass_through_json_and_print_no_secret() {
        let operation = add(RecordKind::User, &json!({ "password": "hunter2" }));
        let json = serde_json::to_string(&operation).unwrap();
        assert!(json.contains("hunter2"));
        assert_eq!(serde_json::from_str::<Operation>(&json).unwrap(), operation);
        assert!(!format!("{operation:?}").contains("hunter2"));
        let seed = totp(Some("hunter2"), false);
        assert!(!format!("{seed:?}").contains("hunter2"));
    }
}
