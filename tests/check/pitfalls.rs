//! The 28 pitfalls of credentials, each with what proves that nobody falls into it; and here those that go across
//! platforms, which no table of one platform's has.
//!
//! | pitfall | proof |
//! |---|---|
//! | 1 a public key taken for a secret | `envoy/forged.rs` (K12), `check/key_sets.rs` |
//! | 2 `none`, in whatever case | `envoy/attacks.rs` (K13) |
//! | 3 `kid` as a path, SQL, a URL, or unknown | `envoy/attacks.rs` (K14); here, that it is remembered |
//! | 4 `jku`, `x5u`, `x5c`, `jwk`, `crit` | `envoy/attacks.rs`, `envoy/forged.rs` (K15), `check/key_sets.rs` |
//! | 5 no `aud`, no `iss` | `envoy/forged.rs`, `src/scheme/jwt/tests.rs` |
//! | 6 `exp`, `nbf`, `iat` that are none | `envoy/attacks.rs` (K11), `src/scheme/jwt/tests.rs` |
//! | 7 a name twice in JSON | `envoy/attacks.rs`, `src/strict_json.rs` |
//! | 8 `Authorization` twice | `envoy/{crossbar,infobip,opentact}.rs` (I21); here, everywhere and in either form |
//! | 9 several credentials | `envoy/{tokens,opentact,infobip,mine}.rs` (K7, O5); here, side by side |
//! | 10 the scheme's word in another case | `envoy/crossbar.rs` (K6), `envoy/infobip.rs` (I8) |
//! | 11 spaces and tabs | `check/bad_input.rs`; here |
//! | 12 other spellings of one base64 | `envoy/infobip.rs` (I6, I7), `envoy/vectors.rs` (O2); here |
//! | 13 colons | `envoy/infobip.rs` (I2, I3) |
//! | 14 passwords beyond ASCII | `envoy/infobip.rs` (I5) |
//! | 15 NUL and control bytes | `envoy/infobip.rs` (I4), `check/bad_input.rs` |
//! | 16 how a query is read | `envoy/vectors.rs` (O4), `envoy/readings.rs`, `src/request/query.rs` |
//! | 17, 18 `X-Auth-Token` and `Bearer` mean other things elsewhere | `envoy/forged.rs` (K27 in `envoy/lives.rs`); here, all at all |
//! | 19 hashes: time, case, length | `envoy/crossbar.rs` (K2, K3), `envoy/vectors.rs` (O7), `src/scheme/basic.rs`, `src/credential.rs` |
//! | 20 unknown, wrong, disabled | `src/issue/tests.rs`, `envoy/logins.rs` |
//! | 21 whose address it is | `check/answers.rs` (I10), `envoy/advisories.rs` (heimdall #3436) |
//! | 22 identity headers of a client's own | `envoy/spoofs.rs`, `check/spoofs.rs`, `envoy/readings.rs` |
//! | 23 a credential that is told back | `check/answers.rs`, `envoy/logins.rs` (K23) |
//! | 24 what a verdict is remembered under | `src/credential.rs`, `check/answers.rs`, `envoy/twins.rs`, `envoy/redis.rs` |
//! | 25 401, 403, 429, 503 | `check/{answers,faults}.rs`, `faults.rs`, the golden bodies |
//! | 26 preflights | `envoy/crossbar.rs` (K28) |
//! | 27 a verb elsewhere than in the request line | `envoy/crossbar.rs`, `envoy/readings.rs` |
//! | 28 ids escaped in a path | `envoy/crossbar.rs`, `src/policy/path.rs` |
//!
//! Every vector has its number in the name of what tests it, but for K26, the value of `identity_sig`, which is
//! in `src/issue/crossbar/token.rs`, and I17, the hour of idleness, in `src/directory/sessions.rs`: no test waits for
//! an hour. None is left out as not applicable.

use crate::check::asking::{Ask, ask, clients};
use crate::support::issuers::{self, STRANGER, callifys, changed, johns};
use crate::support::sample::{
    ALADDIN, CALLIFY, CALLIFY_HA1B, CROSSBAR, CROSSBAR_SHA, DD2020, INFOBIP, JOHN_MD5, JOHN_SHA1,
    MINE, MY_ADMIN, MY_KEY, OPENTACT, SENDER_KEY,
};
use serde_json::json;

const JOHNS: &str = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";

/// Where a platform stands, and a request that anybody may make who is known there.
const PLATFORMS: [(&str, &str, &str); 5] = [
    (CROSSBAR, "GET", JOHNS),
    (CROSSBAR_SHA, "GET", JOHNS),
    (OPENTACT, "GET", "/rest/user"),
    (INFOBIP, "POST", "/sms/3/messages"),
    (MINE, "GET", "/orders/1"),
];

fn at((host, method, path): (&str, &str, &str)) -> Ask {
    Ask::new(host, method, path).header("x-forwarded-proto", "https")
}

/// A credential: where it is good, and the header or (with `?`) the parameter that it stands in.
type Held = (&'static str, &'static str, String);

fn held() -> Vec<Held> {
    let text = str::to_owned;
    vec![
        (CROSSBAR, "authorization", text(JOHN_MD5)),
        (CROSSBAR, "x-auth-token", issuers::CROSSBAR.token(&johns())),
        (CROSSBAR, "?auth_token", issuers::CROSSBAR.token(&johns())),
        (CROSSBAR_SHA, "authorization", text(JOHN_SHA1)),
        (OPENTACT, "authorization", text(CALLIFY)),
        (
            OPENTACT,
            "x-auth-token",
            issuers::OPENTACT.token(&callifys()),
        ),
        (OPENTACT, "?jwt", issuers::OPENTACT.token(&callifys())),
        (OPENTACT, "x-auth-ha1b-token", text(CALLIFY_HA1B)),
        (INFOBIP, "authorization", text(ALADDIN)),
        (INFOBIP, "authorization", text(DD2020)),
        (INFOBIP, "authorization", format!("App {SENDER_KEY}")),
        (INFOBIP, "?apiKey", text(SENDER_KEY)),
        (MINE, "x-my-key", text(MY_KEY)),
        (MINE, "?my-key", text(MY_KEY)),
    ]
}

fn present(request: Ask, (_, place, value): &Held) -> Ask {
    match place.strip_prefix('?') {
        None => request.header(place, value),
        Some(name) => {
            let separator = if request.path.contains('?') { '&' } else { '?' };
            let path = format!("{}{separator}{name}={value}", request.path);
            Ask { path, ..request }
        }
    }
}

/// 17, 18: what a credential is, the platform says, and never what it looks like or where it stands.
#[tokio::test]
async fn a_credential_is_good_on_its_own_platform_and_on_no_other() {
    let [client, _] = &mut clients().await;
    for credential in &held() {
        for platform in PLATFORMS {
            let answer = ask(client, present(at(platform), credential).mapped()).await;
            let want = if platform.0 == credential.0 { 200 } else { 401 };
            assert_eq!(
                answer.status, want,
                "{credential:?} at {}: {answer:?}",
                platform.0
            );
        }
    }
}

/// 17, 18: nor in the place where another platform, or another scheme of its own, has its credentials.
#[tokio::test]
async fn a_credential_is_good_in_its_own_place_and_in_no_other() {
    let [client, _] = &mut clients().await;
    let all = held();
    for (home, own, value) in &all {
        let platform = PLATFORMS
            .into_iter()
            .find(|it| it.0 == *home)
            .expect("a platform");
        let bare = value.split(' ').next_back().expect("a word");
        for (_, place, _) in &all {
            let elsewhere = all.iter().all(|it| it.0 != *home || it.1 != *place);
            for text in [value.as_str(), bare] {
                let moved = (*home, *place, text.replace(' ', "+"));
                let moved = if place.starts_with('?') {
                    moved
                } else {
                    (*home, *place, text.to_owned())
                };
                let answer = ask(client, present(at(platform), &moved).mapped()).await;
                assert!(
                    answer.status == 401 || !elsewhere,
                    "{own} {value} in {place} at {home}: {answer:?}"
                );
            }
        }
    }
}

/// 8: refused on every platform, on public paths too, whichever of the two is good, and however Envoy tells of it.
#[tokio::test]
async fn an_authorization_that_came_twice_is_refused_everywhere() {
    let public = [(CROSSBAR, "GET", "/v2/schemas"), (MINE, "GET", "/public/a")];
    let good = [JOHN_MD5, JOHN_SHA1, CALLIFY, ALADDIN, MY_ADMIN];
    for platform in PLATFORMS.into_iter().chain(public) {
        for [one, other] in good
            .map(|it| [it, it])
            .into_iter()
            .chain(good.map(|it| [it, "Bearer b"]))
            .chain(good.map(|it| ["Basic a", it]))
        {
            let twice = at(platform)
                .header("authorization", one)
                .header("Authorization", other);
            let merged = at(platform).header("authorization", format!("{one}, {other}"));
            for client in &mut clients().await {
                for message in [
                    twice.mapped(),
                    twice.listed(),
                    merged.mapped(),
                    merged.listed(),
                ] {
                    let answer = ask(client, message).await;
                    let told = (answer.status, answer.metadata["reason"].as_str());
                    assert_eq!(told, (401, "malformed"), "{} {one} {other}", platform.0);
                }
            }
        }
    }
}

/// 9: each platform's rule, side by side: the first counts, all must agree, or there may be but one.
#[tokio::test]
async fn several_credentials_count_as_each_platform_says() {
    let [client, _] = &mut clients().await;
    let token = issuers::CROSSBAR.token(&johns());
    let bad = "Basic bm9ib2R5Om5vYm9keQ==";
    let callify = issuers::OPENTACT.token(&callifys());
    let another = issuers::OPENTACT.token(&changed(callifys(), json!({ "uuid": "u-username" })));
    let cases = [
        (
            PLATFORMS[0],
            "x-auth-token",
            token.as_str(),
            JOHN_MD5,
            200,
            "jwt",
        ),
        (PLATFORMS[0], "x-auth-token", &token, bad, 200, "jwt"),
        (PLATFORMS[0], "x-auth-token", "a.b.c", JOHN_MD5, 401, ""),
        (PLATFORMS[2], "x-auth-token", &callify, CALLIFY, 200, "jwt"),
        (
            PLATFORMS[2],
            "x-auth-token",
            &another,
            CALLIFY,
            401,
            "conflict",
        ),
        (PLATFORMS[2], "x-auth-token", &callify, bad, 401, ""),
        (
            PLATFORMS[2],
            "x-auth-ha1b-token",
            CALLIFY_HA1B,
            CALLIFY,
            200,
            "basic",
        ),
        (
            PLATFORMS[3],
            "?apiKey",
            SENDER_KEY,
            ALADDIN,
            401,
            "conflict",
        ),
        (PLATFORMS[3], "?apiKey", SENDER_KEY, bad, 401, "conflict"),
        (PLATFORMS[4], "x-my-key", MY_KEY, MY_ADMIN, 401, "conflict"),
    ];
    for (platform, place, value, authorization, status, told) in cases {
        let held = (platform.0, place, value.to_owned());
        let request = present(at(platform), &held).header("authorization", authorization);
        let answer = ask(client, request.mapped()).await;
        assert_eq!(
            answer.status, status,
            "{held:?} {authorization}: {answer:?}"
        );
        let word = if status == 200 { "scheme" } else { "reason" };
        let is_told = told.is_empty() || answer.metadata[word] == told;
        assert!(is_told, "{held:?} {authorization}: {answer:?}");
    }
}

/// 11, 12: one credential has one spelling, so nothing is remembered under another.
#[tokio::test]
async fn a_basic_credential_has_one_spelling() {
    let [client, _] = &mut clients().await;
    // `username:password` ends in a digit with four bits over.
    let username = "Basic dXNlcm5hbWU6cGFzc3dvcmQ=";
    for (platform, good) in [
        (PLATFORMS[0], JOHN_MD5),
        (PLATFORMS[2], username),
        (PLATFORMS[3], ALADDIN),
    ] {
        let encoded = good.strip_prefix("Basic ").expect("Basic");
        let spelled = |text: String| at(platform).header("authorization", text);
        for fine in [
            good.to_owned(),
            format!("basic {encoded}"),
            format!("Basic   {encoded}"),
            format!("{good} "),
        ] {
            let answer = ask(client, spelled(fine.clone()).mapped()).await;
            assert_eq!(answer.status, 200, "{fine:?}: {answer:?}");
        }
        let mut bad = vec![
            format!("Basic\t{encoded}"),
            format!("Basic \t{encoded}"),
            format!("Basic {encoded}\t"),
            format!("Basic{encoded}"),
            format!("Basic: {encoded}"),
            format!("Basic={encoded}"),
            format!("Basic {encoded}v"),
            format!("Basic {encoded}="),
            format!("Basic {encoded} {encoded}"),
            format!("Basic \"{encoded}\""),
            format!("Basic {}\r\n{}", &encoded[..8], &encoded[8..]),
            format!("Basic {} {}", &encoded[..8], &encoded[8..]),
        ];
        let unpadded = encoded.trim_end_matches('=');
        if unpadded != encoded {
            bad.push(format!("Basic {unpadded}"));
        }
        if let Some(rest) = unpadded.strip_suffix('Q').filter(|_| unpadded != encoded) {
            bad.push(format!("Basic {rest}R{}", &encoded[unpadded.len()..]));
        }
        for bad in bad {
            let answer = ask(client, spelled(bad.clone()).mapped()).await;
            assert_eq!(answer.status, 401, "{bad:?}: {answer:?}");
            assert_eq!(answer.metadata["cache"], "none", "{bad:?}: {answer:?}");
        }
    }
}

/// I22: what is longer than any credential is refused before it is decoded, wherever one may stand.
#[tokio::test]
async fn what_is_longer_than_any_credential_is_refused_before_it_is_looked_at() {
    let [client, _] = &mut clients().await;
    let long = "A".repeat(64 * 1024);
    let dots = format!("{}{}", "a.".repeat(10), "a");
    for (home, place, value) in held() {
        let platform = PLATFORMS
            .into_iter()
            .find(|it| it.0 == home)
            .expect("a platform");
        let word = value
            .split_once(' ')
            .map_or(String::new(), |it| format!("{} ", it.0));
        for (text, reason) in [
            (format!("{word}{long}"), "too_large"),
            (format!("{word}{dots}"), ""),
        ] {
            let held = (home, place, text);
            let answer = ask(client, present(at(platform), &held).listed()).await;
            assert_eq!(answer.status, 401, "{place} at {home}: {answer:?}");
            if !reason.is_empty() {
                assert_eq!(answer.metadata["reason"], reason, "{place} at {home}");
                assert_eq!(answer.metadata["cache"], "none", "{place} at {home}");
            }
        }
    }
}

/// 3, K14: a name that no key has leads nowhere, and that is remembered for whoever presents it again.
#[tokio::test]
async fn a_token_under_an_unknown_key_is_refused_from_memory_the_second_time() {
    let [client, _] = &mut clients().await;
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "nobody-has-this" }).to_string();
    let token = STRANGER.sign(&header, &johns().to_string());
    for cache in ["miss", "hit"] {
        let request = at(PLATFORMS[0]).header("x-auth-token", &token);
        let answer = ask(client, request.mapped()).await;
        let told = (
            answer.status,
            answer.metadata["reason"].as_str(),
            answer.metadata["cache"].as_str(),
        );
        assert_eq!(told, (401, "unknown", cache));
    }
}
