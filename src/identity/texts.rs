//! Some texts in one piece of memory, each there or not.
//!
//! A `String` takes 24 bytes, and what it says takes at least 16 more of an allocator. Here each costs its
//! bytes and where it ends.

use std::array;

/// `N` texts, eight at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Texts<const N: usize> {
    joined: Box<str>,
    /// Where in it each ends, in bytes.
    ends: [u32; N],
    /// A bit for each that is there: one that is empty is not the same as none.
    there: u8,
}

impl<const N: usize> Texts<N> {
    pub(super) fn of(texts: [Option<&str>; N]) -> Self {
        let length = texts.iter().flatten().map(|it| it.len()).sum();
        let mut joined = String::with_capacity(length);
        let mut there = 0;
        let ends = array::from_fn(|index| {
            if let Some(text) = texts[index] {
                joined.push_str(text);
                there |= 1 << index;
            }
            // Of what is longer, nothing is found: it is as if it were not there.
            u32::try_from(joined.len()).unwrap_or(u32::MAX)
        });
        Self {
            joined: joined.into_boxed_str(),
            ends,
            there,
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        if self.there & (1 << index) == 0 {
            return None;
        }
        let begin = index.checked_sub(1).map_or(0, |it| self.ends[it]);
        self.joined.get(begin as usize..self.ends[index] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_it_was_and_none_is_not_an_empty_one() {
        for texts in [
            [None, None, None],
            [Some(""), None, Some("")],
            [Some("a"), None, Some("ü€")],
            [None, Some("ab"), None],
            [Some("a"), Some("b"), Some("c")],
        ] {
            let kept = Texts::of(texts);
            assert_eq!(array::from_fn(|it| kept.get(it)), texts);
        }
    }
}
