//! What is sent to crossbar's endpoints and cannot be meant: answered by field, in the platform's envelope, without what
//! was sent; and nothing is written.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::envoy::crossbar;
use crate::envoy::issuing::{ACME, api_auth, john, johns, token, told, user_auth, wrong};
use crate::envoy::key_names::dump;
use crate::envoy::table::{Row, World, row, to};
use crate::support::client::Request;
use crate::support::issuers;
use crate::support::sample::{CONFIG, CROSSBAR, JOHN_MD5, start};

/// What must stand in no answer.
const SECRET: &str = "s3cret-that-was-sent";

const JSON: &str = "application/json";

fn sent(content_type: &str, body: impl AsRef<[u8]>) -> Request {
    to(CROSSBAR, "PUT", "/v2/user_auth")
        .header("content-type", content_type)
        .body(body)
}

/// One thing that is wrong with a field.
fn field(name: &str, rule: &str, message: &str) -> String {
    wrong(&format!(
        r#"{{"{name}":{{"{rule}":{{"message":"{message}"}}}}}}"#
    ))
}

fn long(name: &str, rule: &str, words: &str, target: usize) -> String {
    let message = format!("String must {words} {target} characters");
    let said = format!(r#"{{"message":"{message}","target":{target}}}"#);
    wrong(&format!(r#"{{"{name}":{{"{rule}":{said}}}}}"#))
}

fn rows(all: Vec<(&str, Request, String)>) -> Vec<Row> {
    let row = |(name, request, want): (&str, Request, String)| row(name, request, want);
    all.into_iter().map(|it| row(it).anywhere()).collect()
}

pub(crate) fn bodies_that_are_not_what_is_asked_for() -> Vec<Row> {
    let json = |body: &str| sent(JSON, body);
    let not_json = || field("json", "invalid", "the body is not JSON");
    let missing = |name: &str| field(name, "required", "a field is missing");
    let mistyped = |name: &str| field(name, "type", "a value of the wrong type");
    let deep = format!(r#"{{"data":{{"multi_factor_response":{}"#, "[".repeat(300));
    let good = json!({ "data": johns(&json!({ "account_id": ACME })) }).to_string();
    let large = good.replacen('{', &format!("{{{}", " ".repeat(64 * 1024)), 1);
    rows(vec![
        ("nothing", json(""), not_json()),
        (
            "half of it",
            json(r#"{"data":{"credentials":""#),
            not_json(),
        ),
        ("two in one", json("{} {}"), not_json()),
        (
            "what is no text",
            sent(JSON, b"{\"data\":\xff}"),
            not_json(),
        ),
        ("without an end", json(&deep), not_json()),
        ("text", json(&format!("\"{SECRET}\"")), mistyped("data")),
        ("no data", json("{}"), missing("data")),
        (
            "data that is a number",
            json(r#"{"data":7}"#),
            mistyped("data"),
        ),
        (
            "a hash that is a number",
            json(r#"{"data":{"credentials":7}}"#),
            mistyped("credentials"),
        ),
        (
            "a name in a list",
            json(&format!(r#"{{"data":{{"account_name":["{SECRET}"]}}}}"#)),
            mistyped("account_name"),
        ),
        (
            "a field twice",
            json(&format!(
                r#"{{"data":{{"credentials":"a","credentials":"{SECRET}"}}}}"#
            )),
            field("credentials", "invalid", "this field stands twice"),
        ),
        ("too large", sent(JSON, &large), told(413, "413")),
        (
            "of another type",
            sent("text/plain", &good),
            told(415, "415"),
        ),
        ("XML", sent("application/xml", "<data/>"), told(415, "415")),
        (
            "a form",
            sent(
                "application/x-www-form-urlencoded",
                format!("credentials={SECRET}"),
            ),
            told(415, "415"),
        ),
    ])
}

pub(crate) fn values_that_a_login_cannot_have() -> Vec<Row> {
    let with = |changes: Value| {
        let mut data = johns(&json!({ "account_id": ACME }));
        for (name, value) in changes.as_object().expect("an object") {
            data[name] = value.clone();
        }
        user_auth(&data)
    };
    let key = |data: Value| {
        to(CROSSBAR, "PUT", "/v2/api_auth")
            .header("content-type", JSON)
            .body(json!({ "data": data }).to_string())
    };
    let required = |name: &str| field(name, "required", "Field is required but missing");
    rows(vec![
        (
            "no hash",
            with(json!({ "credentials": null })),
            required("credentials"),
        ),
        (
            "an empty hash",
            with(json!({ "credentials": "" })),
            long("credentials", "minLength", "be at least", 1),
        ),
        (
            "a long hash",
            with(json!({ "credentials": "a".repeat(65) })),
            long("credentials", "maxLength", "not be more than", 64),
        ),
        (
            "an empty name",
            with(json!({ "account_name": "" })),
            long("account_name", "minLength", "be at least", 1),
        ),
        (
            "a long name",
            with(json!({ "account_name": "ö".repeat(129) })),
            long("account_name", "maxLength", "not be more than", 128),
        ),
        (
            "a short realm",
            with(json!({ "account_realm": "a.b" })),
            long("account_realm", "minLength", "be at least", 4),
        ),
        (
            "a long realm",
            with(json!({ "realm": "a".repeat(254) })),
            long("account_realm", "maxLength", "not be more than", 253),
        ),
        (
            "a long number",
            with(json!({ "phone_number": "1".repeat(65) })),
            long("phone_number", "maxLength", "not be more than", 64),
        ),
        (
            "a long id",
            with(json!({ "account_id": "4".repeat(129) })),
            long("account_id", "maxLength", "not be more than", 128),
        ),
        ("no key", key(json!({})), required("api_key")),
        (
            "an empty key",
            api_auth(""),
            long("api_key", "minLength", "be at least", 64),
        ),
        (
            "a field that is not known",
            key(json!({ "api_key": SECRET, "more": SECRET })),
            field("data", "invalid", "a field of it is not known here"),
        ),
        (
            "a field that is named by a secret",
            key(json!({ "api_key": SECRET, SECRET: 1 })),
            field("data", "invalid", "a field of it is not known here"),
        ),
        (
            "a list that is named by a secret",
            key(json!({ "api_key": SECRET, SECRET: [] })),
            field("data", "type", "a value of the wrong type"),
        ),
    ])
}

pub(crate) fn what_cannot_be_set_or_done() -> Vec<Row> {
    let token = issuers::CROSSBAR.token(&issuers::johns());
    let act = |data: Value| {
        to(CROSSBAR, "PUT", "/v2/auth")
            .header("x-auth-token", &token)
            .body(json!({ "data": data }).to_string())
    };
    let set = |account: &str, method: &str, modules: Value| {
        to(CROSSBAR, method, format!("/v2/accounts/{account}/security"))
            .header("x-auth-token", &token)
            .body(json!({ "data": { "auth_modules": modules } }).to_string())
    };
    let acme = |modules: Value| set(ACME, "POST", modules);
    let expiry = "auth_modules.cb_user_auth.token_auth_expiry_s";
    let action = || {
        field(
            "action",
            "enum",
            "Value not found in enumerated list of values",
        )
    };
    rows(vec![
        (
            "no action",
            act(json!({})),
            field("action", "required", "Field is required but missing"),
        ),
        ("another action", act(json!({ "action": SECRET })), action()),
        (
            "no modules",
            set(ACME, "PATCH", Value::Null),
            field("auth_modules", "type", "a value of the wrong type"),
        ),
        (
            "another module",
            acme(json!({ "cb_other": {} })),
            field("auth_modules.cb_other", "enum", "no such module"),
        ),
        (
            "a module whose name goes on",
            acme(json!({ "a".repeat(1000): {} })),
            field(
                &format!("auth_modules.{}", "a".repeat(32)),
                "enum",
                "no such module",
            ),
        ),
        (
            "a setting that is not known",
            acme(json!({ "cb_user_auth": { "x": SECRET } })),
            field(
                "auth_modules.cb_user_auth",
                "invalid",
                "a field of it is not known here",
            ),
        ),
        (
            "a lifetime in words",
            acme(json!({ "cb_user_auth": { "token_auth_expiry_s": SECRET } })),
            field(expiry, "type", "a value of the wrong type"),
        ),
        (
            "a lifetime below 0",
            acme(json!({ "cb_user_auth": { "token_auth_expiry_s": -1 } })),
            field(expiry, "invalid", "a value that cannot be taken"),
        ),
        (
            "a lifetime of more than a year",
            acme(json!({ "cb_user_auth": { "token_auth_expiry_s": 31_536_001 } })),
            field(expiry, "maximum", "Value must be at most 31536000, a year"),
        ),
        (
            "security of an account that there is not",
            set(&"0".repeat(32), "POST", json!({})),
            crossbar::refused(403),
        ),
        (
            "K20 to set by a password",
            to(CROSSBAR, "POST", format!("/v2/accounts/{ACME}/security"))
                .header("authorization", JOHN_MD5)
                .body(json!({ "data": { "auth_modules": {} } }).to_string()),
            crossbar::refused(403),
        ),
        (
            "K20 what only a token may do, by a password",
            to(CROSSBAR, "DELETE", "/v2/token_auth").header("authorization", JOHN_MD5),
            crossbar::refused(403),
        ),
    ])
}

/// Every table of what cannot be meant.
const TABLES: [fn() -> Vec<Row>; 3] = [
    bodies_that_are_not_what_is_asked_for,
    values_that_a_login_cannot_have,
    what_cannot_be_set_or_done,
];

const PATIENCE: Duration = Duration::from_secs(20);

fn attempts() -> Request {
    let path = format!("/v2/accounts/{ACME}/security/attempts");
    to(CROSSBAR, "GET", path).header("authorization", JOHN_MD5)
}

/// Logs in on every side and waits until that is written down, and with it whatever was noted there
/// before.
async fn settle(world: &World) {
    for side in 0..=world.last() {
        let told = async || {
            let told = world.ask(side, &attempts()).await.json();
            told["data"].as_array().map_or(0, Vec::len)
        };
        let before = told().await;
        token(world, side, &john(&json!({ "account_id": ACME }))).await;
        let mut tick = interval(Duration::from_millis(20));
        let written = async {
            while told().await == before {
                tick.tick().await;
            }
        };
        assert!(
            timeout(PATIENCE, written).await.is_ok(),
            "no attempt is told of"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_meant_writes_nothing() {
    let world = World::of("memory", vec![start(CONFIG)]);
    let all = async || {
        let export = world.server().command("export", "");
        let security = to(CROSSBAR, "GET", format!("/v2/accounts/{ACME}/security"));
        let security = security.header("authorization", JOHN_MD5);
        let attempts = world.ask(0, &attempts()).await.json()["data"].clone();
        let failed = attempts.as_array().map(|all| {
            let failed = all.iter().filter(|it| it["status"] == "failed");
            failed.count()
        });
        let security = world.ask(0, &security).await.json()["data"].clone();
        let failures = world
            .server()
            .command("throttle list --platform crossbar --json", "");
        (export, failed, security, failures)
    };
    let before = all().await;
    for table in TABLES {
        world.check("bad input", table()).await;
    }
    settle(&world).await;
    assert_eq!(all().await, before);
    assert!(
        before.0.contains("john@example.com"),
        "nothing was exported"
    );
    assert!(!world.log().contains(SECRET), "what was sent is in the log");
}

/// The same where servers share a store, whose keys are all there is.
pub(crate) async fn write_nothing(world: &World, url: &str) {
    settle(world).await;
    let before = dump(url).await;
    for table in TABLES {
        world.check("bad input", table()).await;
    }
    settle(world).await;
    assert_eq!(dump(url).await, before);
}
