//! What comes from clients, as far as a line may hold it.

use std::fmt;

use crate::telemetry::traceparent::Parts;

/// How much of what a client sent stands in one field, in characters: more than any real id or name
/// has, so that a line stays below 4 KiB.
pub(super) const MAX_SENT: usize = 256;

/// What a client sent, or may have. Written in visible ASCII and spaces, any other byte as `%XX`, and
/// cut with `...` behind 256 characters.
#[derive(Clone, Copy, Default)]
pub struct Sent<'a>(&'a [u8]);

impl Sent<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives it as it is, where nothing is to be cut off.
    pub(super) fn short(&self) -> Option<&[u8]> {
        (self.0.len() <= MAX_SENT).then_some(self.0)
    }
}

pub(super) fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

impl<'a> From<&'a str> for Sent<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Sent<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut left = MAX_SENT;
        for byte in self.0 {
            let shown = if is_visible(*byte) { 1 } else { 3 };
            if shown > left {
                return f.write_str("...");
            }
            left -= shown;
            match shown {
                1 => f.write_char(char::from(*byte))?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Gives the trace's id out of a `traceparent` (W3C Trace Context §3.2.2); nothing where it is none.
#[must_use]
pub fn trace_id(traceparent: &[u8]) -> Option<&[u8]> {
    Parts::of(traceparent).map(|it| it.trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        Sent(bytes).to_string()
    }

    #[test]
    fn what_a_client_sent_is_visible_ascii_and_has_an_end() {
        for (sent, want) in [
            (&b"/a b~"[..], "/a b~"),
            (b"a\nb\r\0\x1b[31m", "a%0Ab%0D%00%1B[31m"),
            ("Öd \u{202e}".as_bytes(), "%C3%96d %E2%80%AE"),
            (b"\xff", "%FF"),
        ] {
            assert_eq!(shown(sent), want);
        }
        assert_eq!(shown(&[b'a'; 256]).len(), 256);
        assert_eq!(shown(&[b'a'; 257]), format!("{}...", "a".repeat(256)));
        assert_eq!(shown(&[0xff; 90]), format!("{}...", "%FF".repeat(85)));
    }

    #[test]
    fn of_a_traceparent_only_a_real_trace_id_is_taken() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (sent, taken) in [
            (format!("00-{id}-00f067aa0ba902b7-01"), true),
            (format!("01-{id}-00f067aa0ba902b7-01-more"), true),
            (format!("00-{id}-00f067aa0ba902b7-01-more"), false),
            (format!("ff-{id}-00f067aa0ba902b7-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{id}-{}-01", "0".repeat(16)), false),
            (
                format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
                false,
            ),
            (format!("00-{id}-00f067aa0ba902b7"), false),
            (format!("00-{id}-00f067aa0ba902b7-0"), false),
            (format!("00-{id}-00f067aa0ba902b7-01x"), false),
            (format!("01-{id}-00f067aa0ba902b7-01x"), false),
            (format!("00_{id}-00f067aa0ba902b7-01"), false),
            (format!("00-{id}-00f067aa0ba902b701-"), false),
            (format!("00-{id}-00f067aa0ba902b7x01"), false),
            (format!("0-0{id}-00f067aa0ba902b7-01"), false),
            (format!("00-{}ü-00f067aa0ba902b7-01", &id[2..]), false),
            (format!("00-{}\n-00f067aa0ba902b7-01", &id[1..]), false),
            (String::new(), false),
        ] {
            let want = taken.then_some(id.as_bytes());
            assert_eq!(trace_id(sent.as_bytes()), want, "{sent}");
        }
        assert_eq!(trace_id(b"00-\xff"), None);
        let later = format!("01-{id}-00f067aa0ba902b7-01-").into_bytes();
        assert_eq!(trace_id(&[later, b"\xff".to_vec()].concat()), None);
    }
}
