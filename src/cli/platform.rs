//! `portcullis platform`: what concerns everybody of a platform.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::reach::{Common, OnPlatform, Reach, strange};
use crate::cli::spread::REFUSED;
use crate::cli::table::print_object;
use crate::cli::{CommandError, say};
use crate::directory::operations::words::{Operation, Outcome};

const EXAMPLES: &str = "Example:
  portcullis platform revoke --platform infobip --config portcullis.yaml";

/// Show a platform, and end all its tokens and sessions.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// End every token and session of a platform. Passwords stay as they are, and API keys
    /// that act for no user.
    Revoke(Which),
    /// Show how often a platform was revoked.
    Show(Which),
}

/// Which platform.
#[derive(Args, Debug)]
pub struct Which {
    #[command(flatten)]
    on: OnPlatform,
    #[command(flatten)]
    common: Common,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Revoke(which) => which.revoke(),
            Self::Show(which) => which.show(),
        }
    }
}

impl Which {
    fn revoke(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let words = format!("platform {platform} has no valid token or session any more");
        let (outcome, spread) = reach.revoke(Operation::RevokePlatform { platform })?;
        let Outcome::Record { mut record, .. } = outcome else {
            return Err(strange());
        };
        let words = spread.finish(&words, REFUSED);
        if self.common.json {
            record.insert("revocation".to_owned(), spread.to_json());
            say(Value::Object(record));
        } else {
            say(words);
        }
        Ok(())
    }

    fn show(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let show = Operation::ShowPlatform { platform };
        match reach.ask(show, |_| ())? {
            Outcome::Record { record, .. } if self.common.json => say(Value::Object(record)),
            Outcome::Record { record, .. } => print_object(&record),
            _ => return Err(strange()),
        }
        Ok(())
    }
}
