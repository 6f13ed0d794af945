//! README.md and the documents in `deploy/` say what is true: their files are those of `deploy/`, the requests get their
//! answers from a real Envoy and the real server, and the tables name what there is.

mod support;

/// In `tests/readme/`.
mod readme {
    mod documents;
    mod explained;
}

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis::decision::Reason;
use portcullis::platform::settings::IdentityHeaders;
use serde_json::{Value, json};
use support::client::{Request, exchange};
use support::envoy::{Configured, Envoy};
use support::http::{Response, fetch};
use support::issuers::{END, Issuer, changed};
use support::provider::Provider;
use support::server::Server;
use support::upstream::Upstream;
use support::{free_port, loopback};

/// The ports that the files name.
const EDGE: &str = "8080";
const STAND_IN: &str = "8000";
const GRPC: &str = "9001";
const ADMIN: &str = "9003";

const PATIENCE: Duration = Duration::from_secs(20);

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where platforms are described, and how they are run.
const PLATFORMS: &str = "deploy/PLATFORMS.md";
const RUNNING: &str = "deploy/RUNNING.md";

/// Gives the fenced blocks of a document that have this info string.
fn blocks(document: &str, info: &str) -> Vec<String> {
    let text = read(document);
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(opened) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|it| *it != "```").collect();
        if opened == info {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// A request as the README writes it, and the lines of the answer that it shows.
struct Example {
    request: Request,
    answer: Vec<String>,
}

/// Gives the `$ curl …` commands of the blocks with this info string.
fn examples(info: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in blocks("README.md", info) {
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ curl ") {
                let (request, answer) = (curl(command), Vec::new());
                examples.push(Example { request, answer });
            } else {
                let example = examples.last_mut().expect("a command before its answer");
                example.answer.push(line.to_owned());
            }
        }
    }
    assert!(!examples.is_empty(), "README.md has blocks `{info}`");
    examples
}

/// Reads a command as a shell and curl do, as far as the README goes.
fn curl(command: &str) -> Request {
    let (mut method, mut headers, mut target) = ("GET".to_owned(), Vec::new(), None);
    let mut words = words(command).into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-i" | "--path-as-is" => {}
            "-H" => headers.push(words.next().expect("a header behind -H")),
            "-X" => method = words.next().expect("a method behind -X"),
            url => {
                let base = format!("http://localhost:{EDGE}");
                let path = url.strip_prefix(&base);
                target = Some(
                    path.unwrap_or_else(|| panic!("not an option or a URL: {url}"))
                        .to_owned(),
                );
            }
        }
    }
    let mut request = Request::new(&method, target.expect("a URL"))
        .header("host", format!("localhost:{EDGE}"))
        .header("accept", "*/*");
    for header in headers {
        let (name, value) = header.split_once(": ").expect("`name: value`");
        request = request.header(name, value);
    }
    request
}

/// Divides a command into words; single quotes keep them together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Compares an answer with the lines shown: the status, some headers, and the whole body.
fn check(shown: &[String], got: &Response) {
    let mut lines = shown.iter();
    let status = lines.next().expect("a status line");
    let wanted = format!("HTTP/1.1 {} ", got.status);
    assert!(
        status.starts_with(&wanted),
        "{status} is not {wanted}: {got:?}"
    );
    for header in lines.by_ref().take_while(|it| !it.is_empty()) {
        let (name, value) = header.split_once(": ").expect("`name: value`");
        assert_eq!(got.header(name), Some(value), "{got:?}");
    }
    let body: Vec<_> = lines.map(String::as_str).collect();
    assert_eq!(got.text().trim_end(), body.join("\n").trim_end());
}

#[tokio::test]
async fn the_requests_of_the_readme_get_its_answers() {
    let config = read("deploy/envoy/portcullis.yaml")
        .replace(&format!(":{GRPC}\""), ":{grpc}\"")
        .replace(&format!(":{ADMIN}\""), ":{admin}\"");
    let directory = read("deploy/envoy/directory.yaml");
    let mut server = Server::start_with(&config, &[("directory.yaml", &directory)]);
    let (edge, stand_in) = (free_port(), free_port());
    let envoy = read("deploy/envoy/envoy.yaml")
        .replace(
            &format!("port_value: {EDGE} "),
            &format!("port_value: {edge} "),
        )
        .replace(
            &format!("port_value: {STAND_IN} "),
            &format!("port_value: {stand_in} "),
        )
        .replace(
            &format!("port_value: {GRPC} "),
            &format!("port_value: {} ", server.grpc().port()),
        );
    let envoy = Configured::start(&envoy, loopback(edge));

    for example in examples("console") {
        let got = exchange(loopback(edge), &example.request).await;
        check(&example.answer, &got);
    }
    let counted = fetch(envoy.admin(), "/stats/prometheus").expect("statistics");
    for name in ["ok", "denied", "error", "failure_mode_allowed"] {
        let series = format!("envoy_http_ext_authz_{name}{{");
        assert!(counted.text().contains(&series), "Envoy has no {series}");
    }
    let running = read(RUNNING);
    let metrics = fetch(server.admin(), "/metrics").expect("metrics");
    for line in metrics.text().lines() {
        let name = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split(' ').next());
        if let Some(name) = name {
            assert!(
                running.contains(&format!("`{name}")),
                "{RUNNING} has no {name}"
            );
        }
    }

    server.stop();
    for example in examples("console down") {
        let got = exchange(loopback(edge), &example.request).await;
        check(&example.answer, &got);
    }
}

/// The Envoy of the README before this upstream; gives where it listens.
fn edge_before(upstream: &Upstream, grpc: u16) -> (Configured, std::net::SocketAddr) {
    edge_of(&read("deploy/envoy/envoy.yaml"), upstream, grpc)
}

/// The same of an Envoy that is written somewhat otherwise.
fn edge_of(envoy: &str, upstream: &Upstream, grpc: u16) -> (Configured, std::net::SocketAddr) {
    let edge = free_port();
    let (listener, clusters) = envoy
        .split_once("  clusters:")
        .map(|(listener, clusters)| (listener.to_owned(), clusters.to_owned()))
        .expect("clusters");
    let to = |text: &str, from: &str, port: u16| {
        text.replace(
            &format!("port_value: {from} "),
            &format!("port_value: {port} "),
        )
    };
    let listener = to(&to(&listener, EDGE, edge), STAND_IN, free_port());
    let clusters = to(
        &to(&clusters, GRPC, grpc),
        STAND_IN,
        upstream.address().port(),
    );
    let envoy = format!("{listener}  clusters:{clusters}");
    (Configured::start(&envoy, loopback(edge)), loopback(edge))
}

#[test]
fn the_upstream_of_the_readme_may_have_a_name_where_it_says_so() {
    let upstream = Upstream::start();
    let readme = read("README.md");
    assert!(readme.contains("say `type: STRICT_DNS` there"), "{readme}");
    let envoy = read("deploy/envoy/envoy.yaml");
    let (before, cluster) = envoy.split_once("    - name: upstream\n").expect("one");
    let cluster = cluster
        .replace("type: STATIC", "type: STRICT_DNS")
        .replace("address: 127.0.0.1,", "address: localhost,");
    let named = format!("{before}    - name: upstream\n{cluster}");
    assert_ne!(named, envoy);
    // It listens, and so has not ended with `malformed IP address`.
    let _envoy = edge_of(&named, &upstream, free_port());
}

/// CVE-2018-14773 (Symfony): `X-Original-URL` and `X-Rewrite-URL` were served for the path.
#[tokio::test]
async fn no_header_that_names_another_path_or_method_reaches_the_upstream_of_the_readme() {
    let config = read("deploy/envoy/portcullis.yaml")
        .replace(&format!(":{GRPC}\""), ":{grpc}\"")
        .replace(&format!(":{ADMIN}\""), ":{admin}\"");
    let directory = read("deploy/envoy/directory.yaml");
    let server = Server::start_with(&config, &[("directory.yaml", &directory)]);
    let upstream = Upstream::start();
    let (_envoy, edge) = edge_before(&upstream, server.grpc().port());
    let names = [
        "X-Original-URL",
        "x-rewrite-url",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ];
    let begun = Request::new("GET", "/public/a")
        .header("host", "localhost")
        .header("x-original", "1");
    let request = names
        .iter()
        .fold(begun, |it, name| it.header(name, "/orders/7"));
    assert_eq!(exchange(edge, &request).await.status, 200);
    let seen = upstream.seen();
    let [seen] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(seen.headers_named("x-original"), ["1"]);
    let readme = read("deploy/envoy/README.md");
    for name in names {
        let sent = seen.headers_named(&name.to_ascii_lowercase());
        assert!(sent.is_empty(), "{name}: {sent:?}");
        assert!(
            readme
                .to_ascii_lowercase()
                .contains(&name.to_ascii_lowercase())
        );
    }
}

#[tokio::test]
async fn headers_that_no_client_may_bring_reach_no_upstream_of_the_readme_even_where_nobody_is_asked()
 {
    let upstream = Upstream::start();
    let envoy = read("deploy/envoy/envoy.yaml");
    let unasked = "- match: { prefix: /open/ }
                          route: { cluster: upstream }
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              disabled: true
                        - { match: { prefix: / }";
    let envoy = envoy.replacen("- { match: { prefix: / }", unasked, 1);
    // Also of a client whose address is one of the site's own.
    let inside = "use_remote_address: true
                internal_address_config: { cidr_ranges: [{ address_prefix: 127.0.0.0, prefix_len: 8 }] }";
    let envoy = envoy.replacen("use_remote_address: true", inside, 1);
    let (_envoy, edge) = edge_of(&envoy, &upstream, free_port());
    let default = IdentityHeaders::default();
    let names = default.names().map(|it| it.1);
    let others = [
        "x-auth-assertion",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    let names: Vec<_> = names.into_iter().chain(others).collect();
    assert_eq!(names.len(), 14);
    let begun = Request::new("GET", "/open/a").header("host", "localhost");
    let request = names.iter().fold(begun.header("x-own", "1"), |it, name| {
        it.header(name, "acme")
    });
    assert_eq!(exchange(edge, &request).await.status, 200);
    let seen = upstream.seen();
    assert_eq!(seen[0].headers_named("x-own"), ["1"]);
    for name in names {
        assert_eq!(seen[0].headers_named(name), [""; 0], "{name}");
    }
}

/// The issuer that the ten lines take tokens of.
const IDP: &str = "https://idp.example.com";

/// Gives the configuration of a platform with an issuer, with the ports of the tests and this as the issuer's metadata.
fn with_an_issuer(metadata_url: &str) -> String {
    let blocks = blocks(PLATFORMS, "yaml");
    let block = blocks.iter().find(|it| it.contains("discovery:"));
    let block = block.expect("one sets up an issuer");
    assert_eq!(block.lines().count(), 10, "ten lines:\n{block}");
    let filled = block
        .replace(&format!(":{GRPC}\""), ":{grpc}\"")
        .replace(&format!(":{ADMIN}\""), ":{admin}\"")
        .replace(
            &format!("{IDP}/.well-known/openid-configuration"),
            metadata_url,
        );
    assert!(filled.contains(metadata_url), "{filled}");
    filled
}

/// The claims of a token as the issuer makes them, but for changes; null takes one away.
fn adas(changes: Value) -> Value {
    let claims = json!({
        "iss": IDP, "aud": "api", "sub": "ada", "org": "acme", "scope": "orders reports", "exp": END, "iat": 1_700_000_000,
    });
    changed(claims, changes)
}

#[tokio::test]
async fn ten_lines_set_up_a_platform_whose_users_come_from_an_issuer() {
    let issuer = Provider::start(IDP, "k1");
    let server = Server::start(&with_an_issuer(&issuer.metadata_url()));
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address()).start();
    let ask = async |token: &str| {
        let request = Request::new("GET", "/orders/7")
            .header("host", "api.example.com")
            .header("x-forwarded-proto", "https")
            .header("authorization", format!("Bearer {token}"));
        let before = upstream.seen().len();
        let answer = exchange(envoy.plain(), &request).await;
        (answer, upstream.seen().split_off(before))
    };
    let token = |changes: Value| issuer.token(&adas(changes));

    // Its keys are fetched now, which may take longer than a Check waits.
    let begun = Instant::now();
    let (answer, seen) = loop {
        match ask(&token(json!({}))).await {
            (late, _) if late.status == 503 && begun.elapsed() < PATIENCE => {}
            answered => break answered,
        }
    };
    assert_eq!(answer.status, 200, "{answer:?} {}", server.log());
    for (header, want) in [
        ("x-auth-platform", "mine"),
        ("x-auth-scheme", "oidc"),
        ("x-auth-account", "acme"),
        ("x-auth-user", "ada"),
        ("x-auth-scopes", "orders reports"),
        ("x-auth-expires", &END.to_string()),
    ] {
        assert_eq!(seen[0].headers_named(header), [want], "{header}");
    }
    assert_eq!(seen[0].headers_named("authorization"), [""; 0]);

    let stranger = Provider::start(IDP, "k1");
    let key = issuer.jwk()["n"].to_string();
    let header = r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#;
    let confused = Issuer::hmac("", key.trim_matches('"').as_bytes());
    for (what, token, want) in [
        ("another's key", stranger.token(&adas(json!({}))), 401),
        (
            "a public key for a secret",
            confused.sign(header, &adas(json!({})).to_string()),
            401,
        ),
        (
            "for another audience",
            token(json!({ "aud": "other" })),
            401,
        ),
        ("for no audience", token(json!({ "aud": null })), 401),
        (
            "of another issuer",
            token(json!({ "iss": "https://idp.example.com.evil" })),
            401,
        ),
        ("over", token(json!({ "exp": 1_700_000_600 })), 401),
        ("without an end", token(json!({ "exp": null })), 401),
        ("no token", "a.b.c".to_owned(), 401),
        (
            "without the scope",
            token(json!({ "scope": "reports" })),
            403,
        ),
    ] {
        let (answer, seen) = ask(&token).await;
        assert_eq!((answer.status, seen.len()), (want, 0), "{what}: {answer:?}");
    }

    issuer.server.set_away(true);
    let (answer, seen) = ask(&token(json!({ "sub": "bob" }))).await;
    assert_eq!(answer.status, 200, "its keys are kept: {answer:?}");
    assert_eq!(seen[0].headers_named("x-auth-user"), ["bob"]);
    assert_eq!(
        ask(&stranger.token(&adas(json!({ "sub": "bob" }))))
            .await
            .0
            .status,
        401
    );
    assert_eq!(fetch(server.admin(), "/readyz").expect("alive").status, 200);
}

#[test]
fn the_files_in_the_readme_are_the_files() {
    let readme = read("README.md");
    for name in ["portcullis.yaml", "directory.yaml"] {
        let path = format!("deploy/envoy/{name}");
        let block = format!("`{path}`:\n\n```yaml\n{}```\n", read(&path));
        assert!(
            readme.contains(&block),
            "README.md and {path} differ: copy the file into the block behind \"`{path}`:\""
        );
    }
}

#[test]
fn the_users_of_a_redis_in_the_documents_are_those_of_the_file() {
    let path = "deploy/redis/users.acl";
    let block = format!("`{path}`:\n\n```text\n{}```\n", read(path));
    assert!(
        read(RUNNING).contains(&block),
        "{RUNNING} and {path} differ: copy the file into the block behind \"`{path}`:\""
    );
}

#[test]
fn every_reason_is_named_with_its_status() {
    let platforms = read(PLATFORMS);
    for reason in Reason::ALL {
        let row = platforms
            .lines()
            .find(|it| it.starts_with(&format!("| {} |", reason.status())));
        let row = row.unwrap_or_else(|| panic!("{PLATFORMS} has no row for {}", reason.status()));
        let name = reason.name();
        assert!(row.contains(&format!("`{name}`")), "{name} is not in {row}");
    }
}
