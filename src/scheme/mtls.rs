//! `mtls`: the client certificate that Envoy has verified, for users who are linked to its name.
//!
//! Envoy tells whom the certificate names (`source.principal`): its first URI SAN, such as a SPIFFE
//! id; else its first DNS SAN; else its subject. It verifies the certificate where the listener's
//! `validation_context` says against what, and names whoever any other claims to be, so the scheme
//! is worth as much as that setting. No header is read: `x-forwarded-client-cert` is whatever the
//! client wrote, unless Envoy was told to drop it.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credential::{Credential, MAX_CREDENTIAL_BYTES, Place, Secret};
use crate::decision::{Denial, Failure, Reason};
use crate::directory::reads::Reads;
use crate::document::{Document, Problem};
use crate::request::RequestView;
use crate::scheme::{Context, Kind, Scheme, Verified, open_linked};

/// The row of [`crate::scheme::ALL`].
pub const KIND: Kind = Kind {
    name: "mtls",
    build,
    schema: |it| it.subschema_for::<Settings>(),
};

/// Settings of an `mtls` scheme.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What links of users call whoever issues the certificates; `mtls`, if absent.
    #[serde(default = "issuer")]
    issuer: String,
}

fn issuer() -> String {
    "mtls".to_owned()
}

#[derive(Debug)]
struct Mtls {
    platform: Arc<str>,
    name: Arc<str>,
    issuer: String,
}

fn build(
    context: &Context<'_>,
    settings: &Document,
    problems: &mut Vec<Problem>,
) -> Option<Arc<dyn Scheme>> {
    let read: Settings = settings.read("", problems)?;
    if read.issuer.is_empty() {
        problems.push(settings.problem("/issuer", "an issuer is not empty"));
        return None;
    }
    Some(Arc::new(Mtls {
        platform: context.platform.into(),
        name: context.name.into(),
        issuer: read.issuer,
    }))
}

impl Scheme for Mtls {
    /// None: a certificate stands in the connection, and nothing of it is in the request.
    fn places(&self) -> &[Place] {
        &[]
    }

    fn decode(&self, request: &RequestView<'_>) -> Result<Option<Credential>, Denial> {
        let Some(principal) = request.principal else {
            return Ok(None);
        };
        if principal.len() > MAX_CREDENTIAL_BYTES {
            let detail = "the certificate's name is too long";
            return Err(Denial::new(Reason::Malformed, detail));
        }
        let secret = Secret::new(principal.as_bytes());
        Ok(Some(Credential::new(Place::Certificate, "", secret)))
    }

    fn verify<'a>(
        &'a self,
        credential: &'a Credential,
        reads: &'a Reads,
    ) -> BoxFuture<'a, Result<Verified, Failure>> {
        Box::pin(async move {
            let principal = credential.secret().expose_str().unwrap_or_default();
            let subject = (&*self.issuer, principal);
            let identity = open_linked(&self.platform, &self.name, subject, reads).await?;
            Ok(Verified::vouch(identity))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::bench::Bench;
    use crate::directory::records::{Link, User};

    const PRINCIPAL: &str = "spiffe://example.org/ns/a/sa/b";

    fn scheme() -> Mtls {
        Mtls {
            platform: "p".into(),
            name: "mtls".into(),
            issuer: issuer(),
        }
    }

    fn decode(principal: Option<&str>, header: &str) -> Result<bool, Reason> {
        let request = RequestView {
            principal,
            headers: [("x-forwarded-client-cert", header.as_bytes())]
                .into_iter()
                .collect(),
            ..RequestView::default()
        };
        let got = scheme().decode(&request);
        got.map(|it| it.is_some()).map_err(|it| it.reason())
    }

    #[test]
    fn only_what_envoy_says_of_the_connection_is_a_certificate() {
        assert_eq!(decode(Some(PRINCIPAL), ""), Ok(true));
        assert_eq!(decode(None, &format!("URI={PRINCIPAL}")), Ok(false));
        let long = "s".repeat(MAX_CREDENTIAL_BYTES + 1);
        assert_eq!(decode(Some(&long), ""), Err(Reason::Malformed));
    }

    #[tokio::test]
    async fn the_user_is_the_one_linked_to_the_whole_name_by_the_same_issuer() {
        let bench = Bench::new();
        let put = async |id: &str, issuer: &str, subject: &str, disabled| {
            let link = Link {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            };
            let user = User {
                id: id.into(),
                disabled,
                links: vec![link],
                ..User::default()
            };
            bench.directory.put_user("p", &user).await.unwrap();
        };
        put("u", "mtls", PRINCIPAL, false).await;
        put("other", "mesh", "spiffe://example.org/other", false).await;
        put("off", "mtls", "off.example.org", true).await;
        let user = async |principal: &str| {
            let secret = Secret::new(principal.as_bytes());
            let credential = Credential::new(Place::Certificate, "", secret);
            let reads = bench.reads("p");
            match scheme().verify(&credential, &reads).await {
                Ok(verified) => Ok(verified.into_identity().user.unwrap()),
                Err(Failure::Denied(denial)) => Err(denial.reason()),
                Err(Failure::Fault(fault)) => panic!("{fault}"),
            }
        };
        assert_eq!(user(PRINCIPAL).await, Ok("u".to_owned()));
        for stranger in [
            "spiffe://example.org/ns/a/sa/b/c",
            "spiffe://example.org/ns/a/sa",
            "SPIFFE://example.org/ns/a/sa/b",
            "spiffe://example.org/other",
        ] {
            assert_eq!(user(stranger).await, Err(Reason::Unknown), "{stranger}");
        }
        assert_eq!(user("off.example.org").await, Err(Reason::Disabled));
    }
}
