//! Answers as they leave: a message with its prefix, in room that several share.
//!
//! A piece of memory for each answer, and one more for who counts its owners, would cost as much as writing it.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// How many bytes stand before a message (gRPC over HTTP/2, Length-Prefixed-Message): whether it is
/// compressed, and its length.
pub const PREFIX: usize = 5;

/// Room for several answers, in bytes. It stays as long as one of them is under way.
const SHARED_BYTES: usize = 8 * 1024;

/// From how many bytes on an answer has room of its own, and is written to a piece that is not kept.
const LARGE_BYTES: usize = SHARED_BYTES / 2;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

#[derive(Default)]
struct Room {
    /// Where an answer is written while its length is not known.
    draft: Vec<u8>,
    shared: BytesMut,
}

/// Gives what is written as a message, with what stands before it.
pub(super) fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    ROOM.with_borrow_mut(|room| {
        let draft = &mut room.draft;
        draft.clear();
        draft.extend_from_slice(&[0; PREFIX]);
        write(draft);
        let length = u32::try_from(draft.len() - PREFIX).unwrap_or_default();
        draft[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        if draft.len() >= LARGE_BYTES {
            return std::mem::take(draft).into();
        }
        let shared = &mut room.shared;
        if shared.capacity() < draft.len() {
            *shared = BytesMut::with_capacity(SHARED_BYTES);
        }
        shared.extend_from_slice(draft);
        shared.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_whole_and_its_own_whatever_came_before() {
        let lengths = [0, 1, 700, 700, LARGE_BYTES, 3, 20_000, 4000, 4000, 4000];
        let told: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(at, length)| framed(|to| to.resize(to.len() + length, at as u8)))
            .collect();
        for (at, (told, length)) in told.iter().zip(lengths).enumerate() {
            let (prefix, message) = told.split_at(PREFIX);
            assert_eq!(prefix[0], 0);
            assert_eq!(prefix[1..], (length as u32).to_be_bytes());
            assert_eq!(message, vec![at as u8; length]);
        }
    }

    #[test]
    fn one_that_breaks_off_leaves_nothing_to_the_next() {
        let broken = std::panic::catch_unwind(|| {
            framed(|to| {
                to.extend_from_slice(b"half of a secret");
                panic!("on purpose");
            })
        });
        assert!(broken.is_err());
        assert_eq!(framed(|to| to.push(b'a')), b"\0\0\0\0\x01a"[..]);
    }
}
