//! Times as Infobip writes them: in UTC, without saying so.

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// The longest text that is a time, in bytes.
const MAX_BYTES: usize = 64;

/// The last second that is written with four digits for its year.
const LAST: u64 = 253_402_300_799;

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// Which second a time between two counts as.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// Where something begins: it does so no earlier.
    Next,
    /// Where something ends: it does so no later.
    Previous,
}

/// Reads a time, in UTC where it names no zone (RFC 3339), as Unix seconds. `None` also before 1970
/// and after 9999.
pub(super) fn parse(text: &str, to: To) -> Option<u64> {
    // More than RFC 3339 would be understood: a day alone, a week's date, a zone by its name.
    let shaped =
        text.len() <= MAX_BYTES && text.as_bytes().get(10) == Some(&b'T') && !text.contains('[');
    if !shaped {
        return None;
    }
    let local = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let since = match local.get(11..)?.contains(['+', '-', 'Z', 'z']) {
        true => text.parse::<Timestamp>().ok()?.as_duration(),
        false => local.parse::<DateTime>().ok()?.duration_since(EPOCH),
    };
    let seconds = u64::try_from(since.as_secs()).ok()?;
    let seconds = match to {
        To::Next if since.subsec_nanos() > 0 => seconds + 1,
        To::Next | To::Previous => seconds,
    };
    let negative = since.is_negative();
    Some(seconds).filter(|it| *it <= LAST && !negative)
}

/// Writes Unix seconds; what lies behind the year 9999 is its end.
pub(super) fn written(seconds: u64) -> String {
    let time = of(seconds.min(LAST)).unwrap_or(EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Gives the same time a year later, in Unix seconds; the end of the year 9999 at the latest.
pub(super) fn a_year_after(seconds: u64) -> u64 {
    let later = of(seconds).and_then(|it| it.checked_add(1.year()).ok());
    let since = later.map(|it| it.duration_since(EPOCH).as_secs());
    since.and_then(|it| u64::try_from(it).ok()).unwrap_or(LAST)
}

fn of(seconds: u64) -> Option<DateTime> {
    let since = SignedDuration::from_secs(i64::try_from(seconds).ok()?);
    EPOCH.checked_add(since).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_utc_unless_it_names_a_zone_and_counts_in_whole_seconds() {
        for (text, next, previous) in [
            ("2030-01-31T10:00:00", "2030-01-31T10:00:00", ""),
            ("2030-01-31T10:00:00Z", "2030-01-31T10:00:00", ""),
            ("2030-01-31T10:00:00+02:00", "2030-01-31T08:00:00", ""),
            ("2030-01-31T10:00:00-02:00", "2030-01-31T12:00:00", ""),
            (
                "2030-01-31T10:00:00.988+0000",
                "2030-01-31T10:00:01",
                "2030-01-31T10:00:00",
            ),
            (
                "2030-12-31T23:59:59.000000001",
                "2031-01-01T00:00:00",
                "2030-12-31T23:59:59",
            ),
            ("1970-01-01T00:00:00", "1970-01-01T00:00:00", ""),
            ("9999-12-31T23:59:59", "9999-12-31T23:59:59", ""),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59", ""),
        ] {
            let previous = if previous.is_empty() { next } else { previous };
            for (to, want) in [(To::Next, next), (To::Previous, previous)] {
                let got = parse(text, to).map(written);
                assert_eq!(got.as_deref(), Some(want), "{text} {to:?}");
            }
        }
        for text in [
            "",
            "T",
            "soon",
            "2030-01-31",
            "2030-01-31 10:00:00",
            "20300131T100000",
            "2030-W05-4T10:00:00",
            "2030-02-31T10:00:00",
            "2030-01-31T25:00:00",
            "2030-01-31T10:00:00+99:00",
            "2030-01-31T10:00:00ZZ",
            "2030-01-31T10:00:00[UTC]",
            "2030-01-31T10:00:00+01:00[Europe/Zagreb]",
            "1969-12-31T23:59:59",
            "1969-12-31T23:59:59.5",
            "-009999-01-01T00:00:00",
            "+010000-01-01T00:00:00",
            "2030-01-31Tée",
        ] {
            assert_eq!(parse(text, To::Previous), None, "{text}");
        }
    }

    #[test]
    fn a_year_is_one_of_the_calendar() {
        for (from, to) in [
            ("2025-06-15T12:00:00", "2026-06-15T12:00:00"),
            ("2027-06-15T12:00:00", "2028-06-15T12:00:00"),
            ("2028-02-29T01:02:03", "2029-02-28T01:02:03"),
            ("9999-06-15T12:00:00", "9999-12-31T23:59:59"),
        ] {
            let seconds = parse(from, To::Next).expect("a time");
            assert_eq!(written(a_year_after(seconds)), to);
        }
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59");
    }
}
