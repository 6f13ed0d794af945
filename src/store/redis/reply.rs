//! What the server's answers mean.
//!
//! Apart because everything here is pure. An answer of a shape that its command never has, or of
//! a key that holds what portcullis does not write, is damage; it is named by its key, never by
//! what it holds.

use bytes::Bytes;
use redis::Value;

use super::fault;
use crate::store::{Cursor, Page, StoreError, VALUE_BYTES_MAX};

/// Reads the answer to GET: `None` if the key is absent.
pub(super) fn value(key: &str, answer: Value) -> Result<Option<Bytes>, StoreError> {
    match answer {
        Value::BulkString(value) if value.len() <= VALUE_BYTES_MAX => Ok(Some(Bytes::from(value))),
        Value::Nil => Ok(None),
        other => Err(fault::of_answer(key, &other)),
    }
}

/// Reads the answer of a command that did something or not.
pub(super) fn done(key: &str, answer: Value) -> Result<bool, StoreError> {
    match answer {
        Value::Okay | Value::Int(1) => Ok(true),
        Value::Nil | Value::Int(0) => Ok(false),
        other => Err(fault::of_answer(key, &other)),
    }
}

/// Reads the sum of a counter: `None` if the key cannot be added to.
pub(super) fn sum(key: &str, answer: Value) -> Result<Option<u64>, StoreError> {
    match answer {
        Value::BulkString(digits) => Ok(str::from_utf8(&digits)
            .ok()
            .and_then(|digits| digits.parse().ok())),
        Value::ServerError(error) if fault::is_of_number(&error) => Ok(None),
        other => Err(fault::of_answer(key, &other)),
    }
}

/// Reads the answer to SCAN.
pub(super) fn page(answer: Value) -> Result<Page, StoreError> {
    let (next, keys) = match answer {
        Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([Value::BulkString(next), Value::Array(keys)]) => (next, keys),
            _ => return Err(undecodable("a page of keys")),
        },
        other => return Err(fault::of_answer("a page of keys", &other)),
    };
    let keys = keys.into_iter().map(|key| match key {
        Value::BulkString(key) => text(key, "the name of a key"),
        _ => Err(undecodable("the name of a key")),
    });
    Ok(Page {
        keys: keys.collect::<Result<_, _>>()?,
        next: Some(text(next, "a page of keys")?)
            .filter(|next| next != "0")
            .map(Cursor),
    })
}

/// Reads the answer to ROLE: `master`, and more.
pub(super) fn is_primary(role: &Value) -> bool {
    is_role(role, b"master")
}

/// The same: `sentinel`, and more.
pub(super) fn is_sentinel(role: &Value) -> bool {
    is_role(role, b"sentinel")
}

/// Says why a server with this role is not read from.
pub(super) fn no_primary(role: &Value) -> String {
    match is_sentinel(role) {
        true => "it is a sentinel; let `store.url` be `redis-sentinel://…/SERVICE`".to_owned(),
        false => format!(
            "it is a replica, which may lag behind its primary; {}",
            fault::NAME_PRIMARY
        ),
    }
}

fn is_role(role: &Value, name: &[u8]) -> bool {
    let Value::Array(parts) = role else {
        return false;
    };
    matches!(parts.first(), Some(Value::BulkString(it)) if it == name)
}

/// Tells whether an answer is a refusal that only a replica gives.
pub(super) fn is_of_replica(answer: &Value) -> bool {
    let Value::ServerError(error) = answer else {
        return false;
    };
    matches!(error.code(), "MASTERDOWN" | "READONLY")
}

/// Reads how many replicas are connected, from a primary's answer to ROLE.
pub(super) fn replicas(role: &Value) -> Result<usize, StoreError> {
    match role {
        Value::Array(parts) => match parts.get(2) {
            Some(Value::Array(replicas)) => Ok(replicas.len()),
            _ => Err(undecodable("the replicas in its role")),
        },
        other => Err(fault::of_answer("ROLE", other)),
    }
}

/// Reads how many have it, from the answer to WAIT.
pub(super) fn confirmed(answer: Value) -> Result<usize, StoreError> {
    match answer {
        Value::Int(replicas) => usize::try_from(replicas).map_err(|_| undecodable("WAIT")),
        other => Err(fault::of_answer("WAIT", &other)),
    }
}

/// Reads the answer to CLIENT TRACKINGINFO: a map, in which `flags` hold `on` and `bcast`. A map it is over RESP3 only.
pub(super) fn tells(info: &Value) -> bool {
    let Value::Map(entries) = info else {
        return false;
    };
    let text = |it: &Value| match it {
        Value::BulkString(it) => String::from_utf8_lossy(it).into_owned(),
        Value::SimpleString(it) => it.clone(),
        _ => String::new(),
    };
    let flags = entries.iter().find(|(name, _)| text(name) == "flags");
    let Some((_, Value::Set(flags) | Value::Array(flags))) = flags else {
        return false;
    };
    ["on", "bcast"]
        .iter()
        .all(|it| flags.iter().any(|flag| text(flag) == *it))
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|_| undecodable(what))
}

fn undecodable(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} cannot be read"))
}
