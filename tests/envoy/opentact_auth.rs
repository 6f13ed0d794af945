//! Opentact's `GET /rest/auth` behind an Envoy: what it tells to whom, and what the token in it is good for, on one
//! server in memory and on two that share a Redis.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::envoy::table::{golden, to};
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::http::Response;
use crate::support::issuers::{self, OPENTACT_SECRET, callifys, changed};
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{
    CALLIFY, CALLIFY_HA1B, CALLIFY_TWIN, OPENTACT, OPENTACT_TWIN, PEPPER,
};
use crate::support::server::Server;
use crate::support::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], {issue}admin: "127.0.0.1:{admin}", control: "unix:control.sock" }
{store}
check: { deadline_ms: 20000 }
platforms:
  - { name: opentact, preset: opentact, hosts: [opentact.example.com] }
  - { name: opentact-twin, preset: opentact, hosts: [opentact-twin.example.com] }
  - name: opentact-shared
    preset: opentact
    hosts: [shared.example.com]
    hmac_key_files: [new.secret, opentact.secret]
    issue: { token_seconds: 600 }
"#;

const ISSUE: &str = r#"issue: "127.0.0.1:{issue}", "#;

/// What is said of the same user, on each platform.
const DIRECTORY: &str = r#"
opentact:
  accounts:
    - id: f2cb79fb-6bf8-4484-8034-debf95aac73b
      name: DENOVOLAB
      attributes: { uuid: not this, level: 1, balance: "12.50", address1: 1 Main Street, created_on: "2019-01-01T00:00:00.000Z" }
  users:
    - id: 0116f6d1-1280-44b2-9134-da48509ec575
      account: f2cb79fb-6bf8-4484-8034-debf95aac73b
      email: opentact@callify.io
      password: "12345678"
      roles: [User, Auditor]
      sip: { login: "1000", domain: mydomain.com, password: "123456" }
      attributes:
        locale: en
        phone_number: "+14155550100"
        first_name: Ope
        last_name: Ntact
        gender: other
        wss_online: false
        created_on: "2020-10-26T15:32:18.000Z"
        # What the record says counts, and what is minted.
        uuid: not this
        role: Admin
        token: not this
        account: not this
    # By themselves, with nothing to tell.
    - { id: u-2, username: username, password: password }
opentact-twin:
  users:
    - { id: 0116f6d1-1280-44b2-9134-da48509ec575, email: opentact@callify.io, password: twin-12345678, roles: [User] }
opentact-shared:
  users:
    - { id: 0116f6d1-1280-44b2-9134-da48509ec575, email: opentact@callify.io, password: "12345678", roles: [User] }
"#;

const USER: &str = "0116f6d1-1280-44b2-9134-da48509ec575";
const SHARED: &str = "shared.example.com";
const NEW_SECRET: &str = "the secret that the issuer has since last week";

/// `username:password`.
const BARE: &str = "Basic dXNlcm5hbWU6cGFzc3dvcmQ=";

/// Servers on one store, an Envoy before each, and one upstream.
struct Sites {
    sides: Vec<(Server, Envoy)>,
    upstream: Upstream,
}

impl Sites {
    fn of(servers: Vec<Server>) -> Self {
        let upstream = Upstream::start();
        let with_envoy = |server: Server| {
            let envoy = Envoy::builder(server.grpc(), upstream.address())
                .check_timeout(Duration::from_secs(20))
                .issue(server.issue())
                .host("*", &[])
                .host("elsewhere.example.com", &[("platform", "opentact")])
                .start();
            (server, envoy)
        };
        let sides = servers.into_iter().map(with_envoy).collect();
        Self { sides, upstream }
    }

    async fn ask(&self, side: usize, request: &Request) -> Response {
        exchange(self.sides[side].1.plain(), request).await
    }

    /// The first and the last: one where there is one.
    fn ends(&self) -> (usize, usize) {
        (0, self.sides.len() - 1)
    }

    /// Gets a token.
    async fn token(&self, side: usize, request: &Request) -> String {
        let answer = self.ask(side, request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = &answer.json()["payload"]["token"];
        token.as_str().expect("a token").to_owned()
    }

    /// What the upstream was told of requests to this path, as `platform scheme user`.
    fn reached(&self, path: &str) -> Vec<String> {
        let seen = self.upstream.seen_where(|it| it.path == path.as_bytes());
        let told = seen.iter().map(|it| {
            assert!(it.headers_named("x-auth-token").is_empty(), "{it:?}");
            let of = |name| it.headers_named(name).concat();
            ["x-auth-platform", "x-auth-scheme", "x-auth-user"]
                .map(of)
                .join(" ")
        });
        told.collect()
    }
}

fn server(store: &str, issue: &str) -> Server {
    let config = CONFIG
        .replace("{store}", store)
        .replace("{issue}admin", &format!("{issue}admin"));
    Server::start_with(
        &config,
        &[
            ("directory.yaml", DIRECTORY),
            ("pepper", PEPPER),
            ("newer", "a pepper that is newer, and long enough as well"),
            ("opentact.secret", OPENTACT_SECRET),
            ("new.secret", NEW_SECRET),
        ],
    )
}

fn https(host: &str, target: &str) -> Request {
    to(host, "GET", target).header("x-forwarded-proto", "https")
}

fn auth(host: &str) -> Request {
    https(host, "/rest/auth")
}

fn by_password(host: &str) -> Request {
    let password = if host == OPENTACT_TWIN {
        CALLIFY_TWIN
    } else {
        CALLIFY
    };
    auth(host).header("authorization", password)
}

/// Reads a part of a token.
fn part(token: &str, index: usize) -> String {
    let part = token.split('.').nth(index).expect("a part");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
    String::from_utf8(bytes).expect("UTF-8")
}

fn claims(token: &str) -> Value {
    serde_json::from_str(&part(token, 1)).expect("JSON")
}

#[track_caller]
fn refused(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.text(), golden(&format!("opentact/{status}.json")));
}

#[tokio::test]
async fn a_server_in_memory_tells_users_who_they_are_and_gives_them_a_token() {
    let server = server("store: { directory_file: directory.yaml }", ISSUE);
    let sites = Sites::of(vec![server]);
    check(&sites).await;
    https_first(&sites).await;
    let answer = exchange(sites.sides[0].0.issue(), &by_password(OPENTACT)).await;
    assert_eq!(answer.status, 403, "past Envoy: {answer:?}");
}

#[tokio::test]
async fn two_servers_on_one_redis_take_each_others_tokens_until_they_are_revoked() {
    let redis = RedisServer::start(Product::Redis);
    let url = redis.url();
    let store = format!("store: {{ url: \"{url}\", pepper_files: [pepper], timeout_ms: 10000 }}");
    let sites = Sites::of(vec![server(&store, ISSUE), server(&store, ISSUE)]);
    sites.sides[0].0.command("import -", DIRECTORY);
    check(&sites).await;
}

#[tokio::test]
async fn a_new_pepper_signs_and_tokens_of_the_old_one_stay_good_while_it_is_named() {
    let redis = RedisServer::start(Product::Redis);
    let url = redis.url();
    let store = |peppers| {
        format!("store: {{ url: \"{url}\", pepper_files: [{peppers}], timeout_ms: 10000 }}")
    };
    let before = Sites::of(vec![server(&store("pepper"), ISSUE)]);
    before.sides[0].0.command("import -", DIRECTORY);
    let old = before.token(0, &by_password(OPENTACT)).await;
    let after = Sites::of(vec![server(&store("newer, pepper"), ISSUE)]);
    let by_token = |token: &str| auth(OPENTACT).header("x-auth-token", token);
    let new = after.token(0, &by_token(&old)).await;
    after.token(0, &by_token(&new)).await;
    before.token(0, &by_token(&old)).await;
    refused(&before.ask(0, &by_token(&new)).await, 401);
}

#[tokio::test]
async fn without_a_listener_the_upstream_is_asked_and_no_token_is_good() {
    let server = server("store: { directory_file: directory.yaml }", "");
    let sites = Sites::of(vec![server]);
    let answer = sites.ask(0, &by_password(OPENTACT)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        sites.reached("/rest/auth"),
        [format!("opentact basic {USER}")]
    );
    let issuers = issuers::OPENTACT.token(&callifys());
    refused(
        &sites
            .ask(0, &auth(OPENTACT).header("x-auth-token", &issuers))
            .await,
        401,
    );
}

async fn check(sites: &Sites) {
    payloads(sites).await;
    tokens(sites).await;
    several(sites).await;
    shared(sites).await;
    revocation(sites).await;
}

/// Each credential gets the same payload, with a token for a day.
async fn payloads(sites: &Sites) {
    let (first, last) = sites.ends();
    let token = sites.token(first, &by_password(OPENTACT)).await;
    for (name, request) in [
        ("O1 a password", by_password(OPENTACT)),
        (
            "O6 an HA1B",
            auth(OPENTACT).header("x-auth-ha1b-token", CALLIFY_HA1B),
        ),
        (
            "O6 in the query",
            https(OPENTACT, &format!("/rest/auth?ha1b={CALLIFY_HA1B}")),
        ),
        ("a token", auth(OPENTACT).header("x-auth-token", &token)),
        (
            "O4 in the query",
            https(OPENTACT, &format!("/rest/auth?a=1&jwt={token}")),
        ),
    ] {
        for side in [first, last] {
            let answer = sites.ask(side, &request).await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{name}"
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
            let token = answer.json()["payload"]["token"].clone();
            let token = token.as_str().expect("a token");
            let body = answer
                .text()
                .replace(token, "eyJhbGciOi.eyJ1dWlkIj.c2lnbmF0dXJl");
            assert_eq!(body, golden("opentact/200_auth.json"), "{name}");

            assert_eq!(part(token, 0), r#"{"alg":"HS256","typ":"JWT"}"#, "{name}");
            let claims = claims(token);
            let members: Vec<_> = claims.as_object().expect("claims").keys().collect();
            assert_eq!(
                members,
                ["uuid", "role", "exp", "iat", "jti", "gen"],
                "{name}"
            );
            assert_eq!(
                (&claims["uuid"], &claims["role"]),
                (&json!(USER), &json!("User"))
            );
            let seconds = |name: &str| claims[name].as_u64().expect("seconds");
            assert_eq!(seconds("exp") - seconds("iat"), 86_400, "{name}");
        }
    }
    let bare = sites
        .ask(first, &auth(OPENTACT).header("authorization", BARE))
        .await;
    let bare = &bare.json()["payload"];
    let told = ["uuid", "email", "role", "account"].map(|it| bare[it].clone());
    assert_eq!(told, [json!("u-2"), Value::Null, Value::Null, Value::Null]);
    assert_eq!(
        claims(bare["token"].as_str().expect("a token"))["role"],
        Value::Null
    );

    refused(&sites.ask(first, &auth(OPENTACT)).await, 401);
    let wrong = auth(OPENTACT).header("authorization", CALLIFY_TWIN);
    refused(&sites.ask(first, &wrong).await, 401);
    assert_eq!(sites.reached("/rest/auth"), [""; 0]);
}

/// A token of one server is good on the other, in both places, and nothing on another platform.
async fn tokens(sites: &Sites) {
    let (first, last) = sites.ends();
    let token = sites.token(first, &by_password(OPENTACT)).await;
    let twins = sites.token(first, &by_password(OPENTACT_TWIN)).await;
    for (side, path) in [(last, "/rest/last"), (first, "/rest/first")] {
        let (header, query) = (format!("{path}/header"), format!("{path}/query"));
        let request = |host, token: &str| https(host, &header).header("x-auth-token", token);
        sites.ask(side, &request(OPENTACT, &token)).await;
        sites
            .ask(side, &https(OPENTACT, &format!("{query}?jwt={token}")))
            .await;
        for (host, token) in [
            (OPENTACT_TWIN, &token),
            (OPENTACT, &twins),
            (SHARED, &token),
        ] {
            refused(&sites.ask(side, &request(host, token)).await, 401);
        }
        sites.ask(side, &request(OPENTACT_TWIN, &twins)).await;
        let told = |platform: &str| format!("{platform} jwt {USER}");
        assert_eq!(
            sites.reached(&header),
            [told("opentact"), told("opentact-twin")]
        );
        assert_eq!(sites.reached(&query), [told("opentact")]);
    }
    // The last digit but one: the last has bits that say nothing.
    let (head, tail) = token.split_at(token.len() - 2);
    let digit = if tail.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}{digit}{}", &tail[1..]);
    refused(
        &sites
            .ask(last, &auth(OPENTACT).header("x-auth-token", forged))
            .await,
        401,
    );
}

/// O5: two credentials at once must be the same user's.
async fn several(sites: &Sites) {
    let (first, last) = sites.ends();
    let token = sites.token(first, &by_password(OPENTACT)).await;
    let both = |password| {
        let request = auth(OPENTACT).header("authorization", password);
        request.header("x-auth-token", &token)
    };
    let answer = sites.ask(last, &both(CALLIFY)).await;
    assert_eq!(answer.json()["payload"]["uuid"], USER, "{answer:?}");
    refused(&sites.ask(last, &both(BARE)).await, 401);
}

/// Under secrets that are an issuer's too, its tokens are good, without `gen`, and ours are what it would make.
async fn shared(sites: &Sites) {
    let (first, last) = sites.ends();
    let issuers = issuers::OPENTACT.token(&callifys());
    let token = sites
        .token(last, &auth(SHARED).header("x-auth-token", &issuers))
        .await;
    let new = issuers::Issuer::hmac(issuers::OPENTACT.header, NEW_SECRET.as_bytes());
    assert_eq!(new.sign(&part(&token, 0), &part(&token, 1)), token);
    let claims = claims(&token);
    let seconds = |name: &str| claims[name].as_u64().expect("seconds");
    assert_eq!(seconds("exp") - seconds("iat"), 600);
    sites
        .token(first, &auth(SHARED).header("x-auth-token", &token))
        .await;
    // Where one says its generations, they count.
    for generations in [json!([1, 0, 0]), json!([0, 0]), json!("0")] {
        let stale = new.token(&changed(callifys(), json!({ "gen": generations })));
        refused(
            &sites
                .ask(last, &auth(SHARED).header("x-auth-token", stale))
                .await,
            401,
        );
    }
}

/// A user's tokens are ended by command, everywhere, and from then on none of them makes another, also where a server
/// remembers that it was good.
async fn revocation(sites: &Sites) {
    let (first, last) = sites.ends();
    let token = sites.token(first, &by_password(OPENTACT)).await;
    let twins = sites.token(first, &by_password(OPENTACT_TWIN)).await;
    let by_token = auth(OPENTACT).header("x-auth-token", &token);
    sites.token(last, &by_token).await;
    let server = &sites.sides[first].0;
    server.command(&format!("user revoke {USER} --platform opentact"), "");
    for side in [last, first] {
        refused(&sites.ask(side, &by_token).await, 401);
        let mut tick = interval(Duration::from_millis(10));
        let calls = https(OPENTACT, "/rest/calls").header("x-auth-token", &token);
        let ended = timeout(PATIENCE, async {
            while sites.ask(side, &calls).await.status != 401 {
                tick.tick().await;
            }
        });
        ended.await.expect("word of it");
        // Who proves anew who it is gets in, and the other platform's user was not meant.
        let new = sites.token(side, &by_password(OPENTACT)).await;
        sites
            .token(side, &auth(OPENTACT).header("x-auth-token", new))
            .await;
        sites
            .token(side, &auth(OPENTACT_TWIN).header("x-auth-token", &twins))
            .await;
    }
}

/// O11: plain HTTP is sent to HTTPS before anything is looked at, at a listed host and without any credential.
async fn https_first(sites: &Sites) {
    let credentials =
        format!("ha1b={CALLIFY_HA1B}&jwt=a.b.c&%6awt=d&google_token=e&facebook_token=f");
    for (target, location) in [
        (format!("/rest/auth?{credentials}"), "/rest/auth"),
        (
            format!("/rest/auth?a=1&{credentials}&b"),
            "/rest/auth?a=1&b",
        ),
        (format!("/rest/user?{credentials}&b=2"), "/rest/user?b=2"),
    ] {
        let plain = |host| to(host, "GET", &target).header("authorization", CALLIFY);
        let answer = sites.ask(0, &plain(OPENTACT)).await;
        assert_eq!(answer.status, 302, "{target}: {answer:?}");
        let want = format!("https://{OPENTACT}{location}");
        assert_eq!(answer.header("location"), Some(&*want), "{target}");
        // A route may lead a host here that the platform does not list.
        let answer = sites.ask(0, &plain("elsewhere.example.com")).await;
        refused(&answer, 403);
        assert_eq!(answer.header("location"), None);
    }
    let elsewhere = auth("elsewhere.example.com").header("authorization", CALLIFY);
    sites.token(0, &elsewhere).await;
    assert_eq!(sites.reached("/rest/auth"), [""; 0]);
}
