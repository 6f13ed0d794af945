//! `portcullis healthcheck`: whether a server on this machine may be sent Checks, for probes.
//!
//! It asks `grpc.health.v1.Health/Check` as a load balancer does and reads no configuration, so a probe needs no
//! secret. In an image without a shell nothing else can ask over a Unix socket.

use std::error::Error;
use std::time::Duration;

use clap::Args;
use tonic::Code;
use tonic::codegen::http::uri::Authority;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::cli::{CommandError, block_on, say};

/// What to look at where somebody answers, and not as a gRPC server does.
const NOT_HTTP2: &str = "is it the gRPC listener (`listen.grpc`), and without TLS? With `listen.tls`, list a Unix socket \
    there, which has none, and ask that: `unix:PATH`";

/// Ask a running server whether it may be sent Checks: 0 when it may, 1 when not.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Where its gRPC listener is: `HOST:PORT` or `unix:PATH`.
    #[arg(value_parser = to_uri)]
    address: String,
    /// Ask only whether it answers at all: 0 also while it starts, has not reached its store, or drains.
    #[arg(long)]
    alive: bool,
    /// How long the answer may take.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    timeout_ms: u64,
}

/// Runs the command.
///
/// # Errors
/// Why Checks should not be sent there.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let address = &arguments.address;
    let patience = Duration::from_millis(arguments.timeout_ms);
    let status = block_on(async {
        let answer = tokio::time::timeout(patience, ask(address)).await;
        answer.map_err(|_| {
            CommandError::failed(format!("{address} has not answered within {patience:?}"))
        })?
    })?;
    if status != ServingStatus::Serving && !arguments.alive {
        return Err(CommandError::failed(format!(
            "{address} is not to be sent Checks: {}",
            status.as_str_name()
        )));
    }
    say(status.as_str_name());
    Ok(())
}

/// Gives an address as a URI.
fn to_uri(address: &str) -> Result<String, &'static str> {
    let no_address = "an address is `HOST:PORT` or `unix:PATH`";
    if let Some(path) = address.strip_prefix("unix:") {
        return if path.is_empty() {
            Err(no_address)
        } else {
            Ok(address.to_owned())
        };
    }
    let parsed: Result<Authority, _> = address.parse();
    match parsed {
        Ok(it) if it.port_u16().is_some() => Ok(format!("http://{it}")),
        Ok(_) | Err(_) => Err(no_address),
    }
}

/// Gives how the whole process stands.
async fn ask(address: &str) -> Result<ServingStatus, CommandError> {
    let no_answer = |it: &str| CommandError::failed(format!("{address} does not answer: {it}"));
    let endpoint =
        Endpoint::from_shared(address.to_owned()).map_err(|it| no_answer(&innermost(&it)))?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|it| no_answer(&innermost(&it)))?;
    let request = HealthCheckRequest {
        service: String::new(),
    };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => Ok(answer.into_inner().status()),
        // It speaks gRPC and tells nobody how it stands.
        Err(status) if status.code() == Code::Unimplemented => Ok(ServingStatus::Unknown),
        // What has a cause was not answered by a server that speaks gRPC.
        Err(status) if status.source().is_some() => {
            let cause = innermost(&status);
            Err(no_answer(&format!("{cause}; {NOT_HTTP2}")))
        }
        Err(status) => Err(no_answer(status.message())),
    }
}

/// Gives what was at the bottom of an error, which says most.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
