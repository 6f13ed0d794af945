//! The certificate of TLS that says who we are.

use std::fmt;

use redis::ClientTlsConfig;

use crate::certificate::{Unfit, certified};
use crate::credential::Secret;

/// What a server that wants a certificate of its clients is shown.
#[derive(Clone)]
pub struct ClientCertificate {
    /// In PEM, the client's own first.
    chain: Vec<u8>,
    /// In PEM.
    key: Secret,
}

impl ClientCertificate {
    /// Puts a certificate, with those that vouch for it, and its key together, both in PEM.
    ///
    /// # Errors
    /// [`Unfit`], where no server could be shown it.
    pub fn new(chain: Vec<u8>, key: Secret) -> Result<Self, Unfit> {
        certified(&chain, &key).map(|_| Self { chain, key })
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
