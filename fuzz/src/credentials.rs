//! Whole requests, decided: nobody is let in but with a credential that is good, or where anybody is.
//!
//! The oracle knows which texts are good and where they may stand, and nothing of how they are read.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use portcullis::context;
use portcullis::envoy::protos::auth::{CheckResponse, OkHttpResponse};
use portcullis::request::folds_to;
use portcullis::request::query::{Query, decode_parameter};

use super::world::{Planted, World};
use super::{HttpResponse, Plain, message};

/// What upstreams believe of us.
const IDENTITY: [&str; 9] = [
    "x-auth-platform",
    "x-auth-account",
    "x-auth-user",
    "x-auth-username",
    "x-auth-scheme",
    "x-auth-scopes",
    "x-auth-roles",
    "x-auth-expires",
    context::HEADER,
];

/// Where each platform reads credentials: headers, and parameters of the query.
const PLACES: [(&str, &[&str], &[&str]); 5] = [
    (
        "crossbar",
        &["authorization", "x-auth-token"],
        &["auth_token", "authorization"],
    ),
    (
        "opentact",
        &[
            "authorization",
            "x-auth-token",
            "x-auth-google-token",
            "x-auth-ha1b-token",
            "x-auth-facebook-token",
        ],
        &["jwt", "google_token", "ha1b", "facebook_token"],
    ),
    ("infobip", &["authorization"], &["apiKey"]),
    ("lenient", &["authorization"], &["apiKey"]),
    ("mine", &["authorization", "x-my-key"], &["my-key", "jwt"]),
];

thread_local! {
    static WORLD: World = World::new();
}

pub(super) fn run(bytes: &[u8]) {
    let Some(mut plain) = Plain::parse(bytes) else {
        return;
    };
    WORLD.with(|world| {
        put_issued(world, &mut plain);
        judge(world, &plain, &world.check(message(&plain)));
    });
}

/// Puts in what is new in each run: `{token}` is the next that was issued to the platform.
fn put_issued(world: &World, plain: &mut Plain) {
    let platform = plain
        .platform
        .split('.')
        .next()
        .unwrap_or_default()
        .to_owned();
    for planted in world.planted().filter(|it| it.platform == platform) {
        let marked = format!("{{{}}}", planted.scheme);
        plain.target = plain.target.replace(&marked, &planted.text);
        for header in &mut plain.headers {
            if let Ok(text) = str::from_utf8(&header.1) {
                header.1 = text.replace(&marked, &planted.text).into_bytes();
            }
        }
    }
}

pub(crate) fn judge(world: &World, plain: &Plain, response: &CheckResponse) {
    let code = response.status.as_ref().map_or(0, |it| it.code);
    match response.http_response.as_ref().expect("an answer") {
        HttpResponse::OkResponse(allowed) => {
            assert_eq!(code, 0);
            let platform = header(allowed, "x-auth-platform").expect("always set");
            is_vouched_for(world, plain, response, allowed, platform);
            is_clean(plain, allowed, platform);
        }
        HttpResponse::DeniedResponse(denied) => {
            let status = denied.status.as_ref().map_or(0, |it| it.code);
            assert_ne!(code, 0, "a denial that Envoy takes for an allow");
            assert!(
                (300..500).contains(&status),
                "{status}: a fault, or no denial"
            );
        }
    }
}

fn header<'a>(allowed: &'a OkHttpResponse, name: &str) -> Option<&'a str> {
    let headers = allowed.headers.iter().filter_map(|it| it.header.as_ref());
    let mut found = headers.filter(|it| it.key.eq_ignore_ascii_case(name));
    let first = found.next().map(|it| it.value.as_str());
    assert!(found.next().is_none(), "{name} is set twice");
    first
}

/// Who is told to the upstream has presented what is good, from where it is.
fn is_vouched_for(
    world: &World,
    plain: &Plain,
    response: &CheckResponse,
    allowed: &OkHttpResponse,
    platform: &str,
) {
    let (scheme, account) = (
        header(allowed, "x-auth-scheme"),
        header(allowed, "x-auth-account"),
    );
    let user = header(allowed, "x-auth-user");
    let Some(scheme) = scheme else {
        assert_eq!((account, user), (None, None), "nobody has no name");
        let rule = said(response, "rule").expect("a rule");
        assert!(
            world.is_public(platform, &rule),
            "{platform}: {rule} lets in nobody"
        );
        return;
    };
    let presented = presented(plain);
    let peer = plain.peer.parse().ok();
    let is_it = |it: &&Planted| {
        let same = (it.platform, it.scheme, Some(it.account), it.user);
        same == (platform, scheme, account, user)
            && (it.is_from)(peer)
            && presented.iter().any(|text| is_same(text, &it.text))
    };
    let is_good = world.planted().find(is_it).is_some();
    assert!(
        is_good,
        "{platform}: {scheme} of {account:?}, {user:?} was not presented"
    );
}

/// Whether a text is the good one. Who logs in by an e-mail address may write it in either case.
fn is_same(presented: &[u8], good: &str) -> bool {
    let Some((name, password)) = good.split_once(':') else {
        return presented == good.as_bytes();
    };
    let Ok(presented) = str::from_utf8(presented) else {
        return false;
    };
    let parts = presented.split_once(':');
    parts.is_some_and(|it| {
        let same = it.0 == name || (name.contains('@') && it.0.eq_ignore_ascii_case(name));
        same && it.1 == password
    })
}

fn said(response: &CheckResponse, key: &str) -> Option<String> {
    let value = response.dynamic_metadata.as_ref()?.fields.get(key)?;
    match value.kind.as_ref()? {
        prost_types::value::Kind::StringValue(it) => Some(it.clone()),
        _ => None,
    }
}

/// Every text that a request presents: values of headers, what stands behind their first word, that
/// as base64, and values of the query.
fn presented(plain: &Plain) -> Vec<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&STANDARD, config);
    let mut presented = Vec::new();
    for (_, value) in &plain.headers {
        let Ok(text) = str::from_utf8(value) else {
            continue;
        };
        let text = text.trim_matches(' ');
        presented.push(text.as_bytes().to_vec());
        if let Some((_, behind)) = text.split_once(' ') {
            presented.push(behind.trim_matches(' ').as_bytes().to_vec());
            presented.extend(base64.decode(behind.replace(' ', "")));
        }
    }
    let query = plain.target.split_once('?').map_or("", |it| it.1);
    let values = Query::parse(query);
    let values = values.pairs().filter_map(|it| decode_parameter(it.1));
    presented.extend(values.map(|it| it.into_owned().into_bytes()));
    presented
}

/// What the upstream could take for our word or for a credential was taken off, and nothing that was
/// set.
fn is_clean(plain: &Plain, allowed: &OkHttpResponse, platform: &str) {
    let is_removed = |name: &str| {
        let mut all = allowed.headers_to_remove.iter();
        all.any(|it| it.eq_ignore_ascii_case(name))
    };
    for set in allowed.headers.iter().filter_map(|it| it.header.as_ref()) {
        assert!(!is_removed(&set.key), "{} is set and removed", set.key);
        assert!(set.value.bytes().all(|it| (b' '..=b'~').contains(&it)));
    }
    let (_, headers, parameters) = PLACES
        .iter()
        .find(|it| it.0 == platform)
        .expect("a platform");
    for (name, _) in plain.headers.iter().filter(|it| !it.0.starts_with(':')) {
        let is_set = header(allowed, name).is_some();
        let is_alike = |it: &&str| folds_to(name.as_bytes(), it);
        assert!(
            is_removed(name) || is_set || !IDENTITY.iter().any(&is_alike),
            "{name}"
        );
        assert!(is_removed(name) || !headers.iter().any(is_alike), "{name}");
    }
    let query = plain.target.split_once('?').map_or("", |it| it.1);
    for (name, _) in Query::parse(query).pairs() {
        let is_read = decode_parameter(name).is_some_and(|it| parameters.contains(&&*it));
        let mut removed = allowed.query_parameters_to_remove.iter();
        assert!(!is_read || removed.any(|it| it == name), "{name}");
    }
}

/// Sees that what is good is let in: of an oracle that knows nothing good, every denial is right.
pub fn planted_are_admitted() -> usize {
    let requests = super::PLANTED_REQUESTS.split("\n\n");
    requests
        .map(|request| {
            WORLD.with(|world| {
                let mut plain = Plain::parse(request.as_bytes()).expect("a request");
                put_issued(world, &mut plain);
                let response = world.check(message(&plain));
                judge(world, &plain, &response);
                let is_allowed =
                    matches!(response.http_response, Some(HttpResponse::OkResponse(_)));
                assert!(is_allowed, "{request}: {response:?}");
            });
        })
        .count()
}
