//! What no honest Envoy sends about no honest request: each is denied, on an RPC that is OK, in the platform's format
//! where the platform can be told.

use bytes::Bytes;

use crate::check::asking::{Answer, Ask, ask, clients};
use crate::support::sample::{CALLIFY, INFOBIP, MY_KEY, OPENTACT, SENDER_KEY};

const NEUTRAL_400: &str = r#"{"status":400,"message":"Bad Request"}"#;
const NEUTRAL_403: &str = r#"{"status":403,"message":"Forbidden"}"#;
const BAD_REQUEST: &str =
    r#"{"success":false,"message":"Bad Request","status":400,"meta":"","fields":{}}"#;
const UNAUTHORIZED: &str =
    r#"{"success":false,"message":"Unauthorized","status":401,"meta":"","fields":{}}"#;
const REDIRECT: &str = "";
const UNAUTHORIZED_THERE: &str =
    r#"{"requestError":{"serviceException":{"messageId":"UNAUTHORIZED","text":"Unauthorized"}}}"#;

fn long() -> String {
    "a".repeat(64 * 1024)
}

/// A request that is allowed, to be made bad in one respect.
fn good() -> Ask {
    Ask::new(OPENTACT, "GET", "/rest/user")
        .header("x-forwarded-proto", "https")
        .header("authorization", CALLIFY)
}

fn path(path: &str) -> Ask {
    let path = path.to_owned();
    Ask { path, ..good() }
}

fn host(host: &str) -> Ask {
    let host = host.to_owned();
    Ask { host, ..good() }
}

fn method(method: &str) -> Ask {
    let method = method.to_owned();
    Ask { method, ..good() }
}

fn authorization(value: impl AsRef<[u8]>) -> Ask {
    let mut ask = good();
    ask.headers.pop();
    ask.header("authorization", value)
}

fn infobip(query: &str) -> Ask {
    Ask::new(INFOBIP, "POST", format!("/sms/3/messages?{query}"))
}

#[track_caller]
fn denied(name: &str, answer: &Answer, status: u16, body: &str) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (status, body),
        "{name}: {answer:?}"
    );
    // Whatever cannot be read is refused before anything is looked up, hashed or remembered.
    let looked_up = answer.metadata["cache"] != "none";
    assert_eq!(
        looked_up,
        answer.metadata["reason"] == "unknown",
        "{name}: {answer:?}"
    );
}

#[tokio::test]
async fn messages_that_hold_no_request_are_refused_without_a_platform() {
    let whole = good().listed();
    // An `attributes` (1) with a `request` (4) with an `http` (2) and in it the given bytes.
    let http = |field: &[u8]| {
        let length = |extra: usize| u8::try_from(field.len() + extra).expect("a short field");
        let head = [0x0a, length(4), 0x22, length(2), 0x12, length(0)];
        Bytes::from([&head, field].concat())
    };
    let cases: [(&str, Bytes); 12] = [
        ("nothing", Bytes::new()),
        ("no protobuf", Bytes::from_static(b"\xff\xff\xff\xff")),
        ("text", Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")),
        ("a message that breaks off", whole.slice(..whole.len() - 1)),
        (
            "a length beyond the end",
            Bytes::from_static(b"\x0a\xff\xff\xff\xff\x0f"),
        ),
        ("another type on the wire", Bytes::from_static(b"\x08\x01")),
        (
            "attributes without anything",
            Bytes::from_static(b"\x0a\x00"),
        ),
        (
            "a request without HTTP",
            Bytes::from_static(b"\x0a\x02\x22\x00"),
        ),
        ("an HTTP request without anything", http(b"")),
        ("a path alone", http(b"\x22\x01/")),
        ("a method that is not UTF-8", http(b"\x12\x01\xff")),
        ("nothing but zeros", Bytes::from(vec![0; 1000])),
    ];
    for client in &mut clients().await {
        assert_eq!(ask(client, whole.clone()).await.status, 200);
        for (name, message) in &cases {
            let answer = ask(client, message.clone()).await;
            denied(name, &answer, 400, NEUTRAL_400);
            assert_eq!(answer.metadata["reason"], "malformed", "{name}");
        }
    }
}

#[tokio::test]
async fn requests_that_no_reader_is_sure_of_are_refused_however_their_headers_come() {
    let long = long();
    let bearer_long = format!("Basic {long}");
    let long_query = format!("apiKey={long}");
    let long_path = format!("/rest/{long}");
    let deep = "/rest/".to_owned() + &"a/".repeat(100);
    let cases: Vec<(&str, Ask, u16, &str)> = vec![
        ("no path", path(""), 400, BAD_REQUEST),
        ("no path but a query", path("?a"), 400, BAD_REQUEST),
        ("an asterisk", path("*"), 403, NEUTRAL_403),
        // CVE-2026-33186 (grpc-go): no rule that denies was about such a path.
        ("no slash at the front", path("rest/user"), 403, NEUTRAL_403),
        (
            "no slash at the front, and dots",
            path("./rest/user"),
            403,
            NEUTRAL_403,
        ),
        (
            "an authority",
            path("opentact.example.com:443"),
            403,
            NEUTRAL_403,
        ),
        (
            "a URL",
            path("https://opentact.example.com/rest/user"),
            403,
            NEUTRAL_403,
        ),
        ("an escaped NUL", path("/rest/%00"), 400, BAD_REQUEST),
        ("a NUL", path("/rest/\0"), 400, BAD_REQUEST),
        (
            "a line break",
            path("/rest/\r\nx-auth-user: root"),
            400,
            BAD_REQUEST,
        ),
        ("a fragment", path("/rest#x"), 400, BAD_REQUEST),
        ("raw UTF-8", path("/rest/ä"), 400, BAD_REQUEST),
        ("a path of 64 KiB", path(&long_path), 400, BAD_REQUEST),
        (
            "a path of a hundred segments",
            path(&deep),
            400,
            BAD_REQUEST,
        ),
        ("no host", host(""), 403, NEUTRAL_403),
        (
            "an unknown host",
            host("nobody.example.com"),
            403,
            NEUTRAL_403,
        ),
        (
            "a NUL in the host",
            host("opentact.example.com\0"),
            400,
            NEUTRAL_400,
        ),
        (
            "two hosts",
            host("opentact.example.com,a"),
            400,
            NEUTRAL_400,
        ),
        (
            "user information",
            host("a@opentact.example.com"),
            400,
            NEUTRAL_400,
        ),
        ("a host of 64 KiB", host(&long), 403, NEUTRAL_403),
        ("no method", method(""), 400, NEUTRAL_400),
        (
            "a method in lower case, which some upstreams read in upper case",
            method("get"),
            400,
            NEUTRAL_400,
        ),
        ("a method in mixed case", method("Get"), 400, NEUTRAL_400),
        ("a NUL in the method", method("GET\0"), 400, NEUTRAL_400),
        (
            "a line break in the method",
            method("GET / HTTP/1.1\r\n"),
            400,
            NEUTRAL_400,
        ),
        (
            "two credentials",
            good().header("Authorization", CALLIFY),
            401,
            UNAUTHORIZED,
        ),
        (
            "a bad one behind a good one",
            good().header("authorization", "Basic x"),
            401,
            UNAUTHORIZED,
        ),
        (
            "credentials in one value",
            authorization(format!("{CALLIFY}, {CALLIFY}")),
            401,
            UNAUTHORIZED,
        ),
        (
            "a NUL in a credential",
            authorization(format!("{CALLIFY}\0")),
            401,
            UNAUTHORIZED,
        ),
        (
            "a line break in a credential",
            authorization(format!("{CALLIFY}\r\nx: y")),
            401,
            UNAUTHORIZED,
        ),
        (
            "a tab before a credential",
            authorization(CALLIFY.replace(' ', "\t")),
            401,
            UNAUTHORIZED,
        ),
        (
            "bytes that are no text",
            authorization(b"Basic \xff\xfe"),
            401,
            UNAUTHORIZED,
        ),
        (
            "a credential of 64 KiB",
            authorization(&bearer_long),
            401,
            UNAUTHORIZED,
        ),
        ("a word of 64 KiB", authorization(&long), 401, UNAUTHORIZED),
        (
            "base64 that is none",
            authorization("Basic ===="),
            401,
            UNAUTHORIZED,
        ),
        // opentact@callify.io:1234\u{0}5678
        (
            "a NUL in a password",
            authorization("Basic b3BlbnRhY3RAY2FsbGlmeS5pbzoxMjM0ADU2Nzg="),
            401,
            UNAUTHORIZED,
        ),
        (
            "a scheme said twice",
            good().header("x-forwarded-proto", "http"),
            302,
            REDIRECT,
        ),
        (
            "a NUL in a key",
            infobip(&format!("apiKey={SENDER_KEY}%00")),
            401,
            UNAUTHORIZED_THERE,
        ),
        (
            "a badly escaped key",
            infobip("apiKey=%zz"),
            401,
            UNAUTHORIZED_THERE,
        ),
        (
            "a key of 64 KiB",
            infobip(&long_query),
            401,
            UNAUTHORIZED_THERE,
        ),
        (
            "two keys",
            infobip(&format!("apiKey={SENDER_KEY}&apiKey={SENDER_KEY}")),
            401,
            UNAUTHORIZED_THERE,
        ),
        (
            "a key of another platform",
            infobip(&format!("apiKey={MY_KEY}")),
            401,
            UNAUTHORIZED_THERE,
        ),
    ];
    let good_ones = [
        good(),
        good().header("x-long", &long),
        good().header("x-binary", b"\x00\xff\r\n"),
        infobip(&format!("apiKey={SENDER_KEY}")),
        host("OPENTACT.example.com:443"),
        path("/rest/user?x=%zz&%00=\0"),
    ];
    for client in &mut clients().await {
        for (name, bad, status, body) in &cases {
            denied(name, &ask(client, bad.mapped()).await, *status, body);
            denied(name, &ask(client, bad.listed()).await, *status, body);
        }
        for good in &good_ones {
            assert_eq!(ask(client, good.mapped()).await.status, 200, "{good:?}");
            assert_eq!(ask(client, good.listed()).await.status, 200, "{good:?}");
        }
    }
}

#[tokio::test]
async fn a_route_names_the_platform_or_nobody_answers() {
    let [client, _] = &mut clients().await;
    let named = |platform: &str| {
        let platform = Some(platform.to_owned());
        let ask = Ask::new(OPENTACT, "GET", "/orders/1").header("x-my-key", MY_KEY);
        Ask { platform, ..ask }
    };
    assert_eq!(ask(client, named("mine").mapped()).await.status, 200);
    for platform in ["", "nobody", "Mine", "mine\0"] {
        let answer = ask(client, named(platform).mapped()).await;
        denied(platform, &answer, 403, NEUTRAL_403);
        assert_eq!(answer.metadata["reason"], "no_platform");
    }
}

#[tokio::test]
async fn what_a_client_calls_its_request_cannot_break_out_of_the_answer() {
    let crossbar = |id: &[u8]| {
        Ask::new("crossbar.example.com", "GET", "/v2/accounts").header("x-request-id", id)
    };
    let [client, _] = &mut clients().await;
    let mut told = async |id: &[u8], form: fn(&Ask) -> Bytes| {
        let answer = ask(client, form(&crossbar(id))).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        let header = answer.headers.iter().find(|it| it.0 == "x-request-id");
        let header = header.expect("the id").1.clone();
        assert_eq!(body["request_id"], header.as_str());
        (header, answer.metadata["decision_id"].clone())
    };
    let quoted = br#"a"b\c</x>"#;
    for form in [Ask::mapped, Ask::listed] {
        assert_eq!(told(quoted, form).await.0.as_bytes(), quoted);
        for hostile in [
            &b"a\r\nset-cookie: b"[..],
            b"a\0",
            b"a\xff",
            b"a,b",
            b"",
            &[b'a'; 129],
        ] {
            let (id, decision) = told(hostile, form).await;
            let shown = String::from_utf8_lossy(hostile);
            // Envoy has already replaced in a map what is no UTF-8.
            if id != "a!" && id != "!!" {
                assert_eq!(id, decision, "{shown:?}");
            }
        }
    }
}
