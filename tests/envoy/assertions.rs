//! An upstream behind Envoy that believes no header, but what it verifies under the published keys.

use crate::support::assertions::{ADA, CONFIG, KEY, Pem, key_set, start, verify};
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::upstream::{Seen, Upstream};

fn to(host: &str, target: &str) -> Request {
    Request::new("GET", target).header("host", host)
}

/// Gives the values of a header, in whatever spelling it came.
fn values(seen: &Seen, name: &str) -> Vec<String> {
    let fold = |it: &[u8]| {
        String::from_utf8_lossy(it)
            .to_ascii_lowercase()
            .replace('_', "-")
    };
    let headers = seen.headers.iter().filter(|it| fold(&it.0) == name);
    headers
        .map(|it| String::from_utf8_lossy(&it.1).into_owned())
        .collect()
}

#[tokio::test]
async fn the_upstream_verifies_by_itself_who_was_admitted_where_and_for_whom() {
    let server = start(CONFIG, [&Pem::new(), &Pem::new()]);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address()).start();
    let [orders, bills] = ["orders", "bills"].map(|it| key_set(&server, it));
    for listener in [envoy.plain(), envoy.raw_headers()] {
        let received = async |request: Request, header: &str| {
            assert_eq!(exchange(listener, &request).await.status, 200);
            let seen = upstream.seen().pop().expect("a request");
            let [token] = <[String; 1]>::try_from(values(&seen, header)).expect("one assertion");
            (token, seen)
        };
        let ada = to("orders.example", "/1").header("authorization", ADA);
        let (adas, seen) = received(ada, "x-auth-assertion").await;
        let claims = verify(&adas, &orders, "orders").expect("an assertion");
        for (claim, header) in [
            ("platform", "x-auth-platform"),
            ("account", "x-auth-account"),
            ("user", "x-auth-user"),
            ("username", "x-auth-username"),
            ("scheme", "x-auth-scheme"),
        ] {
            assert_eq!(
                [claims[claim].as_str().expect("a text")],
                *values(&seen, header)
            );
        }

        let key = to("bills.example", "/1").header("x-key", KEY);
        let (keys, _) = received(key, "x-who").await;
        let claims = verify(&keys, &bills, "bills").expect("an assertion");
        assert_eq!(
            (&claims["sub"], &claims["platform"]),
            (&"shop".into(), &"bills".into())
        );
        verify(&keys, &bills, "audits").expect("it is for both");

        // Both platforms have one signing key and one issuer.
        for (token, keys, audience) in [
            (&adas, &bills, "bills"),
            (&adas, &bills, "orders"),
            (&adas, &orders, "bills"),
            (&keys, &orders, "orders"),
            (&keys, &orders, "bills"),
            (&keys, &bills, "orders"),
        ] {
            verify(token, keys, audience).expect_err("another platform's, or for somebody else");
        }
    }
}

#[tokio::test]
async fn an_assertion_of_a_clients_own_never_arrives_in_whatever_spelling() {
    let server = start(CONFIG, [&Pem::new(), &Pem::new()]);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address()).start();
    let mine = to("orders.example", "/1").header("x-key", KEY);
    exchange(envoy.plain(), &mine).await;
    let seen = upstream.seen().pop().expect("a request");
    let mine = values(&seen, "x-auth-assertion");
    let spoofs = [
        "x-auth-assertion",
        "X-Auth-Assertion",
        "x_auth_assertion",
        "X-AUTH_Assertion",
    ];
    for listener in [envoy.plain(), envoy.raw_headers()] {
        for spoof in spoofs {
            // Also what was good once, of somebody else.
            for value in ["spoofed", &mine[0]] {
                let spoofed = |request: Request| {
                    let request = request.header(spoof, value);
                    request.header(spoof, value)
                };
                let nobody = spoofed(to("orders.example", "/public/1"));
                assert_eq!(exchange(listener, &nobody).await.status, 200);
                let seen = upstream.seen().pop().expect("a request");
                assert!(values(&seen, "x-auth-assertion").is_empty(), "{spoof}");
                assert!(values(&seen, "x-auth-account").is_empty());

                let ada = to("orders.example", "/1").header("authorization", ADA);
                assert_eq!(exchange(listener, &spoofed(ada)).await.status, 200);
                let seen = upstream.seen().pop().expect("a request");
                let [token] = &values(&seen, "x-auth-assertion")[..] else {
                    panic!("{spoof}: {seen:?}");
                };
                let keys = key_set(&server, "orders");
                let claims = verify(token, &keys, "orders").expect("an assertion");
                assert_eq!(claims["user"], "ada", "{spoof}");
            }
        }
    }
}
