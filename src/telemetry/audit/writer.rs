//! Who writes the audit's lines: a thread, so that a disk or a reader that is slow holds up nobody else.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::telemetry::audit::{Losses, Message, Target};

/// How many lines are written at once.
const BATCH: usize = 256;

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
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            let (mut text, mut lines, mut waiting) = (Vec::new(), 0, Vec::new());
            for message in batch.drain(..) {
                match message {
                    Message::Line(line) => {
                        text.extend_from_slice(&line);
                        lines += 1;
                    }
                    Message::Written(done) => waiting.push(done),
                }
            }
            if lines > 0
                && let Err(error) = self.write(&text)
            {
                self.losses.note(lines, &error);
            }
            for done in waiting {
                let _ = done.send(());
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

fn open(to: &Target) -> io::Result<Box<dyn Write + Send>> {
    Ok(match to {
        Target::Stdout => Box::new(io::stdout()),
        Target::File(path) => {
            let mut options = OpenOptions::new();
            Box::new(options.append(true).create(true).mode(0o600).open(path)?)
        }
    })
}
