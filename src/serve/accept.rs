//! Accepted connections: how many there are at once, and how long a peer may do nothing where it is
//! waited for.
//!
//! It knows no protocol. A peer that is gone without a word is found by the protocols: by pings on
//! gRPC, by the time that a head may take on HTTP.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use crate::serve::cores::Cores;
use crate::serve::tls::{Opening, Secured};

/// How many connections a listener has at once. An Envoy opens one for each of its workers over gRPC.
/// Further ones wait to be accepted, so that whoever is connected is served on.
pub const MAX_CONNECTIONS: usize = 1024;

/// How long a peer may take to say what it speaks, where that is fixed (HTTP/2).
pub const MAX_GREETING_SECONDS: u64 = 5;

/// How long a peer may take nothing of what is written to it.
pub const MAX_STALL_SECONDS: u64 = 10;

/// What an HTTP/2 client says first, in bytes (RFC 9113 §3.4).
pub const HTTP2_PREFACE: usize = 24;

/// How long to wait where nothing can be accepted: out of file descriptors, for one. It would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub trait Source: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// One that no runtime has yet.
    type Socket: Send + 'static;

    /// Gives the next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// Has it on the runtime that this is called on.
    ///
    /// # Errors
    /// What the system says.
    fn adopt(socket: Self::Socket) -> io::Result<Self::Stream>;
}

impl Source for TcpListener {
    type Stream = TcpStream;
    type Socket = std::net::TcpStream;

    async fn next(&self) -> io::Result<Self::Socket> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        stream.into_std()
    }

    fn adopt(socket: Self::Socket) -> io::Result<TcpStream> {
        TcpStream::from_std(socket)
    }
}

impl Source for UnixListener {
    type Stream = UnixStream;
    type Socket = std::os::unix::net::UnixStream;

    async fn next(&self) -> io::Result<Self::Socket> {
        self.accept().await?.0.into_std()
    }

    fn adopt(socket: Self::Socket) -> io::Result<UnixStream> {
        UnixStream::from_std(socket)
    }
}

/// A connection that somebody is to serve.
#[derive(Debug)]
pub struct Accepted<S: Source> {
    socket: S::Socket,
    held: Held,
}

/// What a connection holds until it is dropped.
#[derive(Debug)]
struct Held {
    _slot: OwnedSemaphorePermit,
    /// Whoever holds it too counts what lives on a core.
    load: Option<Arc<()>>,
}

impl Accepted<TcpListener> {
    /// Where its peer is, and which address of ours it came to; `None` where it is gone already.
    #[must_use]
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let peer = self.socket.peer_addr().ok()?;
        Some((peer, self.socket.local_addr().ok()?))
    }
}

impl<S: Source> Accepted<S> {
    /// Has it on the runtime that this is called on. `greeting` is how many bytes its peer must send within
    /// [`MAX_GREETING_SECONDS`]. `None` where it is closed, of which the log tells.
    pub async fn open(self, opening: &Opening, greeting: usize) -> Option<Guarded<S::Stream>> {
        let adopted = S::adopt(self.socket).inspect_err(|error| {
            tracing::warn!("a connection is closed, since it cannot be served: {error}");
        });
        let stream = opening.open(adopted.ok()?).await.ok()?;
        Some(Guarded::new(stream, greeting, self.held))
    }
}

/// Serves each connection on a task of its own, on the core that has the fewest where there are cores, until
/// `stopped` says so, and waits for all of them to end.
pub async fn serve_each<S: Source, F>(
    source: S,
    cores: Option<Arc<Cores>>,
    stopped: watch::Receiver<bool>,
    serve_one: impl Fn(Accepted<S>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (accepted, mut incoming) = mpsc::channel(1);
    let mut connections = JoinSet::new();
    connections.spawn(accept(source, accepted, ended(stopped)));
    loop {
        tokio::select! {
            connection = incoming.recv() => {
                let Some(mut connection) = connection else {
                    break;
                };
                match cores.as_ref().and_then(|it| it.idlest()) {
                    Some(core) => {
                        connection.held.load = Some(core.load());
                        connections.spawn_on(serve_one(connection), core.runtime());
                    }
                    None => {
                        connections.spawn(serve_one(connection));
                    }
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Serves a connection until its peer ends it, or `stopped` says so; answers under way are finished.
pub async fn serve_until<C>(connection: C, stopped: watch::Receiver<bool>)
where
    C: GracefulConnection<Error: fmt::Display>,
{
    let mut served = pin!(connection);
    let result = tokio::select! {
        result = &mut served => result,
        () = ended(stopped) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Waits until it is to end.
pub async fn ended(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|it| *it).await;
}

/// Accepts until `end` is over or nobody takes what is accepted, then closes the listener.
async fn accept<S: Source>(
    source: S,
    accepted: mpsc::Sender<Accepted<S>>,
    end: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = async {
        let mut is_told = false;
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let socket = match source.next().await {
                Ok(socket) => {
                    is_told = false;
                    socket
                }
                Err(error) if is_of_the_peer(&error) => continue,
                Err(error) => {
                    if !is_told {
                        tracing::warn!("a listener cannot accept, and tries on: {error}");
                    }
                    is_told = true;
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let held = Held {
                _slot: slot,
                load: None,
            };
            if accepted.send(Accepted { socket, held }).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = end => {}
        () = accepting => {}
    }
}

/// Whether a connection could not be accepted because its peer was gone already.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::InvalidInput
            | ErrorKind::NotConnected
    )
}

/// A connection that ends where its peer does nothing for too long, and counts until it is dropped.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: Secured<S>,
    /// How many bytes of the greeting are to come, and until when.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    /// Since when nothing is taken of what is written, if so.
    stalled: Option<Pin<Box<Sleep>>>,
    _held: Held,
}

impl<S> Guarded<S> {
    fn new(stream: Secured<S>, greeting: usize, held: Held) -> Self {
        let patience = || Box::pin(sleep(Duration::from_secs(MAX_GREETING_SECONDS)));
        Self {
            stream,
            greeting: (greeting > 0).then(|| (greeting, patience())),
            stalled: None,
            _held: held,
        }
    }

    /// Passes on what came of writing, unless nothing has come of it for too long.
    fn written<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stall = || Box::pin(sleep(Duration::from_secs(MAX_STALL_SECONDS)));
        let stalled = self.stalled.get_or_insert_with(stall);
        stalled
            .as_mut()
            .poll(context)
            .map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some((missing, until)) = &mut self.greeting else {
            return polled;
        };
        if polled.is_pending() {
            let over = until.as_mut().poll(context);
            return over.map(|()| Err(ErrorKind::TimedOut.into()));
        }
        *missing = missing.saturating_sub(buffer.filled().len() - before);
        if *missing == 0 {
            self.greeting = None;
        }
        polled
    }
}

/// Takes no slices. Where it did, h2 would write each message of 256 bytes or more by itself, and what follows it after:
/// two calls to the kernel for an answer alone, and as many for ten answers as for ten alone. As it is, up to 1 KiB are put
/// together.
impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{HeaderMap, Request, Response};
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::server::conn::http2;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// A connection that counts how often something is written to it. It would take slices.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write_vectored(context, slices)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    /// Gives one connection, and then none.
    struct One(Mutex<Option<Counted>>);

    impl Source for One {
        type Stream = Counted;
        type Socket = Counted;

        async fn next(&self) -> io::Result<Counted> {
            let taken = self.0.lock().expect("no panic").take();
            match taken {
                Some(connection) => Ok(connection),
                None => pending().await,
            }
        }

        fn adopt(socket: Counted) -> io::Result<Counted> {
            Ok(socket)
        }
    }

    async fn serve_one(connection: Accepted<One>) {
        let opened = connection.open(&Opening::default(), HTTP2_PREFACE).await;
        let answer = service_fn(|_| {
            let message = Full::new(Bytes::from_static(&[b'a'; 700]));
            let message = message.with_trailers(ready(Some(Ok(HeaderMap::new()))));
            ready(Ok::<_, Infallible>(Response::new(message)))
        });
        let stream = TokioIo::new(opened.expect("a connection"));
        let http = http2::Builder::new(TokioExecutor::new());
        let _ = http.serve_connection(stream, answer).await;
    }

    #[tokio::test]
    async fn answers_that_are_ready_together_are_written_together() {
        const ANSWERS: usize = 10;
        let (ours, theirs) = duplex(1 << 16);
        let writes = Arc::new(AtomicUsize::new(0));
        let source = One(Mutex::new(Some(Counted(ours, Arc::clone(&writes)))));
        let (_stop, stopped) = watch::channel(false);
        let _serving = JoinSet::from_iter([serve_each(source, None, stopped, serve_one)]);
        let (client, driver) = h2::client::handshake(theirs).await.expect("HTTP/2");
        let mut answers = Vec::new();
        for _ in 0..ANSWERS {
            let mut client = client.clone().ready().await.expect("room");
            let request = Request::get("http://localhost/").body(());
            let request = request.expect("a request");
            answers.push(client.send_request(request, true).expect("sent").0);
        }
        tokio::spawn(driver);
        for answer in answers {
            let mut body = answer.await.expect("an answer").into_body();
            let message = body.data().await.expect("a message").expect("a message");
            assert_eq!(message.len(), 700);
            body.trailers().await.expect("trailers");
        }
        let writes = writes.load(Ordering::Relaxed);
        assert!(writes < ANSWERS, "{writes}");
    }
}
