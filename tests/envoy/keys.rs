//! Infobip's API keys behind an Envoy: a manager's whole day, and whose keys a manager does not see.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::envoy::infobip::{answer, refused};
use crate::envoy::issuing::issued;
use crate::envoy::table::{Row, World, row, to};
use crate::support::client::Request;
use crate::support::http::Response;
use crate::support::sample::{ALADDIN, INFOBIP};

const PATIENCE: Duration = Duration::from_secs(20);

const KEYS: &str = "/settings/2/api-keys";
const SESSION: &str = "/auth/1/session";
const SEND: &str = "/sms/3/messages";
const LOGS: &str = "/sms/3/logs";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// Farida's password, of another account: `Farida:farida-password`.
const FARIDA: &str = "Basic RmFyaWRhOmZhcmlkYS1wYXNzd29yZA==";

/// A manager who has logged in.
struct Manager<'w> {
    world: &'w World,
    authorization: String,
}

impl Manager<'_> {
    fn asks(&self, method: &str, target: &str, body: &Value) -> Request {
        let request = to(INFOBIP, method, target).header("authorization", &self.authorization);
        match body {
            Value::Null => request,
            body => request
                .header("content-type", "application/json")
                .body(body.to_string()),
        }
    }

    /// Asks one side, and gives the answer of a request that is done.
    async fn done(&self, side: usize, method: &str, target: &str, body: Value) -> Value {
        let request = self.asks(method, target, &body);
        let response = self.world.ask_from(side, HERE, &request).await;
        assert_eq!(
            response.status,
            200,
            "{method} {target}: {}",
            response.text()
        );
        assert_eq!(response.header("cache-control"), Some("no-store"));
        response.json()
    }

    async fn log_out(&self) -> Response {
        let request = self.asks("DELETE", SESSION, &Value::Null);
        self.world.ask_from(0, HERE, &request).await
    }
}

async fn log_in<'w>(world: &'w World, name: &str, password: &str) -> Manager<'w> {
    let body = json!({ "username": name, "password": password }).to_string();
    let login = to(INFOBIP, "POST", SESSION)
        .header("content-type", "application/json")
        .body(body);
    let response = world.ask_from(0, HERE, &login).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let token = response.json()["token"].as_str().map(str::to_owned);
    Manager {
        world,
        authorization: format!("IBSSO {}", token.expect("a token")),
    }
}

fn app(secret: &str, method: &str, target: &str) -> Request {
    to(INFOBIP, method, target).header("authorization", format!("App {secret}"))
}

/// The statuses of every side.
async fn statuses(world: &World, from: IpAddr, request: &Request) -> Vec<u16> {
    let mut statuses = Vec::new();
    for side in 0..=world.last() {
        statuses.push(world.ask_from(side, from, request).await.status);
    }
    statuses
}

fn everywhere(world: &World, status: u16) -> Vec<u16> {
    vec![status; world.last() + 1]
}

/// Gives how long after `since` the last of the requests was begun that one side let pass.
async fn passed_until(world: &World, side: usize, since: Instant, request: &Request) -> Duration {
    let mut last = Duration::ZERO;
    let refused = timeout(PATIENCE, async {
        loop {
            let begun = since.elapsed();
            match world.ask_from(side, HERE, request).await.status {
                200 => last = begun,
                401 => return,
                other => panic!("a status of {other}"),
            }
        }
    });
    refused.await.expect("refused at last");
    last
}

/// Whether a key was used, as an operator is told.
async fn await_use(world: &World, id: &str) {
    let show = format!("key show {id} --platform infobip --json");
    let mut tick = interval(Duration::from_millis(10));
    let used = timeout(PATIENCE, async {
        while !world.server().command(&show, "").contains("last_used_at") {
            tick.tick().await;
        }
    });
    used.await.expect("the key's last use");
}

pub(crate) async fn a_managers_whole_day(world: &World) {
    let manager = log_in(world, "Hakim", "hakim-password").await;
    let last = world.last();
    let wanted = json!({
        "name": "The day's",
        "scopeGuids": ["sms:message:send"],
        "allowedIPs": ["::ffff:127.0.0.2", "10.0.0.0/8"],
        "validTo": "2100-01-01T00:00:00",
    });
    let made = manager.done(0, "POST", KEYS, wanted).await;
    let [id, secret] = ["id", "apiKeySecret"].map(|it| made[it].as_str().expect("a text"));
    let own = format!("{KEYS}/{id}");
    let sends = app(secret, "POST", SEND);

    // In scope, in the query as well, and what the application is told of it.
    let told = world.told(last, HERE, &sends).await;
    assert!(told.starts_with("200\n"), "{told}");
    assert_eq!(statuses(world, HERE, &sends).await, everywhere(world, 200));
    let query = to(INFOBIP, "POST", format!("{SEND}?apiKey={secret}"));
    assert_eq!(statuses(world, HERE, &query).await, everywhere(world, 200));
    // Out of scope, from the wrong address, and on keys.
    for side in 0..=last {
        let told = async |from, request: &Request| world.told(side, from, request).await;
        assert_eq!(told(HERE, &app(secret, "GET", LOGS)).await, refused(403));
        assert_eq!(told(ELSEWHERE, &sends).await, refused(401));
        let newer = answer(403, "settings_403.json", "infobip");
        assert_eq!(told(HERE, &app(secret, "GET", KEYS)).await, newer);
    }

    // Found by its secret on the other side, which shows it to nobody any more.
    let found = format!("{KEYS}?apiKeySecret={secret}&enabled=true");
    let found = manager.done(last, "GET", &found, Value::Null).await;
    assert_eq!(found["apiKeys"][0]["id"], id);
    assert_eq!(found["paging"]["totalCount"], 1);
    assert_eq!(
        found["apiKeys"][0]["allowedIPs"],
        json!(["127.0.0.2", "10.0.0.0/8"])
    );
    assert!(!found.to_string().contains(secret));
    await_use(world, id).await;

    // Another secret by a command, while the old one is still taken.
    let rotate = format!("key rotate {id} --overlap 1h --platform infobip");
    let rotated = world.server().command(&rotate, "").trim().to_owned();
    let mut tick = interval(Duration::from_millis(10));
    let taken = timeout(PATIENCE, async {
        while statuses(world, HERE, &app(&rotated, "POST", SEND)).await != everywhere(world, 200) {
            tick.tick().await;
        }
    });
    taken.await.expect("the new secret is taken everywhere");
    assert_eq!(statuses(world, HERE, &sends).await, everywhere(world, 200));

    // Off: at once where it was switched, and within a second everywhere else.
    let since = Instant::now();
    let off = manager
        .done(0, "PUT", &own, json!({ "enabled": false }))
        .await;
    assert_eq!(
        (&off["enabled"], off.get("apiKeySecret")),
        (&json!(false), None)
    );
    let answered = since.elapsed();
    for side in 0..=last {
        for secret in [secret, &rotated] {
            let passed = passed_until(world, side, since, &app(secret, "POST", SEND)).await;
            let most = if side == 0 {
                Duration::ZERO
            } else {
                Duration::from_secs(1)
            };
            assert!(passed <= answered + most, "side {side}: {passed:?}");
        }
    }
    assert_eq!(world.told(last, HERE, &sends).await, refused(401));

    // On again, and with nothing that it may do.
    let on = json!({ "enabled": true, "scopeGuids": [] });
    let on = manager.done(last, "PUT", &own, on).await;
    assert_eq!(on["scopeGuids"], json!([]));
    let vocalize = app(secret, "GET", "/vocalize/2/scores/stats");
    let closed = timeout(PATIENCE, async {
        while statuses(world, HERE, &vocalize).await != everywhere(world, 403) {
            tick.tick().await;
        }
    });
    closed.await.expect("a key without scopes opens nothing");

    assert_eq!(manager.log_out().await.status, 200);
    let newer = answer(401, "settings_401.json", "infobip");
    let gone = manager.asks("GET", KEYS, &Value::Null);
    assert_eq!(world.told(0, HERE, &gone).await, newer);
    let log = world.log();
    assert!(
        log.contains("an API key was created") && log.contains(id),
        "{log}"
    );
    for secret in [secret, &rotated] {
        assert!(!log.contains(secret), "a secret in a log");
    }
}

pub(crate) fn keys_of_another_account_are_not_there() -> Vec<Row> {
    let with = |authorization: &str, method: &str, target: &str| {
        to(INFOBIP, method, target).header("authorization", authorization)
    };
    let sent = |request: Request, body: &str| {
        request
            .header("content-type", "application/json")
            .body(body)
    };
    let told = |status: u16, kind: &str| {
        issued(&answer(
            status,
            &format!("settings_{status}.{kind}"),
            "infobip",
        ))
    };
    let theirs = format!("{KEYS}/k-send");
    let xml = |request: Request| request.header("accept", "application/xml");
    let violation = r#""violations":[{"property":"enabled","violation":"must be true or false"}]"#;
    let wrong = told(400, "json").replace(r#""violations":[]"#, violation);
    let violation = "<violations><violation><property>enabled</property><violation>must be true or false</violation></violation></violations>";
    let wrong_in_xml = told(400, "xml").replace("<violations/>", violation);
    let bad = || sent(with(ALADDIN, "PUT", &theirs), r#"{"enabled":"no"}"#);
    vec![
        row("to read", with(FARIDA, "GET", &theirs), told(404, "json")),
        row(
            "to read, as XML",
            xml(with(FARIDA, "GET", &theirs)),
            told(404, "xml"),
        ),
        row(
            "to change",
            sent(with(FARIDA, "PUT", &theirs), r#"{"enabled":false}"#),
            told(404, "json"),
        ),
        row(
            "to make one for them",
            sent(
                with(FARIDA, "POST", KEYS),
                r#"{"name":"n","accountId":"acc-1"}"#,
            ),
            told(403, "json"),
        ),
        row(
            "to list",
            with(FARIDA, "GET", &format!("{KEYS}?accountId=acc-1")),
            told(403, "json"),
        ),
        row(
            "to delete",
            with(ALADDIN, "DELETE", &theirs),
            answer(403, "settings_403.json", "infobip"),
        ),
        row("one's own, with what it must not be", bad(), wrong),
        row("the same as XML", xml(bad()), wrong_in_xml),
    ]
}
