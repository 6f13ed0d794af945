//! What was measured, drawn: each promise as a part of its target, and latencies by load.
//!
//! Colours that are read on light and on dark, and a background of neither.

use std::fmt::Write as _;

use crate::latency::Latency;
use crate::table::Row;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 430.0;
const BAR: f64 = 20.0;
const PLOT: f64 = 170.0;

/// What of a target fills the width of a bar chart; what is beyond is cut and told by its number.
const MOST: f64 = 2.0;

const STYLE: &str = "<style>text{font:12px sans-serif;fill:#24292f}.met{fill:#2f8f4e}.missed{fill:#d1603d}\
.axis{stroke:#8b949e;fill:none}.c{stroke:#8b949e;fill:#8b949e}.portcullis{stroke:#3b82c4;fill:#3b82c4}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>";

/// One of a server's figures, by its name.
type Figure = (&'static str, fn(&Latency) -> f64);

/// Gives the plot.
pub fn svg(rows: &[Row], latencies: &[Latency], title: &str) -> String {
    let bars: Vec<_> = rows.iter().filter_map(|it| Some((it, it.part?))).collect();
    let top = 50.0 + bars.len() as f64 * BAR;
    let height = top + PLOT + 90.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\">\n{STYLE}\n\
         <text x=\"8\" y=\"18\">{}</text>\n",
        escaped(title)
    );
    parts(&mut text, &bars);
    if !latencies.is_empty() {
        lines(&mut text, latencies, top + 40.0);
    }
    text.push_str("</svg>\n");
    text
}

fn parts(text: &mut String, bars: &[(&Row, f64)]) {
    let x = |part: f64| LEFT + part.min(MOST) / MOST * (WIDTH - LEFT - 60.0);
    let (from, target) = (36.0, x(1.0));
    let end = from + bars.len() as f64 * BAR;
    for (index, (row, part)) in bars.iter().enumerate() {
        let y = from + index as f64 * BAR;
        let class = if *part <= 1.0 { "met" } else { "missed" };
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text><rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" \
             width=\"{:.1}\" height=\"{:.0}\"/><text x=\"{:.1}\" y=\"{:.0}\">{part:.2}</text>",
            LEFT - 8.0,
            y + 12.0,
            escaped(&row.promise),
            x(*part) - LEFT,
            BAR - 5.0,
            x(*part) + 4.0,
            y + 12.0,
        );
    }
    let _ = writeln!(
        text,
        "<path class=\"axis\" d=\"M{target:.1} 28V{end:.0}\"/><text x=\"{:.1}\" y=\"26\">target = 1, less is better</text>",
        target - 20.0
    );
}

/// Latencies on a logarithmic scale, a line for each server and percentile.
fn lines(text: &mut String, latencies: &[Latency], top: f64) {
    let bottom = top + PLOT;
    let all = latencies.iter().flat_map(|it| [it.p50, it.p99, it.p999]);
    let (least, most) = all.fold((f64::INFINITY, 0.0_f64), |(least, most), it| {
        (least.min(it), most.max(it))
    });
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let y = |it: f64| bottom - (it.log10() - low) / (high - low).max(1.0) * PLOT;
    let x = |load: u32| 60.0 + (f64::from(load) - 20.0) / 60.0 * 560.0;
    let _ = writeln!(
        text,
        "<text x=\"8\" y=\"{:.0}\">latency of a hit, ms, by load in % of what each server can do</text>\
         <path class=\"axis\" d=\"M60 {top:.0}V{bottom:.0}H620\"/>",
        top - 12.0
    );
    for power in low as i32..=high as i32 {
        let value = 10_f64.powi(power);
        let at = y(value);
        let _ = writeln!(
            text,
            "<text x=\"52\" y=\"{:.0}\" text-anchor=\"end\">{value}</text><path class=\"axis\" opacity=\".4\" d=\"M60 {at:.0}H620\"/>",
            at + 4.0
        );
    }
    let figures: [Figure; 3] = [
        ("p50", |it| it.p50),
        ("p99", |it| it.p99),
        ("p99.9", |it| it.p999),
    ];
    for server in ["c", "portcullis"] {
        let own: Vec<_> = latencies.iter().filter(|it| it.server == server).collect();
        for (name, of) in figures {
            let points = own
                .iter()
                .map(|it| format!("{:.0},{:.1}", x(it.load), y(of(it))));
            let points: Vec<_> = points.collect();
            let _ = writeln!(
                text,
                "<polyline class=\"{server}\" style=\"fill:none\" stroke-width=\"2\" points=\"{}\"/>",
                points.join(" ")
            );
            if let Some(last) = own.last() {
                let _ = writeln!(
                    text,
                    "<text x=\"{:.0}\" y=\"{:.0}\">{server} {name}</text>",
                    x(last.load) + 8.0,
                    y(of(last)) + 4.0
                );
            }
        }
        for it in own {
            let _ = writeln!(
                text,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{} %</text>",
                x(it.load),
                bottom + 16.0,
                it.load
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
