//! The table of promises: what was measured beside what was promised.

use std::fs;
use std::process::Command;

/// What a row ends in.
#[derive(Clone, Debug)]
pub enum Verdict {
    Met,
    Missed,
    NotMeasured(String),
}

/// One promise.
#[derive(Clone, Debug)]
pub struct Row {
    pub promise: String,
    measured: String,
    target: String,
    verdict: Verdict,
    /// What was measured as a part of what was promised, for the plot: up to 1 it is met.
    pub part: Option<f64>,
}

/// Which side of the target is the good one.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    /// Judges a figure, which `measured` puts into words.
    pub fn judge(promise: &str, measured: String, figure: f64, target: Target, unit: &str) -> Self {
        let (is_met, part, words) = match target {
            Target::AtMost(most) => (figure <= most, figure / most, format!("≤ {most}{unit}")),
            Target::AtLeast(least) => (figure >= least, least / figure, format!("≥ {least}{unit}")),
        };
        Self {
            promise: promise.to_owned(),
            measured,
            target: words,
            verdict: if is_met {
                Verdict::Met
            } else {
                Verdict::Missed
            },
            part: Some(part),
        }
    }

    /// Judges a ratio, and shows what it is of.
    pub fn ratio(promise: &str, (of, to): (f64, f64), target: Target) -> Self {
        let ratio = of / to;
        let measured = format!("{ratio:.2} ({of:.0} to {to:.0})");
        Self::judge(promise, measured, ratio, target, "")
    }

    /// A promise of which nothing can be said here.
    pub fn not_measured(promise: &str, why: &str, target: &str) -> Self {
        Self {
            promise: promise.to_owned(),
            measured: String::new(),
            target: target.to_owned(),
            verdict: Verdict::NotMeasured(why.to_owned()),
            part: None,
        }
    }

    /// The same row without a verdict, for what was seen under a condition that it does not hold under.
    pub fn unless(self, trouble: Option<String>) -> Self {
        match trouble {
            None => self,
            Some(why) => Self {
                verdict: Verdict::NotMeasured(why),
                part: None,
                ..self
            },
        }
    }
}

/// The rows so far. Each is printed as it comes.
#[derive(Debug)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Prints its head.
    pub fn begin() -> Self {
        println!("| promise | measured | target | |\n|---|---|---|---|");
        Self(Vec::new())
    }

    /// Prints a row.
    pub fn add(&mut self, row: Row) {
        let verdict = match &row.verdict {
            Verdict::Met => "met".to_owned(),
            Verdict::Missed => "missed".to_owned(),
            Verdict::NotMeasured(why) => format!("not measured: {why}"),
        };
        println!(
            "| {} | {} | {} | {verdict} |",
            row.promise, row.measured, row.target
        );
        self.0.push(row);
    }
}

/// Gives the middle one.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Says on what it is measured: programs, processor, and what else runs.
pub fn machine() -> String {
    let said = |program: &str, word: &str| {
        let output = Command::new(program).arg(word).output();
        let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
        text.unwrap_or_else(|_| format!("no {program}"))
    };
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|it| it.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |it| it.1);
    // All of them: this process may have been put on one.
    let cores = processors.lines().filter(|it| it.starts_with("processor"));
    let cores = cores.count();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{} UTC, {}, {}, Linux {}\n{cores} cores of {model}; load {load} at the start",
        said("date", "-u").replace(" UTC", ""),
        said("rustc", "--version"),
        said("valgrind", "--version"),
        said("uname", "-r"),
    )
}
