//! The log: where it goes, and how much of it.

use std::io::IsTerminal;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Tells why a filter is not a level or `tracing` directives. A misspelt level would silently be
/// taken for the name of a module.
///
/// # Errors
/// What is wrong.
pub fn check_filter(filter: &str) -> Result<(), String> {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    for directive in filter.split(',') {
        let level = directive.rsplit('=').next().unwrap_or_default();
        if !levels.contains(&level) {
            return Err(format!(
                "a level is one of {}, alone or as TARGET=LEVEL",
                levels.join(", ")
            ));
        }
    }
    let parsed = tracing_subscriber::EnvFilter::try_new(filter);
    parsed.map(drop).map_err(|it| it.to_string())
}

/// Begins to log to standard error. `filter` is a level, or `tracing` directives.
///
/// # Errors
/// Where the filter cannot be read, or the process logs already.
pub fn start_log(
    filter: &str,
    format: LogFormat,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    }
}
