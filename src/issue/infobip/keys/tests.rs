//! An account's keys as its managers see them, and what they may not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::context;
use crate::directory::file::DirectoryFile;
use crate::directory::operations::words::Operation;
use crate::directory::records::RecordKind;
use crate::document::Document;
use crate::request::RequestView;
use crate::serve::opening::{Opened, open};
use crate::telemetry::Metrics;
use crate::trace::Untraced;

const CONFIG: &str = "
listen: { grpc: [\"127.0.0.1:0\"], issue: \"127.0.0.1:0\" }
client_address: { from: peer }
platforms: [{ name: infobip, preset: infobip, hosts: [\"*\"] }]
";

const DIRECTORY: &str = "
infobip:
  accounts: [{ id: a-1 }, { id: a-2 }]
  users:
    - { id: u-1, account: a-1, username: one, password: one, roles: [Account Manager] }
    - { id: u-2, account: a-2, username: two, password: two, roles: [Account Manager] }
    - { id: u-3, username: none, password: none, roles: [Account Manager] }
    - { id: u-4, account: a-1, username: plain, password: plain, roles: [Analyze Manager] }
  api_keys:
    - { id: k-1, account: a-1, secret: a-key-of-account-a-1, scopes: [account-management:manage] }
    - { id: k-2, account: a-2, secret: a-key-of-account-a-2, name: Theirs }
    - { id: k-3, account: a-2, secret: another-key-of-a-2, scopes: [sms:manage], only_scopes: true }
";

/// 2025-06-15T12:00:00Z.
const START: u64 = 1_749_988_800;

const KEYS: &str = "/settings/2/api-keys";

/// The endpoints, behind what judges who may ask them.
struct Desk {
    opened: Opened,
    seconds: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl Desk {
    async fn open() -> Self {
        let seconds = Arc::new(AtomicU64::new(START));
        let shared = Arc::clone(&seconds);
        let now = move || UNIX_EPOCH + Duration::from_secs(shared.load(Ordering::SeqCst));
        let config = Config::parse("c.yaml", CONFIG, "/".as_ref(), |_| None).unwrap();
        let document = Document::parse("d.yaml", DIRECTORY).unwrap();
        let file = DirectoryFile::parse(&document, &["infobip"]).unwrap();
        let metrics = Arc::new(Metrics::default());
        let opened = open(config, Some(file), Clock::from_fn(now), &metrics, None).await;
        Self {
            opened: opened.unwrap(),
            seconds,
            metrics,
        }
    }

    /// Has a request judged; gives the sealed context where it may go to the endpoints.
    async fn judged(&self, authorization: &str, method: &str, target: &str) -> Option<String> {
        let view = RequestView {
            method,
            authority: "any.example",
            path: target.split('?').next().unwrap(),
            headers: [("authorization", authorization.as_bytes())]
                .into_iter()
                .collect(),
            peer: "10.1.2.3".parse().ok(),
            ..RequestView::default()
        };
        let decision = self.opened.gate.decide(&view, &Untraced).await;
        decision
            .verdict
            .is_ok()
            .then(|| decision.context.unwrap_or_default())
    }

    /// Asks as a user whose password is its name; gives the status and the answer.
    async fn ask(&self, user: &str, method: &str, target: &str, body: &str) -> (u16, String) {
        self.ask_for(user, method, target, body, "application/json")
            .await
    }

    async fn ask_for(
        &self,
        user: &str,
        method: &str,
        target: &str,
        body: &str,
        accept: &str,
    ) -> (u16, String) {
        let basic = BASE64_STANDARD.encode(format!("{user}:{user}"));
        let context = self.judged(&format!("Basic {basic}"), method, target).await;
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(context::HEADER, context.expect("a manager may come here"))
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(Body::from(body.to_owned()));
        let core = State(self.opened.issuing.clone().into());
        let response = crate::issue::answer(core, request.unwrap()).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The same where it must be done.
    async fn done(&self, user: &str, method: &str, target: &str, body: Value) -> Value {
        let (status, answer) = self.ask(user, method, target, &body.to_string()).await;
        assert_eq!(status, 200, "{method} {target} {body}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    async fn create(&self, body: Value) -> Value {
        self.done("one", "POST", KEYS, body).await
    }

    async fn update(&self, key: &Value, body: Value) -> Value {
        self.done("one", "PUT", &of(key), body).await
    }

    /// Asks for what is wrong, and gives what is said of it: `property: violation`.
    async fn wrong(&self, method: &str, target: &str, body: &str) -> Vec<String> {
        let (status, answer) = self.ask("one", method, target, body).await;
        assert_eq!(status, 400, "{method} {target} {body}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["errorCode"], "E400");
        let told = answer["violations"].as_array().unwrap().iter();
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        let told = told.map(|it| text(&it["property"]) + ": " + &text(&it["violation"]));
        told.collect()
    }

    /// Whether a key gets in where this is asked for.
    async fn opens(&self, key: &Value, method: &str, target: &str) -> bool {
        let secret = key["apiKeySecret"].as_str().unwrap();
        self.judged(&format!("App {secret}"), method, target)
            .await
            .is_some()
    }

    /// Gives an account all the keys that it may have.
    async fn fill(&self) {
        for number in 1..MAX_KEYS {
            let key = ApiKey {
                id: format!("many-{number}"),
                account: Some("a-1".into()),
                ..ApiKey::default()
            };
            let put = self.opened.directory.put_api_key("infobip", &key);
            put.await.unwrap();
        }
    }

    /// How often the store was read, a round trip each.
    fn round_trips(&self) -> usize {
        let text = self.metrics.render();
        let name = r#"portcullis_store_duration_seconds_count{operation="get"} "#;
        let count = text.lines().find_map(|it| it.strip_prefix(name));
        count.unwrap().parse().unwrap()
    }

    async fn listed(&self, query: &str) -> (Vec<String>, Value) {
        let target = format!("{KEYS}?{query}");
        let answer = self.done("one", "GET", &target, Value::Null).await;
        let keys = answer["apiKeys"].as_array().unwrap().iter();
        let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
        (keys.map(name).collect(), answer["paging"].clone())
    }
}

/// Where a key is.
fn of(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

const SEND: (&str, &str) = ("POST", "/sms/3/messages");
const LOGS: (&str, &str) = ("GET", "/sms/3/logs");
/// Takes any key, and asks for no scope.
const UNSCOPED: (&str, &str) = ("GET", "/vocalize/2/scores/stats");
const FORM: (&str, &str) = ("GET", "/forms/1/forms/1");

#[tokio::test]
async fn a_key_is_made_with_the_documented_defaults_and_its_secret_is_shown_once() {
    let desk = Desk::open().await;
    let made = desk
        .create(json!({ "name": "First", "scopeGuids": ["sms:manage"] }))
        .await;
    let [id, secret] = ["id", "apiKeySecret"].map(|it| made[it].as_str().unwrap().to_owned());
    let lengths: Vec<_> = secret.split('-').map(str::len).collect();
    assert_eq!(lengths, [32, 8, 4, 4, 4, 12], "{secret}");
    let lower = |it: u8| it.is_ascii_digit() || it.is_ascii_lowercase();
    assert!(secret.replace('-', "").bytes().all(lower), "{secret}");
    assert!(
        id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit()),
        "{id}"
    );
    let rest = json!({
        "id": id,
        "accountId": "a-1",
        "name": "First",
        "allowedIPs": [],
        "validFrom": "2025-06-15T12:00:00",
        "validTo": "2026-06-15T12:00:00",
        "enabled": true,
        "permissions": ["PUBLIC_API"],
        "scopeGuids": ["sms:manage"],
    });
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("apiKeySecret");
    assert_eq!(shown, rest);
    assert_eq!(desk.done("one", "GET", &of(&made), Value::Null).await, rest);
    let list = desk.done("one", "GET", KEYS, Value::Null).await;
    assert_eq!(list["apiKeys"][0], rest);
    assert!(!list.to_string().contains(&secret));
    assert!(desk.opens(&made, SEND.0, SEND.1).await);
    assert!(desk.opens(&made, UNSCOPED.0, UNSCOPED.1).await);
    assert!(!desk.opens(&made, FORM.0, FORM.1).await, "another scope");
    assert!(!desk.opens(&made, "GET", KEYS).await, "by a key");

    desk.seconds.fetch_add(365 * 86_400, Ordering::SeqCst);
    assert!(!desk.opens(&made, SEND.0, SEND.1).await, "a year is over");
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told_by_field_and_nothing_is_written() {
    let desk = Desk::open().await;
    let long = "n".repeat(257);
    let many: Vec<_> = (0..101).map(|it| format!("10.0.0.{it}")).collect();
    let name = |more: Value| {
        let mut body = json!({ "name": "n" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let time = "must be a time from 1970 to 9999, in UTC such as 2030-01-31T10:00:00, or with a zone (RFC 3339)";
    let text = |most: usize| {
        format!(
            "must be a text of 1 to {most} bytes, not all of them spaces and none a control character"
        )
    };
    let cases = [
        (json!({}), vec!["name: is required".to_owned()]),
        (json!({ "name": null }), vec!["name: is required".to_owned()]),
        (json!({ "name": "" }), vec![format!("name: {}", text(256))]),
        (json!({ "name": long }), vec![format!("name: {}", text(256))]),
        (json!({ "name": "ä".repeat(129) }), vec![format!("name: {}", text(256))]),
        (json!({ "name": " " }), vec![format!("name: {}", text(256))]),
        (json!({ "name": "a\u{7}" }), vec![format!("name: {}", text(256))]),
        (json!({ "name": 1 }), vec![format!("name: {}", text(256))]),
        (
            name(json!({ "allowedIps": ["10.0.0.1"], "<a>{message}": 1 })),
            vec!["allowedIps: is not known here".into(), "?a??message?: is not known here".into()],
        ),
        (name(json!({ "allowedIPs": "10.0.0.1" })), vec!["allowedIPs: must be a list of at most 100".into()]),
        (name(json!({ "allowedIPs": many })), vec!["allowedIPs: must be a list of at most 100".into()]),
        (
            name(json!({ "allowedIPs": ["10.0.0.1", "10.0.0.0/33", 1, "::ffff:10.0.0.0/90"] })),
            vec![
                "allowedIPs[1]: is not an address and not a range such as `10.0.0.0/8`".into(),
                "allowedIPs[2]: is not an address and not a range such as `10.0.0.0/8`".into(),
                "allowedIPs[3]: is an IPv4-mapped range has a prefix of 96 or more; write it as IPv4".into(),
            ],
        ),
        (name(json!({ "validFrom": "2030-01-31" })), vec![format!("validFrom: {time}")]),
        (name(json!({ "validFrom": "soon" })), vec![format!("validFrom: {time}")]),
        (name(json!({ "validFrom": 1 })), vec![format!("validFrom: {time}")]),
        (name(json!({ "validTo": "2030-02-31T00:00:00" })), vec![format!("validTo: {time}")]),
        (name(json!({ "validTo": "2030-01-31T00:00:00+99:00" })), vec![format!("validTo: {time}")]),
        (name(json!({ "validTo": "2030-01-31T00:00:00[UTC]" })), vec![format!("validTo: {time}")]),
        (name(json!({ "validTo": "1969-12-31T00:00:00" })), vec![format!("validTo: {time}")]),
        // The dates of the published example, the wrong way round.
        (
            name(json!({ "validFrom": "2034-09-01T10:00:00", "validTo": "2033-09-01T10:00:00" })),
            vec!["validTo: must be after validFrom".into()],
        ),
        (
            name(json!({ "validFrom": "2034-09-01T10:00:00", "validTo": "2034-09-01T10:00:00" })),
            vec!["validTo: must be after validFrom".into()],
        ),
        (name(json!({ "validFrom": "2034-09-01T10:00:00" })), vec!["validTo: must be after validFrom".into()]),
        (name(json!({ "validTo": "2025-06-15T12:00:00" })), vec!["validTo: must not be over yet".into()]),
        (name(json!({ "enabled": "true" })), vec!["enabled: must be true or false".into()]),
        (
            name(json!({ "permissions": ["ALL"] })),
            vec!["permissions[0]: must be one of 2FA_CLIENT, PUBLIC_API, WEB_SDK".into()],
        ),
        (
            name(json!({ "permissions": ["PUBLIC_API", "WEB_SDK"] })),
            vec!["permissions: cannot be both PUBLIC_API and WEB_SDK".into()],
        ),
        (
            name(json!({ "scopeGuids": ["sms:manage", "sms:everything"] })),
            vec!["scopeGuids[1]: is no scope of this platform".into()],
        ),
        (
            name(json!({ "permissions": ["WEB_SDK"], "scopeGuids": ["web:sdk", "sms:manage"] })),
            vec!["scopeGuids[1]: needs the permission PUBLIC_API".into()],
        ),
        (
            name(json!({ "permissions": ["2FA_CLIENT"], "scopeGuids": ["web:sdk"] })),
            vec!["scopeGuids[0]: needs the permission PUBLIC_API".into()],
        ),
        (
            name(json!({ "platform": [{ "applicationId": "a" }], "permissions": ["PUBLIC_API"], "scopeGuids": ["sms:manage"] })),
            vec![
                "permissions: cannot be given together with ?platform?".replace('?', "`"),
                "scopeGuids: cannot be given together with ?platform?".replace('?', "`"),
            ],
        ),
        (
            name(json!({ "platform": [["a", "b"], {}, { "applicationId": "a", "action": "fill", "x": 1 }] })),
            vec![
                "platform[0]: must be an object".into(),
                "platform[1].applicationId: is required".into(),
                "platform[2].action: must be one of FILL, FORCE".into(),
                "platform[2].x: is not known here".into(),
            ],
        ),
        (
            name(json!({ "platform": [{ "applicationId": "a" }, { "applicationId": "a", "action": "FILL" }] })),
            vec!["platform[1]: stands there twice".into()],
        ),
    ];
    for (body, want) in cases {
        assert_eq!(
            desk.wrong("POST", KEYS, &body.to_string()).await,
            want,
            "{body}"
        );
    }
    let not_json = "body: must be one JSON object, in which no name stands twice";
    for body in [
        "",
        "{",
        "[]",
        "name=n",
        r#"{"name":"a","name":"b"}"#,
        "{}{}",
    ] {
        assert_eq!(desk.wrong("POST", KEYS, body).await, [not_json], "{body}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "n".repeat(70_000));
    assert_eq!(
        desk.wrong("POST", KEYS, &large).await,
        ["body: is larger than 64 KiB"]
    );
    assert_eq!(desk.listed("").await.0, [""], "the one that there was");
}

#[tokio::test]
async fn violations_stand_in_the_platforms_own_envelope_as_json_and_as_xml() {
    let desk = Desk::open().await;
    let body = r#"{ "name": "n", "enabled": 1, "<b>": "}" }"#;
    let (_, answer) = desk.ask("one", "POST", KEYS, body).await;
    let head = r#"{"errorCode":"E400","description":"Request cannot be processed.","action":"Check the syntax, violations and adjust the request.""#;
    let list = r#""violations":[{"property":"enabled","violation":"must be true or false"},{"property":"?b?","violation":"is not known here"}]"#;
    assert_eq!(answer, format!(r#"{head},{list},"resources":[]}}"#));
    let (status, answer) = desk
        .ask_for("one", "POST", KEYS, body, "application/xml")
        .await;
    let list = "<violations><violation><property>enabled</property><violation>must be true or false</violation></violation>\
                <violation><property>?b?</property><violation>is not known here</violation></violation></violations>";
    assert_eq!(status, 400);
    assert!(
        answer.contains("<ApiError><errorCode>E400</errorCode>"),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("{list}<resources/></ApiError>")),
        "{answer}"
    );
}

#[tokio::test]
async fn addresses_are_ipv4_where_they_mean_it_and_ranges_as_well() {
    let desk = Desk::open().await;
    let addresses = [
        "10.1.2.3",
        "::ffff:10.1.2.4",
        "10.9.9.9/8",
        "2001:db8::1/32",
        "10.1.2.3/32",
    ];
    let made = desk
        .create(json!({ "name": "n", "allowedIPs": addresses }))
        .await;
    let want = ["10.1.2.3", "10.1.2.4", "10.0.0.0/8", "2001:db8::/32"];
    assert_eq!(made["allowedIPs"], json!(want));
    let bound = json!({ "name": "n", "scopeGuids": ["sms:manage"], "allowedIPs": ["10.1.2.4"] });
    let bound = desk.create(bound).await;
    assert!(!desk.opens(&bound, SEND.0, SEND.1).await, "from 10.1.2.3");
    desk.update(&bound, json!({ "allowedIPs": ["::ffff:10.1.2.0/120"] }))
        .await;
    assert!(desk.opens(&bound, SEND.0, SEND.1).await);
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_counts_at_once() {
    let desk = Desk::open().await;
    let made = desk
        .create(json!({ "name": "n", "scopeGuids": ["sms:manage"] }))
        .await;
    assert!(desk.opens(&made, SEND.0, SEND.1).await);
    let off = desk.update(&made, json!({ "enabled": false })).await;
    assert_eq!(off["enabled"], false);
    assert_eq!(off["scopeGuids"], json!(["sms:manage"]));
    assert_eq!(off.get("apiKeySecret"), None);
    assert!(!desk.opens(&made, SEND.0, SEND.1).await);
    // As it was read, with one thing changed.
    let mut read = desk.done("one", "GET", &of(&made), Value::Null).await;
    read.as_object_mut().unwrap().remove("id");
    read["enabled"] = json!(true);
    read["name"] = json!("another");
    assert_eq!(desk.update(&made, read).await["name"], "another");
    assert!(desk.opens(&made, SEND.0, SEND.1).await);
    let nothing = desk.update(&made, json!({})).await;
    assert_eq!(nothing["name"], "another");
    // It may end at once.
    desk.update(
        &made,
        json!({ "validFrom": "2020-01-01T00:00:00", "validTo": "2021-01-01T00:00:00" }),
    )
    .await;
    assert!(!desk.opens(&made, SEND.0, SEND.1).await);
    let wrong = desk
        .wrong("PUT", &of(&made), r#"{"validFrom":"2022-01-01T00:00:00"}"#)
        .await;
    assert_eq!(
        wrong,
        ["validTo: must be after validFrom"],
        "with what it has"
    );
}

#[tokio::test]
async fn updates_at_once_all_count() {
    let desk = Desk::open().await;
    let made = desk.create(json!({ "name": "n" })).await;
    let changes = [
        json!({ "name": "m" }),
        json!({ "allowedIPs": ["10.0.0.1"] }),
        json!({ "validTo": "2040-01-01T00:00:00" }),
        json!({ "scopeGuids": ["sms:manage"] }),
        json!({ "enabled": false }),
    ];
    let [a, b, c, d, e] = changes.clone().map(|it| desk.update(&made, it));
    tokio::join!(a, b, c, d, e);
    let now = desk.done("one", "GET", &of(&made), Value::Null).await;
    for change in changes {
        for (name, value) in change.as_object().unwrap() {
            assert_eq!(now[name], *value, "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_key_may_open_never_grows_by_leaving_something_out() {
    let desk = Desk::open().await;
    let opens = async |key: &Value| {
        let mut open = Vec::new();
        for (method, target) in [SEND, LOGS, FORM, UNSCOPED] {
            if desk.opens(key, method, target).await {
                open.push(target);
            }
        }
        open
    };
    let nothing: [&str; 0] = [];
    // Made with no scope; with a client's permission; with links.
    let bare = desk.create(json!({ "name": "n" })).await;
    assert_eq!(opens(&bare).await, nothing);
    let web = json!({ "name": "n", "permissions": ["WEB_SDK"], "scopeGuids": ["web:sdk"] });
    let web = desk.create(web).await;
    assert_eq!(opens(&web).await, [FORM.1], "its scope and no more");
    let client = desk
        .create(json!({ "name": "n", "permissions": ["2FA_CLIENT"] }))
        .await;
    assert_eq!(opens(&client).await, nothing);
    let links = json!([{ "applicationId": "app", "entityId": "e", "action": "FILL" }, { "applicationId": "default" }]);
    let linked = desk.create(json!({ "name": "n", "platform": links })).await;
    assert_eq!(opens(&linked).await, nothing);
    assert_eq!(linked.get("permissions"), None);
    assert_eq!(linked.get("scopeGuids"), None);
    let shown = &linked["platform"];
    assert_eq!(shown[0]["key"].as_str().unwrap().len(), 32);
    assert_eq!(shown[0]["entityId"], "e");
    assert_eq!(shown[0]["action"], "FILL");
    assert_eq!(shown[1].get("entityId"), None);

    // A link keeps its id, and goes where it is not named any more.
    let one = json!({ "platform": [{ "applicationId": "default" }, { "applicationId": "new" }] });
    let fewer = desk.update(&linked, one).await;
    assert_eq!(fewer["platform"][0]["key"], shown[1]["key"]);
    assert_ne!(fewer["platform"][1]["key"], shown[0]["key"]);
    let with_scopes = r#"{"scopeGuids":["sms:manage"]}"#;
    let wrong = desk.wrong("PUT", &of(&linked), with_scopes).await;
    assert_eq!(
        wrong,
        ["scopeGuids: cannot be given together with `platform`"]
    );
    let unlinked = desk.update(&linked, json!({ "platform": [] })).await;
    assert_eq!(unlinked["permissions"], json!(["PUBLIC_API"]));
    assert_eq!(opens(&linked).await, nothing);

    // Scopes taken away, permissions taken away, links given.
    let all = json!({ "name": "n", "permissions": ["PUBLIC_API", "2FA_CLIENT"], "scopeGuids": ["sms:manage"] });
    let key = desk.create(all).await;
    let open = [SEND.1, LOGS.1, UNSCOPED.1];
    assert_eq!(opens(&key).await, open);
    let plain = desk.update(&key, json!({ "permissions": [] })).await;
    assert_eq!(plain["permissions"], json!(["PUBLIC_API"]));
    assert_eq!(plain["scopeGuids"], json!(["sms:manage"]));
    assert_eq!(opens(&key).await, open);
    let without = desk.update(&key, json!({ "scopeGuids": [] })).await;
    assert_eq!(without["scopeGuids"], json!([]));
    assert_eq!(opens(&key).await, nothing);
    desk.update(&key, json!({ "scopeGuids": ["sms:manage"] }))
        .await;
    assert_eq!(opens(&key).await, open);
    let wrong = desk
        .wrong("PUT", &of(&key), r#"{"permissions":["WEB_SDK"]}"#)
        .await;
    assert_eq!(wrong, ["scopeGuids[0]: needs the permission PUBLIC_API"]);
    let given = desk
        .update(&key, json!({ "platform": [{ "applicationId": "a" }] }))
        .await;
    assert_eq!(given.get("scopeGuids"), None);
    assert_eq!(opens(&key).await, nothing);
}

#[tokio::test]
async fn keys_of_another_account_are_as_if_there_were_none() {
    let desk = Desk::open().await;
    let theirs = desk.done("two", "POST", KEYS, json!({ "name": "t" })).await;
    let not_found = r#"{"errorCode":"E404","#;
    let long = "k".repeat(600);
    for id in [
        theirs["id"].as_str().unwrap(),
        "k-2",
        "nobodys",
        "a%3Ab",
        &long,
    ] {
        for method in ["GET", "PUT"] {
            let (status, answer) = desk.ask("one", method, &format!("{KEYS}/{id}"), "{}").await;
            assert_eq!(status, 404, "{method} {id}: {answer}");
            assert!(answer.starts_with(not_found), "{answer}");
        }
    }
    let forbidden = |got: (u16, String), what: &str| {
        assert_eq!(got.0, 403, "{what}: {}", got.1);
        assert!(got.1.starts_with(r#"{"errorCode":"E403","#), "{}", got.1);
    };
    let named = r#"{"name":"n","accountId":"a-2"}"#;
    forbidden(desk.ask("one", "POST", KEYS, named).await, "create");
    let own = format!("{KEYS}/k-1");
    forbidden(desk.ask("one", "PUT", &own, named).await, "give away");
    let query = format!("{KEYS}?accountId=a-2");
    forbidden(desk.ask("one", "GET", &query, "").await, "list");
    for (method, target) in [("GET", KEYS), ("POST", KEYS), ("GET", &own)] {
        forbidden(
            desk.ask("none", method, target, named).await,
            "without an account",
        );
    }
    assert_eq!(desk.listed("accountId=a-1").await.0, [""]);
    let kept = desk.done("two", "GET", &of(&theirs), Value::Null).await;
    assert_eq!(kept["name"], "t");
    // Keys, and who lacks the scope, do not come here at all.
    let plain = BASE64_STANDARD.encode("plain:plain");
    for authorization in [
        format!("Basic {plain}"),
        "App a-key-of-account-a-1".to_owned(),
    ] {
        assert_eq!(desk.judged(&authorization, "POST", KEYS).await, None);
    }
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let desk = Desk::open().await;
    for (name, to) in [("b", 3), ("c", 1), ("a", 2)] {
        let to = format!("203{to}-01-01T00:00:00");
        desk.create(json!({ "name": name, "validTo": to })).await;
    }
    let off = desk
        .create(json!({ "name": "off", "enabled": false }))
        .await;
    let by_id = desk.listed("").await.0;
    let ids = desk.done("one", "GET", KEYS, Value::Null).await;
    let ids: Vec<_> = ids["apiKeys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].to_string())
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let reversed: Vec<_> = by_id.iter().rev().cloned().collect();
    for (query, want) in [
        ("orderBy=name", vec!["", "a", "b", "c", "off"]),
        (
            "orderBy=name&orderDirection=DESC",
            vec!["off", "c", "b", "a", ""],
        ),
        (
            "orderBy=validTo&enabled=true&size=4",
            vec!["", "c", "a", "b"],
        ),
        ("enabled=false", vec!["off"]),
        ("name=a", vec!["a"]),
        ("name=A", vec![]),
        ("orderBy=name&size=2&page=1", vec!["b", "c"]),
        ("orderBy=name&size=2&page=2", vec!["off"]),
        ("page=100", vec![]),
        ("apiKeySecret=a-key-of-account-a-1", vec![""]),
        ("apiKeySecret=a-key-of-account-a-2", vec![]),
        ("apiKeySecret=none", vec![]),
        (
            "orderDirection=desc&x=1",
            reversed.iter().map(String::as_str).collect(),
        ),
    ] {
        assert_eq!(desk.listed(query).await.0, want, "{query}");
    }
    let paging = json!({ "page": 1, "pageSize": 2, "orderDirection": "desc", "orderBy": "name", "totalCount": 5, "totalPages": 3 });
    assert_eq!(
        desk.listed("orderBy=name&size=2&page=1&orderDirection=desc")
            .await
            .1,
        paging
    );
    let paging = json!({ "page": 0, "pageSize": 100, "orderDirection": "asc", "totalCount": 0, "totalPages": 0 });
    assert_eq!(desk.listed("name=nobody").await.1, paging);
    let secret = off["apiKeySecret"].as_str().unwrap();
    assert_eq!(
        desk.listed(&format!("apiKeySecret={secret}")).await.0,
        ["off"]
    );
    for (query, want) in [
        ("page=101", "page: must be a number from 0 to 100"),
        ("page=-1", "page: must be a number from 0 to 100"),
        ("size=0", "size: must be a number from 1 to 100"),
        ("size=101", "size: must be a number from 1 to 100"),
        ("size=many", "size: must be a number from 1 to 100"),
        ("enabled=yes", "enabled: must be true or false"),
        (
            "orderBy=secret",
            "orderBy: must be one of enabled, id, name, validFrom, validTo",
        ),
        ("orderDirection=up", "orderDirection: must be asc or desc"),
        (
            "name=a&name=b",
            "name: must stand there once, and be printable",
        ),
        ("name=%00", "name: must stand there once, and be printable"),
        (
            "apiKeySecret=%zz",
            "apiKeySecret: must stand there once, and be printable",
        ),
    ] {
        assert_eq!(
            desk.wrong("GET", &format!("{KEYS}?{query}"), "").await,
            [want],
            "{query}"
        );
    }
}

#[tokio::test]
async fn what_an_operator_revoked_stays_revoked_and_what_was_imported_keeps_what_it_opens() {
    let desk = Desk::open().await;
    let made = desk
        .create(json!({ "name": "n", "scopeGuids": ["sms:manage"] }))
        .await;
    let revoke = Operation::Revoke {
        kind: RecordKind::Key,
        platform: "infobip".into(),
        id: made["id"].as_str().unwrap().into(),
    };
    let nobody = tokio::sync::mpsc::channel(1).0;
    desk.opened
        .operations
        .perform(revoke, &nobody)
        .await
        .unwrap();
    let shown = desk.done("one", "GET", &of(&made), Value::Null).await;
    assert_eq!(shown["enabled"], false);
    let wrong = desk.wrong("PUT", &of(&made), r#"{"enabled":true}"#).await;
    assert_eq!(
        wrong,
        ["enabled: the key was revoked for good; create another one"]
    );
    assert!(!desk.opens(&made, SEND.0, SEND.1).await);

    // A file's key without scopes opens what asks for none, until somebody says what it may.
    let theirs = json!({ "apiKeySecret": "a-key-of-account-a-2" });
    let target = format!("{KEYS}/k-2");
    assert!(desk.opens(&theirs, UNSCOPED.0, UNSCOPED.1).await);
    let renamed = desk
        .done("two", "PUT", &target, json!({ "name": "m" }))
        .await;
    assert_eq!(renamed["permissions"], json!(["PUBLIC_API"]));
    assert_eq!(renamed.get("validTo"), None);
    assert!(desk.opens(&theirs, UNSCOPED.0, UNSCOPED.1).await);
    desk.done("two", "PUT", &target, json!({ "scopeGuids": [] }))
        .await;
    assert!(!desk.opens(&theirs, UNSCOPED.0, UNSCOPED.1).await);
}

#[tokio::test]
async fn a_key_imported_for_its_scopes_alone_stays_so_until_it_is_said_otherwise() {
    let desk = Desk::open().await;
    let key = json!({ "apiKeySecret": "another-key-of-a-2" });
    let target = format!("{KEYS}/k-3");
    let shown = desk.done("two", "GET", &target, Value::Null).await;
    assert_eq!(shown["permissions"], json!(["PUBLIC_API"]));
    for body in [
        json!({ "scopeGuids": shown["scopeGuids"] }),
        json!({ "permissions": shown["permissions"], "scopeGuids": shown["scopeGuids"] }),
        json!({ "platform": [] }),
        json!({ "permissions": [] }),
        json!({ "scopeGuids": [] }),
        json!({ "scopeGuids": ["sms:manage", "forms:manage"] }),
    ] {
        desk.done("two", "PUT", &target, body.clone()).await;
        let open = desk.opens(&key, UNSCOPED.0, UNSCOPED.1).await;
        assert!(!open, "{body}");
    }
    assert!(desk.opens(&key, SEND.0, SEND.1).await);
    let said = json!({ "permissions": ["PUBLIC_API"], "scopeGuids": ["sms:manage"] });
    desk.done("two", "PUT", &target, said).await;
    assert!(desk.opens(&key, UNSCOPED.0, UNSCOPED.1).await);
}

#[tokio::test]
async fn an_account_has_so_many_keys_and_no_more() {
    let desk = Desk::open().await;
    desk.fill().await;
    let wrong = desk.wrong("POST", KEYS, r#"{"name":"n"}"#).await;
    assert_eq!(
        wrong,
        ["accountId: has 1000 keys already, which is as many as an account may have"]
    );
    let (page, paging) = desk.listed("page=9").await;
    assert_eq!((page.len(), &paging["totalCount"]), (100, &json!(MAX_KEYS)));
    desk.done("two", "POST", KEYS, json!({ "name": "n" })).await;
}

#[tokio::test]
async fn a_list_reads_few_keys_at_a_time_and_by_id_those_of_its_page() {
    let desk = Desk::open().await;
    desk.fill().await;
    let round_trips = async |query: &str| {
        let before = desk.round_trips();
        desk.listed(query).await;
        desk.round_trips() - before
    };
    // Whoever asks is known by then.
    round_trips("size=1").await;
    let one = round_trips("size=1").await;
    for (query, more) in [
        ("size=16", 0),
        ("size=17", 1),
        ("", 6),
        ("orderBy=id&orderDirection=desc&page=3", 6),
        ("page=50&size=1", 0),
        ("orderBy=name&size=1", 62),
        ("name=nobodys", 62),
        ("enabled=true&size=1", 62),
        ("apiKeySecret=nobodys", 62),
    ] {
        assert_eq!(round_trips(query).await, one + more, "{query}");
    }
    let (names, paging) = desk.listed("page=90&size=11").await;
    assert_eq!(names.len(), 10);
    assert_eq!(
        (&paging["totalCount"], &paging["totalPages"]),
        (&json!(1000), &json!(91))
    );
}

#[tokio::test]
async fn a_list_waits_for_its_turn_and_not_for_ever() {
    let desk = Desk::open().await;
    desk.listed("").await;
    tokio::time::pause();
    let core = &desk.opened.issuing;
    let others = [
        core.turn("infobip", "a-2").await.unwrap(),
        core.turn("infobip", "a-3").await.unwrap(),
    ];
    let (status, answer) = desk.ask("one", "GET", KEYS, "").await;
    assert_eq!(status, 429, "{answer}");
    assert!(answer.starts_with(r#"{"errorCode":"E429","#), "{answer}");
    drop(others);
    desk.listed("").await;
}

#[tokio::test]
async fn a_keys_record_stays_below_8_kib() {
    let desk = Desk::open().await;
    let longest = |it: usize| format!("ffff:ffff:ffff:ffff:ffff:ffff:ffff:{it:x}/128");
    let addresses = |many: usize| (0..many).map(|it| longest(0xf000 + it)).collect::<Vec<_>>();
    // Each byte of it is two in JSON.
    let id = |it: usize| format!("{it:02}{}", "\\".repeat(126));
    let links = |many: usize| {
        let link = |it| json!({ "applicationId": id(it), "entityId": id(it), "action": "FORCE" });
        (0..many).map(link).collect::<Vec<_>>()
    };
    let largest =
        json!({ "name": "\"".repeat(256), "allowedIPs": addresses(50), "platform": links(6) });
    let made = desk.create(largest).await;
    let id = made["id"].as_str().unwrap();
    let key = desk.opened.directory.key_of_account("infobip", "a-1", id);
    let record = serde_json::to_vec(&key.await.unwrap().unwrap()).unwrap();
    assert!(
        (6 * 1024..8 * 1024).contains(&record.len()),
        "{}",
        record.len()
    );
    // What was taken is taken again, as it is shown.
    let mut shown = desk.done("one", "GET", &of(&made), Value::Null).await;
    shown.as_object_mut().unwrap().remove("id");
    desk.update(&made, shown).await;

    let too_large =
        |field: &str, most: usize| format!("{field}: must have at most {most} bytes in all");
    for (more, want) in [
        (
            json!({ "allowedIPs": addresses(51) }),
            too_large("allowedIPs", 2304),
        ),
        (json!({ "platform": links(8) }), too_large("platform", 4096)),
    ] {
        assert_eq!(
            desk.wrong("PUT", &of(&made), &more.to_string()).await,
            [want]
        );
    }

    // Every scope that there is may be had.
    let platform = desk.opened.issuing.platform("infobip").unwrap();
    let mut scopes: Vec<_> = words::PUBLISHED.map(str::to_owned).into();
    let preset = include_str!("../../../platform/presets/infobip.yaml");
    let words = preset.split(|it: char| !it.is_ascii_alphanumeric() && !matches!(it, ':' | '-'));
    scopes.extend(
        words
            .filter(|it| platform.policy.names_scope(it))
            .map(str::to_owned),
    );
    scopes.sort();
    scopes.dedup();
    assert!(scopes.len() > 100, "{scopes:?}");
    desk.create(json!({ "name": "n", "scopeGuids": scopes }))
        .await;
}

#[tokio::test]
async fn a_key_that_was_imported_larger_can_be_switched_off() {
    let desk = Desk::open().await;
    let large = ApiKey {
        id: "large".into(),
        account: Some("a-1".into()),
        scopes: (0..400).map(|it| format!("scope:{it:03}:manage")).collect(),
        ..ApiKey::default()
    };
    let put = desk.opened.directory.put_api_key("infobip", &large);
    put.await.unwrap();
    let target = format!("{KEYS}/large");
    for change in [json!({ "enabled": false }), json!({ "permissions": [] })] {
        desk.done("one", "PUT", &target, change).await;
    }
}
