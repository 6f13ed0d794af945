//! `portcullis explain`: every step of one decision.
//!
//! It opens the store as the service does, but changes nothing in it; puts the same gate before it,
//! asks once and listens. It decides nothing itself, and what it shows as the answer is read out of
//! the message that Envoy would get. It opens no port and asks no running server. A credential is
//! shown by its place and its length, in every output.

pub mod asking;
pub mod report;
pub mod text;

use std::convert::Infallible;
use std::mem;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::{ArgGroup, Args};

use crate::cli::explain::report::{Report, Setting};
use crate::cli::serve::start_error;
use crate::cli::{CommandError, block_on, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::store::StoreKind;
use crate::credential::Secret;
use crate::envoy::view::{self, Decoded};
use crate::gate::{Decision, Gate};
use crate::request::RequestView;
use crate::serve::opening::{Opened, open_behind, read_directory};
use crate::store::recorded::{Read, Recorded};
use crate::trace::{Step, Trace};

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
    let config = Config::load(&arguments.config).map_err(|it| CommandError::problems(&it))?;
    let message = asking::message(arguments)?;
    let report = block_on(explain(config, message))?;
    if arguments.json {
        say(serde_json::to_string_pretty(&report).map_err(CommandError::failed)?);
    } else {
        say(text::write(&report).trim_end());
    }
    match report.fault() {
        Some(fault) => Err(CommandError::failed(format!(
            "nothing was decided: {fault}"
        ))),
        None => Ok(()),
    }
}

/// Decides the message as the Check RPC does, but for its deadline: whoever asks why can wait.
async fn explain(config: Config, message: Bytes) -> Result<Report, CommandError> {
    let (client_address, on_fault) = (config.client_address, config.on_fault);
    let clock = Clock::system();
    let (gate, minutes) = open(config, clock.clone()).await?;
    let decoded = view::decode(message);
    let request = decoded
        .as_ref()
        .map_err(Clone::clone)
        .and_then(Decoded::view);
    let (decision, request) = match request {
        Ok(request) => (gate.decide(&request, &minutes).await, Some(request)),
        Err(denial) => (Decision::early(None, denial), None),
    };
    let setting = Setting {
        client_address,
        on_fault,
        now: clock.now(),
    };
    let nothing = RequestView::default();
    Ok(Report::of(
        request.as_ref().ok_or(&nothing),
        &minutes.close(),
        decision,
        setting,
    ))
}

/// Opens the gate as the service does, and stays a reader: no store is made, and nothing is changed
/// in one.
async fn open(config: Config, clock: Clock) -> Result<(Gate, Minutes), CommandError> {
    if let StoreKind::Embedded(path) = &config.store.kind
        && !path.exists()
    {
        let path = path.display();
        return Err(CommandError::failed(format!("there is no store at {path}")));
    }
    let mut recorded = None;
    let file = read_directory(&config).map_err(start_error)?;
    let opened = open_behind(config, file, clock, |store| {
        Arc::clone(recorded.insert(Arc::new(Recorded::new(store)))) as _
    });
    let Opened {
        directory, gate, ..
    } = opened.await.map_err(start_error)?;
    let checked = directory.check_peppers().await;
    checked.map_err(CommandError::failed)?;
    let store = recorded.expect("an open store is behind what was put before it");
    Ok((gate, Minutes::begin(store)))
}

/// A step, with the records that were read since the one before.
pub type Minute = (Step, Vec<Read>);

/// Writes down what is done, in order.
#[derive(Debug)]
struct Minutes {
    store: Arc<Recorded>,
    written: Mutex<Vec<Minute>>,
}

impl Minutes {
    /// Begins, once the store is filled.
    fn begin(store: Arc<Recorded>) -> Self {
        store.begin();
        let written = Mutex::default();
        Self { store, written }
    }

    fn close(&self) -> Vec<Minute> {
        mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Trace for Minutes {
    fn step(&self, step: impl FnOnce() -> Step) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push((step(), self.store.take()));
    }
}
