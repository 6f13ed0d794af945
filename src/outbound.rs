//! Asking servers on the internet: the one place that does, with a bound on everything.
//!
//! What is asked is for the caller to say, and what an answer means is for the caller to judge; a
//! redirect is an answer like any other and is not followed. There are no cookies and there is no
//! proxy. A URL may hold secrets, so none ever stands in an error, a log or `Debug`.

mod caching;
mod client;
pub(crate) mod rate;
mod resolving;
#[cfg(test)]
pub(crate) mod scripted;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::credential::Secret;
use crate::outbound::caching::max_age;
use crate::outbound::client::{Client, connect, is_timeout};
use crate::outbound::rate::Rate;
use crate::outbound::resolving::Resolver;

pub use client::{certificates, in_words, trusting};

/// How long a server may take to accept a connection.
pub const CONNECT: Duration = Duration::from_secs(1);

/// How long a request may take, from looking up the name to the last byte of the answer.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The longest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// How many things are asked at once, unless a configuration says else.
pub const IN_FLIGHT: usize = 64;

/// What asks. Clones share connections and bounds.
#[derive(Clone)]
pub struct Outbound {
    in_flight: Arc<Semaphore>,
    /// `None`: as many in a second as there are places for.
    rate: Option<Arc<Rate>>,
    connections: Arc<Connections>,
}

struct Connections {
    /// Whom to trust besides whom the system trusts.
    authorities: Vec<CertificateDer<'static>>,
    /// What looks names up, for every connection.
    resolver: Resolver,
    /// Made when something is first asked: most configurations ask nobody.
    client: OnceLock<Result<Client, String>>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbound(..)")
    }
}

/// What a server answered, whatever its status.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long it is good (RFC 9111 §4.2.1), the time it has spent in caches subtracted; `None`
    /// where the server does not say. Zero also for what must not be kept.
    pub max_age: Option<Duration>,
    /// The body, as it came.
    pub body: Bytes,
}

/// Leaves the body out: it may tell of persons.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer, in words that hold nothing of the URL.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum OutboundError {
    /// As many requests as may be are under way already.
    #[error("too many requests are under way")]
    Busy,
    /// As much was asked lately as may be.
    #[error("as much was asked in the last seconds as may be")]
    TooOften,
    /// The answer did not come, or did not end, in time.
    #[error("no answer in time")]
    Timeout,
    /// The body is longer than what is read.
    #[error("the answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The server cannot be asked, and why.
    #[error("{0}")]
    Unreachable(String),
}

/// Tells why nothing may be asked of this URL: HTTPS only, or HTTP to an address of this machine.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    parse(url).map(|_| ())
}

/// One that trusts whom the system trusts.
impl Default for Outbound {
    fn default() -> Self {
        Self::made(IN_FLIGHT, Vec::new(), Resolver::system())
    }
}

impl Outbound {
    /// Makes one that asks this many things at once at most. `ca` holds certificates in PEM that
    /// vouch for servers besides those that the system trusts.
    ///
    /// # Errors
    /// What is wrong with the certificates.
    pub fn new(in_flight: usize, ca: Option<&[u8]>) -> Result<Self, String> {
        let authorities = ca.map_or(Ok(Vec::new()), certificates)?;
        Ok(Self::made(in_flight, authorities, Resolver::system()))
    }

    fn made(
        in_flight: usize,
        authorities: Vec<CertificateDer<'static>>,
        resolver: Resolver,
    ) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(in_flight)),
            rate: None,
            connections: Arc::new(Connections {
                authorities,
                resolver,
                client: OnceLock::new(),
            }),
        }
    }

    /// Gives one with a bound of its own, so that what floods the one does not starve the other.
    #[must_use]
    pub fn with_own_bound(&self, in_flight: usize) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(in_flight)),
            rate: None,
            connections: Arc::clone(&self.connections),
        }
    }

    /// Gives one that asks so often in a second on average, and `burst` times at once at most; 0
    /// counts as 1. It shares the places.
    #[must_use]
    pub fn with_rate(&self, per_second: u32, burst: u32) -> Self {
        Self {
            rate: Some(Arc::new(Rate::new(per_second, burst))),
            ..self.clone()
        }
    }

    /// Asks with GET.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get(&self, url: &str) -> Result<Reply, OutboundError> {
        let request = Request::get(checked(url)?);
        self.ask(request, Bytes::new()).await
    }

    /// Asks with POST and a form (`application/x-www-form-urlencoded`). `authorization` is the whole
    /// value of the header.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&Secret>,
    ) -> Result<Reply, OutboundError> {
        let mut request =
            Request::post(checked(url)?).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(secret) = authorization {
            let mut value = HeaderValue::from_bytes(secret.expose())
                .map_err(|_| unreachable("the credentials cannot stand in a header"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.ask(request, Bytes::from(form)).await
    }

    async fn ask(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Reply, OutboundError> {
        let _place = self
            .in_flight
            .try_acquire()
            .map_err(|_| OutboundError::Busy)?;
        if self.rate.as_ref().is_some_and(|it| !it.take()) {
            return Err(OutboundError::TooOften);
        }
        let request = request
            .header(
                USER_AGENT,
                concat!("portcullis/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(body))
            .map_err(|_| unreachable("the request cannot be written"))?;
        let client = self.connections.client();
        let client = client.map_err(OutboundError::Unreachable)?;
        tokio::time::timeout(PATIENCE, exchange(client, request))
            .await
            .unwrap_or(Err(OutboundError::Timeout))
    }
}

impl Connections {
    fn client(&self) -> Result<&Client, String> {
        let client = self
            .client
            .get_or_init(|| connect(&self.authorities, self.resolver.clone()));
        client.as_ref().map_err(Clone::clone)
    }
}

async fn exchange(client: &Client, request: Request<Full<Bytes>>) -> Result<Reply, OutboundError> {
    let reply = client.request(request).await.map_err(|it| {
        if is_timeout(&it) {
            return OutboundError::Timeout;
        }
        OutboundError::Unreachable(in_words(&it))
    })?;
    let (head, body) = reply.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|it| {
        if it.is::<LengthLimitError>() {
            return OutboundError::TooLarge;
        }
        OutboundError::Unreachable(in_words(&*it))
    })?;
    Ok(Reply {
        status: head.status.as_u16(),
        max_age: max_age(&head.headers),
        body: body.to_bytes(),
    })
}

fn checked(url: &str) -> Result<Uri, OutboundError> {
    parse(url).map_err(unreachable)
}

fn parse(url: &str) -> Result<Uri, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "not a URL")?;
    let authority = uri.authority().ok_or("a URL begins with https://")?;
    if authority.as_str().contains('@') {
        return Err("a URL holds no user and password");
    }
    if url.contains('#') {
        return Err("a URL to ask has no fragment");
    }
    let host = authority.host().trim_matches(['[', ']']);
    let here = host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if here => Ok(uri),
        Some("http") => Err("HTTPS is needed; plain HTTP only to a loopback address"),
        _ => Err("a URL begins with https://"),
    }
}

fn unreachable(detail: &str) -> OutboundError {
    OutboundError::Unreachable(detail.to_owned())
}

#[cfg(test)]
mod tests;
