//! Plain HTTP/1.1 for the admin and the issue listener, within bounds.

use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::serve::accept::{Accepted, serve_each, serve_until};
use crate::serve::tls::Opening;

/// How long a head may take to arrive; also how long a connection may stand idle before it.
pub const MAX_HEAD_SECONDS: u64 = 10;

/// The largest head, in bytes: twice what an Envoy lets pass by default, since it brings the context.
pub const MAX_HEAD_BYTES: usize = 128 * 1024;

/// How many header lines a head may have: an Envoy lets 100 pass by default, and adds some.
pub const MAX_HEAD_LINES: usize = 256;

/// Serves until `stopped` says so; answers under way are finished.
pub async fn serve(
    listener: TcpListener,
    opening: Opening,
    router: Router,
    stopped: watch::Receiver<bool>,
) {
    let one = |it| serve_one(it, opening.clone(), router.clone(), stopped.clone());
    serve_each(listener, None, stopped.clone(), one).await;
}

async fn serve_one(
    connection: Accepted<TcpListener>,
    opening: Opening,
    router: Router,
    stopped: watch::Receiver<bool>,
) {
    let ends = connection.ends().map(ConnectInfo);
    let Some(connection) = connection.open(&opening, 0).await else {
        return;
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(MAX_HEAD_SECONDS))
        .max_headers(MAX_HEAD_LINES)
        .max_buf_size(MAX_HEAD_BYTES);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(ends) = ends {
            request.extensions_mut().insert(ends);
        }
        router.call(request)
    });
    serve_until(
        http.serve_connection(TokioIo::new(connection), service),
        stopped,
    )
    .await;
}
