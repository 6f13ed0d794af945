//! What gRPC's peers may have under way at once, over all connections.
//!
//! HTTP/2 bounds each connection; many of them together would still be more than the memory there is.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

/// How many requests of gRPC are under way at once, on all connections: 1024 is what an Envoy has at most
/// by default. A further one is `UNAVAILABLE` at once.
pub const MAX_REQUESTS: usize = 8192;

/// From how many bytes on a message is a large one: an Envoy lets headers of 60 KiB pass by default.
pub const LARGE_BYTES: usize = 128 * 1024;

/// How many bytes the large messages under way have together. A large one more is `UNAVAILABLE`.
pub const MAX_LARGE_BYTES: usize = 256 * 1024 * 1024;

/// What is under way.
#[derive(Debug, Default)]
pub struct Bounds {
    requests: AtomicUsize,
    /// Of large messages.
    bytes: AtomicUsize,
}

impl Bounds {
    /// Counts a request until what is given is dropped; `None` where there are too many.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Slot> {
        let slot = Slot {
            bounds: Arc::clone(self),
            bytes: 0,
        };
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        (before < MAX_REQUESTS).then_some(slot)
    }
}

/// A request that is under way until its answer is out.
#[derive(Debug)]
pub struct Slot {
    bounds: Arc<Bounds>,
    /// Of its message, where that is a large one.
    bytes: usize,
}

impl Slot {
    /// Counts the bytes of its message; whether there is room for them. Others' large ones leave room for
    /// one that is not.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        if bytes < LARGE_BYTES {
            return true;
        }
        self.bytes += bytes;
        self.bounds.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_LARGE_BYTES
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.bounds.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bounds.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A service of gRPC within [`Bounds`].
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    service: S,
    bounds: Arc<Bounds>,
}

impl<S> Bounded<S> {
    /// Bounds a service, which may take messages as long as they come.
    pub fn new(service: S, bounds: &Arc<Bounds>) -> Self {
        Self {
            service,
            bounds: Arc::clone(bounds),
        }
    }
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let slot = self.bounds.admit();
        Answering(slot.map(|slot| (self.service.call(request), Some(slot))))
    }
}

/// The answer to come; `None` where there is no room to ask.
#[derive(Debug)]
pub struct Answering<F>(Option<(F, Option<Slot>)>);

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((answer, slot)) = &mut self.0 else {
            return Poll::Ready(Ok(full().into_http()));
        };
        let Ok(answer) = ready!(Pin::new(answer).poll(context));
        let _slot = slot.take();
        Poll::Ready(Ok(answer.map(|body| Body::new(Told { body, _slot }))))
    }
}

pub(super) fn full() -> Status {
    Status::unavailable("too much is asked at once")
}

/// The body of an answer, which counts until it is out.
#[derive(Debug)]
struct Told {
    body: Body,
    _slot: Option<Slot>,
}

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
