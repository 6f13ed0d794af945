//! What each credential came to within the hour, in a few bytes each: more than outcomes are kept for, and less.
//!
//! A cache of them would take as much memory as the outcomes themselves. Here nothing is evicted one by one: what is
//! known stands in two tables, and when the one that is filled holds as many as are to be known, the other, whose entries
//! are all older, is emptied and filled next.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::kept::KeyHasher;

/// In how many parts, each with a lock of its own, so that one that grows holds up few.
const SHARDS: usize = 64;

/// For how long a credential is known to be nobody's invention, or no new guess, in seconds.
const LATELY: u64 = 3600;

/// The Unix second in which each was verified last.
type Table = HashMap<Half, u32, BuildHasherDefault<KeyHasher>>;

/// Half of a fingerprint, in two pieces: as one, it would want a second of eight bytes beside it.
#[derive(Debug, Eq, PartialEq)]
struct Half([u32; 2]);

impl Half {
    fn of(key: u128) -> Self {
        Self([(key >> 32) as u32, key as u32])
    }
}

impl Hash for Half {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [high, low] = self.0.map(u64::from);
        state.write_u64(high << 32 | low);
    }
}

/// Credentials that came to the same, and when.
#[derive(Debug)]
pub(super) struct Lately {
    /// How many a table of a shard holds.
    capacity: usize,
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    filled: Table,
    older: Table,
}

impl Lately {
    /// Knows so many, about, and twice as many at most.
    pub(super) fn new(capacity: u64) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        Self {
            capacity: capacity.div_ceil(SHARDS).max(1),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Notes that it came to that in this millisecond.
    pub(super) fn note(&self, key: u128, now: u64) {
        let (mut shard, half) = self.shard(key);
        if shard.filled.len() >= self.capacity && !shard.filled.contains_key(&half) {
            shard.older = mem::take(&mut shard.filled);
        }
        shard.filled.insert(half, second(now));
    }

    /// Notes that it came to something else.
    pub(super) fn forget(&self, key: u128) {
        let (mut shard, half) = self.shard(key);
        shard.filled.remove(&half);
        shard.older.remove(&half);
    }

    /// Tells whether it came to that within the hour before this millisecond.
    pub(super) fn knows(&self, key: u128, now: u64) -> bool {
        let (shard, half) = self.shard(key);
        let at = shard.filled.get(&half).or_else(|| shard.older.get(&half));
        at.is_some_and(|at| now / 1000 < u64::from(*at).saturating_add(LATELY))
    }

    fn shard(&self, key: u128) -> (MutexGuard<'_, Shard>, Half) {
        let shard = &self.shards[(key >> 64) as usize % SHARDS];
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        (shard, Half::of(key))
    }
}

/// The second of a millisecond, until the year 2106.
fn second(now: u64) -> u32 {
    u32::try_from(now / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As different as fingerprints are.
    fn key(number: u128) -> u128 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    #[test]
    fn what_a_credential_came_to_is_known_for_an_hour_after_the_last_time() {
        let lately = Lately::new(10);
        lately.note(key(1), 1_000_000);
        assert!(lately.knows(key(1), 1_000_000) && lately.knows(key(1), 4_599_999));
        assert!(!lately.knows(key(1), 4_600_000) && !lately.knows(key(2), 1_000_000));
        lately.note(key(1), 4_000_000);
        assert!(lately.knows(key(1), 7_599_999));
        lately.forget(key(1));
        assert!(!lately.knows(key(1), 4_000_000));
    }

    #[test]
    fn as_many_as_it_is_for_are_known_and_of_a_flood_no_more_than_twice_as_many() {
        let lately = Lately::new(640);
        for number in 0..10_000 {
            lately.note(key(number), 1000);
        }
        let known =
            |range: std::ops::Range<u128>| range.filter(|it| lately.knows(key(*it), 1000)).count();
        // By chance, some shards have more of them than others.
        assert!(known(9_400..10_000) >= 590, "{}", known(9_400..10_000));
        assert!(known(0..10_000) <= 2 * 640, "{}", known(0..10_000));
        let twice = lately.shards.iter().all(|it| {
            let shard = it.lock().unwrap();
            shard.filled.len() <= 10 && shard.older.len() <= 10
        });
        assert!(twice);
    }

    #[test]
    fn one_that_came_again_after_the_tables_changed_is_forgotten_in_both() {
        // Two to a table; these are of one shard.
        let lately = Lately::new(128);
        let [one, other, another] = [1, 2, 3];
        for key in [one, other, another] {
            lately.note(key, 1_000_000);
        }
        lately.note(one, 2_000_000);
        assert!(lately.knows(one, 5_000_000));
        lately.forget(one);
        assert!(!lately.knows(one, 2_000_000));
    }
}
