//! `portcullis user`: logins under accounts.

use clap::{Args, Subcommand};

use crate::cli::CommandError;
use crate::cli::records::{Fields, List, One};
use crate::cli::secret::PasswordFrom;
use crate::cli::table::{Column, cell, state};
use crate::directory::operations::words::{Clear, Operation};
use crate::directory::records::{Link as Subject, RecordKind};

const KIND: RecordKind = RecordKind::User;

const COLUMNS: &[Column] = &[
    ("ID", |it| cell(it, "id")),
    ("STATE", state),
    ("USERNAME", |it| cell(it, "username")),
    ("EMAIL", |it| cell(it, "email")),
    ("ACCOUNT", |it| cell(it, "account")),
    ("ROLES", |it| cell(it, "roles")),
    ("CREDENTIALS", |it| cell(it, "credentials")),
];

const EXAMPLES: &str = "Examples:
  portcullis user add u-9 --account acc-1 --username Abu --password-stdin \\
      --platform infobip --config portcullis.yaml < password.txt
  portcullis user disable u-9 --platform infobip --config portcullis.yaml";

/// Add, show, switch, link and revoke users.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Add a user.
    Add(Add),
    /// Switch a user off, as if it did not exist.
    Disable(One),
    /// Switch a user on.
    Enable(One),
    /// Let a subject of an external issuer stand for a user, or no longer.
    Link(Link),
    /// List users.
    List(List),
    /// End every token and session of a user, and the keys that act for it.
    Revoke(One),
    /// Show a user.
    Show(One),
}

/// A user to be added.
#[derive(Args, Debug)]
pub struct Add {
    #[command(flatten)]
    one: One,
    /// The account it belongs to.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// The name it logs in with; this or `--email` is needed.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The e-mail address it logs in with.
    #[arg(long)]
    email: Option<String>,
    /// What it may act as; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// What the platform's answers show, as NAME=VALUE; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    #[command(flatten)]
    password: PasswordFrom,
}

/// A link to be made or removed.
#[derive(Args, Debug)]
pub struct Link {
    #[command(flatten)]
    one: One,
    /// The issuer, such as `google`, or `facebook:APP_ID`.
    #[arg(long)]
    issuer: String,
    /// The subject within the issuer.
    #[arg(long)]
    subject: String,
    /// Remove the link.
    #[arg(long)]
    remove: bool,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Add(add) => add.run(),
            Self::Disable(one) => one.switch(KIND, false),
            Self::Enable(one) => one.switch(KIND, true),
            Self::Link(link) => link.run(),
            Self::List(list) => list.run(KIND, COLUMNS),
            Self::Revoke(one) => one.revoke(KIND),
            Self::Show(one) => one.show(KIND),
        }
    }
}

impl Add {
    fn run(self) -> Result<(), CommandError> {
        let password = self.password.read()?;
        let fields = Fields::default()
            .with("account", self.account.as_deref())
            .with("username", self.username.as_deref())
            .with("email", self.email.as_deref())
            .with_list("roles", &self.roles)
            .with("password", password.as_ref().map(Clear::expose))
            .with_attributes(&self.attributes)?;
        self.one.add(KIND, fields)
    }
}

impl Link {
    fn run(self) -> Result<(), CommandError> {
        let link = Subject {
            issuer: self.issuer,
            subject: self.subject,
        };
        let done = match self.remove {
            true => "is not linked to it any more",
            false => "is linked to it",
        };
        self.one.change(KIND, done, |platform, id| Operation::Link {
            platform,
            id,
            link,
            remove: self.remove,
        })
    }
}
