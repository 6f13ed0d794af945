//! How long Envoy waits for an answer.

use std::time::Duration;

/// Reads `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2, Requests).
pub(super) fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_timeout_is_understood() {
        assert_eq!(parse_timeout("200m"), Some(Duration::from_millis(200)));
        assert_eq!(parse_timeout("1S"), Some(Duration::from_secs(1)));
        for bad in ["", "m", "x", "200", "-1m", "123456789m", "1é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }
}
