//! Peers that mean no good, at every listener: they say nothing, or a byte a second, they are gone, take nothing, open
//! and reset without end, and send what is larger than anything has to be.
//!
//! Whatever they do, others are answered, memory grows by a bounded amount, and what they held comes back.

mod support;

/// In `tests/transport/`.
mod transport {
    mod grpc;
    mod http;
    mod peers;
}
