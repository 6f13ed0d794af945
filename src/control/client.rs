//! The commands' end of the control socket.
//!
//! It waits in the way of its thread: a command has nothing else to do. How long an operation takes
//! is not bounded here; whoever waits can end the command, which ends the operation.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::control::{Explained, REQUEST_BYTES_MAX, Request, too_large};
use crate::directory::operations::words::{Clear, Line, Operation, OperationError, Outcome};
use crate::explain::report::Report;

/// The longest line of an answer, in bytes: far above a record, or a part of a file.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why there is no outcome.
#[derive(Debug, Error)]
pub enum AskError {
    /// No server answers there.
    #[error("nobody answers: {0}")]
    Absent(io::Error),
    /// The server ended, or said what it never says.
    #[error(
        "the server did not say how it ended; what was written until then stays, and the command \
         can be run again"
    )]
    CutOff,
    /// The server says why not.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The request is larger than a server takes.
    #[error("{}", too_large())]
    TooLarge,
}

/// Asks the server at `path`, and gives the lines before the last to `on_line` as they come.
///
/// # Errors
/// Why there is no outcome.
pub fn ask(
    path: &Path,
    operation: Operation,
    mut on_line: impl FnMut(Line),
) -> Result<Outcome, AskError> {
    let mut lines = Lines::of(path, &Request::Directory(operation))?;
    loop {
        match lines.next()? {
            Line::Done(outcome) => return Ok(outcome),
            Line::Error(error) => return Err(error.into()),
            other => on_line(other),
        }
    }
}

/// Has the server at `path` explain its decision about a `CheckRequest`.
///
/// # Errors
/// Why there is no report.
pub fn explain(path: &Path, message: &[u8]) -> Result<Report, AskError> {
    let request = Request::Explain(Clear::new(BASE64.encode(message)));
    match Lines::of(path, &request)?.next()? {
        Explained::Done(report) => Ok(*report),
        Explained::Error(error) => Err(error.into()),
    }
}

/// The lines that a request is answered with.
struct Lines(BufReader<UnixStream>);

impl Lines {
    fn of(path: &Path, request: &Request) -> Result<Self, AskError> {
        let request = serde_json::to_vec(request).map_err(|_| AskError::CutOff)?;
        let mut request = Zeroizing::new(request);
        request.push(b'\n');
        if request.len() > REQUEST_BYTES_MAX {
            return Err(AskError::TooLarge);
        }
        let mut stream = UnixStream::connect(path).map_err(AskError::Absent)?;
        stream.write_all(&request).map_err(|_| AskError::CutOff)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn next<T: DeserializeOwned>(&mut self) -> Result<T, AskError> {
        let mut line = Zeroizing::new(Vec::new());
        let mut limited = self.0.by_ref().take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut line);
        read.map_err(|_| AskError::CutOff)?;
        serde_json::from_slice(&line).map_err(|_| AskError::CutOff)
    }
}
