//! TLS between a client and an Envoy: an authority, the certificates that it gives out, and a client that presents one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::Request;
use super::http::Response;

const PATIENCE: Duration = Duration::from_secs(10);

/// What every server calls itself.
pub const SERVER: &str = "localhost";

/// Whoever vouches for certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        Self::of(CertificateParams::default())
    }

    /// One that is called so, for those who know authorities by their names.
    pub fn called(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Self::of(params)
    }

    fn of(mut params: CertificateParams) -> Self {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).expect("an authority"))
    }

    /// Its own certificate, in PEM: what those have who trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Vouches for what the parameters say.
    pub fn certify(&self, params: &CertificateParams) -> Certificate {
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Certificate { certificate, key }
    }

    /// Vouches for a server that the client here takes.
    pub fn certify_server(&self) -> Certificate {
        self.certify(&CertificateParams::new([SERVER.to_owned()]).expect("a name"))
    }

    /// Sends a request over a connection of its own, to a server that this authority vouches for, as whoever the
    /// certificate names. An error where the connection closes instead: a refused certificate is known by then only.
    pub async fn exchange(
        &self,
        to: SocketAddr,
        as_whom: Option<&Certificate>,
        request: &Request,
    ) -> io::Result<Response> {
        let (config, bytes) = (self.client(as_whom), request.to_bytes());
        let asked = tokio::task::spawn_blocking(move || ask(to, config, &bytes));
        asked.await.expect("a thread that does not panic")
    }

    fn client(&self, as_whom: Option<&Certificate>) -> ClientConfig {
        let mut trusted = RootCertStore::empty();
        let added = trusted.add(CertificateDer::from(self.0.der().to_vec()));
        added.expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(trusted);
        let Some(Certificate { certificate, key }) = as_whom else {
            return config.with_no_client_auth();
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        config
            .with_client_auth_cert(vec![certificate.der().clone()], key.into())
            .expect("a certificate and its key")
    }
}

impl Certificate {
    /// The certificate and its key, in PEM.
    pub fn pem(&self) -> (String, String) {
        (self.certificate.pem(), self.key.serialize_pem())
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn ask(to: SocketAddr, config: ClientConfig, bytes: &[u8]) -> io::Result<Response> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from(SERVER).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(bytes)?;
    let mut unread = Vec::new();
    loop {
        if let Some((response, _)) = Response::parse(&unread, false, false) {
            return Ok(response);
        }
        let mut part = [0; 4096];
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => unread.extend_from_slice(&part[..length]),
        }
    }
}
