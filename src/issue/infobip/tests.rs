//! How many guesses at a user's password one client has, whichever way it presents them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::clock::Clock;
use crate::config::Config;
use crate::context;
use crate::decision::Failure;
use crate::directory::file::DirectoryFile;
use crate::document::Document;
use crate::request::RequestView;
use crate::serve::opening::{Opened, open};
use crate::telemetry::Metrics;
use crate::trace::Untraced;

const CONFIG: &str = "
listen: { grpc: [\"127.0.0.1:0\"], issue: \"127.0.0.1:0\" }
client_address: { from: peer }
platforms: [{ name: infobip, preset: infobip, hosts: [\"*\"], throttle: { bucket: null } }]
";

const DIRECTORY: &str = "
infobip:
  users: [{ id: u-1, username: john@example.com, password: right }]
";

/// A way to present a name and a password.
#[derive(Clone, Copy, Debug)]
enum Way {
    Basic,
    OAuth2,
    Session,
}

const WAYS: [Way; 3] = [Way::Basic, Way::OAuth2, Way::Session];

async fn opened() -> Opened {
    let config = Config::parse("c.yaml", CONFIG, "/".as_ref(), |_| None).unwrap();
    let document = Document::parse("d.yaml", DIRECTORY).unwrap();
    let file = DirectoryFile::parse(&document, &["infobip"]).unwrap();
    let clock = Clock::from_fn(|| UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let opened = open(
        config,
        Some(file),
        clock,
        &Arc::new(Metrics::default()),
        None,
    )
    .await;
    opened.unwrap()
}

/// Presents the name with a password; gives the status.
async fn attempt(opened: &Opened, way: Way, name: &str, password: &str) -> u16 {
    let basic = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{name}:{password}"))
    );
    let (method, path, authorization) = match way {
        Way::Basic => ("GET", "/account/1/balance", Some(&basic)),
        Way::OAuth2 => ("POST", "/auth/1/oauth2/token", None),
        Way::Session => ("POST", "/auth/1/session", None),
    };
    let view = RequestView {
        method,
        authority: "any.example",
        path,
        headers: authorization
            .map(|it| ("authorization", it.as_bytes()))
            .into_iter()
            .collect(),
        peer: "192.0.2.1".parse().ok(),
        ..RequestView::default()
    };
    let decision = opened.gate.decide(&view, &Untraced).await;
    let (kind, body) = match way {
        Way::Basic => {
            return match decision.verdict {
                Err(Failure::Denied(denial)) => denial.status(),
                other => panic!("{other:?}"),
            };
        }
        Way::OAuth2 => (
            "application/x-www-form-urlencoded",
            format!("grant_type=client_credentials&client_id={name}&client_secret={password}"),
        ),
        Way::Session => (
            "application/json",
            format!(r#"{{"username":"{name}","password":"{password}"}}"#),
        ),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(context::HEADER, decision.context.unwrap())
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    let answer = crate::issue::answer(State(opened.issuing.clone().into()), request).await;
    answer.status().as_u16()
}

/// Spells the user's name anew, the same way for the same number.
fn spelling(number: usize) -> String {
    let spell = |(index, letter): (usize, char)| match number >> index & 1 {
        1 => letter.to_ascii_uppercase(),
        _ => letter,
    };
    let letters = "johnexamplecom".chars().enumerate().map(spell);
    let letters: String = letters.collect();
    format!("{}@{}.{}", &letters[..4], &letters[4..11], &letters[11..])
}

#[tokio::test]
async fn a_name_has_one_limit_in_whatever_case_and_way_it_is_guessed_at() {
    for way in WAYS {
        let opened = opened().await;
        for number in 0..20 {
            let name = spelling(number);
            let status = attempt(&opened, way, &name, "wrong").await;
            assert_eq!(status, 401, "{way:?} {name}");
        }
        for then in WAYS {
            let name = spelling(20);
            let status = attempt(&opened, then, &name, "right").await;
            assert_eq!(status, 429, "{way:?}, then {then:?} {name}");
        }
        let status = attempt(&opened, way, "jane@example.com", "wrong").await;
        assert_eq!(status, 401, "{way:?}, of somebody else");
    }
}
