//! The wire format of protobuf (protobuf.dev, Encoding): read without copying, written in place.
//!
//! The generated messages copy every string that they hold, which costs more than all of the rest of a
//! hit. What is read here is hostile: it takes exactly what prost takes, which a test and a fuzzer
//! compare. It knows the format, and no message.

/// How deep messages and groups may stand in one another, as in prost.
const DEPTH_MAX: u32 = 100;

/// The most bytes that a number takes.
const VARINT_BYTES_MAX: usize = 10;

/// What is not a message, or not the one that was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

/// The fields of a message, in their order.
#[derive(Clone, Debug)]
pub struct Fields<'m> {
    rest: &'m [u8],
    depth: u32,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'m> {
    /// Its number.
    pub number: u32,
    /// What it holds, where it is of the only type whose contents we read.
    delimited: Option<&'m [u8]>,
    depth: u32,
}

impl<'m> Fields<'m> {
    /// Begins at the outermost message.
    #[must_use]
    pub fn of(message: &'m [u8]) -> Self {
        Self {
            rest: message,
            depth: DEPTH_MAX,
        }
    }

    /// Gives the next field; `None` at the end.
    ///
    /// # Errors
    /// [`Malformed`] where no field can be read. What follows is worth nothing then.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'m>>, Malformed> {
        // As nearly all are: a small number, and up to 127 bytes.
        if let [key, length @ 0..0x80, rest @ ..] = self.rest
            && let number @ 1..16 = key >> 3
            && key & 7 == DELIMITED
            && let Some((value, rest)) = rest.split_at_checked((*length).into())
        {
            self.rest = rest;
            return Ok(Some(Field {
                number: number.into(),
                delimited: Some(value),
                depth: self.depth,
            }));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.next_of_any().map(Some)
    }

    /// Gives the next field where it has this number, 15 at most, and is a message of two strings of ASCII, as its
    /// fields 1 and 2, and nothing else: nearly all headers are such. `None` where it is another, or none, which is
    /// still to be read then.
    #[inline]
    pub fn next_pair(&mut self, number: u32) -> Option<(&'m [u8], &'m [u8])> {
        let (pair, rest) = next_of(self.rest, number)?;
        let (first, second) = next_of(pair, 1)?;
        let (second, end) = next_of(second, 2)?;
        // What stands before them is ASCII too where they are short.
        let is_it = match pair.len() {
            0..0x80 => is_ascii(pair),
            _ => is_ascii(first) && is_ascii(second),
        };
        if !is_it || !end.is_empty() {
            return None;
        }
        self.rest = rest;
        Some((first, second))
    }

    fn next_of_any(&mut self) -> Result<Field<'m>, Malformed> {
        let (number, kind) = read_key(&mut self.rest)?;
        let delimited = match kind {
            DELIMITED => Some(self.delimited()?),
            _ => {
                skip(&mut self.rest, number, kind, self.depth)?;
                None
            }
        };
        Ok(Field {
            number,
            delimited,
            depth: self.depth,
        })
    }

    fn delimited(&mut self) -> Result<&'m [u8], Malformed> {
        let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Malformed)?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(value)
    }
}

impl<'m> Field<'m> {
    /// Reads it as bytes.
    ///
    /// # Errors
    /// [`Malformed`] where it is of another type.
    pub fn bytes(self) -> Result<&'m [u8], Malformed> {
        self.delimited.ok_or(Malformed)
    }

    /// Reads it as the bytes of a string.
    ///
    /// # Errors
    /// [`Malformed`] where it is of another type, or not UTF-8.
    #[inline]
    pub fn utf8(self) -> Result<&'m [u8], Malformed> {
        let bytes = self.bytes()?;
        // Quicker to see, and nearly always so.
        if is_ascii(bytes) || str::from_utf8(bytes).is_ok() {
            return Ok(bytes);
        }
        Err(Malformed)
    }

    /// Reads it as a string.
    ///
    /// # Errors
    /// [`Malformed`] where it is of another type, or not UTF-8.
    pub fn text(self) -> Result<&'m str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// Reads it as a message.
    ///
    /// # Errors
    /// [`Malformed`] where it is of another type, or stands too deep.
    pub fn message(self) -> Result<Fields<'m>, Malformed> {
        Ok(Fields {
            rest: self.bytes()?,
            depth: self.depth.checked_sub(1).ok_or(Malformed)?,
        })
    }
}

/// Splits the contents of a field off the front, of a number up to 15 and a length that takes a byte or two.
#[inline]
fn next_of(bytes: &[u8], number: u32) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match bytes {
        [_, length @ 0..0x80, rest @ ..] => (usize::from(*length), rest),
        [_, low, high @ 0..0x80, rest @ ..] => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return None,
    };
    let is_it = u32::from(bytes[0]) == number << 3 | u32::from(DELIMITED);
    rest.split_at_checked(length).filter(|_| is_it)
}

/// Tells whether all bytes are ASCII. Of strings as short as headers' this sees more at a time than the standard
/// library does.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGHEST_BITS: u128 = u128::from_ne_bytes([0x80; 16]);
    let (chunks, rest) = bytes.as_chunks::<16>();
    let all = chunks
        .iter()
        .fold(0, |all, it| all | u128::from_le_bytes(*it));
    // The rest is seen together with what stands before it, where that is enough.
    let half = |it: &[u8; 8]| u128::from(u64::from_le_bytes(*it));
    let rest = match (
        bytes.last_chunk::<16>(),
        bytes.first_chunk(),
        bytes.last_chunk(),
    ) {
        (Some(last), _, _) => u128::from_le_bytes(*last),
        (None, Some(first), Some(last)) => half(first) | half(last),
        (None, _, _) => rest.iter().fold(0, |all, it| all | u128::from(*it)),
    };
    (all | rest) & HIGHEST_BITS == 0
}

/// The types that stand behind a field's number.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const DELIMITED: u8 = 2;
const GROUP_BEGIN: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED_32: u8 = 5;

/// Reads the number and the type of a field off the front.
fn read_key(rest: &mut &[u8]) -> Result<(u32, u8), Malformed> {
    let key = u32::try_from(varint(rest)?).map_err(|_| Malformed)?;
    match (key >> 3, (key & 7) as u8) {
        (1.., kind @ ..=FIXED_32) => Ok((key >> 3, kind)),
        _ => Err(Malformed),
    }
}

/// Reads a number off the front.
fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for (at, &byte) in rest.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            // The tenth byte holds the 64th bit, and no more.
            if at + 1 == VARINT_BYTES_MAX && byte > 1 {
                break;
            }
            *rest = &rest[at + 1..];
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Passes over a field that nobody reads.
fn skip(rest: &mut &[u8], number: u32, kind: u8, depth: u32) -> Result<(), Malformed> {
    if depth == 0 {
        return Err(Malformed);
    }
    let length = match kind {
        VARINT => varint(rest).map(|_| 0)?,
        FIXED_64 => 8,
        DELIMITED => varint(rest)?,
        GROUP_BEGIN => loop {
            match read_key(rest)? {
                (end, GROUP_END) if end == number => break 0,
                (_, GROUP_END) => return Err(Malformed),
                (inner, kind) => skip(rest, inner, kind, depth - 1)?,
            }
        },
        FIXED_32 => 4,
        _ => return Err(Malformed),
    };
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    *rest = rest.get(length..).ok_or(Malformed)?;
    Ok(())
}

/// How many bytes a field takes that holds so many.
#[must_use]
pub fn delimited_length(contents: usize) -> usize {
    1 + varint_length(contents) + contents
}

fn varint_length(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The longest contents whose length takes a byte.
pub const SHORT: usize = 0x7f;

/// Writes a field that holds what `write` writes.
pub fn put_nested(to: &mut Vec<u8>, number: u8, write: impl FnOnce(&mut Vec<u8>)) {
    // What is written is nearly always as long as to take two bytes for its length.
    const USUAL: usize = 2;
    put_key(to, number, DELIMITED);
    let at = to.len();
    to.extend_from_slice(&[0; USUAL]);
    write(to);
    let length = to.len() - at - USUAL;
    if let 0x80..0x4000 = length {
        to[at..at + USUAL].copy_from_slice(&[(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        return;
    }
    if length <= SHORT {
        to[at] = length as u8;
        to.copy_within(at + USUAL.., at + 1);
        return to.truncate(at + 1 + length);
    }
    let contents = to.split_off(at + USUAL);
    to.truncate(at);
    put_varint(to, length as u64);
    to.extend_from_slice(&contents);
}

/// Writes the number of a field, 15 at most, and the length of what is written next.
#[inline]
pub fn put_head(to: &mut Vec<u8>, number: u8, length: usize) {
    if length <= SHORT {
        return to.extend_from_slice(&[key(number), length as u8]);
    }
    put_key(to, number, DELIMITED);
    put_varint(to, length as u64);
}

/// Writes a field of bytes or a string.
#[inline]
pub fn put(to: &mut Vec<u8>, number: u8, contents: &[u8]) {
    put_head(to, number, contents.len());
    to.extend_from_slice(contents);
}

/// Writes a field that holds a number.
pub fn put_number(to: &mut Vec<u8>, number: u8, value: u64) {
    put_key(to, number, VARINT);
    put_varint(to, value);
}

/// Gives what stands before the length of what is in a field, 15 at most.
#[must_use]
pub fn key(number: u8) -> u8 {
    key_of(number, DELIMITED)
}

fn put_key(to: &mut Vec<u8>, number: u8, kind: u8) {
    to.push(key_of(number, kind));
}

fn key_of(number: u8, kind: u8) -> u8 {
    debug_assert!(number < 16, "the key takes a byte");
    number << 3 | kind
}

fn put_varint(to: &mut Vec<u8>, value: u64) {
    let mut left = value;
    while left >= 0x80 {
        to.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_is_read_back_whatever_its_length() {
        for length in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 70_000] {
            let contents = vec![b'a'; length];
            let mut message = b"before".to_vec();
            put_nested(&mut message, 3, |to| to.extend_from_slice(&contents));
            assert_eq!(&message[..6], b"before");
            let mut expected = Vec::new();
            put(&mut expected, 3, &contents);
            assert_eq!(message[6..], expected, "{length}");
        }
    }

    #[test]
    fn a_pair_is_read_at_once_whatever_the_length_of_its_strings() {
        for length in [0, 1, 0x7b, 0x7c, 0x7f, 0x80, 0x81, 300, 0x3f00] {
            let value = vec![b'a'; length];
            let mut message = Vec::new();
            put_nested(&mut message, 3, |to| {
                put(to, 1, b"name");
                put(to, 2, &value);
            });
            message.extend_from_slice(b"rest");
            let mut fields = Fields::of(&message);
            assert_eq!(fields.next_pair(4), None, "{length}");
            assert_eq!(fields.next_pair(3), Some((&b"name"[..], &value[..])));
            assert_eq!(fields.rest, b"rest");
        }
    }

    #[test]
    fn a_byte_beyond_ascii_is_seen_wherever_it_stands() {
        for length in 0..40 {
            let mut bytes = vec![b'a'; length];
            assert!(is_ascii(&bytes), "{length}");
            for at in 0..length {
                bytes[at] = 0x80;
                assert!(!is_ascii(&bytes), "{at} of {length}");
                bytes[at] = b'a';
            }
        }
    }
}
