//! A run second by second: as CSV, and as a plot.

use std::fmt::Write as _;
use std::time::Duration;

use super::history::{Class, History, Sample};
use super::report::{milliseconds, quantile};

/// Gives a line a second.
pub(crate) fn csv(history: &History) -> String {
    let mut text = "second,answers,allowed,denied,faults,others,p50_ms,p99_ms".to_owned();
    for process in 0..history.processes {
        let _ = write!(
            text,
            ",memory_kib_{process},descriptors_{process},threads_{process}"
        );
    }
    text.push_str(",troubles\n");
    for second in 0..history.length.as_secs() {
        row(&mut text, history, second);
    }
    text
}

fn row(text: &mut String, history: &History, second: u64) {
    let (from, to) = (Duration::from_secs(second), Duration::from_secs(second + 1));
    let first = history.answers.partition_point(|it| it.sent < from);
    let last = history.answers.partition_point(|it| it.sent < to);
    let answers = &history.answers[first..last];
    let count = |is: &dyn Fn(Class) -> bool| answers.iter().filter(|it| is(it.class)).count();
    let allowed = count(&|it| it == Class::Allowed);
    let denied = count(&|it| matches!(it, Class::Denied(_)));
    let faults = count(&|it| it == Class::Fault);
    let all = answers.len();
    let others = all - allowed - denied - faults;
    let late = latencies(history, from, to);
    let (p50, p99) = (quantile(&late, 0.5), quantile(&late, 0.99));
    let (p50, p99) = (milliseconds(p50), milliseconds(p99));
    let _ = write!(
        text,
        "{second},{all},{allowed},{denied},{faults},{others},{p50},{p99}"
    );
    for process in 0..history.processes {
        let sample = sample(history, process, from, to);
        let of =
            |value: fn(&Sample) -> u64| sample.map_or_else(String::new, |it| value(it).to_string());
        let (memory, descriptors) = (of(|it| it.memory), of(|it| it.descriptors));
        let _ = write!(text, ",{memory},{descriptors},{}", of(|it| it.threads));
    }
    let troubles = history.troubles.iter();
    let troubles = troubles.filter(|it| it.begin < to && it.end > from);
    let troubles: Vec<_> = troubles.map(|it| it.fault.to_string()).collect();
    let _ = writeln!(text, ",{}", troubles.join(" "));
}

/// Of what was asked between, sorted.
fn latencies(history: &History, from: Duration, to: Duration) -> Vec<Duration> {
    let first = history.answers.partition_point(|it| it.sent < from);
    let last = history.answers.partition_point(|it| it.sent < to);
    let late = history.answers[first..last].iter();
    let mut late: Vec<_> = late.map(|it| it.came.saturating_sub(it.due)).collect();
    late.sort();
    late
}

fn sample(history: &History, process: usize, from: Duration, to: Duration) -> Option<&Sample> {
    let mut samples = history.samples.iter();
    samples.find(|it| it.process == process && it.at >= from && it.at < to)
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 70.0;
const GAP: f64 = 40.0;
const COLOURS: [&str; 3] = ["#1b6ca8", "#c8553d", "#588157"];

/// Gives memory, descriptors and the 99th percentile over time, troubles shaded.
pub(crate) fn svg(history: &History, title: &str) -> String {
    let height = GAP + 3.0 * (HEIGHT + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"18\">{title}</text>\n",
        LEFT + WIDTH + 20.0
    );
    let of = |process: usize, value: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        let samples = history.samples.iter().filter(|it| it.process == process);
        samples.map(|it| (it.at.as_secs_f64(), value(it))).collect()
    };
    let each = |value: fn(&Sample) -> f64| -> Vec<_> {
        (0..history.processes).map(|it| of(it, value)).collect()
    };
    let memory = |it: &Sample| it.memory as f64 / 1024.0;
    panel(
        &mut text,
        history,
        0,
        "memory of each process, MiB",
        &each(memory),
    );
    let descriptors = |it: &Sample| it.descriptors as f64;
    panel(
        &mut text,
        history,
        1,
        "open descriptors",
        &each(descriptors),
    );
    let late = (0..history.length.as_secs()).map(|it| {
        let (from, to) = (Duration::from_secs(it), Duration::from_secs(it + 1));
        let p99 = quantile(&latencies(history, from, to), 0.99);
        (it as f64, p99.as_secs_f64() * 1000.0)
    });
    panel(
        &mut text,
        history,
        2,
        "p99 of all Checks, ms",
        &[late.collect()],
    );
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, history: &History, place: u8, name: &str, lines: &[Vec<(f64, f64)>]) {
    let top = GAP + f64::from(place) * (HEIGHT + GAP);
    let length = history.length.as_secs_f64();
    let x = |at: f64| LEFT + at / length * WIDTH;
    for it in &history.troubles {
        let (from, to) = (x(it.begin.as_secs_f64()), x(it.end.as_secs_f64()));
        let wide = (to - from).max(0.5);
        let fault = it.fault;
        let _ = writeln!(
            text,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"{HEIGHT}\" fill=\"#f2d0a9\"><title>{fault}</title></rect>"
        );
    }
    let highest = lines.iter().flatten().map(|it| it.1).fold(1.0, f64::max);
    let bottom = top + HEIGHT;
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{}\">{name}</text><text x=\"5\" y=\"{}\">{highest:.0}</text><text x=\"5\" y=\"{bottom}\">0</text>\
         <path d=\"M{LEFT} {top}V{bottom}H{}\" stroke=\"black\" fill=\"none\"/><text x=\"{}\" y=\"{}\">{length:.0} s</text>",
        top - 4.0,
        top + 10.0,
        LEFT + WIDTH,
        LEFT + WIDTH - 40.0,
        bottom + 14.0
    );
    for (line, colour) in lines.iter().zip(COLOURS) {
        let points = line
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), bottom - value / highest * HEIGHT));
        let points: Vec<_> = points.collect();
        let points = points.join(" ");
        let _ = writeln!(
            text,
            "<polyline points=\"{points}\" stroke=\"{colour}\" fill=\"none\"/>"
        );
    }
}
