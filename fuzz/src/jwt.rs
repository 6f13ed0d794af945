//! Tokens: of any text; and of any header and claims, signed as the issuer does or as a stranger.
//!
//! `PLATFORM HOW` stands on the first line. `raw`: the rest is the token. `signed` and `forged`: a line is
//! the header, the rest the claims.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis::strict_json;
use serde_json::{Map, Value};

use super::world::{ISSUER_SECRET, NOW, World};
use super::{HttpResponse, Plain, message};

/// Header parameters that no token may have.
const REFUSED: [&str; 7] = ["b64", "crit", "jku", "jwk", "x5c", "x5u", "zip"];

/// What is expected of claims on a platform: where the token stands, what is asked for, and what it
/// must name its bearer by.
type Expected = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    fn(&Map<String, Value>) -> bool,
);

const EXPECTED: [Expected; 3] = [
    ("mine", "authorization", "Bearer ", "/any/thing", |it| {
        let is_ours = |it: &Value| it == "api" || it == "orders";
        let aud = &it["aud"];
        it["iss"] == "https://idp.example.com"
            && (is_ours(aud) || aud.as_array().is_some_and(|it| it.iter().any(is_ours)))
    }),
    ("opentact", "x-auth-token", "", "/rest/any", |it| {
        it["uuid"] == "u-callify" && !it.contains_key("aud")
    }),
    (
        "infobip",
        "authorization",
        "Bearer ",
        "/platform/1/openapi",
        |it| {
            // The id counts where generations are said, whoever signed (`scheme::jwt`).
            let known =
                match it.contains_key("gen") && it.get("uid").is_some_and(|it| !it.is_null()) {
                    true => it["uid"] == "u-1" || it["uid"] == "u-dd2020",
                    false => it["sub"] == "Aladdin" || it["sub"] == "DD2020",
                };
            it["iss"] == "infobip.com" && it.contains_key("jti") && !it.contains_key("aud") && known
        },
    ),
];

thread_local! {
    static WORLD: World = World::new();
}

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        strict(bytes);
        return;
    };
    let Some((first, rest)) = text.split_once('\n') else {
        return;
    };
    let Some((platform, how)) = first.split_once(' ') else {
        return;
    };
    let Some(expected) = EXPECTED.iter().find(|it| it.0 == platform) else {
        strict(rest.as_bytes());
        return;
    };
    let token = match how {
        "raw" => rest.to_owned(),
        "signed" | "forged" => {
            let (header, claims) = rest.split_once('\n').unwrap_or((rest, ""));
            strict(header.as_bytes());
            strict(claims.as_bytes());
            signed(header, claims, how == "signed")
        }
        _ => return,
    };
    let (platform, name, word, target, _) = *expected;
    let plain = Plain {
        platform: platform.to_owned(),
        peer: "10.1.2.3".to_owned(),
        method: "GET".to_owned(),
        target: target.to_owned(),
        headers: vec![(name.to_owned(), format!("{word}{token}").into_bytes())],
    };
    let response = WORLD.with(|it| it.check(message(&plain)));
    let Some(HttpResponse::OkResponse(allowed)) = &response.http_response else {
        return;
    };
    let mut set = allowed.headers.iter().filter_map(|it| it.header.as_ref());
    // Nothing but spaces is no credential, and anybody may see the infobip's path here.
    if !set.any(|it| it.key == "x-auth-scheme") {
        assert!(
            token.trim_matches(' ').is_empty() && platform == "infobip",
            "nobody is let in"
        );
        return;
    }
    is_good(token.trim_matches(' '), expected.4);
}

/// Signs as RFC 7515 §5.1 has it.
fn signed(header: &str, claims: &str, by_issuer: bool) -> String {
    let part = |it: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(it);
    let message = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
    let secret: &[u8] = if by_issuer {
        ISSUER_SECRET
    } else {
        b"the secret of nobody who is known"
    };
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret),
        message.as_bytes(),
    );
    format!("{message}.{}", part(signature.as_ref()))
}

/// What was let in is a token of the issuer, that says what it must.
fn is_good(token: &str, names: fn(&Map<String, Value>) -> bool) {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decoded: Vec<Vec<u8>> = parts
        .iter()
        .map(|it| BASE64_URL_SAFE_NO_PAD.decode(it).expect("base64url"))
        .collect();
    for (part, bytes) in parts.iter().zip(&decoded) {
        assert_eq!(
            *part,
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
            "two spellings of one token"
        );
    }
    let (message, _) = token.rsplit_once('.').expect("three parts");
    let key = hmac::Key::new(hmac::HMAC_SHA256, ISSUER_SECRET);
    hmac::verify(&key, message.as_bytes(), &decoded[2]).expect("the issuer's signature");
    let header = strict(&decoded[0]).expect("a header of one reading");
    let claims = strict(&decoded[1]).expect("claims of one reading");
    assert_eq!(header["alg"], "HS256");
    assert!(!REFUSED.iter().any(|it| header.contains_key(*it)));
    assert!(claims["exp"].as_u64().expect("an end") > NOW);
    for begins in ["nbf", "iat"].iter().filter_map(|it| claims.get(*it)) {
        assert!(begins.as_u64().expect("a time") <= NOW);
    }
    assert!(
        claims.get("cnf").is_none_or(Value::is_null),
        "bound to a key"
    );
    assert!(names(&claims), "{claims:?}");
}

/// Reads an object where it has one reading, and holds that against what is seen in the text: of what
/// is JSON, every colon outside of texts is a member, and every bracket a level.
fn strict(text: &[u8]) -> Option<Map<String, Value>> {
    let read = strict_json::object(text);
    let loose: Option<Value> = serde_json::from_slice(text).ok();
    let expected = loose.filter(|it| it.is_object()).filter(|it| {
        let (colons, depth) = seen(text);
        depth <= 8 && colons == members(it)
    });
    assert_eq!(read.clone().map(Value::Object), expected);
    read
}

fn seen(text: &[u8]) -> (usize, usize) {
    let (mut colons, mut depth, mut deepest) = (0, 0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b':') => colons += 1,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    (colons, deepest)
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(members).sum(),
        Value::Object(all) => all.len() + all.values().map(members).sum::<usize>(),
        _ => 0,
    }
}
