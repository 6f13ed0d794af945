//! Servers and Envoys that are not as in the tables: faults, an Envoy that repairs paths, a Unix socket, a server that
//! has gone.

use std::time::Duration;

use crate::envoy::table::golden;
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::sample::{CALLIFY, CONFIG, MINE, OPENTACT, start};
use crate::support::upstream::Upstream;

fn opentact(path: &str) -> Request {
    Request::new("GET", path)
        .header("host", OPENTACT)
        .header("x-forwarded-proto", "https")
        .header("authorization", CALLIFY)
}

fn public() -> Request {
    Request::new("GET", "/public/a").header("host", MINE)
}

/// Authorino #649: a timeout in the pipeline was an allow.
#[tokio::test]
async fn a_server_that_cannot_decide_in_time_denies_even_where_envoy_would_let_failures_pass() {
    // No password is verified within a millisecond.
    let config = CONFIG.replace("deadline_ms: 20000", "deadline_ms: 1");
    let server = start(&config);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.path("check.sock").as_path(), upstream.address())
        .failure_mode_allow()
        .check_timeout(Duration::from_secs(20))
        .start();

    let late = exchange(envoy.plain(), &opentact("/rest/user")).await;
    assert_eq!(late.status, 503);
    assert_eq!(late.text(), golden("opentact/503.json"));
    let seconds: u32 = late
        .header("retry-after")
        .expect("one")
        .parse()
        .expect("seconds");
    assert!((1..=3).contains(&seconds));
    assert!(upstream.seen().is_empty());

    let at_once = exchange(envoy.plain(), &public()).await;
    assert_eq!(at_once.status, 200);
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(envoy.statistic("http.plain.ext_authz.error"), 0);
}

#[tokio::test]
async fn what_envoy_has_repaired_is_judged_as_repaired() {
    let server = start(CONFIG);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address())
        .normalize_paths()
        .check_timeout(Duration::from_secs(20))
        .start();

    let inside = exchange(envoy.plain(), &opentact("/other/../rest//%75ser")).await;
    assert_eq!(inside.status, 200);
    assert_eq!(upstream.seen()[0].path, b"/rest/user");
    let outside = exchange(envoy.plain(), &opentact("/rest/../other")).await;
    assert_eq!(outside.status, 403);
    assert_eq!(outside.text(), golden("opentact/403.json"));
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_server_ends_when_it_is_told_to_and_nothing_passes_while_it_is_gone() {
    let mut server = start(CONFIG);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address()).start();

    assert_eq!(exchange(envoy.plain(), &public()).await.status, 200);
    assert!(server.stop().success(), "SIGTERM is how it is asked to end");
    assert_eq!(exchange(envoy.plain(), &public()).await.status, 403);
    assert_eq!(upstream.seen().len(), 1);
}
