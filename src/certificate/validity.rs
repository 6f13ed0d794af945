//! Until when a certificate is valid (RFC 5280 §4.1.2.5).
//!
//! Read off its DER here, and nothing else of it: who may be trusted is judged by rustls, which does not tell this.

use jiff::civil::{Date, DateTime, Time};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The tags of DER that stand before the end of a validity, and its own.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const VERSION: u8 = 0xa0;
}

/// Gives the last second in which a certificate in DER is valid, in Unix seconds; one before 1970 is 0, and `None` what
/// is no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let mut whole = certificate;
    let mut signed = inside(&mut whole, tag::SEQUENCE)?;
    let mut to_be_signed = inside(&mut signed, tag::SEQUENCE)?;
    if to_be_signed.first() == Some(&tag::VERSION) {
        inside(&mut to_be_signed, tag::VERSION)?;
    }
    inside(&mut to_be_signed, tag::INTEGER)?;
    // The signature's algorithm, and who issued it.
    inside(&mut to_be_signed, tag::SEQUENCE)?;
    inside(&mut to_be_signed, tag::SEQUENCE)?;
    let mut validity = inside(&mut to_be_signed, tag::SEQUENCE)?;
    time(&mut validity)?;
    time(&mut validity)
}

/// Takes the next element, which must have this tag, and gives its contents (X.690 §8.1).
fn inside<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, after) = rest.split_first()?;
    let (&length, mut after) = after.split_first()?;
    let length = match length {
        short @ ..=0x7f => usize::from(short),
        // The length in that many bytes; four reach beyond any certificate.
        long @ 0x81..=0x84 => {
            let (bytes, behind) = after.split_at_checked(usize::from(long - 0x80))?;
            after = behind;
            bytes.iter().try_fold(0_usize, |sum, it| {
                sum.checked_mul(0x100)?.checked_add(usize::from(*it))
            })?
        }
        _ => return None,
    };
    let (contents, behind) = after.split_at_checked(length)?;
    *rest = behind;
    (found == tag).then_some(contents)
}

/// Takes a time, which ends in `Z` and has seconds: with two digits of the year (until 2049), or four.
fn time(rest: &mut &[u8]) -> Option<u64> {
    let (digits, year_digits) = match rest.first()? {
        &tag::UTC_TIME => (inside(rest, tag::UTC_TIME)?, 2),
        _ => (inside(rest, tag::GENERALIZED_TIME)?, 4),
    };
    let digits = str::from_utf8(digits).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|it| it.is_ascii_digit()) || digits.len() != year_digits + 10 {
        return None;
    }
    let (year, rest) = digits.split_at(year_digits);
    let year: i16 = year.parse().ok()?;
    let year = match year_digits {
        2 if year < 50 => 2000 + year,
        2 => 1900 + year,
        _ => year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let [month, day, hour, minute, second] = [part(0)?, part(2)?, part(4)?, part(6)?, part(8)?];
    let date = Date::new(year, month, day).ok()?;
    let time = Time::new(hour, minute, second, 0).ok()?;
    // By days, as the end of those that have none (99991231235959Z) is too late for a timestamp.
    let since = date.to_datetime(time).duration_since(EPOCH);
    Some(u64::try_from(since.as_secs()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["server".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(1960, 1, 1);
        params.not_after = date_time_ymd(year, 3, 1);
        let key = KeyPair::generate().expect("a key");
        params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec()
    }

    #[test]
    fn a_certificate_says_until_when_it_is_valid() {
        for (year, want) in [
            (1969, 0),
            (1999, 920_246_400),
            (2027, 1_803_859_200),
            (2049, 2_498_169_600),
            (2050, 2_529_705_600),
            (4096, 67_095_302_400),
        ] {
            assert_eq!(not_after(&certificate(year)), Some(want), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_says_nothing_and_stops_nobody() {
        let whole = certificate(2027);
        let validity_ends = whole.len() / 2;
        for cut in 0..whole.len() {
            assert_eq!(not_after(&whole[..cut]), None, "{cut}");
        }
        for at in 0..validity_ends {
            for byte in [0, 0x7f, 0x80, 0x84, 0x85, 0xff] {
                let mut other = whole.clone();
                other[at] = byte;
                let _ = not_after(&other);
            }
        }
        for (text, want) in [
            ("270302000000Z", Some(1_803_945_600)),
            ("491231235959Z", Some(2_524_607_999)),
            ("500101000000Z", Some(0)),
            ("270230000000Z", None),
            ("271301000000Z", None),
            ("270100000000Z", None),
            ("270101240000Z", None),
            ("2701010000Z", None),
            ("270101000000", None),
            ("27010100000éZ", None),
        ] {
            let element = [&[tag::UTC_TIME, text.len() as u8], text.as_bytes()].concat();
            assert_eq!(time(&mut &element[..]), want, "{text}");
        }
        let never = [&[tag::GENERALIZED_TIME, 15], &b"99991231235959Z"[..]].concat();
        assert_eq!(time(&mut &never[..]), Some(253_402_300_799));
    }
}
