//! Instructions per request, by callgrind.
//!
//! A server runs under callgrind, which is told when to begin to count and asked how much it has counted before a load and
//! after. What the kernel does is not in it. With many requests under way it repeats within one in a hundred, on a busy
//! machine too.

use std::process::Command;
use std::sync::Arc;

use crate::asked::Question;
use crate::asker::{End, Shape};
use crate::served::{Server, Wrapping};

/// Why nothing can be counted, if so.
pub fn trouble() -> Option<&'static str> {
    let is_there = |program: &str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|it| it.status.success())
    };
    let are_there = is_there("valgrind") && is_there("callgrind_control");
    (!are_there).then_some("valgrind is not installed")
}

/// Gives how a server is started so that it can be counted, on these cores.
pub fn counting(pinned: &Wrapping) -> Wrapping {
    let mut wrapping = pinned.clone();
    let callgrind = [
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--callgrind-out-file=/dev/null",
    ];
    wrapping.0.extend(callgrind.map(str::to_owned));
    wrapping
}

/// Has callgrind begin to count, or stop: what is not counted goes ten times as fast.
pub fn count(server: &Server<'_>, on: bool) {
    control(server, &["-i", if on { "on" } else { "off" }]);
}

/// Counts what a request costs a server that is started so, warm and counting.
pub fn per_request(
    server: &Server<'_>,
    question: &Arc<Question>,
    shape: Shape,
    requests: u64,
) -> f64 {
    let counted = server.counted(question);
    let before = total(server);
    let answered = server.load_raw(question, shape, End::Answers(requests));
    let after = total(server);
    server.assert_counted(question, counted, answered.answers);
    (after - before) as f64 / requests as f64
}

/// Gives all that was counted so far, of all threads.
fn total(server: &Server<'_>) -> u64 {
    let told = control(server, &["-e"]);
    let threads = told.lines().filter_map(|it| {
        let (_, count) = it.trim().strip_prefix("Th")?.trim().split_once(' ')?;
        count.trim().replace(',', "").parse::<u64>().ok()
    });
    let total = threads.sum();
    assert!(total > 0, "callgrind counts nothing: {told}");
    total
}

fn control(server: &Server<'_>, words: &[&str]) -> String {
    let told = Command::new("callgrind_control")
        .args(words)
        .arg(server.id().to_string())
        .output()
        .expect("callgrind_control, which comes with valgrind");
    assert!(told.status.success(), "{told:?}");
    String::from_utf8_lossy(&told.stdout).into_owned()
}
