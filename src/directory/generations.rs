//! How often what is stored has changed, so that a verdict knows when it has become stale.
//!
//! Every record has a slot, by its key; a change raises the slot, and a verdict keeps what it saw
//! there. Which records a verdict reads is [`reads`](super::reads)' business.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::directory::UNTRACKED;
use crate::store::Change;

/// Slots of the generation table. Two records in one slot cost a miss, never a wrong verdict.
const SLOTS: usize = 65_536;

/// The last of them are for platforms: every verdict stands on its platform's record, so a session
/// in the same slot would make all of them stale each time that it changes.
const PLATFORM_SLOTS: usize = 64;

/// How much of a note is the count of changes, which would take ages to come round; the rest is the slot.
const COUNT_BITS: u32 = 48;

/// How many records a kept verdict may stand on. One that read more is used once and not kept.
const MAX_NOTES: usize = 20;

/// How often each record has changed, by slot, and all of them together.
pub struct Generations {
    slots: Box<[AtomicU64]>,
    global: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default)
                .take(SLOTS)
                .collect(),
            global: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations")
            .field("global", &self.global)
            .finish_non_exhaustive()
    }
}

impl Generations {
    /// Makes every verdict that stands on what changed stale.
    pub fn raise(&self, change: Change<'_>) {
        let counter = match change {
            Change::Key(key) if key.starts_with(UNTRACKED) => return,
            Change::Everything => &self.global,
            Change::Key(key) => &self.slots[slot(key)],
        };
        counter.fetch_add(1, Ordering::Release);
    }

    /// Tells whether nothing that the notes were taken from has changed since.
    #[must_use]
    pub fn is_current(&self, notes: &Notes) -> bool {
        notes.global == self.global.load(Ordering::Acquire)
            && notes
                .records
                .iter()
                .all(|it| *it == self.noted((it >> COUNT_BITS) as usize))
    }

    /// Begins to note what is read from this millisecond on.
    pub(super) fn begin(&self, now: u64) -> Notes {
        Notes {
            begun: now,
            global: self.global.load(Ordering::Acquire),
            records: Vec::new(),
            too_many: false,
        }
    }

    fn noted(&self, slot: usize) -> u64 {
        let count = self.slots[slot].load(Ordering::Acquire);
        ((slot as u64) << COUNT_BITS) | (count & ((1 << COUNT_BITS) - 1))
    }

    pub(super) fn note(&self, notes: &mut Notes, key: &str) {
        let slot = slot(key);
        let is_slot = |it: &u64| (it >> COUNT_BITS) as usize == slot;
        if notes.records.iter().any(is_slot) {
            return;
        }
        if notes.records.len() == MAX_NOTES {
            notes.too_many = true;
            return;
        }
        notes.records.push(self.noted(slot));
    }
}

fn slot(key: &str) -> usize {
    // Keys are not chosen by callers who gain by a collision, which costs one miss; no secret key.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let hash = hasher.finish() as usize;
    if key.starts_with("pc:p:") {
        return SLOTS - PLATFORM_SLOTS + hash % PLATFORM_SLOTS;
    }
    hash % (SLOTS - PLATFORM_SLOTS)
}

/// The generations that a verdict was built on.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    begun: u64,
    global: u64,
    /// A slot, and how often it has changed.
    records: Vec<u64>,
    too_many: bool,
}

impl Notes {
    /// When the first of what was read was begun to be read, in Unix milliseconds.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Notes that something was read then.
    pub(super) fn note_time(&mut self, begun: u64) {
        self.begun = self.begun.min(begun);
    }

    /// The same, no larger than they are, since many are kept.
    pub(super) fn shrunk(mut self) -> Self {
        self.records.shrink_to_fit();
        self
    }

    /// Tells whether the notes cover everything that was read, so that the verdict may be kept.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        !self.too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_taken_before_a_change_are_stale_after_it() {
        let generations = Generations::default();
        let mut notes = generations.begin(0);
        generations.note(&mut notes, "pc:u:p:1");
        assert!(generations.is_current(&notes));
        generations.raise(Change::Key("pc:u:p:2"));
        assert!(generations.is_current(&notes));
        generations.raise(Change::Key("pc:u:p:1"));
        assert!(!generations.is_current(&notes));

        let mut notes = generations.begin(0);
        generations.note(&mut notes, "pcu:s:p:1");
        generations.raise(Change::Key("pcu:s:p:1"));
        assert!(generations.is_current(&notes), "untracked");
        generations.raise(Change::Everything);
        assert!(!generations.is_current(&notes));
    }

    #[test]
    fn a_platform_shares_no_slot_with_what_changes_often() {
        let platforms = SLOTS - PLATFORM_SLOTS;
        for index in 0..10_000 {
            assert!(slot(&format!("pc:p:{index}")) >= platforms);
            assert!(slot(&format!("pc:s:p:{index}")) < platforms);
        }
    }

    #[test]
    fn a_verdict_on_more_records_than_can_be_noted_says_so() {
        let generations = Generations::default();
        let mut notes = generations.begin(0);
        for index in 0..MAX_NOTES {
            generations.note(&mut notes, &format!("pc:u:p:{index}"));
        }
        generations.note(&mut notes, "pc:u:p:0");
        assert!(notes.are_complete());
        generations.note(&mut notes, "pc:u:p:one more");
        assert!(!notes.are_complete());
    }
}
