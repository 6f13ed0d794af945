//! Instructions per request, by callgrind.
//!
//! A server is run twice, once for some requests and once for twice as many, and the difference is divided by the
//! requests between: start, warming and end drop out. What the kernel does is not in it. With many requests under
//! way it repeats within one in a hundred, on a busy machine too; with one, threads sleep and wake as it happens,
//! and it is within five. The profile of the longer run is kept for `callgrind_annotate`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::load::{End, Shape};
use crate::servers::{Bench, Which, Wrapping};

/// Tells whether valgrind is installed.
pub fn can_be_counted() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok_and(|it| it.status.success())
}

/// Counts what a request costs the server.
pub fn per_request(
    bench: &Bench,
    which: Which,
    pinned: &Wrapping,
    shape: Shape,
    requests: u64,
) -> f64 {
    let once = run(bench, which, pinned, shape, requests);
    let twice = run(bench, which, pinned, shape, 2 * requests);
    twice.saturating_sub(once) as f64 / requests as f64
}

/// Gives the instructions of a whole run.
fn run(bench: &Bench, which: Which, pinned: &Wrapping, shape: Shape, requests: u64) -> u64 {
    let Shape {
        connections,
        streams,
    } = shape;
    let counted = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "floor-{which:?}-{:?}-{connections}x{streams}.callgrind",
        bench.asked
    ));
    let mut wrapping = pinned.clone();
    wrapping.0.extend([
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", counted.display()),
    ]);
    let server = bench.start(which, &wrapping);
    server.load(shape, End::Answers(requests));
    server.stop();
    let profile = fs::read_to_string(&counted).expect("what callgrind wrote");
    let total = profile.lines().find_map(|it| it.strip_prefix("totals: "));
    total
        .and_then(|it| it.trim().parse().ok())
        .expect("the total that ends what callgrind writes")
}
