//! What settings can be meant, what is sent, and what an answer comes to.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::keys::hmac::HmacKeys;
use crate::keys::sets::KeySets;
use crate::keys::signing::SigningKeys;
use crate::outbound::{Outbound, Reply};

fn build_from(settings: &str, base: &Path) -> Result<Arc<dyn Scheme>, Vec<String>> {
    let context = Context {
        platform: "p",
        name: "introspection",
        reading: Reading::default(),
        base,
        signing: &SigningKeys::default(),
        hmac: &HmacKeys::default(),
        claims: &[],
        outbound: &Outbound::default(),
        key_sets: &KeySets::default(),
    };
    let mut problems = Vec::new();
    let settings = format!("from: [{{ authorization: Bearer }}]\n{settings}");
    let settings = Document::parse("c.yaml", &settings).unwrap();
    build(&context, &settings, &mut problems)
        .ok_or_else(|| problems.into_iter().map(|it| it.key).collect())
}

#[test]
fn an_endpoint_is_asked_as_somebody_over_https() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("s", "5eb63bbbe01e\n"), ("empty", ""), ("lines", "a\nb")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let client = "client_id: me\nclient_secret_file: s\n";
    let url = "url: https://idp.example.com/introspect?tenant=1\n";
    for (settings, wrong) in [
        (format!("{url}{client}"), ""),
        (format!("{url}bearer_token_file: s\n"), ""),
        (format!("{url}{client}keep_seconds: 0\n"), ""),
        (format!("{url}{client}keep_seconds: 3601\n"), "keep_seconds"),
        (
            format!("{url}{client}throttle: {{ failures: 0 }}\n"),
            "throttle.failures",
        ),
        (url.to_owned(), ""),
        (format!("{url}client_id: me\n"), ""),
        (format!("{url}{client}bearer_token_file: s\n"), ""),
        (
            format!("{url}client_id: me\nclient_secret_file: gone\n"),
            "client_secret_file",
        ),
        (
            format!("{url}client_id: me\nclient_secret_file: empty\n"),
            "client_secret_file",
        ),
        (
            format!("{url}bearer_token_file: lines\n"),
            "bearer_token_file",
        ),
        (format!("url: http://idp.example.com/\n{client}"), "url"),
        (client.to_owned(), "url"),
    ] {
        let one = settings.contains("client_secret_file") ^ settings.contains("bearer");
        let whole = settings.contains("url:") && one;
        match build_from(&settings, folder.path()) {
            Ok(scheme) => {
                assert!(wrong.is_empty() && whole, "{settings}");
                let shown = format!("{scheme:?}");
                assert!(!shown.contains("5eb63bbbe01e"), "{shown}");
            }
            Err(keys) => {
                assert!(!wrong.is_empty() || !whole, "{settings}");
                assert_eq!(keys, [wrong], "{settings}");
            }
        }
    }
}

#[test]
fn id_and_secret_are_encoded_before_they_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s"), "p:w %\n").unwrap();
    let text =
        "from: [{ query: t }]\nurl: https://x/\nclient_id: \"a b:ü\"\nclient_secret_file: s\n";
    let document = Document::parse("c.yaml", text).unwrap();
    let settings: Settings = document.read("", &mut Vec::new()).unwrap();
    let mut complain = |at: &str, message: &str| panic!("{at} {message}");
    let value = settings.authorization(folder.path(), &mut complain);
    // a+b%3A%C3%BC:p%3Aw+%25 (RFC 6749 §2.3.1, appendix B)
    let want = "Basic YStiJTNBJUMzJUJDOnAlM0F3KyUyNQ==";
    assert_eq!(value.unwrap().expose_str(), Some(want));
}

/// Authorino #652: an answer without a boolean `active` was a panic.
#[test]
fn only_active_decides_and_all_else_is_a_fault() {
    let inactive = || Err(Some(Reason::Unknown));
    let fault = || Err(None);
    for (status, body, want) in [
        (200, r#"{"active":true}"#, Ok(())),
        (200, r#"{"active":true,"exp":1}"#, Ok(())),
        (200, r#"{"active":false}"#, inactive()),
        (200, r#"{"active":false,"sub":"u-1"}"#, inactive()),
        (200, r#"{"active":"true"}"#, fault()),
        (200, r#"{"active":1}"#, fault()),
        (200, r#"{"active":null}"#, fault()),
        (200, "{}", fault()),
        (200, r#"{"sub":"u-1"}"#, fault()),
        (200, r#"{"active":{}}"#, fault()),
        (200, r#"{"active":[true]}"#, fault()),
        (200, r#"{"Active":true}"#, fault()),
        (200, r#"{"active":false,"active":true}"#, fault()),
        (200, r#"{"active":true,"sub":"a","sub":"b"}"#, fault()),
        (200, r#"{"active":true} {}"#, fault()),
        (200, r#"[{"active":true}]"#, fault()),
        (200, "true", fault()),
        (200, "", fault()),
        (200, "active=true", fault()),
        (201, r#"{"active":true}"#, fault()),
        (204, "", fault()),
        (302, r#"{"active":true}"#, fault()),
        (400, r#"{"error":"invalid_request"}"#, fault()),
        (401, r#"{"error":"invalid_client"}"#, fault()),
        (401, r#"{"active":false}"#, fault()),
        (403, "", fault()),
        (429, "", fault()),
        (500, r#"{"active":true}"#, fault()),
    ] {
        let reply = Reply {
            status,
            max_age: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let got = judge(&reply).map(|_| ()).map_err(|it| match it {
            Failure::Denied(denial) => Some(denial.reason()),
            Failure::Fault(fault) => {
                assert_eq!(fault.dependency(), Dependency::Introspection);
                None
            }
        });
        assert_eq!(got, want, "{status} {body}");
    }
}

#[test]
fn what_is_no_token_is_not_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s"), "secret").unwrap();
    let settings = "url: https://x/\nbearer_token_file: s\nkeep_seconds: 5\n";
    let scheme = build_from(settings, folder.path()).unwrap();
    assert_eq!(scheme.kept_at_most(), Some(Duration::from_secs(5)));
    for (token, want) in [
        ("Bearer a.b-c_d~e+f/9==", Ok(true)),
        ("Basic a", Ok(false)),
        ("Bearer =", Err(Reason::Malformed)),
        ("Bearer a=b", Err(Reason::Malformed)),
        ("Bearer a b", Err(Reason::Malformed)),
        ("Bearer a&token=b", Err(Reason::Malformed)),
    ] {
        let request = RequestView {
            headers: [("authorization", token.as_bytes())].into_iter().collect(),
            ..RequestView::default()
        };
        let got = scheme.decode(&request).map(|it| it.is_some());
        assert_eq!(got.map_err(|it| it.reason()), want, "{token}");
    }
}
