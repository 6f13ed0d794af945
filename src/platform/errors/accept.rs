//! Whether a request would rather have XML than JSON (RFC 9110 §12.5.1).
//!
//! No general negotiation: JSON is what every platform answers unless XML is plainly wished for.

/// The greatest weight, in thousandths.
const FULL: u16 = 1000;

/// The ranges that JSON is in, and how precise each is.
const JSON_RANGES: [(&str, u8); 3] = [("application/json", 3), ("application/*", 2), ("*/*", 1)];

/// How much a media type is wished for, and how plainly: first the weight, then the precision of the
/// range that gave it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    weight: u16,
    precision: u8,
}

/// Tells whether `accept`, the value of the `Accept` header, prefers XML to JSON.
///
/// XML must be named (`application/xml` or `text/xml`): `*/*`, no header and what cannot be read mean
/// JSON. Where both weigh the same, a name wins over a wildcard, and JSON over XML.
pub fn prefers_xml(accept: &str) -> bool {
    let mut json = Wish::default();
    let mut xml = Wish::default();
    for (range, weight) in accept.split(',').filter_map(parse_range) {
        let is = |name: &str| range.eq_ignore_ascii_case(name);
        if is("application/xml") || is("text/xml") {
            let precision = 3;
            xml = xml.max(Wish { weight, precision });
            continue;
        }
        let mut ranges = JSON_RANGES.into_iter();
        let Some((_, precision)) = ranges.find(|it| is(it.0)) else {
            continue;
        };
        // The most precise range counts, be it the lighter one (RFC 9110 §12.5.1).
        if precision > json.precision {
            json = Wish { weight, precision };
        }
    }
    xml.weight > 0 && xml > json
}

/// Reads a media range and its weight; `None` for one whose weight is malformed.
fn parse_range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next()?;
    let weight = parts.find_map(|it| {
        let (name, value) = it.split_once('=')?;
        name.eq_ignore_ascii_case("q").then_some(value)
    });
    Some((range, weight.map_or(Some(FULL), parse_weight)?))
}

/// Reads a `qvalue`, RFC 9110 §12.4.2, as thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = fraction.len() <= 3 && fraction.bytes().all(|it| it.is_ascii_digit());
    if !plain {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, it| sum * 10 + u16::from(it - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::prefers_xml;

    #[test]
    fn xml_is_given_only_where_it_is_plainly_preferred() {
        let rows = [
            ("", false),
            ("*/*", false),
            ("application/*", false),
            ("text/*", false),
            ("text/html", false),
            ("application/json", false),
            ("application/xml", true),
            ("text/xml", true),
            ("Application/XML; charset=utf-8", true),
            ("application/json, application/xml", false),
            ("application/xml, application/json", false),
            ("application/xml, */*", true),
            ("application/xml;q=0.9, application/json;q=0.8", true),
            ("application/xml;q=0.8, application/json;q=0.9", false),
            ("application/xml;q=0.1, */*;q=0.5", false),
            (
                "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
                true,
            ),
            ("application/json;q=0.1, */*, text/xml;q=0.5", true),
            ("application/xml;q=0", false),
            ("application/xml;q=0.000", false),
            ("application/xml;Q=1.000", true),
            ("application/xml ; q=0.001", true),
            ("application/xml;q=2", false),
            ("application/xml;q=-1", false),
            ("application/xml;q=nan", false),
            ("application/xml;q=0.5555", false),
            ("application/xml;q=", false),
            ("application/xmlish", false),
            (",;,=;q", false),
        ];
        for (accept, want) in rows {
            assert_eq!(prefers_xml(accept), want, "{accept:?}");
        }
    }
}
