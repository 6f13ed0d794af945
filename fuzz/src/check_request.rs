//! The walker over the wire against prost: both read the same request, or both refuse.

use portcullis::decision::Denial;
use portcullis::envoy::protos::auth::CheckRequest;
use portcullis::envoy::view::{MAX_HEADERS, view};
use portcullis::request::RequestView;
use portcullis::request::is_token_byte;
use portcullis::request::query::Query;
use prost::Message as _;

pub(super) fn run(bytes: &[u8]) {
    let walked = view(bytes);
    // Headers take two bytes each or more, and of those of one name in a map prost keeps one.
    if walked.is_err() && bytes.len() > 2 * MAX_HEADERS {
        return;
    }
    let Some(said) = Said::of(bytes) else {
        refused(&walked);
        return;
    };
    let view = walked.expect("prost reads a request in it");
    assert_eq!(view.method, said.method, "method");
    assert_eq!(view.authority, said.host, "host");
    assert_eq!(view.scheme, said.scheme, "scheme");
    let (path, query) = said.path.split_once('?').unwrap_or((&said.path, ""));
    assert_eq!(view.path, path, "path");
    assert!(view.query.pairs().eq(Query::parse(query).pairs()), "query");
    assert_eq!(view.peer, said.peer.parse().ok(), "peer");
    assert_eq!(
        view.principal.unwrap_or_default(),
        said.principal,
        "principal"
    );
    assert_eq!(view.route_platform, said.platform.as_deref(), "platform");
    headers(&view, &said);
}

fn refused(walked: &Result<RequestView<'_>, Denial>) {
    let denial = walked
        .as_ref()
        .map(|_| ())
        .expect_err("prost reads no request in it");
    assert_eq!(denial.status(), 400);
}

/// Of a map the order is not known, of a list it is.
fn headers(view: &RequestView<'_>, said: &Said) {
    let mut names: Vec<&[u8]> = view.headers.names().collect();
    let both = said.mapped.iter().chain(&said.listed);
    let mut expected: Vec<&[u8]> = both.clone().map(|it| it.0.as_bytes()).collect();
    if said.mapped.is_empty() {
        assert_eq!(names, expected, "names in their order");
    }
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "names");
    names.dedup_by_key(|it| it.to_ascii_lowercase());
    for name in names {
        let name = str::from_utf8(name).expect("prost has read it as text");
        let alike = both.clone().filter(|it| it.0.eq_ignore_ascii_case(name));
        let mut expected: Vec<&[u8]> = alike.map(|it| it.1.as_slice()).collect();
        let mut values: Vec<&[u8]> = view.headers.all(name).collect();
        if said.mapped.is_empty() {
            assert_eq!(values, expected, "values of {name:?} in their order");
        }
        values.sort_unstable();
        expected.sort_unstable();
        assert_eq!(values, expected, "values of {name:?}");
    }
}

/// What prost reads of a request, where it is one that is judged.
struct Said {
    method: String,
    host: String,
    scheme: String,
    path: String,
    peer: String,
    principal: String,
    platform: Option<String>,
    mapped: Vec<(String, Vec<u8>)>,
    listed: Vec<(String, Vec<u8>)>,
}

impl Said {
    fn of(bytes: &[u8]) -> Option<Self> {
        let attributes = CheckRequest::decode(bytes).ok()?.attributes?;
        let source = attributes.source.unwrap_or_default();
        let socket = source.address.and_then(|it| it.socket_address);
        let http = attributes.request?.http?;
        let is_method = |it: u8| is_token_byte(it) && !it.is_ascii_lowercase();
        if http.method.is_empty() || !http.method.bytes().all(is_method) {
            return None;
        }
        let plain = |it: &(String, Vec<u8>)| !it.0.starts_with(':');
        let mapped = http.headers.into_iter().map(|it| (it.0, it.1.into_bytes()));
        let listed = http.header_map.unwrap_or_default().headers.into_iter();
        let listed = listed.map(|it| match it.raw_value.is_empty() {
            true => (it.key, it.value.into_bytes()),
            false => (it.key, it.raw_value),
        });
        Some(Self {
            method: http.method,
            host: http.host,
            scheme: http.scheme,
            path: http.path,
            peer: socket.unwrap_or_default().address,
            principal: source.principal,
            platform: attributes.context_extensions.get("platform").cloned(),
            mapped: mapped.filter(plain).collect(),
            listed: listed.filter(plain).collect(),
        })
    }
}
