//! How upstreams of several styles read a request line: not one is wrong, and no two agree on everything.
//!
//! Written apart from the product, and more careless: a reader decodes what can be decoded and keeps the rest.

/// A style of reading a target: which segments it serves, the first of them first.
pub(super) type Reader = (&'static str, fn(&[u8]) -> Vec<Vec<u8>>);

pub(super) const READERS: [Reader; 12] = [
    ("as it came", |target| split(cut(target, b"?"), b"/")),
    ("decoded, then split", |target| {
        split(&decode(cut(target, b"?")), b"/")
    }),
    ("decoded, then cut and split", |target| {
        split(cut(&decode(target), b"?#"), b"/")
    }),
    ("split, then decoded", |target| {
        let segments = split(cut(target, b"?#"), b"/");
        segments.iter().map(|it| decode(it)).collect()
    }),
    ("merged and resolved as nginx does", |target| {
        resolve(split(&decode(cut(target, b"?#")), b"/"))
    }),
    ("resolved, then decoded", |target| {
        let segments = resolve(split(cut(target, b"?#"), b"/"));
        segments.iter().map(|it| decode(it)).collect()
    }),
    ("without parameters, as Tomcat does", |target| {
        let segments = split(cut(target, b"?#"), b"/");
        let plain = segments.iter().map(|it| decode(cut(it, b";")));
        resolve(plain.collect())
    }),
    ("without parameters once they are decoded", |target| {
        let segments = split(&decode(cut(target, b"?")), b"/\\");
        resolve(segments.iter().map(|it| cut(it, b";").to_vec()).collect())
    }),
    ("decoded twice", |target| {
        let twice = decode(&decode(cut(target, b"?")));
        resolve(split(cut(&twice, b"?#"), b"/\\"))
    }),
    ("as a file of Windows", |target| {
        let segments = split(&decode(cut(target, b"?")), b"/\\");
        resolve(segments.iter().map(|it| trim(it)).collect())
    }),
    ("as a text of C", |target| {
        let decoded = decode(cut(target, b"?"));
        resolve(split(cut(&decoded, b"\0\r\n"), b"/"))
    }),
    ("as a URL, whose host comes first", |target| {
        let target = match target.strip_prefix(b"//") {
            Some(rest) => &rest[cut(rest, b"/").len()..],
            None => target,
        };
        let folded = String::from_utf8_lossy(target).replace("%2F", "/");
        resolve(split(
            cut(folded.replace("%2f", "/").as_bytes(), b"?#"),
            b"/",
        ))
    }),
];

/// A style of reading a query: what stands in the parameter of a name.
pub(super) type QueryReader = (&'static str, fn(&[u8], &[u8]) -> Option<Vec<u8>>);

pub(super) const QUERY_READERS: [QueryReader; 7] = [
    ("the first", |query, name| {
        pairs(query, b"&")
            .into_iter()
            .find(|it| it.0 == name)
            .map(|it| it.1)
    }),
    ("the last", |query, name| {
        pairs(query, b"&")
            .into_iter()
            .rfind(|it| it.0 == name)
            .map(|it| it.1)
    }),
    ("divided by semicolons too", |query, name| {
        pairs(query, b"&;")
            .into_iter()
            .rfind(|it| it.0 == name)
            .map(|it| it.1)
    }),
    ("in any letter case", |query, name| {
        let all = pairs(query, b"&");
        all.into_iter()
            .rfind(|it| it.0.eq_ignore_ascii_case(name))
            .map(|it| it.1)
    }),
    ("as lists", |query, name| {
        let all = pairs(query, b"&");
        all.into_iter()
            .rfind(|it| cut(&it.0, b"[") == name)
            .map(|it| it.1)
    }),
    ("names not decoded", |query, name| {
        let all = split(query, b"&");
        let mut all = all.iter().map(|it| (cut(it, b"="), it));
        all.find(|it| it.0 == name)
            .map(|it| decode(it.1.get(name.len() + 1..).unwrap_or_default()))
    }),
    ("behind the last question mark", |query, name| {
        let query = split(query, b"?").pop().unwrap_or_default();
        pairs(&query, b"&")
            .into_iter()
            .find(|it| it.0 == name)
            .map(|it| it.1)
    }),
];

fn pairs(query: &[u8], separators: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let form = |text: &[u8]| {
        let spaced = text.iter().map(|it| if *it == b'+' { b' ' } else { *it });
        decode(&spaced.collect::<Vec<u8>>())
    };
    split(query, separators)
        .iter()
        .map(|it| {
            let name = cut(it, b"=");
            let value = it.get(name.len() + 1..).unwrap_or_default();
            (form(name).trim_ascii().to_vec(), form(value))
        })
        .collect()
}

/// What stands before the first of these bytes.
fn cut<'t>(text: &'t [u8], at: &[u8]) -> &'t [u8] {
    let end = text.iter().position(|it| at.contains(it));
    &text[..end.unwrap_or(text.len())]
}

/// Divides, and leaves out what is before a `/` at the front.
fn split(text: &[u8], separators: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_prefix(b"/").unwrap_or(text);
    let parts = text.split(|it| separators.contains(it));
    parts.map(<[u8]>::to_vec).collect()
}

fn resolve(segments: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut resolved = Vec::new();
    for segment in segments {
        match segment.as_slice() {
            b"" | b"." => {}
            b".." => drop(resolved.pop()),
            _ => resolved.push(segment),
        }
    }
    resolved
}

/// What file systems of Windows drop of a name; `.` and `..` are theirs too.
fn trim(segment: &[u8]) -> Vec<u8> {
    if matches!(segment, b"." | b"..") {
        return segment.to_vec();
    }
    let dropped = |it: &u8| matches!(it, b'.' | b' ');
    let end = segment.iter().rposition(|it| !dropped(it));
    segment[..end.map_or(0, |it| it + 1)]
        .trim_ascii_start()
        .to_vec()
}

fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let mut decoded = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).expect("two digits"));
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

#[test]
fn readers_differ() {
    let first = |target: &str| {
        READERS.map(|it| {
            let segments = (it.1)(target.as_bytes());
            let first = segments.into_iter().next().unwrap_or_default();
            String::from_utf8_lossy(&first).into_owned()
        })
    };
    // Each has a target that it alone, or nearly so, takes for what it must not be.
    for (reader, target) in [
        (0, "/private/../x"),
        (1, "/private%2fx/../.."),
        (2, "/private%3fx"),
        (3, "/%70rivate/.."),
        (4, "/x/..%2fprivate"),
        (5, "/x/../%70rivate"),
        (6, "/private;x"),
        (7, "/private%3bx"),
        (8, "/x/%252e%252e/private"),
        (9, "/private%20./x"),
        (10, "/private%00x"),
        (11, "//x/private"),
    ] {
        assert_eq!(first(target)[reader], "private", "{target}");
    }
    assert!(first("/public/x").iter().all(|it| it == "public"));
}
