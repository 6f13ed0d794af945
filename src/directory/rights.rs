//! What the store lets this process do, found out before a client does.
//!
//! Each right that serving needs is tried once, by a command that changes no verdict, on a name that is nobody's.
//! Apart from the operations that need them, which fail one by one, some of them silently.

use std::time::Duration;

use crate::directory::Directory;
use crate::store::{DeleteIf, PutIf, StoreError};

/// How long what is written to try lives.
const TTL: Duration = Duration::from_secs(1);

impl Directory {
    /// Tries what a process does that serves, and that `issues` where it does, and gives in words what the store forbids
    /// it, with what comes of that. Whatever else fails says nothing here.
    pub async fn lacking_rights(&self, issues: bool) -> Vec<String> {
        let store = self.store();
        let canary = store.put("pcw:rights", b"", PutIf::Equal(b"-"), None);
        let mut tried = vec![
            (
                "sessions that idle cannot be used: each is a 503",
                "portcullis-sidecar",
                store.touch("pcu:s:rights", TTL).await.err(),
            ),
            (
                "this process counts failed attempts alone",
                "portcullis-sidecar",
                store.add("pcu:f:rights", 0, TTL).await.err(),
            ),
            (
                "when API keys were used last is not noted",
                "portcullis-sidecar",
                store
                    .put("pcu:k:rights", b"0", PutIf::Always, Some(TTL))
                    .await
                    .err(),
            ),
            (
                "commands that revoke do not count this process",
                "portcullis-sidecar",
                canary.await.err(),
            ),
        ];
        if issues {
            tried.push((
                "it has `listen.issue`, and what must be written for that is a 503",
                "portcullis-issuer",
                store.delete("pc:x:rights", DeleteIf::Always).await.err(),
            ));
        }
        let lacks = tried.into_iter().filter_map(|(comes, role, error)| {
            let error = error.filter(|it| matches!(it, StoreError::Forbidden(_)))?;
            Some(format!("{comes}, for want of a right of `{role}`: {error}"))
        });
        lacks.collect()
    }
}
