//! Infobip: API keys with scopes, and users whose roles grant scopes.

use super::{Case, Headers, Section, request};

/// `Aladdin:openSesame`.
const ALADDIN: &str = "Basic QWxhZGRpbjpvcGVuU2VzYW1l";

const KEY: &str = "App 003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9";

const ALADDIN_IDENTITY: Headers = &[
    ("x-auth-platform", "infobip"),
    ("x-auth-account", "acc-1"),
    ("x-auth-user", "u-1"),
    ("x-auth-username", "Aladdin"),
    ("x-auth-scheme", "basic"),
    ("x-auth-roles", "Communication Manager"),
];

const KEY_IDENTITY: Headers = &[
    ("x-auth-platform", "infobip"),
    ("x-auth-account", "acc-1"),
    ("x-auth-scheme", "api_key"),
    ("x-auth-scopes", "sms:message:send"),
];

pub(super) fn section() -> Section {
    let mut cases = allowed();
    cases.extend(unreadable());
    cases.extend(bad_credentials());
    cases.extend(forbidden());
    Section {
        title: "infobip: Infobip's operations, by its preset",
        host: "infobip.example.com",
        cases,
    }
}

fn allowed() -> Vec<Case> {
    vec![
        Case::allow(
            "A user, whose role grants the scope",
            request("POST /sms/3/messages").authorization(ALADDIN),
            ALADDIN_IDENTITY,
            &["authorization"],
        ),
        Case::allow(
            "An API key in the header",
            request("POST /sms/3/messages").authorization(KEY),
            KEY_IDENTITY,
            &["authorization"],
        ),
        Case::allow(
            "The same key in the query, which is taken out",
            request(
                "GET /sms/3/reports?limit=2&apiKey=003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9",
            ),
            KEY_IDENTITY,
            &["authorization", "?apiKey"],
        ),
        Case::allow(
            "A key bound to 10.0.0.0/8, from 10.1.2.3",
            request("POST /sms/3/messages")
                .authorization("App sample-inside-00000000000000000")
                .peer("10.1.2.3"),
            KEY_IDENTITY,
            &["authorization"],
        ),
    ]
}

fn unreadable() -> Vec<Case> {
    let refused = r#""messageId":"UNAUTHORIZED""#;
    vec![
        Case::deny(
            "No credential, by a client that prefers XML",
            request("POST /sms/3/messages").header("Accept", "application/xml"),
            (401, "missing"),
            "<messageId>UNAUTHORIZED</messageId>",
        ),
        Case::deny(
            "Basic without a colon",
            request("POST /sms/3/messages").authorization("Basic dXNlcm9ubHk="),
            (401, "malformed"),
            refused,
        ),
        Case::deny(
            "Two Authorization headers, merged by a proxy",
            request("POST /sms/3/messages").authorization(format!("{KEY}, {ALADDIN}")),
            (401, "malformed"),
            refused,
        ),
        Case::deny(
            "Two different keys on one request",
            request("POST /sms/3/messages?apiKey=sample-reports-0000000000000000")
                .authorization(KEY),
            (401, "conflict"),
            refused,
        ),
        Case::deny(
            "A key of 9000 characters",
            request("POST /sms/3/messages").authorization(format!("App {}", "k".repeat(9000))),
            (401, "too_large"),
            refused,
        ),
    ]
}

fn bad_credentials() -> Vec<Case> {
    let send = |about, authorization: &'static str, reason| {
        let request = request("POST /sms/3/messages").authorization(authorization);
        Case::deny(
            about,
            request,
            (401, reason),
            r#""messageId":"UNAUTHORIZED""#,
        )
    };
    vec![
        send(
            "The wrong password",
            "Basic QWxhZGRpbjpjbG9zZVNlc2FtZQ==",
            "wrong",
        ),
        send(
            "A key that nobody has",
            "App nobodys-key-0000000000000000000",
            "unknown",
        ),
        send(
            "A key that is switched off",
            "App sample-disabled-000000000000000",
            "disabled",
        ),
        send(
            "A key that ended with 2019",
            "App sample-expired-0000000000000000",
            "expired",
        ),
        send(
            "A key that begins in the year 9000",
            "App sample-future-00000000000000000",
            "not_yet_valid",
        ),
        send(
            "A key bound to 10.0.0.0/8, from 203.0.113.9",
            "App sample-inside-00000000000000000",
            "address",
        ),
    ]
}

fn forbidden() -> Vec<Case> {
    vec![
        Case::deny(
            "A key that may read logs sends a message",
            request("POST /sms/3/messages").authorization("App sample-reports-0000000000000000"),
            (403, "scope"),
            r#""messageId":"FORBIDDEN""#,
        ),
        Case::deny(
            "A key makes keys, which only users may",
            request("POST /settings/1/accounts/_/api-keys").authorization(KEY),
            (403, "scheme_not_accepted"),
            r#""messageId":"FORBIDDEN""#,
        ),
        Case::deny(
            "An operation that Infobip does not publish",
            request("GET /sms/9/secrets").authorization(KEY),
            (403, "no_rule"),
            r#""messageId":"FORBIDDEN""#,
        ),
    ]
}
