//! `portcullis serve`: the service.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{CommandError, block_on};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::files::Files;
use crate::directory::check::CheckError;
use crate::serve::cores::Cores;
use crate::serve::reload::Calls;
use crate::serve::{StartError, start};
use crate::telemetry::start_log;

/// Run the service until SIGTERM or SIGINT.
///
/// SIGHUP, and a change of the configuration or of a file that it names, put the configuration in force
/// as it stands then. One with problems stays out, and the log tells them.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Why it does not run.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let path = &arguments.config;
    let files = Files::look(path);
    let config = Config::load(path).map_err(|it| CommandError::problems(&it))?;
    start_log(&config.log, config.log_format)
        .map_err(|it| CommandError::usage(format!("telemetry.log cannot be read: {it}")))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    block_on(async {
        let end = asked_to_end()?;
        let hangups = signal(SignalKind::hangup()).map_err(|it| no_signals(&it))?;
        let running = start(config, Clock::system(), Cores::start).await;
        let mut running = running.map_err(start_error)?;
        running.reload_on(Calls {
            path: path.clone(),
            files,
            hangups,
        });
        tracing::info!("listening: {}", running.listening.join(", "));
        let drain = async {
            let signal = end.await;
            tracing::info!("{signal}: draining");
        };
        running.until(drain).await.map_err(start_error)
    })
}

/// Listens for SIGTERM and SIGINT from now on, and gives a wait for the first, which it names.
pub(crate) fn asked_to_end() -> Result<impl Future<Output = &'static str>, CommandError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|it| no_signals(&it))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|it| no_signals(&it))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

fn no_signals(error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("cannot listen for signals: {error}"))
}

/// Puts why the service did not start into words.
pub(crate) fn start_error(error: StartError) -> CommandError {
    match error {
        StartError::Directory(problems) => CommandError::problems(&problems),
        wrong @ StartError::Check(CheckError::Wrong { .. }) => CommandError::usage(wrong),
        other => CommandError::failed(other),
    }
}
