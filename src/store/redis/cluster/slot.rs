//! In which slot a key lives, by the Redis Cluster specification.

use std::sync::LazyLock;

/// How many slots there are.
pub(super) const SLOTS: u16 = 16_384;

/// How many tags are tried: every slot has one among them.
const TAGS_TRIED: u32 = 1 << 18;

/// For each slot the lowest number whose tag lives there.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut tags = vec![String::new(); usize::from(SLOTS)];
    let mut missing = tags.len();
    for number in 0..TAGS_TRIED {
        if missing == 0 {
            break;
        }
        let tag = format!("{{{number}}}");
        let found = &mut tags[usize::from(slot(&tag))];
        if found.is_empty() {
            *found = tag;
            missing -= 1;
        }
    }
    tags
});

/// Gives a tag, braces included, that lives in the slot of a key. Slots move, but always whole.
pub(in super::super) fn share(key: &str) -> &'static str {
    &TAGS[usize::from(slot(key))]
}

/// Gives a tag of each slot.
pub(in super::super) fn shares() -> impl Iterator<Item = &'static str> {
    TAGS.iter().map(String::as_str)
}

/// Gives the slot of a key. Of one with a tag in braces, only that counts.
pub(super) fn slot(key: &str) -> u16 {
    let key = key.as_bytes();
    let tag = key.iter().position(|it| *it == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|it| *it == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// Finds for each owner a tag, braces included, whose slot it owns: the lowest number, so that whoever knows the same
/// owners finds the same. `None` for one that owns none.
pub(super) fn tags(owners: usize, owner: impl Fn(u16) -> Option<usize>) -> Vec<Option<String>> {
    let mut lowest: Vec<Option<(usize, &str)>> = vec![None; owners];
    for (slot, tag) in (0..SLOTS).zip(shares()) {
        if let Some(found) = owner(slot).and_then(|it| lowest.get_mut(it)) {
            // By its number, of which the shorter is the lower.
            let new = (tag.len(), tag);
            *found = Some(found.map_or(new, |it| it.min(new)));
        }
    }
    let tags = lowest.into_iter();
    tags.map(|it| it.map(|(_, tag)| tag.to_owned())).collect()
}

/// CRC16 as XMODEM has it: polynomial 0x1021 from 0, nothing reflected. Keys are short and a table would be no faster
/// than the way to the server is long.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_where_the_specification_puts_it() {
        assert_eq!(crc16(b"123456789"), 0x31c3, "the specification's example");
        // As CLUSTER KEYSLOT of a Redis 7.0 has them.
        for (key, same) in [
            ("{user1000}.following", "user1000"),
            ("{user1000}.followers", "user1000"),
            ("foo{bar}{zap}", "bar"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar", "foo{bar"),
        ] {
            assert_eq!(slot(key), crc16(same.as_bytes()) % SLOTS, "{key}");
        }
        assert_eq!(slot("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("bar"), 5_061);
    }

    #[test]
    fn every_slot_has_a_tag_of_its_own() {
        assert_eq!(shares().count(), usize::from(SLOTS));
        for (index, tag) in (0..SLOTS).zip(shares()) {
            assert_eq!(slot(&format!("any:key{tag}")), index, "{tag:?}");
        }
        assert_eq!(slot(&format!("k{}", share("foo"))), slot("foo"));
    }

    #[test]
    fn every_owner_of_a_slot_has_a_tag_that_it_owns() {
        let owner = |slot: u16| match slot {
            0..=8000 => Some(0),
            8001..=16_000 => Some(2),
            16_001 => Some(3),
            _ => None,
        };
        let tags = tags(5, owner);
        for (index, tag) in tags.iter().enumerate() {
            let found = tag.as_ref().and_then(|it| owner(slot(it)));
            let owns = [0, 2, 3].contains(&index);
            assert_eq!(found, owns.then_some(index));
        }
        assert_eq!(slot(&format!("pcw:1{}", tags[3].as_ref().unwrap())), 16_001);
    }
}
