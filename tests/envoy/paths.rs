//! Paths that readers could take for different things, as they come through an Envoy that repairs none of them.

use crate::envoy::table::{Row, answered, golden, reached, row, to};
use crate::support::sample::{AS_CALLIFY, CALLIFY, OPENTACT};

pub(crate) fn what_has_two_readings_is_refused_and_what_has_one_goes_through_as_it_came() -> Vec<Row>
{
    let request = |target: &str| {
        to(OPENTACT, "GET", target)
            .header("x-forwarded-proto", "https")
            .header("authorization", CALLIFY)
    };
    let refused = || {
        answered(
            400,
            "content-type: application/json",
            &golden("opentact/400.json"),
        )
    };
    let unclear = [
        "//rest/auth",
        "/rest//auth",
        "/rest/auth//",
        "/rest/./auth",
        "/rest/../rest/auth",
        "/rest/..",
        "/rest/%2e%2e/x",
        "/rest/%2E./x",
        "/rest/a%2Fb",
        "/rest/a%5cb",
        "/rest/a\\b",
        "/rest/a;b=1",
        "/rest/a%3Bb",
        "/rest/%00",
        "/rest/%0d%0aX",
        "/rest/%7F",
        "/rest/%",
        "/rest/%zz",
        "/rest/%2",
        "/rest/%252e%252e",
        "/rest/%ff",
        "/rest/%41",
        "/rest/%c0%af",
        "//opentact.example.com/rest",
        "/rest/%3Fx",
        "/rest/%23x",
        "/rest./user",
        "/rest/...",
        "/rest/user%20",
        "/rest/%20user",
    ];
    let clear = [
        "/rest",
        "/rest/",
        "/rest/user/",
        "/rest/j%C3%BCrgen%40example.com",
        "/rest/a.b/..c",
        "/rest/a:b,c",
        "/rest/x?y=//../%2e%2e;%00",
        "/rest?",
    ];
    let refused = unclear.map(|it| row(it, request(it), refused()));
    let passed = clear.map(|it| row(it, request(it), reached(&format!("GET {it}"), AS_CALLIFY)));
    refused.into_iter().chain(passed).collect()
}
