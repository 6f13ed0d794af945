//! Key sets as issuers publish them (RFC 7517 §5), read with suspicion: whoever writes one decides
//! who gets in.
//!
//! Only public keys count, each with the one algorithm that it is fixed to. What is not meant for
//! verifying, or not for an algorithm of the scheme, is passed over, as the RFC wants it; what two
//! readers could take for different things refuses the whole set.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::credential::Secret;
use crate::keys::pem::RSA_BITS;
use crate::keys::{Algorithm, Key, Keys, MAX_KID_BYTES, Signer};
use crate::strict_json::object;

/// How many keys a published set may have; those of known issuers have 2 to 8.
pub const MAX_SET_KEYS: usize = 32;

/// The longest public exponent of an RSA key, in bytes; nearly all have 3.
const MAX_EXPONENT_BYTES: usize = 4;

/// Reads the keys of a set that can verify tokens under these algorithms. Where an RSA key does not
/// say which is its own, it is the first of them that takes RSA keys.
///
/// # Errors
/// Why the set as a whole is not taken.
pub(super) fn read(set: &[u8], algorithms: &[Algorithm]) -> Result<Keys, &'static str> {
    let set = object(set).ok_or("it is not JSON in which each name stands once")?;
    let Some(Value::Array(entries)) = set.get("keys") else {
        return Err("it has no list `keys`");
    };
    if entries.len() > MAX_SET_KEYS {
        return Err("it has more than 32 keys");
    }
    let mut keys: Vec<Key> = Vec::new();
    for entry in entries {
        let entry = entry.as_object().ok_or("a key in it is not an object")?;
        let Some(key) = key(entry, algorithms) else {
            continue;
        };
        let same = |it: &Key| it.kid == key.kid && it.algorithm == key.algorithm;
        if key.kid.is_some() && keys.iter().any(same) {
            return Err("two keys in it have one name");
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err("it has no key that could be used");
    }
    Ok(Keys(keys))
}

/// Reads one key (RFC 7517 §4); `None` where it is not one to verify with here.
fn key(entry: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<Key> {
    // A private half that everyone can read signs for everyone.
    let public = !entry.contains_key("d") && !entry.contains_key("k");
    if !(public && is_for_verifying(entry)) {
        return None;
    }
    let kid = match entry.get("kid") {
        None => None,
        Some(Value::String(it)) if (1..=MAX_KID_BYTES).contains(&it.len()) => Some(it.clone()),
        Some(_) => return None,
    };
    let algorithm = algorithm(entry, algorithms)?;
    let (decoding, material) = match algorithm {
        Algorithm::EdDsa => {
            let x = bytes(entry, "x").filter(|it| it.len() == 32)?;
            (DecodingKey::from_ed_der(&x), x)
        }
        Algorithm::Es256 => point(entry, 32)?,
        Algorithm::Es384 => point(entry, 48)?,
        Algorithm::Hs256 => return None,
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => rsa(entry)?,
    };
    Some(Key {
        kid,
        algorithm,
        decoding,
        material: Secret::new(material),
        signer: Signer::Issuer,
    })
}

/// RFC 7517 §4.2, §4.3.
fn is_for_verifying(entry: &Map<String, Value>) -> bool {
    let signs = entry.get("use").is_none_or(|it| it == "sig");
    let verifies = match entry.get("key_ops") {
        None => true,
        Some(Value::Array(all)) => all.iter().any(|it| it == "verify"),
        Some(_) => false,
    };
    signs && verifies
}

/// Gives the one algorithm of a key: what it says itself (RFC 7517 §4.4), or the one that its type
/// and curve leave (RFC 7518 §6.1, RFC 8037 §2). It is always one of the scheme's.
fn algorithm(entry: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<Algorithm> {
    let text = |name| entry.get(name).and_then(Value::as_str);
    let fits: &[Algorithm] = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => &[Algorithm::Es256],
        ("EC", Some("P-384")) => &[Algorithm::Es384],
        ("OKP", Some("Ed25519")) => &[Algorithm::EdDsa],
        ("RSA", _) => &[Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512],
        _ => return None,
    };
    let mut taken = algorithms.iter().filter(|it| fits.contains(it)).copied();
    match entry.get("alg") {
        None => taken.next(),
        Some(Value::String(name)) => taken.find(|it| it.name() == name),
        Some(_) => None,
    }
}

/// RFC 7518 §6.2.1: both coordinates at full length.
fn point(entry: &Map<String, Value>, length: usize) -> Option<(DecodingKey, Vec<u8>)> {
    let coordinate = |name| bytes(entry, name).filter(|it| it.len() == length);
    let point = [vec![0x04], coordinate("x")?, coordinate("y")?].concat();
    Some((DecodingKey::from_ec_der(&point), point))
}

/// RFC 7518 §6.3.1.
fn rsa(entry: &Map<String, Value>) -> Option<(DecodingKey, Vec<u8>)> {
    let (modulus, exponent) = (bytes(entry, "n")?, bytes(entry, "e")?);
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    let odd_and_above_one = exponent.last()? & 1 == 1 && exponent != [1];
    if modulus[0] == 0 || !RSA_BITS.contains(&bits) {
        return None;
    }
    if exponent[0] == 0 || exponent.len() > MAX_EXPONENT_BYTES || !odd_and_above_one {
        return None;
    }
    let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Some((key, [modulus, exponent].concat()))
}

fn bytes(entry: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let text = entry.get(name)?.as_str()?;
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::samples::Maker;

    const ALGORITHMS: [Algorithm; 4] = [
        Algorithm::Rs256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    /// A key's entry with some members changed; null takes one away.
    fn entry(maker: &Maker, changes: &Value) -> Value {
        let mut entry = maker.jwk("k1");
        for (name, value) in changes.as_object().expect("changes are an object") {
            entry[name.as_str()] = value.clone();
        }
        let members = entry.as_object_mut().expect("an object");
        members.retain(|_, it| !it.is_null());
        entry
    }

    fn read_all(entries: &[Value]) -> Result<Keys, &'static str> {
        read(
            json!({ "keys": entries }).to_string().as_bytes(),
            &ALGORITHMS,
        )
    }

    #[test]
    fn a_key_of_each_kind_verifies_what_its_other_half_signed() {
        crate::keys::self_test::passed().expect("cryptography that works");
        for algorithm in ALGORITHMS {
            let maker = Maker::new(algorithm);
            for changes in [json!({}), json!({ "alg": null, "use": null })] {
                let keys = read_all(&[entry(&maker, &changes)]).expect("one key");
                let key = keys.candidates(Some("k1"), algorithm).next();
                let signature = maker.sign(b"message");
                let key = key.expect("its name and algorithm");
                assert!(key.has_signed(b"message", &signature), "{algorithm:?}");
                assert!(!key.has_signed(b"massage", &signature), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn only_a_public_key_for_verifying_under_an_algorithm_of_the_scheme_is_taken() {
        let [rsa, ec] = [Algorithm::Rs256, Algorithm::Es256].map(Maker::new);
        let ones = |bytes: usize| BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        for (name, maker, changes, taken) in [
            ("as it is", &rsa, json!({}), true),
            (
                "unknown members",
                &rsa,
                json!({ "x5t": "abc", "nbf": 1 }),
                true,
            ),
            ("nameless", &rsa, json!({ "kid": null }), true),
            ("to verify", &rsa, json!({ "key_ops": ["verify"] }), true),
            ("for encryption", &rsa, json!({ "use": "enc" }), false),
            ("to sign", &rsa, json!({ "key_ops": ["sign"] }), false),
            (
                "operations that are no list",
                &rsa,
                json!({ "key_ops": "verify" }),
                false,
            ),
            ("a number for a name", &rsa, json!({ "kid": 7 }), false),
            ("no name", &rsa, json!({ "kid": "" }), false),
            (
                "a long name",
                &rsa,
                json!({ "kid": "k".repeat(129) }),
                false,
            ),
            (
                "another RSA algorithm",
                &rsa,
                json!({ "alg": "RS512" }),
                false,
            ),
            ("PSS", &rsa, json!({ "alg": "PS256" }), false),
            ("an HMAC algorithm", &rsa, json!({ "alg": "HS256" }), false),
            (
                "the algorithm of a curve",
                &rsa,
                json!({ "alg": "ES256" }),
                false,
            ),
            ("no algorithm at all", &rsa, json!({ "alg": "none" }), false),
            ("an unknown type", &rsa, json!({ "kty": "LWE" }), false),
            (
                "symmetric",
                &rsa,
                json!({ "kty": "oct", "k": "c2VjcmV0" }),
                false,
            ),
            ("half symmetric", &rsa, json!({ "k": "c2VjcmV0" }), false),
            ("private", &rsa, json!({ "d": "AQAB" }), false),
            ("2040 bits", &rsa, json!({ "n": ones(255) }), false),
            ("8200 bits", &rsa, json!({ "n": ones(1025) }), false),
            ("8192 bits", &rsa, json!({ "n": ones(1024) }), true),
            ("an exponent of 1", &rsa, json!({ "e": "AQ" }), false),
            ("an even exponent", &rsa, json!({ "e": "AQAA" }), false),
            ("a long exponent", &rsa, json!({ "e": ones(5) }), false),
            ("no modulus", &rsa, json!({ "n": null }), false),
            ("padded base64", &rsa, json!({ "e": "AQ==" }), false),
            ("on its curve", &ec, json!({}), true),
            (
                "on another curve",
                &ec,
                json!({ "crv": "secp256k1" }),
                false,
            ),
            (
                "on a larger curve",
                &ec,
                json!({ "crv": "P-384", "alg": null }),
                false,
            ),
            ("a short coordinate", &ec, json!({ "x": ones(31) }), false),
        ] {
            assert_eq!(read_all(&[entry(maker, &changes)]).is_ok(), taken, "{name}");
        }
    }

    #[test]
    fn a_set_that_readers_could_differ_about_is_not_taken() {
        let [one, other] = [Algorithm::Es256, Algorithm::Es256].map(Maker::new);
        let (fine, twin) = (one.jwk("k1"), other.jwk("k1"));
        assert_eq!(
            read_all(&[fine.clone(), twin]).expect_err("twins"),
            "two keys in it have one name"
        );
        let passed_over =
            json!({ "kty": "RSA", "kid": "k1", "use": "enc", "n": "AQAB", "e": "AQAB" });
        let keys = read_all(&[passed_over, fine.clone()]).expect("one key");
        assert_eq!(keys.algorithms().count(), 1);
        let text = |it: &Value| it.to_string();
        for (name, set) in [
            ("no JSON", "keys".to_owned()),
            ("nothing", String::new()),
            ("a list", format!("[{}]", text(&fine))),
            ("no keys", "{}".to_owned()),
            ("an empty list", r#"{"keys":[]}"#.to_owned()),
            (
                "keys that are no list",
                format!(r#"{{"keys":{}}}"#, text(&fine)),
            ),
            (
                "a key that is none",
                format!(r#"{{"keys":[{},"k2"]}}"#, text(&fine)),
            ),
            (
                "two lists",
                format!(r#"{{"keys":[{0}],"keys":[{0}]}}"#, text(&fine)),
            ),
            (
                "a member twice",
                format!(
                    r#"{{"keys":[{}]}}"#,
                    text(&fine).replacen('{', r#"{"x":"AA","#, 1)
                ),
            ),
            (
                "33 keys",
                format!(
                    r#"{{"keys":[{}]}}"#,
                    vec![r#"{"kty":"none"}"#; 33].join(",")
                ),
            ),
        ] {
            assert!(read(set.as_bytes(), &ALGORITHMS).is_err(), "{name}");
        }
    }
}
