//! Operations on one record. What changes one is a compare-and-set on what was read, so that two
//! operators, or an operator and an import, do not undo each other's work.

use serde_json::{Value, json};

use crate::directory::Index;
use crate::directory::file::written::{Row, ToRow};
use crate::directory::file::{DirectoryFile, Existing};
use crate::directory::operations::Operations;
use crate::directory::operations::words::{Clear, OperationError, Outcome};
use crate::directory::reads::Reads;
use crate::directory::records::{Account, ApiKey, Former, Link, RecordKind, User};
use crate::directory::writing::Record;
use crate::document::{Document, Problem};

/// How many former secrets a key remembers: as long as it does, no old directory file brings one
/// back.
const MAX_FORMER: usize = 8;

/// The longest that an old secret is still taken, in seconds: a quarter of a year.
const MAX_OVERLAP_SECONDS: u64 = 92 * 86_400;

/// Bytes of randomness in a secret that we make.
const SECRET_BYTES: usize = 32;

impl Operations {
    /// Adds a record: an import of one row that must be new.
    pub(super) async fn add(
        &self,
        kind: RecordKind,
        platform: &str,
        row: &Clear,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let Ok(Value::Object(mut row)) = serde_json::from_str(row.expose()) else {
            let message = "a row is a JSON object".to_owned();
            return Err(OperationError::Problems(vec![message]));
        };
        let mut secret = None;
        if kind == RecordKind::Key && !row.contains_key("secret") {
            let made = random_secret()?;
            row.insert("secret".to_owned(), json!(made.expose()));
            secret = Some(made);
        }
        let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = id.to_owned();
        let file = self.check_row(kind, platform, &row).await?;
        let forms = |name: &str| self.forms(name);
        let imported = file.import(&self.directory, Existing::Keep, forms, |_| ());
        if imported.await?.created == 0 {
            let message = format!("{kind} {id} of {platform} is there already");
            return Err(OperationError::Refused(message));
        }
        let Outcome::Record { record, .. } = self.show(kind, platform, &id).await? else {
            return Err(OperationError::Fault(
                "what was added cannot be shown".to_owned(),
            ));
        };
        Ok(Outcome::Record { record, secret })
    }

    pub(super) async fn show(
        &self,
        kind: RecordKind,
        platform: &str,
        id: &str,
    ) -> Result<Outcome, OperationError> {
        match kind {
            RecordKind::Account => self.shown::<Account>(platform, id).await,
            RecordKind::Key => self.shown::<ApiKey>(platform, id).await,
            RecordKind::User => self.shown::<User>(platform, id).await,
        }
    }

    pub(super) async fn switch(
        &self,
        kind: RecordKind,
        platform: &str,
        id: &str,
        enabled: bool,
    ) -> Result<Outcome, OperationError> {
        match kind {
            RecordKind::Account => {
                let switch = |it: &mut Account| {
                    it.disabled = !enabled;
                    Ok(())
                };
                self.change(platform, id, switch).await
            }
            RecordKind::Key => {
                let switch = |it: &mut ApiKey| {
                    it.disabled = !enabled;
                    check_not_revoked(it)
                };
                self.change(platform, id, switch).await
            }
            RecordKind::User => {
                let switch = |it: &mut User| {
                    it.disabled = !enabled;
                    Ok(())
                };
                self.change(platform, id, switch).await
            }
        }
    }

    pub(super) async fn revoke(
        &self,
        kind: RecordKind,
        platform: &str,
        id: &str,
    ) -> Result<Outcome, OperationError> {
        match kind {
            RecordKind::Account => {
                let raise = |it: &mut Account| {
                    it.generation = it.generation.saturating_add(1);
                    Ok(())
                };
                self.change(platform, id, raise).await
            }
            RecordKind::Key => {
                let end = |it: &mut ApiKey| {
                    it.revoked = true;
                    Ok(())
                };
                self.change(platform, id, end).await
            }
            RecordKind::User => {
                let raise = |it: &mut User| {
                    it.generation = it.generation.saturating_add(1);
                    Ok(())
                };
                self.change(platform, id, raise).await
            }
        }
    }

    pub(super) async fn link(
        &self,
        platform: &str,
        id: &str,
        link: Link,
        remove: bool,
    ) -> Result<Outcome, OperationError> {
        let row = json!({ "id": id, "username": "somebody", "links": [&link] });
        let Value::Object(row) = row else {
            return Err(OperationError::Fault("a row is an object".to_owned()));
        };
        parse_row(RecordKind::User, platform, &row)?;
        if !remove {
            self.check_link(platform, id, &link).await?;
        }
        let change = |user: &mut User| {
            let position = user.links.iter().position(|it| *it == link);
            match (position, remove) {
                (Some(position), true) => {
                    user.links.remove(position);
                }
                (None, false) => user.links.push(link.clone()),
                (None, true) | (Some(_), false) => {}
            }
            Ok(())
        };
        self.change(platform, id, change).await
    }

    /// Whom an external issuer vouches for is one user.
    async fn check_link(
        &self,
        platform: &str,
        id: &str,
        link: &Link,
    ) -> Result<(), OperationError> {
        self.check_platform(platform)?;
        let reads = Reads::begin(&self.directory, platform);
        let values = [link.issuer.as_bytes(), link.subject.as_bytes()];
        let linked = reads.users(Index::Link, &values).await?;
        match linked.iter().find(|it| it.id != id) {
            Some(other) => Err(OperationError::Refused(format!(
                "user {} of {platform} has this link; remove it there first",
                other.id
            ))),
            None => Ok(()),
        }
    }

    pub(super) async fn rotate(
        &self,
        platform: &str,
        id: &str,
        secret: Option<Clear>,
        overlap_seconds: u64,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        if overlap_seconds > MAX_OVERLAP_SECONDS {
            let message = format!(
                "an overlap has at most {} days",
                MAX_OVERLAP_SECONDS / 86_400
            );
            return Err(OperationError::Problems(vec![message]));
        }
        let made = match secret {
            Some(_) => None,
            None => Some(random_secret()?),
        };
        let new = made.as_ref().or(secret.as_ref()).map(Clear::expose);
        let new = new.unwrap_or_default();
        let row = [("id", id), ("secret", new)];
        let row = row.map(|(key, value)| (key.to_owned(), json!(value)));
        self.check_row(RecordKind::Key, platform, &row.into_iter().collect())
            .await?;
        let values: [&[u8]; 1] = [new.as_bytes()];
        let digests = self.directory.digests(platform, Index::ApiKey, &values);
        let until = self.directory.clock().unix_seconds() + overlap_seconds;
        let key = self.directory.record_key(RecordKind::Key, platform, id);
        let stored: ApiKey = self.directory.stored(&key).await?.unwrap_or_default();
        let present = self.directory.key_generations(platform, &stored).await?;
        let rotate = |key: &mut ApiKey| {
            check_not_revoked(key)?;
            if key.clone().presented(&digests).is_some() {
                let message = format!("key {id} has or had this very secret; give it another");
                return Err(OperationError::Refused(message));
            }
            if (&key.user, &key.account) != (&stored.user, &stored.account) {
                let message = format!("key {id} has just been given to another; try again");
                return Err(OperationError::Refused(message));
            }
            // Whoever rotates now means every earlier secret.
            for former in &mut key.former {
                former.until = former.until.min(until);
            }
            let new = digests.first().cloned();
            if let Some(secret) = std::mem::replace(&mut key.secret, new) {
                let generations = key.generations;
                let former = Former {
                    secret,
                    until,
                    generations,
                };
                key.former.insert(0, former);
            }
            key.generations = present;
            key.former.truncate(MAX_FORMER);
            Ok(())
        };
        let Outcome::Record { record, .. } = self.change(platform, id, rotate).await? else {
            return Err(OperationError::Fault("the key cannot be shown".to_owned()));
        };
        Ok(Outcome::Record {
            record,
            secret: made,
        })
    }

    async fn shown<R: ToRow>(&self, platform: &str, id: &str) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let key = self.directory.record_key(R::KIND, platform, id);
        let record: Option<R> = self.directory.stored(&key).await?;
        let record = record.ok_or_else(|| absent::<R>(platform, id))?;
        let mut view = record.view();
        let uses = self.last_uses::<R>(platform, &[id.to_owned()]).await?;
        view.extend(uses.into_iter().flatten());
        Ok(Outcome::Record {
            record: view,
            secret: None,
        })
    }

    /// Changes a record that is there.
    pub(super) async fn change<R: ToRow>(
        &self,
        platform: &str,
        id: &str,
        change: impl Fn(&mut R) -> Result<(), OperationError> + Send + Sync,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let change = |old: Option<R>| {
            let mut record = old.ok_or_else(|| absent::<R>(platform, id))?;
            change(&mut record)?;
            Ok::<_, OperationError>(record)
        };
        let updated = self.directory.update(platform, id, change).await?;
        Ok(Outcome::Record {
            record: updated.record.view(),
            secret: None,
        })
    }

    /// Checks a row as an import would, and gives it as a file.
    async fn check_row(
        &self,
        kind: RecordKind,
        platform: &str,
        row: &Row,
    ) -> Result<DirectoryFile, OperationError> {
        let (document, file) = parse_row(kind, platform, row)?;
        let problems = file.check_stored(&document, &self.directory).await?;
        if problems.is_empty() {
            return Ok(file);
        }
        Err(row_problems(kind, platform, &problems))
    }
}

fn parse_row(
    kind: RecordKind,
    platform: &str,
    row: &Row,
) -> Result<(Document, DirectoryFile), OperationError> {
    let text = json!({ platform: { kind.list(): [row] } });
    // JSON is YAML; what is in the text is wiped with it.
    let text = Clear::new(text.to_string());
    let failed = |it: Vec<Problem>| row_problems(kind, platform, &it);
    let document = Document::parse("row", text.expose()).map_err(failed)?;
    let file = DirectoryFile::parse_addition(&document, &[platform]).map_err(failed)?;
    Ok((document, file))
}

/// Puts problems with the one row into words for whoever typed it, who knows of no file.
fn row_problems(kind: RecordKind, platform: &str, problems: &[Problem]) -> OperationError {
    let row = format!("{platform}.{}[0]", kind.list());
    let words = |it: &Problem| match it.key.strip_prefix(&row).unwrap_or(&it.key) {
        "" => it.message.clone(),
        key => format!("{}: {}", key.trim_start_matches('.'), it.message),
    };
    OperationError::Problems(problems.iter().map(words).collect())
}

fn check_not_revoked(key: &ApiKey) -> Result<(), OperationError> {
    if key.revoked {
        let message = format!("key {} was revoked for good; add another one", key.id);
        return Err(OperationError::Refused(message));
    }
    Ok(())
}

fn absent<R: Record>(platform: &str, id: &str) -> OperationError {
    OperationError::Refused(format!("there is no {} {id} in {platform}", R::KIND))
}

/// Makes a secret that every scheme takes: 64 hexadecimal digits.
fn random_secret() -> Result<Clear, OperationError> {
    let mut bytes = [0; SECRET_BYTES];
    let failed = |it| OperationError::Fault(format!("no randomness: {it}"));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(Clear::new(
        bytes.iter().map(|it| format!("{it:02x}")).collect(),
    ))
}
