//! Checks over HTTP/2 (gRPC over HTTP/2): one message asked, one told.
//!
//! tonic's way from a connection to a method is made for any method and for streams of any message, and costs a
//! good part of what a cached hit does. So it is taken by all else, and Checks are answered where HTTP/2 ends.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use bytes::{Bytes, BytesMut};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service as _;

use crate::envoy::{Call, Door, MAX_MESSAGE_BYTES, PREFIX};
use crate::serve::bounds::{Bounds, Slot, full};

/// Where Checks are asked for.
const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How long a message may take to arrive.
pub const MAX_MESSAGE_SECONDS: u64 = 5;

/// A message that is no `CheckRequest`, for one that is too large to be read, or not alone.
const NONE_SUCH: &[u8] = &[0x07];

/// Answers Checks by itself, and has others answer what else is asked.
#[derive(Clone, Debug)]
pub struct Front {
    door: Door,
    bounds: Arc<Bounds>,
    others: Routes,
}

impl Front {
    /// Puts a door in front of other services; both within the same bounds.
    pub fn new(door: Door, bounds: Arc<Bounds>, others: Routes) -> Self {
        Self {
            door,
            bounds,
            others,
        }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Told>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        if request.uri().path() != PATH {
            // Routes are always ready.
            return Answering::Others(Box::new(self.others.clone().call(request)));
        }
        let Some(slot) = self.bounds.admit() else {
            self.door.count_call(full().code(), Duration::ZERO);
            return Answering::Full;
        };
        // What is not needed any more is left here, so that less is kept while the message is read.
        let call = self.door.call(request.headers());
        let body = request.into_body();
        Answering::Check(Box::pin(check(self.door.clone(), slot, call, body)))
    }
}

/// The answer to come.
pub enum Answering {
    /// A decision.
    Check(Pin<Box<dyn Future<Output = Response<Told>> + Send>>),
    /// What others answer.
    Others(Box<<Routes as tower_service::Service<Request<Incoming>>>::Future>),
    /// None: there is no room to ask.
    Full,
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering(..)")
    }
}

impl Future for Answering {
    type Output = Result<Response<Told>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match &mut *self {
            Self::Check(check) => ready!(check.as_mut().poll(context)),
            Self::Others(others) => {
                let Ok(answer) = ready!(Pin::new(others).poll(context));
                answer.map(Told::Others)
            }
            Self::Full => told_status(&full()),
        }))
    }
}

async fn check(door: Door, mut slot: Slot, call: Call, body: Incoming) -> Response<Told> {
    let answer = match read_in_time(body, &mut slot).await {
        Ok(message) => door.check_framed(&message, call).await,
        Err((status, took)) => {
            door.count_call(status.code(), took);
            Err(status)
        }
    };
    match answer {
        Ok(framed) => {
            let mut response = Response::new(Told::Answer(framed, slot));
            let grpc = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, grpc);
            response
        }
        Err(status) => told_status(&status),
    }
}

fn told_status(status: &Status) -> Response<Told> {
    let (head, ()) = status.clone().into_http::<()>().into_parts();
    Response::from_parts(head, Told::Over)
}

/// Reads the message of a request.
///
/// # Errors
/// The status to answer with where none can be read, or not in time, and how long that took.
async fn read_in_time<B>(body: B, slot: &mut Slot) -> Result<Bytes, (Status, Duration)>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut message = pin!(read(body, slot));
    // Nearly all are there when they are read, and need no timer.
    let at_once = poll_fn(|it| Poll::Ready(message.as_mut().poll(it)));
    if let Poll::Ready(read) = at_once.await {
        return read.map_err(|it| (it, Duration::ZERO));
    }
    let begun = Instant::now();
    let patience = Duration::from_secs(MAX_MESSAGE_SECONDS);
    let late = |_| Status::deadline_exceeded("the message did not arrive in time");
    let read = tokio::time::timeout(patience, message).await;
    let read = read.map_err(late).flatten();
    read.map_err(|it| (it, begun.elapsed()))
}

async fn read<B>(mut body: B, slot: &mut Slot) -> Result<Bytes, Status>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut read = Bytes::new();
    let mut length = None;
    while let Some(frame) = poll_fn(|it| Pin::new(&mut body).poll_frame(it)).await {
        let frame = frame.map_err(|it| Status::from_error(Box::new(it)))?;
        let Ok(data) = frame.into_data() else {
            break;
        };
        read = join(read, data);
        if length.is_none()
            && let Some([is_compressed, claimed @ ..]) = read.first_chunk::<PREFIX>()
        {
            let claimed = u32::from_be_bytes(*claimed) as usize;
            if *is_compressed != 0 {
                return Err(Status::unimplemented("messages are not to be compressed"));
            }
            if claimed > MAX_MESSAGE_BYTES {
                return Ok(Bytes::from_static(NONE_SUCH));
            }
            if !slot.has_room(claimed) {
                return Err(full());
            }
            length = Some(claimed);
        }
        if length.is_some_and(|it| read.len() > PREFIX + it) {
            return Ok(Bytes::from_static(NONE_SUCH));
        }
        // Costs less than to be told so.
        if body.is_end_stream() {
            break;
        }
    }
    match length {
        Some(length) if read.len() == PREFIX + length => Ok(read.split_off(PREFIX)),
        _ => Err(Status::internal("the message is not whole")),
    }
}

/// Puts together what came, without copying where it came at once.
fn join(before: Bytes, data: Bytes) -> Bytes {
    if before.is_empty() {
        return data;
    }
    let mut joined = BytesMut::from(before);
    joined.extend_from_slice(&data);
    joined.freeze()
}

/// The body of an answer. It counts as under way until it is out.
#[derive(Debug)]
pub enum Told {
    /// A message and what stands before it.
    Answer(Bytes, Slot),
    /// That all went well.
    Trailers(Slot),
    /// Nothing more.
    Over,
    /// What others answer.
    Others(Body),
}

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Self::Others(body) = &mut *self {
            return Pin::new(body).poll_frame(context);
        }
        let (frame, rest) = match std::mem::replace(&mut *self, Self::Over) {
            Self::Answer(framed, slot) => (Frame::data(framed), Self::Trailers(slot)),
            Self::Trailers(_slot) => (Frame::trailers(went_well()), Self::Over),
            rest @ (Self::Over | Self::Others(_)) => {
                *self = rest;
                return Poll::Ready(None);
            }
        };
        *self = rest;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer(..) | Self::Trailers(_) => false,
            Self::Over => true,
            Self::Others(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Answer(..) | Self::Trailers(_) | Self::Over => SizeHint::default(),
            Self::Others(body) => body.size_hint(),
        }
    }
}

fn went_well() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(&GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use hyper::body::Body as _;
    use tonic::Code;

    use super::*;

    /// A body that comes in these frames, each when it is asked for.
    struct Frames(VecDeque<Bytes>);

    impl hyper::body::Body for Frames {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|it| Ok(Frame::data(it))))
        }
    }

    async fn read_of(frames: &[&[u8]]) -> Result<Bytes, Code> {
        let frames = frames.iter().map(|it| Bytes::copy_from_slice(it)).collect();
        let mut slot = Arc::new(Bounds::default()).admit().unwrap();
        let read = read_in_time(Frames(frames), &mut slot).await;
        read.map_err(|(it, _)| it.code())
    }

    #[tokio::test]
    async fn a_message_is_the_same_however_it_is_cut_into_frames() {
        let whole = b"\0\0\0\0\x03abc";
        assert_eq!(read_of(&[whole]).await.unwrap(), "abc");
        assert_eq!(read_of(&[b"", whole, b""]).await.unwrap(), "abc");
        assert_eq!(read_of(&[b"\0\0\0\0\0"]).await.unwrap(), "");
        for at in 0..whole.len() {
            let (before, after) = whole.split_at(at);
            assert_eq!(read_of(&[before, after]).await.unwrap(), "abc", "{at}");
        }
        let bytes: Vec<_> = whole.chunks(1).collect();
        assert_eq!(read_of(&bytes).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn what_is_not_one_message_of_a_size_to_be_read_is_none_such_or_an_error() {
        // What is larger than may be, and what is not alone, is for us to deny.
        for frames in [
            &[&b"\0\xff\xff\xff\xff"[..]][..],
            &[b"\0\0\x40\0\x01a"],
            &[b"\0\0\0\0\x01ab"],
            &[b"\0\0\0\0\x01a", b"\0\0\0\0\x01b"],
        ] {
            assert_eq!(read_of(frames).await.unwrap(), NONE_SUCH, "{frames:?}");
        }
        for (frames, code) in [
            (&[][..], Code::Internal),
            (&[&b"\0\0\0\0"[..]], Code::Internal),
            (&[b"\0\0\0\0\x02a"], Code::Internal),
            (&[b"\x01\0\0\0\x01a"], Code::Unimplemented),
        ] {
            assert_eq!(read_of(frames).await, Err(code), "{frames:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_counts_until_its_trailers_are_out() {
        let bounds = Arc::new(Bounds::default());
        let slot = bounds.admit().unwrap();
        let mut told = Told::Answer(Bytes::from_static(b"answer"), slot);
        let mut next = async || poll_fn(|it| Pin::new(&mut told).poll_frame(it)).await;
        let data = next().await.unwrap().unwrap();
        assert_eq!(data.into_data().unwrap(), "answer");
        assert_eq!(Arc::strong_count(&bounds), 2);
        let trailers = next().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert!(next().await.is_none());
        assert_eq!(Arc::strong_count(&bounds), 1);
    }
}
