//! The open loop: questions leave at a constant rate, whether answers come or not.
//!
//! A latency counts from when its question was to be sent. A server that stops for a while is so charged with all who would
//! have asked meanwhile, and not only with those whom it kept from asking (coordinated omission).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::asked::Question;
use crate::asker::{Asker, Place};

/// After how many questions the generator looks for answers, at the latest.
const STRIDE: u64 = 8;

/// What came of it, sorted.
#[derive(Debug)]
pub struct Latencies {
    /// From when a question was to be sent until its answer was read.
    pub latencies: Vec<Duration>,
    /// The part of that for which the generator is to be blamed: until the question was sent.
    pub late: Vec<Duration>,
}

impl Latencies {
    /// Gives the latency that so many of a thousand did not exceed, in milliseconds.
    pub fn at(&self, thousandths: usize) -> f64 {
        at(&self.latencies, thousandths)
    }

    /// The same of how late questions were sent.
    pub fn late_at(&self, thousandths: usize) -> f64 {
        at(&self.late, thousandths)
    }
}

fn at(sorted: &[Duration], thousandths: usize) -> f64 {
    let index = (sorted.len() - 1) * thousandths / 1000;
    sorted[index].as_secs_f64() * 1000.0
}

/// Asks `rate` times a second for `length`, over so many connections in turn.
pub async fn ask(
    place: &Place,
    question: &Arc<Question>,
    connections: usize,
    rate: f64,
    length: Duration,
) -> Latencies {
    let mut askers = Vec::new();
    for _ in 0..connections {
        askers.push(Asker::connect(place).await);
    }
    let all = (rate * length.as_secs_f64()) as u64;
    let mut under_way = JoinSet::new();
    let mut done = Vec::new();
    let begun = Instant::now();
    for number in 0..all {
        let due = begun + Duration::from_secs_f64(number as f64 / rate);
        // Timers are good to a millisecond; so it watches the clock, and sockets between.
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        if number.is_multiple_of(STRIDE) {
            tokio::task::yield_now().await;
        }
        let asker = askers[number as usize % connections].clone();
        let question = Arc::clone(question);
        under_way.spawn(async move {
            let late = due.elapsed();
            asker.ask(&question, number).await;
            (due.elapsed(), late)
        });
        while let Some(answered) = under_way.try_join_next() {
            done.push(answered.expect("an answer"));
        }
    }
    done.extend(under_way.join_all().await);
    let (mut latencies, mut late): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    latencies.sort();
    late.sort();
    Latencies { latencies, late }
}
