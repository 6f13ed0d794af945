//! `portcullis import` and `portcullis export`: whole directory files.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::cli::reach::{Common, OnPlatform, Reach, strange};
use crate::cli::{CommandError, say, say_error};
use crate::control::REQUEST_BYTES_MAX;
use crate::control::client::AskError;
use crate::directory::file::Imported;
use crate::directory::operations::words::{Clear, Exported, Line, Operation, Outcome};

/// Write the accounts, users and keys of a directory file into the directory.
///
/// What the file says counts: a user that a command has switched off is on again if the file says
/// so. What the file does not hold stays as it is, and so does whatever was revoked or rotated. A
/// second import writes nothing. If anything is wrong with the file, every problem is named by line
/// and key, and nothing is written.
#[derive(Args, Debug)]
pub struct Import {
    /// The directory file; `-` is standard input.
    file: PathBuf,
    /// Only tell what is wrong with it, and how much of it is new.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

/// Print the directory as a directory file.
///
/// Passwords are in it as Argon2id hashes. Secrets that the store holds only as digests are not, nor
/// are sessions, security settings (`auth_modules`) and generations, which tell what was revoked: an
/// import into the same directory keeps all that, elsewhere it is lost. There, revoked tokens that
/// have not ended would be good again, so give it other signing keys.
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    on: OnPlatform,
    /// The configuration file of the server.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// Why nothing, or not everything, was written.
    pub fn run(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let import = Operation::Import {
            source: self.file.display().to_string(),
            text: read(&self.file)?,
            dry_run: self.dry_run,
        };
        let begun = Instant::now();
        let mut progress = Progress::default();
        let outcome = reach.ask(import, |line| {
            if let Line::Progress { done, total } = line {
                progress.show(done, total);
            }
        });
        progress.clear();
        let Outcome::Imported(imported) = outcome? else {
            return Err(strange());
        };
        let seconds = begun.elapsed().as_secs_f64();
        say(self.summary(imported, seconds));
        Ok(())
    }

    fn summary(&self, imported: Imported, seconds: f64) -> String {
        let Imported {
            records,
            created,
            changed,
        } = imported;
        match (self.common.json, self.dry_run) {
            (true, true) => {
                json!({ "dry_run": true, "records": records, "new": created, "seconds": seconds })
                    .to_string()
            }
            (true, false) => json!({
                "records": records, "created": created, "changed": changed, "seconds": seconds,
            })
            .to_string(),
            (false, true) => format!(
                "{records} records, {created} of them new: the file is good, nothing was written"
            ),
            (false, false) => format!(
                "{records} records: {created} created, {changed} changed, {} as they were, in \
                 {seconds:.1} s",
                records - created - changed
            ),
        }
    }
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// Why the file is not whole.
    pub fn run(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.config)?;
        let platform = match &self.on.platform {
            Some(_) => Some(reach.platform(&self.on)?),
            None => None,
        };
        let mut written = Ok(());
        let outcome = reach.ask(Operation::Export { platform }, |line| {
            if let (Line::Text(text), Ok(())) = (line, &written) {
                written = stdout().write_all(text.as_bytes());
            }
        })?;
        written.map_err(|it| CommandError::failed(format!("the file is cut off: {it}")))?;
        let Outcome::Exported(exported) = outcome else {
            return Err(strange());
        };
        say_exported(exported)
    }
}

fn say_exported(exported: Exported) -> Result<(), CommandError> {
    say_error(format!("{} records", exported.records));
    if exported.withheld > 0 {
        say_error(format!(
            "note: {} of them have secrets that are stored as digests or sealed under the pepper. They \
             are not in the file: an import into the same directory keeps them, but they cannot be \
             restored from it",
            exported.withheld
        ));
    }
    if exported.revoked > 0 {
        say_error(format!(
            "note: {} revoked keys are left out",
            exported.revoked
        ));
    }
    if exported.unreadable > 0 {
        return Err(CommandError::failed(format!(
            "{} records cannot be read and are not in the file; `portcullis store verify` names them",
            exported.unreadable
        )));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Clear, CommandError> {
    let failed = |it: String| CommandError::usage(format!("{}: {it}", path.display()));
    let mut bytes = Vec::new();
    let limit = REQUEST_BYTES_MAX as u64;
    let read = if path == Path::new("-") {
        stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|it| it.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|it| failed(format!("cannot be read: {it}")))?;
    if bytes.len() == REQUEST_BYTES_MAX {
        return Err(failed(AskError::TooLarge.to_string()));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed("not UTF-8".to_owned()))?;
    Ok(Clear::new(text))
}

/// A line on a terminal that tells how far it is; elsewhere nothing.
#[derive(Debug, Default)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(&mut self, done: usize, total: usize) {
        if stderr().is_terminal() {
            self.shown = true;
            let percent = done * 100 / total.max(1);
            let _ = write!(stderr(), "\r{done} of {total} records ({percent} %)");
        }
    }

    fn clear(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}
