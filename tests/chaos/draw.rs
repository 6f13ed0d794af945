//! Numbers that look random and are the same for one seed (`SplitMix64`).

use std::ops::Range;
use std::time::Duration;

/// Draws them.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Begins; `of` tells apart who draws by one seed.
    pub(crate) fn new(seed: u64, of: u64) -> Self {
        let mut draw = Self(seed ^ of.rotate_left(32));
        draw.number();
        draw
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// Gives one below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("few");
        usize::try_from(self.number() % end).expect("few")
    }

    /// Gives a time in a range, to the millisecond.
    pub(crate) fn within(&mut self, range: &Range<Duration>) -> Duration {
        let span = (range.end - range.start).as_millis();
        let span = usize::try_from(span).expect("short");
        let more = u64::try_from(self.below(span.max(1))).expect("short");
        range.start + Duration::from_millis(more)
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}
