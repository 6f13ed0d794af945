//! The holes that comparable servers had in the last years, each with the number under which it was told, tried here: the
//! attack is refused, and its honest twin passes.
//!
//! Those that have their proof elsewhere carry the number there:
//!
//! | number | where |
//! |---|---|
//! | Authorino #649: a timeout in the pipeline was an allow | `deployment.rs` |
//! | Authorino #652: an introspection answer without a boolean `active` was a panic | `src/scheme/introspection/tests.rs` |
//! | CVE-2025-25207, CVE-2025-25208 (Authorino): the many callbacks of one starve all | `tests/check/introspection.rs` |
//! | CVE-2023-33189 (Pomerium): a crafted request was judged otherwise than it was routed | `readings.rs` |
//! | CVE-2024-47616 (Pomerium): an internal token was taken without its purpose being looked at | `door.rs` |
//! | CVE-2026-33186 (grpc-go): a path without a slash at its front passes rules that deny | `tests/check/bad_input.rs` |
//!
//! These do not apply, since there is nothing here that could break so:
//!
//! - Envoy's notes on `ext_authz`, that a later filter which clears the route cache leads the request past the check:
//!   what filters stand behind is the operator's (`deploy/envoy/README.md`). That claims which nobody
//!   has verified look verified (Envoy PR 43630): no claim leaves a scheme but of a token that was.
//! - Envoy Gateway #8781, that the policy of a route silently replaces that of the gateway: a request has one
//!   platform, whose rules are one list, and a preset's `rules` are replaced only where the configuration says `rules`.

use std::time::Duration;

use serde_json::json;

use crate::envoy::mine::refused;
use crate::envoy::opentact;
use crate::envoy::table::{Row, answered, reached, row, to};
use crate::envoy::tables::memory;
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::introspection::{CLIENT_ID, CLIENT_SECRET};
use crate::support::sample::{
    AS_MY_ADMIN, AS_MY_KEY, AS_SENDER, INFOBIP, MINE, MY_ADMIN, MY_BARE_KEY, MY_KEY, OPENTACT,
    SENDER_KEY,
};
use crate::support::server::Server;
use crate::support::standin::{Reply, StandIn};
use crate::support::upstream::Upstream;

const NOBODY: &str = "x-auth-platform: mine";

async fn check(name: &str, rows: Vec<Row>) {
    memory().check(name, rows).await;
}

fn get(target: &str) -> Request {
    to(MINE, "GET", target)
}

fn order(target: &str) -> Request {
    get(target).header("x-my-key", MY_KEY)
}

/// What is public passes for nobody.
fn public(target: &str) -> Row {
    row(
        target,
        get(target),
        reached(&format!("GET {target}"), NOBODY),
    )
}

/// What has two readings is refused, whoever asks for it.
fn unclear(target: &str) -> Row {
    row(target, get(target), refused(400, "path", target))
}

/// CVE-2026-26205 (OPA-Envoy): `//admin/x` was parsed as an authority, and what is left is another path.
#[tokio::test]
async fn two_slashes_begin_no_authority() {
    let admin = get("/admin/x").header("authorization", MY_ADMIN);
    let twin = row("one slash", admin, reached("GET /admin/x", AS_MY_ADMIN));
    let all = [
        "//admin/x",
        "//public/x",
        "//api.mine.example/public/x",
        "///public/x",
    ];
    let attacks = all.map(unclear).into_iter();
    check(
        "CVE-2026-26205",
        attacks.chain([twin, public("/public/x")]).collect(),
    )
    .await;
}

/// GHSA-p224-6x5r-fjpm (Oathkeeper): `/public/../admin` was matched as it came, and served as `/admin`.
#[tokio::test]
async fn dots_lead_to_no_other_rule() {
    let all = [
        "/public/../admin/x",
        "/public/./x",
        "/public/%2e%2e/admin/x",
        "/public/.%2E/admin/x",
    ];
    let attacks = all.map(unclear).into_iter();
    check(
        "GHSA-p224-6x5r-fjpm",
        attacks.chain([public("/public/admin/x")]).collect(),
    )
    .await;
}

/// CVE-2026-42272, CVE-2026-42273, CVE-2026-42274 (heimdall): `%2f` and `%2F` were not one, nor hosts in two cases, and
/// dot segments stayed.
#[tokio::test]
async fn escapes_and_hosts_mean_the_same_in_either_case() {
    let hosts = ["api.mine.example", "API.mine.example", "api.MINE.Example"];
    let order = |host: &str| to(host, "GET", "/orders/1").header("x-my-key", MY_KEY);
    let twins = hosts.map(|it| row(it, order(it), reached("GET /orders/1", AS_MY_KEY)));
    let all = [
        "/public%2fadmin",
        "/public%2Fadmin",
        "/public/..%2fadmin/x",
        "/public/..%2Fadmin/x",
        "/orders/../public/x",
    ];
    let attacks = all.map(unclear).into_iter();
    check(
        "CVE-2026-42272",
        attacks
            .chain(twins)
            .chain([public("/public/%c3%a4"), public("/public/%C3%A4")])
            .collect(),
    )
    .await;
}

/// GHSA-r8x2-fhmf-6mxp (heimdall): over gRPC `path` holds the query, and `query` nothing. And GHSA-7rh7-c77v-6434
/// (oauth2-proxy): what was to match a path was held against the path and the query.
#[tokio::test]
async fn the_query_is_no_part_of_the_path_and_yet_is_read() {
    let missing =
        |target: &str, path: &str| row(target, get(target), refused(401, "missing", path));
    let read = format!("/orders/1?/public/x&my-key={MY_KEY}");
    let rows = vec![
        missing("/orders/1?/public/x", "/orders/1"),
        missing("/orders/1?x=/../public/x", "/orders/1"),
        missing("/orders/1?/../../public/x", "/orders/1"),
        missing("/admin/x?/public/", "/admin/x"),
        public("/public/x?/admin/x"),
        public("/public/x?"),
        row(
            "a key in the query",
            get(&read),
            reached("GET /orders/1?/public/x=", AS_MY_KEY),
        ),
    ];
    check("GHSA-r8x2-fhmf-6mxp", rows).await;
}

/// Authelia PR 13167: the path that it sent clients back to lacked the query.
#[tokio::test]
async fn a_client_is_sent_back_to_its_query_too() {
    let plain = to(OPENTACT, "GET", "/rest/user?a=1&b=%20");
    let location = "location: https://opentact.example.com/rest/user?a=1&b=%20";
    let twin = plain.clone().header("x-forwarded-proto", "https");
    let rows = vec![
        row("over plain HTTP", plain, answered(302, location, "")),
        row("over HTTPS", twin, opentact::refused(401)),
    ];
    check("Authelia PR 13167", rows).await;
}

/// CVE-2026-41059 (oauth2-proxy): what follows a `#`, or `%23`, was judged and not served.
#[tokio::test]
async fn a_fragment_hides_nothing() {
    let attacks = [
        "/admin/x%23/public/x",
        "/public%23/../admin/x",
        "/public/x%23",
    ]
    .map(unclear)
    .into_iter();
    let raw = ["/admin/x#/public/x", "/public/x#"].map(|it| exchange_status(get(it)));
    check(
        "CVE-2026-41059",
        attacks.chain([public("/public/x")]).collect(),
    )
    .await;
    for status in raw {
        assert_eq!(status.await, 400, "Envoy's own");
    }
}

async fn exchange_status(request: Request) -> u16 {
    memory().ask(0, &request).await.status
}

/// CVE-2026-40575 (oauth2-proxy): `X-Forwarded-Uri` of a client's own was taken for the path, and some still after
/// its first fix (#3506): here none counts, however it is spelt and whatever it holds. CVE-2026-34457: a
/// `User-Agent` of health checks was let through. And Envoy's CVE-2023-27487, on `x-envoy-original-path`.
#[tokio::test]
async fn no_header_exempts_a_request() {
    let spoofs = [
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Uri", "/public/x?a=b"),
        ("X-Forwarded-Uri", "https://mine.example/public/x"),
        ("x_forwarded_uri", "/public/x"),
        ("X-Forwarded-Path", "/public/x"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-Original-URL", "/public/x"),
        ("X-Rewrite-URL", "/public/x"),
        ("X-Envoy-Original-Path", "/public/x"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "open.example"),
        ("User-Agent", "kube-probe/1.30"),
        ("User-Agent", "GoogleHC/1.0"),
        ("User-Agent", "ELB-HealthChecker/2.0"),
        ("X-Envoy-Internal", "true"),
        ("X-Forwarded-For", "127.0.0.1"),
    ];
    let want = || refused(401, "missing", "/orders/1");
    let attack =
        |(name, value): (&str, &str)| row(name, get("/orders/1").header(name, value), want());
    let twin = order("/orders/1").header("user-agent", "kube-probe/1.30");
    let seen = format!("user-agent: kube-probe/1.30{AS_MY_KEY}");
    // By name, as transcripts are.
    let twin = row("a key", twin, reached("GET /orders/1", &seen));
    check(
        "CVE-2026-40575",
        spoofs.map(attack).into_iter().chain([twin]).collect(),
    )
    .await;
}

/// CVE-2025-64484 (oauth2-proxy): `X_Forwarded_User` was not stripped, and WSGI takes it for `X-Forwarded-User`.
#[tokio::test]
async fn an_underscore_makes_no_identity() {
    let spoofed = |it: Request| {
        [
            "X_Auth_Account",
            "x_auth-scopes",
            "X-Auth_Roles",
            "x_caller",
            "X_AUTH_PLATFORM",
            "x_auth_scheme",
        ]
        .iter()
        .fold(it, |it, name| it.header(name, "root"))
    };
    let rows = vec![
        row(
            "nobody",
            spoofed(get("/public/x")),
            reached("GET /public/x", NOBODY),
        ),
        row(
            "somebody",
            spoofed(order("/orders/1")),
            reached("GET /orders/1", AS_MY_KEY),
        ),
        row(
            "a header of nobody's",
            order("/orders/1").header("x_other", "1"),
            reached("GET /orders/1", &format!("{AS_MY_KEY}\nx_other: 1")),
        ),
    ];
    check("CVE-2025-64484", rows).await;
}

/// GHSA-qvp4-rpmr-xwrr (Oathkeeper, #743): a token that was known was not asked for its scopes again.
#[tokio::test]
async fn who_is_known_is_judged_by_each_rule_anew() {
    let with =
        |method: &str, target: &str, key: &str| to(MINE, method, target).header("x-my-key", key);
    let bare = "x-auth-account: a-2\nx-auth-platform: mine\nx-auth-scheme: key";
    let rows = vec![
        row(
            "learned",
            with("GET", "/orders/1", MY_BARE_KEY),
            reached("GET /orders/1", bare),
        ),
        row(
            "without the scope",
            with("POST", "/orders", MY_BARE_KEY),
            answered(404, "x-why: scope", ""),
        ),
        row(
            "again",
            with("GET", "/orders/1", MY_BARE_KEY),
            reached("GET /orders/1", bare),
        ),
        row(
            "with the scope",
            with("POST", "/orders", MY_KEY),
            reached("POST /orders", AS_MY_KEY),
        ),
    ];
    check("GHSA-qvp4-rpmr-xwrr", rows).await;
}

/// CVE-2022-29226 (Envoy): any bearer token counted as proof of a login.
#[tokio::test]
async fn that_something_is_presented_proves_nothing() {
    let made_up = ["Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer"];
    let rows = made_up.map(|it| {
        let request = get("/orders/1")
            .header("authorization", it)
            .header("cookie", "BearerToken=x; OauthHMAC=x");
        let told = if it.starts_with("Basic ") {
            "unknown"
        } else {
            "malformed"
        };
        row(it, request, refused(401, told, "/orders/1"))
    });
    let twin = row(
        "a key",
        order("/orders/1"),
        reached("GET /orders/1", AS_MY_KEY),
    );
    check("CVE-2022-29226", rows.into_iter().chain([twin]).collect()).await;
}

/// heimdall #3436: over gRPC, whom forwarding headers may be believed of was not looked at.
#[tokio::test]
async fn forwarding_headers_are_believed_of_nobody_where_the_peer_counts() {
    let key = format!("App 663{}", &SENDER_KEY[3..]);
    let line = "POST /sms/3/messages";
    let sends = |header: &str| {
        let request = to(INFOBIP, "POST", "/sms/3/messages").header("authorization", &key);
        request.header(header, "10.1.2.3")
    };
    let forged = [
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Envoy-External-Address",
        "True-Client-IP",
    ];
    let refused = || crate::envoy::infobip::refused(401);
    let attacks = forged.map(|it| row(it, sends(it), refused()));
    let seen = format!("{}\nx-other: 10.1.2.3", AS_SENDER.trim());
    let twin = row("the peer's", sends("X-Other"), reached(line, &seen)).from([127, 0, 0, 2]);
    check(
        "heimdall #3436",
        attacks.into_iter().chain([twin]).collect(),
    )
    .await;
}

/// GHSA-vhr5-ggp3-qq85 (Oathkeeper): `X-Forwarded-Proto` was trusted where that was switched off.
#[tokio::test]
async fn the_scheme_of_a_request_is_not_what_a_client_says_it_is() {
    let config = r#"
listen: { grpc: ["127.0.0.1:{grpc}"], admin: "127.0.0.1:{admin}" }
client_address: { from: peer }
platforms:
  - name: scheme
    hosts: [scheme.example]
    https: { mode: deny, from: scheme }
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ paths: ["/**"], allow: public }]
  - name: header
    hosts: [header.example]
    https: deny
    schemes: { key: { kind: api_key, from: [{ header: x-key }] } }
    rules: [{ paths: ["/**"], allow: public }]
"#;
    let server = Server::start(config);
    let upstream = Upstream::start();
    let begin =
        || Envoy::builder(server.grpc(), upstream.address()).check_timeout(Duration::from_secs(20));
    let (edge, behind) = (begin().edge().start(), begin().start());
    for host in ["scheme.example", "header.example"] {
        for said in ["https", "HTTPS", "http, https", "https,https"] {
            let request = to(host, "GET", "/x").header("x-forwarded-proto", said);
            assert_eq!(
                exchange(edge.plain(), &request).await.status,
                403,
                "{host} {said}"
            );
        }
        let absolute = to(host, "GET", format!("https://{host}/x"));
        assert_eq!(
            exchange(edge.plain(), &absolute).await.status,
            403,
            "{host}, as a URL"
        );
        assert_eq!(upstream.seen().len(), 0);
    }
    // Behind a proxy that ends TLS and owns the header, it counts.
    let request = to("header.example", "GET", "/x").header("x-forwarded-proto", "https");
    assert_eq!(exchange(behind.plain(), &request).await.status, 200);
}

/// GHSA-4mq7-pvjg-xp2r (Oathkeeper): what one introspection server had said of a token was remembered by the token
/// alone, and counted where another is asked.
#[tokio::test]
async fn what_one_issuer_says_of_a_token_counts_for_no_other() {
    let issuers = [
        json!({ "active": true, "sub": "u-1", "exp": 4_102_444_800_u64 }),
        json!({ "active": false }),
    ];
    let issuers = issuers.map(|it| {
        StandIn::start_with(move |_| {
            Reply::ok(it.to_string()).header("content-type", "application/json")
        })
    });
    let mut config = "
listen: { grpc: [\"127.0.0.1:{grpc}\"], admin: \"127.0.0.1:{admin}\" }
store: { directory_file: directory.yaml }
client_address: { from: peer }
check: { deadline_ms: 20000 }
platforms:
"
    .to_owned();
    for (name, issuer) in ["one", "other"].iter().zip(&issuers) {
        let url = issuer.url("/introspect");
        config += &format!(
            "  - name: {name}
    hosts: [{name}.example]
    schemes: {{ sso: {{ kind: introspection, from: [{{ authorization: Bearer }}], url: \"{url}\", client_id: {CLIENT_ID}, client_secret_file: client.secret }} }}
    rules: [{{ paths: [\"/**\"] }}]
"
        );
    }
    let users = "{ users: [{ id: u-1, username: ada, account: a-1 }] }";
    let directory = format!("one: {users}\nother: {users}\n");
    let server = Server::start_with(
        &config,
        &[
            ("directory.yaml", &directory),
            ("client.secret", CLIENT_SECRET),
        ],
    );
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address())
        .check_timeout(Duration::from_secs(20))
        .start();
    for _ in 0..2 {
        for (host, status) in [("one.example", 200), ("other.example", 401)] {
            let request = to(host, "GET", "/x").header("authorization", "Bearer a-token-of-one");
            assert_eq!(
                exchange(envoy.plain(), &request).await.status,
                status,
                "{host}"
            );
        }
    }
    assert_eq!(
        issuers.map(|it| it.asked().len()),
        [1, 1],
        "the second time it was known"
    );
}
