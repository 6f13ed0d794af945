//! What a cache keeps, by keys that are keyed hashes already.

use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use moka::sync::Cache as Moka;

/// Something that is kept for each key.
pub(super) type Kept<T> = Moka<u128, T, BuildHasherDefault<KeyHasher>>;

/// Keeps so many, each for so long.
pub(super) fn kept<T: Clone + Send + Sync + 'static>(capacity: u64, ttl: Duration) -> Kept<T> {
    Moka::builder()
        .max_capacity(capacity)
        .time_to_live(ttl)
        .build_with_hasher(BuildHasherDefault::default())
}

/// Takes of a key what a table needs: nobody can choose it, so nothing is to be hashed again.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
