//! What is in a store, kept where a fault empties it, and put back.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, pipe};
use tokio::time::sleep;

use super::estate::Estate;
use super::telling::{ask, tell};
use crate::support::redis::RedisServer;

/// What the names of records begin with that are there where the directory is (`src/directory/check.rs`).
const CHECK: &str = "pc:m:peppers";

/// How long until all is there again.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Records by their keys.
pub(crate) type Kept = Vec<(String, Vec<u8>)>;

/// All that changes verdicts.
///
/// # Errors
/// Where it cannot be read.
pub(crate) async fn kept(node: &RedisServer) -> Result<Kept, RedisError> {
    let keys: Vec<String> = tell(node, "KEYS pc:*").await?;
    let mut gets = pipe();
    keys.iter().for_each(|it| {
        gets.get(it);
    });
    let values = ask(node, async |mut connection| {
        gets.query_async::<Vec<Option<Vec<u8>>>>(&mut connection)
            .await
    });
    let kept = keys.into_iter().zip(values.await?);
    // What lives for a while only may be gone by now.
    Ok(kept.filter_map(|(key, it)| Some((key, it?))).collect())
}

/// Writes it where it belongs, and again where a primary has lost it meanwhile to one that was emptied.
///
/// # Errors
/// Where that does not last.
pub(crate) async fn restore(estate: &Estate, kept: &Kept) -> Result<(), RedisError> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        estate.await_whole().await;
        for number in estate.primaries().await {
            // One whose it is not says so; what counts is what is found.
            let _ = restore_to(estate.node(number), kept).await;
        }
        estate.await_whole().await;
        let mut found = 0;
        for number in estate.primaries().await {
            found += count(estate.node(number), kept).await;
        }
        if found == kept.len() {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    let why = "what was restored is lost again";
    Err(RedisError::from((ErrorKind::Client, why)))
}

/// In the order in which an import writes: what says that the store is whole comes last.
async fn restore_to(node: &RedisServer, kept: &Kept) -> Result<(), RedisError> {
    let mut kept: Vec<_> = kept.iter().collect();
    kept.sort_by_key(|(key, _)| key.starts_with(CHECK));
    ask(node, async |mut connection| {
        // Not one transaction, which a cluster does not take for keys of several slots.
        let mut all = pipe();
        for (key, value) in kept {
            all.set(key, value).ignore();
        }
        all.query_async::<()>(&mut connection).await
    })
    .await
}

/// How many of these there are on a server, whose they may not all be.
async fn count(node: &RedisServer, kept: &Kept) -> usize {
    let keys: Vec<String> = tell(node, "KEYS pc:*").await.unwrap_or_default();
    let keys: HashSet<_> = keys.iter().map(String::as_str).collect();
    let there = kept.iter().filter(|(key, _)| keys.contains(key.as_str()));
    there.count()
}
