//! Opentact: what Basic credentials and HA1B come to besides the vectors of its contract (`vectors.rs`), and each of its
//! denials. Its tokens are in `tokens.rs`.

use crate::envoy::table::{Row, answered, golden, reached, row, to};
use crate::support::client::Request;
use crate::support::sample::{
    ALADDIN, AS_CALLIFY, AS_CALLIFY_BY_HA1B, CALLIFY, CALLIFY_HA1B, OPENTACT,
};

fn https(method: &str, target: &str) -> Request {
    to(OPENTACT, method, target).header("x-forwarded-proto", "https")
}

fn rest(authorization: &str) -> Request {
    https("GET", "/rest/user").header("authorization", authorization)
}

pub(crate) fn refused(status: u16) -> String {
    let challenge = match status {
        401 => "\nwww-authenticate: Basic realm=\"opentact\", charset=\"UTF-8\"",
        _ => "",
    };
    let headers = format!("content-type: application/json{challenge}");
    answered(
        status,
        &headers,
        &golden(&format!("opentact/{status}.json")),
    )
}

pub(crate) fn basic_credentials_are_an_address_and_a_password() -> Vec<Row> {
    vec![
        row(
            "O1 the right ones",
            rest(CALLIFY),
            reached("GET /rest/user", AS_CALLIFY),
        ),
        row(
            "the address in another case",
            // OpenTact@Callify.io:12345678
            rest("Basic T3BlblRhY3RAQ2FsbGlmeS5pbzoxMjM0NTY3OA=="),
            reached("GET /rest/user", AS_CALLIFY),
        ),
        row(
            "another credential beside the right one, which only the upstream would read",
            rest(CALLIFY).header("X-Auth-Google-Token", "a.b.c"),
            refused(401),
        ),
        // opentact@callify.io:12345679
        row(
            "a wrong password",
            rest("Basic b3BlbnRhY3RAY2FsbGlmeS5pbzoxMjM0NTY3OQ=="),
            refused(401),
        ),
        // opentact@callify.io:
        row(
            "no password",
            rest("Basic b3BlbnRhY3RAY2FsbGlmeS5pbzo="),
            refused(401),
        ),
        row(
            "somebody else's, of another platform",
            rest(ALADDIN),
            refused(401),
        ),
        // disabled@example.com:password
        row(
            "a disabled user",
            rest("Basic ZGlzYWJsZWRAZXhhbXBsZS5jb206cGFzc3dvcmQ="),
            refused(401),
        ),
        // locked@example.com:password
        row(
            "a user of a disabled account",
            rest("Basic bG9ja2VkQGV4YW1wbGUuY29tOnBhc3N3b3Jk"),
            refused(401),
        ),
        row(
            "I21 two values in one",
            rest("Basic a, Bearer b"),
            refused(401),
        ),
        row(
            "a scheme that is not taken",
            rest("Digest username=\"a\""),
            refused(401),
        ),
    ]
}

pub(crate) fn an_ha1b_is_a_credential_of_its_own_and_agrees_with_others_or_is_refused() -> Vec<Row>
{
    let presents = |ha1b: &str| https("GET", "/rest/user").header("X-Auth-HA1B-Token", ha1b);
    let passed = |identity: &str| reached("GET /rest/user", identity);
    // md5(1001@mydomain.com:mydomain.com:654321)
    let anothers = "e5360c16edbae4fb25dbfaad25152937";
    let query = |query: &str| https("GET", &format!("/rest/user?{query}"));
    vec![
        row(
            "O6 the right one",
            presents(CALLIFY_HA1B),
            passed(AS_CALLIFY_BY_HA1B),
        ),
        row(
            "O6 in the query",
            query(&format!("ha1b={CALLIFY_HA1B}")),
            passed(AS_CALLIFY_BY_HA1B),
        ),
        row(
            "O5 with a password of the same user",
            presents(CALLIFY_HA1B).header("authorization", CALLIFY),
            passed(AS_CALLIFY),
        ),
        row(
            "O5 with a password of another user",
            presents(anothers).header("authorization", CALLIFY),
            refused(401),
        ),
        row(
            "O5 with a wrong password of the same user",
            presents(CALLIFY_HA1B).header(
                "authorization",
                "Basic b3BlbnRhY3RAY2FsbGlmeS5pbzoxMjM0NTY3OQ==",
            ),
            refused(401),
        ),
        row(
            "O4 with what is no token, in the place of one",
            query("jwt=a.b.c").header("authorization", CALLIFY),
            refused(401),
        ),
        row(
            "O4 with what only looks like a token's place",
            query("JWT=a.b.c").header("authorization", CALLIFY),
            reached("GET /rest/user?JWT=a.b.c", AS_CALLIFY),
        ),
    ]
}

pub(crate) fn users_do_all_that_is_under_rest_and_nothing_else() -> Vec<Row> {
    let rest = |method, target| https(method, target).header("authorization", CALLIFY);
    vec![
        row(
            "anything",
            rest("DELETE", "/rest/a/b?c=%20"),
            reached("DELETE /rest/a/b?c=%20", AS_CALLIFY),
        ),
        row("elsewhere", rest("GET", "/other"), refused(403)),
        row("elsewhere, unknown", https("GET", "/other"), refused(403)),
        row("unclear where", rest("GET", "/rest/../other"), refused(400)),
    ]
}

pub(crate) fn plain_http_is_sent_to_https_before_any_credential_is_looked_at() -> Vec<Row> {
    let plain = |target: &str| to(OPENTACT, "GET", target);
    let sent_to = |location: &str| answered(302, &format!("location: {location}"), "");
    let here = || sent_to("https://opentact.example.com/rest/user?a=%20b&c");
    let asked = || plain("/rest/user?a=%20b&c");
    vec![
        row(
            "O11 with good credentials",
            asked().header("authorization", CALLIFY),
            here(),
        ),
        row(
            "O11 with bad ones",
            asked().header("authorization", "Basic x, y"),
            here(),
        ),
        row("O11 without", asked(), here()),
        row(
            "O11 said to be http",
            asked().header("x-forwarded-proto", "http"),
            here(),
        ),
        row(
            "O11 said to be both",
            asked().header("x-forwarded-proto", "https,http"),
            here(),
        ),
        row(
            "O11 with a port in the host",
            Request::new("GET", "/rest").header("host", "Opentact.Example.com:8080"),
            sent_to("https://opentact.example.com/rest"),
        ),
        row("an unclear path", plain("/rest//auth"), refused(400)),
        row(
            "https",
            https("GET", "/rest/user?a=%20b&c").header("authorization", CALLIFY),
            reached("GET /rest/user?a=%20b&c", AS_CALLIFY),
        ),
    ]
}
