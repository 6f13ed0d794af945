//! A quick hash of what requests are looked up by.
//!
//! What is looked up comes from clients, and what it is looked up among from the configuration: nobody can make
//! entries collide by what he asks for, so the hash needs no key.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes a segment by eight bytes at a time.
pub(crate) type BuildSegmentHasher = BuildHasherDefault<SegmentHasher>;

/// Odd, and without a pattern: 2⁶⁴ over the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Default)]
pub(crate) struct SegmentHasher(u64);

impl SegmentHasher {
    fn take(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for SegmentHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.take(u64::from_le_bytes(*word));
        }
        let rest = rest.iter().fold(1, |it, byte| it << 8 | u64::from(*byte));
        self.take(rest);
    }

    /// What ends a string adds nothing: how many bytes there were is hashed.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        // The table takes the highest bits and the lowest; a product has its best ones on top.
        self.0 ^ self.0 >> 32
    }
}
