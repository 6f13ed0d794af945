//! From a `CheckRequest` to a view of the request in it, without copying.
//!
//! Method, path and host come from their fields, never from pseudo headers: a filter with
//! `allowed_headers` drops those. Headers come as a map or, with `encode_raw_headers`, as a list;
//! both are read. Over gRPC Envoy leaves the query in the path.

use std::collections::HashMap;

use crate::decision::Denial;
use crate::envoy::MAX_MESSAGE_BYTES;
use crate::envoy::wire::{Field, Fields, Malformed};
use crate::request::query::Query;
use crate::request::{Header, Headers, RequestView, fold_bit, is_token_byte, spread};

/// Room for the headers of nearly every request, so that one allocation does.
const USUAL_HEADERS: usize = 32;

/// Among how many headers one is looked for by its name while they are read; nearly all requests have fewer. Those of more are
/// looked through in the end.
const FEW_HEADERS: usize = 24;

/// Among how many it is looked for then, where nothing says that it is not there; of more a table is made. An Envoy lets
/// as many pass by default.
const MANY_HEADERS: usize = 100;

/// How many headers a request may have, of both forms: an Envoy lets 100 pass by default. In a message they may take two
/// bytes each, and here many times more, as long as the request waits to be decided.
pub const MAX_HEADERS: usize = 1000;

/// Views the request in a message.
///
/// # Errors
/// A denial (400) for bytes that are not a `CheckRequest` or more than one ever has, and where the
/// attributes that make it a request are missing.
pub fn view(message: &[u8]) -> Result<RequestView<'_>, Denial> {
    if message.len() > MAX_MESSAGE_BYTES {
        let detail = "the CheckRequest is larger than any without a body";
        return Err(Denial::bad_request(detail));
    }
    let read = Attributes::read(message);
    let read = read.map_err(|_| Denial::bad_request("the message is not a CheckRequest"))?;
    let Some(http) = read.http else {
        let detail = "the CheckRequest holds no HTTP request";
        return Err(Denial::bad_request(detail));
    };
    // RFC 9110 §9.1. A rule without methods takes any, so this is where one that is none is refused.
    // So is one in lower case, since many upstreams read `delete` as `DELETE`, which a rule does not.
    let is_method = |it: u8| is_token_byte(it) && !it.is_ascii_lowercase();
    if http.method.is_empty() || !http.method.bytes().all(is_method) {
        return Err(Denial::bad_request("the CheckRequest names no method"));
    }
    if http.has_too_many || http.mapped.len() + http.listed.len() > MAX_HEADERS {
        return Err(Denial::bad_request(
            "the CheckRequest holds more headers than are read",
        ));
    }
    let (path, query) = http.path.split_once('?').unwrap_or((http.path, ""));
    Ok(RequestView {
        method: http.method,
        authority: http.host,
        scheme: http.scheme,
        path,
        query: Query::parse(query),
        headers: http.headers(),
        peer: read.peer.parse().ok(),
        principal: Some(read.principal).filter(|it| !it.is_empty()),
        route_platform: read.platform,
    })
}

/// What is read of `AttributeContext`. What comes again counts as proto3 has it: of a string the last,
/// and messages are merged.
#[derive(Default)]
struct Attributes<'m> {
    peer: &'m str,
    principal: &'m str,
    http: Option<Http<'m>>,
    platform: Option<&'m str>,
}

/// Tells whether two of them have one name, or of very many whether that may be.
#[cold]
fn repeats(headers: &[Header<'_>]) -> bool {
    let mut noted = Noted::default();
    headers.iter().enumerate().any(|(place, (name, _))| {
        noted.add(name) && (place > MANY_HEADERS || headers[..place].iter().any(|it| it.0 == *name))
    })
}

/// Names, by a bit for each.
#[derive(Default)]
struct Noted([u64; 16]);

impl Noted {
    /// Adds one; tells whether it, or another of the same bit, was there.
    fn add(&mut self, name: &[u8]) -> bool {
        let ends = name.first_chunk().zip(name.last_chunk());
        let ends = ends.map(|(first, last)| {
            u64::from_ne_bytes(*first) ^ u64::from_ne_bytes(*last).rotate_left(29)
        });
        let whole = || name.iter().fold(0, |all, it| all << 8 | u64::from(*it));
        let hash = spread(ends.unwrap_or_else(whole) ^ name.len() as u64);
        let (word, bit) = (&mut self.0[(hash >> 60) as usize], 1 << (hash >> 54 & 63));
        let was_there = *word & bit != 0;
        *word |= bit;
        was_there
    }
}

/// The number of its headers, a map.
const HEADERS: u32 = 3;

/// What is read of `AttributeContext.HttpRequest`.
#[derive(Default)]
struct Http<'m> {
    method: &'m str,
    path: &'m str,
    host: &'m str,
    scheme: &'m str,
    mapped: Vec<Header<'m>>,
    /// Whether two of those may have the same name.
    may_repeat: bool,
    listed: Vec<Header<'m>>,
    /// The kinds of all their names ([`fold_bit`]).
    kinds: u64,
    /// Whether there were more, which are not kept.
    has_too_many: bool,
}

impl<'m> Attributes<'m> {
    fn read(message: &'m [u8]) -> Result<Self, Malformed> {
        let mut read = Self::default();
        each(Fields::of(message), |it| match it.number {
            1 => each(it.message()?, |it| read.take(it)),
            _ => Ok(()),
        })?;
        Ok(read)
    }

    fn take(&mut self, field: Field<'m>) -> Result<(), Malformed> {
        match field.number {
            1 => each(field.message()?, |it| self.take_peer(it)),
            4 => each(field.message()?, |it| match it.number {
                2 => {
                    let http = self.http.get_or_insert_default();
                    http.read(it.message()?)
                }
                _ => Ok(()),
            }),
            10 => {
                let (key, value) = entry(field)?;
                if key == b"platform" {
                    self.platform = Some(str::from_utf8(value).map_err(|_| Malformed)?);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_peer(&mut self, field: Field<'m>) -> Result<(), Malformed> {
        match field.number {
            // `Address.socket_address.address`
            1 => each(field.message()?, |it| match it.number {
                1 => each(it.message()?, |it| match it.number {
                    2 => it.text().map(|it| self.peer = it),
                    _ => Ok(()),
                }),
                _ => Ok(()),
            }),
            4 => field.text().map(|it| self.principal = it),
            _ => Ok(()),
        }
    }
}

impl<'m> Http<'m> {
    fn read(&mut self, mut fields: Fields<'m>) -> Result<(), Malformed> {
        loop {
            while let Some(header) = fields.next_pair(HEADERS) {
                self.add_mapped(header);
            }
            let Some(field) = fields.next_field()? else {
                return Ok(());
            };
            self.take(field)?;
        }
    }

    fn take(&mut self, field: Field<'m>) -> Result<(), Malformed> {
        match field.number {
            2 => field.text().map(|it| self.method = it),
            HEADERS => {
                self.add_mapped(entry(field)?);
                Ok(())
            }
            4 => field.text().map(|it| self.path = it),
            5 => field.text().map(|it| self.host = it),
            6 => field.text().map(|it| self.scheme = it),
            13 => each(field.message()?, |it| match it.number {
                1 => self.take_listed(it),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn add_mapped(&mut self, header: Header<'m>) {
        let (name, _) = header;
        if is_pseudo(name) || !self.has_room(|it| &mut it.mapped) {
            return;
        }
        let kind = fold_bit(name);
        if self.kinds & kind != 0 && !self.may_repeat {
            self.may_repeat =
                self.mapped.len() > FEW_HEADERS || self.mapped.iter().any(|it| it.0 == name);
        }
        self.kinds |= kind;
        self.mapped.push(header);
    }

    /// Makes room for one header more, where there are not too many.
    #[inline(always)]
    fn has_room(&mut self, of: impl FnOnce(&mut Self) -> &mut Vec<Header<'m>>) -> bool {
        let headers = of(self);
        if headers.len() < headers.capacity() {
            return true;
        }
        let has_room = grow(headers);
        self.has_too_many |= !has_room;
        has_room
    }

    /// Takes a `HeaderValue`, whose value stands in one of two fields.
    fn take_listed(&mut self, header: Field<'m>) -> Result<(), Malformed> {
        let (mut name, mut value, mut raw) = (&b""[..], &b""[..], &b""[..]);
        each(header.message()?, |it| {
            match it.number {
                1 => name = it.utf8()?,
                2 => value = it.utf8()?,
                3 => raw = it.bytes()?,
                _ => {}
            }
            Ok(())
        })?;
        let value = if raw.is_empty() { value } else { raw };
        if !is_pseudo(name) && self.has_room(|it| &mut it.listed) {
            self.kinds |= fold_bit(name);
            self.listed.push((name, value));
        }
        Ok(())
    }

    /// Gives those of the map: of each name the value that came last.
    fn take_mapped(&mut self) -> Vec<Header<'m>> {
        let headers = std::mem::take(&mut self.mapped);
        if !self.may_repeat || !repeats(&headers) {
            return headers;
        }
        let last: HashMap<_, _> = headers.iter().copied().collect();
        if last.len() == headers.len() {
            return headers;
        }
        last.into_iter().collect()
    }

    fn headers(mut self) -> Headers<'m> {
        let mut headers = self.take_mapped();
        if headers.is_empty() {
            headers = self.listed;
        } else {
            headers.extend(self.listed);
        }
        Headers::of_kinds(headers, self.kinds)
    }
}

fn is_pseudo(name: &[u8]) -> bool {
    name.first() == Some(&b':')
}

/// Makes room for more headers, up to as many as are read.
#[cold]
fn grow(headers: &mut Vec<Header<'_>>) -> bool {
    let count = headers.len();
    let more = MAX_HEADERS
        .saturating_sub(count)
        .min(count.max(USUAL_HEADERS));
    headers.reserve_exact(more);
    more > 0
}

/// Reads an entry of a map of strings.
fn entry(field: Field<'_>) -> Result<Header<'_>, Malformed> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    each(field.message()?, |it| {
        match it.number {
            1 => key = it.utf8()?,
            2 => value = it.utf8()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// Shows every field to `take`.
fn each<'m>(
    mut fields: Fields<'m>,
    mut take: impl FnMut(Field<'m>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while let Some(field) = fields.next_field()? {
        take(field)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::envoy::protos::auth::CheckRequest;

    /// The message in a gRPC frame, behind a compression flag and a length.
    fn message(frame: &'static [u8]) -> &'static [u8] {
        &frame[5..]
    }

    const PLAIN: &[u8] = include_bytes!("../../tests/samples/check_request.bin");
    const RAW: &[u8] = include_bytes!("../../tests/samples/check_request_raw_headers.bin");

    #[test]
    fn captured_requests_are_read_from_either_form_of_headers() {
        let view = view(message(PLAIN)).unwrap();
        assert_eq!(view.method, "POST");
        assert_eq!(view.path, "/api/v1/orders/42");
        assert_eq!(view.host().unwrap(), "shop.example.com");
        assert_eq!(
            view.query.single("dry_run").unwrap().as_deref(),
            Some("true")
        );
        assert_eq!(view.peer, "127.0.0.1".parse().ok());
        assert!(view.headers.single("x-dup").is_err());
        assert_eq!(view.headers.all(":path").count(), 0);

        let view = super::view(message(RAW)).unwrap();
        assert_eq!(view.headers.all("x-dup").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(
            view.headers.all("x-bin").collect::<Vec<_>>(),
            [b"\xff\xfe\x80"]
        );
        assert!(view.headers.single("x-bin").is_err());
    }

    #[test]
    fn a_message_that_holds_no_request_is_refused() {
        for bytes in [&b""[..], b"\x0a\x00", b"\xff\xff\xff", b"\x0a\xff\x01"] {
            let denial = view(bytes).map(|_| ());
            assert_eq!(denial.unwrap_err().status(), 400);
        }
    }

    #[test]
    fn a_thousand_headers_of_one_name_are_one_of_a_map_and_more_are_refused() {
        let of = |count: usize, listed: usize| {
            let mut http = b"\x12\x03GET".to_vec();
            for at in 0..count {
                http.extend_from_slice(b"\x1a\x06\x0a\x01a\x12\x01");
                http.push(b'a' + u8::try_from(at % 26).unwrap());
            }
            // As small as they can be.
            http.extend_from_slice(&b"\x6a\x02\x0a\x00".repeat(listed));
            for number in [2, 4, 1] {
                let mut outer = Vec::new();
                crate::envoy::wire::put(&mut outer, number, &http);
                http = outer;
            }
            http
        };
        let (most, more, both) = (of(MAX_HEADERS, 0), of(MAX_HEADERS + 1, 0), of(500, 501));
        let read = view(&most).unwrap();
        assert_eq!(read.headers.all("a").collect::<Vec<_>>(), [b"l"]);
        for message in [more, both] {
            assert_eq!(view(&message).map(|_| ()).unwrap_err().status(), 400);
        }
    }

    #[test]
    fn names_that_look_alike_at_a_glance_are_kept_apart_and_a_repeated_one_is_not() {
        for count in [20, FEW_HEADERS, FEW_HEADERS + 2, 60, MANY_HEADERS + 100] {
            let names: Vec<_> = (0..count).map(|it| format!("x{it:03}x")).collect();
            let of_each = names.iter().map(|it| (it.as_bytes(), &b"1"[..]));
            let of_each: Vec<_> = of_each.collect();
            for repeated in [None, Some(0), Some(count / 2), Some(count - 1)] {
                let mut http = Http::default();
                let again = repeated.map(|it| (names[it].as_bytes(), &b"2"[..]));
                for header in of_each.iter().copied().chain(again) {
                    http.add_mapped(header);
                }
                // Only of many it is not known yet.
                assert!(count > FEW_HEADERS || http.may_repeat == repeated.is_some());
                let mut want = of_each.clone();
                if let Some((place, again)) = repeated.zip(again) {
                    want[place] = again;
                }
                let mut read = http.take_mapped();
                if repeated.is_some() {
                    read.sort_unstable();
                }
                assert_eq!(read, want, "{count} {repeated:?}");
            }
        }
    }

    /// What prost makes of it, in the words of a view; `None` where it refuses.
    fn by_prost(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
        let request = CheckRequest::decode(Bytes::copy_from_slice(bytes)).ok()?;
        let attributes = request.attributes.unwrap_or_default();
        let source = attributes.source.unwrap_or_default();
        let socket = source.address.and_then(|it| it.socket_address);
        let http = attributes.request.and_then(|it| it.http);
        let mut said = vec![
            ("is there".to_owned(), vec![http.is_some().into()]),
            ("principal".to_owned(), source.principal.into_bytes()),
            (
                "peer".to_owned(),
                socket.unwrap_or_default().address.into_bytes(),
            ),
        ];
        let platform = attributes.context_extensions.get("platform");
        said.extend(platform.map(|it| ("platform".to_owned(), it.clone().into_bytes())));
        let http = http.unwrap_or_default();
        for (name, value) in [
            ("method", http.method),
            ("path", http.path),
            ("host", http.host),
            ("scheme", http.scheme),
        ] {
            said.push((name.to_owned(), value.into_bytes()));
        }
        let mapped = http.headers.into_iter();
        let mut headers: Vec<_> = mapped.map(|(name, it)| (name, it.into_bytes())).collect();
        headers.sort();
        let listed = http.header_map.unwrap_or_default().headers.into_iter();
        headers.extend(listed.map(|it| match it.raw_value.is_empty() {
            true => (it.key, it.value.into_bytes()),
            false => (it.key, it.raw_value),
        }));
        headers.retain(|it| !it.0.starts_with(':'));
        said.extend(headers);
        Some(said)
    }

    /// The same by the walker.
    fn by_walker(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
        let read = Attributes::read(bytes).ok()?;
        let mut said = vec![
            ("is there".to_owned(), vec![read.http.is_some().into()]),
            ("principal".to_owned(), read.principal.into()),
            ("peer".to_owned(), read.peer.into()),
        ];
        said.extend(read.platform.map(|it| ("platform".to_owned(), it.into())));
        let mut http = read.http.unwrap_or_default();
        for (name, value) in [
            ("method", http.method),
            ("path", http.path),
            ("host", http.host),
            ("scheme", http.scheme),
        ] {
            said.push((name.to_owned(), value.into()));
        }
        let mut mapped = http.take_mapped();
        mapped.sort();
        let headers = mapped.into_iter().chain(http.listed);
        let text = |it: &[u8]| String::from_utf8(it.to_vec()).unwrap();
        said.extend(headers.map(|(name, value)| (text(name), value.to_vec())));
        Some(said)
    }

    fn field_of(contents: Vec<u8>, number: u8, kind: u8) -> Vec<u8> {
        let mut field = vec![number << 3 | kind];
        if kind == 2 {
            crate::envoy::wire::put_head(&mut field, number, contents.len());
            // It wrote the key as well.
            field.remove(0);
        }
        field.extend(contents);
        if kind == 3 {
            field.push(number << 3 | 4);
        }
        field
    }

    /// Fields within fields, right and wrong: what hostile bytes are made of.
    fn fields() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![
            Just(b"platform".to_vec()),
            Just(b":path".to_vec()),
            Just(b"x-a".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        let kind = prop_oneof![20 => Just(2_u8), 1 => Just(3_u8), 1 => 0..8_u8];
        let number = prop_oneof![
            4 => prop_oneof![Just(1_u8), Just(2), Just(3), Just(4), Just(10), Just(13)],
            1 => 0..16_u8,
        ];
        text.prop_recursive(6, 64, 6, move |inner| {
            let field = (inner, number.clone(), kind.clone());
            let field =
                field.prop_map(move |(contents, number, kind)| field_of(contents, number, kind));
            proptest::collection::vec(field, 0..6).prop_map(|it| it.concat())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_walker_reads_what_prost_reads_and_refuses_what_it_refuses(bytes in fields()) {
            prop_assert_eq!(by_walker(&bytes), by_prost(&bytes));
        }

        #[test]
        fn a_captured_request_with_changed_bytes_is_read_as_prost_reads_it(
            is_raw: bool,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            end: prop::sample::Index,
            is_cut: bool,
        ) {
            let mut bytes = message(if is_raw { RAW } else { PLAIN }).to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if is_cut {
                bytes.truncate(end.index(bytes.len()));
            }
            prop_assert_eq!(by_walker(&bytes), by_prost(&bytes));
        }
    }
}
