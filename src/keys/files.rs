//! Keys out of the files that a configuration names: how a file is read, and which one a key takes.
//! What stands in a PEM file is read elsewhere.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use crate::credential::Secret;
use crate::keys::{
    Algorithm, Key, KeyProblem, MAX_KID_BYTES, MIN_SECRET_BYTES, RawKey, Signer, pem,
};

/// The longest file that is read for a key, in bytes; an RSA key of 8192 bits has under 2 KiB.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// What is wrong with one key: the setting, and the message.
pub(super) type Wrong = (&'static str, String);

/// Loads a key; files are relative to `base`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn load(raw: &RawKey, base: &Path) -> Result<Key, Wrong> {
    let wrong = |setting, message: &str| (setting, message.to_owned());
    let kid = raw.kid.clone();
    if kid
        .as_ref()
        .is_some_and(|it| !(1..=MAX_KID_BYTES).contains(&it.len()))
    {
        return Err(wrong("kid", "the name of a key has 1 to 128 bytes"));
    }
    let (decoding, material) = match (raw.algorithm, &raw.public_key_file, &raw.secret_file) {
        (Algorithm::Hs256, None, Some(file)) => {
            let secret = read_secret(&base.join(file)).map_err(|it| ("secret_file", it))?;
            (DecodingKey::from_secret(secret.expose()), secret)
        }
        (Algorithm::Hs256, _, _) => {
            return Err(wrong("", "HS256 takes a `secret_file` and nothing else"));
        }
        (algorithm, Some(file), None) => read_file(&base.join(file))
            .and_then(|it| pem::public_key(algorithm, &it).map_err(str::to_owned))
            .map_err(|it| ("public_key_file", it))?,
        (_, _, _) => {
            let message = "this algorithm takes a `public_key_file` and nothing else";
            return Err(wrong("", message));
        }
    };
    Ok(Key {
        kid,
        algorithm: raw.algorithm,
        decoding,
        material,
        signer: Signer::Issuer,
    })
}

/// How many files with private keys are taken: the current key, and those whose tokens have not ended.
pub const MAX_SIGNING_KEYS: usize = 4;

/// Keys that were loaded, and what of their files works and may not be meant so.
#[derive(Debug)]
pub struct Loaded<K> {
    /// The keys.
    pub keys: K,
    /// Files that others may read.
    pub warnings: Vec<KeyProblem>,
}

/// Loads private keys, one a file and each once; `read` makes a key of a file, `name` tells it from others.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn load_private<K>(
    files: &[PathBuf],
    read: impl Fn(&Secret) -> Result<K, String>,
    name: impl Fn(&K) -> [u8; 32],
) -> Result<Loaded<Vec<K>>, Vec<KeyProblem>> {
    let problem = |index, message: String| KeyProblem::new(index, "", message);
    let mut keys: Vec<K> = Vec::new();
    let (mut warnings, mut problems) = (Vec::new(), Vec::new());
    for (index, path) in files.iter().enumerate().take(MAX_SIGNING_KEYS) {
        let loaded = read_file_and_metadata(path).and_then(|(file, metadata)| {
            let key = read(&file).map_err(|it| format!("{}: {it}", path.display()))?;
            Ok((key, metadata.permissions().mode() & 0o004 != 0))
        });
        match loaded {
            Ok((key, _)) if keys.iter().any(|it| name(it) == name(&key)) => {
                problems.push(problem(index, "another file holds this key".to_owned()));
            }
            Ok((key, open)) => {
                keys.push(key);
                if open {
                    let message = format!(
                        "{} can be read by everyone on this machine; `chmod 600` it",
                        path.display()
                    );
                    warnings.push(problem(index, message));
                }
            }
            Err(message) => problems.push(problem(index, message)),
        }
    }
    if files.len() > MAX_SIGNING_KEYS {
        let message =
            format!("at most {MAX_SIGNING_KEYS} keys; leave out those whose tokens have all ended");
        problems.push(problem(MAX_SIGNING_KEYS, message));
    }
    if problems.is_empty() {
        Ok(Loaded { keys, warnings })
    } else {
        Err(problems)
    }
}

fn read_file(path: &Path) -> Result<Secret, String> {
    read_file_and_metadata(path).map(|it| it.0)
}

pub(super) fn read_file_and_metadata(path: &Path) -> Result<(Secret, Metadata), String> {
    let failed = |it: std::io::Error| format!("{} cannot be read: {it}", path.display());
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // As large as it can become, so that no copy of a key is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize + 1));
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{} is longer than any key", path.display()));
    }
    Ok((Secret::new(&bytes[..]), metadata))
}

pub(super) fn read_secret(path: &Path) -> Result<Secret, String> {
    let file = read_file(path)?;
    let bytes = file.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.starts_with(b"-----BEGIN ") {
        return Err("this is a PEM file; an HMAC secret is never a public key".to_owned());
    }
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "a secret has at least {MIN_SECRET_BYTES} bytes (RFC 7518 §3.2); make one with \
             `openssl rand -hex 32`"
        ));
    }
    Ok(Secret::new(bytes))
}
