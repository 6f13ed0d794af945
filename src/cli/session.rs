//! `portcullis session`: who has one, and ending it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::reach::{Common, OnPlatform, Reach, strange};
use crate::cli::secret::read_stdin;
use crate::cli::spread::REFUSED;
use crate::cli::table::{Column, Table, cell};
use crate::cli::{CommandError, say, say_error};
use crate::directory::operations::words::{Line, Operation, Outcome, Whose};

const COLUMNS: &[Column] = &[
    ("USER", |it| cell(it, "user")),
    ("STATE", |it| cell(it, "state")),
    ("CREATED", |it| cell(it, "created_at")),
    ("ENDS", |it| cell(it, "ends_at")),
    ("ADDRESS", |it| cell(it, "address")),
];

const EXAMPLES: &str = "Examples:
  portcullis session list --config portcullis.yaml                          who has one
  portcullis session list --user u-1 --platform infobip --config portcullis.yaml
  portcullis session revoke --user u-1 --config portcullis.yaml             end the one that a user has
  portcullis session revoke --token-stdin --config portcullis.yaml < token  end the one with this token";

/// List and revoke sessions. A user has one at most.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// List sessions.
    List(List),
    /// End a session.
    Revoke(Revoke),
}

/// Which sessions to list.
#[derive(Args, Debug)]
pub struct List {
    /// Only this user's.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    #[command(flatten)]
    on: OnPlatform,
    #[command(flatten)]
    common: Common,
}

/// Which session to end.
#[derive(Args, Debug)]
pub struct Revoke {
    /// The one that this user has.
    #[arg(long, value_name = "ID", required_unless_present = "token_stdin")]
    user: Option<String>,
    /// The one whose token stands on standard input.
    #[arg(long, conflicts_with = "user")]
    token_stdin: bool,
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
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let sessions = Operation::Sessions {
            platform: reach.platform(&self.on)?,
            user: self.user,
        };
        let mut table = Table::new(COLUMNS);
        let outcome = reach.ask(sessions, |line| match line {
            Line::Row(row) if self.common.json => say(Value::Object(row)),
            Line::Row(row) => table.add(&row),
            _ => {}
        })?;
        table.finish();
        match outcome {
            Outcome::Listed { records: 0 } if !self.common.json => say_error("there is no session"),
            Outcome::Listed { .. } => {}
            _ => return Err(strange()),
        }
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let whose = match self.user {
            Some(user) => Whose::User(user),
            None => Whose::Token(read_stdin("token")?),
        };
        let revoke = Operation::RevokeSession { platform, whose };
        let (outcome, spread) = reach.revoke(revoke)?;
        let Outcome::Revoked { existed } = outcome else {
            return Err(strange());
        };
        if !existed {
            match self.common.json {
                true => say(json!({ "existed": false })),
                false => say("there was no such session"),
            }
            return Ok(());
        }
        let words = spread.finish("the session is ended", REFUSED);
        match self.common.json {
            true => say(json!({ "existed": true, "revocation": spread.to_json() })),
            false => say(words),
        }
        Ok(())
    }
}
