//! What was judged is what is served, however the upstream reads it: each hostile target, host, query and header through
//! a real Envoy, one that repairs nothing and one that repairs what it can, and what came out at the other end read in
//! every style of `readings/readers.rs`.
//!
//! A path decides between three zones: `/public`, which anybody may read, `/private`, which takes a scope that the
//! caller here has not, and the rest, which is for whoever has a key. The last rule takes every path, so that
//! whatever `/private` does not know is let through: nothing but the reading of the path stands between.

mod readers;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::envoy::readings::readers::{QUERY_READERS, READERS};
use crate::support::client::{Client, Request};
use crate::support::envoy::Envoy;
use crate::support::http::visible;
use crate::support::server::Server;
use crate::support::upstream::{Seen, Upstream};

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
store: { directory_file: directory.yaml }
check: { deadline_ms: 20000 }
client_address: { from: peer }
platforms:
  - name: site
    hosts: [site.example, "*.wild.example", "::1"]
    schemes: { key: { kind: api_key, from: [{ header: x-key }, { query: key }] } }
    method_override: { headers: [x-http-method-override], query: [verb] }
    rules:
      - { paths: ["/private/**"], scopes_any: [private] }
      - { methods: [GET], paths: ["/public/**"], allow: public }
      - { paths: ["/files/**"], schemes: [key], rest_unclear: true }
      - { paths: ["/**"], schemes: [key] }
  - name: other
    hosts: [other.example, "*"]
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ paths: ["/**"], schemes: [key] }]
"#;

const DIRECTORY: &str = "
site:
  api_keys:
    - { id: caller, account: a-1, secret: a-key-of-the-site-0001 }
    - { id: keeper, account: a-1, secret: a-key-of-the-site-0002, scopes: [private] }
other:
  api_keys:
    - { id: caller, account: a-1, secret: a-key-of-the-other-0001 }
";
const CALLER: &str = "a-key-of-the-site-0001";
const KEEPER: &str = "a-key-of-the-site-0002";

/// The server, the upstreams of its platforms, and Envoys that lead to them.
#[derive(Debug)]
struct Site {
    _server: Server,
    /// Of the site, of the other platform, and what belongs to nobody in particular.
    upstreams: [(&'static str, Upstream); 3],
    /// One that repairs nothing, and one that repairs what it can. Both look for a host without its port.
    by_host: [Envoy; 2],
    /// One whose routes say which platform it is, and that takes a host with a port for another host.
    by_route: Envoy,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let server = Server::start_with(CONFIG, &[("directory.yaml", DIRECTORY)]);
    let upstreams = ["site", "other", "stray"].map(|it| (it, Upstream::start()));
    let [site, other, stray] = [0, 1, 2].map(|it: usize| upstreams[it].1.address());
    let begin = || Envoy::builder(server.grpc(), stray).check_timeout(Duration::from_secs(20));
    let by_host = |builder: crate::support::envoy::Builder| {
        builder
            .ignore_ports()
            .host_at("site.example", &[], site)
            .host_at("*.wild.example", &[], site)
            .host_at("[::1]", &[], site)
            .host_at("*", &[], other)
            .start()
    };
    let by_route = begin()
        .host_at("site.example", &[("platform", "site")], site)
        .host_at("*", &[("platform", "other")], other);
    Site {
        by_host: [by_host(begin()), by_host(begin().normalize_paths())],
        by_route: by_route.start(),
        upstreams,
        _server: server,
    }
});

/// What came of a request: the status, 0 where the connection was closed, and what reached which upstream.
#[derive(Debug)]
struct Came {
    status: u16,
    reached: Vec<(&'static str, Seen)>,
}

impl Came {
    /// Nothing reached anybody, and whoever asked was told so.
    fn is_refused(&self) -> bool {
        self.reached.is_empty() && matches!(self.status, 0 | 400..=499)
    }

    /// What reached the site.
    fn at_the_site(&self) -> Option<&Seen> {
        match self.reached.as_slice() {
            [("site", seen)] if self.status == 200 => Some(seen),
            _ => None,
        }
    }
}

impl Site {
    /// Sends a request through every listener of these Envoys.
    async fn send(&self, envoys: &[Envoy], request: &Request) -> Vec<Came> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut all = Vec::new();
        for address in envoys.iter().flat_map(|it| [it.plain(), it.raw_headers()]) {
            let id = format!("reading-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            let request = request.clone().header("x-request-id", &id);
            let mut client = Client::connect(address).await;
            client.send(&request.to_bytes()).await;
            let status = client.receive().await.map_or(0, |it| it.status);
            let named = |it: &Seen| it.headers_named("x-request-id") == [id.as_str()];
            let reached = self.upstreams.iter().flat_map(|(name, upstream)| {
                let seen = upstream.seen_where(named).into_iter();
                seen.map(|it| (*name, it))
            });
            all.push(Came {
                status,
                reached: reached.collect(),
            });
        }
        all
    }
}

fn get(target: impl AsRef<[u8]>) -> Request {
    Request::new("GET", target).header("host", "site.example")
}

/// Whose a path is, as a reader takes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Zone {
    Files,
    Private,
    Public,
    Rest,
}

fn zones(target: &[u8]) -> impl Iterator<Item = (&'static str, Zone)> {
    READERS.iter().map(|(name, read)| {
        let zone = match read(target).first().map(Vec::as_slice) {
            Some(b"files") => Zone::Files,
            Some(b"private") => Zone::Private,
            Some(b"public") => Zone::Public,
            _ => Zone::Rest,
        };
        (*name, zone)
    })
}

/// What can stand between two segments, or begins the second.
const BETWEEN: [&[u8]; 43] = [
    b"/",
    b"//",
    b"///",
    b"/./",
    b"/../",
    b"/.././",
    b"/%2e/",
    b"/%2e%2e/",
    b"/.%2E/",
    b"/%2e./",
    b"/..;/",
    b"/;/",
    b";/",
    b";x=1/",
    b"/..;x=1/",
    b"%3b/",
    b"%3B..%2f",
    b"%2f",
    b"%2F",
    b"%2f..%2f",
    b"/..%2f",
    b"/..%2F",
    b"\\",
    b"%5c",
    b"%5C",
    b"/..\\",
    b"/..%5c",
    b"\\..\\",
    b"%00/",
    b"/..%00/",
    b"/%20/",
    b"/..%20/",
    b"/.../",
    b"/%252e%252e/",
    b"%252f",
    b"%25%32%66",
    b"/%25%32%65%25%32%65/",
    b"%c0%af",
    b"/%c0%ae%c0%ae/",
    b"%u002f",
    b"%0d%0a/",
    b"?/../",
    b"/%ef%bc%8e./",
];

/// What can stand behind a segment.
const BEHIND: [&[u8]; 42] = [
    b"",
    b".",
    b"..",
    b"...",
    b"%2e",
    b"%20",
    b"%20.",
    b".%20",
    b"%20%20",
    b" ",
    b"%00",
    b"%00x",
    b";",
    b";x=1",
    b"%3b",
    b"%3Bx",
    b"#",
    b"#x",
    b"%23",
    b"%23x",
    b"?",
    b"?x",
    b"??",
    b"%3f",
    b"%3Fx",
    b"%3f/..",
    b"%09",
    b"%0a",
    b"\t",
    b"%ff",
    b"\xff",
    b"\xc3\xa4",
    b"%c0%80",
    b"%",
    b"%2",
    b"%zz",
    b"\\",
    b"%5c",
    b"%5C..",
    b"%2f",
    b"%252f",
    b"%2500",
];

fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "*",
        "",
        "?",
        "private/x",
        "public/../private/x",
        "//site.example/private/x",
        "/%70rivate/x",
        "/priv%61te/x",
        "/pr%2569vate/x",
        "http://site.example//private/x",
        "http://site.example/public/../private/x",
        "http://site.example/public/..%2fprivate/x",
        "http://site.example/public;/../private/x",
        "http://site.example/%2e%2e/private/x",
        "http:/private/x",
        "http:///private/x",
        "/http://site.example/private/x",
        "/\\site.example/private/x",
        "/..//private/x",
        "/.//private/x",
    ]
    .map(|it| it.as_bytes().to_vec())
    .to_vec();
    for it in BETWEEN {
        let up = [it, b"..", it].concat();
        all.extend([
            [b"/public", it, b"private/x"].concat(),
            [b"/public", &up[..], b"private/x"].concat(),
            [b"/rest", it, b"private/x"].concat(),
            [b"/rest", &up[..], b"private/x"].concat(),
            [b"/rest", it, b"public/x"].concat(),
            [b"/", it, b"private/x"].concat(),
            [b"/private", it, b"../public/x"].concat(),
            [b"/private", it, b"x/../../public/x"].concat(),
        ]);
    }
    for it in BEHIND {
        all.extend([
            [b"/private", it].concat(),
            [b"/private", it, b"/x"].concat(),
            [b"/public", it, b"/../private/x"].concat(),
            [b"/public/..", it, b"/private/x"].concat(),
            [b"/public/.", it, b"./private/x"].concat(),
            [b"/", it, b"private/x"].concat(),
            [b"/private", it, b"/../public/x"].concat(),
        ]);
    }
    all
}

/// CVE-2023-33189 (Pomerium): a crafted request was judged otherwise than it was routed. With it Envoy's CVE-2019-9901
/// (dots), CVE-2021-29492 (`%2F`, `%5C`, `//`), CVE-2021-32779 (`#`), CVE-2026-73511 and CVE-2026-73553 (`;`).
#[tokio::test]
async fn no_reader_is_led_elsewhere_than_where_the_rules_were_read() {
    let site = &*SITE;
    let (mut passed, mut wrong) = (0, String::new());
    for target in hostile() {
        for key in [None, Some(CALLER)] {
            let mut request = get(&target);
            if let Some(key) = key {
                request = request.header("x-key", key);
            }
            for came in site.send(&site.by_host, &request).await {
                let Some(seen) = came.at_the_site() else {
                    if !came.is_refused() {
                        wrong += &format!("{}: {came:?}\n", visible(&target));
                    }
                    continue;
                };
                passed += 1;
                for (reader, zone) in zones(&seen.path) {
                    let may = match key {
                        None => zone == Zone::Public,
                        Some(_) => zone != Zone::Private,
                    };
                    if !may {
                        let (sent, came) = (visible(&target), visible(&seen.path));
                        wrong += &format!("{sent} came as {came}: {reader}, {zone:?} to {key:?}\n");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(passed > 100, "what Envoy repairs is let through: {passed}");
}

#[tokio::test]
async fn the_plain_twin_of_each_goes_through_as_it_came_and_is_one_thing_to_every_reader() {
    let site = &*SITE;
    let twins = [
        (None, Zone::Public, "/public"),
        (None, Zone::Public, "/public/"),
        (None, Zone::Public, "/public/x"),
        (None, Zone::Public, "/public/private/x"),
        (None, Zone::Public, "/public/a%20b/%C3%A4/j%40x"),
        (None, Zone::Public, "/public/.a/b..c/v1.2"),
        (None, Zone::Public, "/public/a:b,c=d+e"),
        (None, Zone::Public, "/public/x?a=/../private"),
        (None, Zone::Public, "/public/x??/../private/x"),
        (None, Zone::Public, "/public/x?%2e%2e;%00&%zz"),
        (Some(CALLER), Zone::Public, "/public/x"),
        (Some(CALLER), Zone::Rest, "/"),
        (Some(CALLER), Zone::Rest, "/rest/x"),
        (Some(CALLER), Zone::Rest, "/rest/private"),
        (Some(CALLER), Zone::Rest, "/privates/x"),
        (Some(KEEPER), Zone::Private, "/private"),
        (Some(KEEPER), Zone::Private, "/private/x"),
    ];
    for (key, zone, target) in twins {
        let mut request = get(target);
        if let Some(key) = key {
            request = request.header("x-key", key);
        }
        for came in site.send(&site.by_host, &request).await {
            let seen = came
                .at_the_site()
                .unwrap_or_else(|| panic!("{target}: {came:?}"));
            assert_eq!(visible(&seen.path), target);
            assert!(zones(&seen.path).all(|it| it.1 == zone), "{target}");
        }
    }
    for (key, target) in [
        (None, "/private/x"),
        (None, "/rest/x"),
        (Some(CALLER), "/private"),
        (Some(CALLER), "/private/x"),
    ] {
        let mut request = get(target);
        if let Some(key) = key {
            request = request.header("x-key", key);
        }
        let came = site.send(&site.by_host, &request).await;
        assert!(came.iter().all(Came::is_refused), "{target}: {came:?}");
    }
}

#[tokio::test]
async fn what_a_rule_takes_unclear_leads_no_reader_out_of_it() {
    let site = &*SITE;
    let mut targets = Vec::new();
    for it in BETWEEN {
        let up = [it, b"..", it].concat();
        targets.extend([
            [b"/files", it, b"private/x"].concat(),
            [b"/files", &up[..], b"private/x"].concat(),
            [b"/files/a", it, b"b"].concat(),
            [b"/files/a", &up[..], b"private/x"].concat(),
            [b"/files/a", &up[..], &up[..], b"private/x"].concat(),
        ]);
    }
    for it in BEHIND {
        targets.extend([
            [b"/files/a", it].concat(),
            [b"/files/..", it, b"/private/x"].concat(),
            [b"/files/.", it, b"./private/x"].concat(),
            [b"/files/", it, b"../private/x"].concat(),
            [b"/files/%2", it, b"5%2e%2e/private/x"].concat(),
        ]);
    }
    let (mut passed, mut wrong) = (0, String::new());
    for target in targets {
        let request = get(&target).header("x-key", CALLER);
        for came in site.send(&site.by_host, &request).await {
            let Some(seen) = came.at_the_site() else {
                assert!(came.is_refused(), "{}: {came:?}", visible(&target));
                continue;
            };
            passed += 1;
            // An Envoy that repairs paths may lead one out before it asks: then it was judged as it came.
            let judged = match seen.path.starts_with(b"/?") {
                true => Zone::Rest,
                false => Zone::Files,
            };
            for (reader, zone) in zones(&seen.path) {
                if zone != judged {
                    let (sent, came) = (visible(&target), visible(&seen.path));
                    wrong += &format!("{sent} came as {came}: {reader}, {zone:?}\n");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(passed > 100, "{passed}");
    for target in [
        "/files/a%2Fb",
        "/files/a%2fb/c",
        "/files/a;v=1/b",
        "/files/100%25",
        "/files/a%3Fb",
        "/files/a./b",
    ] {
        for came in site
            .send(&site.by_host, &get(target).header("x-key", CALLER))
            .await
        {
            let seen = came
                .at_the_site()
                .unwrap_or_else(|| panic!("{target}: {came:?}"));
            assert_eq!(visible(&seen.path), target);
        }
        let refused = site.send(&site.by_host, &get(target)).await;
        assert!(
            refused.iter().all(|it| it.status == 401),
            "{target}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn the_platform_whose_rules_counted_is_the_one_that_is_served() {
    let site = &*SITE;
    let request = |host: &str| {
        Request::new("GET", "/rest/x")
            .header("host", host)
            .header("x-key", CALLER)
    };
    let absolute = |url: &str, host: &str| {
        Request::new("GET", url)
            .header("host", host)
            .header("x-key", CALLER)
    };
    let good = [
        ("plain", request("site.example")),
        ("a port", request("site.example:80")),
        ("another port", request("site.example:8443")),
        ("another case", request("Site.EXAMPLE")),
        ("a wild one", request("a.b.wild.example")),
        ("IPv6", request("[::1]")),
        ("IPv6 with a port", request("[::1]:8080")),
        ("spaces around", request("  site.example  ")),
        (
            "a URL that names another",
            absolute("http://site.example/rest/x", "other.example"),
        ),
        (
            "a URL with a user, which Envoy takes off",
            absolute("http://a@site.example/rest/x", "site.example"),
        ),
    ];
    for (name, request) in good {
        for came in site.send(&site.by_host, &request).await {
            let seen = came
                .at_the_site()
                .unwrap_or_else(|| panic!("{name}: {came:?}"));
            assert_eq!(seen.headers_named("x-auth-platform"), ["site"], "{name}");
        }
    }
    let mut bad: Vec<_> = [
        "site.example.",
        "site.example.:80",
        "SITE.EXAMPLE.",
        "site.example..",
        ".site.example",
        "site..example",
        "site.example,other.example",
        "site.example, other.example",
        "other.example,site.example",
        "a@site.example",
        "site.example@other.example",
        "site.example:80@other.example",
        "site.example:80:80",
        "site.example:",
        "site.example:+80",
        "site.example:x",
        "site.example:99999",
        "site.example/",
        "site.example/x",
        "site.example#",
        "site.example?x",
        "site.example%00",
        "site%2eexample",
        "site.example\\x",
        "site.example;x",
        "site example",
        "",
        "other.example",
        "a.site.example",
        "wild.example",
        ".wild.example",
        "a.wild.example.",
        "::1",
        "[::1",
        "[::1]x",
        "[::1%25lo]",
        "[0:0:0:0:0:0:0:1]",
        "127.0.0.1",
        "sit\u{e9}.example",
        "site.example\tx",
    ]
    .map(|it| (it, request(it)))
    .into();
    bad.push((
        "two",
        request("site.example").header("host", "other.example"),
    ));
    bad.push((
        "the same twice",
        request("site.example").header("host", "site.example"),
    ));
    bad.push((
        "a URL of another",
        absolute("http://other.example/rest/x", "site.example"),
    ));
    bad.push((
        "a URL with a dot",
        absolute("http://site.example./rest/x", "site.example"),
    ));
    bad.push((
        "none",
        Request::new("GET", "/rest/x").header("x-key", CALLER),
    ));
    for (name, request) in bad {
        let all = site.send(&site.by_host, &request).await;
        assert!(all.iter().all(Came::is_refused), "{name}: {all:?}");
        // Where the route says whose it is, a host that Envoy takes for another is another's.
        for came in site
            .send(std::slice::from_ref(&site.by_route), &request)
            .await
        {
            for (upstream, seen) in &came.reached {
                assert_eq!(
                    seen.headers_named("x-auth-platform"),
                    [*upstream],
                    "{name}: {seen:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_method_that_some_reader_finds_in_the_query_or_a_header_is_judged_or_refused() {
    let site = &*SITE;
    let hostile = [
        "verb=DELETE",
        "verb=delete",
        "%76erb=DELETE",
        "v%65rb=DELETE&a=1",
        "a=1&verb=DELETE",
        "VERB=DELETE",
        "Verb=DELETE",
        "verb=GET&verb=DELETE",
        "verb=DELETE&verb=GET",
        "verb=GET&VERB=DELETE",
        "verb=GET&%76erb=DELETE",
        "a=1;verb=DELETE",
        "a;verb=DELETE",
        "verb=GET;verb=DELETE",
        ";verb=DELETE",
        "verb[]=DELETE",
        "verb%5b%5d=DELETE",
        "verb[0]=DELETE",
        "+verb=DELETE",
        "verb+=DELETE",
        "%20verb=DELETE",
        "?verb=DELETE",
        "a=1?verb=DELETE",
        "verb=DELETE?",
        "verb=GET?verb=DELETE",
        "verb=%44ELETE",
        "verb=DE%4cETE",
        "verb=+DELETE",
        "verb=DELETE%00",
        "verb=GET%00DELETE",
        "verb=%zz",
        "verb=GET,DELETE",
        "&&verb=DELETE",
        "=&verb=DELETE",
        "verb=&verb=DELETE",
        "verb;=DELETE",
        "verb==DELETE",
        "verb=GET%26verb=DELETE",
    ];
    let harmless = [
        "",
        "verb=GET",
        "verb=get",
        "%76erb=GET",
        "a=verb",
        "verbs=DELETE",
        "a=%26verb=DELETE",
        "verb=",
    ];
    for query in hostile.into_iter().chain(harmless) {
        for came in site
            .send(&site.by_host, &get(format!("/public/x?{query}")))
            .await
        {
            let Some(seen) = came.at_the_site() else {
                assert!(
                    came.is_refused() && !harmless.contains(&query),
                    "{query}: {came:?}"
                );
                continue;
            };
            let (_, query) = seen.path.split_at("/public/x?".len().min(seen.path.len()));
            for (reader, read) in QUERY_READERS {
                let verb = read(query, b"verb").unwrap_or_default();
                let verb = verb.trim_ascii().to_ascii_uppercase();
                assert!(
                    matches!(verb.as_slice(), b"" | b"GET"),
                    "{query:?}: {reader}: {verb:?}"
                );
            }
        }
    }
    for headers in [
        &["X-HTTP-Method-Override: DELETE"][..],
        &["x-http-method-override: delete"],
        &["X_HTTP_Method_Override: DELETE"],
        &["X-HTTP_Method-Override: DELETE"],
        &[
            "X-HTTP-Method-Override: GET",
            "X-HTTP-Method-Override: DELETE",
        ],
        &[
            "X-HTTP-Method-Override: GET",
            "X_HTTP-METHOD_OVERRIDE: DELETE",
        ],
        &["X-HTTP-Method-Override: GET, DELETE"],
    ] {
        let request = headers
            .iter()
            .fold(get("/public/x"), |it, line| it.raw(format!("{line}\r\n")));
        let came = site.send(&site.by_host, &request).await;
        assert!(came.iter().all(Came::is_refused), "{headers:?}: {came:?}");
    }
}

/// CVE-2018-14773 (Symfony): `X-Original-URL` and `X-Rewrite-URL` were served for the path.
#[tokio::test]
async fn a_header_that_names_another_path_or_method_reaches_an_upstream_only_where_rules_hold_for_it()
 {
    let site = &*SITE;
    let names = [
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method",
        "X-Method-Override",
        "X_HTTP-Method",
        "x_method_override",
    ];
    // The site lets clients name a method in the first, and the other platform in none.
    for (host, kept) in [("site.example", 1), ("other.example", 0)] {
        let begun = Request::new("GET", "/rest/x").header("host", host);
        let begun = begun.header(
            "x-key",
            if kept == 1 {
                CALLER
            } else {
                "a-key-of-the-other-0001"
            },
        );
        let request = names.iter().fold(begun, |it, name| it.header(name, "GET"));
        for came in site.send(&site.by_host, &request).await {
            let [(_, seen)] = came.reached.as_slice() else {
                panic!("{host}: {came:?}");
            };
            for (index, name) in names.iter().enumerate() {
                let sent = seen.headers_named(&name.to_ascii_lowercase());
                assert_eq!(sent.len(), usize::from(index < kept), "{host}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_that_folds_header_names_finds_one_identity_and_no_credential() {
    let site = &*SITE;
    let names = [
        "x-auth-platform",
        "x-auth-account",
        "x-auth-user",
        "x-auth-scopes",
        "x-auth-roles",
        "x-auth-scheme",
        "x-key",
    ];
    let wsgi = |name: &[u8]| {
        String::from_utf8_lossy(name)
            .to_ascii_uppercase()
            .replace('-', "_")
    };
    for spell in [
        |it: &str| it.to_owned(),
        |it: &str| it.to_ascii_uppercase(),
        |it: &str| it.replace('-', "_"),
        |it: &str| it.replacen('-', "_", 1),
        |it: &str| it.to_ascii_uppercase().replace('-', "_"),
    ] {
        let spoof = |it: Request, name: &&str| match spell(name) {
            // Twice would be no credential.
            name if name.eq_ignore_ascii_case("x-key") => it,
            name => it.header(&name, "spoofed").header(&name, "again"),
        };
        let request = names
            .iter()
            .fold(get("/rest/x").header("x-key", CALLER), spoof);
        for came in site.send(&site.by_host, &request).await {
            let seen = came.at_the_site().unwrap_or_else(|| panic!("{came:?}"));
            for name in names {
                let folded = wsgi(name.as_bytes());
                let found = seen.headers.iter().filter(|it| wsgi(&it.0) == folded);
                let found: Vec<_> = found.map(|it| visible(&it.1)).collect();
                let want: &[&str] = match name {
                    "x-auth-platform" => &["site"],
                    "x-auth-account" => &["a-1"],
                    "x-auth-scheme" => &["key"],
                    _ => &[],
                };
                assert_eq!(found, want, "{name}");
            }
        }
    }
}
