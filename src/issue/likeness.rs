//! Who exists is not told, by words or by time: whoever does not get in is refused after the same work.

use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};

use super::*;
use crate::platform::refusal::{Asked, Circumstances, Refusal};

const CONFIG: &str = "
listen: { grpc: [\"127.0.0.1:0\"], issue: \"127.0.0.1:0\" }
client_address: { from: peer }
platforms:
  - { name: infobip, preset: infobip, hosts: [infobip.example], https: off, throttle: { bucket: null } }
  - { name: opentact, preset: opentact, hosts: [opentact.example], https: off }
  - { name: crossbar, preset: crossbar, hosts: [crossbar.example] }
  - name: sha1
    preset: crossbar
    hosts: [sha1.example]
    schemes: { basic: { form: sha1 } }
";

const ACCOUNT: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";

/// An account that there is not.
const NOBODYS: &str = "00000000000000000000000000000001";

fn directory() -> String {
    let users = "
  users:
    - { id: u-1, account: ACCOUNT, username: john@example.com, password: right }
    - { id: u-2, account: ACCOUNT, username: gone@example.com, password: right, enabled: false }
";
    let names = ["infobip", "opentact", "crossbar", "sha1"];
    let all = names.map(|it| format!("{it}:\n  accounts: [{{ id: ACCOUNT }}]{users}"));
    all.concat().replace("ACCOUNT", ACCOUNT)
}

/// What a refusal showed and cost.
#[derive(Debug, Eq, PartialEq)]
struct Told {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    gets: u64,
    hashed: u64,
}

async fn bench() -> Bench {
    Bench::open(CONFIG, &directory(), Path::new(".")).await
}

/// Presents two halves of `Basic`.
async fn present(bench: &Bench, platform: &str, path: &str, basic: &str) -> Told {
    let (gets, hashed) = (bench.gets(), bench.hashed());
    let host = format!("{platform}.example");
    let view = RequestView {
        method: "GET",
        authority: &host,
        path,
        headers: [("authorization", basic.as_bytes())].into_iter().collect(),
        peer: Some(address(1)),
        ..RequestView::default()
    };
    let decision = bench.opened.gate.decide(&view, &Untraced).await;
    let Err(Failure::Denied(denial)) = &decision.verdict else {
        panic!("{platform}: {:?}", decision.verdict);
    };
    let circumstances = Circumstances {
        decision_id: "1".to_owned(),
        instance: "1".to_owned(),
        now: UNIX_EPOCH,
        number: 1,
    };
    let asked = Asked {
        path,
        ..Asked::default()
    };
    let platform = decision.platform.as_deref();
    let written = Refusal::of_denial(denial).write(platform, asked, &circumstances);
    Told {
        status: written.status,
        headers: written.headers,
        body: written.body,
        gets: bench.gets() - gets,
        hashed: bench.hashed() - hashed,
    }
}

/// Logs in at an endpoint of `infobip`.
async fn log_in(bench: &Bench, path: &str, kind: &str, body: String) -> Told {
    let view = RequestView {
        method: "POST",
        authority: "infobip.example",
        path,
        peer: Some(address(1)),
        ..RequestView::default()
    };
    let decision = bench.opened.gate.decide(&view, &Untraced).await;
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header(context::HEADER, decision.context.unwrap())
        .header("x-request-id", "1")
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    let (gets, hashed) = (bench.gets(), bench.hashed());
    let answer = crate::issue::answer(State(bench.opened.issuing.clone().into()), request).await;
    let (gets, hashed) = (bench.gets() - gets, bench.hashed() - hashed);
    let headers = answer.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let (headers, status) = (headers.collect(), answer.status().as_u16());
    let body = to_bytes(answer.into_body(), 65536).await.unwrap();
    Told {
        status,
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
        gets,
        hashed,
    }
}

/// Who does not get in, by name and password; the disabled user's is right, and comes twice, when the
/// first answer is remembered no more.
const CASES: [(&str, &str, &str); 4] = [
    ("unknown", "nobody@example.com", "right"),
    ("wrong", "john@example.com", "wrong"),
    ("disabled", "gone@example.com", "right"),
    ("disabled, again", "gone@example.com", "right"),
];

#[track_caller]
fn expect_alike(way: &str, told: &[(&str, Told)], hashes: u64) {
    let first = &told[0].1;
    assert_eq!(
        (first.status, first.hashed),
        (401, hashes),
        "{way}: {first:?}"
    );
    assert!(first.gets > 0, "{way}: {first:?}");
    for (case, it) in told {
        assert_eq!(it, first, "{way}: {case}");
    }
}

#[tokio::test]
async fn whoever_fails_with_basic_is_told_the_same_after_the_same_reads_and_hashes() {
    for (platform, path) in [
        ("infobip", "/account/1/balance"),
        ("opentact", "/rest/messages"),
        ("opentact", "/rest/auth"),
    ] {
        let bench = bench().await;
        let mut told = Vec::new();
        for (case, name, password) in CASES {
            let credential = basic(name, password);
            told.push((case, present(&bench, platform, path, &credential).await));
            bench.pass(6);
        }
        expect_alike(&format!("{platform} {path}"), &told, 1);
    }
}

#[tokio::test]
async fn whoever_fails_with_a_hash_is_told_the_same_after_the_same_reads() {
    use crate::directory::names::user_hash;
    let bench = bench().await;
    for platform in ["crossbar", "sha1"] {
        let mut told = Vec::new();
        for (case, name, password) in CASES {
            let password = Secret::new(password.as_bytes());
            let hash = match platform {
                "crossbar" => user_hash::<md5::Md5>(name, &password),
                _ => user_hash::<sha1::Sha1>(name, &password),
            };
            let credential = basic(ACCOUNT, hash.expose_str().unwrap());
            let path = format!("/v2/accounts/{ACCOUNT}");
            told.push((case, present(&bench, platform, &path, &credential).await));
            bench.pass(6);
        }
        expect_alike(platform, &told, 0);
    }
}

#[tokio::test]
async fn whoever_fails_to_log_in_is_told_the_same_after_the_same_reads_and_hashes() {
    let bench = bench().await;
    for (path, kind) in [
        ("/auth/1/session", "application/json"),
        ("/auth/1/oauth2/token", "application/x-www-form-urlencoded"),
    ] {
        let mut told = Vec::new();
        for (case, name, password) in CASES {
            let body = match kind {
                "application/json" => {
                    format!(r#"{{"username":"{name}","password":"{password}"}}"#)
                }
                _ => format!(
                    "grant_type=client_credentials&client_id={name}&client_secret={password}"
                ),
            };
            told.push((case, log_in(&bench, path, kind, body).await));
        }
        expect_alike(path, &told, 1);
    }
}

/// How many pairs are timed where a password is hashed, and where none is. They come in turns, so that what else the machine
/// does falls on both.
const PAIRS: [usize; 2] = [25, 400];

/// The middle of what was measured, in seconds.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Demands that differences of pairs are none that could be measured: their median is within four of its standard errors
/// of 0, or within a tenth of what one of them takes, which is less than other work on the machine adds. A median and
/// the median of deviations from it, because a few of them were always interrupted.
fn expect_no_difference(way: &str, differences: Vec<f64>, times: Vec<f64>) {
    let count = differences.len() as f64;
    let (difference, time) = (median(differences.clone()), median(times));
    let deviation = median(
        differences
            .into_iter()
            .map(|it| (it - difference).abs())
            .collect(),
    );
    // For a normal distribution: 1.4826 makes a standard deviation of it, and 1.2533 is the median's error by that.
    let error = 1.4826 * 1.2533 * deviation / count.sqrt();
    assert!(
        difference.abs() < (4.0 * error).max(time / 10.0),
        "{way}: {difference} s of {time} s, where {error} s are by chance"
    );
}

#[test]
fn a_difference_that_can_be_measured_is_found_and_noise_is_none() {
    let noise = |number: usize| f64::from(u8::try_from(number * 37 % 100).unwrap()) / 100.0 - 0.5;
    let differences = |by: f64| (0..100).map(|it| by + noise(it)).collect::<Vec<_>>();
    expect_no_difference("noise", differences(0.0), vec![1.0; 100]);
    expect_no_difference("a small one", differences(0.09), vec![1.0; 100]);
    let found = |by: f64| {
        let judged = move || expect_no_difference("", differences(by), vec![1.0; 100]);
        std::panic::catch_unwind(judged).is_err()
    };
    assert!(found(1.0) && found(-1.0) && found(0.5));
}

/// The counts above are sharper; this sees what they do not count.
#[tokio::test]
async fn the_times_of_unknown_and_wrong_do_not_differ_by_what_can_be_measured() {
    for (platform, path, pairs) in [
        ("infobip", "/account/1/balance", PAIRS[0]),
        ("opentact", "/rest/auth", PAIRS[0]),
        (
            "crossbar",
            "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b",
            PAIRS[1],
        ),
    ] {
        let bench = bench().await;
        let (mut differences, mut times) = (Vec::new(), Vec::new());
        for number in 0..pairs {
            let mut took = [0.0; 2];
            // Either first, in turn.
            for which in [number % 2, 1 - number % 2] {
                let credential = match platform {
                    "crossbar" => basic([NOBODYS, ACCOUNT][which], &format!("{number:032x}")),
                    _ => basic(
                        ["nobody@example.com", "john@example.com"][which],
                        &format!("{number}"),
                    ),
                };
                let begun = Instant::now();
                let told = present(&bench, platform, path, &credential).await;
                took[which] = begun.elapsed().as_secs_f64();
                assert_eq!(told.status, 401, "{told:?}");
            }
            differences.push(took[0] - took[1]);
            times.push(took[0].max(took[1]));
            // So that no limit on guesses is reached.
            bench.pass(60);
        }
        expect_no_difference(platform, differences, times);
    }
}
