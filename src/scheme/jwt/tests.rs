//! The attacks on tokens that are known, each with the honest token beside it,
//! and what the directory says about whom a token names.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::{any, proptest};
use serde_json::{Map, json};

use super::*;
use crate::directory::bench::{Bench, START};
use crate::directory::pepper::Peppers;
use crate::directory::records::{Account, User};
use crate::keys::hmac::{Header, HmacKeys};
use crate::keys::samples::{Maker, private_pem};
use crate::keys::sets::KeySets;
use crate::keys::signing::SigningKeys;
use crate::outbound::Outbound;
use crate::scheme::Conflict;
use crate::scheme::tokens::revocation_parts;

const KAZOO: &str = "
from: [{ header: x-auth-token }, { query: auth_token }]
issuer: kazoo
required_claims: [iss, exp, account_id, identity_sig]
claims: { account: account_id, user: owner_id }
";

const HEADER: &str = r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#;

/// A scheme with its keys, the issuer's other halves, and a directory.
struct Fixture {
    bench: Bench,
    scheme: Arc<dyn Scheme>,
    rsa: Maker,
    hmac: Maker,
    folder: tempfile::TempDir,
}

fn build_from(settings: &str) -> Result<Arc<dyn Scheme>, Vec<Problem>> {
    build_with(settings, "p", &SigningKeys::default())
}

fn build_with(
    settings: &str,
    platform: &str,
    signing: &SigningKeys,
) -> Result<Arc<dyn Scheme>, Vec<Problem>> {
    build_with_both(settings, platform, signing, &HmacKeys::default())
}

fn build_with_both(
    settings: &str,
    platform: &str,
    signing: &SigningKeys,
    hmac: &HmacKeys,
) -> Result<Arc<dyn Scheme>, Vec<Problem>> {
    let context = Context {
        platform,
        signing,
        hmac,
        claims: &["tier".to_owned()],
        name: "jwt",
        reading: Reading {
            conflict: Conflict::Precedence,
            ..Reading::default()
        },
        base: Path::new("/"),
        outbound: &Outbound::default(),
        key_sets: &KeySets::default(),
    };
    let mut problems = Vec::new();
    let settings = Document::parse("c.yaml", settings).unwrap();
    build(&context, &settings, &mut problems).ok_or(problems)
}

/// Writes the verifier's half of a key, and gives its line of settings.
fn key(maker: &Maker, folder: &Path, kid: Option<&str>) -> String {
    let raw = maker.raw(folder, kid);
    let file = match (&raw.public_key_file, &raw.secret_file) {
        (Some(file), _) => format!("public_key_file: {file}"),
        (None, file) => format!("secret_file: {}", file.as_ref().unwrap()),
    };
    let kid = kid.map_or(String::new(), |it| format!("kid: {it}, "));
    format!(
        "  - {{ {kid}algorithm: {}, {file} }}\n",
        maker.algorithm.name()
    )
}

impl Fixture {
    /// A scheme with an RSA key `k1` and a nameless HMAC key.
    async fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (rsa, hmac) = (Maker::new(Algorithm::Rs256), Maker::new(Algorithm::Hs256));
        let keys = [
            key(&rsa, folder.path(), Some("k1")),
            key(&hmac, folder.path(), None),
        ];
        let settings = format!("{settings}keys:\n{}", keys.concat());
        let scheme = build_from(&settings).unwrap();
        let bench = Bench::new();
        let account = Account {
            id: "a1".into(),
            ..Account::default()
        };
        bench.directory.put_account("p", &account).await.unwrap();
        let user = User {
            id: "u1".into(),
            account: Some("a1".into()),
            username: Some("john".into()),
            roles: vec!["admin".into()],
            ..User::default()
        };
        bench.directory.put_user("p", &user).await.unwrap();
        Self {
            bench,
            scheme,
            rsa,
            hmac,
            folder,
        }
    }

    async fn verify(&self, token: &str) -> Result<Identity, Reason> {
        let headers = [("x-auth-token", token.as_bytes())].into_iter().collect();
        let request = RequestView {
            headers,
            ..RequestView::default()
        };
        let credential = self.scheme.decode(&request).map_err(|it| it.reason())?;
        let credential = credential.expect("the header is there");
        let reads = self.bench.reads("p");
        match self.scheme.verify(&credential, &reads).await {
            Ok(verified) => Ok(verified.into_identity()),
            Err(Failure::Denied(denial)) => Err(denial.reason()),
            Err(Failure::Fault(fault)) => panic!("{fault}"),
        }
    }

    #[track_caller]
    fn same(&self, name: &str, got: &Result<Identity, Reason>, want: Option<Reason>) {
        let got = got.as_ref().err().copied();
        assert_eq!(got, want, "{name}");
    }
}

/// The claims of an honest token, some of them changed; null takes one away.
fn claims(changes: Value) -> String {
    let mut claims = json!({
        "iss": "kazoo", "exp": START + 3600, "account_id": "a1", "owner_id": "u1",
        "identity_sig": "c2ln",
    });
    let (Value::Object(members), Value::Object(changes)) = (&mut claims, changes) else {
        panic!("changes are an object");
    };
    for (name, value) in changes {
        match value {
            Value::Null => members.remove(&name),
            value => members.insert(name, value),
        };
    }
    claims.to_string()
}

fn part(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn a_token_chooses_neither_algorithm_nor_key() {
    let fixture = Fixture::new(KAZOO).await;
    let honest = claims(json!({}));
    let good = fixture.rsa.token(HEADER, &honest);
    let body = good.rsplit_once('.').unwrap().0.split_once('.').unwrap().1;
    let signature = good.rsplit_once('.').unwrap().1;
    let alg = |alg: &str| part(&format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
    let pem = Maker::with_secret(fixture.rsa.public_pem().as_bytes());
    let other = Maker::new(Algorithm::Rs256);
    let long = "k".repeat(200);
    let (rsa, hmac) = (&fixture.rsa, &fixture.hmac);
    let kid = |kid: &str| rsa.token(&format!(r#"{{"alg":"RS256","kid":{kid}}}"#), &honest);
    let (bad, unknown, wrong) = (Reason::Malformed, Reason::Unknown, Reason::Wrong);
    let cases = [
        ("RS256 under its key", good.clone(), None),
        (
            "HS256 under its key",
            hmac.token(r#"{"alg":"HS256"}"#, &honest),
            None,
        ),
        ("no kid", rsa.token(r#"{"alg":"RS256"}"#, &honest), None),
        ("no alg", rsa.token(r#"{"typ":"JWT"}"#, &honest), Some(bad)),
        (
            "K13 none, no signature",
            format!("{}.{body}.", alg("none")),
            Some(bad),
        ),
        (
            "none, a signature",
            format!("{}.{body}.{signature}", alg("none")),
            Some(bad),
        ),
        (
            "None",
            format!("{}.{body}.{signature}", alg("None")),
            Some(bad),
        ),
        (
            "nOnE",
            format!("{}.{body}.{signature}", alg("nOnE")),
            Some(bad),
        ),
        ("rs256", rsa.token(r#"{"alg":"rs256"}"#, &honest), Some(bad)),
        (
            "an empty signature",
            format!("{}.", good.rsplit_once('.').unwrap().0),
            Some(bad),
        ),
        (
            "no signature",
            good.rsplit_once('.').unwrap().0.to_owned(),
            Some(bad),
        ),
        (
            "K12 HS256 under the public key",
            pem.token(r#"{"alg":"HS256"}"#, &honest),
            Some(wrong),
        ),
        (
            "HS256 naming the RSA key",
            hmac.token(r#"{"alg":"HS256","kid":"k1"}"#, &honest),
            Some(unknown),
        ),
        ("HS256 says RS256", hmac.token(HEADER, &honest), Some(wrong)),
        (
            "RS512 under a key for RS256",
            rsa.token(r#"{"alg":"RS512","kid":"k1"}"#, &honest),
            Some(unknown),
        ),
        (
            "ES256, for which is no key",
            rsa.token(r#"{"alg":"ES256"}"#, &honest),
            Some(unknown),
        ),
        (
            "PS256",
            rsa.token(r#"{"alg":"PS256","kid":"k1"}"#, &honest),
            Some(bad),
        ),
        ("another RSA key", other.token(HEADER, &honest), Some(wrong)),
        ("K14 unknown kid", kid(r#""k2""#), Some(unknown)),
        ("kid of another case", kid(r#""K1""#), Some(unknown)),
        ("kid is a path", kid(r#""../../dev/null""#), Some(unknown)),
        ("kid is SQL", kid(r#""k1' OR '1'='1""#), Some(unknown)),
        ("kid is empty", kid(r#""""#), Some(unknown)),
        ("kid is huge", kid(&format!(r#""{long}""#)), Some(bad)),
        ("kid is a number", kid("1"), Some(bad)),
        ("kid is null", kid("null"), Some(bad)),
    ];
    for (name, token, want) in cases {
        fixture.same(name, &fixture.verify(&token).await, want);
    }
}

#[tokio::test]
async fn a_header_that_wants_to_say_how_to_verify_is_refused() {
    let fixture = Fixture::new(KAZOO).await;
    let honest = claims(json!({}));
    let with = |more: &str| {
        let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"k1"{more}}}"#);
        fixture.rsa.token(&header, &honest)
    };
    let long = format!(r#","x":"{}""#, "x".repeat(1024));
    let cases = [
        ("nothing more", "", None),
        ("a parameter that says nothing", r#","cty":"x""#, None),
        (
            "jku",
            r#","jku":"https://evil.example/keys""#,
            Some(Reason::Malformed),
        ),
        (
            "x5u",
            r#","x5u":"https://evil.example/cert""#,
            Some(Reason::Malformed),
        ),
        ("x5c", r#","x5c":["MIIB"]"#, Some(Reason::Malformed)),
        (
            "jwk",
            r#","jwk":{"kty":"oct","k":"AA"}"#,
            Some(Reason::Malformed),
        ),
        ("crit", r#","crit":["exp"]"#, Some(Reason::Malformed)),
        ("crit, empty", r#","crit":[]"#, Some(Reason::Malformed)),
        ("b64", r#","b64":false"#, Some(Reason::Malformed)),
        ("zip", r#","zip":"DEF""#, Some(Reason::Malformed)),
        ("alg twice", r#","alg":"HS256""#, Some(Reason::Malformed)),
        (
            "kid twice, once escaped",
            r#","\u006bid":"k1""#,
            Some(Reason::Malformed),
        ),
        ("too long", &long, Some(Reason::TooLarge)),
    ];
    for (name, more, want) in cases {
        fixture.same(name, &fixture.verify(&with(more)).await, want);
    }
    let types = [
        (r#""JWT""#, None),
        (r#""jwt""#, None),
        (r#""at+JWT""#, None),
        (r#""JWE""#, Some(Reason::Malformed)),
        (r#""logout+jwt""#, Some(Reason::Malformed)),
        ("null", Some(Reason::Malformed)),
        ("1", Some(Reason::Malformed)),
    ];
    for (typ, want) in types {
        let token = fixture
            .rsa
            .token(&format!(r#"{{"alg":"RS256","typ":{typ}}}"#), &honest);
        fixture.same(typ, &fixture.verify(&token).await, want);
    }
}

#[tokio::test]
async fn only_the_one_spelling_of_a_token_is_read() {
    let fixture = Fixture::new(KAZOO).await;
    let honest = claims(json!({}));
    let rsa = &fixture.rsa;
    let good = rsa.token(HEADER, &honest);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let nested = |levels: usize| {
        let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let claims = honest.replacen('{', &format!("{{\"x\":{value},"), 1);
        rsa.token(HEADER, &claims)
    };
    let twice = honest.replacen('{', r#"{"owner_id":"u2","#, 1);
    let inside = honest.replacen('{', r#"{"x":{"a":1,"a":1},"#, 1);
    let huge = rsa.token(HEADER, &claims(json!({ "x": "x".repeat(60_000) })));
    let latin = BASE64_URL_SAFE_NO_PAD.encode(b"{\"iss\":\"\xe4\"}");
    // 256 bytes leave four bits over in the last digit: it has fifteen more spellings.
    let last = signature.chars().last().unwrap();
    let alias = char::from(u8::try_from(last).unwrap() + 1);
    let aliased = format!("{message}.{}{alias}", &signature[..signature.len() - 1]);
    let bad = Some(Reason::Malformed);
    let cases = [
        ("honest", good.clone(), None),
        ("I22 ten dots", format!("{good}{}", ".a".repeat(8)), bad),
        ("four parts", format!("{good}.a"), bad),
        ("five parts", format!("a.b.{good}"), bad),
        ("one part", "a".to_owned(), bad),
        ("dots only", "..".to_owned(), bad),
        ("no header", good.trim_start_matches(header).to_owned(), bad),
        ("padded", format!("{good}="), bad),
        ("a space inside", good.replacen('.', " .", 1), bad),
        ("standard base64", good.replacen('.', "+.", 1), bad),
        ("escaped", good.replacen('.', "%2E", 1), bad),
        ("another spelling of the same signature", aliased, bad),
        ("I22 60 KB", huge, Some(Reason::TooLarge)),
        ("as deep as allowed", nested(7), None),
        ("one deeper", nested(8), bad),
        ("I22 a thousand deep", nested(1000), bad),
        ("a claim twice", rsa.token(HEADER, &twice), bad),
        (
            "a member twice inside a claim",
            rsa.token(HEADER, &inside),
            bad,
        ),
        ("claims that are no object", rsa.token(HEADER, "[]"), bad),
        ("claims that are no JSON", rsa.token(HEADER, "hello"), bad),
        (
            "claims that are not UTF-8",
            format!("{header}.{latin}.{signature}"),
            bad,
        ),
        ("a header that is no JSON", rsa.token("hello", &honest), bad),
    ];
    for (name, token, want) in cases {
        fixture.same(name, &fixture.verify(&token).await, want);
    }
}

#[tokio::test]
async fn claims_are_demanded_as_the_settings_say() {
    let fixture = Fixture::new(KAZOO).await;
    let (bad, expired) = (Some(Reason::Malformed), Some(Reason::Expired));
    let (early, unknown) = (Some(Reason::NotYetValid), Some(Reason::Unknown));
    let wrong = Some(Reason::Wrong);
    let cases = [
        ("honest", json!({}), None),
        ("ends in a second", json!({ "exp": START + 1 }), None),
        ("K10 ends now", json!({ "exp": START }), expired),
        ("O3 ended in 2020", json!({ "exp": 1_603_812_738 }), expired),
        ("ended in 1970", json!({ "exp": 0 }), expired),
        ("K11 no end", json!({ "exp": null }), bad),
        ("end is a text", json!({ "exp": "4102444800" }), bad),
        ("end is a fraction", json!({ "exp": 4_102_444_800.5 }), bad),
        ("end is a float", json!({ "exp": 4_102_444_800.0 }), bad),
        ("end is negative", json!({ "exp": -1 }), bad),
        ("end is above i64", json!({ "exp": u64::MAX }), bad),
        ("end is far above", json!({ "exp": 1e300 }), bad),
        (
            "end is after the year 9999",
            json!({ "exp": 253_402_300_800_u64 }),
            bad,
        ),
        ("end is true", json!({ "exp": true }), bad),
        ("end is a list", json!({ "exp": [START + 3600] }), bad),
        ("begins now", json!({ "nbf": START }), None),
        ("begins in a second", json!({ "nbf": START + 1 }), early),
        ("beginning is a text", json!({ "nbf": "0" }), bad),
        ("made now", json!({ "iat": START }), None),
        ("made in the future", json!({ "iat": START + 1 }), early),
        ("made at a fraction", json!({ "iat": 1.5 }), bad),
        (
            "K15 another issuer",
            json!({ "iss": "https://evil.example" }),
            unknown,
        ),
        ("a longer issuer", json!({ "iss": "kazoo." }), unknown),
        ("issuers", json!({ "iss": ["kazoo"] }), unknown),
        ("no issuer", json!({ "iss": null }), bad),
        (
            "no signature of the identity",
            json!({ "identity_sig": null }),
            bad,
        ),
        (
            "an empty signature of the identity",
            json!({ "identity_sig": "" }),
            bad,
        ),
        ("bound to a key", json!({ "cnf": { "jkt": "0ZcO" } }), wrong),
        (
            "bound to a certificate",
            json!({ "cnf": { "x5t#S256": "bwcK" } }),
            wrong,
        ),
        ("bound to what is unclear", json!({ "cnf": "" }), wrong),
        ("meant for somebody", json!({ "aud": "somebody" }), unknown),
        (
            "an account that is a number",
            json!({ "account_id": 1 }),
            bad,
        ),
        (
            "a user with a line feed",
            json!({ "owner_id": "u1\n" }),
            bad,
        ),
        (
            "a user that is too long",
            json!({ "owner_id": "u".repeat(129) }),
            bad,
        ),
        ("scopes that are a number", json!({ "scope": 1 }), bad),
        ("a scope with a space", json!({ "scope": ["a b"] }), bad),
    ];
    for (name, changes, want) in cases {
        let token = fixture.rsa.token(HEADER, &claims(changes));
        fixture.same(name, &fixture.verify(&token).await, want);
    }
    let mut nulled = claims(json!({}));
    nulled.insert_str(1, r#""nbf":null,"#);
    let got = fixture.verify(&fixture.rsa.token(HEADER, &nulled)).await;
    fixture.same("a beginning of null", &got, bad);
}

#[tokio::test]
async fn leeway_is_granted_as_stated_and_no_further() {
    let fixture = Fixture::new(&format!("{KAZOO}leeway_seconds: 60\n")).await;
    let cases = [
        ("ended 59 s ago", json!({ "exp": START - 59 }), None),
        (
            "ended 60 s ago",
            json!({ "exp": START - 60 }),
            Some(Reason::Expired),
        ),
        ("made in 60 s", json!({ "iat": START + 60 }), None),
        (
            "made in 61 s",
            json!({ "iat": START + 61 }),
            Some(Reason::NotYetValid),
        ),
    ];
    for (name, changes, want) in cases {
        let token = fixture.rsa.token(HEADER, &claims(changes));
        fixture.same(name, &fixture.verify(&token).await, want);
    }
}

#[tokio::test]
async fn an_audience_is_one_of_ours() {
    let settings = "
        { from: [{ header: x-auth-token }], issuer: kazoo, audience: [api, app], directory: none,
          claims: { roles: groups } }";
    let document = Document::parse("c.yaml", settings).unwrap();
    let yaml = serde_saphyr::to_string(&document.value("").unwrap()).unwrap();
    let fixture = Fixture::new(&yaml).await;
    let cases = [
        ("ours", json!("api"), None),
        ("ours among others", json!(["other", "app"]), None),
        ("none", json!(null), Some(Reason::Malformed)),
        ("another", json!("other"), Some(Reason::Unknown)),
        ("a part", json!("ap"), Some(Reason::Unknown)),
        ("of no text", json!(["api", 1]), Some(Reason::Unknown)),
        ("an empty list", json!([]), Some(Reason::Unknown)),
    ];
    for (name, aud, want) in cases {
        let token = fixture.rsa.token(HEADER, &claims(json!({ "aud": aud })));
        fixture.same(name, &fixture.verify(&token).await, want);
    }
    let changes = json!({
        "aud": "api", "sub": "ext|1", "scope": "a  b", "groups": ["Account Manager"], "gen": "x",
    });
    let token = fixture.rsa.token(HEADER, &claims(changes));
    let identity = fixture.verify(&token).await.unwrap();
    assert_eq!(identity.user.as_deref(), Some("ext|1"));
    assert_eq!(identity.scopes, ["a", "b"]);
    assert_eq!(identity.roles, ["Account Manager"]);
    assert_eq!(identity.expires, Some(START + 3600));
    assert!(identity.claims.is_empty());
}

#[tokio::test]
async fn claims_that_rules_ask_about_are_kept_as_they_are_and_no_others() {
    let fixture = Fixture::new(KAZOO).await;
    for tier in [json!("gold"), json!(7), json!(["a", { "b": 1 }])] {
        let changes = json!({ "tier": tier, "other": "gold" });
        let token = fixture.rsa.token(HEADER, &claims(changes));
        let identity = fixture.verify(&token).await.unwrap();
        assert_eq!(identity.claims, [("tier".to_owned(), tier)].into());
    }
}

#[tokio::test]
async fn the_directory_has_the_last_word_about_whom_a_token_names() {
    let fixture = Fixture::new(KAZOO).await;
    let directory = &fixture.bench.directory;
    let user = |id: &str, account: &str, disabled| User {
        id: id.into(),
        account: Some(account.into()),
        disabled,
        generation: 2,
        ..User::default()
    };
    let account = |id: &str, disabled, expires| Account {
        id: id.into(),
        disabled,
        expires,
        generation: 3,
        ..Account::default()
    };
    for it in [
        user("off", "a1", true),
        user("shut", "a2", false),
        user("raised", "a3", false),
    ] {
        directory.put_user("p", &it).await.unwrap();
    }
    for it in [
        account("a2", true, None),
        account("a3", false, Some(START + 60)),
    ] {
        directory.put_account("p", &it).await.unwrap();
    }
    directory.revoke_platform("p").await.unwrap();
    let of_account = |all: Value| json!({ "account_id": "a3", "owner_id": null, "gen": all });
    let (older_account, account_of_now) =
        (of_account(json!([0, 3, 0])), of_account(json!([1, 3, 0])));
    let mut names = json!({ "account_id": "a3", "owner_id": "raised" });
    let mut with = |value: Value| {
        names["gen"] = value;
        names.clone()
    };
    let cases = [
        ("a user", json!({}), None),
        ("K: api_auth, an account", json!({ "owner_id": null }), None),
        (
            "no such user",
            json!({ "owner_id": "gone" }),
            Some(Reason::Unknown),
        ),
        (
            "no such account",
            json!({ "owner_id": null, "account_id": "gone" }),
            Some(Reason::Unknown),
        ),
        (
            "another's account",
            json!({ "account_id": "a2" }),
            Some(Reason::AccountMismatch),
        ),
        (
            "a disabled user",
            json!({ "owner_id": "off" }),
            Some(Reason::Disabled),
        ),
        (
            "a shut account",
            json!({ "owner_id": "shut", "account_id": "a2" }),
            Some(Reason::Locked),
        ),
        ("the generations of now", with(json!([1, 3, 2])), None),
        (
            "an older user",
            with(json!([1, 3, 1])),
            Some(Reason::Revoked),
        ),
        (
            "an older account",
            with(json!([1, 2, 2])),
            Some(Reason::Revoked),
        ),
        (
            "an older platform",
            with(json!([0, 3, 2])),
            Some(Reason::Revoked),
        ),
        (
            "a later user",
            with(json!([1, 3, 3])),
            Some(Reason::Revoked),
        ),
        (
            "an account of an older platform",
            older_account,
            Some(Reason::Revoked),
        ),
        ("an account of now", account_of_now, None),
        (
            "two generations",
            with(json!([3, 2])),
            Some(Reason::Malformed),
        ),
        (
            "generations that are texts",
            with(json!(["1", "3", "2"])),
            Some(Reason::Malformed),
        ),
        ("none", with(json!(null)), None),
    ];
    for (name, changes, want) in cases {
        let token = fixture.rsa.token(HEADER, &claims(changes));
        fixture.same(name, &fixture.verify(&token).await, want);
    }

    let token = fixture
        .rsa
        .token(HEADER, &claims(json!({ "role": "root", "scope": "x" })));
    let identity = fixture.verify(&token).await.unwrap();
    assert_eq!(identity.user.as_deref(), Some("u1"));
    assert_eq!(identity.account.as_deref(), Some("a1"));
    assert_eq!(identity.username.as_deref(), Some("john"));
    assert_eq!(
        (identity.roles, identity.scopes),
        (vec!["admin".into()], vec!["x".into()])
    );
    let token = fixture.rsa.token(HEADER, &claims(with(json!([1, 3, 2]))));
    let identity = fixture.verify(&token).await.unwrap();
    assert_eq!(identity.expires, Some(START + 60), "the account ends first");
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_siblings_are_not() {
    let fixture = Fixture::new(KAZOO).await;
    let named = |jti: &str| fixture.rsa.token(HEADER, &claims(json!({ "jti": jti })));
    let (one, two) = (named("1"), named("2"));
    let plain = fixture.rsa.token(HEADER, &claims(json!({})));
    let later = fixture
        .rsa
        .token(HEADER, &claims(json!({ "exp": START + 7200 })));
    for token in [&one, &plain] {
        assert!(fixture.verify(token).await.is_ok());
        let parsed = Token::parse(token).unwrap();
        let parts = revocation_parts(&parsed.claims, parsed.message);
        let revoke = fixture.bench.directory.revoke("p", &parts, START + 3600);
        revoke.await.unwrap();
        fixture.same(
            "revoked",
            &fixture.verify(token).await,
            Some(Reason::Revoked),
        );
    }
    for token in [&two, &later] {
        fixture.same("another", &fixture.verify(token).await, None);
    }
}

/// Writes the other of the two signatures on P-256 of which each is as good: for `s` the order of the curve less `s`.
fn twin(signature: &str) -> String {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrowed = 0;
    for (at, byte) in bytes[32..].iter_mut().enumerate().rev() {
        let order = i16::from_str_radix(&ORDER[2 * at..2 * at + 2], 16).unwrap();
        let left = order - i16::from(*byte) - borrowed;
        borrowed = i16::from(left < 0);
        *byte = u8::try_from(left + 256 * borrowed).unwrap();
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn a_revoked_token_is_refused_under_its_other_signature_too() {
    let mut fixture = Fixture::new(KAZOO).await;
    let maker = Maker::new(Algorithm::Es256);
    let line = key(&maker, fixture.folder.path(), Some("e1"));
    fixture.scheme = build_from(&format!("{KAZOO}keys:\n{line}")).unwrap();
    let token = maker.token(r#"{"alg":"ES256","kid":"e1"}"#, &claims(json!({})));
    let parsed = Token::parse(&token).unwrap();
    let other = format!("{}.{}", parsed.message, twin(parsed.signature));
    assert_ne!(token, other);
    for token in [&token, &other] {
        fixture.same("before", &fixture.verify(token).await, None);
    }
    let parts = revocation_parts(&parsed.claims, parsed.message);
    let revoke = fixture.bench.directory.revoke("p", &parts, START + 3600);
    revoke.await.unwrap();
    for token in [&token, &other] {
        let revoked = Some(Reason::Revoked);
        fixture.same("revoked", &fixture.verify(token).await, revoked);
    }
    assert_eq!(format!("{parsed:?}"), "Token(ES256, ..)");
}

#[tokio::test]
async fn a_token_of_which_any_one_character_or_bit_differs_is_refused() {
    let fixture = Fixture::new(KAZOO).await;
    let good = fixture.hmac.token(r#"{"alg":"HS256"}"#, &claims(json!({})));
    assert!(fixture.verify(&good).await.is_ok());
    for index in 0..good.len() {
        let flipped = (0..7).map(|bit| good.as_bytes()[index] ^ (1 << bit));
        for byte in flipped.chain(*b"A_.") {
            let mut bytes = good.clone().into_bytes();
            bytes[index] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            // A header's surrounding spaces do not count.
            let changed = changed.trim_matches(' ');
            if changed != good {
                assert!(fixture.verify(changed).await.is_err(), "{index} {byte}");
            }
        }
    }
    for shorter in [&good[1..], &good[..good.len() - 1]] {
        assert!(fixture.verify(shorter).await.is_err());
    }
}

#[tokio::test]
async fn infobips_example_is_read_as_published() {
    let folder = tempfile::tempdir().unwrap();
    let line = key(
        &Maker::with_secret(&[b'k'; 32]),
        folder.path(),
        Some("9wokXdhI"),
    );
    let settings = format!(
        "from: [{{ header: x-auth-token }}]\nissuer: infobip.com\nrequired_claims: [iss, exp, sub, \
         jti]\ndirectory: optional\nkeys:\n{line}"
    );
    let fixture = Fixture {
        scheme: build_from(&settings).unwrap(),
        ..Fixture::new(KAZOO).await
    };
    // Vector I19: the claims of the published sample, with a later end.
    let token = "eyJraWQiOiI5d29rWGRoSSIsInR5cCI6IkpXVCIsImFsZyI6IkhTMjU2In0.eyJzdWIiOiJERDIwMjAiLCJpc3MiOiJpbmZvYmlwLmNvbSIsImV4cCI6NDEwMjQ0NDgwMCwiaWF0IjoxNjMzMDAwODA2LCJqdGkiOiJiMmJmODgyMS01OTcxLTRiOTMtYWVmNy0zM2QwMDNkMjIxNjcifQ.NGE0-OkNCfrEzIcgeoux0HqN1Ejjcptvjoq86foTs80";
    let identity = fixture.verify(token).await.unwrap();
    assert_eq!(identity.user.as_deref(), Some("DD2020"));
    let changed = format!("{}4", token.trim_end_matches('0'));
    fixture.same(
        "the last digit",
        &fixture.verify(&changed).await,
        Some(Reason::Wrong),
    );

    let maker = Maker::with_secret(&[b'k'; 32]);
    let claims = |iss: &str, exp: u64| {
        let claims =
            json!({ "sub": "DD2020", "iss": iss, "exp": exp, "iat": 1_633_000_806, "jti": "j" });
        maker.token(
            r#"{"kid":"9wokXdhI","typ":"JWT","alg":"HS256"}"#,
            &claims.to_string(),
        )
    };
    let other = claims("infobip.com.", 4_102_444_800);
    fixture.same(
        "issuer",
        &fixture.verify(&other).await,
        Some(Reason::Unknown),
    );
    let seed = claims("infobip.com", 1_633_004_406);
    fixture.same("I18", &fixture.verify(&seed).await, Some(Reason::Expired));
    assert!(fixture.folder.path().exists());
}

#[tokio::test]
async fn a_user_is_found_by_its_id_and_else_by_a_login_that_nobody_shares() {
    let by_login = "
from: [{ header: x-auth-token }]
required_claims: [exp]
claims: { user: uid, login: sub }
";
    let fixture = Fixture::new(by_login).await;
    let namesake = |id: &str| User {
        id: id.into(),
        account: Some(format!("account of {id}")),
        username: Some("Aladdin".into()),
        ..User::default()
    };
    for id in ["u2", "u3"] {
        let user = namesake(id);
        fixture.bench.directory.put_user("p", &user).await.unwrap();
    }
    let found = async |claims: Value| {
        let mut claims = claims;
        claims["exp"] = json!(START + 3600);
        let token = fixture
            .hmac
            .token(r#"{"alg":"HS256"}"#, &claims.to_string());
        let verified = fixture.verify(&token).await;
        verified.map(|it| (it.user.unwrap_or_default(), it.username.unwrap_or_default()))
    };
    let user = |id: &str, name: &str| Ok((id.to_owned(), name.to_owned()));
    for (claims, want) in [
        (json!({ "sub": "john" }), user("u1", "john")),
        (json!({ "sub": "u1" }), Err(Reason::Unknown)),
        (json!({ "sub": "nobody" }), Err(Reason::Unknown)),
        (json!({ "sub": "Aladdin" }), Err(Reason::Conflict)),
        (
            json!({ "sub": "Aladdin", "uid": "u3" }),
            user("u3", "Aladdin"),
        ),
        // The login may have changed since.
        (json!({ "sub": "jack", "uid": "u1" }), user("u1", "john")),
        (json!({ "sub": "john", "uid": "u9" }), Err(Reason::Unknown)),
        (json!({ "sub": "john", "uid": null }), user("u1", "john")),
        (json!({ "sub": "john", "uid": "" }), Err(Reason::Malformed)),
        (json!({ "sub": 7 }), Err(Reason::Malformed)),
        (json!({}), Err(Reason::Unknown)),
    ] {
        assert_eq!(found(claims.clone()).await, want, "{claims}");
    }
}

#[tokio::test]
async fn where_tokens_are_minted_too_the_id_of_a_user_counts_in_those_alone() {
    let by_login = "
from: [{ header: x-auth-token }]
required_claims: [exp]
minted_here: true
algorithms: [RS256, HS256]
claims: { user: uid, login: sub }
";
    let fixture = Fixture::new(by_login).await;
    let other = User {
        id: "4711".into(),
        username: Some("eve".into()),
        ..User::default()
    };
    fixture.bench.directory.put_user("p", &other).await.unwrap();
    for (claims, want) in [
        (json!({ "sub": "john", "uid": "4711" }), Ok("u1")),
        (json!({ "sub": "john", "uid": 7 }), Ok("u1")),
        (json!({ "uid": "4711" }), Err(Reason::Unknown)),
        // Whoever may choose claims of an issuer's tokens may choose this one too.
        (
            json!({ "sub": "john", "uid": "4711", "gen": [0, 0, 0] }),
            Ok("u1"),
        ),
    ] {
        let mut claims = claims;
        claims["exp"] = json!(START + 3600);
        let token = fixture
            .hmac
            .token(r#"{"alg":"HS256"}"#, &claims.to_string());
        let found = fixture.verify(&token).await;
        let found = found.map(|it| it.user.unwrap_or_default());
        assert_eq!(found, want.map(str::to_owned), "{claims}");
    }

    let file = fixture.folder.path().join("shared");
    std::fs::write(&file, [b's'; 32]).unwrap();
    let keys = [
        HmacKeys::derived(&Peppers::ephemeral().unwrap(), "p").unwrap(),
        HmacKeys::load(&[file]).unwrap(),
    ];
    let none = SigningKeys::default();
    let mut fixture = fixture;
    for keys in keys {
        fixture.scheme = build_with_both(by_login, "p", &none, &keys).unwrap();
        let claims = minted(json!({ "sub": "john", "uid": "4711" }));
        let token = keys.sign(Header::Bare, &claims).unwrap();
        let found = fixture.verify(&token).await.map(|it| it.user);
        assert_eq!(found, Ok(Some("4711".to_owned())));
    }
}

#[test]
fn settings_that_could_not_mean_what_they_say_are_problems() {
    let from = "from: [{ authorization: Bearer }]";
    let own = "required_claims: [exp]";
    let set = "issuer: i\nalgorithms: [RS256]\njwks_url: https://x/k";
    let cases = [
        (format!("{from}\n{own}"), ""),
        (from.to_owned(), "`issuer`"),
        (format!("{from}\nissuer: i"), "`audience`"),
        (format!("{from}\n{own}\nleeway_seconds: 61"), "at most 60"),
        (
            format!("{from}\n{own}\ndirectory: none\nclaims: {{ login: sub }}"),
            "asked of the directory",
        ),
        (format!("{from}\n{own}\nalgorithms: []"), "at least one"),
        (
            format!("{from}\n{own}\nalgorithms: [none]"),
            "expected one of",
        ),
        (
            format!("{from}\n{own}\nkeys: [{{ algorithm: HS256, secret_file: /nonexistent }}]"),
            "cannot be read",
        ),
        (
            format!("{from}\n{own}\nalgorithms: [RS256]\nkeys: [{{ algorithm: HS256 }}]"),
            "do not include",
        ),
        (format!("from: []\n{own}"), "at least one place"),
        (format!("{from}\n{own}\njwk_url: https://x"), "jwk_url"),
        (format!("{from}\n{own}\n{set}"), ""),
        (
            format!(
                "{from}\n{own}\nissuer: i\nalgorithms: [ES256]\ndiscovery: https://x/m\nkeep_seconds: 60"
            ),
            "",
        ),
        (
            format!("{from}\n{own}\n{set}\ndiscovery: https://x/m"),
            "either this",
        ),
        (
            format!("{from}\n{own}\n{}", set.replace("https", "http")),
            "HTTPS is needed",
        ),
        (
            format!("{from}\n{own}\n{}", set.replace("issuer: i", "")),
            "whose key set",
        ),
        (
            format!("{from}\n{own}\nissuer: i\njwks_url: https://x/k"),
            "does not choose",
        ),
        (
            format!("{from}\n{own}\n{}", set.replace("RS256", "RS256, HS256")),
            "no key set holds",
        ),
        (format!("{from}\n{own}\n{set}\nkeep_seconds: 59"), "60"),
        (
            format!("{from}\n{own}\n{set}\ncool_down_seconds: 0"),
            "3600",
        ),
        (format!("{from}\n{own}\nkeep_seconds: 60"), "only with"),
        (
            format!("{from}\n{own}\nminted_here: true\ndirectory: none"),
            "must be `required`",
        ),
        (
            format!("{from}\n{own}\nminted_here: true\ndirectory: optional"),
            "must be `required`",
        ),
        (
            format!("{from}\n{own}\nminted_here: true\nalgorithms: [ES256]"),
            "signed with RS256",
        ),
    ];
    for (settings, want) in cases {
        match build_from(&settings) {
            Ok(_) => assert_eq!(want, "", "{settings}"),
            Err(problems) => {
                let found = problems.iter().any(|it| it.to_string().contains(want));
                assert!(!want.is_empty() && found, "{settings}: {problems:?}");
            }
        }
    }
}

/// Loads signing keys out of new files of these contents.
fn signing(folder: &Path, pems: &[&str]) -> SigningKeys {
    let write = |(index, pem): (usize, &&str)| {
        let path = folder.join(format!("signing-{index}"));
        std::fs::write(&path, pem).unwrap();
        path
    };
    let files: Vec<_> = pems.iter().enumerate().map(write).collect();
    SigningKeys::load(&files).unwrap().keys
}

/// Claims of a token that is minted here, some of them changed.
fn minted(changes: Value) -> Map<String, Value> {
    let mut claims: Map<_, _> = serde_json::from_str(&claims(changes)).unwrap();
    claims.entry("gen").or_insert(json!([0, 0, 0]));
    claims
}

#[tokio::test]
async fn tokens_minted_here_are_good_on_their_platform_as_long_as_their_key_is_loaded() {
    let settings = format!("{KAZOO}minted_here: true");
    let (old, new) = (private_pem(), private_pem());
    let fixture = Fixture::new(KAZOO).await;
    let folder = fixture.folder.path().to_owned();
    let before = signing(&folder, &[&old]);
    let overlap = signing(&folder, &[&new, &old]);
    let after = signing(&folder, &[&new]);
    let first = before.sign("p", &minted(json!({}))).unwrap();
    let second = overlap.sign("p", &minted(json!({}))).unwrap();
    let elsewhere = overlap.sign("q", &minted(json!({}))).unwrap();
    let own = Some(&settings);
    let unknown = Some(Reason::Unknown);
    let mut fixture = fixture;
    for (name, settings, platform, keys, token, want) in [
        ("its own key", own, "p", &before, &first, None),
        (
            "the old key in an overlap",
            own,
            "p",
            &overlap,
            &first,
            None,
        ),
        (
            "the new key in an overlap",
            own,
            "p",
            &overlap,
            &second,
            None,
        ),
        ("the new key alone", own, "p", &after, &second, None),
        ("the old key, taken out", own, "p", &after, &first, unknown),
        (
            "the new key, not there yet",
            own,
            "p",
            &before,
            &second,
            unknown,
        ),
        (
            "another platform's token",
            own,
            "p",
            &overlap,
            &elsewhere,
            unknown,
        ),
        ("the same there", own, "q", &overlap, &second, unknown),
        ("not asked for", None, "p", &overlap, &second, unknown),
    ] {
        // A scheme without keys of others takes no token in place of ours.
        let settings = settings.map_or(KAZOO, |it| it);
        fixture.scheme = build_with(settings, platform, keys).unwrap();
        fixture.same(name, &fixture.verify(token).await, want);
    }
}

#[tokio::test]
async fn a_key_of_ours_takes_only_tokens_that_name_it_and_say_their_generations() {
    let fixture = Fixture::new(KAZOO).await;
    let pem = private_pem();
    let ours = signing(fixture.folder.path(), &[&pem]);
    let settings = format!("{KAZOO}minted_here: true");
    let foreign = key(&fixture.rsa, fixture.folder.path(), None);
    let scheme = build_with(&format!("{settings}\nkeys:\n{foreign}"), "p", &ours).unwrap();
    let fixture = Fixture { scheme, ..fixture };
    let sign = |claims: &Map<String, Value>| ours.sign("p", claims).unwrap();
    let without = |claims: &mut Map<String, Value>| claims.remove("gen");
    let mut bare = minted(json!({}));
    without(&mut bare);
    let malformed = Some(Reason::Malformed);
    for (name, token, want) in [
        ("as minted", sign(&minted(json!({}))), None),
        ("no `gen`", sign(&bare), malformed),
        ("null", sign(&minted(json!({ "gen": 0 }))), malformed),
        (
            "raised",
            sign(&minted(json!({ "gen": [0, 0, 1] }))),
            Some(Reason::Revoked),
        ),
        (
            "of others, nothing is asked",
            fixture.rsa.token(r#"{"alg":"RS256"}"#, &claims(json!({}))),
            None,
        ),
    ] {
        fixture.same(name, &fixture.verify(&token).await, want);
    }

    // The right signature under a header without the name, or with another's.
    let kid = ours.jwks("p")["keys"][0]["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = ours.jwks("q")["keys"][0]["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let maker = Maker::with_rsa_pem(&pem);
    let body = Value::Object(minted(json!({}))).to_string();
    let named = |kid: &str| format!(r#"{{"alg":"RS256","typ":"JWT"{kid}}}"#);
    for (name, header, want) in [
        ("by its name", named(&format!(r#","kid":"{kid}""#)), None),
        ("without a name", named(""), Some(Reason::Wrong)),
        (
            "by another's",
            named(&format!(r#","kid":"{other}""#)),
            Some(Reason::Unknown),
        ),
    ] {
        fixture.same(
            name,
            &fixture.verify(&maker.token(&header, &body)).await,
            want,
        );
    }
}

#[tokio::test]
async fn tokens_minted_under_a_platforms_own_secret_are_good_there_alone_as_long_as_its_pepper() {
    let own = format!("{KAZOO}minted_here: true\nalgorithms: [RS256, HS256]");
    let unnamed = format!("{KAZOO}minted_here: true");
    let others = format!("{KAZOO}algorithms: [HS256]");
    let mut fixture = Fixture::new(KAZOO).await;
    let keys = |fills: &[u8], platform| {
        let fills = fills.iter().map(|it| Secret::new([*it; 32]));
        let peppers = Peppers::new(fills.collect()).unwrap();
        HmacKeys::derived(&peppers, platform).unwrap()
    };
    let sign = |keys: &HmacKeys, header| keys.sign(header, &minted(json!({}))).unwrap();
    let old = sign(&keys(b"o", "p"), Header::Bare);
    let new = sign(&keys(b"no", "p"), Header::Named);
    let elsewhere = sign(&keys(b"o", "q"), Header::Bare);
    let (wrong, unknown) = (Some(Reason::Wrong), Some(Reason::Unknown));
    for (name, settings, keys, token, want) in [
        ("its own", &own, keys(b"o", "p"), &old, None),
        ("the old pepper's", &own, keys(b"no", "p"), &old, None),
        ("the new pepper's", &own, keys(b"no", "p"), &new, None),
        ("not there yet", &own, keys(b"o", "p"), &new, wrong),
        ("taken out", &own, keys(b"n", "p"), &old, wrong),
        (
            "another platform's",
            &own,
            keys(b"no", "p"),
            &elsewhere,
            wrong,
        ),
        ("none", &own, HmacKeys::default(), &old, unknown),
        ("not named", &unnamed, keys(b"o", "p"), &old, unknown),
        ("not asked for", &others, keys(b"o", "p"), &old, unknown),
    ] {
        let none = SigningKeys::default();
        fixture.scheme = build_with_both(settings, "p", &none, &keys).unwrap();
        fixture.same(name, &fixture.verify(token).await, want);
    }
}

#[tokio::test]
async fn generations_must_be_said_under_a_secret_of_ours_and_hold_where_said_under_a_shared_one() {
    let settings = format!("{KAZOO}minted_here: true\nalgorithms: [HS256]");
    let mut fixture = Fixture::new(KAZOO).await;
    let file = fixture.folder.path().join("shared");
    std::fs::write(&file, [b's'; 32]).unwrap();
    let shared = HmacKeys::load(&[file]).unwrap();
    let ours = HmacKeys::derived(&Peppers::ephemeral().unwrap(), "p").unwrap();
    let issuer = Maker::with_secret(&[b's'; 32]);
    let issuers = issuer.token(r#"{"kid":"any","alg":"HS256"}"#, &claims(json!({})));
    let mut bare = minted(json!({}));
    bare.remove("gen");
    let raised = minted(json!({ "gen": [0, 0, 1] }));
    let strange = minted(json!({ "gen": "0" }));
    let (malformed, revoked) = (Some(Reason::Malformed), Some(Reason::Revoked));
    let sign = |keys: &HmacKeys, claims| keys.sign(Header::Bare, claims).unwrap();
    for (name, keys, token, want) in [
        ("ours", &ours, sign(&ours, &minted(json!({}))), None),
        ("ours without", &ours, sign(&ours, &bare), malformed),
        ("ours, raised", &ours, sign(&ours, &raised), revoked),
        ("shared", &shared, sign(&shared, &minted(json!({}))), None),
        ("shared without", &shared, sign(&shared, &bare), None),
        ("shared, raised", &shared, sign(&shared, &raised), revoked),
        (
            "shared, strange",
            &shared,
            sign(&shared, &strange),
            malformed,
        ),
        (
            "the issuer's, by its name for the key",
            &shared,
            issuers,
            None,
        ),
    ] {
        let none = SigningKeys::default();
        fixture.scheme = build_with_both(&settings, "p", &none, keys).unwrap();
        fixture.same(name, &fixture.verify(&token).await, want);
    }
}

#[tokio::test]
async fn without_keys_every_token_is_refused_and_the_operator_is_told() {
    let scheme = build_from(&format!("{KAZOO}algorithms: [RS256]")).unwrap();
    assert!(scheme.warning().is_some());
    assert_eq!(scheme.challenge(), None);
    let fixture = Fixture::new(KAZOO).await;
    assert!(fixture.scheme.warning().is_none());
    let token = fixture.rsa.token(HEADER, &claims(json!({})));
    let keyless = Fixture { scheme, ..fixture };
    keyless.same(
        "a token",
        &keyless.verify(&token).await,
        Some(Reason::Unknown),
    );
}

proptest! {
    #[test]
    fn reading_hostile_text_never_panics(
        text in ".{0,40}",
        parts in proptest::collection::vec("[A-Za-z0-9_-]{0,20}", 0..5),
        header in proptest::collection::vec(any::<u8>(), 0..40),
        json in "[\\[\\]{}:,\"a0-9.eE+-]{0,40}",
    ) {
        let encode = |it: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(it);
        let _ = Token::parse(&text);
        let _ = Token::parse(&parts.join("."));
        let _ = Token::parse(&format!("{}.{}.AA", encode(&header), encode(json.as_bytes())));
        let claims = format!("{}.{}.AA", part(r#"{"alg":"HS256"}"#), encode(json.as_bytes()));
        if let Ok(token) = Token::parse(&claims) {
            let _ = Names::default().read(&token.claims);
        }
    }
}
