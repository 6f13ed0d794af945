//! Secrets for commands: from standard input or a file, never from an argument, which every user of
//! the machine can read in the list of processes.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroize;

use crate::cli::{CommandError, say_error};
use crate::directory::operations::words::Clear;

/// The longest input that is read, in bytes: above every secret that is taken.
const MAX_BYTES: u64 = 8 * 1024;

/// Where a password comes from.
#[derive(Args, Debug)]
pub struct PasswordFrom {
    /// Read the password from standard input: all of it, less the end of the line.
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from a file.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordFrom {
    /// Reads it; `None` where none is given.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(&self) -> Result<Option<Clear>, CommandError> {
        read(
            self.password_stdin,
            self.password_file.as_deref(),
            "password",
        )
    }
}

/// Where the secret of a key comes from.
#[derive(Args, Debug)]
pub struct SecretFrom {
    /// Read the secret from standard input: all of it, less the end of the line.
    #[arg(long, conflicts_with = "secret_file")]
    secret_stdin: bool,
    /// Read the secret from a file. Without either, a random one is made and shown once.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretFrom {
    /// Reads it; `None` where none is given.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(&self) -> Result<Option<Clear>, CommandError> {
        read(self.secret_stdin, self.secret_file.as_deref(), "secret")
    }
}

fn read(from_stdin: bool, file: Option<&Path>, what: &str) -> Result<Option<Clear>, CommandError> {
    if from_stdin {
        return read_stdin(what).map(Some);
    }
    let Some(path) = file else { return Ok(None) };
    let unreadable = |it| CommandError::failed(format!("{} cannot be read: {it}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    read_from(file, what).map(Some)
}

/// Reads a secret from standard input: all of it, less the end of the line.
///
/// # Errors
/// Why it cannot be read.
pub fn read_stdin(what: &str) -> Result<Clear, CommandError> {
    if stdin().is_terminal() {
        say_error(format!(
            "type the {what}, then Enter and Ctrl-D; it can be seen meanwhile"
        ));
    }
    read_from(stdin(), what)
}

fn read_from(source: impl Read, what: &str) -> Result<Clear, CommandError> {
    let mut text = String::new();
    let read = source.take(MAX_BYTES + 1).read_to_string(&mut text);
    let failed = |it| CommandError::failed(format!("the {what} cannot be read: {it}"));
    read.map_err(failed)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let usable = !line.is_empty() && line.len() as u64 <= MAX_BYTES;
    let secret = usable.then(|| Clear::new(line.to_owned()));
    text.zeroize();
    secret.ok_or_else(|| CommandError::usage(format!("a {what} has 1 to {MAX_BYTES} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_everything_but_the_end_of_its_line() {
        let long = "x".repeat(MAX_BYTES as usize + 1);
        let cases = [
            ("one line", "hunter2\n", Some("hunter2")),
            ("no end", "hunter2", Some("hunter2")),
            ("from Windows", "hunter2\r\n", Some("hunter2")),
            ("spaces are part of it", " a b \n", Some(" a b ")),
            ("only the last end goes", "a\n\n", Some("a\n")),
            ("nothing", "", None),
            ("an empty line", "\n", None),
            ("too long", &long, None),
        ];
        for (name, input, want) in cases {
            let got = read_from(input.as_bytes(), "secret").ok();
            assert_eq!(got.as_ref().map(Clear::expose), want, "{name}");
        }
    }
}
