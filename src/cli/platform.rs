//! `portcullis platform`: what concerns everybody of a platform.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::reach::{Common, OnPlatform, Reach, strange};
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
            Self::Revoke(which) => which.run(true),
            Self::Show(which) => which.run(false),
        }
    }
}

impl Which {
    fn run(self, revoke: bool) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let name = platform.clone();
        let operation = match revoke {
            true => Operation::RevokePlatform { platform },
            false => Operation::ShowPlatform { platform },
        };
        let Outcome::Record { record, .. } = reach.ask(operation, |_| ())? else {
            return Err(strange());
        };
        match (self.common.json, revoke) {
            (true, _) => say(Value::Object(record)),
            (false, true) => say(format!(
                "platform {name} has no valid token or session any more"
            )),
            (false, false) => print_object(&record),
        }
        Ok(())
    }
}
