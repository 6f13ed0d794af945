//! `portcullis store`: the store underneath the directory.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::reach::{Common, Reach, strange};
use crate::cli::table::{Column, Table, cell};
use crate::cli::{CommandError, say};
use crate::directory::operations::verify::Verified;
use crate::directory::operations::words::{Line, Operation, Outcome};

const COLUMNS: &[Column] = &[
    ("FINDING", |it| cell(it, "finding")),
    ("PLATFORM", |it| cell(it, "platform")),
    ("KIND", |it| cell(it, "kind")),
    ("REPAIRED", |it| cell(it, "repaired")),
    ("DIGEST", |it| cell(it, "digest")),
    ("ID", |it| cell(it, "id")),
];

const EXAMPLES: &str = "Examples:
  portcullis store verify --config portcullis.yaml            what is not in order; changes nothing
  portcullis store verify --repair --config portcullis.yaml   put right what can be
  portcullis store verify --json --config portcullis.yaml     one object a finding, then the summary";

/// Look after the store.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Find index entries without a record, records without their index entries, security settings
    /// without an account, what cannot be read, what stands under an old or unknown pepper, and
    /// legacy forms; 1 if anything is left.
    Verify(Verify),
}

/// What to verify.
#[derive(Args, Debug)]
pub struct Verify {
    /// Put right what can be: index entries, and security settings of accounts that are gone, which
    /// are deleted. Records are never touched.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    common: Common,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed, or that something is left to be put right.
    pub fn run(self) -> Result<(), CommandError> {
        let Self::Verify(verify) = self;
        let (json, repair) = (verify.common.json, verify.repair);
        let reach = Reach::open(&verify.common.config)?;
        let mut table = Table::new(COLUMNS);
        let outcome = reach.ask(Operation::Verify { repair }, |line| match line {
            Line::Row(row) if json => say(Value::Object(row)),
            Line::Row(row) => table.add(&row),
            _ => {}
        })?;
        table.finish();
        let Outcome::Verified(verified) = outcome else {
            return Err(strange());
        };
        if json {
            say(json!({ "summary": verified }));
        } else {
            print(&verified);
        }
        match verified.left() {
            0 => Ok(()),
            left if repair => Err(CommandError::failed(format!("{left} findings are left"))),
            left => Err(CommandError::failed(format!(
                "{left} findings; `--repair` puts right what is orphaned or concerns index entries"
            ))),
        }
    }
}

fn print(verified: &Verified) {
    say(format!(
        "{} records and {} index entries: {} orphaned, {} unindexed, {} unreadable, {} under an \
         unknown pepper, {} under an old one; {} repaired",
        verified.records,
        verified.index_entries,
        verified.orphaned,
        verified.unindexed,
        verified.unreadable,
        verified.unknown_pepper,
        verified.old_pepper,
        verified.repaired,
    ));
    if verified.old_pepper > 0 {
        say(
            "the old pepper is still needed: import or rotate what stands under it, then verify again",
        );
    }
    if verified.old_peppers_forgotten {
        say(
            "nothing stands under an old pepper, and the store has forgotten it: take it out of `store.pepper_files`",
        );
    }
    for (platform, legacy) in &verified.legacy {
        if legacy.ha1b + legacy.md5 + legacy.sha1 > 0 {
            say(format!(
                "{platform}: legacy forms left: {} ha1b, {} md5, {} sha1",
                legacy.ha1b, legacy.md5, legacy.sha1
            ));
        }
    }
}
