//! Who writes the audit's lines: a thread, so that a disk or a reader that is slow holds up nobody else.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::audit::queue::Batches;
use crate::telemetry::audit::{Losses, Target};

/// How much is written at once, in bytes, but for the end of a line: where that fails, it is what is lost.
const PIECE_BYTES: usize = 128 * 1024;

/// Writes lines, whole and in their order.
pub(super) struct Writer {
    to: Target,
    out: Box<dyn Write + Send>,
    losses: Arc<Losses>,
    reopen: Arc<AtomicBool>,
    /// Whether the last line that was written may not have been written whole.
    torn: bool,
}

impl Writer {
    pub(super) fn open(
        to: Target,
        losses: Arc<Losses>,
        reopen: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        Ok(Self {
            out: open(&to)?,
            to,
            losses,
            reopen,
            torn: false,
        })
    }

    /// Writes what comes until nobody is left to send any.
    pub(super) fn run(mut self, mut batches: Batches) {
        while let Some(text) = batches.next() {
            for piece in pieces(text) {
                if let Err(error) = self.write(piece) {
                    let lines = piece.iter().filter(|it| **it == b'\n');
                    self.losses.note(lines.count(), &error);
                }
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.reopen.swap(false, Ordering::Relaxed) {
            match open(&self.to) {
                Ok(out) => (self.out, self.torn) = (out, false),
                Err(error) => {
                    tracing::error!("the audit goes on in the file it has: {error}");
                }
            }
        }
        // What was cut off stands alone, and what follows is whole.
        if self.torn {
            self.out.write_all(b"\n")?;
        }
        self.torn = true;
        self.out.write_all(lines)?;
        self.out.flush()?;
        self.torn = false;
        Ok(())
    }
}

/// Parts lines into pieces of whole ones.
fn pieces(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let from = lines.len().min(PIECE_BYTES);
        let end = lines[from..].iter().position(|it| *it == b'\n');
        let (piece, rest) = lines.split_at(end.map_or(lines.len(), |it| from + it + 1));
        lines = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn open(to: &Target) -> io::Result<Box<dyn Write + Send>> {
    Ok(match to {
        Target::Stdout => Box::new(io::stdout()),
        Target::File(path) => {
            let mut options = OpenOptions::new();
            Box::new(options.append(true).create(true).mode(0o600).open(path)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_at_once_is_whole_lines_and_all_of_them_are() {
        for (line, count) in [
            (1, 0),
            (1, 1),
            (400, 3000),
            (PIECE_BYTES, 3),
            (PIECE_BYTES * 2, 2),
        ] {
            let mut text = vec![b'a'; line - 1];
            text.push(b'\n');
            let text = text.repeat(count);
            let parted: Vec<_> = pieces(&text).collect();
            assert_eq!(parted.concat(), text);
            for piece in parted {
                assert_eq!(piece.last(), Some(&b'\n'));
                assert!(piece.len() <= PIECE_BYTES + line, "{line}");
            }
        }
    }
}
