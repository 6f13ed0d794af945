//! A line as it is written: JSON, put together by hand, since every denial pays for one.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::telemetry::audit::Entry;
use crate::telemetry::audit::sent::{Sent, is_visible};

/// Room for a line of usual length, so that one allocation does.
const USUAL_BYTES: usize = 512;

/// Gives what leads from one text to the next: the end of one, a name, and where its text begins.
macro_rules! key {
    ($name:literal) => {
        concat!("\",\"", $name, "\":\"")
    };
}

/// Writes a line, its end included.
pub(super) fn line(now: SystemTime, entry: &Entry<'_>) -> Vec<u8> {
    // Each by its name, so that none that is added is forgotten.
    let Entry {
        event,
        outcome,
        reason,
        fault,
        decision_id,
        platform,
        scheme,
        rule,
        account,
        user,
        key,
        method,
        path,
        client,
        request_id,
        trace_id,
        cache,
        took_us,
    } = *entry;
    let mut line = Line(Vec::with_capacity(USUAL_BYTES));
    line.put("{\"time\":\"");
    line.0.extend_from_slice(&time(now));
    line.put(key!("event"));
    line.put_word(event);
    line.put(key!("outcome"));
    line.put_word(outcome);
    line.word(key!("reason"), reason);
    line.word(key!("fault"), fault);
    line.name(key!("decision_id"), decision_id);
    line.name(key!("platform"), platform);
    line.name(key!("scheme"), scheme);
    line.name(key!("rule"), rule);
    line.sent(key!("account"), account);
    line.sent(key!("user"), user);
    line.sent(key!("key"), key);
    line.sent(key!("method"), method);
    line.sent(key!("path"), path);
    if let Some(client) = client {
        line.put(key!("client"));
        line.put_address(client);
    }
    line.sent(key!("request_id"), request_id);
    line.sent(key!("trace_id"), trace_id);
    line.word(key!("cache"), cache);
    match took_us {
        Some(took) => {
            line.put("\",\"took_us\":");
            line.put_number(took);
            line.put("}\n");
        }
        None => line.put("\"}\n"),
    }
    line.0
}

/// A line that is being written; but for its ends, it stands within a text.
struct Line(Vec<u8>);

impl Line {
    /// Writes what stands in the code, as it is in JSON.
    #[inline]
    fn put(&mut self, json: &'static str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Writes a word of a closed list, unless it is empty.
    #[inline]
    fn word(&mut self, key: &'static str, word: &'static str) {
        if !word.is_empty() {
            self.put(key);
            self.put_word(word);
        }
    }

    #[inline]
    fn put_word(&mut self, word: &'static str) {
        debug_assert!(is_plain(word.as_bytes()), "{word} is a word");
        self.put(word);
    }

    /// Writes a name that we or the configuration gave, unless it is empty.
    #[inline]
    fn name(&mut self, key: &'static str, name: &str) {
        if !name.is_empty() {
            self.put(key);
            self.put_text(name);
        }
    }

    /// Writes what may come from a client, unless it is empty.
    #[inline]
    fn sent(&mut self, key: &'static str, sent: Sent<'_>) {
        if sent.is_empty() {
            return;
        }
        self.put(key);
        match sent.short().filter(|it| is_plain(it)) {
            Some(bytes) => self.0.extend_from_slice(bytes),
            None => self.put_text(&sent.to_string()),
        }
    }

    /// Writes a text, escaped as JSON wants it (RFC 8259 §7).
    fn put_text(&mut self, text: &str) {
        if is_plain(text.as_bytes()) {
            self.0.extend_from_slice(text.as_bytes());
            return;
        }
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let within = quoted
            .get(1..quoted.len().saturating_sub(1))
            .unwrap_or_default();
        self.0.extend_from_slice(within.as_bytes());
    }

    fn put_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        self.0.push(b'.');
                    }
                    self.put_number(octet.into());
                }
            }
            IpAddr::V6(address) => {
                // Writing to memory does not fail.
                let _ = write!(self.0, "{address}");
            }
        }
    }

    fn put_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut begin = digits.len();
        loop {
            begin -= 1;
            digits[begin] = digit(number);
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[begin..]);
    }
}

/// Tells whether JSON holds these bytes as they are, and a client's are shown so, as nearly all are.
fn is_plain(bytes: &[u8]) -> bool {
    // So many at a time, and without an early end, which lets the compiler look at all of them at once.
    let (many, few) = bytes.as_chunks::<16>();
    let is_plain = |it: &u8| is_visible(*it) & (*it != b'"') & (*it != b'\\');
    let all = |it: &[u8; 16]| it.iter().fold(true, |plain, it| plain & is_plain(it));
    many.iter().all(all) && few.iter().all(is_plain)
}

/// Gives a time in RFC 3339, to the millisecond; before 1970, that is 1970.
fn time(now: SystemTime) -> [u8; 24] {
    let time = Timestamp::try_from(now).unwrap_or_default();
    let time = Offset::UTC.to_datetime(time.max(Timestamp::UNIX_EPOCH));
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let milliseconds = time.subsec_nanosecond() / 1_000_000;
    for (begin, length, value) in [
        (0, 4, i32::from(time.year())),
        (5, 2, time.month().into()),
        (8, 2, time.day().into()),
        (11, 2, time.hour().into()),
        (14, 2, time.minute().into()),
        (17, 2, time.second().into()),
        (20, 3, milliseconds),
    ] {
        let mut left = u64::from(value.unsigned_abs());
        for place in text[begin..begin + length].iter_mut().rev() {
            *place = digit(left);
            left /= 10;
        }
    }
    text
}

/// Gives the last digit of a number.
fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;
    use serde_json::{Map, Value};

    #[test]
    fn a_line_says_what_is_on_the_list_and_nothing_else() {
        let entry = Entry {
            event: "check",
            outcome: "deny",
            reason: "wrong",
            fault: "store",
            decision_id: "00",
            platform: "mine",
            scheme: "key",
            rule: "orders",
            account: "a-1".into(),
            user: "u\"1".into(),
            key: "k-1".into(),
            method: "GET".into(),
            path: "/orders\n{\"outcome\":\"allow\"}".into(),
            client: "192.0.2.1".parse().ok(),
            request_id: "r-1".into(),
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            cache: "miss",
            took_us: Some(12),
        };
        let now = UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        let text = String::from_utf8(line(now, &entry)).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"2026-09-21T14:13:20.123Z\",\"event\":\"check\",\"outcome\":\"deny\",\
             \"reason\":\"wrong\",\"fault\":\"store\",\"decision_id\":\"00\",\"platform\":\"mine\",\
             \"scheme\":\"key\",\"rule\":\"orders\",\"account\":\"a-1\",\"user\":\"u\\\"1\",\
             \"key\":\"k-1\",\"method\":\"GET\",\"path\":\"/orders%0A{\\\"outcome\\\":\\\"allow\\\"}\",\
             \"client\":\"192.0.2.1\",\"request_id\":\"r-1\",\
             \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"cache\":\"miss\",\"took_us\":12}\n"
        );
        let empty = String::from_utf8(line(UNIX_EPOCH, &Entry::default())).unwrap();
        let known = r#"{"time":"1970-01-01T00:00:00.000Z","event":"","outcome":""}"#;
        assert_eq!(empty.trim_end(), known, "what is empty is left out");
    }

    /// The same line, written by others.
    fn by_serde(now: SystemTime, entry: &Entry<'_>) -> String {
        let time = Timestamp::try_from(now).unwrap();
        let mut fields = Map::new();
        fields.insert("time".to_owned(), format!("{time:.3}").into());
        fields.insert("event".to_owned(), entry.event.into());
        fields.insert("outcome".to_owned(), entry.outcome.into());
        let mut add = |name: &str, value: Value| {
            if value != Value::Null && value != "" {
                fields.insert(name.to_owned(), value);
            }
        };
        add("reason", entry.reason.into());
        add("fault", entry.fault.into());
        add("decision_id", entry.decision_id.into());
        add("platform", entry.platform.into());
        add("scheme", entry.scheme.into());
        add("rule", entry.rule.into());
        add("account", entry.account.to_string().into());
        add("user", entry.user.to_string().into());
        add("key", entry.key.to_string().into());
        add("method", entry.method.to_string().into());
        add("path", entry.path.to_string().into());
        add("client", entry.client.map(|it| it.to_string()).into());
        add("request_id", entry.request_id.to_string().into());
        add("trace_id", entry.trace_id.to_string().into());
        add("cache", entry.cache.into());
        add("took_us", entry.took_us.into());
        Value::from(fields).to_string() + "\n"
    }

    proptest! {
        #[test]
        fn whatever_a_line_says_it_is_the_json_that_serde_writes(
            milliseconds in 0..253_402_207_200_000_u64,
            nanoseconds in 0..1_000_000_u64,
            [platform, rule, account, path] in prop::array::uniform4(".{0,40}"),
            method in "[ -~]{0,40}",
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            client in any::<Option<IpAddr>>(),
            took_us in any::<Option<u64>>(),
        ) {
            let now = UNIX_EPOCH + Duration::from_millis(milliseconds) + Duration::from_nanos(nanoseconds);
            let entry = Entry {
                event: "check",
                outcome: "allow",
                platform: &platform,
                rule: &rule,
                account: account.as_str().into(),
                path: path.as_str().into(),
                method: method.as_str().into(),
                request_id: bytes.as_slice().into(),
                client,
                took_us,
                ..Entry::default()
            };
            let written = String::from_utf8(line(now, &entry)).unwrap();
            prop_assert_eq!(written, by_serde(now, &entry));
        }
    }

    #[test]
    fn a_time_before_1970_is_1970_and_one_that_no_calendar_has_too() {
        let epoch = *b"1970-01-01T00:00:00.000Z";
        for now in [
            UNIX_EPOCH,
            UNIX_EPOCH - Duration::from_nanos(1),
            UNIX_EPOCH + Duration::from_secs(1 << 60),
        ] {
            assert_eq!(time(now), epoch, "{now:?}");
        }
    }
}
