//! A platform of one's own, which is configuration and no code: its schemes, rules, headers and error bodies.

use crate::envoy::table::{Row, answered, reached, row, to};
use crate::support::client::Request;
use crate::support::sample::{
    AS_MY_ADMIN, AS_MY_KEY, CALLIFY, MINE, MY_ADMIN, MY_BARE_KEY, MY_KEY,
};

const BARE_KEY: &str = "
x-auth-account: a-2
x-auth-platform: mine
x-auth-scheme: key";

const NOBODY: &str = "x-auth-platform: mine";

/// guest:guest-password
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3QtcGFzc3dvcmQ=";

fn get(target: &str) -> Request {
    to(MINE, "GET", target)
}

fn with_key(method: &str, target: &str, key: &str) -> Request {
    to(MINE, method, target).header("X-My-Key", key)
}

pub(crate) fn refused(status: u16, trouble: &str, path: &str) -> String {
    let challenge = match status {
        401 => {
            "\nwww-authenticate: ApiKey realm=\"mine\"\nwww-authenticate: Basic realm=\"mine\", charset=\"UTF-8\""
        }
        _ => "",
    };
    let body = format!(
        r#"{{"trouble":"{trouble}","status":{status},"path":"{path}","id":"0b7f6b8e3f8f4d0c9a55f3d1c2b4a697","never":[null,true,1.5]}}"#
    );
    answered(
        status,
        &format!("content-type: application/json{challenge}"),
        &body,
    )
}

pub(crate) fn its_rules_say_who_may_what() -> Vec<Row> {
    let order = |request: &str| reached(request, AS_MY_KEY);
    let scoped = || answered(404, "x-why: scope", "");
    vec![
        row(
            "a key",
            with_key("GET", "/orders/1", MY_KEY),
            order("GET /orders/1"),
        ),
        row(
            "a key in the query",
            get(&format!("/orders/1?my-key={MY_KEY}&x=1")),
            order("GET /orders/1?x=1"),
        ),
        row(
            "no key",
            get("/orders/1"),
            refused(401, "missing", "/orders/1"),
        ),
        row(
            "a key that nobody has",
            with_key("GET", "/orders/1", "another-key-000001"),
            refused(401, "unknown", "/orders/1"),
        ),
        row(
            "a key with a space",
            with_key("GET", "/orders/1", "a b"),
            refused(401, "malformed", "/orders/1"),
        ),
        row(
            "a user where a key is asked for",
            get("/orders/1").header("authorization", MY_ADMIN),
            refused(403, "scheme_not_accepted", "/orders/1"),
        ),
        row(
            "a key with the scope",
            with_key("POST", "/orders", MY_KEY),
            order("POST /orders"),
        ),
        row(
            "a key without, in an answer of its own",
            with_key("POST", "/orders", MY_BARE_KEY),
            scoped(),
        ),
        row(
            "a role",
            get("/admin/x").header("authorization", MY_ADMIN),
            reached("GET /admin/x", AS_MY_ADMIN),
        ),
        row(
            "another role",
            get("/admin/x").header("authorization", GUEST),
            refused(403, "role", "/admin/x"),
        ),
        row(
            "a key, which has no role",
            with_key("GET", "/admin/x", MY_KEY),
            refused(403, "role", "/admin/x"),
        ),
        row(
            "a wrong password",
            get("/admin/x").header("authorization", "Basic YWRtaW46YWRtaW4="),
            refused(401, "wrong", "/admin/x"),
        ),
        row(
            "no rule",
            with_key("DELETE", "/orders/1", MY_KEY),
            refused(403, "no_rule", "/orders/1"),
        ),
        row(
            "two credentials",
            with_key("GET", "/orders/1", MY_KEY).header("authorization", MY_ADMIN),
            refused(401, "conflict", "/orders/1"),
        ),
        row(
            "two credentials, one of them wrong, which is not even looked at",
            with_key("GET", "/orders/1", MY_KEY).header("authorization", "Basic YWRtaW46YWRtaW4="),
            refused(401, "conflict", "/orders/1"),
        ),
        row(
            "an unclear path",
            with_key("GET", "/orders/%2e%2e", MY_KEY),
            refused(400, "path", "/orders/%2e%2e"),
        ),
        row(
            "no key, asking for the head alone",
            to(MINE, "HEAD", "/public/a?my-key=another-key-000001"),
            answered(
                401,
                "
content-type: application/json
www-authenticate: ApiKey realm=\"mine\"
www-authenticate: Basic realm=\"mine\", charset=\"UTF-8\"",
                "",
            ),
        ),
        row(
            "a body, which is not looked at",
            with_key("POST", "/orders", MY_KEY).body("{}"),
            order("POST /orders") + "\n\n{}",
        ),
    ]
}

pub(crate) fn its_public_paths_are_open_to_nobody_and_closed_to_bad_credentials() -> Vec<Row> {
    vec![
        row("nobody", get("/public/a"), reached("GET /public/a", NOBODY)),
        row(
            "nobody, by another method",
            to(MINE, "POST", "/public/a"),
            refused(403, "no_rule", "/public/a"),
        ),
        row(
            "somebody",
            with_key("GET", "/public/a", MY_BARE_KEY),
            reached("GET /public/a", BARE_KEY),
        ),
        row(
            "a bad key",
            with_key("GET", "/public/a", "another-key-000001"),
            refused(401, "unknown", "/public/a"),
        ),
        row(
            "an unreadable one",
            get("/public/a").header("authorization", "Basic ?"),
            refused(401, "malformed", "/public/a"),
        ),
        row(
            "one that nobody reads",
            get("/public/a").header("authorization", "Bearer a"),
            refused(401, "malformed", "/public/a"),
        ),
        row(
            "an empty one",
            get("/public/a?my-key=").header("x-my-key", ""),
            reached("GET /public/a", NOBODY),
        ),
    ]
}

pub(crate) fn a_platform_is_found_by_its_host_or_its_route_and_otherwise_nobody_answers() -> Vec<Row>
{
    let neutral = |status, message: &str| {
        let body = format!(r#"{{"status":{status},"message":"{message}"}}"#);
        answered(status, "content-type: application/json", &body)
    };
    let order = |host: &str| to(host, "GET", "/orders/1").header("x-my-key", MY_KEY);
    let order_reached = || reached("GET /orders/1", AS_MY_KEY);
    vec![
        row(
            "a host under its suffix",
            order("a.b.mine.example"),
            order_reached(),
        ),
        row(
            "with a port",
            order("API.mine.example:8443"),
            order_reached(),
        ),
        row(
            "with a dot at its end, which Envoy takes for another host",
            order("api.mine.example."),
            neutral(400, "Bad Request"),
        ),
        row(
            "the suffix itself",
            order("mine.example"),
            neutral(403, "Forbidden"),
        ),
        row(
            "a host that only ends alike",
            order("notmine.example"),
            neutral(403, "Forbidden"),
        ),
        row(
            "two hosts",
            order("api.mine.example,x.mine.example"),
            neutral(400, "Bad Request"),
        ),
        row(
            "a route that names it",
            order("by-route.example.com"),
            order_reached(),
        ),
        row(
            "a route that names another",
            order("astray.example.com"),
            neutral(403, "Forbidden"),
        ),
        row(
            "a credential that is good elsewhere",
            get("/orders/1").header("authorization", CALLIFY),
            refused(401, "unknown", "/orders/1"),
        ),
    ]
}
