//! How long an answer is good, as it says itself (RFC 9111 §4.2.1, §5.1, §5.2.2).

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AGE, CACHE_CONTROL};

/// Gives how long an answer is good from now on; `None` where it does not say.
///
/// Of two directives that contradict each other, the shorter counts.
pub(super) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let directives = lines.filter_map(|it| it.to_str().ok());
    let directives = directives.flat_map(|it| it.split(',')).map(str::trim);
    let shortest = directives.filter_map(seconds).min()?;
    let age = headers.get(AGE).and_then(|it| it.to_str().ok());
    let age = age.and_then(number).unwrap_or(0);
    Some(Duration::from_secs(shortest.saturating_sub(age)))
}

/// Gives what one directive says; one that cannot be read means that the answer is stale already.
fn seconds(directive: &str) -> Option<u64> {
    let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
    let is = |it: &str| name.eq_ignore_ascii_case(it);
    if is("no-store") || is("no-cache") {
        return Some(0);
    }
    is("max-age").then(|| number(value.trim_matches('"')).unwrap_or(0))
}

/// Reads seconds; what is longer than any number is the longest (RFC 9111 §1.2.2).
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_as_long_as_it_says_and_not_longer() {
        for (lines, age, want) in [
            (&[][..], None, None),
            (&["public"][..], None, None),
            (&["public, max-age=3600"][..], None, Some(3600)),
            (&["public, Max-Age=\"3600\""][..], None, Some(3600)),
            (
                &["max-age=3600", "must-revalidate"][..],
                Some("600"),
                Some(3000),
            ),
            (&["max-age=60"][..], Some("61"), Some(0)),
            (&["max-age=60"][..], Some("soon"), Some(60)),
            (&["max-age=60, max-age=10"][..], None, Some(10)),
            (&["max-age=60", "no-cache"][..], None, Some(0)),
            (&["no-store"][..], None, Some(0)),
            (&["max-age=-1"][..], None, Some(0)),
            (&["max-age"][..], None, Some(0)),
            (&["max-age=99999999999999999999"][..], None, Some(u64::MAX)),
            (&["s-maxage=60"][..], None, None),
        ] {
            let mut headers = HeaderMap::new();
            for it in lines {
                headers.append(CACHE_CONTROL, it.parse().expect("a value"));
            }
            if let Some(it) = age {
                headers.append(AGE, it.parse().expect("a value"));
            }
            let want = want.map(Duration::from_secs);
            assert_eq!(max_age(&headers), want, "{lines:?} at the age of {age:?}");
        }
    }
}
