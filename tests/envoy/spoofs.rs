//! Nothing that a client writes itself reaches the upstream as an identity, and no credential does at all.

use crate::envoy::table::{Row, reached, row, to};
use crate::support::sample::{AS_JOHN, CROSSBAR, JOHN_MD5};
use crate::support::spoofs::{Sample, samples};

/// Requests, of some four spellings each; `tests/check.rs` takes many more past the server alone.
const REQUESTS: usize = 60;

pub(crate) fn identity_headers_and_credential_places_are_the_servers_own_in_every_spelling()
-> Vec<Row> {
    let sampled = |sample: Sample| {
        let mut request =
            to(sample.host, sample.method, &sample.target).header("x-forwarded-proto", "https");
        for (name, value) in &sample.headers {
            request = request.header(name, value);
        }
        row(
            format!("{sample:?}"),
            request,
            reached(&sample.line, sample.identity),
        )
    };
    samples(REQUESTS).into_iter().map(sampled).collect()
}

pub(crate) fn what_is_spelt_only_nearly_alike_is_the_clients_own_business() -> Vec<Row> {
    let target = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
    let request = to(CROSSBAR, "GET", target)
        .header("authorization", JOHN_MD5)
        .header("X-Auth-Users", "1")
        .header("x-auth~users", "2")
        .header("x-authuser", "3")
        .raw("x-twice: one\r\nX-Twice:two é\r\n");
    // By name, as transcripts are: these stand around what we set.
    let headers = format!(
        "{}\nx-auth-users: 1\nx-authuser: 3\nx-auth~users: 2\nx-twice: one\nx-twice: two %C3%A9",
        AS_JOHN
    );
    vec![row(
        "not identity headers",
        request,
        reached(&format!("GET {target}"), &headers),
    )]
}
