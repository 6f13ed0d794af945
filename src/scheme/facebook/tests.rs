//! What Graph's answers come to, and whom its word lets in.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::directory::bench::{Bench, START};
use crate::directory::records::{Account, Link, User};
use crate::keys::hmac::HmacKeys;
use crate::keys::sets::KeySets;
use crate::keys::signing::SigningKeys;
use crate::outbound::{Outbound, Reply};
use crate::request::query::Query;

const APP: &str = "1234567890123456";

fn build_from(settings: &str, base: &Path) -> Result<Arc<dyn Scheme>, Vec<String>> {
    let context = Context {
        platform: "p",
        name: "facebook",
        reading: Reading::default(),
        base,
        signing: &SigningKeys::default(),
        hmac: &HmacKeys::default(),
        claims: &[],
        outbound: &Outbound::default(),
        key_sets: &KeySets::default(),
    };
    let mut problems = Vec::new();
    let settings = format!("from: [{{ header: x-fb }}, {{ query: fb }}]\n{settings}");
    let settings = Document::parse("c.yaml", &settings).unwrap();
    build(&context, &settings, &mut problems)
        .ok_or_else(|| problems.into_iter().map(|it| it.key).collect())
}

#[test]
fn an_app_is_an_id_and_a_secret_or_none_and_then_every_token_is_refused_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("s"),
        "5eb63bbbe01eeed093cb22bb8f5acdc3\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let app = "app_id: \"1\"\napp_secret_file: s\n";
    for (settings, wrong, warns) in [
        ("", "", true),
        (app, "", false),
        ("app_id: \"1\"\n", "/", false),
        ("app_secret_file: s\n", "/", false),
        ("app_id: one\napp_secret_file: s\n", "app_id", false),
        (
            "app_id: \"1\"\napp_secret_file: gone\n",
            "app_secret_file",
            false,
        ),
        (
            "app_id: \"1\"\napp_secret_file: empty\n",
            "app_secret_file",
            false,
        ),
        ("graph_url: http://graph.example.com\n", "graph_url", false),
        (
            "graph_url: https://graph.example.com/?a=b\n",
            "graph_url",
            false,
        ),
        ("graph: x\n", "graph", false),
        ("leeway_seconds: 61\n", "leeway_seconds", false),
        ("calls_per_second: 0\n", "calls_per_second", false),
        ("calls_per_second: 10001\n", "calls_per_second", false),
        ("throttle: { failures: 0 }\n", "throttle.failures", false),
        (
            "throttle: { window_seconds: 86401 }\n",
            "throttle.window_seconds",
            false,
        ),
        ("throttle: { bucket: null }\n", "throttle.bucket", false),
    ] {
        match build_from(settings, folder.path()) {
            Ok(scheme) => {
                assert_eq!(wrong, "", "{settings}");
                assert_eq!(scheme.warning().is_some(), warns, "{settings}");
                assert_eq!(scheme.budget().is_none(), warns, "{settings}");
                let shown = format!("{scheme:?}");
                assert!(!shown.contains("5eb63bbb"), "{shown}");
            }
            Err(keys) => assert_eq!(keys, [wrong.trim_matches('/')], "{settings}"),
        }
    }
}

#[test]
fn only_what_can_be_a_users_token_is_asked_about() {
    let scheme = build_from("", Path::new("/")).unwrap();
    let longest = "E".repeat(MAX_TOKEN_BYTES);
    let longer = format!("{longest}E");
    for (token, want) in [
        ("EAABsbCS1iHgBAKZD-_9", Ok(true)),
        (&longest, Ok(true)),
        (&longer, Err(Reason::Malformed)),
        ("", Ok(false)),
        ("1234|secret", Err(Reason::Malformed)),
        ("EAAB EAAB", Err(Reason::Malformed)),
        ("EAAB&access_token=x", Err(Reason::Malformed)),
        ("EAAB%26", Err(Reason::Malformed)),
    ] {
        let request = RequestView {
            headers: [("x-fb", token.as_bytes())].into_iter().collect(),
            query: Query::parse(""),
            ..RequestView::default()
        };
        let got = scheme.decode(&request).map(|it| it.is_some());
        assert_eq!(got.map_err(|it| it.reason()), want, "{token}");
    }
}

#[test]
fn only_what_graph_says_plainly_of_the_token_is_a_denial() {
    let now = 1_700_000_000;
    let vouched = |user: &str, expires| {
        let user = user.to_owned();
        Ok(Vouched { user, expires })
    };
    let (unknown, expired) = (|| Err(Some(Reason::Unknown)), || Err(Some(Reason::Expired)));
    let fault = || Err(None);
    let invalid = r#"{"data":{"error":{"code":190,"message":"Cannot parse access token"},"is_valid":false,"scopes":[]}}"#;
    for (status, body, want) in [
        // As documented, and as it was once.
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","type":"USER","application":"Mine","data_access_expires_at":1,"expires_at":1700000001,"is_valid":true,"scopes":["email"],"granular_scopes":[{"scope":"email","target_ids":["1"]}],"user_id":"100"}}"#,
            vouched("100", Some(1_700_000_001)),
        ),
        (
            200,
            r#"{"data":{"app_id":1234567890123456,"expires_at":0,"is_valid":true,"user_id":100}}"#,
            vouched("100", None),
        ),
        // O9
        (
            200,
            r#"{"data":{"app_id":"1234567890123457","expires_at":0,"is_valid":true,"user_id":"100"}}"#,
            unknown(),
        ),
        (
            200,
            r#"{"data":{"app_id":12345678901234567,"expires_at":0,"is_valid":true,"user_id":"100"}}"#,
            unknown(),
        ),
        (
            200,
            r#"{"data":{"expires_at":0,"is_valid":true,"user_id":"100"}}"#,
            unknown(),
        ),
        (
            400,
            r#"{"error":{"message":"(#100) The App_id in the input_token did not match the Viewing App","type":"OAuthException","code":100}}"#,
            unknown(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","type":"PAGE","expires_at":0,"is_valid":true,"user_id":"100","profile_id":"7"}}"#,
            unknown(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":0,"is_valid":true}}"#,
            unknown(),
        ),
        (200, invalid, unknown()),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":1700000000,"is_valid":false}}"#,
            expired(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":1700000000,"is_valid":true,"user_id":"100"}}"#,
            expired(),
        ),
        // Not about the token.
        (
            400,
            r#"{"error":{"message":"Invalid OAuth access token.","type":"OAuthException","code":190}}"#,
            fault(),
        ),
        (
            400,
            r#"{"error":{"message":"(#100) You must provide an app access token","type":"OAuthException","code":100}}"#,
            fault(),
        ),
        (
            400,
            r#"{"error":{"message":"(#4) Application request limit reached","code":4,"is_transient":true}}"#,
            fault(),
        ),
        (403, r#"{"error":{"code":17}}"#, fault()),
        (400, r#"{"error":{"code":32}}"#, fault()),
        (400, r#"{"error":{"code":613}}"#, fault()),
        (200, r#"{"error":{"code":1}}"#, fault()),
        (
            200,
            r#"{"data":{"error":{"code":4},"is_valid":false}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"error":{"code":190,"is_transient":true},"is_valid":false}}"#,
            fault(),
        ),
        (429, invalid, fault()),
        (500, invalid, fault()),
        (302, invalid, fault()),
        (204, "", fault()),
        (401, invalid, fault()),
        (404, "<html>", fault()),
        (200, "", fault()),
        (200, "true", fault()),
        (200, r#"{"data":[]}"#, fault()),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":0,"is_valid":"true","user_id":"100"}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":0,"user_id":"100"}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":"0","is_valid":true,"user_id":"100"}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","is_valid":true,"user_id":"100"}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":0,"is_valid":true,"user_id":["100"]}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":0,"is_valid":true,"user_id":""}}"#,
            fault(),
        ),
        (
            200,
            r#"{"data":{"app_id":"1234567890123456","expires_at":0,"is_valid":false,"is_valid":true,"user_id":"100"}}"#,
            fault(),
        ),
    ] {
        let reply = Reply {
            status,
            max_age: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let got = judge(&reply, APP, now).map_err(|it| match it {
            Failure::Denied(denial) => Some(denial.reason()),
            Failure::Fault(_) => None,
        });
        assert_eq!(got, want, "{status} {body}");
    }
}

#[tokio::test]
async fn a_subject_of_the_app_is_the_one_user_who_is_linked_to_it() {
    let bench = Bench::new();
    let issuer = format!("facebook:{APP}");
    let account = Account {
        id: "a1".into(),
        expires: Some(START + 50),
        ..Account::default()
    };
    bench.directory.put_account("p", &account).await.unwrap();
    for (id, subjects, disabled) in [
        ("u1", &["100", "101"][..], false),
        ("u2", &["102", "200"], false),
        ("u3", &["200"], false),
        ("u4", &["103"], true),
    ] {
        let link = |it: &&str| Link {
            issuer: issuer.clone(),
            subject: (*it).to_owned(),
        };
        let user = User {
            id: id.into(),
            account: Some("a1".into()),
            links: subjects.iter().map(link).collect(),
            disabled,
            ..User::default()
        };
        bench.directory.put_user("p", &user).await.unwrap();
    }
    for (issuer, subject, want) in [
        (&*issuer, "100", Ok("u1")),
        (&issuer, "101", Ok("u1")),
        (&issuer, "102", Ok("u2")),
        (&issuer, "103", Err(Reason::Disabled)),
        (&issuer, "200", Err(Reason::Conflict)),
        (&issuer, "10", Err(Reason::Unknown)),
        ("facebook:1", "100", Err(Reason::Unknown)),
        ("google", "100", Err(Reason::Unknown)),
    ] {
        let reads = bench.reads("p");
        let got = open_linked(&"p".into(), &"facebook".into(), (issuer, subject), &reads).await;
        let got = got.map(|it| it.user.unwrap()).map_err(|it| match it {
            Failure::Denied(denial) => denial.reason(),
            Failure::Fault(fault) => panic!("{fault}"),
        });
        assert_eq!(got, want.map(str::to_owned), "{issuer} {subject}");
    }
    let reads = bench.reads("other");
    assert!(
        open_linked(
            &"other".into(),
            &"facebook".into(),
            (&issuer, "100"),
            &reads
        )
        .await
        .is_err()
    );
}
