//! Connections in TLS, where a listener has that.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::tls::ListenerTls;
use crate::current::Current;

/// How long the handshake may take.
pub const MAX_HANDSHAKE_SECONDS: u64 = 5;

/// How often one that failed is told: anybody who reaches the listener can make some.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How connections of a listener are opened.
#[derive(Clone, Debug, Default)]
pub struct Opening(Option<Arc<Tls>>);

#[derive(Debug)]
struct Tls {
    listener: String,
    now: Current<ListenerTls>,
    of: fn(&ListenerTls) -> &Arc<ServerConfig>,
    told: Mutex<Option<Instant>>,
    left_out: AtomicU64,
}

impl Opening {
    /// In TLS, as is in force when a connection comes; `listener` names it in the log.
    #[must_use]
    pub fn in_tls(
        listener: String,
        now: Current<ListenerTls>,
        of: fn(&ListenerTls) -> &Arc<ServerConfig>,
    ) -> Self {
        Self(Some(Arc::new(Tls {
            listener,
            now,
            of,
            told: Mutex::default(),
            left_out: AtomicU64::default(),
        })))
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Where its peer does not speak TLS, is refused, or takes too long, which is logged.
    pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<Secured<S>> {
        let Some(tls) = &self.0 else {
            return Ok(Secured::Plain(stream));
        };
        let config = Arc::clone((tls.of)(&tls.now.get()));
        let patience = Duration::from_secs(MAX_HANDSHAKE_SECONDS);
        let shaken = timeout(patience, TlsAcceptor::from(config).accept(stream)).await;
        let shaken = shaken.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        shaken
            .map(|it| Secured::Tls(Box::new(it)))
            .inspect_err(|error| tls.tell(error))
    }
}

impl Tls {
    fn tell(&self, error: &io::Error) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|it| it.elapsed() < TOLD_EVERY) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *told = Some(Instant::now());
        drop(told);
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        tracing::warn!(
            listener = self.listener,
            left_out,
            "a connection was refused, since its TLS handshake failed: {error}"
        );
    }
}

/// A connection, in TLS or not.
#[derive(Debug)]
pub enum Secured<S> {
    /// As it came.
    Plain(S),
    /// In TLS.
    Tls(Box<TlsStream<S>>),
}

/// Does the same with either.
macro_rules! either {
    ($secured:expr, $stream:ident => $done:expr) => {
        match $secured {
            Secured::Plain($stream) => $done,
            Secured::Tls($stream) => $done,
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, it => Pin::new(it).poll_read(context, buffer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, it => Pin::new(it).poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, it => Pin::new(it).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, it => Pin::new(it).poll_shutdown(context))
    }
}
