//! Names that nobody can guess, as the platforms write them: UUIDs.

use crate::decision::{Dependency, Fault};

/// Makes a UUID that nobody can guess (RFC 9562 §5.4, version 4: 122 random bits).
///
/// # Errors
/// A fault where the operating system gives no randomness.
pub(super) fn random() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Fault::new(Dependency::Internal, "no randomness"))?;
    Ok(of(bytes))
}

fn of(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_uuid_of_version_4() {
        assert_eq!(of([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(of([255; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
