//! A client of `envoy.service.auth.v3.Authorization/Check`, and of what stands beside it, that sends and gives raw
//! message bytes.
//!
//! It knows nothing of the messages, so that it can also ask what no encoder would: broken and oversized ones.

use std::net::SocketAddr;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Status};

/// The path of the method.
pub const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// One connection to a Check service.
#[derive(Clone, Debug)]
pub struct CheckClient {
    grpc: Grpc<Channel>,
}

impl CheckClient {
    /// Connects over TCP.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_to(format!("http://{address}")).await
    }

    /// Connects over a Unix socket.
    pub async fn connect_unix(path: &Path) -> Self {
        Self::connect_to(format!("unix://{}", path.display())).await
    }

    /// Asks with a message, or with a [`tonic::Request`] of one where metadata or a deadline belongs to it.
    ///
    /// Gives the bytes of the answer, or the status that the RPC ended with.
    pub async fn check(&mut self, message: impl IntoRequest<Bytes>) -> Result<Bytes, Status> {
        self.call(PATH, message).await
    }

    /// Calls any method that takes one message and gives one, by its path.
    pub async fn call(
        &mut self,
        path: &'static str,
        message: impl IntoRequest<Bytes>,
    ) -> Result<Bytes, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(path);
        let response = self
            .grpc
            .unary(message.into_request(), path, RawCodec)
            .await?;
        Ok(response.into_inner())
    }

    /// Calls any method that takes a stream and gives one, with one message, and gives the first answer.
    pub async fn call_streaming(
        &mut self,
        path: &'static str,
        message: Bytes,
    ) -> Result<Option<Bytes>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(path);
        let messages = tonic::Request::new(tokio_stream::once(message));
        let response = self.grpc.streaming(messages, path, RawCodec).await?;
        response.into_inner().message().await
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.grpc.ready().await;
        ready.map_err(|error| Status::from_error(error.into()))
    }

    async fn connect_to(uri: String) -> Self {
        let endpoint = Endpoint::from_shared(uri.clone()).expect("a URI made here");
        let channel = endpoint.connect().await;
        let channel = channel.unwrap_or_else(|error| panic!("no connection to {uri}: {error:?}"));
        Self {
            grpc: Grpc::new(channel),
        }
    }
}

/// A codec for messages that stay bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
