//! Certificates of TLS: those that vouch for the servers, and the one that says who we are.

use std::fmt;

use redis::ClientTlsConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::credential::Secret;

/// What a server that wants a certificate of its clients is shown.
#[derive(Clone)]
pub struct ClientCertificate {
    /// In PEM, the client's own first.
    chain: Vec<u8>,
    /// In PEM.
    key: Secret,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// The file of the certificate holds none.
    Certificate,
    /// The file of the key holds none that can sign.
    Key,
    /// The key is another's.
    Mismatch,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "the file holds no certificates in PEM",
            Self::Key => "the file holds no private key in PEM that can be used",
            Self::Mismatch => "the key is not that of the certificate",
        })
    }
}

impl ClientCertificate {
    /// Puts a certificate, with those that vouch for it, and its key together, both in PEM.
    ///
    /// # Errors
    /// [`Unfit`], where no server could be shown it.
    pub fn new(chain: Vec<u8>, key: Secret) -> Result<Self, Unfit> {
        let certificates = certificates(&chain).ok_or(Unfit::Certificate)?;
        let parsed = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| Unfit::Key)?;
        let provider = aws_lc_rs::default_provider();
        match CertifiedKey::from_der(certificates, parsed, &provider) {
            Ok(_) => Ok(Self { chain, key }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(Unfit::Mismatch),
            Err(rustls::Error::InvalidCertificate(_)) => Err(Unfit::Certificate),
            Err(_) => Err(Unfit::Key),
        }
    }

    pub(super) fn into_config(self) -> ClientTlsConfig {
        ClientTlsConfig {
            client_cert: self.chain,
            client_key: self.key.expose().to_vec(),
        }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(..)")
    }
}

/// Reads certificates in PEM; `None` where there is not one.
pub(super) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_goes_with_its_own_key_only() {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["client".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let other = KeyPair::generate().expect("a key").serialize_pem();
        let key = key.serialize_pem();
        for (chain, key, want) in [
            (&*certificate, &*key, None),
            (&certificate, &other, Some(Unfit::Mismatch)),
            ("", &key, Some(Unfit::Certificate)),
            ("text", &key, Some(Unfit::Certificate)),
            (&key, &key, Some(Unfit::Certificate)),
            (&certificate, "", Some(Unfit::Key)),
            (&certificate, &certificate, Some(Unfit::Key)),
        ] {
            let made = ClientCertificate::new(chain.into(), Secret::new(key.as_bytes()));
            assert_eq!(made.err(), want);
        }
    }
}
