//! How often what is stored has changed, so that a verdict knows when it has become stale.
//!
//! Every record has a slot, by its key; a change raises the slot, and a verdict keeps what it saw
//! there. Which records a verdict reads is [`reads`](super::reads)' business.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::directory::UNTRACKED;
use crate::store::Change;

/// Slots of the generation table. Two records in one slot cost a miss, never a wrong verdict.
const SLOTS: usize = 65_536;

/// The last of them are for platforms: every verdict stands on its platform's record, so a session
/// in the same slot would make all of them stale each time that it changes.
const PLATFORM_SLOTS: usize = 64;

/// How many records a kept verdict may stand on. One that read more is used once and not kept.
const MAX_NOTES: usize = 20;

/// How many of them most verdicts stand on at most, and many are kept.
const FEW: usize = 7;

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
        let counts = notes.slots.noted().iter().map(|it| self.count(*it));
        notes.sum == counts.fold(self.global.load(Ordering::Acquire), u64::wrapping_add)
    }

    /// Begins to note what is read from this millisecond on.
    pub(super) fn begin(&self, now: u64) -> Notes {
        Notes {
            begun: now,
            sum: self.global.load(Ordering::Acquire),
            slots: Slots::Few(0, [0; FEW]),
        }
    }

    fn count(&self, slot: u16) -> u64 {
        self.slots[usize::from(slot)].load(Ordering::Acquire)
    }

    pub(super) fn note(&self, notes: &mut Notes, key: &str) {
        let slot = u16::try_from(slot(key)).expect("there are no more slots");
        let noted = notes.slots.noted();
        if noted.contains(&slot) || noted.len() > MAX_NOTES {
            return;
        }
        notes.sum = notes.sum.wrapping_add(self.count(slot));
        notes.slots.push(slot);
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
#[derive(Clone, Debug)]
pub struct Notes {
    begun: u64,
    /// How often all that was noted had changed, together: a count only rises, so the sum is the same as long as each
    /// of them is.
    sum: u64,
    slots: Slots,
}

/// The slots of what was read: one more than may be noted, where it was too much.
#[derive(Clone, Debug)]
enum Slots {
    /// So many of these.
    Few(u8, [u16; FEW]),
    Many(Arc<Vec<u16>>),
}

impl Slots {
    fn noted(&self) -> &[u16] {
        match self {
            Self::Few(count, slots) => &slots[..usize::from(*count)],
            Self::Many(slots) => slots,
        }
    }

    fn push(&mut self, slot: u16) {
        match self {
            Self::Few(count, slots) if usize::from(*count) < FEW => {
                slots[usize::from(*count)] = slot;
                *count += 1;
            }
            Self::Few(_, slots) => {
                let slots = slots.iter().copied().chain([slot]);
                *self = Self::Many(Arc::new(slots.collect()));
            }
            Self::Many(slots) => Arc::make_mut(slots).push(slot),
        }
    }
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

    /// Tells whether the notes cover everything that was read, so that the verdict may be kept.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        self.slots.noted().len() <= MAX_NOTES
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
    fn a_change_of_any_of_the_records_is_seen_however_many_were_noted() {
        for count in 1..=MAX_NOTES + 2 {
            let key = |it: usize| format!("pc:u:p:{it}");
            for changed in 0..count {
                let generations = Generations::default();
                generations.raise(Change::Key(&key(0)));
                let mut notes = generations.begin(0);
                for it in 0..count {
                    generations.note(&mut notes, &key(it));
                    generations.note(&mut notes, &key(it));
                }
                assert!(generations.is_current(&notes));
                assert_eq!(notes.are_complete(), count <= MAX_NOTES);
                generations.raise(Change::Key(&key(changed)));
                // Beyond what may be noted nothing is looked at, and nothing is kept.
                let is_noted = changed <= MAX_NOTES;
                assert_eq!(
                    generations.is_current(&notes),
                    !is_noted,
                    "{changed} of {count}"
                );
            }
        }
        assert!(size_of::<Notes>() <= 32, "many are kept");
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
