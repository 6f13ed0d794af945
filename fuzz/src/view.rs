//! Path, query, host and single headers: nothing panics, what is read is what was promised, and what
//! was encoded decodes to itself. No platform reads a cookie.

use portcullis::policy::path::{MAX_PATH_BYTES, MAX_SEGMENTS, PathSegments};
use portcullis::request::query::{Query, decode_parameter};
use portcullis::request::{ClientAddress, Headers, RequestView, folds_to};

/// The longest value that is read.
const MAX_VALUE: usize = portcullis::credential::MAX_CREDENTIAL_BYTES;

/// Lines of text; of what is no text, only the headers are read.
pub(super) fn run(bytes: &[u8]) {
    headers(bytes);
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    path(text);
    path_of(&text.split('\n').collect::<Vec<_>>());
    query(text);
    if let Some((name, value)) = text.split_once('\n') {
        parameter(name, value);
    }
    host(text);
    address(text);
}

/// A path is refused, or has the promised segments, and no other way of writing them is another path.
fn path(text: &str) {
    let Ok(read) = PathSegments::parse(text) else {
        return;
    };
    let segments: Vec<&str> = read.iter().collect();
    assert!(segments.iter().all(|it| is_plain(it)), "{segments:?}");
    assert!(segments.len() <= MAX_SEGMENTS);
    let again = encoded_path(&segments);
    if again.len() <= MAX_PATH_BYTES {
        let again = PathSegments::parse(&again).expect("what was read can be written");
        assert!(again.iter().eq(read.iter()));
    }
}

fn path_of(segments: &[&str]) {
    let text = encoded_path(segments);
    let read = PathSegments::parse(&text);
    let is_nothing = segments == [""];
    let fits = text.len() <= MAX_PATH_BYTES && segments.len() <= MAX_SEGMENTS;
    match is_nothing || fits && segments.iter().all(|it| is_plain(it)) {
        true => {
            let read = read.expect("plain segments, encoded");
            let expected = segments.iter().filter(|_| !is_nothing);
            assert!(read.iter().eq(expected.copied()));
        }
        // A slash at the end says nothing, and is all that is put right.
        false if segments.len() > 1 && segments.last() == Some(&"") => {}
        false => assert!(read.is_err(), "{segments:?}"),
    }
}

/// What a segment may hold, by the documentation of `PathSegments`.
fn is_plain(segment: &str) -> bool {
    let is_special = |it: char| it.is_ascii_control() || "/\\%;?#".contains(it);
    !segment.is_empty()
        && !segment.ends_with(['.', ' '])
        && !segment.starts_with(' ')
        && !segment.contains(is_special)
}

/// Writes a path as RFC 3986 §2.3 has it: escapes for all that is not unreserved.
fn encoded_path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.push_str(&encoded(segment));
    }
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The parameters of a query, written again, are those of it.
fn query(text: &str) {
    let read = Query::parse(text);
    let written: Vec<_> = read
        .pairs()
        .map(|it| format!("{}={}", it.0, it.1))
        .collect();
    let written = written.join("&");
    assert!(Query::parse(&written).pairs().eq(read.pairs()));
    for (name, value) in read.pairs() {
        let Some(decoded) = decode_parameter(name) else {
            continue;
        };
        let alike = |it: &(&str, &str)| decode_parameter(it.0).is_some_and(|it| it == decoded);
        let is_single = read.pairs().filter(alike).count() == 1;
        assert!(read.spellings(&decoded).any(|it| it == name));
        match read.single(&decoded) {
            Ok(Some(one)) => {
                assert!(is_single && !one.is_empty() && !one.chars().any(char::is_control));
                assert_eq!(decode_parameter(value).as_deref(), Some(&*one));
            }
            Ok(None) => assert!(is_single && value.is_empty()),
            Err(_) => {}
        }
    }
}

/// A parameter that was encoded decodes to itself.
fn parameter(name: &str, value: &str) {
    let text = format!("{}={}", encoded(name), encoded(value));
    let (encoded_name, encoded_value) = text.split_once('=').expect("it was written");
    assert_eq!(decode_parameter(encoded_name).as_deref(), Some(name));
    assert_eq!(decode_parameter(encoded_value).as_deref(), Some(value));
    let query = Query::parse(&text);
    let single = query.single(name);
    if encoded_value.len() > MAX_VALUE || value.chars().any(char::is_control) {
        assert!(single.is_err());
    } else {
        let expected = Some(value).filter(|it| !it.is_empty());
        assert_eq!(single.expect("a printable value").as_deref(), expected);
    }
    let twice = format!("{text}&{text}");
    assert!(Query::parse(&twice).single(name).is_err());
}

/// A host is read one way, whatever its case, and with a port or without.
fn host(text: &str) {
    let host_of = |authority: &str| {
        let view = RequestView {
            authority,
            ..RequestView::default()
        };
        view.host().map(|it| it.into_owned())
    };
    let Ok(host) = host_of(text) else {
        return;
    };
    assert!(
        !host
            .bytes()
            .any(|it| it.is_ascii_uppercase() || it <= b' ' || it == b'/' || it == b'@')
    );
    let bare = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.clone(),
    };
    for same in [
        bare.clone(),
        bare.to_ascii_uppercase(),
        format!("{bare}:443"),
    ] {
        assert_eq!(host_of(&same).as_deref(), Ok(&*host), "{same:?}");
    }
}

/// Lines `name: value`. A header is one value or refused, whoever else looks like it.
fn headers(bytes: &[u8]) {
    let lines = bytes.split(|it| *it == b'\n').take(64);
    let cut = |line: &[u8]| line.iter().position(|it| *it == b':');
    let all: Vec<(&[u8], &[u8])> = lines
        .filter_map(|it| cut(it).map(|at| (&it[..at], &it[at + 1..])))
        .collect();
    let headers = Headers::from(all.clone());
    for (name, _) in &all {
        let Ok(name) = str::from_utf8(name) else {
            continue;
        };
        let sent: Vec<&[u8]> = headers.all(name).collect();
        let single = headers.single(name);
        if let Ok(Some(value)) = single {
            assert!(sent.len() == 1 && !value.is_empty() && value.len() <= MAX_VALUE);
            assert!(
                value
                    .bytes()
                    .all(|it| (b' '..=b'~').contains(&it) && it != b',')
            );
            assert_eq!(value.trim_matches(' '), value);
            assert_eq!(
                str::from_utf8(sent[0]).map(|it| it.trim_matches(' ')),
                Ok(value)
            );
        }
        let alike = headers.names().filter(|it| folds_to(it, name)).count();
        match headers.single_unmistakable(name) {
            Ok(value) => assert!(single == Ok(value) && alike == sent.len()),
            Err(_) => assert!(single.is_err() || alike > sent.len()),
        }
    }
}

fn address(text: &str) {
    let sent = [
        ("x-forwarded-for", text.as_bytes()),
        ("x-envoy-external-address", text.as_bytes()),
    ];
    let view = RequestView {
        headers: sent.into_iter().collect(),
        ..RequestView::default()
    };
    for trusted_hops in 1..=3 {
        let _ = view.client_address(ClientAddress::ForwardedFor { trusted_hops });
    }
    let external = view.client_address(ClientAddress::EnvoyExternalAddress);
    assert!(external.is_none_or(|it| it == it.to_canonical()));
}
