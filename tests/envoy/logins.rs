//! Logging in at crossbar, in each way that is documented, and what a login that fails is told, which is next to
//! nothing. The bodies are those of the contract, whole.

use serde_json::{Value, json};

use crate::envoy::crossbar;
use crate::envoy::issuing::{
    ACME, JOHNS_MD5, JOHNS_SHA1, api_auth, issued, john, johns, login, logins, refused, told,
    user_auth, wrong,
};
use crate::envoy::table::{Row, row, to};
use crate::support::client::Request;
use crate::support::sample::CROSSBAR;

const ACMES_KEY: &str = "822b33ad87c148a0a20a5ba7cd5ebcaa68d36a18e7aad165554903f52ca82757";

/// Rows of logins, each from an address of its own, so that none finds less in its bucket.
fn rows(all: Vec<(&str, Request, String)>) -> Vec<Row> {
    let row = |(name, request, want): (&str, Request, String)| row(name, request, want);
    all.into_iter().map(|it| row(it).anywhere()).collect()
}

pub(crate) fn users_log_in_to_an_account_by_whatever_names_it() -> Vec<Row> {
    let by = |field: &str, value: &str| john(&json!({ field: value }));
    let several = |named: Value| john(&named);
    let known = || told(201, "201_user_auth");
    let as_form = to(CROSSBAR, "PUT", "/v2/user_auth")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(json!({ "data": johns(&json!({ "account_name": "acme inc" })) }).to_string());
    let old = to(CROSSBAR, "PUT", "/v1/user_auth")
        .body(json!({ "data": johns(&json!({ "account_id": ACME })), "verb": "PUT" }).to_string());
    rows(vec![
        ("by name", by("account_name", "acmeinc"), known()),
        (
            "K22 by name, as written",
            by("account_name", "ACME, Inc."),
            known(),
        ),
        (
            "K22 by name, otherwise",
            by("account_name", "Acme  INC"),
            known(),
        ),
        (
            "by realm",
            by("account_realm", "acme.sip.example.com"),
            known(),
        ),
        (
            "by realm, in another case",
            by("account_realm", "ACME.SIP.example.com"),
            known(),
        ),
        (
            "by realm, as KAZOO also calls it",
            by("realm", "acme.sip.example.com"),
            known(),
        ),
        (
            "by phone number",
            by("phone_number", "+14155550100"),
            known(),
        ),
        (
            "by phone number, as people write it",
            by("phone_number", "+1 (415) 555-0100"),
            known(),
        ),
        ("by id", by("account_id", ACME), known()),
        (
            "by a number that nobody has, then by realm",
            several(json!({ "phone_number": "+14155550199", "realm": "acme.sip.example.com" })),
            known(),
        ),
        (
            "by a realm that nobody has, then by name",
            several(json!({ "realm": "nobody.example.com", "account_name": "ACME, Inc." })),
            known(),
        ),
        (
            "by a number, whatever the name",
            several(json!({ "phone_number": "+14155550100", "account_name": "Another" })),
            known(),
        ),
        ("what `curl -d` calls a form", as_form, known()),
        ("the first version, without a type", old, known()),
    ])
}

pub(crate) fn users_log_in_by_either_hash() -> Vec<Row> {
    let by = |hash: &str, method: Value| {
        let data = json!({ "credentials": hash, "account_name": "ACME, Inc.", "method": method });
        user_auth(&data)
    };
    let known = || told(201, "201_user_auth");
    let unknown =
        r#"{"method":{"enum":{"message":"Value not found in enumerated list of values"}}}"#;
    rows(vec![
        ("MD5", by(JOHNS_MD5, json!("md5")), known()),
        ("no method is MD5", by(JOHNS_MD5, Value::Null), known()),
        ("K21 SHA-1", by(JOHNS_SHA1, json!("sha")), known()),
        (
            "K21 SHA-1 as its documentation calls it",
            by(JOHNS_SHA1, json!("sha1")),
            known(),
        ),
        (
            "MD5 said to be SHA-1",
            by(JOHNS_MD5, json!("sha")),
            refused(401),
        ),
        (
            "SHA-1 said to be MD5",
            by(JOHNS_SHA1, json!("md5")),
            refused(401),
        ),
        (
            "another method",
            by(JOHNS_MD5, json!("sha256")),
            wrong(unknown),
        ),
        (
            "K3 MD5 in upper case",
            by(&JOHNS_MD5.to_uppercase(), json!("md5")),
            refused(401),
        ),
        (
            "K4 of a name in another case",
            by("3e3b517e0fe2b2cf2d34c47839f9a20e", json!("md5")),
            refused(401),
        ),
    ])
}

pub(crate) fn accounts_log_in_by_their_key() -> Vec<Row> {
    let length = |rule: &str, word: &str| {
        let said = format!("String must {word} 64 characters");
        wrong(&format!(
            r#"{{"api_key":{{"{rule}":{{"message":"{said}","target":64}}}}}}"#
        ))
    };
    rows(vec![
        ("its key", api_auth(ACMES_KEY), told(201, "201_api_auth")),
        (
            "K23 of 63 characters",
            api_auth(&ACMES_KEY[..63]),
            length("minLength", "be at least"),
        ),
        (
            "K23 of 65 characters",
            api_auth(&format!("{ACMES_KEY}0")),
            length("maxLength", "not be more than"),
        ),
        (
            "K23 one that nobody has",
            api_auth(&ACMES_KEY.replace('8', "9")),
            refused(401),
        ),
        (
            "in upper case",
            api_auth(&ACMES_KEY.to_uppercase()),
            refused(401),
        ),
    ])
}

/// All that could tell whether somebody is known is told alike (its status, headers and body).
pub(crate) fn who_does_not_get_in_is_told_nothing() -> Vec<Row> {
    let data = |account: Value, hash: &str| {
        let mut data = account;
        data["credentials"] = json!(hash);
        user_auth(&data)
    };
    let acme = || json!({ "account_name": "ACME, Inc." });
    let nobody = |field: &str, value: &str| john(&json!({ field: value }));
    rows(vec![
        (
            "an account that there is not",
            nobody("account_name", "Nobody"),
            refused(401),
        ),
        (
            "a realm that there is not",
            nobody("realm", "nobody.example.com"),
            refused(401),
        ),
        (
            "a number that there is not",
            nobody("phone_number", "+14155550199"),
            refused(401),
        ),
        (
            "an id that there is not",
            nobody("account_id", &"0".repeat(32)),
            refused(401),
        ),
        (
            "a name of which nothing is left",
            nobody("account_name", "!!!"),
            refused(401),
        ),
        ("no account at all", john(&json!({})), refused(401)),
        (
            "a user that there is not",
            login(ACME, "nobody"),
            refused(401),
        ),
        (
            "a wrong password",
            data(acme(), "00a2dc91686ec828a67152d45a5c5ef7"),
            refused(401),
        ),
        ("a disabled user", login(ACME, "disabled"), refused(401)),
        (
            "a user of another account",
            login(ACME, "namesake"),
            refused(401),
        ),
        ("no hash at all", data(acme(), "-"), refused(401)),
        (
            "a wrong password at an account that is shut",
            login("6da0204e3f5c61708c9d0e1f2a3b4c5d", "nobody"),
            refused(401),
        ),
        (
            "a wrong password at an account whose trial is over",
            login("7eb1315f406d72819d0e1f2a3b4c5d6e", "nobody"),
            refused(401),
        ),
    ])
}

pub(crate) fn who_gets_in_is_told_what_is_shut_and_who_it_is() -> Vec<Row> {
    let namesakes = |name: &str| {
        let mut data = logins("", name);
        data.as_object_mut()
            .expect("an object")
            .remove("account_id");
        data["account_name"] = json!("Namesakes Ltd.");
        user_auth(&data)
    };
    let of_second = told(201, "201_user_auth_namesake");
    rows(vec![
        (
            "K29 a disabled account",
            login("6da0204e3f5c61708c9d0e1f2a3b4c5d", "locked"),
            refused(423),
        ),
        (
            "K29 an account whose trial is over",
            login("7eb1315f406d72819d0e1f2a3b4c5d6e", "trial"),
            issued(&crossbar::expired()),
        ),
        (
            "of two accounts of one name",
            namesakes("namesake"),
            of_second,
        ),
        ("of none of them", namesakes("nobody"), refused(401)),
    ])
}
