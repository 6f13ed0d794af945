//! c: the floor. A server that answers every Check with the same bytes and reads nothing.
//!
//! A service of tonic's over a codec that hands over raw bytes, on the runtime that `portcullis serve` has: what
//! anybody's Check costs who reads nothing. `serve` itself leaves tonic where HTTP/2 ends (`serve::checks`), and
//! deciding may cost what that saves. Where `serve` changes its runtime or its allocator, c changes with it.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use portcullis::envoy::protos::authorization_server::{Authorization, AuthorizationServer};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Serves at `address` until the process is killed, answering with what stands in the file.
pub fn serve(address: SocketAddr, answer: &Path) {
    let answer = Bytes::from(std::fs::read(answer).expect("the file with the answer"));
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .expect("the address is free");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .add_service(AuthorizationServer::new(Constant(answer)))
            .serve_with_incoming(incoming)
            .await
    });
    served.expect("a listener that lasts");
}

#[derive(Debug)]
struct Constant(Bytes);

#[tonic::async_trait]
impl Authorization for Constant {
    async fn check(&self, _: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}
