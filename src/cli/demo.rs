//! `portcullis demo`: the service as it is, on an embedded store with a sample directory, asked by
//! real Checks over gRPC.
//!
//! It starts what `serve` starts, through the same door, and asks as Envoy does; only the
//! configuration and the directory are its own. What it asks and what must come of it stands in
//! [`cases`]; whom the service asks on its part is played by [`stand_ins`].

pub mod cases;
pub mod exchange;
pub mod stand_ins;
pub mod table;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use tonic::transport::Channel;

use crate::cli::demo::cases::{Case, Section};
use crate::cli::demo::exchange::{Verdict, ask};
use crate::cli::demo::stand_ins::StandIns;
use crate::cli::demo::table::{Table, Tone};
use crate::cli::serve::{asked_to_end, start_error};
use crate::cli::{CommandError, block_on, say};
use crate::clock::Clock;
use crate::config::directory::DirectorySource;
use crate::config::{Config, ListenAddress};
use crate::envoy::protos::authorization_client::AuthorizationClient;
use crate::serve::cores::Cores;
use crate::serve::{Running, StartError, start};
use crate::telemetry::{LogFormat, start_log};

const CONFIG: &str = include_str!("demo/portcullis.yaml");
const DIRECTORY: &str = concat!(
    include_str!("sample_directory.yaml"),
    "\n",
    include_str!("demo/mine.yaml")
);

const DEFAULT_PORT_BASE: u16 = 9001;

/// How far behind the gRPC port the admin port lies.
const ADMIN_OFFSET: u16 = 2;

/// See real Checks decided on a sample directory, then try your own.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// End after the Checks: 0 when all went as expected, else 1.
    #[arg(long)]
    once: bool,
    /// The gRPC port; admin is two above. [default: 9001; with --once, any that are free]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=65533))]
    port_base: Option<u16>,
}

const EXAMPLES: &str = "Examples:
  portcullis demo                       the Checks, then serves until Ctrl-C
  portcullis demo --once                the Checks only, for scripts
  portcullis demo --port-base 19001     gRPC on 19001, metrics on 19003";

/// Runs the command.
///
/// # Errors
/// Why the service did not start, or that Checks did not go as expected.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    // Silent unless something is wrong; another log in the process is as good.
    let _ = start_log("warn", LogFormat::Text);
    let default = if arguments.once { 0 } else { DEFAULT_PORT_BASE };
    block_on(async {
        let end = asked_to_end()?;
        let stand_ins = StandIns::start().await?;
        let config = config(arguments.port_base.unwrap_or(default), &stand_ins)?;
        let sections = cases::all(&stand_ins.tokens()?);
        let running = start(config, Clock::system(), Cores::start).await;
        let running = running.map_err(with_hint)?;
        let (grpc, admin) = addresses(&running)?;
        let table = Table::new(|name| std::env::var(name).ok());
        let all_expected = check(table, grpc, &sections).await;
        if arguments.once {
            running.until(async {}).await.map_err(start_error)?;
        } else {
            invite(table, grpc, admin);
            let end = async {
                end.await;
            };
            running.until(end).await.map_err(start_error)?;
        }
        all_expected
    })
}

/// The demo's configuration, on loopback ports from this one on; from 0, any that are free.
fn config(port: u16, stand_ins: &StandIns) -> Result<Config, CommandError> {
    let secret = stand_ins.secret_file()?;
    let variable = |name: &str| match name {
        "STAND_INS" => Some(stand_ins.url()),
        "APP_SECRET_FILE" => Some(secret.path()),
        _ => None,
    };
    let parsed = Config::parse("the demo's configuration", CONFIG, Path::new("."), variable);
    let mut config = parsed.map_err(|it| CommandError::problems(&it))?;
    let admin = if port == 0 { 0 } else { port + ADMIN_OFFSET };
    config.grpc = vec![ListenAddress::Tcp(loopback(port))];
    config.admin = Some(loopback(admin));
    config.store.directory = Some(DirectorySource::Text {
        name: "the sample directory".to_owned(),
        text: DIRECTORY.to_owned(),
    });
    Ok(config)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn with_hint(error: StartError) -> CommandError {
    match error {
        StartError::Bind { .. } => CommandError::failed(format!(
            "{error}\n  choose others with --port-base, such as: portcullis demo --port-base 19001"
        )),
        other => start_error(other),
    }
}

fn addresses(running: &Running) -> Result<(SocketAddr, SocketAddr), CommandError> {
    let missing = || CommandError::failed("the system does not tell which ports it gave");
    let grpc = running.grpc.first().copied().ok_or_else(missing)?;
    Ok((grpc, running.admin.ok_or_else(missing)?))
}

/// What all Checks came to.
#[derive(Debug, Default)]
struct Tally {
    allowed: usize,
    denied: usize,
    reasons: BTreeSet<String>,
    unexpected: usize,
    took: Duration,
}

/// Sends every Check, and writes the table.
async fn check(table: Table, grpc: SocketAddr, sections: &[Section]) -> Result<(), CommandError> {
    let client = AuthorizationClient::connect(format!("http://{grpc}")).await;
    let mut client =
        client.map_err(|it| CommandError::failed(format!("cannot connect to {grpc}: {it}")))?;
    say(table.paint(
        Tone::Strong,
        concat!("Portcullis ", env!("CARGO_PKG_VERSION")),
    ));
    say(format!(
        "Real Checks over gRPC to {grpc}, as Envoy sends them, decided on a sample directory in memory.\n\
         Below each: what the client sends, then what the upstream gets (+) and does not see (-), or\n\
         what the client is answered (>)."
    ));
    let mut tally = Tally::default();
    for section in sections {
        table.section(section);
        for case in &section.cases {
            tally.add(table, &mut client, section.host, case).await;
        }
    }
    tally.close(table)
}

impl Tally {
    async fn add(
        &mut self,
        table: Table,
        client: &mut AuthorizationClient<Channel>,
        host: &str,
        case: &Case,
    ) {
        let begun = Instant::now();
        let answer = ask(client, host, &case.request).await;
        self.took += begun.elapsed();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.unexpected += 1;
                return table.unanswered(case, &error);
            }
        };
        match &answer.verdict {
            Verdict::Allow { .. } => self.allowed += 1,
            Verdict::Deny { reason, .. } => {
                self.denied += 1;
                self.reasons.insert(reason.clone());
            }
        }
        let differences = answer.differences(case);
        self.unexpected += usize::from(!differences.is_empty());
        table.answered(case, &answer, &differences);
    }

    fn close(&self, table: Table) -> Result<(), CommandError> {
        let counts = format!(
            "{} Checks in {:.0} ms{}: {} allowed, {} denied for {} different reasons",
            self.allowed + self.denied,
            self.took.as_secs_f64() * 1000.0,
            if cfg!(debug_assertions) {
                " (an unoptimised build)"
            } else {
                ""
            },
            self.allowed,
            self.denied,
            self.reasons.len()
        );
        say("");
        if self.unexpected == 0 {
            let good = table.paint(Tone::Allow, "all as expected");
            say(format!("{counts}; {good}."));
            return Ok(());
        }
        let bad = format!("{} not as expected", self.unexpected);
        say(format!("{counts}; {}.", table.paint(Tone::Alarm, &bad)));
        Err(CommandError::failed(format!(
            "{bad}; look for UNEXPECTED in the table"
        )))
    }
}

/// Shows how to go on by hand.
fn invite(table: Table, grpc: SocketAddr, admin: SocketAddr) {
    let method = "envoy.service.auth.v3.Authorization/Check";
    let check = r#"{"attributes":{"source":{"address":{"socket_address":{"address":"203.0.113.9"}}},"request":{"http":{
    "method":"POST","host":"infobip.example.com","path":"/sms/3/messages",
    "headers":{"authorization":"Basic QWxhZGRpbjpvcGVuU2VzYW1l"}}}}}"#;
    say("");
    say(table.paint(Tone::Strong, "Try your own; Ctrl-C ends the demo."));
    say(format!(
        "
  open http://{admin}/ in a browser
  curl -i http://{admin}/readyz
  curl -s http://{admin}/metrics | grep portcullis_checks_total

  grpcurl -plaintext {grpc} list
  grpcurl -plaintext -d '{check}' {grpc} {method}

To put it behind a real Envoy, see README.md."
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::cases::Want;

    /// Who gives these is not in the demo: endpoints behind an Envoy. A scheme that is shown does not
    /// belong here.
    const NOT_SHOWN_YET: [(&str, &str); 4] = [
        ("crossbar", "jwt"),
        ("opentact", "jwt"),
        ("infobip", "session"),
        ("infobip", "oauth2"),
    ];

    #[tokio::test]
    async fn every_scheme_of_every_platform_is_allowed_once() {
        let stand_ins = StandIns::start().await.expect("a loopback port");
        let config = config(0, &stand_ins).expect("a configuration without problems");
        let sections = cases::all(&stand_ins.tokens().expect("tokens"));
        let identities: Vec<_> = sections
            .iter()
            .flat_map(|it| &it.cases)
            .filter_map(|it| match it.want {
                Want::Allow { identity, .. } => Some(identity),
                Want::Deny { .. } => None,
            })
            .collect();
        for platform in config.platforms.iter() {
            for scheme in &platform.schemes {
                let shown = identities.iter().any(|it| {
                    it.contains(&("x-auth-platform", &platform.name))
                        && it.contains(&("x-auth-scheme", &scheme.name))
                });
                let name = (&*platform.name, &*scheme.name);
                assert_ne!(shown, NOT_SHOWN_YET.contains(&name), "{name:?}");
            }
        }
    }
}
