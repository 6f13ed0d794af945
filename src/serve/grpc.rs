//! The gRPC services, and what one connection may ask of them (RFC 9113).

use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::server::HealthReporter;

use crate::envoy::{CheckServer, DESCRIPTORS, Door, MAX_MESSAGE_BYTES};
use crate::serve::StartError;
use crate::serve::bounds::{Bounded, Bounds};

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

/// Gives all services, and what tells health its status.
///
/// # Errors
/// Where reflection cannot be served.
pub fn routes(door: Door) -> Result<(HealthReporter, Router), StartError> {
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
    let check = CheckServer::new(door).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let health_service = health_service.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
    let reflection = reflection.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
    let old_reflection = old_reflection.max_decoding_message_size(MAX_OTHER_MESSAGE_BYTES);
    let routes = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MAX_RESETS_WAITING))
        .http2_max_local_error_reset_streams(Some(MAX_ERRORS))
        .http2_keepalive_interval(Some(Duration::from_secs(PING_SECONDS)))
        .http2_keepalive_timeout(Some(Duration::from_secs(MAX_PONG_SECONDS)))
        .add_service(Bounded::unary(check, &bounds))
        .add_service(Bounded::streaming(health_service, &bounds))
        .add_service(Bounded::streaming(reflection, &bounds))
        .add_service(Bounded::streaming(old_reflection, &bounds));
    Ok((health, routes))
}
