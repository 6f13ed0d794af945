//! Certificates of TLS in PEM, and the keys that go with them.

mod validity;

use std::fmt;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::credential::Secret;

/// Why a certificate and a key do not make one that can be shown.
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

/// Reads certificates in PEM; `None` where there is not one.
#[must_use]
pub fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|it| !it.is_empty())
}

/// Gives the last second in which all of these certificates are valid, in Unix seconds: a chain is good while each of it
/// is. `None` where one of them does not say it.
#[must_use]
pub fn valid_until(chain: &[CertificateDer<'_>]) -> Option<u64> {
    let ends: Option<Vec<_>> = chain.iter().map(|it| validity::not_after(it)).collect();
    ends?.into_iter().min()
}

/// Puts a certificate, with those that vouch for it behind it, and its key together, both in PEM.
///
/// # Errors
/// [`Unfit`], where nobody could be shown it.
pub fn certified(chain: &[u8], key: &Secret) -> Result<CertifiedKey, Unfit> {
    let chain = certificates(chain).ok_or(Unfit::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| Unfit::Key)?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|it| match it {
        rustls::Error::InconsistentKeys(_) => Unfit::Mismatch,
        rustls::Error::InvalidCertificate(_) => Unfit::Certificate,
        _ => Unfit::Key,
    })
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
            let made = certified(chain.as_bytes(), &Secret::new(key.as_bytes()));
            assert_eq!(made.err(), want);
        }
    }
}
