//! What sentinels say, and which of it counts.
//!
//! Apart because everything here is pure.

use redis::Value;

use super::super::fault;

/// The longest name of a host, in bytes.
const HOST_BYTES_MAX: usize = 255;

/// A server that was said to be the primary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Primary {
    pub(in super::super) host: String,
    pub(in super::super) port: u16,
    /// Grows with every replacement that the sentinels agree on.
    epoch: u64,
}

impl Primary {
    /// Its host and port, as connections to it have them.
    pub(in super::super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Reads the answers to `SENTINEL GET-MASTER-ADDR-BY-NAME` and `SENTINEL MASTER`; `None`: the service is not known.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(answers: &[Value]) -> Result<Option<Self>, String> {
        let (address, details) = match answers {
            [Value::Nil, _] => return Ok(None),
            [Value::Array(address), details] => (address, details),
            [Value::ServerError(error), _] if error.code() != "ERR" => {
                return Err(fault::of_server(error));
            }
            _ => return Err("it is no sentinel".to_owned()),
        };
        let place = match &address[..] {
            [host, port] => text(host).zip(text(port)),
            _ => None,
        };
        let place = place.and_then(|(host, port)| {
            let is_host = (1..=HOST_BYTES_MAX).contains(&host.len())
                && host.bytes().all(|byte| byte.is_ascii_graphic());
            let port = port.parse().ok().filter(|it| *it != 0)?;
            is_host.then(|| (host.to_owned(), port))
        });
        let (host, port) = place.ok_or("it names a primary that has no address")?;
        Ok(Some(Self {
            host,
            port,
            epoch: epoch(details),
        }))
    }
}

/// Which of what was said is true; `None`: what was known before, if anything. `listed`: how many could have said something.
///
/// What was decided last is, and of equals what most say. What contradicts what is known although it was decided no later is
/// told by somebody who has not heard, unless most say so: sentinels that were set up anew count from the beginning.
pub(super) fn judge(said: &[Primary], listed: usize, known: Option<&Primary>) -> Option<Primary> {
    let is_same = |one: &Primary, other: &Primary| one.address() == other.address();
    let votes = |for_it: &Primary| said.iter().filter(|it| is_same(it, for_it)).count();
    let is_known = |it: &Primary| known.is_some_and(|known| is_same(known, it));
    let best = said
        .iter()
        .max_by_key(|it| (it.epoch, votes(it), is_known(it), it.address()))?;
    let counts = known.is_none_or(|known| best.epoch > known.epoch) || votes(best) * 2 > listed;
    (counts && known != Some(best)).then(|| best.clone())
}

fn epoch(details: &Value) -> u64 {
    let Value::Map(details) = details else {
        return 0;
    };
    let mut found = details
        .iter()
        .filter(|(name, _)| text(name) == Some("config-epoch"));
    let epoch = found.find_map(|(_, value)| text(value)?.parse().ok());
    epoch.unwrap_or_default()
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, epoch: u64) -> Primary {
        Primary {
            host: host.to_owned(),
            port: 1,
            epoch,
        }
    }

    #[test]
    fn what_was_decided_last_counts_and_who_has_not_heard_is_outdone() {
        let (a0, a1, b0, b1, b2) = (at("a", 0), at("a", 1), at("b", 0), at("b", 1), at("b", 2));
        for (case, said, known, want) in [
            ("nobody answers", &[][..], None, None),
            ("nobody answers later", &[], Some(&a0), None),
            ("the first word", &[&a0], None, Some(&a0)),
            ("the same again", &[&a0, &a0, &a0], Some(&a0), None),
            ("one has decided", &[&a0, &b1, &a0], Some(&a0), Some(&b1)),
            ("one has not heard", &[&a0, &b1, &b1], Some(&b1), None),
            ("only who has not heard answers", &[&a1], Some(&b2), None),
            ("one set up anew", &[&a0, &b1, &b1], Some(&b1), None),
            ("all set up anew", &[&a0, &a0, &a0], Some(&b2), Some(&a0)),
            ("most set up anew", &[&a0, &a0], Some(&b2), Some(&a0)),
            ("a tie is as it was", &[&a0, &b0], Some(&a0), None),
            ("most of equals", &[&b0, &a0, &a0], None, Some(&a0)),
            ("one of equals", &[&b0], Some(&a0), None),
            ("a new decision on the same", &[&b2], Some(&b1), Some(&b2)),
        ] {
            let said: Vec<_> = said.iter().map(|it| (*it).clone()).collect();
            assert_eq!(judge(&said, 3, known), want.cloned(), "{case}");
        }
    }

    #[test]
    fn an_answer_is_an_address_or_none_and_anything_else_a_cause() {
        let words = |all: &[&str]| {
            let bulk = |it: &&str| Value::BulkString(it.as_bytes().to_vec());
            Value::Array(all.iter().map(bulk).collect())
        };
        let pair = |(name, value): (&str, &str)| {
            let [name, value] = [name, value].map(|it| Value::BulkString(it.into()));
            (name, value)
        };
        let map = |all: &[(&str, &str)]| Value::Map(all.iter().copied().map(pair).collect());
        let details = map(&[("name", "m"), ("config-epoch", "7"), ("ip", "h")]);
        let long = "h".repeat(HOST_BYTES_MAX + 1);
        for (address, details, want) in [
            (
                words(&["h", "6379"]),
                details.clone(),
                Ok(Some(("h:6379", 7))),
            ),
            (words(&["::1", "1"]), Value::Nil, Ok(Some(("::1:1", 0)))),
            (
                words(&["h", "1"]),
                map(&[("config-epoch", "x")]),
                Ok(Some(("h:1", 0))),
            ),
            (Value::Nil, Value::Nil, Ok(None)),
            (words(&["h"]), details.clone(), Err("no address")),
            (words(&["h", "0"]), details.clone(), Err("no address")),
            (words(&["h", "65536"]), details.clone(), Err("no address")),
            (words(&["", "1"]), details.clone(), Err("no address")),
            (words(&["h\n", "1"]), details.clone(), Err("no address")),
            (words(&[&long, "1"]), details, Err("no address")),
            (Value::Int(1), Value::Nil, Err("no sentinel")),
        ] {
            let read = Primary::read(&[address, details]);
            match (&read, want) {
                (Ok(read), Ok(want)) => {
                    let read = read.as_ref().map(|it| (it.address(), it.epoch));
                    let want = want.map(|(address, epoch)| (address.to_owned(), epoch));
                    assert_eq!(read, want);
                }
                (Err(why), Err(want)) => assert!(why.contains(want), "{why}"),
                (read, want) => panic!("{read:?}, not {want:?}"),
            }
        }
        assert!(Primary::read(&[]).is_err());
    }
}
