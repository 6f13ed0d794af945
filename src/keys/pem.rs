//! Public keys out of PEM files (RFC 7468), each in the one form that its algorithm has.
//!
//! Stricter than a general reader, so that a key is never taken for another kind: the curve is
//! compared whole, one key stands in a file, and a private key is refused, since it has no business
//! on a machine that only verifies.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

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
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

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
    let components = DEFAULT_PROVIDER
        .key_utils
        .rsa_pub_components_from_public_key;
    let (modulus, exponent) = components(der).map_err(|_| "not an RSA key")?;
    let leading = modulus.first().map_or(0, |it| it.leading_zeros() as usize);
    if !RSA_BITS.contains(&(modulus.len() * 8 - leading)) {
        return Err("an RSA key has 2048 to 8192 bits (RFC 7518 §3.3)");
    }
    let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Ok((key, Secret::new([modulus, exponent].concat())))
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
    let body = text
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|it| it.strip_suffix("-----END PUBLIC KEY-----"))
        .ok_or("not one PEM block `PUBLIC KEY`")?;
    let packed: String = body.split_ascii_whitespace().collect();
    BASE64_STANDARD
        .decode(packed)
        .map_err(|_| "not one PEM block `PUBLIC KEY`")
}
