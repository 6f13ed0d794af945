//! `portcullis config …`, and `serve` with what it cannot take: the commands as they are typed, their output and how
//! they end.
//!
//! A configuration or directory that is wrong is told of as a whole, each problem as `FILE:LINE: KEY: MESSAGE`, ends
//! with 2 and starts nothing. The wording of messages is free; of each only a telling word is demanded.

mod support;

/// In `tests/config/`.
mod config {
    mod platforms;
    mod reference;
    mod schema;
}

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use support::sample;
use support::tls::Authority;

/// A configuration that is good, and takes a directory.
const GOOD: &str = r#"listen:
  grpc: ["127.0.0.1:{port}", "unix:{dir}/check.sock"]
store: { directory_file: directory.yaml }
client_address: { from: peer }
platforms:
  - { name: mine, preset: infobip, hosts: ["api.example.com"], https: deny, schemes: { oauth2: null } }
"#;

/// A directory for files, and a port that is taken, so that whoever tries to listen on it says so.
struct Site {
    dir: TempDir,
    taken: TcpListener,
}

impl Site {
    fn new() -> Self {
        Self {
            // Where nobody else gets in, no file is warned of for being open to everyone.
            dir: tempfile::Builder::new()
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir()
                .expect("a temporary directory"),
            taken: TcpListener::bind("127.0.0.1:0").expect("a loopback port"),
        }
    }

    fn write(&self, name: &str, text: &str) {
        let port = self.taken.local_addr().expect("an address").port();
        let text = text
            .replace("{port}", &port.to_string())
            .replace("{dir}", &self.dir.path().display().to_string());
        fs::write(self.dir.path().join(name), text).expect("a writable temporary directory");
    }

    /// Runs the product in the directory.
    fn run(&self, arguments: &[&str]) -> Ended {
        run(self.dir.path(), arguments)
    }
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(dir: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).current_dir(dir);
    command.env("PORTCULLIS_TEST_HOST", "from-environment.example.com");
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the product runs");
    Ended {
        code: status.code().expect("it was not killed"),
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
    }
}

fn portcullis(arguments: &[&str]) -> Ended {
    Site::new().run(arguments)
}

/// Expects exactly these problems, by line: where each is, and a word of its message.
#[track_caller]
fn problems(ended: &Ended, want: &[(&str, &str)]) {
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_eq!(ended.out, "", "{ended:?}");
    let mut lines = ended.err.lines();
    let head = lines.next().expect("a heading");
    let heading = format!("portcullis: {} problem", want.len());
    assert!(head.starts_with(&heading), "{}", ended.err);
    for (line, (place, word)) in lines.by_ref().zip(want) {
        let message = line.trim().strip_prefix(place);
        let told = message.is_some_and(|it| it.starts_with(": ") && it.contains(word));
        assert!(
            told,
            "{line}\nis not {place}: … {word} …, in\n{}",
            ended.err
        );
    }
    assert_eq!(lines.next(), None, "{}", ended.err);
}

#[test]
fn every_problem_of_a_configuration_is_told_at_once_and_nothing_is_started() {
    let site = Site::new();
    site.write(
        "bad.yaml",
        r#"listen:
  grpc: ["127.0.0.1:{port}", "127.0.0.1:99999", "unix:"]
  admin: nowhere
cache: { capacity: 0 }
client_address: { from: x-forwarded-for }
platforms:
  - name: "a b"
    hosts: ["*.*"]
    schemes:
      one: { kind: basic, form: sha256 }
      two: { kind: api_key, from: [{ header: host }] }
      three: { kind: magic }
    rules:
      - { paths: [relative] }
      - { paths: ["/a"], schemes: [four] }
      - { paths: ["/b"], allow: public, roles_any: [x] }
      - { paths: ["/c"], relation: own_account }
      - { paths: ["/d"], claims: { tier: { one_of: [] } } }
    errors:
      - { for: [teapot], body: { a: "{secret}" } }
    identity_headers: { user: content-length, account: x-same, scopes: X_Same }
    https: { mode: redirect, status: 200 }
  - { name: opentact, preset: opentact }
  - { name: opentact, preset: opentact }
"#,
    );
    let want = [
        ("bad.yaml:2: listen.grpc[1]", "IP:PORT"),
        ("bad.yaml:2: listen.grpc[2]", "path"),
        ("bad.yaml:3: listen.admin", "IP:PORT"),
        ("bad.yaml:4: cache.capacity", "above 0"),
        ("bad.yaml:5: client_address", "trusted_hops"),
        ("bad.yaml:7: platforms[0].name", "letters"),
        ("bad.yaml:8: platforms[0].hosts[0]", "host"),
        ("bad.yaml:10: platforms[0].schemes.one.form", "md5"),
        ("bad.yaml:11: platforms[0].schemes.two.from", "header"),
        ("bad.yaml:12: platforms[0].schemes.three", "api_key"),
        ("bad.yaml:14: platforms[0].rules[0].paths", "/"),
        ("bad.yaml:15: platforms[0].rules[1].schemes[0]", "no scheme"),
        ("bad.yaml:16: platforms[0].rules[2].allow", "public"),
        ("bad.yaml:17: platforms[0].rules[3].relation", "{account}"),
        (
            "bad.yaml:18: platforms[0].rules[4].claims.tier.one_of",
            "none",
        ),
        ("bad.yaml:20: platforms[0].errors[0]", "teapot"),
        ("bad.yaml:21: platforms[0].identity_headers.user", "header"),
        (
            "bad.yaml:21: platforms[0].identity_headers.scopes",
            "one name",
        ),
        ("bad.yaml:22: platforms[0].https.status", "302"),
        ("bad.yaml:24: platforms[2].name", "another platform"),
    ];
    problems(&site.run(&["config", "check", "bad.yaml"]), &want);
    problems(&site.run(&["config", "show", "bad.yaml"]), &want);
    problems(&site.run(&["serve", "--config", "bad.yaml"]), &want);
}

#[test]
fn conditions_on_claims_that_demand_nothing_or_that_nobody_meets_are_problems() {
    let site = Site::new();
    site.write(
        "c.yaml",
        r#"listen: { grpc: ["127.0.0.1:{port}"] }
platforms:
  - name: mine
    hosts: ["*"]
    https: deny
    schemes:
      key: { kind: api_key, from: [{ header: x-key }] }
      idp: { kind: jwt, from: [{ header: x-token }], issuer: https://idp.example.com, audience: [a] }
    rules:
      - { paths: ["/a"], claims: {} }
      - { paths: ["/b"], schemes: [key], claims: { tier: { equals: gold } } }
      - { paths: ["/c"], claims: { tier: { equals: gold } } }
      - { paths: ["/d"] }
client_address: { from: peer }
"#,
    );
    let want = [
        ("c.yaml:10: platforms[0].rules[0].claims", "names no claim"),
        ("c.yaml:11: platforms[0].rules[1].claims", "nobody"),
    ];
    problems(&site.run(&["config", "check", "c.yaml"]), &want);
}

#[test]
fn what_cannot_be_read_is_told_at_its_line() {
    let read = |text: &str| {
        let site = Site::new();
        site.write("c.yaml", text);
        site.write("directory.yaml", "mine: {}");
        site.run(&["serve", "--config", "c.yaml"])
    };
    problems(&read("listen: ["), &[("c.yaml:1", "unclosed")]);
    problems(&read("a: 1\nb: 2\na: 3\n"), &[("c.yaml:3: a", "twice")]);
    problems(
        &read("{}"),
        &[
            ("c.yaml:1", "`platforms`"),
            ("c.yaml:1: listen.grpc", "127.0.0.1:9001"),
        ],
    );
    problems(
        &read(
            &GOOD
                .replace("from: peer", "form: peer")
                .replace("store:", "stroe:"),
        ),
        &[
            ("c.yaml:3: stroe", "unknown key"),
            ("c.yaml:4: client_address.form", "unknown key"),
            ("c.yaml:4: client_address.from", "missing"),
        ],
    );
    problems(
        &read(&GOOD.replace("directory.yaml", "\"${PORTCULLIS_TEST_NOBODY}\"")),
        &[("c.yaml:3: store.directory_file", "PORTCULLIS_TEST_NOBODY")],
    );
    // What stands in a wrong place may be a secret.
    let misplaced = read(&format!(
        "{GOOD}check: hidden-password\ncache: {{ ttl_seconds: hidden }}\n"
    ));
    problems(
        &misplaced,
        &[
            ("c.yaml:7: check", "expected"),
            ("c.yaml:8: cache.ttl_seconds", "expected"),
        ],
    );
    assert!(!misplaced.err.contains("hidden"), "{}", misplaced.err);
    problems(
        &portcullis(&["serve", "--config", "nowhere.yaml"]),
        &[("nowhere.yaml", "cannot be read")],
    );
}

#[test]
fn every_problem_of_a_directory_is_told_at_once_and_nothing_is_started() {
    let site = Site::new();
    site.write("c.yaml", GOOD);
    site.write(
        "directory.yaml",
        r#"mine:
  accounts:
    - { id: acc-1, enabled: perhaps }
  users:
    - { id: u-1, username: "a:b", password: hidden-password }
    - { id: u-2, username: c, pasword: hidden-password }
  api_keys:
    - { id: k-1, secret: short-hidden }
    - { id: k-2, secret: hidden-secret-000001, allowed_ips: [10.0.0.0/33], valid_from: 2020-01-01 }
yours: {}
"#,
    );
    let want = [
        ("directory.yaml:3: mine.accounts[0].enabled", "true"),
        ("directory.yaml:5: mine.users[0].username", "RFC 7617"),
        ("directory.yaml:6: mine.users[1].pasword", "unknown key"),
        ("directory.yaml:8: mine.api_keys[0].secret", "16"),
        (
            "directory.yaml:9: mine.api_keys[1].allowed_ips[0]",
            "10.0.0.0/8",
        ),
        ("directory.yaml:9: mine.api_keys[1].valid_from", "zone"),
        ("directory.yaml:10: yours", "not a platform"),
    ];
    for arguments in [
        ["config", "check", "c.yaml"],
        ["serve", "--config", "c.yaml"],
    ] {
        let ended = site.run(&arguments);
        let relative = Ended {
            err: ended.err.replace("./directory.yaml", "directory.yaml"),
            ..ended
        };
        problems(&relative, &want);
        assert!(!relative.err.contains("hidden"), "{}", relative.err);
    }
    assert!(!site.dir.path().join("check.sock").exists());

    fs::remove_file(site.dir.path().join("directory.yaml")).expect("it was there");
    let absent = site.run(&["serve", "--config", "c.yaml"]);
    let want = (
        "c.yaml:3: store.directory_file",
        "directory.yaml cannot be read",
    );
    problems(&absent, &[want]);
}

#[test]
fn problems_of_a_configuration_and_of_its_files_are_told_at_once() {
    let site = Site::new();
    site.write("c.yaml", &GOOD.replace("from: peer", "from: nobody"));
    let user = "mine: { users: [{ id: u, username: 'a:b' }] }";
    site.write("directory.yaml", user);
    let ended = site.run(&["config", "check", "c.yaml"]);
    let relative = Ended {
        err: ended.err.replace("./directory.yaml", "directory.yaml"),
        ..ended
    };
    let in_directory = ("directory.yaml:1: mine.users[0].username", "RFC 7617");
    problems(
        &relative,
        &[("c.yaml:4: client_address.from", "one of"), in_directory],
    );

    let store = "store:\n  url: redis://a\n  pepper_files: [no-pepper]\n  username: u\n  password_file: no-password";
    let without = GOOD.replace("store: { directory_file: directory.yaml }", store);
    site.write("c.yaml", &without);
    problems(
        &site.run(&["config", "check", "c.yaml"]),
        &[
            ("c.yaml:5: store.pepper_files[0]", "no-pepper"),
            ("c.yaml:7: store.password_file", "no-password"),
        ],
    );
    let unset = without.replace("redis://a", "${PORTCULLIS_TEST_NOBODY}");
    site.write("c.yaml", &unset);
    problems(
        &site.run(&["config", "check", "c.yaml"]),
        &[
            ("c.yaml:4: store.url", "PORTCULLIS_TEST_NOBODY"),
            ("c.yaml:5: store.pepper_files[0]", "no-pepper"),
        ],
    );
    let none = GOOD.replace("{ directory_file: directory.yaml }", "{ url: redis://a }");
    site.write("c.yaml", &none);
    problems(
        &site.run(&["config", "check", "c.yaml"]),
        &[(
            "c.yaml:3: store.pepper_files",
            "openssl rand -hex 32 > pepper",
        )],
    );
}

/// `ops.yaml` of the runbook is one.
#[test]
fn commands_that_listen_nowhere_need_no_listeners_and_the_service_does() {
    let site = Site::new();
    let listen = "listen:\n  grpc: [\"127.0.0.1:{port}\", \"unix:{dir}/check.sock\"]\n";
    assert!(GOOD.contains(listen));
    site.write("directory.yaml", "mine: {}");
    let tls = "listen: { tls: { cert_file: nowhere, key_file: nowhere } }\n";
    for other in ["", tls] {
        site.write("c.yaml", &GOOD.replace(listen, other));
        let url = "https://api.example.com/a";
        let explained = site.run(&["explain", "--config", "c.yaml", url]);
        assert_eq!(explained.code, 0, "{explained:?}");
        let listed = site.run(&["user", "list", "--config", "c.yaml"]);
        assert!(listed.err.contains("has no `listen.control`"), "{listed:?}");
        let key = site.run(&["signing", "list", "--config", "c.yaml"]);
        assert!(key.err.contains("lists no key"), "{key:?}");
        for serving in [
            ["config", "check", "c.yaml"],
            ["serve", "--config", "c.yaml"],
        ] {
            let ended = site.run(&serving);
            assert_eq!(ended.code, 2, "{ended:?}");
            assert!(ended.err.contains("listen.grpc: name"), "{ended:?}");
        }
    }
}

#[test]
fn a_good_configuration_is_good_and_a_taken_port_is_another_failure() {
    let site = Site::new();
    site.write("c.yaml", GOOD);
    site.write(
        "directory.yaml",
        "mine: { users: [{ id: u, username: u, password: p }] }",
    );
    let checked = site.run(&["config", "check", "c.yaml"]);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""), "{checked:?}");
    assert!(checked.out.contains("c.yaml: good"));

    let taken = site.run(&["serve", "--config", "c.yaml"]);
    assert_eq!(taken.code, 1, "{taken:?}");
    assert!(
        taken.err.contains("cannot listen on 127.0.0.1:"),
        "{}",
        taken.err
    );
    let socket = "grpc: [\"unix:{dir}/nowhere/check.sock\"]";
    let from = GOOD.lines().nth(1).expect("a listener").trim();
    site.write("c.yaml", &GOOD.replace(from, socket));
    let homeless = site.run(&["serve", "--config", "c.yaml"]);
    assert_eq!(homeless.code, 1, "{homeless:?}");
    let told = homeless
        .err
        .contains("the folder that the socket is to be in must be there");
    assert!(told, "{}", homeless.err);
}

#[test]
fn how_a_redis_is_reached_is_checked_with_all_of_its_files() {
    let site = Site::new();
    let authority = Authority::new();
    let (own, other) = (authority.certify_server().pem(), authority.certify_server());
    let other_key = other.pem().1;
    for (name, text) in [
        ("pepper", "a pepper of more than thirty-two bytes"),
        ("password", "hidden"),
        ("empty", "\n"),
        ("own.pem", &own.0),
        ("own.key", &own.1),
        ("other.key", &other_key),
    ] {
        site.write(name, text);
    }
    let tls = "client_cert_file: own.pem\n  client_key_file: own.key";
    for (url, settings, want) in [
        (
            "redis-sentinel://a,b:1/m/3",
            "username: u\n  password_file: password",
            None,
        ),
        (
            "redis://a",
            "username: u",
            Some(("6: store.username", "needs `password_file`")),
        ),
        (
            "redis-sentinel://a/m",
            "sentinel_username: s",
            Some((
                "6: store.sentinel_username",
                "needs `sentinel_password_file`",
            )),
        ),
        (
            "redis://a",
            "password_file: empty",
            Some(("6: store.password_file", "is empty")),
        ),
        (
            "redis-cluster://a",
            "password_file: own.key",
            Some(("6: store.password_file", "more than one line")),
        ),
        (
            "redis://a",
            "ca_file: own.pem",
            Some(("6: store.ca_file", "is not encrypted")),
        ),
        (
            "rediss-cluster://a",
            "ca_file: password",
            Some(("6: store.ca_file", "no certificates")),
        ),
        ("rediss://a", "ca_file: own.pem", None),
        ("redis://a,b", "", Some(("4: store.url", "for one server"))),
        (
            "redis://a?password=hidden",
            "",
            Some(("4: store.url", "HOST[:PORT]")),
        ),
        (
            "redis-sentinel://a/m",
            "sentinel_username: s\n  sentinel_password_file: password",
            None,
        ),
        ("rediss://a", tls, None),
        ("rediss-sentinel://a/m", tls, None),
        ("redis-sentinel://a", "", Some(("4: store.url", "SERVICE"))),
        (
            "redis-sentinel://u:hidden@a/m",
            "",
            Some(("4: store.url", "user name")),
        ),
        ("redis://a:port", "", Some(("4: store.url", "HOST[:PORT]"))),
        (
            "redis://a",
            "sentinel_username: s",
            Some(("6: store.sentinel_username", "redis-sentinel")),
        ),
        (
            "memory:",
            "sentinel_password_file: password",
            Some(("6: store.sentinel_password_file", "Redis")),
        ),
        (
            "redis-sentinel://a/m",
            "sentinel_password_file: nowhere",
            Some(("6: store.sentinel_password_file", "nowhere cannot be read")),
        ),
        (
            "rediss://a",
            "client_cert_file: own.pem",
            Some(("6: store.client_cert_file", "client_key_file")),
        ),
        (
            "rediss://a",
            "client_key_file: own.key",
            Some(("6: store.client_key_file", "client_cert_file")),
        ),
        ("redis://a", tls, Some(("6: store.client_cert_file", "TLS"))),
        (
            "rediss://a",
            "client_cert_file: own.pem\n  client_key_file: nowhere",
            Some(("7: store.client_key_file", "nowhere cannot be read")),
        ),
        (
            "rediss://a",
            "client_cert_file: own.pem\n  client_key_file: other.key",
            Some(("7: store.client_key_file", "not that of the certificate")),
        ),
        (
            "rediss://a",
            "client_cert_file: own.pem\n  client_key_file: password",
            Some(("7: store.client_key_file", "no private key")),
        ),
        (
            "rediss://a",
            "client_cert_file: password\n  client_key_file: own.key",
            Some(("6: store.client_cert_file", "no certificates")),
        ),
    ] {
        let store = format!("store:\n  url: {url:?}\n  pepper_files: [pepper]\n  {settings}");
        let config = GOOD.replace("store: { directory_file: directory.yaml }", &store);
        site.write("c.yaml", &config);
        let checked = site.run(&["config", "check", "c.yaml"]);
        match want {
            None => assert_eq!((checked.code, &*checked.err), (0, ""), "{url} {settings}"),
            Some((place, word)) => problems(&checked, &[(&format!("c.yaml:{place}"), word)]),
        }
        assert!(!checked.err.contains("hidden"), "{}", checked.err);
    }
}

#[test]
fn what_works_and_may_not_be_meant_so_is_warned_of() {
    let site = Site::new();
    site.write("directory.yaml", "");
    let open = GOOD
        .replace("https: deny", "https: off")
        .replace(", schemes: { oauth2: null }", "")
        .replace("store:", "  admin: 0.0.0.0:0\nstore:");
    site.write("c.yaml", &open);
    let checked = site.run(&["config", "check", "c.yaml"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let warnings: Vec<_> = checked.err.lines().collect();
    let [admin, keyless, https] = warnings.as_slice() else {
        panic!("{}", checked.err);
    };
    assert!(
        admin.contains("warning: c.yaml:3: listen.admin: "),
        "{admin}"
    );
    assert!(
        keyless.contains("warning: c.yaml:7: platforms[0]: scheme oauth2 of platform mine: "),
        "{keyless}"
    );
    assert!(
        https.contains("warning: c.yaml:7: platforms[0]: "),
        "{https}"
    );

    let unclear = GOOD.replace("client_address: { from: peer }\n", "");
    site.write("c.yaml", &unclear);
    problems(
        &site.run(&["config", "check", "c.yaml"]),
        &[("c.yaml:1", "client_address")],
    );
    // What others are asked about is counted by addresses.
    site.write("client.secret", "s");
    let asking = r#"
listen: { grpc: ["127.0.0.1:{port}"] }
platforms:
  - name: mine
    hosts: ["*"]
    https: deny
    schemes:
      sso: { kind: introspection, from: [{ authorization: Bearer }], url: "https://a.example/", client_id: c, client_secret_file: client.secret }
    rules: []
"#;
    site.write("c.yaml", asking);
    problems(
        &site.run(&["config", "check", "c.yaml"]),
        &[("c.yaml:2", "client_address")],
    );
}

#[test]
fn a_configuration_is_shown_as_it_is_resolved_and_can_be_used_so() {
    let site = Site::new();
    site.write("directory.yaml", sample::DIRECTORY);
    site.write(
        "c.yaml",
        &GOOD.replace("api.example.com", "${PORTCULLIS_TEST_HOST}"),
    );
    let shown = site.run(&["config", "show", "c.yaml"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let value: Value = serde_saphyr::from_str(&shown.out).expect("YAML");
    let platform = &value["platforms"][0];
    assert_eq!(platform["hosts"][0], "from-environment.example.com");
    assert_eq!(platform["https"], "deny");
    assert_eq!(platform["schemes"]["api_key"]["from"][1]["query"], "apiKey");
    assert!(
        platform["rules"]
            .as_array()
            .is_some_and(|it| it.len() > 100)
    );
    for secret in ["openSesame", sample::SENDER_KEY] {
        assert!(!shown.out.contains(secret));
    }

    site.write(
        "shown.yaml",
        &shown.out.replace("directory.yaml", "none.yaml"),
    );
    site.write("none.yaml", "");
    let again = site.run(&["config", "check", "shown.yaml"]);
    assert_eq!(again.code, 0, "{again:?}");
}

#[test]
fn presets_are_listed_and_printed_as_they_can_be_read() {
    let listed = portcullis(&["config", "presets"]);
    assert_eq!(
        (listed.code, listed.out.as_str()),
        (0, "crossbar\ninfobip\nopentact\n")
    );
    for name in listed.out.lines() {
        let printed = portcullis(&["config", "presets", name]);
        let preset: Value = serde_saphyr::from_str(&printed.out).expect("YAML");
        for key in ["schemes", "rules", "errors"] {
            assert!(!preset[key].is_null(), "{name} has no {key}");
        }
    }
    let unknown = portcullis(&["config", "presets", "nobody"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("nobody"));
}

#[test]
fn wrong_usage_is_told_with_what_is_right() {
    for arguments in [
        &[][..],
        &["serve"],
        &["srve"],
        &["config"],
        &["config", "check"],
    ] {
        let ended = portcullis(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(
            ended.err.contains("Usage: portcullis"),
            "{arguments:?}: {}",
            ended.err
        );
    }
    let help = portcullis(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.out.contains("portcullis serve --config"));
}
