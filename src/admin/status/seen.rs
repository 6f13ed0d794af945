//! What the status page shows, put into words once: the page as it is loaded and what its script asks for say the same.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use crate::admin::status::words::{count, line, long, rate, share, short, time};
use crate::admin::status::{Overview, health};
use crate::admin::{Shown, Standing};
use crate::telemetry::glance::{Counted, KEPT, LOOKS, Look, Refused};

/// How wide and high a card's line is, in steps: one for each look.
pub(super) const LINE_WIDTH: usize = LOOKS - 1;
pub(super) const LINE_HEIGHT: usize = 32;

/// How many looks make up what is going on now.
pub(super) const NOW: usize = 10;

/// What the page shows.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    values: BTreeMap<String, String>,
    tables: BTreeMap<&'static str, Vec<Row>>,
}

/// A line of a table.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Row {
    /// `good`, `warn` or `bad`, or nothing: of the second cell.
    pub(super) mark: &'static str,
    pub(super) cells: Vec<String>,
}

impl Seen {
    /// Looks at everything.
    pub(super) fn now(shown: &Shown) -> Self {
        let mut seen = Self::default();
        let looks = shown.metrics.glance().looks();
        seen.put_decisions(shown, &looks);
        let rows = health::rows(shown, &looks);
        seen.put_head(shown, &rows);
        seen.tables.insert("health", rows);
        let refused = shown.metrics.glance().refusals.last();
        let note = match refused.is_empty() {
            true => "Nothing was denied, and nothing failed, since the start.".to_owned(),
            false => format!(
                "Up to {KEPT} of each second, the newest first; without queries and tokens. The audit, where it is on, has them all."
            ),
        };
        seen.put("refused.note", &note);
        seen.tables
            .insert("refused", refused.iter().map(refusal).collect());
        seen.put_configuration(&shown.overview);
        seen
    }

    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    #[cfg(test)]
    pub(super) fn add(&mut self, table: &'static str, row: Row) {
        self.tables.entry(table).or_default().push(row);
    }

    /// A value by its name; nothing where there is none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// A table by its name; without rows where there is none.
    pub(super) fn table(&self, name: &str) -> &[Row] {
        self.tables.get(name).map_or(&[], Vec::as_slice)
    }

    fn put_head(&mut self, shown: &Shown, rows: &[Row]) {
        let standing = shown.readiness.get();
        let (word, mark) = match standing {
            Standing::Ready => ("Ready", "good"),
            Standing::Starting => ("Starting", "warn"),
            Standing::StoreNotReached(_) => ("Not ready", "bad"),
            Standing::Draining => ("Draining", "warn"),
        };
        let trouble = rows.iter().filter(|it| matches!(it.mark, "warn" | "bad"));
        let marks = trouble.clone().map(|it| it.mark);
        // In this order they are by how bad they are, too.
        let summary_mark = marks.min().unwrap_or("good");
        let trouble: Vec<_> = trouble
            .map(|it| it.cells.first().map_or("", String::as_str))
            .collect();
        let summary = match trouble.is_empty() {
            true => "Nothing needs attention".to_owned(),
            false => format!("Needs attention: {}", trouble.join(", ")),
        };
        let overview = &shown.overview;
        let now = overview.clock.unix_seconds();
        for (name, value) in [
            ("standing", word),
            ("standing.mark", mark),
            ("summary", &summary),
            ("summary.mark", summary_mark),
            ("said", &format!("{word}. {summary}.")),
            ("title", &format!("{word} · Portcullis")),
            ("version", env!("CARGO_PKG_VERSION")),
            ("uptime", &long(now.saturating_sub(overview.began))),
            ("now", &time(now)),
        ] {
            self.put(name, value);
        }
    }

    fn put_decisions(&mut self, shown: &Shown, looks: &[Look]) {
        let counted = shown.metrics.counted();
        for (name, of) in [
            ("allowed", (|it| it.allowed) as fn(&Counted) -> u64),
            ("denied", |it| it.denied),
            ("faults", |it| it.faults),
        ] {
            let per_second = |it: &Look| per_second(of(&it.counted), it.took);
            let each: Vec<_> = looks.iter().map(per_second).collect();
            let highest = each.iter().copied().fold(0.0, f64::max);
            let (now, took) = lately(looks);
            let figure = rate(self::per_second(of(&now), took));
            let since = count(of(&counted));
            let more = format!(
                "{since} since the start, {} a second at most",
                rate(highest)
            );
            let failing = name == "faults" && of(&now) > 0;
            let mark = if failing { "bad" } else { "" };
            self.put_card(name, mark, (&figure, "a second"), &more, &each);
        }
        self.put_known(shown, looks);
        self.put_lag(looks);
    }

    fn put_known(&mut self, shown: &Shown, looks: &[Look]) {
        let (now, _) = lately(looks);
        let (identities, denials) = shown.cache.entries();
        let each = looks.iter().map(|it| {
            let Counted {
                known, presented, ..
            } = it.counted;
            known as f64 / presented.max(1) as f64
        });
        let each: Vec<_> = each.collect();
        let more = format!(
            "of credentials; {} identities and {} denials are kept",
            count(identities),
            count(denials)
        );
        let figure = (&*share(now.known, now.presented), "%");
        self.put_card("known", "", figure, &more, &each);
    }

    fn put_lag(&mut self, looks: &[Look]) {
        let lags = looks.iter().map(|it| it.lag);
        let last = lags.clone().rev().take(NOW).flatten().next();
        let each: Vec<_> = looks
            .iter()
            .map(|it| it.lag.unwrap_or_default().as_secs_f64())
            .collect();
        let (figure, more) = match (last, lags.flatten().max()) {
            (Some(last), Some(longest)) => {
                let (longest, unit) = short(longest);
                let more = format!("until word of a change is here; {longest} {unit} at most");
                (short(last), more)
            }
            _ => {
                let more = "no word of a change came from elsewhere lately".to_owned();
                (("–".to_owned(), ""), more)
            }
        };
        self.put_card("lag", "", (&figure.0, figure.1), &more, &each);
    }

    fn put_card(
        &mut self,
        name: &str,
        mark: &str,
        (figure, unit): (&str, &str),
        more: &str,
        each: &[f64],
    ) {
        let (line, area) = line(each, LINE_WIDTH, LINE_HEIGHT);
        for (part, value) in [
            ("mark", mark),
            ("figure", figure),
            ("unit", unit),
            ("more", more),
            ("line", &line),
            ("area", &area),
        ] {
            self.put(&format!("{name}.{part}"), value);
        }
    }

    fn put_configuration(&mut self, overview: &Overview) {
        let it = overview.configured.get();
        let now = overview.clock.unix_seconds();
        let loaded = format!(
            "{}, {} ago",
            time(it.loaded),
            long(now.saturating_sub(it.loaded))
        );
        // As `portcullis_config_hash` has it.
        let hash = (it.hash >> 16).to_string();
        let first = [
            ("File", it.file.clone()),
            ("In force since", loaded),
            ("Hash", hash),
            ("Store", it.store.clone()),
        ];
        let pairs = first.into_iter().chain(it.settings.iter().cloned());
        let rows = pairs.map(|(name, value)| Row {
            mark: "",
            cells: vec![name.to_owned(), value],
        });
        self.tables.insert("configuration", rows.collect());
        let rows = it.platforms.iter().map(|it| Row {
            mark: "",
            cells: [&it.name, &it.hosts, &it.prefix, &it.schemes]
                .map(Clone::clone)
                .into(),
        });
        self.tables.insert("platforms", rows.collect());
    }
}

fn per_second(number: u64, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    // The first look may follow at once on the start.
    if seconds < 0.05 {
        return 0.0;
    }
    number as f64 / seconds
}

/// What the last looks saw together, and in how long.
pub(super) fn lately(looks: &[Look]) -> (Counted, Duration) {
    let last = looks.iter().rev().take(NOW);
    last.fold(Default::default(), |(counted, took), it| {
        (Counted::and(&counted, &it.counted), took + it.took)
    })
}

fn refusal(it: &Refused) -> Row {
    let seconds = it.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let is_fault = it.outcome == "fault";
    let word = if is_fault { "fault" } else { "denied" };
    let place = [&it.platform, &it.scheme, &it.rule];
    let place: Vec<_> = place
        .into_iter()
        .filter(|it| !it.is_empty())
        .map(String::as_str)
        .collect();
    let about = ["account", "user", "key"].into_iter().zip(&it.about);
    let about: Vec<_> = about
        .filter(|it| !it.1.is_empty())
        .map(|(kind, id)| format!("{kind} {id}"))
        .collect();
    Row {
        mark: if is_fault { "bad" } else { "warn" },
        cells: vec![
            time(seconds.as_secs()),
            format!("{word}: {}", it.reason),
            place.join(" / "),
            format!("{} {}", it.method, it.path),
            it.client.map(|it| it.to_string()).unwrap_or_default(),
            about.join(", "),
            it.decision_id.clone(),
        ],
    }
}
