//! Where lines wait to be written: one text, which whoever decides adds to and the writer takes as a whole.
//!
//! A lock is held for as long as it takes to copy a line of some 400 bytes, or to swap two texts; never while anything
//! is written. A writer that sleeps is woken by the first line, and by none of those that follow it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How much may wait, in bytes: a second of a flood, some 5,000 lines. It is reserved twice, and takes memory only
/// where it was ever used.
pub(super) const QUEUE_BYTES: usize = 2 * 1024 * 1024;

/// For how long lines are let come together after some were written. In a flood it is what lets the writer sleep.
const PAUSE: Duration = Duration::from_millis(2);

/// What waits, or is being written.
struct Batch {
    /// Whole lines.
    text: Vec<u8>,
    /// Who wants to hear once they are written.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn new() -> Self {
        Self {
            text: Vec::with_capacity(QUEUE_BYTES),
            waiting: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.waiting.is_empty()
    }

    /// Tells those who wait that it is done with, and empties it.
    fn end(&mut self) {
        self.text.clear();
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
    }
}

/// What both ends share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    batch: Batch,
    /// Whether the writer is to be woken for the next line.
    sleeps: bool,
    /// Whether one of the ends is gone.
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where somebody panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        drop(state);
        self.changed.notify_one();
    }
}

/// Makes a queue: the end where lines come in, and the writer's.
pub(super) fn queue() -> (Lines, Batches) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            batch: Batch::new(),
            sleeps: false,
            ended: false,
        }),
        changed: Condvar::new(),
    });
    let batches = Batches {
        shared: Arc::clone(&shared),
        taken: Batch::new(),
    };
    (Lines(shared), batches)
}

/// Where lines come in. Where it is dropped, the writer writes what waits and ends.
pub(super) struct Lines(Arc<Shared>);

/// Shows no lines: there may be many.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(..)")
    }
}

impl Lines {
    /// Adds a whole line; tells whether there was room, and somebody to write it.
    pub(super) fn add(&self, line: &[u8]) -> bool {
        let mut state = self.0.lock();
        if state.ended || QUEUE_BYTES - state.batch.text.len() < line.len() {
            return false;
        }
        state.batch.text.extend_from_slice(line);
        let sleeps = std::mem::take(&mut state.sleeps);
        drop(state);
        if sleeps {
            self.0.changed.notify_one();
        }
        true
    }

    /// Gives what ends once everything is written that was added before.
    pub(super) fn written(&self) -> oneshot::Receiver<()> {
        let (done, written) = oneshot::channel();
        let mut state = self.0.lock();
        if !state.ended {
            state.batch.waiting.push(done);
        }
        drop(state);
        self.0.changed.notify_one();
        written
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The writer's end. Where it is dropped, nothing is taken any more.
pub(super) struct Batches {
    shared: Arc<Shared>,
    taken: Batch,
}

impl Batches {
    /// Gives what came since the last time, once there is something; `None` once nothing can come.
    ///
    /// It tells those who waited for the last batch, and is called once that is written.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let wrote = !self.taken.text.is_empty();
        self.taken.end();
        let mut state = self.shared.lock();
        if wrote {
            state = self.pause(state);
        }
        while state.batch.is_empty() {
            if state.ended {
                return None;
            }
            state.sleeps = true;
            let woken = self.shared.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeps = false;
        std::mem::swap(&mut state.batch, &mut self.taken);
        drop(state);
        Some(&self.taken.text)
    }

    /// Lets lines come together, unless somebody waits for them.
    fn pause<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let is_calm = |it: &mut State| it.batch.waiting.is_empty() && !it.ended;
        let woken = &self.shared.changed;
        let woken = woken.wait_timeout_while(state, PAUSE, is_calm);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.shared.end();
        self.shared.lock().batch.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many_come_whole_each_ones_in_their_order_and_none_is_lost() {
        const OF_EACH: usize = 2000;
        let (lines, mut batches) = queue();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            while let Some(text) = batches.next() {
                all.extend_from_slice(text);
            }
            String::from_utf8(all).unwrap()
        });
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let lines = &lines;
                scope.spawn(move || {
                    for number in 0..OF_EACH {
                        assert!(lines.add(format!("{writer} {number}\n").as_bytes()));
                    }
                });
            }
        });
        drop(lines);
        let all = reading.join().unwrap();
        for writer in 0..4 {
            let of_it = format!("{writer} ");
            let of_it = all.lines().filter_map(|it| it.strip_prefix(&of_it));
            let want = (0..OF_EACH).map(|it| it.to_string());
            assert!(want.eq(of_it), "{writer}");
        }
        assert_eq!(all.lines().count(), 4 * OF_EACH);
    }

    #[test]
    fn what_is_being_written_holds_up_no_line_and_only_so_much_waits() {
        let (lines, mut batches) = queue();
        let line = [b'a'; 1024];
        let room = QUEUE_BYTES / line.len();
        assert!(lines.add(&line));
        assert_eq!(batches.next().unwrap().len(), line.len());
        for _ in 0..room {
            assert!(lines.add(&line));
        }
        assert!(!lines.add(b"\n"), "there is no room");
        assert_eq!(batches.next().unwrap().len(), QUEUE_BYTES);
        assert!(lines.add(b"\n"), "there is room again");
    }

    #[test]
    fn the_writer_is_woken_once_for_all_lines_that_come_before_it_takes_them() {
        let (lines, mut batches) = queue();
        lines.0.lock().sleeps = true;
        assert!(lines.add(b"1\n"));
        assert!(!lines.0.lock().sleeps, "it was woken, and is not any more");
        assert!(lines.add(b"2\n"));
        assert_eq!(batches.next(), Some(&b"1\n2\n"[..]));
    }

    #[tokio::test]
    async fn who_waits_hears_once_all_before_is_written_and_where_nobody_writes_any_more() {
        let (lines, mut batches) = queue();
        lines.add(b"1\n");
        let mut written = lines.written();
        assert_eq!(batches.next(), Some(&b"1\n"[..]));
        assert!(written.try_recv().is_err(), "it is not written yet");
        lines.add(b"2\n");
        assert_eq!(batches.next(), Some(&b"2\n"[..]));
        assert_eq!(written.await, Ok(()));
        let never = lines.written();
        drop(batches);
        assert!(never.await.is_err());
        assert!(lines.written().await.is_err());
        assert!(!lines.add(b"3\n"), "a line that nobody writes is lost");
    }
}
