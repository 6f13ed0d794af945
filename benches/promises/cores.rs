//! Who runs where: the generator on core 1, servers on core 0 or on both.

use std::process::Command;

use crate::served::Wrapping;

/// Puts this process on core 1; tells whether that could be done.
pub fn pin() -> bool {
    let myself = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", "1", &myself])
        .output();
    pinned.is_ok_and(|it| it.status.success())
}

/// How a server is started on these cores, such as `0` or `0,1`.
pub fn on(cores: &str, is_pinned: bool) -> Wrapping {
    let words = ["taskset", "--cpu-list", cores].map(str::to_owned);
    match is_pinned {
        true => Wrapping(words.into()),
        false => Wrapping::default(),
    }
}
