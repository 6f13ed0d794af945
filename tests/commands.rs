//! The commands that manage a running server's directory, as an operator runs them: the real binary, twice.
//!
//! What a command has done is judged by a Check, the next one, without a restart or a wait.

mod support;

/// In `tests/commands/`.
mod commands {
    mod clustered;
    mod explaining;
    mod files;
    mod healthcheck;
    mod records;
    mod revoking;
    mod running;
    mod shared;
    mod usage;
}
