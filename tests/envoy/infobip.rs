//! Infobip: the vectors I of its contract that Basic credentials and API keys meet, and each of its denials, in the
//! older and the newer envelope, as JSON and as XML. Its tokens are in `tokens.rs`, what it gives them and sessions by in `oauth2.rs` and `sessions.rs`.

use crate::envoy::table::{Row, answered, golden, reached, row, to};
use crate::support::client::Request;
use crate::support::sample::{
    ALADDIN, AS_ALADDIN, AS_SENDER, INFOBIP, INFOBIP_LENIENT, SENDER_KEY,
};

const SEND: &str = "/sms/3/messages";
const KEYS: &str = "/settings/2/api-keys";
const OLDER_KEYS: &str = "/settings/1/accounts/_/api-keys";

/// A key that differs from [`SENDER_KEY`] in its first digit.
fn key(digits: &str) -> String {
    format!("App {digits}{}", &SENDER_KEY[digits.len()..])
}

fn sends(authorization: impl AsRef<[u8]>) -> Request {
    to(INFOBIP, "POST", SEND).header("authorization", authorization)
}

pub(crate) fn answer(status: u16, golden_name: &str, realm: &str) -> String {
    let challenge = match status {
        401 => format!(
            "
www-authenticate: App realm=\"{realm}\"
www-authenticate: Basic realm=\"{realm}\", charset=\"UTF-8\"
www-authenticate: Bearer realm=\"{realm}\"
www-authenticate: IBSSO realm=\"{realm}\""
        ),
        _ => String::new(),
    };
    let kind = golden_name.split('.').next_back().expect("an extension");
    let headers = format!("content-type: application/{kind}{challenge}");
    answered(status, &headers, &golden(&format!("infobip/{golden_name}")))
}

pub(crate) fn refused(status: u16) -> String {
    answer(status, &format!("{status}.json"), "infobip")
}

pub(crate) fn basic_credentials_are_a_name_and_a_password_in_strict_base64() -> Vec<Row> {
    let sent = |identity| reached(&format!("POST {SEND}"), identity);
    vec![
        row("I1 the right ones", sends(ALADDIN), sent(AS_ALADDIN)),
        row(
            "I2 colons in the password, though not for this",
            sends("Basic dXNlcjpwYTpzczp3b3Jk"),
            refused(403),
        ),
        row(
            "I2 colons in the password",
            to(INFOBIP, "POST", "/billing/1/usage/query")
                .header("authorization", "Basic dXNlcjpwYTpzczp3b3Jk"),
            reached(
                "POST /billing/1/usage/query",
                "
x-auth-account: acc-1
x-auth-platform: infobip
x-auth-roles: Finance Data Manager
x-auth-scheme: basic
x-auth-user: u-3
x-auth-username: user",
            ),
        ),
        row("I3 no colon", sends("Basic dXNlcm9ubHk="), refused(401)),
        row("I4 NUL", sends("Basic dXNlcgA6cHc="), refused(401)),
        row(
            "I5 UTF-8, of a namesake in another account",
            sends("Basic QWxhZGRpbjpww6Rzc3fDtnJk"),
            sent(
                "
x-auth-account: acc-2
x-auth-platform: infobip
x-auth-roles: Communication Manager
x-auth-scheme: basic
x-auth-user: u-2
x-auth-username: Aladdin",
            ),
        ),
        row(
            "I5 Latin-1",
            sends("Basic QWxhZGRpbjpw5HNzd/ZyZA=="),
            refused(401),
        ),
        // Aladdin:opensesame
        row(
            "a wrong password",
            sends("Basic QWxhZGRpbjpvcGVuc2VzYW1l"),
            refused(401),
        ),
        // nobody:openSesame
        row(
            "nobody's name",
            sends("Basic bm9ib2R5Om9wZW5TZXNhbWU="),
            refused(401),
        ),
        // gone:openSesame
        row(
            "a disabled user",
            sends("Basic Z29uZTpvcGVuU2VzYW1l"),
            refused(401),
        ),
        row("no credential", to(INFOBIP, "POST", SEND), refused(401)),
        row(
            "bytes outside ASCII",
            sends(b"Basic \xC3\xA4"),
            refused(401),
        ),
        row(
            "I21 two values in one",
            sends("Basic a, Bearer b"),
            refused(401),
        ),
        row(
            "I14 a misspelt scheme",
            sends("IBBSO 2f9b4d31-2d0d-49a8-85f0-9b862bdca394"),
            refused(401),
        ),
    ]
}

pub(crate) fn lenient_base64_is_a_setting_and_never_takes_garbage() -> Vec<Row> {
    let lenient = |authorization: &str| {
        to(INFOBIP_LENIENT, "POST", SEND).header("authorization", authorization)
    };
    let taken = || {
        let identity = "
x-auth-platform: infobip-lenient
x-auth-roles: Communication Manager
x-auth-scheme: basic
x-auth-user: u-1
x-auth-username: Aladdin";
        reached(&format!("POST {SEND}"), identity)
    };
    let refused_there = || answer(401, "401.json", "infobip-lenient");
    let unpadded = "Basic QWxhZGRpbjpvcGVuU2VzYW1lMQ";
    let spaced = "Basic QWxhZGRpbjpvcGVu U2VzYW1lMQ==";
    vec![
        // The same name, and an outcome that the other platform of this preset has just remembered.
        row(
            "its own password, where the preset is used once more",
            sends(ALADDIN),
            reached(&format!("POST {SEND}"), AS_ALADDIN),
        ),
        row(
            "a password of the other platform of the preset",
            lenient(ALADDIN),
            refused_there(),
        ),
        row("I6 unpadded", sends(unpadded), refused(401)),
        row("I6 unpadded, lenient", lenient(unpadded), taken()),
        row("I6 url-safe", sends("Basic YT8-OmL7_w=="), refused(401)),
        row(
            "I6 url-safe, lenient",
            lenient("Basic YT8-OmL7_w=="),
            refused_there(),
        ),
        row("I7 with spaces", sends(spaced), refused(401)),
        row("I7 with spaces, lenient", lenient(spaced), taken()),
        row(
            "padded, lenient",
            lenient("Basic QWxhZGRpbjpvcGVuU2VzYW1lMQ=="),
            taken(),
        ),
        row(
            "O2 garbage, lenient",
            lenient("Basic QWxhZGRpbjpvcGVuU2VzYW1lMQ==v"),
            refused_there(),
        ),
        row(
            "spare bits set, lenient",
            lenient("Basic QWxhZGRpbjpvcGVuU2VzYW1lMR=="),
            refused_there(),
        ),
    ]
}

pub(crate) fn api_keys_stand_behind_app_or_in_the_query() -> Vec<Row> {
    let sent = || reached(&format!("POST {SEND}"), AS_SENDER);
    let query = |query: String| to(INFOBIP, "POST", format!("{SEND}?{query}"));
    let app = format!("App {SENDER_KEY}");
    vec![
        row("I8 as documented", sends(&app), sent()),
        row("I8 in lower case", sends(app.replace("App", "app")), sent()),
        row("I8 two spaces", sends(app.replace(' ', "  ")), sent()),
        row("I8 the word alone", sends("App"), refused(401)),
        row(
            "I8 two keys",
            sends(format!("{app} {SENDER_KEY}")),
            refused(401),
        ),
        row("an unknown key", sends(key("9")), refused(401)),
        row(
            "the key in upper case",
            sends(app.to_uppercase()),
            refused(401),
        ),
        row("I9 disabled", sends(key("333")), refused(401)),
        row("I9 not yet valid", sends(key("443")), refused(401)),
        row("I9 expired", sends(key("553")), refused(401)),
        row("I9 from another address", sends(key("663")), refused(401)),
        row("I9 from an allowed one", sends(key("663")), sent()).from([127, 0, 0, 2]),
        row(
            "in the query",
            query(format!("apiKey={SENDER_KEY}")),
            sent(),
        ),
        row(
            "in the query, among others",
            query(format!("b=2&%61piKey={SENDER_KEY}&a=%20")),
            reached(&format!("POST {SEND}?a=%20&b=2"), AS_SENDER),
        ),
        row(
            "in the query, twice",
            query(format!("apiKey={SENDER_KEY}&apiKey={SENDER_KEY}")),
            refused(401),
        ),
        row(
            "in the query, in another case",
            query(format!("apikey={SENDER_KEY}")),
            refused(401),
        ),
        row(
            "the same in both places",
            query(format!("apiKey={SENDER_KEY}")).header("authorization", &app),
            sent(),
        ),
        row(
            "different ones in both places",
            query(format!("apiKey={SENDER_KEY}")).header("authorization", key("113")),
            refused(401),
        ),
        row(
            "a key and a password",
            query(format!("apiKey={SENDER_KEY}")).header("authorization", ALADDIN),
            refused(401),
        ),
    ]
}

pub(crate) fn operations_ask_for_a_scope_or_a_role_that_grants_it() -> Vec<Row> {
    let umbrella = "
x-auth-account: acc-1
x-auth-expires: 4102444800
x-auth-platform: infobip
x-auth-scheme: api_key
x-auth-scopes: message:send account-management:manage";
    let with = |authorization: &str, method: &str, target: &str| {
        to(INFOBIP, method, target).header("authorization", authorization)
    };
    let newer = |status: u16| answer(status, &format!("settings_{status}.json"), "infobip");
    let fine = "x-auth-account: acc-1\nx-auth-platform: infobip\nx-auth-scheme: api_key\nx-auth-scopes: sms:logs:read";
    vec![
        row(
            "I11 another scope",
            with(&key("223"), "POST", SEND),
            refused(403),
        ),
        row(
            "I11 the right one",
            with(&key("223"), "GET", "/sms/3/logs"),
            reached("GET /sms/3/logs", fine),
        ),
        row(
            "I12 an umbrella",
            with(&key("113"), "POST", SEND),
            reached(&format!("POST {SEND}"), umbrella),
        ),
        row(
            "I13 keys by a key that has the scope",
            with(&key("113"), "POST", KEYS),
            newer(403),
        ),
        row(
            "I13 keys of an older kind by a user",
            with(ALADDIN, "POST", OLDER_KEYS),
            reached(&format!("POST {OLDER_KEYS}"), AS_ALADDIN),
        ),
        row(
            "I13 keys by a user without the role",
            with("Basic QWxhZGRpbjpww6Rzc3fDtnJk", "POST", KEYS),
            newer(403),
        ),
        row("keys by nobody", to(INFOBIP, "POST", KEYS), newer(401)),
        row(
            "a method that the operation has not",
            with(ALADDIN, "DELETE", SEND),
            refused(403),
        ),
        row(
            "an operation that is not published",
            with(ALADDIN, "GET", "/sms/99/secret"),
            refused(403),
        ),
    ]
}

pub(crate) fn answers_come_as_xml_to_who_asks_for_it() -> Vec<Row> {
    let accepting =
        |accept: &str, target: &str| to(INFOBIP, "POST", target).header("accept", accept);
    let xml = |name: &str| {
        answer(
            name.trim_end_matches(".xml")
                .rsplit('_')
                .next()
                .expect("a status")
                .parse()
                .expect("a status"),
            name,
            "infobip",
        )
    };
    vec![
        row(
            "older envelope",
            accepting("application/xml", SEND),
            xml("401.xml"),
        ),
        row(
            "newer envelope",
            accepting("application/xml", KEYS),
            xml("settings_401.xml"),
        ),
        row(
            "older, refused",
            accepting("text/xml, */*;q=0.1", SEND).header("authorization", key("223")),
            xml("403.xml"),
        ),
        row(
            "newer, refused",
            accepting("application/xml", KEYS).header("authorization", key("113")),
            xml("settings_403.xml"),
        ),
        row(
            "an unclear path",
            accepting("application/xml", "/sms//3"),
            xml("400.xml"),
        ),
        row(
            "JSON preferred",
            accepting("application/xml;q=0.5, application/json", SEND),
            refused(401),
        ),
        row(
            "nothing in particular",
            accepting("*/*", SEND),
            refused(401),
        ),
    ]
}
