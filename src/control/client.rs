//! The commands' end of the control socket.
//!
//! It waits in the way of its thread: a command has nothing else to do. How long an operation takes
//! is not bounded here; whoever waits is told of a long silence, and can end the command, which ends the operation.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

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

/// How long a server may say nothing before whoever waits is told.
const SILENCE: Duration = Duration::from_secs(5);

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

/// Asks the server at `path`, and gives the lines before the last to `on_line` as they come. `on_silence` is told once where
/// they do not for 5 seconds; the wait goes on.
///
/// # Errors
/// Why there is no outcome.
pub fn ask(
    path: &Path,
    operation: Operation,
    on_silence: fn(),
    mut on_line: impl FnMut(Line),
) -> Result<Outcome, AskError> {
    let mut lines = Lines::of(path, &Request::Directory(operation), on_silence)?;
    loop {
        match lines.next()? {
            Line::Done(outcome) => return Ok(outcome),
            Line::Error(error) => return Err(error.into()),
            other => on_line(other),
        }
    }
}

/// Has the server at `path` explain its decision about a `CheckRequest`; `on_silence` as for [`ask`].
///
/// # Errors
/// Why there is no report.
pub fn explain(path: &Path, message: &[u8], on_silence: fn()) -> Result<Report, AskError> {
    let request = Request::Explain(Clear::new(BASE64.encode(message)));
    match Lines::of(path, &request, on_silence)?.next()? {
        Explained::Done(report) => Ok(*report),
        Explained::Error(error) => Err(error.into()),
    }
}

/// The lines that a request is answered with.
struct Lines {
    stream: BufReader<UnixStream>,
    /// Until it was told.
    on_silence: Option<fn()>,
}

impl Lines {
    fn of(path: &Path, request: &Request, on_silence: fn()) -> Result<Self, AskError> {
        let request = serde_json::to_vec(request).map_err(|_| AskError::CutOff)?;
        let mut request = Zeroizing::new(request);
        request.push(b'\n');
        if request.len() > REQUEST_BYTES_MAX {
            return Err(AskError::TooLarge);
        }
        let mut stream = UnixStream::connect(path).map_err(AskError::Absent)?;
        stream.write_all(&request).map_err(|_| AskError::CutOff)?;
        let bounded = stream.set_read_timeout(Some(SILENCE));
        bounded.map_err(AskError::Absent)?;
        Ok(Self {
            stream: BufReader::new(stream),
            on_silence: Some(on_silence),
        })
    }

    fn next<T: DeserializeOwned>(&mut self) -> Result<T, AskError> {
        let mut line = Zeroizing::new(Vec::new());
        let mut limited = self.stream.by_ref().take(LINE_BYTES_MAX);
        // What was read before a silence stays in the line.
        while let Err(error) = limited.read_until(b'\n', &mut line) {
            match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock => {}
                _ => return Err(AskError::CutOff),
            }
            if let Some(on_silence) = self.on_silence.take() {
                on_silence();
            }
        }
        serde_json::from_slice(&line).map_err(|_| AskError::CutOff)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn a_long_silence_is_told_once_and_waited_out() {
        static TOLD: Barrier = Barrier::new(2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"\"the first half, ").unwrap();
            TOLD.wait();
            stream.write_all(b"and the second\"\n").unwrap();
        });
        let request = Request::Explain(Clear::new(String::new()));
        let on_silence = || {
            TOLD.wait();
        };
        let mut lines = Lines::of(&path, &request, on_silence).unwrap();
        let short = Some(Duration::from_millis(1));
        lines.stream.get_ref().set_read_timeout(short).unwrap();
        let line: String = lines.next().unwrap();
        assert_eq!(line, "the first half, and the second");
        served.join().unwrap();
    }
}
