//! Keys out of PEM files (RFC 7468), each in the one form that its algorithm has.
//!
//! Stricter than a general reader, so that a key is never taken for another kind: the curve is
//! compared whole, one key stands in a file, and a private key is refused where a public one is
//! meant, since it has no business on a machine that only verifies.

use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use zeroize::Zeroizing;

use crate::credential::Secret;
use crate::keys::Algorithm;

/// `SubjectPublicKeyInfo` up to the point, for an uncompressed point on P-256 (RFC 5480 §2).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The same for P-384.
const P384_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// `SubjectPublicKeyInfo` up to the key, for Ed25519 (RFC 8410 §4).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Bits of an RSA modulus: below is too weak (RFC 7518 §3.3), above is not implemented.
pub(super) const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA_LENGTH: &str = "an RSA key has 2048 to 8192 bits (RFC 7518 §3.3)";

/// `rsaEncryption` (RFC 8017 §A.1), as PKCS#8 names the algorithm near its beginning.
const RSA_OID: [u8; 11] = [
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];

/// `secp256r1` (RFC 5480 §2.1.1.1), alike.
const P256_OID: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// `id-Ed25519` (RFC 8410 §3), alike.
const ED25519_OID: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// Gives the key, and the bytes that tell it from any other of its algorithm.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn public_key(
    algorithm: Algorithm,
    file: &Secret,
) -> Result<(DecodingKey, Secret), &'static str> {
    let der = decode(file)?;
    match algorithm {
        Algorithm::EdDsa => {
            let key = behind(&der, &ED25519_PREFIX, 32).ok_or("not an Ed25519 key")?;
            Ok((DecodingKey::from_ed_der(key), Secret::new(key)))
        }
        Algorithm::Es256 => {
            let point = behind(&der, &P256_PREFIX, 65).ok_or("not a key on the curve P-256")?;
            Ok((DecodingKey::from_ec_der(point), Secret::new(point)))
        }
        Algorithm::Es384 => {
            let point = behind(&der, &P384_PREFIX, 97).ok_or("not a key on the curve P-384")?;
            Ok((DecodingKey::from_ec_der(point), Secret::new(point)))
        }
        Algorithm::Hs256 => Err("an HMAC key is a secret, never a public key"),
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => rsa(&der),
    }
}

fn rsa(der: &[u8]) -> Result<(DecodingKey, Secret), &'static str> {
    let RsaNumbers { modulus, exponent } = RsaNumbers::of(der)?;
    let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Ok((key, Secret::new([modulus, exponent].concat())))
}

/// The two numbers of a public RSA key, big-endian, without leading zeros.
#[derive(Clone)]
pub(super) struct RsaNumbers {
    pub(super) modulus: Vec<u8>,
    pub(super) exponent: Vec<u8>,
}

impl RsaNumbers {
    /// Reads them out of a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// Where it is no RSA key, or one of a length that is not taken.
    pub(super) fn of(der: &[u8]) -> Result<Self, &'static str> {
        let components = DEFAULT_PROVIDER
            .key_utils
            .rsa_pub_components_from_public_key;
        let (modulus, exponent) = components(der).map_err(|_| "not an RSA key")?;
        let leading = modulus.first().map_or(0, |it| it.leading_zeros() as usize);
        if !RSA_BITS.contains(&(modulus.len() * 8 - leading)) {
            return Err(RSA_LENGTH);
        }
        Ok(Self { modulus, exponent })
    }
}

fn behind<'d>(der: &'d [u8], prefix: &[u8], length: usize) -> Option<&'d [u8]> {
    der.strip_prefix(prefix).filter(|it| it.len() == length)
}

/// Decodes the one public key of the file.
fn decode(file: &Secret) -> Result<Vec<u8>, &'static str> {
    let text = file.expose_str().ok_or("not a PEM file")?.trim();
    if text.contains("PRIVATE KEY-----") {
        return Err(
            "this is a private key; only the public half belongs here: `openssl pkey \
                    -pubout -in KEY`",
        );
    }
    if text.contains("BEGIN CERTIFICATE-----") {
        return Err("this is a certificate; take its key: `openssl x509 -pubkey -noout -in CERT`");
    }
    let der = block(text, "PUBLIC KEY").ok_or("not one PEM block `PUBLIC KEY`")?;
    Ok(der.expose().to_vec())
}

/// A private key on a curve.
pub(super) enum CurvePair {
    /// On P-256, for ES256.
    P256(EcdsaKeyPair),
    /// On Ed25519, for `EdDSA`.
    Ed25519(Ed25519KeyPair),
}

/// Gives the private key on a curve of a file: PKCS#8 (RFC 5958).
///
/// # Errors
/// What is wrong with the file.
pub(super) fn private_curve_key(file: &Secret) -> Result<CurvePair, &'static str> {
    let text = private_text(file)?;
    if text.contains("BEGIN EC ") {
        return Err("not in PKCS#8; `openssl pkcs8 -topk8 -nocrypt -in KEY` writes it so");
    }
    if text.contains("BEGIN RSA ") {
        return Err(NOT_ON_A_CURVE);
    }
    let der = block(text, "PRIVATE KEY").ok_or("not one PEM block `PRIVATE KEY`")?;
    let damaged = "not a private key, or a damaged one";
    if names(&der, &P256_OID) {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.expose());
        return pair.map(CurvePair::P256).map_err(|_| damaged);
    }
    if names(&der, &ED25519_OID) {
        let pair = Ed25519KeyPair::from_pkcs8(der.expose());
        return pair.map(CurvePair::Ed25519).map_err(|_| damaged);
    }
    Err(NOT_ON_A_CURVE)
}

const NOT_ON_A_CURVE: &str = "neither a key on the curve P-256 nor an Ed25519 key; make one with `openssl \
                              genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";

/// Gives the text of a file that can hold a private key.
fn private_text(file: &Secret) -> Result<&str, &'static str> {
    let text = file.expose_str().ok_or("not a PEM file")?.trim();
    if text.contains("ENCRYPTED") {
        return Err(
            "the key is encrypted; take the passphrase off and let the file's mode protect \
                    it: `openssl pkey -in KEY`",
        );
    }
    if text.contains("BEGIN PUBLIC KEY-----") || text.contains("BEGIN RSA PUBLIC KEY-----") {
        return Err("this is a public key; signing takes the private one");
    }
    if text.contains("BEGIN CERTIFICATE-----") {
        return Err("this is a certificate; signing takes the private key of it");
    }
    Ok(text)
}

/// Tells whether PKCS#8 names this algorithm or curve near its beginning.
fn names(der: &Secret, oid: &[u8]) -> bool {
    let head = der.expose().get(..48).unwrap_or(der.expose());
    head.windows(oid.len()).any(|it| it == oid)
}

/// Gives the private RSA key of a file: PKCS#8 (RFC 5208) or PKCS#1 (RFC 8017 §A.1.2).
///
/// # Errors
/// What is wrong with the file.
pub(super) fn private_rsa_key(file: &Secret) -> Result<KeyPair, &'static str> {
    let text = private_text(file)?;
    if text.contains("BEGIN EC ") {
        return Err(NOT_RSA);
    }
    let read = if let Some(der) = block(text, "PRIVATE KEY") {
        if !names(&der, &RSA_OID) {
            return Err(NOT_RSA);
        }
        KeyPair::from_pkcs8(der.expose())
    } else if let Some(der) = block(text, "RSA PRIVATE KEY") {
        KeyPair::from_der(der.expose())
    } else {
        return Err("not one PEM block `PRIVATE KEY` or `RSA PRIVATE KEY`");
    };
    read.map_err(|it| match it.description_() {
        "TooSmall" | "TooLarge" => RSA_LENGTH,
        _ => "not a private RSA key, or a damaged one",
    })
}

const NOT_RSA: &str = "not an RSA key, and tokens are signed with RS256; make one with `openssl \
                       genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`";

/// Decodes a text that is one PEM block of this label and nothing else.
fn block(text: &str, label: &str) -> Option<Secret> {
    let body = text
        .strip_prefix("-----BEGIN ")?
        .strip_prefix(label)?
        .strip_prefix("-----")?
        .strip_suffix("-----")?
        .strip_suffix(label)?
        .strip_suffix("-----END ")?;
    let packed: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    BASE64_STANDARD.decode(&*packed).map(Secret::new).ok()
}
