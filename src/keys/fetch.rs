//! One fetch of an issuer's key set: where it is, and what is taken for one.

use std::time::Duration;

use serde_json::Value;

use crate::keys::{Algorithm, Keys, jwks};
use crate::outbound::{Outbound, Reply, check_url};
use crate::strict_json::object;

/// Where an issuer's key set is, as the configuration says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// At this URL.
    KeySet(String),
    /// Where the issuer's metadata says (`OpenID` Connect Discovery §3).
    Discovery {
        /// Of the metadata.
        url: String,
        /// Whose it must be, exactly (`OpenID` Connect Discovery §4.3).
        issuer: String,
    },
}

/// A key set, as it was just fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: Keys,
    /// How long it is good, where its answer says so.
    pub(super) max_age: Option<Duration>,
}

impl Source {
    /// Fetches the set.
    ///
    /// # Errors
    /// Why there is none, without any URL.
    pub(super) async fn fetch(
        &self,
        outbound: &Outbound,
        algorithms: &[Algorithm],
    ) -> Result<Fetched, String> {
        let discovered;
        let url = match self {
            Self::KeySet(url) => url,
            Self::Discovery { url, issuer } => {
                let metadata = answer(outbound, url, "the issuer's metadata").await?;
                discovered = key_set_url(&metadata.body, issuer, url)?;
                &discovered
            }
        };
        let set = answer(outbound, url, "the key set").await?;
        let keys = jwks::read(&set.body, algorithms).map_err(|it| format!("the key set: {it}"))?;
        Ok(Fetched {
            keys,
            max_age: set.max_age,
        })
    }
}

async fn answer(outbound: &Outbound, url: &str, what: &str) -> Result<Reply, String> {
    let reply = outbound.get(url).await;
    let reply = reply.map_err(|it| format!("{what}: {it}"))?;
    if reply.status != 200 {
        return Err(format!("{what}: the answer has status {}", reply.status));
    }
    Ok(reply)
}

fn key_set_url(metadata: &[u8], issuer: &str, stood_at: &str) -> Result<String, String> {
    let wrong = |it: &str| format!("the issuer's metadata: {it}");
    let metadata = object(metadata);
    let metadata =
        metadata.ok_or_else(|| wrong("it is not JSON in which each name stands once"))?;
    let text = |name| metadata.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err(wrong("it is another issuer's than the one configured"));
    }
    let url = text("jwks_uri").ok_or_else(|| wrong("it names no `jwks_uri`"))?;
    check_url(url).map_err(|it| wrong(&format!("`jwks_uri`: {it}")))?;
    // Plain HTTP is for what listens here; a stranger's metadata must not lead there.
    let is_https = |it: &str| {
        it.get(..6)
            .is_some_and(|it| it.eq_ignore_ascii_case("https:"))
    };
    if is_https(stood_at) && !is_https(url) {
        return Err(wrong("`jwks_uri` leads from HTTPS to plain HTTP"));
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_lead_from_https_to_https_alone() {
        let of = |stood_at: &str, keys: &str| {
            let metadata = format!(r#"{{"issuer":"me","jwks_uri":"{keys}"}}"#);
            key_set_url(metadata.as_bytes(), "me", stood_at).is_ok()
        };
        let (near, far) = ("http://127.0.0.1:9901/keys", "https://idp.example.com/keys");
        assert!(of("https://idp.example.com/meta", far));
        assert!(!of("https://idp.example.com/meta", near));
        assert!(!of("HTTPS://idp.example.com/meta", near));
        assert!(of("http://127.0.0.1:1/meta", near));
        assert!(of("http://127.0.0.1:1/meta", far));
    }
}
