//! Another configuration while Checks go on: on SIGHUP, or where a file of it has changed.

mod directory;
mod keys;
mod rotation;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;
use tokio::time::{interval, timeout};

use crate::check::asking::{Answer, Ask, ask};
use crate::support::check::CheckClient;
use crate::support::http::fetch;
use crate::support::issuers::{END, Issuer};
use crate::support::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

const SHOP: &str = "the-key-of-the-shop-0123456789abcdef";
const STAFF: &str = "the-key-of-the-staff-0123456789abcde";

const DIRECTORY: &str = "
a:
  accounts: [{ id: acme }]
  users: [{ id: ada, account: acme, username: ada, password: m32c6NfqYEt }]
  api_keys:
    - { id: shop, account: acme, secret: the-key-of-the-shop-0123456789abcdef }
    - { id: staff, account: acme, secret: the-key-of-the-staff-0123456789abcde }
b:
  api_keys: [{ id: shop, account: acme, secret: the-key-of-the-shop-0123456789abcdef }]
";

const KEY: &str = "key: { kind: api_key, from: [{ header: x-key }] }";
const LOGIN: &str = "login: { kind: basic }";
const OIDC: &str = "oidc: { kind: jwt, issuer: idp, audience: [api], directory: none, \
                    from: [{ header: x-token }], keys: [{ algorithm: RS256, kid: k1, public_key_file: idp.pem }] }";
const RULE: &str = "{ paths: [\"/**\"] }";

/// A configuration of the platform `a` with these schemes and rules, and of `b`, which nobody changes.
fn config(schemes: &[&str], rules: &str) -> String {
    format!(
        r#"listen: {{ grpc: ["127.0.0.1:{{grpc}}"], admin: "127.0.0.1:{{admin}}", control: "unix:{{dir}}/control.sock" }}
store: {{ directory_file: directory.yaml }}
check: {{ deadline_ms: 20000 }}
client_address: {{ from: peer }}
platforms:
  - {{ name: a, hosts: [a], schemes: {{ {} }}, rules: [{rules}], throttle: {{ failures: 1000, scheme: null }} }}
  - {{ name: b, hosts: [b], schemes: {{ {KEY} }}, rules: [{RULE}] }}
"#,
        schemes.join(", ")
    )
}

fn whole() -> String {
    config(&[KEY, LOGIN, OIDC], RULE)
}

fn start(issuer: &Issuer, directory: &str) -> Server {
    start_as(&whole(), issuer, directory)
}

fn start_as(config: &str, issuer: &Issuer, directory: &str) -> Server {
    let pem = issuer.public_pem();
    let files = [("directory.yaml", directory), ("idp.pem", pem.as_str())];
    Server::start_with(config, &files)
}

/// Gives the value of a metric's line, 0 where it is not there.
fn metric(server: &Server, name: &str) -> u64 {
    let answer = fetch(server.admin(), "/metrics").expect("an answer");
    let text = answer.text();
    let mut lines = text.lines().filter_map(|it| it.strip_prefix(name));
    let value = lines.next().and_then(|it| it.trim().parse().ok());
    value.unwrap_or_default()
}

fn reloads(server: &Server, outcome: &str) -> u64 {
    let name = format!("portcullis_config_reloads_total{{outcome=\"{outcome}\"}}");
    metric(server, &name)
}

/// Waits until so many reloads have come to this.
async fn await_reloads(server: &Server, outcome: &str, count: u64) {
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        while reloads(server, outcome) < count {
            tick.tick().await;
        }
    });
    assert!(comes.await.is_ok(), "{}", server.log());
}

/// Has the configuration read again, and waits until that has come to this.
async fn reload(server: &Server, outcome: &str) {
    let before = reloads(server, outcome);
    server.signal("HUP");
    await_reloads(server, outcome, before + 1).await;
}

fn by_key(host: &str, key: &str) -> Ask {
    Ask::new(host, "GET", "/things").header("x-key", key)
}

fn by_password(user: &str, password: &str) -> Ask {
    let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let ask = Ask::new("a", "GET", "/things").header("authorization", format!("Basic {basic}"));
    Ask {
        peer: "127.0.0.1".to_owned(),
        ..ask
    }
}

fn by_token(token: &str) -> Ask {
    Ask::new("a", "GET", "/things").header("x-token", token)
}

async fn answer(client: &mut CheckClient, asked: &Ask) -> Answer {
    ask(client, asked.mapped()).await
}

async fn status(client: &mut CheckClient, asked: &Ask) -> u16 {
    answer(client, asked).await.status
}

#[tokio::test]
async fn what_a_reload_removes_is_refused_at_the_next_check_though_it_was_known_and_the_rest_stays_known()
 {
    let issuer = Issuer::rsa(r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    let server = start(&issuer, DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let token = issuer.token(&json!({ "iss": "idp", "aud": "api", "sub": "u", "exp": END }));
    let [key, login, token, other] = [
        by_key("a", SHOP),
        by_password("ada", "m32c6NfqYEt"),
        by_token(&token),
        by_key("b", SHOP),
    ];
    let all = [&key, &login, &token, &other];
    let stranger = Issuer::rsa("").public_pem();
    let other_issuer = OIDC.replace("issuer: idp", "issuer: another");
    let of_scheme = "{ paths: [\"/**\"], schemes: [key, login] }";
    let steps: [(&str, String, Option<&str>, [u16; 4]); 7] = [
        (
            "a scheme",
            config(&[LOGIN, OIDC], RULE),
            None,
            [401, 200, 200, 200],
        ),
        (
            "another",
            config(&[KEY, OIDC], RULE),
            None,
            [200, 401, 200, 200],
        ),
        (
            "an issuer",
            config(&[KEY, LOGIN, &other_issuer], RULE),
            None,
            [200, 200, 401, 200],
        ),
        ("a key", whole(), Some(&stranger), [200, 200, 401, 200]),
        (
            "what a rule takes",
            config(&[KEY, LOGIN, OIDC], of_scheme),
            None,
            [200, 200, 403, 200],
        ),
        (
            "every rule",
            config(&[KEY, LOGIN, OIDC], ""),
            None,
            [403, 403, 403, 200],
        ),
        (
            "a platform",
            whole().replace("hosts: [b]", "hosts: [c]"),
            None,
            [200, 200, 200, 403],
        ),
    ];
    for (what, config, pem, want) in steps {
        for asked in all {
            let known = answer(client, asked).await;
            assert_eq!(known.status, 200, "before {what}: {known:?}");
            let known = answer(client, asked).await;
            assert_eq!(known.metadata["cache"], "hit", "before {what}");
        }
        server.configure(&config);
        server.write("idp.pem", pem.unwrap_or(&issuer.public_pem()));
        reload(&server, "ok").await;
        for (asked, want) in all.into_iter().zip(want) {
            let after = answer(client, asked).await;
            assert_eq!(after.status, want, "after {what}: {asked:?} {after:?}");
        }
        // What was told nothing new has verified nothing anew, unless a key of anybody is another.
        if want[3] == 200 && pem.is_none() {
            assert_eq!(
                answer(client, &other).await.metadata["cache"],
                "hit",
                "{what}"
            );
        }
        server.configure(&whole());
        server.write("idp.pem", &issuer.public_pem());
        reload(&server, "ok").await;
    }
    for asked in all {
        assert_eq!(status(client, asked).await, 200, "all is as it was");
    }
}

#[tokio::test]
async fn rules_that_change_verify_nobody_anew() {
    let issuer = Issuer::rsa("");
    let server = start(&issuer, DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let login = by_password("ada", "m32c6NfqYEt");
    assert_eq!(status(client, &login).await, 200);
    let rules = "{ paths: [\"/things\"], methods: [GET] }";
    server.configure(&config(&[KEY, LOGIN, OIDC], rules));
    reload(&server, "ok").await;
    let after = answer(client, &login).await;
    assert_eq!((after.status, &*after.metadata["cache"]), (200, "hit"));
    // A claim that a rule asks about is one that a verdict must keep.
    let rules = "{ paths: [\"/**\"], claims: { tier: { equals: gold } } }";
    server.configure(&config(&[KEY, LOGIN, OIDC], rules));
    reload(&server, "ok").await;
    let after = answer(client, &login).await;
    assert_eq!((after.status, &*after.metadata["cache"]), (403, "miss"));
}

#[tokio::test]
async fn a_configuration_with_problems_stays_out_and_each_is_told_once_with_its_line() {
    let issuer = Issuer::rsa("");
    let server = start(&issuer, DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let key = by_key("a", SHOP);
    let hash = metric(&server, "portcullis_config_hash");
    let misspelt = whole()
        .replace("deadline_ms", "deadlin_ms")
        .replace("kind: basic", "kind: basics");
    let listens = whole().replace("127.0.0.1:{grpc}", "127.0.0.1:1");
    let keeps = format!("{}cache: {{ capacity: 7 }}\n", whole());
    let tells = format!(
        "{}telemetry: {{ otlp_endpoint: \"http://127.0.0.1:4317\" }}\n",
        whole()
    );
    let cases = [
        (
            "misspelt",
            misspelt,
            &[
                "portcullis.yaml:3: check.deadlin_ms",
                "portcullis.yaml:6: platforms[0].schemes.login",
            ][..],
        ),
        ("no YAML", "{".to_owned(), &["portcullis.yaml:1: "][..]),
        (
            "a restart",
            listens,
            &["portcullis.yaml:1: listen.grpc: cannot change without a restart"][..],
        ),
        (
            "a collector",
            tells,
            &["portcullis.yaml:8: telemetry.otlp_endpoint: cannot change without a restart"][..],
        ),
        (
            "another",
            keeps,
            &["portcullis.yaml:8: cache.capacity: cannot change without a restart"][..],
        ),
    ];
    let all = cases.len() as u64;
    for (count, (what, config, told)) in (1..).zip(cases) {
        let before = server.log().len();
        server.configure(&config);
        // By itself: nobody need send a signal.
        await_reloads(&server, "invalid", count).await;
        for problem in told {
            server.await_log(problem, PATIENCE);
        }
        let log = server.log().split_off(before);
        for problem in told {
            assert_eq!(log.matches(problem).count(), 1, "{what}: {log}");
        }
        assert!(
            log.contains(r#""line":"#) || what == "no YAML",
            "{what}: {log}"
        );
        assert_eq!(status(client, &key).await, 200, "{what}");
        let ready = fetch(server.admin(), "/readyz").expect("an answer");
        assert_eq!(ready.status, 200, "{what}");
        assert_eq!(metric(&server, "portcullis_config_hash"), hash, "{what}");
    }
    assert_eq!(reloads(&server, "ok"), 0);
    server.configure(&config(&[LOGIN], RULE));
    await_reloads(&server, "ok", 1).await;
    assert_eq!(reloads(&server, "invalid"), all, "each once");
    assert_eq!(status(client, &key).await, 401);
    assert_ne!(metric(&server, "portcullis_config_hash"), hash);
    assert!(metric(&server, "portcullis_config_loaded_timestamp_seconds") > 1_700_000_000);
}

#[tokio::test]
async fn a_folder_that_is_swapped_by_a_link_as_a_config_map_is_counts_without_a_signal() {
    let issuer = Issuer::rsa(r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    let server = start(&issuer, DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let filled = fs::read_to_string(server.path("portcullis.yaml")).expect("the configuration");
    let files = ["portcullis.yaml", "directory.yaml", "idp.pem"];
    let version = |name: &str, directory: &str| {
        fs::create_dir(server.path(name)).expect("a folder");
        let texts = [&filled, directory, &issuer.public_pem()];
        for (file, text) in files.iter().zip(texts) {
            fs::write(server.path(name).join(file), text).expect("a file");
        }
    };
    let link = |to: &str, at: &str| {
        symlink(to, server.path("link.new")).expect("a link");
        fs::rename(server.path("link.new"), server.path(at)).expect("a rename");
    };
    version("..1", DIRECTORY);
    version(
        "..2",
        &DIRECTORY.replace(SHOP, "another-key-of-the-shop-0123456789abc"),
    );
    link("..1", "..data");
    for file in files {
        link(&format!("..data/{file}"), file);
    }
    await_reloads(&server, "ok", 1).await;
    let key = by_key("a", SHOP);
    assert_eq!(status(client, &key).await, 200);
    let before = reloads(&server, "ok");
    link("..2", "..data");
    fs::remove_dir_all(server.path("..1")).expect("the old folder");
    await_reloads(&server, "ok", before + 1).await;
    assert_eq!(status(client, &key).await, 401);
    let another = by_key("a", "another-key-of-the-shop-0123456789abc");
    assert_eq!(status(client, &another).await, 200);
    assert_eq!(reloads(&server, "invalid"), 0, "{}", server.log());
}

#[tokio::test]
async fn no_check_of_whoever_stays_fails_during_twenty_reloads() {
    let issuer = Issuer::rsa(r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    let server = start(&issuer, DIRECTORY);
    let token = issuer.token(&json!({ "iss": "idp", "aud": "api", "sub": "u", "exp": END }));
    let asked = [
        by_key("a", SHOP),
        by_password("ada", "m32c6NfqYEt"),
        by_token(&token),
        by_key("b", SHOP),
    ];
    let (ended, checks) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let streams = asked.map(|asked| {
        let (ended, checks, grpc) = (Arc::clone(&ended), Arc::clone(&checks), server.grpc());
        tokio::spawn(async move {
            let client = &mut CheckClient::connect(grpc).await;
            while !ended.load(Ordering::Relaxed) {
                let answer = answer(client, &asked).await;
                assert_eq!(answer.status, 200, "{asked:?}: {answer:?}");
                checks.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    // One is told something else each time, so that it is verified anew.
    let others = [
        OIDC.replace("audience: [api]", "audience: [api, more]"),
        KEY.replace("x-key }", "x-key }, { query: key }"),
    ];
    let directories = [
        DIRECTORY.replace(STAFF, "another-key-of-the-staff-0123456789"),
        DIRECTORY.to_owned(),
    ];
    for round in 0..20 {
        let schemes: [&[&str]; 4] = [
            &[KEY, LOGIN, &others[0]],
            &[KEY, LOGIN, OIDC],
            &[&others[1], LOGIN, OIDC],
            &[KEY, LOGIN, OIDC],
        ];
        server.write("directory.yaml", &directories[round % 2]);
        server.configure(&config(schemes[round % 4], RULE));
        reload(&server, "ok").await;
    }
    ended.store(true, Ordering::Relaxed);
    for stream in streams {
        stream.await.expect("no Check that fails");
    }
    assert!(checks.load(Ordering::Relaxed) > 100);
    assert_eq!(reloads(&server, "invalid"), 0, "{}", server.log());
}

/// A hash that nobody computes within the deadline that a reload sets.
fn dear_hash(password: &str) -> String {
    let params = Params::new(128 * 1024, 12, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes());
    hash.expect("a hash").to_string()
}

#[tokio::test]
async fn proofs_and_failed_attempts_outlive_a_reload_that_has_everybody_verified_anew() {
    let issuer = Issuer::rsa("");
    let dear = dear_hash("dear");
    let dear = format!(
        "credentials: {{ argon2: \"{dear}\" }} }}, {{ id: bob, account: acme, username: bob, password: b }}]"
    );
    let few = |config: String| config.replace("failures: 1000", "failures: 3");
    let directory = DIRECTORY.replace("password: m32c6NfqYEt }]", &dear);
    let server = start_as(&few(whole()), &issuer, &directory);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let ada = by_password("ada", "dear");
    assert_eq!(status(client, &ada).await, 200);
    for guess in ["1", "2", "3"] {
        assert_eq!(status(client, &by_password("bob", guess)).await, 401);
    }
    assert_eq!(status(client, &by_password("bob", "4")).await, 429);
    let more = KEY.replace("x-key }", "x-key }, { query: key }");
    let next =
        few(config(&[&more, LOGIN, OIDC], RULE)).replace("deadline_ms: 20000", "deadline_ms: 250");
    server.configure(&next);
    reload(&server, "ok").await;
    let after = answer(client, &ada).await;
    assert_eq!(after.status, 200, "the hash was computed anew: {after:?}");
    assert_eq!(after.metadata["cache"], "miss");
    assert_eq!(status(client, &by_password("bob", "5")).await, 429);
}
