//! Infobip's sessions behind an Envoy: who gets one, from where it is good, and until when.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::envoy::infobip::{answer, refused};
use crate::envoy::issuing::issued;
use crate::envoy::table::{Row, World, answered, fresh_address, golden, row, to};
use crate::support::client::{Client, Request};
use crate::support::http::Response;
use crate::support::sample::{ALADDIN, INFOBIP, SENDER_KEY};

const SESSION: &str = "/auth/1/session";
const SEND: &str = "/sms/3/messages";
const JSON: &str = "application/json";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

fn sent(content_type: &str, body: impl AsRef<[u8]>) -> Request {
    to(INFOBIP, "POST", SESSION)
        .header("content-type", content_type)
        .body(body)
}

/// A login with `NAME-password`, the name in lower case.
fn login(name: &str, more: &Value) -> Request {
    let mut body = json!({ "username": name, "password": password(name) });
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    sent(JSON, body.to_string())
}

pub(crate) fn password(name: &str) -> String {
    format!("{}-password", name.to_lowercase())
}

fn with(token: &str, method: &str, target: &str) -> Request {
    to(INFOBIP, method, target).header("authorization", format!("IBSSO {token}"))
}

fn sends(token: &str) -> Request {
    with(token, "POST", SEND)
}

/// A refusal as the endpoint says it.
fn told(status: u16) -> String {
    issued(&refused(status))
}

const DESTROYED: &str = "cache-control: no-store";

/// Gives the token of an answer.
fn token_of(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some(JSON));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let body = response.json();
    let token = body["token"].as_str().expect("a token").to_owned();
    assert_eq!(body, json!({ "token": token }));
    let digits = |it: char| it.is_ascii_hexdigit() && !it.is_ascii_uppercase();
    let groups: Vec<_> = token.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{token} is no UUID");
    assert!(token.replace('-', "").chars().all(digits), "{token}");
    token
}

/// Logs in and gives the token; panics where there is none.
async fn create(world: &World, side: usize, from: IpAddr, login: &Request) -> String {
    token_of(&world.ask_from(side, from, login).await)
}

async fn destroy(world: &World, side: usize, from: IpAddr, token: &str) {
    let destroyed = world
        .told(side, from, &with(token, "DELETE", SESSION))
        .await;
    assert_eq!(destroyed, answered(200, DESTROYED, ""));
}

/// Demands of every server that the token works from an address, or does not.
async fn expect(world: &World, token: &str, from: IpAddr, works: bool, when: &str) {
    for side in 0..=world.last() {
        let told = world.told(side, from, &sends(token)).await;
        if works {
            assert!(told.starts_with("200\n"), "{when}, side {side}: {told}");
        } else {
            assert_eq!(told, refused(401), "{when}, side {side}");
        }
    }
}

pub(crate) fn what_is_no_login_is_a_bad_request() -> Vec<Row> {
    let name = r#""username":"Aladdin""#;
    let good = format!(r#"{{{name},"password":"openSesame"}}"#);
    let large = good.replacen('{', &format!("{{{}", " ".repeat(64 * 1024)), 1);
    let form = "username=Aladdin&password=openSesame";
    let bare = to(INFOBIP, "POST", SESSION).body(&good);
    let cases = [
        ("nothing", sent(JSON, "")),
        ("half of it", sent(JSON, &good[..20])),
        ("two in one", sent(JSON, format!("{good}{good}"))),
        ("what is no text", sent(JSON, b"{\"username\":\xff}")),
        ("a list", sent(JSON, r#"["Aladdin","openSesame"]"#)),
        ("text", sent(JSON, r#""Aladdin""#)),
        ("no name", sent(JSON, r#"{"password":"openSesame"}"#)),
        ("an empty name", sent(JSON, good.replace("Aladdin", ""))),
        ("no password", sent(JSON, format!("{{{name}}}"))),
        (
            "an empty password",
            sent(JSON, good.replace("openSesame", "")),
        ),
        (
            "a password that is none",
            sent(JSON, format!(r#"{{{name},"password":null}}"#)),
        ),
        (
            "a password that is a number",
            sent(JSON, format!(r#"{{{name},"password":7}}"#)),
        ),
        (
            "a name twice",
            sent(JSON, good.replacen('{', &format!("{{{name},"), 1)),
        ),
        (
            "unsafe in words",
            sent(JSON, good.replacen('{', r#"{"unsafe":"no","#, 1)),
        ),
        ("too much", sent(JSON, &large)),
        ("a form", sent("application/x-www-form-urlencoded", form)),
        (
            "what calls itself a form",
            sent("application/x-www-form-urlencoded", &good),
        ),
        ("what does not call itself anything", bare),
    ];
    let bad = cases.map(|(name, request)| row(name, request, told(400)).anywhere());
    let xml = row(
        "as XML",
        sent(JSON, "").header("accept", "application/xml"),
        issued(&answer(400, "400.xml", "infobip")),
    );
    bad.into_iter().chain([xml]).collect()
}

pub(crate) fn who_gets_no_session_is_told_nothing() -> Vec<Row> {
    let of = |name: &str, password: &str| {
        sent(
            JSON,
            json!({ "username": name, "password": password }).to_string(),
        )
    };
    let right = || of("Aladdin", "openSesame");
    let destroy = || to(INFOBIP, "DELETE", SESSION);
    let nobodys = "2f9b4d31-2d0d-49a8-85f0-9b862bdca394";
    vec![
        row("a wrong password", of("Aladdin", "opensesame"), told(401)),
        row("nobody's name", of("nobody", "openSesame"), told(401)),
        row(
            "a name in another case",
            of("aladdin", "openSesame"),
            told(401),
        ),
        row("a disabled user", of("gone", "openSesame"), told(401)),
        row(
            "a disabled user's wrong password",
            of("gone", "x"),
            told(401),
        ),
        row(
            "control characters",
            of("Alad\u{0}din", "openSesame"),
            told(401),
        ),
        row(
            "as XML",
            of("Aladdin", "x").header("accept", "text/xml"),
            issued(&answer(401, "401.xml", "infobip")),
        ),
        row(
            "with another credential",
            right().header("authorization", ALADDIN),
            told(401),
        ),
        row(
            "with a bad one",
            right().header("authorization", "App 1"),
            refused(401),
        ),
        row("destroyed by nobody", destroy(), refused(401)),
        row(
            "destroyed by a password",
            destroy().header("authorization", ALADDIN),
            refused(403),
        ),
        row(
            "destroyed by a key",
            destroy().header("authorization", format!("App {SENDER_KEY}")),
            refused(403),
        ),
        row(
            "one that there is not",
            with(nobodys, "DELETE", SESSION),
            refused(401),
        ),
        row(
            "another method",
            to(INFOBIP, "GET", SESSION).header("authorization", ALADDIN),
            refused(403),
        ),
    ]
    .into_iter()
    .map(Row::anywhere)
    .collect()
}

/// I14, I16.
pub(crate) async fn a_user_has_one_session_until_it_is_destroyed(world: &World) {
    let login = || login("Iago", &json!({}));
    let one = create(world, 0, HERE, &login()).await;
    expect(world, &one, HERE, true, "I14").await;
    for (from, side) in [(HERE, world.last()), (ELSEWHERE, 0)] {
        let second = world.told(side, from, &login()).await;
        assert_eq!(second, told(400), "I16");
    }
    expect(world, &one, HERE, true, "I16").await;
    let listed = world
        .server()
        .command("session list --platform infobip --user u-single --json", "");
    let listed: Value = serde_json::from_str(listed.lines().next().expect("a row")).expect("JSON");
    assert_eq!(
        [
            &listed["address"],
            &listed["idle_seconds"],
            &listed["state"]
        ],
        [&json!("127.0.0.2/32"), &json!(3600), &json!("on")],
        "{listed}"
    );

    let from_elsewhere = world
        .told(0, ELSEWHERE, &with(&one, "DELETE", SESSION))
        .await;
    assert_eq!(from_elsewhere, refused(401));
    destroy(world, world.last(), HERE, &one).await;
    let dead = row("destroyed", sends(&one), refused(401)).from([127, 0, 0, 2]);
    world.await_check(dead).await;
    let again = row(
        "destroyed again",
        with(&one, "DELETE", SESSION),
        refused(401),
    );
    world
        .check("sessions", vec![again.from([127, 0, 0, 2])])
        .await;

    let other = create(world, world.last(), HERE, &login()).await;
    assert_ne!(other, one);
    expect(world, &other, HERE, true, "after it").await;
    expect(world, &one, HERE, false, "after it").await;
    destroy(world, 0, HERE, &other).await;
}

/// I15.
pub(crate) async fn a_session_is_bound_to_the_clients_address_unless_it_is_unsafe(world: &World) {
    for (more, everywhere) in [
        (json!({}), false),
        (json!({ "unsafe": true }), true),
        (json!({ "unsafe": false }), false),
        (json!({ "unsafe": null, "ui": "x" }), false),
    ] {
        let token = create(world, 0, HERE, &login("Razoul", &more)).await;
        let when = more.to_string();
        expect(world, &token, HERE, true, &when).await;
        expect(world, &token, ELSEWHERE, everywhere, &when).await;
        expect(world, &token, HERE, true, &when).await;
        let from = if everywhere { ELSEWHERE } else { HERE };
        destroy(world, world.last(), from, &token).await;
    }
}

pub(crate) async fn of_a_hundred_logins_at_once_one_gets_a_session(world: &World) {
    // Hashing a password is bounded, and not what is tried here: each server knows it from now on.
    for side in 0..=world.last() {
        let login = login("Jasmine", &json!({ "unsafe": true }));
        let token = create(world, side, HERE, &login).await;
        destroy(world, side, HERE, &token).await;
    }
    let mut racers = JoinSet::new();
    for racer in 0..100 {
        let address = world.address(racer % (world.last() + 1));
        let request = login("Jasmine", &json!({ "unsafe": true })).to_bytes();
        racers.spawn(async move {
            let mut client = Client::connect_from(fresh_address(), address).await;
            client.exchange(&request).await
        });
    }
    let answers = racers.join_all().await;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in &answers {
        *statuses.entry(answer.status).or_default() += 1;
    }
    assert_eq!(
        statuses,
        BTreeMap::from([(200, 1), (400, 99)]),
        "{}",
        world.log()
    );
    let winner = answers.iter().find(|it| it.status == 200);
    let token = token_of(winner.expect("one"));
    expect(world, &token, HERE, true, "the winner's").await;
    destroy(world, world.last(), HERE, &token).await;
}

pub(crate) async fn logins_at_once_from_one_address_are_told_to_wait(world: &World) {
    let from = fresh_address();
    let mut asked = JoinSet::new();
    for _ in 0..40 {
        let address = world.address(0);
        let request = login("nobody in haste", &json!({})).to_bytes();
        asked.spawn(async move {
            let mut client = Client::connect_from(from, address).await;
            client.exchange(&request).await
        });
    }
    let answers = asked.join_all().await;
    let many = |status: u16| answers.iter().filter(|it| it.status == status).count();
    assert_eq!(many(401) + many(429), 40);
    assert!(many(401) <= 20, "{}", many(401));
    let limited = answers.iter().find(|it| it.status == 429).expect("one");
    assert_eq!(limited.text(), golden("infobip/429.json"));
    assert!(limited.header("retry-after").is_some());
}

pub(crate) async fn a_session_ends_with_what_it_stands_on(world: &World) {
    let login = || login("Sultan", &json!({ "unsafe": true }));
    let run = |words: &str| world.server().command(words, "");
    let ended = async |name: &str, token: &str| {
        world
            .await_check(row(name, sends(token), refused(401)))
            .await;
    };
    let token = create(world, world.last(), HERE, &login()).await;
    expect(world, &token, ELSEWHERE, true, "at first").await;
    run("session revoke --platform infobip --user u-ended");
    ended("by a command", &token).await;

    let token = create(world, world.last(), HERE, &login()).await;
    run("user revoke u-ended --platform infobip");
    ended("its user revoked", &token).await;

    let token = create(world, 0, HERE, &login()).await;
    expect(
        world,
        &token,
        ELSEWHERE,
        true,
        "of a user who was revoked before",
    )
    .await;
    run("user disable u-ended --platform infobip");
    ended("its user disabled", &token).await;
    world
        .await_check(row("nobody to log in", login(), told(401)).anywhere())
        .await;
    run("user enable u-ended --platform infobip");
    run("session revoke --platform infobip --user u-ended");
}
