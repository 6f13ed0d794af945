//! The gRPC services, and what one connection may ask of them (RFC 9113).

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::envoy::{DESCRIPTORS, Door};
use crate::serve::StartError;
use crate::serve::accept::{Accepted, HTTP2_PREFACE, Source, serve_each, serve_until};
use crate::serve::bounds::{Bounded, Bounds};
use crate::serve::checks::Front;
use crate::serve::cores::Cores;
use crate::serve::tls::Opening;

/// How many requests a connection has at once. An Envoy sends 1024 at most by default, and those that are
/// refused before it has read this number are denials to it: no lower.
pub const MAX_STREAMS: u32 = 1024;

/// The largest headers of a request, in bytes, as HPACK counts them: an Envoy sends some hundred.
pub const MAX_HEADERS_BYTES: u32 = 16 * 1024;

/// The largest frame, in bytes: the least that may be set.
pub const MAX_FRAME_BYTES: u32 = 16 * 1024;

/// How many requests that their peer has reset may wait to be seen; with more, the connection ends
/// (CVE-2023-44487). When clients leave Envoy together, this many may reset theirs in one read.
pub const MAX_RESETS_WAITING: usize = 256;

/// How many requests of a connection may be reset for errors of their peer; then it ends (CVE-2025-8671).
pub const MAX_ERRORS: usize = 1024;

/// After how long a peer is asked whether it is there.
pub const PING_SECONDS: u64 = 5;

/// How long it may take to answer.
pub const MAX_PONG_SECONDS: u64 = 5;

/// The largest message to health and reflection, in bytes: theirs are names.
pub const MAX_OTHER_MESSAGE_BYTES: usize = 16 * 1024;

/// Gives what tells health its status, and all services.
///
/// # Errors
/// Where reflection cannot be served.
pub fn services(door: Door) -> Result<(HealthReporter, Front), StartError> {
    let bounds = Arc::new(Bounds::default());
    let (health, health_service) = tonic_health::server::health_reporter();
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = descriptors().build_v1()?;
    // Tools of before 2023 ask for this version only.
    let old_reflection = descriptors().build_v1alpha()?;
    let health_service = health_service.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
    let reflection = reflection.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
    let old_reflection = old_reflection.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
    let others = Routes::new(Bounded::new(health_service, &bounds))
        .add_service(Bounded::new(reflection, &bounds))
        .add_service(Bounded::new(old_reflection, &bounds))
        .prepare();
    Ok((health, Front::new(door, bounds, others)))
}

/// Serves on the cores until `stopped` says so; answers under way are finished.
pub async fn serve<S: Source>(
    (source, opening): (S, Opening),
    (front, cores): (Front, Arc<Cores>),
    stopped: watch::Receiver<bool>,
) {
    let one = |it| serve_one::<S>(it, opening.clone(), front.clone(), stopped.clone());
    serve_each(source, Some(cores), stopped.clone(), one).await;
}

async fn serve_one<S: Source>(
    connection: Accepted<S>,
    opening: Opening,
    front: Front,
    stopped: watch::Receiver<bool>,
) {
    let Some(connection) = connection.open(&opening, HTTP2_PREFACE).await else {
        return;
    };
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS_WAITING)
        .max_local_error_reset_streams(MAX_ERRORS)
        .keep_alive_interval(Duration::from_secs(PING_SECONDS))
        .keep_alive_timeout(Duration::from_secs(MAX_PONG_SECONDS))
        // No client of gRPC reads it.
        .auto_date_header(false);
    serve_until(
        http.serve_connection(TokioIo::new(connection), front),
        stopped,
    )
    .await;
}
