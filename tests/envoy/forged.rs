//! Every attack of `attacks.rs` on each platform, and what else a platform must not take for its own token.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::envoy::attacks::{attacks, honest};
use crate::envoy::table::{Row, World, reached, row, to};
use crate::envoy::{crossbar, infobip, opentact};
use crate::support::client::Request;
use crate::support::issuers::{self, Issuer, STRANGER, callifys, changed, dd2020s, johns};
use crate::support::sample::{
    AS_CALLIFY_BY_TOKEN, AS_DD2020, AS_JOHN_BY_TOKEN, CONFIG, CROSSBAR, INFOBIP, OPENTACT, start,
};

const USERS: &str = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";
const SEND: &str = "/sms/3/messages";

/// A table of honest tokens, which pass, and of attacks, which do not.
fn told_apart(
    issuer: &Issuer,
    claims: &Value,
    request: impl Fn(&str) -> Request,
    [passed, refused]: [&str; 2],
    more: Vec<(&str, String)>,
) -> Vec<Row> {
    let more = more.into_iter().map(|(name, it)| (name.to_owned(), it));
    let attacks = attacks(issuer, claims).into_iter().chain(more);
    let honest = honest(issuer, claims).into_iter().map(|it| (it, passed));
    let all = honest.chain(attacks.map(|it| (it, refused)));
    let rows = all.map(|((name, token), want)| row(name, request(&token), want));
    rows.collect()
}

pub(crate) fn crossbar_takes_no_token_that_is_not_honest() -> Vec<Row> {
    let token = |changes: Value| issuers::CROSSBAR.token(&changed(johns(), changes));
    let pem = issuers::CROSSBAR.public_pem();
    let confused = |header: &str, secret: &str| {
        let secret = Issuer::hmac("", secret.as_bytes());
        secret.sign(header, &johns().to_string())
    };
    let more = vec![
        (
            "K12 HS256 under the public key",
            (confused(r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#, &pem)),
        ),
        (
            "K12 the same, without kid",
            (confused(r#"{"alg":"HS256","typ":"JWT"}"#, &pem)),
        ),
        (
            "K12 the same, without its last line feed",
            (confused(r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#, pem.trim_end())),
        ),
        (
            "K12 the same, that says RS256",
            (confused(issuers::CROSSBAR.header, &pem)),
        ),
        (
            "RS512 under a key for RS256",
            (issuers::CROSSBAR.sign(
                r#"{"alg":"RS512","typ":"JWT","kid":"k1"}"#,
                &johns().to_string(),
            )),
        ),
        (
            "K15 another issuer",
            (token(json!({ "iss": "https://evil.example" }))),
        ),
        (
            "K15 another issuer, who signed it",
            (STRANGER.token(&changed(johns(), json!({ "iss": "https://evil.example" })))),
        ),
        (
            "an issuer whose name begins alike",
            (token(json!({ "iss": "kazoo." }))),
        ),
        ("issuers", (token(json!({ "iss": ["kazoo"] })))),
        ("no issuer", (token(json!({ "iss": null })))),
        ("no account", (token(json!({ "account_id": null })))),
        (
            "an account that is a number",
            (token(json!({ "account_id": 1 }))),
        ),
        (
            "no signature of the identity",
            (token(json!({ "identity_sig": null }))),
        ),
        (
            "an empty signature of the identity",
            (token(json!({ "identity_sig": "" }))),
        ),
    ];
    let header = |token: &str| to(CROSSBAR, "GET", USERS).header("x-auth-token", token);
    let known = reached(&format!("GET {USERS}"), AS_JOHN_BY_TOKEN);
    let wants = [known.as_str(), &crossbar::refused(401)];
    told_apart(&issuers::CROSSBAR, &johns(), header, wants, more)
}

pub(crate) fn opentact_takes_no_token_that_is_not_honest() -> Vec<Row> {
    let token = |changes: Value| issuers::OPENTACT.token(&changed(callifys(), changes));
    let more = vec![
        ("no user", token(json!({ "uuid": null }))),
        ("an empty user", token(json!({ "uuid": "" }))),
        ("a user that is a number", token(json!({ "uuid": 1 }))),
        ("crossbar's token", issuers::CROSSBAR.token(&johns())),
    ];
    let header = |token: &str| {
        to(OPENTACT, "GET", "/rest/user")
            .header("x-forwarded-proto", "https")
            .header("x-auth-token", token)
    };
    let known = reached("GET /rest/user", AS_CALLIFY_BY_TOKEN);
    let wants = [known.as_str(), &opentact::refused(401)];
    told_apart(&issuers::OPENTACT, &callifys(), header, wants, more)
}

pub(crate) fn infobip_takes_no_token_that_is_not_honest() -> Vec<Row> {
    let token = |changes: Value| issuers::INFOBIP.token(&changed(dd2020s(), changes));
    let more = vec![
        (
            "I19 an issuer whose name begins alike",
            token(json!({ "iss": "infobip.com." })),
        ),
        ("no issuer", token(json!({ "iss": null }))),
        ("no subject", token(json!({ "sub": null }))),
        ("no name of its own", token(json!({ "jti": null }))),
        ("opentact's token", issuers::OPENTACT.token(&callifys())),
    ];
    let behind =
        |token: &str| to(INFOBIP, "POST", SEND).header("authorization", format!("Bearer {token}"));
    let known = reached(&format!("POST {SEND}"), AS_DD2020);
    let wants = [known.as_str(), &infobip::refused(401)];
    told_apart(&issuers::INFOBIP, &dd2020s(), behind, wants, more)
}

/// K15: an issuer of its own, keys of its own, certificates of its own, all of them where somebody listens.
#[tokio::test]
async fn no_token_makes_the_server_ask_anybody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.set_nonblocking(true).expect("a socket");
    let there = format!("http://{}", listener.local_addr().expect("bound"));
    let claims = changed(johns(), json!({ "iss": there }));
    let tokens = [
        STRANGER.token(&claims),
        STRANGER.sign(
            &format!(r#"{{"alg":"RS256","kid":"{there}/key"}}"#),
            &claims.to_string(),
        ),
        STRANGER.sign(
            &format!(r#"{{"alg":"RS256","jku":"{there}/jwks"}}"#),
            &claims.to_string(),
        ),
        STRANGER.sign(
            &format!(r#"{{"alg":"RS256","x5u":"{there}/cert"}}"#),
            &claims.to_string(),
        ),
    ];
    let request = |token: &String| to(CROSSBAR, "GET", USERS).header("x-auth-token", token);
    let rows = tokens
        .iter()
        .map(|it| row(it, request(it), crossbar::refused(401)));
    World::of("memory", vec![start(CONFIG)])
        .check("outward", rows.collect())
        .await;
    let asked = listener.accept().map(|_| "somebody came");
    assert_eq!(
        asked.expect_err("nobody").kind(),
        std::io::ErrorKind::WouldBlock
    );
}
