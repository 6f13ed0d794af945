//! `portcullis throttle`: whom too many failed attempts have stopped, and letting them try again.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::reach::{Common, OnPlatform, Reach, strange};
use crate::cli::table::{Column, Table, cell};
use crate::cli::{CommandError, say, say_error};
use crate::directory::failures::Attempts;
use crate::directory::operations::words::{Line, Operation, Outcome};

const COLUMNS: &[Column] = &[
    ("FAILURES", |it| cell(it, "failures")),
    ("SECONDS LEFT", |it| cell(it, "seconds_left")),
    ("DIGEST", |it| cell(it, "digest")),
];

/// List and lift what failed attempts have come to. They are counted by client address (an IPv6
/// /64) and target.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List counters. Neither addresses nor targets are stored, so each is shown by a digest.
    List(List),
    /// Let be tried again; every server does within two seconds. Of an account, also what it is called
    /// by: name, realm and phone numbers.
    #[command(after_help = EXAMPLES)]
    Lift(Lift),
}

const EXAMPLES: &str = "Examples:
  portcullis throttle lift --address 192.0.2.7 --target 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b \\
                           --platform crossbar --config portcullis.yaml
  portcullis throttle lift --all --platform crossbar --config portcullis.yaml";

/// Which counters to list.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    on: OnPlatform,
    #[command(flatten)]
    common: Common,
}

/// Which counters to lift.
#[derive(Args, Debug)]
pub struct Lift {
    /// The client's address, or `unknown` for attempts whose address was not known.
    #[arg(long, value_name = "IP", value_parser = address, requires = "target")]
    #[arg(required_unless_present = "all")]
    address: Option<Client>,
    /// What it tried, such as an account's id, or `scheme facebook`.
    #[arg(long, value_name = "TEXT", requires = "address")]
    target: Option<String>,
    /// All of the platform.
    #[arg(long, conflicts_with_all = ["address", "target"])]
    all: bool,
    #[command(flatten)]
    on: OnPlatform,
    #[command(flatten)]
    common: Common,
}

/// A client, by its address where that is known.
#[derive(Clone, Copy, Debug)]
struct Client(Option<IpAddr>);

fn address(text: &str) -> Result<Client, &'static str> {
    match text {
        "unknown" => Ok(Client(None)),
        text => text
            .parse()
            .map(|it| Client(Some(it)))
            .map_err(|_| "an address is an IP, or `unknown`"),
    }
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self) -> Result<(), CommandError> {
        match self {
            Self::List(list) => list.run(),
            Self::Lift(lift) => lift.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let mut table = Table::new(COLUMNS);
        let outcome = reach.ask(Operation::Failures { platform }, |line| match line {
            Line::Row(row) if self.common.json => say(Value::Object(row)),
            Line::Row(row) => table.add(&row),
            _ => {}
        })?;
        table.finish();
        match outcome {
            Outcome::Listed { records: 0 } if !self.common.json => {
                say_error("no attempt has failed lately");
            }
            Outcome::Listed { .. } => {}
            _ => return Err(strange()),
        }
        Ok(())
    }
}

impl Lift {
    fn run(self) -> Result<(), CommandError> {
        let reach = Reach::open(&self.common.config)?;
        let platform = reach.platform(&self.on)?;
        let of = match (self.address, self.target) {
            (Some(Client(address)), Some(target)) => Attempts::Of { address, target },
            _ => Attempts::All,
        };
        let Outcome::Lifted { counters } = reach.ask(Operation::Lift { platform, of }, |_| ())?
        else {
            return Err(strange());
        };
        match (self.common.json, counters) {
            (true, _) => say(json!({ "lifted": counters })),
            (false, 0) => say("no attempt was counted there"),
            (false, 1) => say("1 counter is lifted"),
            (false, _) => say(format!("{counters} counters are lifted")),
        }
        Ok(())
    }
}
