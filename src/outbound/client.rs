//! Connections: whom they trust, how long they are kept, and what their failures are in words.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::outbound::CONNECT;
use crate::outbound::resolving::Resolver;

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

/// How many of those are kept for one server.
const MAX_IDLE: usize = 8;

/// The longest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;

pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Reads certificates.
///
/// # Errors
/// What is wrong with them.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.ok().filter(|it| !it.is_empty());
    let read = read.ok_or("the file holds no certificates in PEM")?;
    let mut store = RootCertStore::empty();
    for it in &read {
        let added = store.add(it.clone());
        added.map_err(|it| format!("a certificate cannot vouch for others: {it}"))?;
    }
    Ok(read)
}

/// Gives TLS that trusts whom the system trusts, and these. Reads the system's files.
///
/// # Errors
/// Why no connection could ever be made.
pub fn trusting(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(authorities.iter().cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| format!("TLS cannot be set up: {it}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tls)
}

/// Makes a client that trusts whom the system trusts, and these, and has names looked up by `resolver`.
///
/// # Errors
/// Why no connection could ever be made.
pub(super) fn connect(
    authorities: &[CertificateDer<'static>],
    resolver: Resolver,
) -> Result<Client, String> {
    let tls = trusting(authorities)?;
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    // Which schemes may be asked where is judged before.
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .build(connector))
}

/// Tells whether a failure is that of a connection that nobody accepted in time.
pub(super) fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|it| {
        let it = it.downcast_ref::<io::Error>();
        it.is_some_and(|it| it.kind() == io::ErrorKind::TimedOut)
    })
}

/// Says why something failed, down to what the system or TLS says. None of it knows the URL.
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let words: Vec<_> = causes(error).map(ToString::to_string).collect();
    words.join(": ")
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&it| it.source())
}
