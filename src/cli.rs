//! The commands. Each says what it did on standard output, what went wrong on standard error, and
//! ends with 0 (done), 1 (failed) or 2 (wrong usage or configuration).

pub mod account;
pub mod config;
pub mod demo;
pub mod explain;
pub mod healthcheck;
pub mod key;
pub mod platform;
pub mod provision;
pub mod reach;
pub mod records;
pub mod secret;
pub mod serve;
pub mod session;
pub mod signing;
pub mod spread;
pub mod store;
pub mod table;
pub mod throttle;
pub mod user;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::document::Problem;

/// The authorization service that Envoy asks.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  portcullis demo                              see real Checks decided, then try your own
  portcullis config check portcullis.yaml      every problem of a configuration at once
  portcullis explain --config portcullis.yaml https://api.example.com/orders
                                               every step of one decision
  portcullis serve --config portcullis.yaml    the service
  portcullis import users.yaml --config portcullis.yaml
                                               fill the directory of the running server
  portcullis user disable u-9 --platform infobip --config portcullis.yaml";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Account(account::Command),
    #[command(subcommand)]
    Config(config::Command),
    Demo(demo::Arguments),
    Explain(explain::Arguments),
    Export(provision::Export),
    Healthcheck(healthcheck::Arguments),
    Import(provision::Import),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Platform(platform::Command),
    Serve(serve::Arguments),
    #[command(subcommand)]
    Session(session::Command),
    #[command(subcommand)]
    Signing(signing::Command),
    #[command(subcommand)]
    Store(store::Command),
    #[command(subcommand)]
    Throttle(throttle::Command),
    #[command(subcommand)]
    User(user::Command),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Account(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Export(export) => export.run(),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Import(import) => import.run(),
        Command::Key(command) => command.run(),
        Command::Platform(command) => command.run(),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Session(command) => command.run(),
        Command::Signing(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Throttle(command) => command.run(),
        Command::User(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error.message);
            ExitCode::from(error.code)
        }
    }
}

/// Why a command failed, ready to print, and what the process ends with.
#[derive(Debug)]
pub struct CommandError {
    message: String,
    code: u8,
}

impl CommandError {
    /// It was used rightly and did not succeed.
    pub fn failed(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 1,
        }
    }

    /// It was used wrongly.
    pub fn usage(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            code: 2,
        }
    }

    /// A configuration, or a file that it names, has problems.
    #[must_use]
    pub fn problems(problems: &[Problem]) -> Self {
        let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
        Self::listed(&problems, "nothing was started")
    }

    /// Something that was given has problems, for which reason `consequence`.
    #[must_use]
    pub fn listed(problems: &[String], consequence: &str) -> Self {
        let count = match problems.len() {
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        let lines = problems.join("\n  ");
        Self::usage(format!("{count}; {consequence}:\n  {lines}"))
    }
}

/// Writes a line to standard output. A reader that has gone is not our failure.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn say_error(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "portcullis: {line}");
}

/// Runs a command that waits for things.
fn block_on<T>(future: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|it| CommandError::failed(format!("cannot start threads: {it}")))?
        .block_on(future)
}
