//! The wire format of protobuf at its bounds, where random bytes seldom come: what prost reads is read, what it refuses
//! is refused, and what is written, it reads.

use portcullis::envoy::MAX_MESSAGE_BYTES;
use portcullis::envoy::protos::auth::CheckRequest;
use portcullis::envoy::view::view;
use portcullis::envoy::wire;
use prost::Message as _;
use prost::encoding;

/// A field that holds these bytes.
fn holding(number: u32, contents: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encoding::bytes::encode(number, &contents.to_vec(), &mut field);
    field
}

/// A `CheckRequest` whose `attributes.request.http` has this method, and these fields besides.
fn request(method: &[u8], more: &[u8]) -> Vec<u8> {
    let http = [&holding(2, method), more].concat();
    holding(1, &holding(4, &holding(2, &http)))
}

/// A header of the map.
fn header(key: &[u8], value: &[u8]) -> Vec<u8> {
    holding(3, &[holding(1, key), holding(2, value)].concat())
}

/// A header of the list, its value in a field of this number.
fn listed(number: u32, value: &[u8]) -> Vec<u8> {
    let header = [holding(1, b"x-a"), holding(number, value)].concat();
    holding(13, &holding(1, &header))
}

/// So many groups of a field that nobody reads, in one another.
fn groups(depth: usize) -> Vec<u8> {
    const BEGIN: u8 = 15 << 3 | 3;
    const END: u8 = 15 << 3 | 4;
    [vec![BEGIN; depth], vec![END; depth]].concat()
}

#[test]
fn numbers_groups_and_texts_at_their_bounds_are_read_where_prost_reads_them() {
    let get = |more: &[u8]| request(b"GET", more);
    let nine = |key: &[u8], last: u8| get(&[key, &[0xff; 9], &[last]].concat());
    for (what, message, is_read) in [
        ("a number of 64 bits", nine(b"\x48", 1), true),
        ("a number of 65 bits", nine(b"\x48", 2), false),
        ("a number without an end", nine(b"\x48", 0x80), false),
        (
            "a number of eleven bytes",
            get(b"\x48\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
            false,
        ),
        ("the largest field", get(b"\xf8\xff\xff\xff\x0f\x01"), true),
        ("one of 33 bits", get(b"\xc8\x80\x80\x80\x10\x01"), false),
        ("a length of 64 bits", nine(b"\x5a", 1), false),
        ("groups as deep as may be", get(&groups(97)), true),
        ("deeper ones", get(&groups(98)), false),
        ("the same outside", [get(b""), groups(100)].concat(), true),
        (
            "deeper ones outside",
            [get(b""), groups(101)].concat(),
            false,
        ),
        ("a group that another one ends", get(b"\x7b\x74"), false),
        (
            "a group in which another one ends",
            get(b"\x7b\x74\x7c"),
            false,
        ),
        (
            "texts beyond ASCII",
            get(&header("x-naïve".as_bytes(), "čšž".as_bytes())),
            true,
        ),
        (
            "an entry with two keys",
            get(&holding(
                3,
                &[holding(1, b"x-b"), holding(1, b"x-a"), holding(2, b"1")].concat(),
            )),
            true,
        ),
        ("raw bytes", get(&listed(3, b"\xff")), true),
        ("raw bytes for a text", get(&listed(2, b"\xff")), false),
        (
            "a surrogate for a text",
            get(&header(b"x-a", b"\xed\xa0\x80")),
            false,
        ),
        (
            "a key that is cut within a letter",
            get(&header(b"x-\xc3", b"1")),
            false,
        ),
    ] {
        let said = CheckRequest::decode(&message[..]);
        assert_eq!(said.is_ok(), is_read, "{what}, by prost");
        let read = view(&message);
        assert_eq!(read.is_ok(), is_read, "{what}");
        let (Ok(said), Ok(read)) = (said, read) else {
            continue;
        };
        let attributes = said.attributes.expect("attributes");
        let http = attributes.request.and_then(|it| it.http);
        for (name, value) in http.expect("a request").headers {
            let all: Vec<_> = read.headers.all(&name).collect();
            assert_eq!(all, [value.as_bytes()], "{what}");
        }
    }
}

#[test]
fn what_comes_in_pieces_is_put_together() {
    // `source.address.socket_address.address` and `source.principal`, each in a source of its own.
    let peer = holding(1, &holding(1, &holding(2, b"10.1.2.3")));
    let (peer, principal) = (holding(1, &peer), holding(1, &holding(4, b"CN=a")));
    for attributes in [[&peer[..], &principal], [&principal, &peer]] {
        let mut message = request(b"GET", b"");
        message.extend(attributes.iter().flat_map(|it| holding(1, it)));
        let read = view(&message).expect("a request");
        assert_eq!(read.peer, "10.1.2.3".parse().ok());
        assert_eq!(read.principal, Some("CN=a"));
        let said = CheckRequest::decode(&message[..]).expect("a request");
        let source = said.attributes.and_then(|it| it.source).expect("a source");
        assert_eq!(source.principal, "CN=a");
    }
}

#[test]
fn of_what_comes_again_the_last_counts() {
    let of = |at: &str| {
        let text = |number, before: &str| holding(number, format!("{before}{at}").as_bytes());
        let http = [text(2, "M"), text(4, "/p?q=?"), text(5, "h"), text(6, "s")].concat();
        let http = [http, header(b"x-a", at.as_bytes())].concat();
        let address = holding(1, &holding(1, &text(2, "10.0.0.")));
        let entry = |key: &[u8], value: &str| [holding(1, key), text(2, value)].concat();
        [
            holding(1, &[address, text(4, "CN=")].concat()),
            holding(4, &holding(2, &http)),
            holding(10, &entry(b"platform", "p")),
            holding(10, &entry(b"x-a", "another")),
        ]
        .concat()
    };
    let message = holding(1, &[of("1"), of("2")].concat());
    let read = view(&message).expect("a request");
    let words = [read.method, read.path, read.authority, read.scheme];
    assert_eq!(words, ["M2", "/p", "h2", "s2"]);
    let query = read.query.single("q").expect("one");
    assert_eq!(query.as_deref(), Some("?2"));
    assert_eq!(read.headers.all("x-a").collect::<Vec<_>>(), [b"2"]);
    assert_eq!(read.peer, "10.0.0.2".parse().ok());
    assert_eq!(
        (read.principal, read.route_platform),
        (Some("CN=2"), Some("p2"))
    );
    // An empty one is none.
    let message = [message, holding(1, &holding(1, &holding(4, b"")))].concat();
    assert_eq!(view(&message).expect("a request").principal, None);
}

#[test]
fn a_name_that_comes_again_counts_once_among_however_many() {
    for count in [1, 2, 23, 24, 25, 26, 31, 32, 33, 34, 99, 100, 101, 102, 150] {
        let names = (0..count).map(|it| format!("x-{it}"));
        let mut headers = names
            .map(|it| header(it.as_bytes(), b"1"))
            .collect::<Vec<_>>();
        headers.push(header(b"x-0", b"2"));
        let message = request(b"GET", &headers.concat());
        let read = view(&message).expect("a request");
        assert_eq!(
            read.headers.all("x-0").collect::<Vec<_>>(),
            [b"2"],
            "{count}"
        );
        assert_eq!(read.headers.names().count(), count);
    }
}

#[test]
fn a_method_is_a_word_without_small_letters() {
    for method in ["GET", "M-SEARCH", "X!#$%&'*+.^_`|~9"] {
        let message = request(method.as_bytes(), b"");
        assert_eq!(view(&message).expect("a request").method, method);
    }
    for method in ["", "get", "GEt", "GET ", "GET\t/", "G(T", "GÉT", "G\0T"] {
        let message = request(method.as_bytes(), b"");
        let denial = view(&message).map(|_| ());
        assert_eq!(denial.expect_err(method).status(), 400, "{method:?}");
    }
}

#[test]
fn a_message_is_read_up_to_the_bytes_that_it_may_have() {
    let of = |length| {
        // A body, which nobody reads.
        let body = |length| request(b"POST", &holding(11, &vec![b'a'; length]));
        let besides = body(length).len() - length;
        body(length - besides)
    };
    let largest = of(MAX_MESSAGE_BYTES);
    assert_eq!(largest.len(), MAX_MESSAGE_BYTES);
    assert_eq!(view(&largest).expect("a request").method, "POST");
    let larger = of(MAX_MESSAGE_BYTES + 1);
    let denial = view(&larger).map(|_| ()).expect_err("too large");
    assert_eq!(denial.status(), 400);
}

#[test]
fn what_is_written_is_as_long_as_was_told_before() {
    for length in [0, 1, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 70_000] {
        let contents = vec![b'a'; length];
        let mut written = Vec::new();
        wire::put(&mut written, 3, &contents);
        assert_eq!(written, holding(3, &contents), "{length}");
        assert_eq!(wire::delimited_length(length), written.len(), "{length}");
    }
    for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX] {
        let (mut written, mut expected) = (Vec::new(), Vec::new());
        wire::put_number(&mut written, 3, value);
        encoding::uint64::encode(3, &value, &mut expected);
        assert_eq!(written, expected, "{value}");
    }
}
