//! Operations on many records: whole files in and out, and lists.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::mpsc;

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
        let written = AtomicUsize::new(0);
        let progress = |done: usize| {
            written.store(done, Ordering::Relaxed);
            if done * STEPS / total != (done - 1) * STEPS / total {
                // A reader who is behind misses a step.
                let _ = lines.try_send(Line::Progress { done, total });
            }
        };
        let forms = |name: &str| self.forms(name);
        let imported = file.import(&self.directory, Existing::Replace, forms, progress);
        let stopped = |fault| {
            let done = written.load(Ordering::Relaxed);
            OperationError::Fault(format!(
                "{fault}\n{done} of {total} records were written, and stay; run the same import \
                 again, which writes what is missing"
            ))
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
