//! `portcullis config`: look at a configuration without starting anything.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::{CommandError, say, say_error};
use crate::config::{Config, schema};
use crate::platform::presets;

/// Check, show and describe configurations.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell every problem of a configuration and its directory file at once, with line and key; 2
    /// if there is one.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Print the built-in presets: their names, or one as YAML.
    Presets {
        /// The preset to print.
        name: Option<String>,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Print a configuration as it is resolved: presets merged, variables replaced.
    Show {
        /// The configuration file.
        file: PathBuf,
    },
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed, in words for whoever typed it.
    pub fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Check { file } => {
                let config = Config::load(&file).map_err(|it| CommandError::problems(&it))?;
                let directory = config.read_directory();
                directory.map_err(|it| CommandError::problems(&it))?;
                for warning in &config.warnings {
                    say_error(format!("warning: {warning}"));
                }
                say(format!(
                    "{}: good, {} platform(s)",
                    file.display(),
                    config.platforms.iter().count()
                ));
            }
            Self::Presets { name: None } => presets::ALL.iter().for_each(|it| say(it.0)),
            Self::Presets { name: Some(name) } => {
                let unknown = || {
                    CommandError::usage(format!(
                        "there is no preset {name}; `config presets` lists them"
                    ))
                };
                say(presets::text(&name).ok_or_else(unknown)?.trim_end());
            }
            Self::Schema => say(format!("{:#}", schema::schema())),
            Self::Show { file } => {
                let config = Config::load(&file).map_err(|it| CommandError::problems(&it))?;
                let text = serde_saphyr::to_string(&config.resolved);
                say(text.map_err(CommandError::failed)?.trim_end());
            }
        }
        Ok(())
    }
}
