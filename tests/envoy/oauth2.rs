//! Infobip's OAuth 2 tokens behind an Envoy: who gets one, what it says, and until when it is good.

use serde_json::{Value, json};

use crate::envoy::infobip::{answer, refused};
use crate::envoy::issuing::{issued, part};
use crate::envoy::sessions::password;
use crate::envoy::table::{Row, World, reached, row, to};
use crate::support::client::Request;
use crate::support::sample::{ALADDIN, INFOBIP, INFOBIP_LENIENT};

const TOKEN: &str = "/auth/1/oauth2/token";
const SEND: &str = "/sms/3/messages";
const FORM: &str = "application/x-www-form-urlencoded";

fn sent(content_type: &str, body: impl AsRef<[u8]>) -> Request {
    to(INFOBIP, "POST", TOKEN)
        .header("content-type", content_type)
        .body(body)
}

/// Asks for a token of a client, whose secret is escaped already.
fn grant(id: &str, secret: &str) -> Request {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    sent(FORM, form)
}

fn sends(host: &str, token: &str) -> Request {
    to(host, "POST", SEND).header("authorization", format!("Bearer {token}"))
}

/// A refusal as the endpoint says it.
fn told(status: u16) -> String {
    issued(&refused(status))
}

/// Gets a token; panics where there is none.
async fn token(world: &World, side: usize, request: &Request) -> String {
    let answer = world.ask(side, request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token = answer.json()["access_token"].as_str().map(str::to_owned);
    let token = token.expect("a token");
    let body = answer.text().replace(&token, "A");
    assert_eq!(
        body,
        r#"{"access_token":"A","expires_in":3600,"token_type":"Bearer"}"#
    );
    token
}

/// A request that its user may make, and reaches the upstream as its own.
fn passes(name: &str, token: &str, (account, user, login): (&str, &str, &str), roles: &str) -> Row {
    let ends = part(token, 1)["exp"].as_u64().expect("an end");
    let identity = format!(
        "
x-auth-account: {account}
x-auth-expires: {ends}
x-auth-platform: infobip
x-auth-roles: {roles}
x-auth-scheme: oauth2
x-auth-user: {user}
x-auth-username: {login}"
    );
    row(
        name,
        sends(INFOBIP, token),
        reached(&format!("POST {SEND}"), &identity),
    )
}

pub(crate) fn what_is_no_grant_is_a_bad_request() -> Vec<Row> {
    let good = "grant_type=client_credentials&client_id=Aladdin&client_secret=openSesame";
    let without = |field: &str| {
        let fields = good.split('&').filter(|it| !it.starts_with(field));
        sent(FORM, fields.collect::<Vec<_>>().join("&"))
    };
    let with = |more: &str| sent(FORM, format!("{good}&{more}"));
    let changed = |from: &str, to: &str| sent(FORM, good.replace(from, to));
    let json = json!({
        "grant_type": "client_credentials", "client_id": "Aladdin", "client_secret": "openSesame",
    });
    let large = "x".repeat(64 * 1024);
    let cases = [
        (
            "I20 by a password",
            changed("client_credentials", "password"),
        ),
        ("I20 without a secret", without("client_secret")),
        ("I20 as JSON", sent("application/json", json.to_string())),
        (
            "JSON that calls itself a form",
            sent(FORM, json.to_string()),
        ),
        (
            "by a code",
            changed("client_credentials", "authorization_code&code=1"),
        ),
        (
            "a grant in another case",
            changed("client_credentials", "Client_Credentials"),
        ),
        (
            "a grant with a space",
            changed("client_credentials", "client_credentials+"),
        ),
        ("without a grant", without("grant_type")),
        ("without a client", without("client_id")),
        ("an empty client", changed("Aladdin", "")),
        ("an empty secret", changed("openSesame", "")),
        ("a client twice", with("client_id=Aladdin")),
        ("a secret twice, once escaped", with("client%5Fsecret=x")),
        ("a grant twice", with("grant_type=client_credentials")),
        ("what is not asked for, twice", with("scope=a&scope=b")),
        ("a bad escape", with("x=%zz")),
        ("what is no text", changed("Aladdin", "%ff")),
        ("nothing", sent(FORM, "")),
        ("too much", with(&format!("x={large}"))),
        (
            "what does not call itself anything",
            to(INFOBIP, "POST", TOKEN).body(good),
        ),
        (
            "in the query",
            to(INFOBIP, "POST", format!("{TOKEN}?{good}")).header("content-type", FORM),
        ),
    ];
    let bad = cases.map(|(name, request)| row(name, request, told(400)).anywhere());
    let xml = row(
        "as XML",
        sent(FORM, "").header("accept", "application/xml"),
        issued(&answer(400, "400.xml", "infobip")),
    );
    bad.into_iter().chain([xml]).collect()
}

pub(crate) fn who_gets_no_token_is_told_nothing() -> Vec<Row> {
    let right = || grant("Aladdin", "openSesame");
    vec![
        row("a wrong secret", grant("Aladdin", "opensesame"), told(401)),
        row(
            "a secret with a space",
            grant("Aladdin", "openSesame+"),
            told(401),
        ),
        row("nobody's name", grant("nobody", "openSesame"), told(401)),
        row("an id", grant("u-1", "openSesame"), told(401)),
        row("a disabled user", grant("gone", "openSesame"), told(401)),
        row(
            "as XML",
            grant("Aladdin", "x").header("accept", "text/xml"),
            issued(&answer(401, "401.xml", "infobip")),
        ),
        // RFC 6749 §2.3: one way to authenticate.
        row(
            "with another credential",
            right().header("authorization", ALADDIN),
            told(401),
        ),
        row(
            "with a bad one",
            right().header("authorization", "Basic !"),
            refused(401),
        ),
    ]
    .into_iter()
    .map(Row::anywhere)
    .collect()
}

pub(crate) async fn a_token_says_what_is_documented_and_stands_for_its_user(world: &World) {
    let request = grant("Rajah", &password("Rajah"));
    let charset = grant("Rajah", &password("Rajah")).header("accept", "application/xml");
    let one = token(world, 0, &request).await;
    let other = token(world, world.last(), &charset).await;
    let header = part(&one, 0);
    let names: Vec<_> = header.as_object().expect("a header").keys().collect();
    assert_eq!(names, ["kid", "typ", "alg"]);
    assert_eq!([&header["typ"], &header["alg"]], ["JWT", "HS256"]);
    assert_eq!(header["kid"].as_str().map(str::len), Some(8));
    assert_eq!(part(&other, 0), header, "one key, on every server");

    let claims = part(&one, 1);
    let names: Vec<_> = claims.as_object().expect("claims").keys().collect();
    assert_eq!(names, ["sub", "iss", "uid", "exp", "iat", "jti", "gen"]);
    assert_eq!(
        [&claims["sub"], &claims["iss"], &claims["uid"]],
        ["Rajah", "infobip.com", "u-bearer"]
    );
    let [iat, exp] = ["iat", "exp"].map(|it| claims[it].as_u64().expect("a time"));
    assert_eq!(exp - iat, 3600);
    let id = |it: &Value| it["jti"].as_str().expect("a name").to_owned();
    assert_eq!(id(&claims).split('-').count(), 5, "{claims}");
    assert_ne!(id(&claims), id(&part(&other, 1)));

    let rajah = ("acc-1", "u-bearer", "Rajah");
    let manager = "Communication Manager";
    let twins = || refused(401).replace("realm=\"infobip\"", "realm=\"infobip-lenient\"");
    let without_scope = to(INFOBIP, "POST", "/billing/1/usage/query")
        .header("authorization", format!("Bearer {one}"));
    let mut forged = one.clone();
    forged.replace_range(
        one.len() - 10..one.len() - 9,
        if &one[one.len() - 10..one.len() - 9] == "A" {
            "B"
        } else {
            "A"
        },
    );
    let rows = vec![
        passes("a token", &one, rajah, manager),
        row("at the twin", sends(INFOBIP_LENIENT, &one), twins()),
        passes("a token again", &one, rajah, manager),
        passes("another", &other, rajah, manager),
        row("without a role that grants it", without_scope, refused(403)),
        row("forged", sends(INFOBIP, &forged), refused(401)),
    ];
    world.check("tokens", rows).await;

    // Two users of one name, each by its own password.
    let first = token(world, 0, &grant("Aladdin", "openSesame")).await;
    let second = token(world, 0, &grant("Aladdin", "p%C3%A4ssw%C3%B6rd")).await;
    let both = "Communication Manager,Account Manager";
    let rows = vec![
        passes("a namesake", &first, ("acc-1", "u-1", "Aladdin"), both),
        passes("the other", &second, ("acc-2", "u-2", "Aladdin"), manager),
    ];
    world.check("tokens", rows).await;
}

pub(crate) async fn tokens_of_a_user_end_when_it_is_revoked_or_disabled(world: &World) {
    let request = grant("Gazeem", &password("Gazeem"));
    let gazeem = ("acc-1", "u-tokens", "Gazeem");
    let manager = "Communication Manager";
    let run = |words: &str| world.server().command(words, "");
    let ended = async |name: &str, token: &str| {
        world
            .await_check(row(name, sends(INFOBIP, token), refused(401)))
            .await;
    };
    let old = token(world, 0, &request).await;
    world
        .check("tokens", vec![passes("at first", &old, gazeem, manager)])
        .await;
    run("user revoke u-tokens --platform infobip");
    ended("revoked", &old).await;

    let new = token(world, world.last(), &request).await;
    world
        .check(
            "tokens",
            vec![passes("one after it", &new, gazeem, manager)],
        )
        .await;
    ended("the old one still", &old).await;
    run("user disable u-tokens --platform infobip");
    ended("disabled", &new).await;
    world
        .await_check(row("nobody to ask for one", request, told(401)).anywhere())
        .await;
    run("user enable u-tokens --platform infobip");
}
