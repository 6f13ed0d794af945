//! One door: what issues is reached by a request that Check has admitted, and by no other.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use portcullis::context::Context;
use portcullis::credential::Secret;
use portcullis::directory::pepper::Peppers;

use crate::envoy::crossbar;
use crate::envoy::issuing::{ACME, john, johns, told};
use crate::envoy::table::{Row, World, reached, row, to};
use crate::support::client::{self, Request};
use crate::support::envoy::Envoy;
use crate::support::issuers;
use crate::support::sample::{AS_JOHN, CROSSBAR, DIRECTORY, JOHN_MD5, PEPPER, on_store, start};
use crate::support::upstream::Upstream;

const HEADER: &str = "x-portcullis-context";

const FORBIDDEN: &str =
    r#"{"status":403,"message":"this listener is reached through Envoy and a Check"}"#;

fn login() -> String {
    json!({ "data": johns(&json!({ "account_id": ACME })) }).to_string()
}

/// Asks an issue listener itself, and gives the status; what it refuses says nothing else.
async fn ask(listener: SocketAddr, method: &str, target: &str, contexts: &[&str]) -> u16 {
    let mut request = to(CROSSBAR, method, target).header("connection", "close");
    for context in contexts {
        request = request.header(HEADER, context);
    }
    let answer = client::exchange(listener, &request.body(login())).await;
    if answer.status == 403 {
        assert_eq!(answer.text(), FORBIDDEN);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    answer.status
}

/// CVE-2024-47616 (Pomerium): an internal token was taken without its purpose being looked at.
pub(crate) async fn a_context_opens_the_request_that_it_was_made_for_and_no_other(world: &World) {
    // Its marked requests go to an upstream, where they are seen.
    let upstream = Upstream::start();
    let envoy = Envoy::builder(world.server().grpc(), upstream.address()).start();
    let capture = async |request: Request| {
        client::exchange(envoy.plain(), &request).await;
        let seen = upstream.seen().pop().expect("a marked request");
        let [context] = <[String; 1]>::try_from(seen.headers_named(HEADER)).expect("one context");
        context
    };
    let good = &capture(to(CROSSBAR, "PUT", "/v2/user_auth").body(login())).await;
    let johns =
        &capture(to(CROSSBAR, "GET", "/v2/token_auth").header("authorization", JOHN_MD5)).await;
    let (text, mac) = good.split_once('.').expect("a context and its MAC");
    let changed = &format!("{text}.{}", mac.replace(['0', '1'], "2"));
    let moved = &format!("{}.{mac}", johns.split_once('.').expect("two parts").0);
    assert_ne!(changed, good);
    for listener in world.issue_listeners() {
        let all: [(&str, &str, &[&str], u16); 16] = [
            ("PUT", "/v2/user_auth", &[good], 201),
            ("PUT", "/v2/user_auth", &[], 403),
            ("PUT", "/v2/user_auth", &[""], 403),
            ("PUT", "/v2/user_auth", &["a.b"], 403),
            ("PUT", "/v2/user_auth", &[text], 403),
            ("PUT", "/v2/user_auth", &[changed], 403),
            ("PUT", "/v2/user_auth", &[moved], 403),
            ("PUT", "/v2/user_auth", &[johns], 403),
            ("PUT", "/v2/user_auth", &[good, good], 403),
            ("POST", "/v2/user_auth", &[good], 403),
            ("PUT", "/v1/user_auth", &[good], 403),
            ("PUT", "/v2/user_auth/", &[good], 403),
            ("PUT", "/v2/api_auth", &[good], 403),
            ("DELETE", "/v2/token_auth", &[johns], 403),
            ("GET", "/v2/token_auth", &[johns], 200),
            ("GET", "/.well-known/jwks.json", &[], 403),
        ];
        for (method, target, contexts, want) in all {
            let status = ask(listener, method, target, contexts).await;
            assert_eq!(status, want, "{method} {target} {contexts:?}");
        }
    }
    let log = world.log();
    assert!(log.contains("a request to the issue listener was refused"));
    assert!(!log.contains(mac), "a context is in the log");
}

/// A context that a client writes itself goes nowhere, on whatever path, in whatever spelling.
pub(crate) fn a_context_of_a_clients_own_goes_nowhere() -> Vec<Row> {
    let users = format!("/v2/accounts/{ACME}/users");
    let own = |request: Request| {
        let request = request.header("X-Portcullis-Context", "a.b");
        request
            .header("x_portcullis_context", "c.d")
            .header("X-Portcullis_Context", "e.f")
    };
    let get = |target: &str| to(CROSSBAR, "GET", target);
    let token = issuers::CROSSBAR.token(&issuers::johns());
    let known = own(get(&users).header("authorization", JOHN_MD5));
    vec![
        row(
            "on an ordinary path",
            known,
            reached(&format!("GET {users}"), AS_JOHN),
        ),
        row(
            "on a public path",
            own(get("/v2/schemas")),
            reached("GET /v2/schemas", "x-auth-platform: crossbar"),
        ),
        row(
            "without a credential",
            own(get(&users)),
            crossbar::refused(401),
        ),
        row(
            "where nobody may go",
            own(get("/v2/user_auth")),
            crossbar::refused(403),
        ),
        row(
            "where there is one",
            own(john(&json!({ "account_id": ACME }))),
            told(201, "201_user_auth"),
        )
        .anywhere(),
        row(
            "where there is one for somebody",
            own(get("/v2/token_auth").header("x-auth-token", token)),
            told(200, "200_token_auth"),
        ),
    ]
}

#[tokio::test]
async fn a_context_is_good_for_seconds_and_under_the_servers_pepper() {
    let server = start(&on_store("embedded:store.redb"));
    server.command("import -", DIRECTORY);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time")
        .as_secs();
    let sealed = |pepper: &str, issued: u64, platform: &str| {
        let context = Context {
            platform: platform.to_owned(),
            method: "PUT".to_owned(),
            path: "/v2/user_auth".to_owned(),
            client_address: None,
            identity: None,
            issued,
        };
        let peppers = Peppers::new(vec![Secret::new(pepper.as_bytes())]);
        context.seal(&peppers.expect("a pepper"))
    };
    let other = "another pepper, which is long enough as well";
    for (name, context, want) in [
        ("of now", sealed(PEPPER, now, "crossbar"), 201),
        ("of a minute ago", sealed(PEPPER, now - 60, "crossbar"), 403),
        (
            "of an hour ahead",
            sealed(PEPPER, now + 3600, "crossbar"),
            403,
        ),
        ("under another pepper", sealed(other, now, "crossbar"), 403),
        (
            "of a platform that there is not",
            sealed(PEPPER, now, "nobody"),
            403,
        ),
        (
            "of a platform that issues nothing",
            sealed(PEPPER, now, "mine"),
            403,
        ),
    ] {
        let status = ask(server.issue(), "PUT", "/v2/user_auth", &[&context]).await;
        assert_eq!(status, want, "{name}: {}", server.log());
    }
}
