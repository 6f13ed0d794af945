//! Portcullis: the authorization service that Envoy asks.
//!
//! The way of a request, and the rooms it passes (a file uses only what stands on its own floor or
//! below; `tests/layers.rs` keeps that):
//!
//! ```text
//! CheckRequest ─▶ envoy::view ─▶ gate ─▶ platform ─▶ authenticator ─▶ scheme.decode ─▶ cache
//! CheckResponse ◀─ envoy::answer ◀────── policy.admit ◀── identity ◀── scheme.verify ◀── miss
//! ```
//!
//! | floor | rooms | about |
//! |---|---|---|
//! | 5 | [`cli`], [`serve`], [`control`], [`config`] | commands, listeners, settings |
//! | 4 | [`envoy`], [`admin`], [`explain`], [`issue`] | the edges: Envoy's protobuf, HTTP for operators and clients, one decision step by step |
//! | 3 | [`gate`], [`assertion`], [`authenticator`], [`platform`], [`policy`], [`throttle`], [`cache`], [`context`] | deciding |
//! | 2 | [`scheme`] | decoding and vouching |
//! | 1 | [`directory`], [`store`], [`proof`], [`keys`], [`outbound`], [`otlp`] | records, proofs, keys, servers that are asked or told |
//! | 0 | [`certificate`], [`credential`], [`request`], [`identity`], [`decision`], [`document`], [`clock`], [`current`], [`strict_json`], [`telemetry`], [`trace`] | words |

// Generated messages name what reads them by a path that also holds where tests include them.
extern crate self as portcullis;

use tikv_jemallocator::Jemalloc;

pub mod admin;
pub mod assertion;
pub mod authenticator;
pub mod cache;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod control;
pub mod credential;
pub mod current;
pub mod decision;
pub mod directory;
pub mod document;
pub mod envoy;
pub mod explain;
pub mod gate;
pub mod identity;
pub mod issue;
pub mod keys;
pub mod otlp;
pub mod outbound;
pub mod platform;
pub mod policy;
pub mod proof;
pub mod request;
pub mod scheme;
pub mod serve;
pub mod store;
pub mod strict_json;
pub mod telemetry;
pub mod throttle;
pub mod trace;

/// Keeps pieces of different sizes apart, so that what lives long leaves no holes among what does not.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
