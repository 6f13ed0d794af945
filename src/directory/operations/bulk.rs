//! Operations on many records: whole files in and out, and lists.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::decision::Fault;
use crate::directory::check::CheckError;
use crate::directory::file::written::{Row, ToRow, time, to_line};
use crate::directory::file::{DirectoryFile, Existing, Imported};
use crate::directory::operations::words::{Clear, Exported, Line, OperationError, Outcome};
use crate::directory::operations::{Operations, send};
use crate::directory::records::{Account, ApiKey, RecordKind, User};
use crate::directory::walk::Walk;
use crate::document::{Document, Problem};

/// How much of an exported file is gathered before it is sent, in bytes.
const PART_BYTES: usize = 64 * 1024;

/// In how many steps progress is told.
const STEPS: usize = 1000;

/// What stands in a fault where a Redis's access rules forbid something.
const FORBIDDEN: &str = "(NOPERM)";

impl Operations {
    pub(super) async fn import(
        &self,
        source: String,
        text: Clear,
        dry_run: bool,
        lines: &mpsc::Sender<Line>,
    ) -> Result<Outcome, OperationError> {
        let platforms: Vec<_> = self.platforms.keys().cloned().collect();
        // Seconds for a large file, in which this thread would serve nobody.
        let parsed = tokio::task::spawn_blocking(move || parse(&source, &text, &platforms)).await;
        let aborted = |_| OperationError::Fault("reading the file was aborted".to_owned());
        let (document, file) = parsed.map_err(aborted)??;
        let problems = file.check_stored(&document, &self.directory).await?;
        if !problems.is_empty() {
            return Err(told(&problems));
        }
        drop(document);
        if dry_run {
            return Ok(Outcome::Imported(Imported {
                records: file.len(),
                created: file.count_new(&self.directory).await?,
                changed: 0,
            }));
        }
        let total = file.len();
        let so_far = Mutex::new(Imported::default());
        let progress = |imported: Imported| {
            *so_far.lock().unwrap_or_else(PoisonError::into_inner) = imported;
            let done = imported.records;
            if done * STEPS / total != (done - 1) * STEPS / total {
                // A reader who is behind misses a step.
                let _ = lines.try_send(Line::Progress { done, total });
            }
        };
        let forms = |name: &str| self.forms(name);
        let imported = file.import(&self.directory, Existing::Replace, forms, progress);
        let stopped = |fault: Fault| {
            let so_far = so_far.lock().unwrap_or_else(PoisonError::into_inner);
            OperationError::Fault(stopped(&fault, *so_far, total))
        };
        let imported = imported.await.map_err(stopped)?;
        // Last: where the store was emptied, nobody counts as unknown before all are there again.
        self.directory.confirm_filled().await?;
        Ok(Outcome::Imported(imported))
    }

    pub(super) async fn export(
        &self,
        platform: Option<String>,
        lines: &mpsc::Sender<Line>,
    ) -> Result<Outcome, OperationError> {
        if let Some(platform) = &platform {
            self.check_platform(platform)?;
        }
        let mut export = Export {
            operations: self,
            lines,
            text: HEAD.to_owned(),
            exported: Exported::default(),
        };
        let chosen = |it: &&String| platform.as_ref().is_none_or(|platform| platform == *it);
        for platform in self.platforms.keys().filter(chosen) {
            export.platform(platform).await?;
        }
        export.flush(0).await?;
        Ok(Outcome::Exported(export.exported))
    }

    pub(super) async fn list(
        &self,
        kind: RecordKind,
        platform: &str,
        account: Option<&str>,
        lines: &mpsc::Sender<Line>,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let records = match kind {
            RecordKind::Account => self.rows::<Account>(platform, account, lines).await?,
            RecordKind::Key => self.rows::<ApiKey>(platform, account, lines).await?,
            RecordKind::User => self.rows::<User>(platform, account, lines).await?,
        };
        Ok(Outcome::Listed { records })
    }

    async fn rows<R: ToRow>(
        &self,
        platform: &str,
        account: Option<&str>,
        lines: &mpsc::Sender<Line>,
    ) -> Result<usize, OperationError> {
        let mut walk = Walk::<R>::begin(&self.directory, platform);
        let mut records = 0;
        // An account is listed under the one that it belongs to.
        let key = if R::KIND == RecordKind::Account {
            "parent"
        } else {
            "account"
        };
        while let Some(page) = walk.next().await? {
            let ids: Vec<_> = page.iter().map(|it| it.id.clone()).collect();
            let uses = self.last_uses::<R>(platform, &ids).await?;
            for (met, used) in page.into_iter().zip(uses) {
                let mut row = met
                    .record
                    .map_or_else(|| unreadable(&met.id), |it| it.view());
                row.extend(used);
                if account.is_some_and(|it| row.get(key).and_then(Value::as_str) != Some(it)) {
                    continue;
                }
                records += 1;
                send(lines, Line::Row(row)).await?;
            }
        }
        Ok(records)
    }

    /// Gives what views say besides of when records of a kind were used last, in their order.
    pub(super) async fn last_uses<R: ToRow>(
        &self,
        platform: &str,
        ids: &[String],
    ) -> Result<Vec<Option<(String, Value)>>, OperationError> {
        if R::KIND != RecordKind::Key {
            return Ok(vec![None; ids.len()]);
        }
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let uses = self.directory.last_uses(platform, &ids).await?;
        let told = |at: u64| ("last_used_at".to_owned(), json!(time(at)));
        Ok(uses.into_iter().map(|it| it.map(told)).collect())
    }
}

/// Where an import or a repair ends with the check value.
impl From<CheckError> for OperationError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Fault(fault) => fault.into(),
            wrong @ CheckError::Wrong { .. } => Self::Refused(wrong.to_string()),
        }
    }
}

const HEAD: &str = "# A directory file of portcullis. Passwords stand in it as Argon2id hashes; what the store holds
# only as digests (API keys, legacy hashes) or sealed (seeds of second factors) does not. An import
# into the same directory keeps it; elsewhere every key needs its `secret` again, and every user with
# a second factor its `totp_secret`.
";

/// An export under way.
struct Export<'a> {
    operations: &'a Operations,
    lines: &'a mpsc::Sender<Line>,
    text: String,
    exported: Exported,
}

impl Export<'_> {
    async fn platform(&mut self, platform: &str) -> Result<(), OperationError> {
        let before = self.exported.records;
        self.text.push_str(&format!("{platform}:\n"));
        self.records::<Account>(platform, |_| false).await?;
        self.records::<User>(platform, |_| false).await?;
        self.records::<ApiKey>(platform, |it| it.revoked).await?;
        if self.exported.records == before {
            self.text.push_str("  {}\n");
        }
        Ok(())
    }

    async fn records<R: ToRow>(
        &mut self,
        platform: &str,
        is_revoked: impl Fn(&R) -> bool,
    ) -> Result<(), OperationError> {
        let mut walk = Walk::<R>::begin(&self.operations.directory, platform);
        let mut begun = false;
        while let Some(page) = walk.next().await? {
            for met in page {
                let Some(record) = met.record else {
                    self.exported.unreadable += 1;
                    continue;
                };
                if is_revoked(&record) {
                    self.exported.revoked += 1;
                    continue;
                }
                if !begun {
                    begun = true;
                    self.text.push_str(&format!("  {}:\n", R::KIND.list()));
                }
                self.exported.records += 1;
                self.exported.withheld += usize::from(record.withholds());
                let row = to_line(&record.row());
                self.text.push_str(&format!("    - {row}\n"));
                self.flush(PART_BYTES).await?;
            }
        }
        Ok(())
    }

    /// Sends what was gathered once it is more than `bytes`.
    async fn flush(&mut self, bytes: usize) -> Result<(), OperationError> {
        if self.text.len() > bytes {
            let text = std::mem::take(&mut self.text);
            send(self.lines, Line::Text(text)).await?;
        }
        Ok(())
    }
}

/// Tells how far an import of `total` records came before this fault, and what to do.
fn stopped(fault: &Fault, so_far: Imported, total: usize) -> String {
    let written = so_far.created + so_far.changed;
    let as_said = so_far.records - written;
    let come_to = match (written, as_said) {
        (0, 0) => "nothing was written".to_owned(),
        (0, as_said) => {
            format!(
                "nothing was written; {as_said} of {total} records are as the file says already"
            )
        }
        (written, 0) => format!("{written} of {total} records were written, and stay"),
        (written, as_said) => format!(
            "{written} of {total} records were written, and stay; {as_said} are as the file says already"
        ),
    };
    let fault = fault.to_string();
    let advice = match fault.contains(FORBIDDEN) {
        true => {
            "run the same import with a user who may write, `portcullis-issuer` of deploy/redis/users.acl"
        }
        false => "run the same import again, which writes what is missing",
    };
    format!("{fault}\n{come_to}; {advice}")
}

fn parse(
    source: &str,
    text: &Clear,
    platforms: &[String],
) -> Result<(Document, DirectoryFile), OperationError> {
    let names: Vec<_> = platforms.iter().map(String::as_str).collect();
    let document = Document::parse(source, text.expose()).map_err(|it| told(&it))?;
    let file = DirectoryFile::parse_addition(&document, &names).map_err(|it| told(&it))?;
    Ok((document, file))
}

/// The most problems that are told; a wrong column makes one in every row.
const MAX_TOLD: usize = 100;

fn told(problems: &[Problem]) -> OperationError {
    let mut lines: Vec<_> = problems
        .iter()
        .take(MAX_TOLD)
        .map(Problem::to_string)
        .collect();
    if problems.len() > MAX_TOLD {
        lines.push(format!("and {} more", problems.len() - MAX_TOLD));
    }
    OperationError::Problems(lines)
}

fn unreadable(id: &str) -> Row {
    let row = [("id", Value::from(id)), ("unreadable", Value::from(true))];
    row.map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Dependency;

    #[test]
    fn an_import_that_is_stopped_tells_what_it_wrote_and_not_what_was_there_already() {
        for (records, created, changed, want) in [
            (0, 0, 0, "nothing was written; run"),
            (
                2,
                0,
                0,
                "nothing was written; 2 of 5 records are as the file says already; run",
            ),
            (3, 2, 1, "3 of 5 records were written, and stay; run"),
            (
                3,
                1,
                0,
                "1 of 5 records were written, and stay; 2 are as the file says already; run",
            ),
        ] {
            let so_far = Imported {
                records,
                created,
                changed,
            };
            let told =
                |fault: &str| stopped(&Fault::new(Dependency::Store, fault.to_owned()), so_far, 5);
            let away = told("no answer in time");
            assert!(away.contains(want), "{away}");
            assert!(away.ends_with("writes what is missing"), "{away}");
            let forbidden = told("its access rules forbid the key (NOPERM)");
            assert!(forbidden.contains(want), "{forbidden}");
            assert!(forbidden.contains("`portcullis-issuer`"), "{forbidden}");
        }
    }
}
