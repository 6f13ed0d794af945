//! The proof, before any request, that signatures are verified at all.
//!
//! The cryptography behind the library is chosen when it is built; built wrongly, it panics at its
//! first use. Here that first use is the start. One signature of each family that must hold, and
//! the same with one byte of the message changed, which must not. The private halves were thrown
//! away.

use std::sync::OnceLock;

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

use crate::credential::Secret;
use crate::keys::{Algorithm, Key, Signer, pem};

pub(super) const MESSAGE: &[u8] = b"portcullis self-test";
const CHANGED: &[u8] = b"portcullis self-tesT";

const HMAC_KEY: &[u8] = b"portcullis-self-test-key-32-bytes";
const HMAC_SIGNATURE: &str = "WfzRqXIbUNpPBUtgOAA5TOXJO36mUyFrYAACF2YIge4";

/// Installs the cryptography for the process and tries it, once.
///
/// # Errors
/// That it does not work.
pub(super) fn passed() -> Result<(), &'static str> {
    static RESULT: OnceLock<bool> = OnceLock::new();
    let passed = RESULT.get_or_init(|| {
        // Whoever installed one before installed this one: no other is built in.
        let _ = DEFAULT_PROVIDER.install_default();
        let hmac = Key {
            kid: None,
            algorithm: Algorithm::Hs256,
            decoding: jsonwebtoken::DecodingKey::from_secret(HMAC_KEY),
            material: Secret::new(HMAC_KEY),
            signer: Signer::Issuer,
        };
        judges(&hmac, HMAC_SIGNATURE) && SIGNED.iter().all(holds)
    });
    let failed = "the cryptography of this build does not verify signatures: do not use it";
    passed.then_some(()).ok_or(failed)
}

fn holds((algorithm, file, signature): &(Algorithm, &str, &str)) -> bool {
    let Ok((decoding, material)) = pem::public_key(*algorithm, &Secret::new(file.as_bytes()))
    else {
        return false;
    };
    let key = Key {
        kid: None,
        algorithm: *algorithm,
        decoding,
        material,
        signer: Signer::Issuer,
    };
    judges(&key, signature)
}

/// Tells whether the key holds the message signed, and the changed one not.
pub(super) fn judges(key: &Key, signature: &str) -> bool {
    key.has_signed(MESSAGE, signature) && !key.has_signed(CHANGED, signature)
}

/// Algorithm, public key, signature.
const SIGNED: [(Algorithm, &str, &str); 4] = [
    (
        Algorithm::EdDsa,
        "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAmskKHWZXhXiZLjKUvLLbanzbZv0GeWOYJwOIKYYA650=
-----END PUBLIC KEY-----
",
        "KNGdU6CJ964kqvy8x0kFq3wBmbOUu5zzdWIKx3NrXav97xeBS4r_BODRozP7yga8TPLwuxMmMkQpu0gZIznf\
        BQ",
    ),
    (
        Algorithm::Es256,
        "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvCqWcMb35iolIZIQmZRypQMy73xE
KvpMWKxGEdfeeASe+zqMnGq2e4cbpEgxgWa7jFXqy+K7YVu53w+TC7GPpg==
-----END PUBLIC KEY-----
",
        "_yuPgxtxxv4vRUAsf-3AYu59_PUlmmvm0Ptv2GNoQMsWZjpDc6XTf4gXs0j89IAiCPPaEnTgJC2_4vYORaPC\
        zA",
    ),
    (
        Algorithm::Es384,
        "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEhDiBnbPma4G6WC55iRdxN0HyltLCoXN7
NPV1TEWnKEUBjNiq+4+/CS3H2Z3U7rINY1mgKtlP9lclz4gR2LhNWXSvtJJGaXmK
UK3Umj7bUMqHB4sjWOv/fCKCkEUAnO58
-----END PUBLIC KEY-----
",
        "5GN8rCoTbf3UNTrZfTzoajTbGr3QadxWbBugi_ydcBXBHT26T8RJI5ksM0OTcoNNMBzAax-P_LgfKb9o2thw\
        6CqYZP5xU-AxHCaUraGrKjrqleROsftxJd7kIVo7LDga",
    ),
    (
        Algorithm::Rs256,
        "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAum6xQnEJUw8e7wS8oq+i
3MoRKZiCiiGRHnPAt8gp9RSTwcWxsoeVlvFY2RPdwDG5ZBUExHVAT9uKWNOWqV3f
NrKdxlKVTqXA2p/y1HMaOUKd6E+gwE+fgeLatpfUA3M2j4XGP1/auhY7A1kKhNVQ
57jh4L43dizsH7UZZSlKBrO+YIfzk9VH5H1h1GGZvDSBkhORd5vQ5kOYuPiQsFoz
lP2XGnxPLkdAMKhArlcx0BJVOFvm/a+brjqBNaskhAW2kAGe26X6tIgmrLHS+vsb
iHfgTFg9UA5Mlpx3y2WWRHTj2SG469vb7/RC7lWHXYmAfab6LatzDPqrNQFmQk5e
8wIDAQAB
-----END PUBLIC KEY-----
",
        "ZZDq6LJRJBkr0akfv_MDKJmCFEvrJRWI-De9ne0r9dvpupe_q4yZLhD1yU9do_YpKCr-H9JJa2Ft5r1oxFBq\
        8C4DsFd55EM9w78iMVhh4AVxJ_IqvRIMkAPHbGnxKGPiBmDEFNj8C1NoMFOFx-gvbvP1-LMqSWVxx1Aze_aM\
        xVi9szxB0mx-62qctVwBDUbpREn08FEF3AEWvI4_vAFyGTnOTkt4gUAL51V1MRK4mSOgH_efRRrvY4GniDit\
        AWTMHiKLRvuH4Jj8rR5ftE-q2jkeQjiD_KRlV1taXi5S0MaslwM6O8YJb90ZG70ZUcPKjQTbm4dlMZgtp3-v\
        U6S7Tw",
    ),
];
