//! How a collector is connected to.

use std::sync::Arc;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::credential::Secret;
use crate::outbound::{CONNECT, certificates, trusting};

/// Tells why certificates in PEM cannot vouch for a collector.
///
/// # Errors
/// What is wrong with them.
pub fn check_authorities(pem: &Secret) -> Result<(), String> {
    certificates(pem.expose()).map(drop)
}

/// Gives what connects, over TLS where the URL has it. Blocks as long as it takes to read whom the system trusts.
///
/// # Errors
/// Why no connection could ever be made.
pub(super) fn connector(ca: Option<&Secret>) -> Result<HttpsConnector<HttpConnector>, String> {
    let authorities = ca.map_or(Ok(Vec::new()), |it| certificates(it.expose()))?;
    let mut tls = trusting(&authorities)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    Ok(HttpsConnector::from((tcp, Arc::new(tls))))
}
