//! What an answer is made of, beyond what `asking::read` demands of each: the identity for later filters, how the
//! decision came about, and no secret anywhere.

use std::collections::BTreeMap;

use crate::check::asking::{Answer, Ask, ask, clients};
use crate::support::check::CheckClient;
use crate::support::sample::{
    ALADDIN, CONFIG, CROSSBAR, INFOBIP, JOHN_MD5, MINE, MY_ADMIN, MY_KEY, OPENTACT, SENDER_KEY,
    start,
};

const SEND: &str = "/sms/3/messages";

fn metadata(answer: &Answer) -> BTreeMap<&str, &str> {
    let fields = answer.metadata.iter();
    let mut fields: BTreeMap<_, _> = fields.map(|(key, value)| (&**key, &**value)).collect();
    let id = fields.remove("decision_id").expect("a decision has an id");
    assert_eq!(id.len(), 32);
    fields
}

#[tokio::test]
async fn an_allow_tells_later_filters_what_it_tells_the_upstream_and_why() {
    let [client, _] = &mut clients().await;
    let request = Ask::new(INFOBIP, "POST", SEND)
        .header("authorization", format!("App 113{}", &SENDER_KEY[3..]));
    let first = ask(client, request.mapped()).await;
    let again = ask(client, request.listed()).await;
    let want = BTreeMap::from([
        ("account", "acc-1"),
        ("cache", "hit"),
        ("expires", "4102444800"),
        ("platform", "infobip"),
        ("rule", metadata(&again)["rule"]),
        ("scheme", "api_key"),
        ("scopes", "message:send account-management:manage"),
    ]);
    assert_eq!(metadata(&again), want);
    assert_ne!(first.metadata["decision_id"], again.metadata["decision_id"]);

    let public = Ask::new(MINE, "GET", "/public/x").mapped();
    let public = ask(client, public).await;
    let want = [("cache", "none"), ("platform", "mine"), ("rule", "open")];
    assert_eq!(metadata(&public), BTreeMap::from(want));
}

#[tokio::test]
async fn a_denial_tells_later_filters_why_in_words_of_a_closed_list() {
    let mine = |method: &str, path: &str| Ask::new(MINE, method, path);
    let orders = || mine("GET", "/orders/1");
    let crossbar = |path: &str| Ask::new(CROSSBAR, "GET", path).header("authorization", JOHN_MD5);
    let own = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
    let app = |digits: &str| {
        let key = format!("App {digits}{}", &SENDER_KEY[3..]);
        Ask::new(INFOBIP, "POST", SEND).header("authorization", key)
    };
    let cases = [
        ("account_mismatch", crossbar(own).header("x-auth-account-id", "another")),
        ("address", app("663")),
        ("conflict", orders().header("x-my-key", MY_KEY).header("authorization", MY_ADMIN)),
        ("disabled", app("333")),
        ("expired", app("553")),
        // 6da0204e3f5c61708c9d0e1f2a3b4c5d, locked@example.com:locked-password
        ("locked", Ask::new(CROSSBAR, "GET", own).header("authorization", "Basic NmRhMDIwNGUzZjVjNjE3MDhjOWQwZTFmMmEzYjRjNWQ6YTkyMDk0NTc5YjFiZjEwMDM2ODg1NTU5NDA0ZmQyYTI=")),
        ("malformed", orders().header("authorization", "Basic ?")),
        ("missing", orders()),
        ("no_platform", Ask::new("nobody.example.com", "GET", "/")),
        ("no_rule", mine("DELETE", "/orders/1")),
        ("not_yet_valid", app("443")),
        ("path", mine("GET", "/orders//1")),
        ("plain_http", Ask::new(OPENTACT, "GET", "/rest/user")),
        ("relation", crossbar("/v2/accounts/5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c")),
        ("role", mine("GET", "/admin/x").header("x-my-key", MY_KEY)),
        ("scheme_not_accepted", orders().header("authorization", MY_ADMIN)),
        ("scope", app("223")),
        ("too_large", orders().header("x-my-key", vec![b'a'; 8193])),
        ("unknown", orders().header("x-my-key", "another-key-000001")),
        ("wrong", orders().header("authorization", "Basic YWRtaW46YWRtaW4=")),
    ];
    for client in &mut clients().await {
        for (reason, request) in &cases {
            let answer = ask(client, request.mapped()).await;
            assert_eq!(metadata(&answer)["reason"], *reason, "{answer:?}");
            assert!(!answer.metadata.contains_key("rule"));
            assert!(!answer.metadata.contains_key("user"));
        }
    }
}

#[tokio::test]
async fn what_an_envoy_does_not_show_is_taken_off_all_the_same() {
    // With `allowed_headers`, a filter shows only some of what it will forward.
    let [client, _] = &mut clients().await;
    let fields = [
        "platform", "account", "user", "username", "scheme", "scopes", "roles", "expires",
    ];
    let crossbar = Ask::new(CROSSBAR, "GET", "/v2/schemas");
    let mine = Ask::new(MINE, "GET", "/public/x");
    for (request, user, places) in [
        (
            crossbar,
            "x-auth-user",
            &[
                "authorization",
                "x-auth-account-id",
                "x_auth_account_id",
                "x-auth-token",
                "x_auth_token",
            ][..],
        ),
        (mine, "x-caller", &["authorization", "x-my-key", "x_my_key"]),
    ] {
        let answer = ask(client, request.mapped()).await;
        let names = fields.map(|it| match it {
            "user" => user.to_owned(),
            other => format!("x-auth-{other}"),
        });
        // No rule holds for these; for the first of crossbar's methods, one does.
        let misleading = [
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-original-url",
            "x-rewrite-url",
        ];
        let judged = usize::from(user == "x-auth-user");
        let misleading = misleading[judged..]
            .iter()
            .flat_map(|it| [(*it).to_owned(), it.replace('-', "_")]);
        let twins = names.iter().map(|it| it.replace('-', "_"));
        let absent = names.iter().filter(|it| *it != "x-auth-platform").cloned();
        let places = places.iter().map(|it| (*it).to_owned());
        let mut want: Vec<_> = absent
            .chain(twins)
            .chain(places)
            .chain(misleading)
            .collect();
        let mut removed: Vec<_> = answer.removed.iter().map(|it| it.to_lowercase()).collect();
        want.sort();
        removed.sort();
        assert_eq!(removed, want);
        assert_eq!(answer.headers.len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_key_bound_to_addresses_is_judged_by_the_address_on_every_use() {
    let [client, _] = &mut clients().await;
    let key = format!("App 663{}", &SENDER_KEY[3..]);
    let from = |peer: &str| {
        let peer = peer.to_owned();
        let ask = Ask::new(INFOBIP, "POST", SEND).header("authorization", &key);
        Ask { peer, ..ask }
    };
    let cases = [
        ("10.1.2.3", 200),
        ("11.1.2.3", 401),
        ("::ffff:10.1.2.3", 200), // I10
        ("::ffff:11.1.2.3", 401),
        ("::10.1.2.3", 401),
        ("10.1.2.3.", 401),
        ("2001:db8::1", 401),
        ("", 401),
        ("127.0.0.2", 200),
    ];
    for (peer, status) in cases {
        // Who sends X-Forwarded-For where the peer counts says nothing.
        let request = from(peer).header("x-forwarded-for", "10.1.2.3");
        assert_eq!(ask(client, request.mapped()).await.status, status, "{peer}");
    }
}

#[tokio::test]
async fn no_secret_is_shown_in_an_answer_or_a_log() {
    let config = format!("{CONFIG}\ntelemetry: {{ log: trace }}\n");
    let server = start(&config);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let good = [
        Ask::new(INFOBIP, "POST", SEND).header("authorization", ALADDIN),
        Ask::new(INFOBIP, "POST", format!("{SEND}?apiKey={SENDER_KEY}")),
    ];
    let bad = [
        // Aladdin:sesameOpen
        Ask::new(INFOBIP, "POST", SEND).header("authorization", "Basic QWxhZGRpbjpzZXNhbWVPcGVu"),
        Ask::new(INFOBIP, "POST", format!("{SEND}?apiKey=sesameOpen-1234567")),
        Ask::new(MINE, "GET", "/orders/1").header("x-my-key", "sesameOpen 1234567"),
        Ask::new(MINE, "GET", format!("/orders//1?my-key={MY_KEY}")),
    ];
    let mut shown = String::new();
    for (requests, allowed) in [(&good[..], true), (&bad[..], false)] {
        for request in requests {
            let answer = ask(client, request.mapped()).await;
            assert_eq!(answer.status == 200, allowed, "{answer:?}");
            shown += &format!("{answer:?}\n");
        }
    }
    shown += &server.log();
    let secrets = [
        "openSesame",
        "sesameOpen",
        SENDER_KEY,
        MY_KEY,
        "QWxhZGRpbjpvcGVuU2VzYW1l",
        "QWxhZGRpbjpzZXNhbWVPcGVu",
        "my-own-key",
        "pa:ss:word",
        "$argon2",
    ];
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(
        shown.contains("u-1"),
        "the search would have found something"
    );
}
