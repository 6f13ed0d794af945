//! Numbers, times and lines, as people read them.

use std::time::Duration;

/// Writes a number with a comma before each three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes how often something happens, with as many digits as say something.
pub(super) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 0.1 {
        "< 0.1".to_owned()
    } else if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// Writes a part of a whole; a dash where there is no whole.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    // What is not all of it is not shown as all of it.
    let percent = if part < whole {
        percent.min(99.9)
    } else {
        percent
    };
    format!("{percent:.1}")
}

/// Writes a short time: the number and the unit.
pub(super) fn short(time: Duration) -> (String, &'static str) {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 {
        (format!("{milliseconds:.2}"), "ms")
    } else if milliseconds < 1000.0 {
        (format!("{milliseconds:.0}"), "ms")
    } else {
        (format!("{:.1}", time.as_secs_f64()), "s")
    }
}

/// Writes a long time, in the two largest units that say something.
pub(super) fn long(seconds: u64) -> String {
    let [days, hours, minutes] = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60];
    let (first, second) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds} s"),
        (0, 0, _) => return format!("{minutes} min"),
        (0, ..) => ((hours, "h"), (minutes, "min")),
        _ => ((days, "d"), (hours, "h")),
    };
    let mut text = format!("{} {}", first.0, first.1);
    if second.0 > 0 {
        text.push_str(&format!(" {} {}", second.0, second.1));
    }
    text
}

/// Writes a time, in Unix seconds, as RFC 3339 does but for a space.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|it| jiff::Timestamp::from_second(it).ok());
    match time {
        Some(time) => time.to_string().replace('T', " "),
        None => "for ever".to_owned(),
    }
}

/// Draws a line through values, each a step to the right, the last at the right end; and what is below it. The highest
/// touches the top of the height.
pub(super) fn line(values: &[f64], width: usize, height: usize) -> (String, String) {
    if values.len() < 2 {
        return (String::new(), String::new());
    }
    let highest = values.iter().copied().fold(0.0, f64::max);
    let height = height as f64;
    // Half a stroke, so that none is cut off.
    let top = 1.0;
    let first = (width + 1).saturating_sub(values.len());
    let points = values.iter().enumerate().map(|(at, value)| {
        let part = if highest > 0.0 { value / highest } else { 0.0 };
        let down = height - part * (height - top);
        format!("{} {down:.1}", first + at)
    });
    let line = format!("M{}", points.collect::<Vec<_>>().join("L"));
    let area = format!("{line}V{height}H{first}Z");
    (line, area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_say_something() {
        for (number, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), want);
        }
        for (number, want) in [
            (0.0, "0.0"),
            (0.02, "< 0.1"),
            (0.1, "0.1"),
            (9.94, "9.9"),
            (12.4, "12"),
            (45_678.4, "45,678"),
        ] {
            assert_eq!(rate(number), want);
        }
        for (part, whole, want) in [
            (0, 0, "–"),
            (0, 3, "0.0"),
            (2, 3, "66.7"),
            (99_999, 100_000, "99.9"),
            (7, 7, "100.0"),
        ] {
            assert_eq!(share(part, whole), want);
        }
        for (microseconds, want) in [
            (0, ("0.00", "ms")),
            (420, ("0.42", "ms")),
            (34_400, ("34", "ms")),
            (1_260_000, ("1.3", "s")),
        ] {
            let (number, unit) = short(Duration::from_micros(microseconds));
            assert_eq!((&*number, unit), want);
        }
    }

    #[test]
    fn times_are_told_in_units_that_people_use() {
        for (seconds, want) in [
            (0, "0 s"),
            (59, "59 s"),
            (3599, "59 min"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (86_400, "1 d"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(long(seconds), want);
        }
        assert_eq!(time(1_790_000_000), "2026-09-21 14:13:20Z");
        assert_eq!(time(u64::MAX), "for ever");
    }

    #[test]
    fn a_line_ends_at_the_right_and_its_highest_value_touches_the_top() {
        let (line, area) = line(&[0.0, 4.0, 2.0], 10, 21);
        assert_eq!(line, "M8 21.0L9 1.0L10 11.0");
        assert_eq!(area, "M8 21.0L9 1.0L10 11.0V21H8Z");
        let flat = super::line(&[0.0, 0.0], 10, 21);
        assert_eq!(flat.0, "M9 21.0L10 21.0");
        assert_eq!(super::line(&[1.0], 10, 21).0, "");
    }
}
