//! Tokens that try to get in without being honest, for every platform that takes tokens, each with its name, and honest
//! ones beside them.
//!
//! They are made from what an honest token of the platform claims, most of them under the issuer's own key, so that each
//! is refused for the one thing that is wrong with it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::issuers::{END, Issuer, STRANGER, changed, part};

/// A token's name and the token.
pub(crate) type Named = (String, String);

/// Gives every attack on a platform whose issuer this is; `claims` are those of a token that it would take.
pub(crate) fn attacks(issuer: &Issuer, claims: &Value) -> Vec<Named> {
    let mut all = algorithms(issuer, claims);
    all.extend(headers(issuer, claims));
    all.extend(shapes(issuer, claims));
    all.extend(times(issuer, claims));
    all
}

/// Gives tokens that only look like attacks, and are taken: what the attacks differ in is all that is wrong with them.
pub(crate) fn honest(issuer: &Issuer, claims: &Value) -> Vec<Named> {
    let text = claims.to_string();
    let (header, _) = issuer.header.rsplit_once('}').expect("an object");
    let more = format!(r#"{header},"cty":"x"}}"#);
    let levels = format!(r#"{{"x":{}{},"#, "[".repeat(7), "]".repeat(7));
    let begun = changed(claims.clone(), json!({ "nbf": 1_600_000_000 }));
    vec![
        named("an honest token", issuer.token(claims)),
        named(
            "a header parameter that says nothing",
            issuer.sign(&more, &text),
        ),
        named(
            "eight levels",
            issuer.sign(issuer.header, &text.replacen('{', &levels, 1)),
        ),
        named("begun long ago", issuer.token(&begun)),
    ]
}

fn named(name: &str, token: String) -> Named {
    (name.to_owned(), token)
}

/// Splits a token into its header, its claims and its signature.
fn parts(token: &str) -> [&str; 3] {
    let mut parts = token.split('.');
    [(); 3].map(|()| parts.next().expect("a token of three parts"))
}

/// The token chooses how it is verified.
fn algorithms(issuer: &Issuer, claims: &Value) -> Vec<Named> {
    let good = issuer.token(claims);
    let [_, body, signature] = parts(&good);
    let header = |algorithm: &str| part(&format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#));
    let mut all = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", "nonE", ""] {
        let header = header(none);
        for (name, signature) in [("no", ""), ("a", "AA"), ("the honest", signature)] {
            all.push((
                format!("K13 alg {none:?} with {name} signature"),
                format!("{header}.{body}.{signature}"),
            ));
        }
    }
    // `eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0` is the header of the vector.
    assert!(all[0].1.starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0."));
    let text = claims.to_string();
    for algorithm in [
        "hs256", "rs256", "PS256", "ES256", "EdDSA", "HS384", "HS512",
    ] {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        let name = format!("alg {algorithm}, for which there is no key");
        all.push((name, issuer.sign(&header, &text)));
    }
    all.extend([
        named("no alg", issuer.sign(r#"{"typ":"JWT"}"#, &text)),
        named("alg null", issuer.sign(r#"{"alg":null}"#, &text)),
        named(
            "alg in a list",
            issuer.sign(r#"{"alg":["HS256","RS256"]}"#, &text),
        ),
        named(
            "another issuer's signature",
            STRANGER.sign(issuer.header, &text),
        ),
        named(
            "K15 the key of another issuer",
            STRANGER.sign(STRANGER.header, &text),
        ),
        named(
            "HS256 under an empty secret",
            Issuer::hmac(issuer.header, b"").sign(&issuer.header.replace("RS256", "HS256"), &text),
        ),
    ]);
    all
}

/// The token says which key it is verified with, or where that is found.
fn headers(issuer: &Issuer, claims: &Value) -> Vec<Named> {
    let text = claims.to_string();
    let algorithm = if issuer.header.contains("RS256") {
        "RS256"
    } else {
        "HS256"
    };
    let kid = |kid: &str| {
        issuer.sign(
            &format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":{kid}}}"#),
            &text,
        )
    };
    let with = |more: &str| {
        let (header, _) = issuer.header.rsplit_once('}').expect("an object");
        issuer.sign(&format!("{header},{more}}}"), &text)
    };
    let long = format!(r#""{}""#, "k".repeat(200));
    let padding = format!(r#""x":"{}""#, "x".repeat(1024));
    vec![
        named("K14 an unknown kid", kid(r#""k2""#)),
        named("a kid in another case", kid(r#""K1""#)),
        named("a kid that is a path", kid(r#""../../../../dev/null""#)),
        named("a kid that is a file", kid(r#""file:///dev/null""#)),
        named("a kid that is SQL", kid(r#""k1' OR '1'='1""#)),
        named("a kid that is a URL", kid(r#""https://evil.example/key""#)),
        named("a kid with a line feed", kid(r#""k1\n""#)),
        named("a kid with NUL", kid(r#""k1\u0000""#)),
        named("an empty kid", kid(r#""""#)),
        named("a huge kid", kid(&long)),
        named("a kid that is a number", kid("1")),
        named("a kid that is null", kid("null")),
        named("jku", with(r#""jku":"https://evil.example/keys""#)),
        named("x5u", with(r#""x5u":"https://evil.example/cert""#)),
        named("x5c", with(r#""x5c":["MIIB"]"#)),
        named("jwk", with(r#""jwk":{"kty":"oct","k":"AA"}"#)),
        named("crit", with(r#""crit":["exp"]"#)),
        named("crit, empty", with(r#""crit":[]"#)),
        named("b64", with(r#""b64":false"#)),
        named("zip", with(r#""zip":"DEF""#)),
        named("typ twice", with(r#""typ":"JWT""#)),
        named("alg twice", with(r#""alg":"none""#)),
        named("alg twice, once escaped", with(r#""\u0061lg":"none""#)),
        named(
            "typ of an encrypted token",
            issuer.sign(&issuer.header.replace("JWT", "JWE"), &text),
        ),
        named("a header above 1 KiB", with(&padding)),
        named("a header that is no JSON", issuer.sign("hello", &text)),
    ]
}

/// What is no token, or is one in more than one reading.
fn shapes(issuer: &Issuer, claims: &Value) -> Vec<Named> {
    let good = issuer.token(claims);
    let [header, body, signature] = parts(&good);
    let text = claims.to_string();
    let with = |member: &str| {
        issuer.sign(
            issuer.header,
            &text.replacen('{', &format!("{{{member},"), 1),
        )
    };
    // RSA signatures and HMACs leave bits over in their last digit, so that it has further spellings.
    let last = signature.bytes().last().expect("a signature");
    let alias = format!("{}{}", &good[..good.len() - 1], char::from(last + 1));
    let first = char::from(if signature.starts_with('A') {
        b'B'
    } else {
        b'A'
    });
    let deep = format!(r#""x":{}{}"#, "[".repeat(1000), "]".repeat(1000));
    let huge = format!(r#""x":"{}""#, "x".repeat(44_000));
    let subject = text.split_once("\":").expect("a member").0.to_owned() + "\":\"another\"";
    let latin = BASE64_URL_SAFE_NO_PAD.encode(b"{\"iss\":\"\xe4\"}");
    vec![
        named("I22 ten dots", format!("{good}{}", ".a".repeat(8))),
        named("four parts", format!("{good}.a")),
        named("an encrypted token's five parts", format!("a.b.{good}")),
        named("two parts", format!("{header}.{body}")),
        named("dots only", "..".to_owned()),
        named("padded", format!("{good}=")),
        named("a space inside", good.replacen('.', " .", 1)),
        named(
            "another signature",
            format!("{header}.{body}.{first}{}", &signature[1..]),
        ),
        named("another spelling of the signature", alias),
        named(
            "the signature cut short",
            format!("{header}.{body}.{}", &signature[..20]),
        ),
        named("I22 60 KB", with(&huge)),
        named("I22 a thousand levels", with(&deep)),
        named("a claim twice", with(&subject[1..])),
        named(
            "a claim twice, once escaped",
            with(r#""exp":4102444800,"\u0065xp":4102444800"#),
        ),
        named(
            "a member twice within a claim",
            with(r#""x":{"a":1,"a":1}"#),
        ),
        named("claims that are a list", issuer.sign(issuer.header, "[]")),
        named(
            "claims that are no JSON",
            issuer.sign(issuer.header, "hello"),
        ),
        named(
            "claims with something behind",
            issuer.sign(issuer.header, &format!("{text} {{}}")),
        ),
        named(
            "claims that are not UTF-8",
            format!("{header}.{latin}.{signature}"),
        ),
    ]
}

/// A token whose times are not, or cannot be read in one way.
fn times(issuer: &Issuer, claims: &Value) -> Vec<Named> {
    let cases = [
        ("K11 no exp", json!({ "exp": null })),
        ("exp is a text", json!({ "exp": END.to_string() })),
        ("exp is a float", json!({ "exp": 4_102_444_800.5 })),
        ("exp is a whole float", json!({ "exp": 4_102_444_800.0 })),
        ("exp is negative", json!({ "exp": -1 })),
        (
            "exp is above what 64 bits with a sign hold",
            json!({ "exp": u64::MAX }),
        ),
        ("exp is far above", json!({ "exp": 1e300 })),
        (
            "exp is after the year 9999",
            json!({ "exp": 253_402_300_800_u64 }),
        ),
        ("exp is true", json!({ "exp": true })),
        ("exp is a list", json!({ "exp": [END] })),
        ("nbf is in the future", json!({ "nbf": END - 1 })),
        ("nbf is a text", json!({ "nbf": "0" })),
        ("iat is in the future", json!({ "iat": END - 1 })),
        ("iat is a fraction", json!({ "iat": 1.5 })),
        (
            "meant for somebody else",
            json!({ "aud": "https://another.example" }),
        ),
    ];
    let token = |changes: Value| issuer.token(&changed(claims.clone(), changes));
    let mut all: Vec<_> = cases
        .into_iter()
        .map(|(name, it)| named(name, token(it)))
        .collect();
    let null = changed(claims.clone(), json!({ "exp": null }));
    let null = null.to_string().replacen('{', r#"{"exp":null,"#, 1);
    all.push(named("exp is null", issuer.sign(issuer.header, &null)));
    all
}
