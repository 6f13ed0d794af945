//! `portcullis account`: a platform's customers.

use clap::{Args, Subcommand};

use crate::cli::CommandError;
use crate::cli::records::{Fields, List, One};
use crate::cli::table::{Column, cell, state};
use crate::directory::records::RecordKind;

const KIND: RecordKind = RecordKind::Account;

const COLUMNS: &[Column] = &[
    ("ID", |it| cell(it, "id")),
    ("STATE", state),
    ("NAME", |it| cell(it, "name")),
    ("PARENT", |it| cell(it, "parent")),
    ("EXPIRES", |it| cell(it, "expires_at")),
];

const EXAMPLES: &str = "Example:
  portcullis account add acc-2 --name \"ACME, Inc.\" --platform infobip --config portcullis.yaml";

/// Add, show and switch a platform's customers.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Add an account.
    Add(Add),
    /// Switch an account off: none of its users and keys gets in.
    Disable(One),
    /// Switch an account on.
    Enable(One),
    /// List accounts; `--account` lists those under one.
    List(List),
    /// End every token and session of an account, and its keys that act for a user.
    Revoke(One),
    /// Show an account.
    Show(One),
}

/// An account to be added.
#[derive(Args, Debug)]
pub struct Add {
    #[command(flatten)]
    one: One,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Its SIP realm.
    #[arg(long)]
    realm: Option<String>,
    /// The account it belongs to.
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// One of its numbers (E.164); may be repeated.
    #[arg(long = "phone-number", value_name = "NUMBER")]
    phone_numbers: Vec<String>,
    /// When its trial ends, as 2030-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// What the platform's answers show, as NAME=VALUE; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
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
            Self::List(list) => list.run(KIND, COLUMNS),
            Self::Revoke(one) => one.revoke(KIND),
            Self::Show(one) => one.show(KIND),
        }
    }
}

impl Add {
    fn run(self) -> Result<(), CommandError> {
        let fields = Fields::default()
            .with("name", self.name.as_deref())
            .with("realm", self.realm.as_deref())
            .with("parent", self.parent.as_deref())
            .with_list("phone_numbers", &self.phone_numbers)
            .with("expires_at", self.expires_at.as_deref())
            .with_attributes(&self.attributes)?;
        self.one.add(KIND, fields)
    }
}
