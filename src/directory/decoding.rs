//! Reading what stands in the store, and naming what cannot be read.
//!
//! Ids may be personal and stay out of logs, so a record is named there by a digest of its key;
//! `portcullis store verify` shows the same digest beside the id.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::decision::{Dependency, Fault};

/// Names a key of the store: the first 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_digest(key: &str) -> String {
    let hash = Sha256::digest(key);
    hash[..8].iter().map(|it| format!("{it:02x}")).collect()
}

/// Reads the value of a key.
///
/// # Errors
/// A fault that names the record.
pub(super) fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Fault> {
    // As text at first, since to check that of each string by itself takes longer.
    let text = std::str::from_utf8(value).ok();
    let read = text.and_then(|it| serde_json::from_str(it).ok());
    read.ok_or_else(|| {
        let detail = format!(
            "the {} with digest {} cannot be read; `portcullis store verify` finds its id",
            kind(key),
            key_digest(key)
        );
        Fault::new(Dependency::Store, detail)
    })
}

/// Reads the values of keys, in their order.
///
/// # Errors
/// A fault that names the first record that cannot be read.
pub(super) fn decode_all<T: DeserializeOwned>(
    keys: &[String],
    values: Vec<Option<Bytes>>,
) -> Result<Vec<Option<T>>, Fault> {
    let pairs = keys.iter().zip(values);
    pairs
        .map(|(key, value)| value.map(|it| decode(key, &it)).transpose())
        .collect()
}

/// What stands under a key, by the schema in [`crate::directory`].
fn kind(key: &str) -> &'static str {
    match key.get(..5) {
        Some("pc:a:") => "account",
        Some("pc:c:") => "account's security settings",
        Some("pc:i:") => "index entry",
        Some("pc:k:") => "key",
        Some("pc:p:") => "platform",
        Some("pc:s:") => "session",
        Some("pc:t:") => "session token",
        Some("pc:u:") => "user",
        Some("pc:x:") => "revocation",
        _ => "record",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_without_its_id() {
        // printf pc:u:mine:ada | sha256sum
        let cases = [("pc:u:mine:ada", "user", "7b948b210ae9dfae")];
        for (key, kind, digest) in cases {
            assert_eq!(key_digest(key), digest, "{key}");
            let fault = decode::<String>(key, b"{").unwrap_err().to_string();
            assert!(
                fault.contains(&format!("the {kind} with digest {digest} ")),
                "{fault}"
            );
            assert!(!fault.contains("ada"), "{fault}");
        }
    }
}
