//! New private keys as the PEM files (RFC 7468) that are read here again: PKCS#8, without a passphrase.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// Characters of base64 in a line (RFC 7468 §2).
const LINE: usize = 64;

/// Makes an RSA key of 2048 bits, for tokens. Takes about 100 ms.
///
/// # Errors
/// Where the cryptography of this build or the system's randomness fails.
pub fn rsa_pem() -> Result<Zeroizing<String>, &'static str> {
    let failed = |_| "an RSA key cannot be made";
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok(pem(der.as_ref()))
}

/// Makes a key on P-256, for assertions.
///
/// # Errors
/// Where the cryptography of this build or the system's randomness fails.
pub fn p256_pem() -> Result<Zeroizing<String>, &'static str> {
    let failed = |_| "a key on P-256 cannot be made";
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let der = pair.to_pkcs8v1().map_err(failed)?;
    Ok(pem(der.as_ref()))
}

fn pem(der: &[u8]) -> Zeroizing<String> {
    let packed = Zeroizing::new(BASE64_STANDARD.encode(der));
    // As large as it can become, so that no copy of the key is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(packed.len() * 2 + 64));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (index, digit) in packed.char_indices() {
        if index > 0 && index % LINE == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push_str("\n-----END PRIVATE KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::asserting::AssertionKeys;
    use crate::keys::signing::SigningKeys;

    #[test]
    fn keys_that_are_made_are_taken_from_their_files_and_no_two_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert!(text.lines().all(|it| it.len() <= LINE), "{name}");
            path
        };
        let files = ["a", "b"].map(|it| file(it, &rsa_pem().unwrap()));
        let set = SigningKeys::load(&files).expect("two keys").keys.jwks("p");
        assert_eq!(set["keys"].as_array().map(Vec::len), Some(2));
        let files = ["c", "d"].map(|it| file(it, &p256_pem().unwrap()));
        let set = AssertionKeys::load(&files)
            .expect("two keys")
            .keys
            .jwks("p");
        assert_eq!(set["keys"].as_array().map(Vec::len), Some(2));
    }
}
