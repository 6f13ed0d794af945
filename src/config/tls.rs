//! TLS of the listeners: the certificate that they show, and who has to show one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};

use crate::certificate::{Unfit, certificates, certified, valid_until};
use crate::config::raw::RawTls;
use crate::credential::Secret;
use crate::document::{Document, Problem};

/// What connections over TCP are opened with.
#[derive(Clone)]
pub struct ListenerTls {
    /// At `listen.grpc`.
    pub grpc: Arc<ServerConfig>,
    /// At `listen.issue`.
    pub issue: Arc<ServerConfig>,
    /// The last second in which the certificate that is shown, and those that vouch for it, are valid, in Unix seconds.
    pub valid_until: Option<u64>,
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTls(..)")
    }
}

/// Reads the files that the settings name, relative to `base`; `None` where they have problems, which
/// are added.
pub(super) fn read(
    raw: &RawTls,
    base: &Path,
    document: &Document,
    problems: &mut Vec<Problem>,
) -> Option<ListenerTls> {
    let mut complain = |key: &str, message: String| {
        problems.push(document.problem(&format!("/listen/tls/{key}"), &message));
    };
    let mut read = |key: &str, file: &str| {
        let read = Secret::read(&base.join(file));
        read.map_err(|it| complain(key, it)).ok()
    };
    let chain = read("cert_file", &raw.cert_file);
    let key = read("key_file", &raw.key_file);
    let authorities = match &raw.client_ca_file {
        Some(file) => Some(read("client_ca_file", file)?),
        None => None,
    };
    let (chain, key) = (chain?, key?);
    let own = certified(chain.expose(), &key).map_err(|unfit| match unfit {
        Unfit::Certificate => complain("cert_file", unfit.to_string()),
        Unfit::Key | Unfit::Mismatch => complain("key_file", unfit.to_string()),
    });
    let own = own.ok()?;
    let valid_until = valid_until(&own.cert);
    let own = Arc::new(SingleCertAndKey::from(own));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = match authorities {
        Some(pem) => match verifier(pem.expose(), &provider) {
            Some(verifier) => verifier,
            None => {
                complain("client_ca_file", Unfit::Certificate.to_string());
                return None;
            }
        },
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let speaking = |protocol: &[u8]| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().ok()?;
        let builder = builder.with_client_cert_verifier(Arc::clone(&clients));
        let mut config = builder.with_cert_resolver(Arc::clone(&own) as _);
        config.alpn_protocols = vec![protocol.to_vec()];
        Some(Arc::new(config))
    };
    Some(ListenerTls {
        grpc: speaking(b"h2")?,
        issue: speaking(b"http/1.1")?,
        valid_until,
    })
}

type Verifier = Arc<dyn rustls::server::danger::ClientCertVerifier>;

fn verifier(pem: &[u8], provider: &Arc<rustls::crypto::CryptoProvider>) -> Option<Verifier> {
    let mut trusted = RootCertStore::empty();
    for certificate in certificates(pem)? {
        trusted.add(certificate).ok()?;
    }
    let provider = Arc::clone(provider);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider);
    verifier.build().ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const DOCUMENT: &str = "listen: { tls: { cert_file: a, key_file: b, client_ca_file: c } }";

    #[test]
    fn what_cannot_be_shown_or_believed_is_told_at_its_key() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["server".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        write("own.pem", &certificate);
        write("own.key", &key.serialize_pem());
        write(
            "other.key",
            &KeyPair::generate().expect("a key").serialize_pem(),
        );
        write("empty.pem", "");
        let none = "the file holds no certificates in PEM";
        for (cert_file, key_file, client_ca_file, want) in [
            ("own.pem", "own.key", None, None),
            ("own.pem", "own.key", Some("own.pem"), None),
            ("empty.pem", "own.key", None, Some(("cert_file", none))),
            (
                "own.pem",
                "other.key",
                None,
                Some(("key_file", "not that of the certificate")),
            ),
            (
                "own.pem",
                "own.pem",
                None,
                Some(("key_file", "no private key")),
            ),
            (
                "own.pem",
                "none.key",
                None,
                Some(("key_file", "cannot be read")),
            ),
            (
                "own.pem",
                "own.key",
                Some("empty.pem"),
                Some(("client_ca_file", none)),
            ),
            (
                "own.pem",
                "own.key",
                Some("none.pem"),
                Some(("client_ca_file", "cannot be read")),
            ),
        ] {
            let raw = RawTls {
                cert_file: cert_file.to_owned(),
                key_file: key_file.to_owned(),
                client_ca_file: client_ca_file.map(str::to_owned),
            };
            let document = Document::parse("", DOCUMENT).expect("a document");
            let mut problems = Vec::new();
            let read = read(&raw, folder.path(), &document, &mut problems);
            assert_eq!(read.is_some(), want.is_none(), "{raw:?}");
            match want {
                None => assert!(problems.is_empty(), "{problems:?}"),
                Some((key, why)) => {
                    assert_eq!(problems.len(), 1, "{problems:?}");
                    assert_eq!(problems[0].key, format!("listen.tls.{key}"));
                    assert!(problems[0].message.contains(why), "{problems:?}");
                }
            }
        }
    }
}
