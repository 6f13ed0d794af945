//! What gRPC's peers may have under way at once, over all connections, and how long a message may take.
//!
//! HTTP/2 bounds each connection; many of them together would still be more than the memory there is.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

use crate::envoy::MAX_MESSAGE_BYTES;

/// How many requests of gRPC are under way at once, on all connections: 1024 is what an Envoy has at most
/// by default. A further one is `UNAVAILABLE` at once.
pub const MAX_REQUESTS: usize = 8192;

/// From how many bytes on a message is a large one: an Envoy lets headers of 60 KiB pass by default.
pub const LARGE_BYTES: usize = 128 * 1024;

/// How many bytes the large messages under way have together. A large one more is `UNAVAILABLE`.
pub const MAX_LARGE_BYTES: usize = 256 * 1024 * 1024;

/// How long a message may take to arrive.
pub const MAX_MESSAGE_SECONDS: u64 = 5;

/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A message that is no `CheckRequest`, for one that is too large to be read.
const NONE_SUCH: &[u8] = &[0, 0, 0, 0, 1, 0x07];

/// What is under way.
#[derive(Debug, Default)]
pub struct Bounds {
    requests: AtomicUsize,
    /// Of large messages.
    bytes: AtomicUsize,
}

impl Bounds {
    /// Counts a request until what is given is dropped; `None` where there are too many.
    fn admit(self: &Arc<Self>) -> Option<Arc<Slot>> {
        let slot = Slot {
            bounds: Arc::clone(self),
            bytes: AtomicUsize::new(0),
        };
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        (before < MAX_REQUESTS).then(|| Arc::new(slot))
    }
}

/// A request that is under way until its answer is out.
#[derive(Debug)]
struct Slot {
    bounds: Arc<Bounds>,
    bytes: AtomicUsize,
}

impl Slot {
    /// Counts the bytes of its message; whether there is room for them. Others' large ones leave room for
    /// one that is not.
    fn has_room(&self, bytes: usize) -> bool {
        if bytes < LARGE_BYTES {
            return true;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bounds.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_LARGE_BYTES
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.bounds.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.bounds.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A service of gRPC within [`Bounds`].
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    service: S,
    bounds: Arc<Bounds>,
    takes_one: bool,
}

impl<S> Bounded<S> {
    /// Bounds a service that takes one message a request, and lets that be at most
    /// [`MAX_MESSAGE_BYTES`]: a larger one is to it what is no message of its kind.
    pub fn unary(service: S, bounds: &Arc<Bounds>) -> Self {
        Self {
            takes_one: true,
            ..Self::streaming(service, bounds)
        }
    }

    /// Bounds a service that may take messages as long as they come.
    pub fn streaming(service: S, bounds: &Arc<Bounds>) -> Self {
        Self {
            service,
            bounds: Arc::clone(bounds),
            takes_one: false,
        }
    }
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Asked>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(slot) = self.bounds.admit() else {
            return Answering(None);
        };
        let asked = |body| Asked {
            body,
            slot: Arc::clone(&slot),
            prefix: Vec::new(),
            state: if self.takes_one {
                Reading::Prefix
            } else {
                Reading::Rest
            },
            late: self.takes_one.then_some(Lateness::NotAwaited),
        };
        Answering(Some((self.service.call(request.map(asked)), slot)))
    }
}

/// The answer to come; `None` where there is no room to ask.
#[derive(Debug)]
pub struct Answering<F>(Option<(F, Arc<Slot>)>);

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
        let slot = Arc::clone(slot);
        Poll::Ready(Ok(answer.map(|body| Body::new(Told { body, _slot: slot }))))
    }
}

fn full() -> Status {
    Status::unavailable("too much is asked at once")
}

/// The body of an answer, which counts until it is out.
#[derive(Debug)]
struct Told {
    body: Body,
    _slot: Arc<Slot>,
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

/// The body of a request.
#[derive(Debug)]
pub struct Asked {
    body: Body,
    slot: Arc<Slot>,
    /// What came of it, while it is not whole.
    prefix: Vec<u8>,
    state: Reading,
    late: Option<Lateness>,
}

/// How far a message is read.
#[derive(Debug, Eq, PartialEq)]
enum Reading {
    Prefix,
    Rest,
    /// Nothing more is read.
    Over,
}

/// When a message is late.
#[derive(Debug)]
enum Lateness {
    /// Nearly all are there when they are read, and need no timer.
    NotAwaited,
    Awaited(Pin<Box<Sleep>>),
}

impl Asked {
    /// Looks at what comes first. Gives what is read of it; `None` while that is not known.
    fn begin(&mut self, data: Bytes) -> Option<Result<Bytes, Status>> {
        let data = if self.prefix.is_empty() {
            data
        } else {
            self.prefix.extend_from_slice(&data);
            std::mem::take(&mut self.prefix).into()
        };
        let Some([_, length @ ..]) = data.first_chunk::<PREFIX>() else {
            self.prefix = data.into();
            return None;
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_MESSAGE_BYTES {
            self.state = Reading::Over;
            return Some(Ok(Bytes::from_static(NONE_SUCH)));
        }
        self.state = Reading::Rest;
        Some(if self.slot.has_room(length) {
            Ok(data)
        } else {
            Err(full())
        })
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(late) = &mut self.late else {
            return Poll::Pending;
        };
        if let Lateness::NotAwaited = late {
            let patience = Duration::from_secs(MAX_MESSAGE_SECONDS);
            *late = Lateness::Awaited(Box::pin(sleep(patience)));
        }
        let Lateness::Awaited(until) = late else {
            return Poll::Pending;
        };
        ready!(until.as_mut().poll(context));
        self.state = Reading::Over;
        Poll::Ready(Status::deadline_exceeded(
            "the message did not arrive in time",
        ))
    }
}

impl hyper::body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if self.state == Reading::Over {
                return Poll::Ready(None);
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                return self.poll_late(context).map(|late| Some(Err(late)));
            };
            let frame = match frame {
                Some(Ok(frame)) if self.state == Reading::Prefix => frame,
                frame => return Poll::Ready(frame),
            };
            let Ok(data) = frame.into_data() else {
                return Poll::Ready(None);
            };
            if let Some(begun) = self.begin(data) {
                return Poll::Ready(Some(begun.map(Frame::data)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == Reading::Over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
