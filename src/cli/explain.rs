//! `portcullis explain`: every step of one decision.
//!
//! The server that has the store decides, by its control socket; where none answers, and over a
//! Redis, this process opens the store as a server would, but changes nothing in it. The output says
//! which of both it was. A credential is shown by its place and its length, in every output.

pub mod asking;
pub mod text;

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::{ArgGroup, Args};
use serde::Serialize;

use crate::cli::reach::say_silence;
use crate::cli::serve::start_error;
use crate::cli::{CommandError, block_on, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::store::StoreKind;
use crate::control::client::{self, AskError};
use crate::credential::Secret;
use crate::explain::report::Report;
use crate::serve::opening::{open, read_directory};
use crate::telemetry::Metrics;

/// Show every step of one decision, secrets masked: 0 when it was made, allow or deny.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("asked").required(true).args(["url", "request"]))]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The method.
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// A header, or with @ a file of headers, one a line; @- is standard input. Other users of the
    /// machine see what stands on the command line: put credentials in a file.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE|@FILE", value_parser = hide)]
    headers: Vec<Secret>,
    /// The address that the connection to Envoy comes from.
    #[arg(long, value_name = "IP")]
    peer: Option<IpAddr>,
    /// The platform that Envoy's route names (`context_extensions.platform`).
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// The whole request instead: a `CheckRequest` as JSON, or a captured gRPC frame; - is standard input.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["method", "headers", "peer", "platform"]
    )]
    request: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
    /// Where the client sends the request. Sets the host, `x-forwarded-proto`, path and query.
    #[arg(value_parser = hide)]
    url: Option<Secret>,
}

const EXAMPLES: &str = "Examples:
  portcullis explain --config portcullis.yaml https://api.example.com/orders/7
  portcullis explain --config portcullis.yaml -X POST -H @headers.txt https://api.example.com/orders
  portcullis explain --config portcullis.yaml --request check_request.bin --json

With `memory:` and `embedded:` a running server decides, where `listen.control` finds one; else the store is opened here.
Ends with 0 when a decision was made, 1 when none could be, 2 for wrong usage or configuration.";

/// Keeps an argument out of every `Debug`.
fn hide(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.as_bytes()))
}

/// Runs the command.
///
/// # Errors
/// Why nothing could be decided.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config =
        Config::load_for_command(&arguments.config).map_err(|it| CommandError::problems(&it))?;
    let message = asking::message(arguments)?;
    let (decider, words, report) = decide(config, message)?;
    if arguments.json {
        let shown = Shown {
            decided_by: decider,
            report: &report,
        };
        say(serde_json::to_string_pretty(&shown).map_err(CommandError::failed)?);
    } else {
        say(text::write(&words, &report).trim_end());
    }
    match report.fault() {
        Some(fault) => Err(CommandError::failed(format!(
            "nothing was decided: {fault}"
        ))),
        None => Ok(()),
    }
}

/// Whose decision it is.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Decider {
    /// This process opened the store.
    Command,
    /// The running server.
    Server,
}

/// What `--json` shows.
#[derive(Serialize)]
struct Shown<'r> {
    decided_by: Decider,
    #[serde(flatten)]
    report: &'r Report,
}

/// Has the decision made, and tells by whom.
fn decide(config: Config, message: Bytes) -> Result<(Decider, String, Report), CommandError> {
    let nobody = match (&config.store.kind, &config.control) {
        (StoreKind::Redis(_), _) => "as each server on this Redis would".to_owned(),
        (_, None) => "no server can be asked, as there is no `listen.control`".to_owned(),
        (_, Some(socket)) => {
            let at = format!("unix:{}", socket.display());
            if let Some(report) = ask(socket, &message)? {
                let words = format!("the running server, asked on {at}");
                return Ok((Decider::Server, words, report));
            }
            format!("no server answers on {at}")
        }
    };
    let words = match config.store.kind {
        StoreKind::Memory => "this command, over a directory of its own from `directory_file`",
        StoreKind::Embedded(_) | StoreKind::Redis(_) => "this command, over the store",
    };
    let report = block_on(explain(config, message))?;
    Ok((Decider::Command, format!("{words}; {nobody}"), report))
}

/// Asks the server, if there is one.
fn ask(socket: &Path, message: &[u8]) -> Result<Option<Report>, CommandError> {
    let nobody = |it: ErrorKind| matches!(it, ErrorKind::NotFound | ErrorKind::ConnectionRefused);
    match client::explain(socket, message, say_silence) {
        Ok(report) => Ok(Some(report)),
        Err(AskError::Absent(error)) if nobody(error.kind()) => Ok(None),
        Err(AskError::Absent(error)) => Err(CommandError::failed(format!(
            "the server cannot be asked on unix:{} ({error}); run this as the user who runs it",
            socket.display()
        ))),
        Err(AskError::CutOff) => Err(CommandError::failed(
            "the server ended before it answered, or is of another version",
        )),
        Err(error @ (AskError::Operation(_) | AskError::TooLarge)) => {
            Err(CommandError::failed(error))
        }
    }
}

/// Opens the store as a server does, and stays a reader: no store is made, and nothing is changed in
/// one.
async fn explain(mut config: Config, message: Bytes) -> Result<Report, CommandError> {
    if let StoreKind::Embedded(path) = &config.store.kind
        && !path.exists()
    {
        let path = path.display();
        return Err(CommandError::failed(format!("there is no store at {path}")));
    }
    let file = read_directory(&config).map_err(start_error)?;
    config.store.watch_grace = None;
    let metrics = Arc::new(Metrics::default());
    let opened = open(config, file, Clock::system(), &metrics, None).await;
    let opened = opened.map_err(start_error)?;
    let checked = opened.directory.check_peppers().await;
    checked.map_err(CommandError::failed)?;
    Ok(opened.explainer.explain(message).await)
}
