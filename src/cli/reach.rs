//! How a command reaches the directory, and what it says when it does not.
//!
//! The directory of a `memory:` or `embedded:` store is inside the running server, which the
//! command finds by the control socket of the configuration. In a Redis it is the command's as much
//! as any server's, which hears of what changes. Here are no words about what an operation came to;
//! each command has its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc;

use crate::cli::serve::start_error;
use crate::cli::spread::{Measured, Spread};
use crate::cli::{CommandError, block_on, say_error};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::store::StoreKind;
use crate::control::client::{AskError, ask};
use crate::directory::operations::Operations;
use crate::directory::operations::words::{Line, Operation, OperationError, Outcome};
use crate::serve::opening::{Opened, open};
use crate::telemetry::Metrics;

/// How long the store may take for one step of a command, at least: nobody waits for it as Envoy
/// waits for a Check.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many lines may wait to be printed.
const LINES_AHEAD: usize = 64;

/// What every command on the directory takes.
#[derive(Args, Debug)]
pub struct Common {
    /// The configuration file of the server.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Answer in JSON, for machines: one object, or one a line for lists.
    #[arg(long)]
    pub json: bool,
}

/// Which platform is meant.
#[derive(Args, Debug)]
pub struct OnPlatform {
    /// The platform; may be left out where the configuration has one.
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
}

/// The way to the directory.
#[derive(Debug)]
pub struct Reach {
    config: Config,
    file: PathBuf,
}

impl Reach {
    /// Reads the configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(file: &Path) -> Result<Self, CommandError> {
        let config = Config::load_for_command(file).map_err(|it| CommandError::problems(&it))?;
        Ok(Self {
            config,
            file: file.to_owned(),
        })
    }

    /// Gives the platform that is meant.
    ///
    /// # Errors
    /// Where the configuration has no such one, or several and none was named.
    pub fn platform(&self, named: &OnPlatform) -> Result<String, CommandError> {
        let names: Vec<_> = self.config.platforms.iter().map(|it| &*it.name).collect();
        match (&named.platform, names.as_slice()) {
            (Some(named), names) if names.contains(&named.as_str()) => Ok(named.clone()),
            (None, [only]) => Ok((*only).to_owned()),
            (Some(_), names) => Err(CommandError::usage(format!(
                "no such platform; the configuration has {}",
                names.join(", ")
            ))),
            (None, names) => Err(CommandError::usage(format!(
                "name the platform, as in `--platform {}`; the configuration has {}",
                names.first().unwrap_or(&"NAME"),
                names.join(", ")
            ))),
        }
    }

    /// Has an operation performed, and gives the lines before the last to `on_line` as they come.
    ///
    /// # Errors
    /// Why it was not performed.
    pub fn ask(
        self,
        operation: Operation,
        on_line: impl FnMut(Line),
    ) -> Result<Outcome, CommandError> {
        if self.is_shared() {
            return block_on(async {
                let opened = open_shared(self.config, &operation).await?;
                perform(opened.operations, operation, on_line).await
            });
        }
        self.ask_server(operation, on_line)
    }

    /// Has something revoked, and tells how far that has come.
    ///
    /// # Errors
    /// Why it was not revoked.
    pub fn revoke(self, operation: Operation) -> Result<(Outcome, Spread), CommandError> {
        if !self.is_shared() {
            let outcome = self.ask_server(operation, |_| ())?;
            return Ok((outcome, Spread::OneProcess));
        }
        let store = &self.config.store;
        let grace = store.watch_grace.unwrap_or_default();
        let stale = self.config.cache.stale_if_fault;
        block_on(async {
            let opened = open_shared(self.config, &operation).await?;
            let outcome = perform(opened.operations, operation, |_| ()).await?;
            let measured = Measured::measure(&opened.directory, grace, stale).await;
            Ok((outcome, Spread::Shared(measured)))
        })
    }

    /// Whether the directory is in a store that is everybody's.
    fn is_shared(&self) -> bool {
        matches!(self.config.store.kind, StoreKind::Redis(_))
    }

    fn ask_server(
        self,
        operation: Operation,
        on_line: impl FnMut(Line),
    ) -> Result<Outcome, CommandError> {
        let Some(socket) = &self.config.control else {
            return Err(CommandError::usage(format!(
                "{} has no `listen.control`, by which commands reach the running server: add \
                 `control: \"unix:/run/portcullis/control.sock\"` and start the server again",
                self.file.display()
            )));
        };
        ask(socket, operation, say_silence, on_line).map_err(|error| self.explain(socket, error))
    }

    fn explain(&self, socket: &Path, error: AskError) -> CommandError {
        match error {
            AskError::Absent(error) => CommandError::failed(format!(
                "no server answers on unix:{} ({error}). The directory belongs to the running \
                 server: start it with `portcullis serve --config {}`, or run this as a user who \
                 may open the socket",
                socket.display(),
                self.file.display()
            )),
            AskError::Operation(error) => not_performed(error),
            AskError::CutOff => CommandError::failed(error),
            AskError::TooLarge => CommandError::usage(error),
        }
    }
}

/// Tells that the running server has not answered for a while.
pub fn say_silence() {
    say_error(
        "the running server has said nothing for 5 s: it has much to do, or hangs. This waits on; where it is ended now, \
         the server may still do what was asked",
    );
}

/// Opens a store that is everybody's in this process, for an operation.
async fn open_shared(mut config: Config, operation: &Operation) -> Result<Opened, CommandError> {
    if let StoreKind::Redis(settings) = &mut config.store.kind {
        settings.timeout = settings.timeout.max(PATIENCE);
    }
    config.store.watch_grace = None;
    let metrics = Arc::new(Metrics::default());
    let opened = open(config, None, Clock::system(), &metrics, None).await;
    let opened = opened.map_err(start_error)?;
    let directory = &opened.directory;
    // An emptied store stays as it is but for what fills it; an import confirms them when it is done.
    let confirmed = match operation {
        Operation::Add { .. } => directory.confirm_peppers().await,
        it if it.only_looks() || matches!(it, Operation::Import { .. }) => {
            directory.check_peppers().await
        }
        _ => {
            directory.expect_filled();
            directory.confirm_further_peppers().await
        }
    };
    confirmed.map_err(|it| start_error(it.into()))?;
    Ok(opened)
}

/// Performs an operation in this process.
async fn perform(
    operations: Operations,
    operation: Operation,
    mut on_line: impl FnMut(Line),
) -> Result<Outcome, CommandError> {
    let (sender, mut lines) = mpsc::channel(LINES_AHEAD);
    let work = async move { operations.perform(operation, &sender).await };
    let print = async {
        while let Some(line) = lines.recv().await {
            on_line(line);
        }
    };
    let (outcome, ()) = tokio::join!(work, print);
    outcome.map_err(not_performed)
}

fn not_performed(error: OperationError) -> CommandError {
    match error {
        OperationError::Problems(problems) => {
            CommandError::listed(&problems, "nothing was written")
        }
        error @ (OperationError::Fault(_) | OperationError::Refused(_)) => {
            CommandError::failed(error)
        }
    }
}

/// Tells that an answer is none to what was asked.
pub fn strange() -> CommandError {
    CommandError::failed("the server answered something else; is it of the same version?")
}
