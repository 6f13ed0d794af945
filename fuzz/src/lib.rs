//! The bodies of the fuzz targets, for the fuzzers and for the test that replays what they have kept
//! (`tests/fuzz_corpus.rs`): each takes any bytes, and panics where a promise is broken.

mod check_request;
mod config;
mod credentials;
mod directory;
mod issue_body;
mod jwt;
mod plain;
mod view;
mod world;

use portcullis::envoy::protos::auth::check_response::HttpResponse;

use plain::{Plain, message};

pub use credentials::planted_are_admitted;

/// Requests with each credential that is good.
const PLANTED_REQUESTS: &str = include_str!("planted.txt");

/// A target's name, as its corpus and its fuzzer have it, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("check_request", check_request::run),
    ("config", config::run),
    ("credentials", credentials::run),
    ("directory", directory::run),
    ("issue_body", issue_body::run),
    ("jwt", jwt::run),
    ("view", view::run),
];

/// Runs the target of this name.
///
/// # Panics
/// Where there is none, or a promise is broken.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|it| it.0 == name);
    target.expect("a target of this name").1(bytes);
}
