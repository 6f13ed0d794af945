//! The files that a configuration names, so that a change of one is seen.
//!
//! They are found by the names of settings alone (`…_file`, `…_files`), so that none is forgotten,
//! and looked at by what the system says of them: through symbolic links, since a `ConfigMap` is
//! changed by turning a link of its folder elsewhere, of which the files themselves tell nothing. To
//! look costs some microseconds, works on every kind of volume and misses nothing for good.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::document::Document;

/// Settings whose files no verdict stands on: records tell of their changes themselves, how the store is
/// reached says nothing of what stands there, and who may ask, and whom a collector trusts, say nothing of the answer.
const APART: [&str; 11] = [
    "/listen/tls/cert_file",
    "/listen/tls/key_file",
    "/listen/tls/client_ca_file",
    "/store/directory_file",
    "/store/password_file",
    "/store/ca_file",
    "/store/client_cert_file",
    "/store/client_key_file",
    "/store/sentinel_password_file",
    "/telemetry/otlp/ca_file",
    "/telemetry/otlp/headers_file",
];

/// How much of a file is looked at, in bytes: far more than any that verdicts depend on may have.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A configuration file and those that it names, as they were found. Two are equal where nothing was
/// changed between.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files(Vec<Named>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Named {
    /// The setting, as a JSON pointer; empty for the configuration itself.
    setting: String,
    path: PathBuf,
    /// `None`: it is not there.
    stamp: Option<Stamp>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// Looks at a configuration file and all that it names. Blocks.
    #[must_use]
    pub fn look(config: &Path) -> Self {
        // Before it is read, so that a change meanwhile shows.
        let mut files = vec![Named::look(String::new(), config.to_owned())];
        let base = config.parent().unwrap_or(Path::new("."));
        let text = fs::read_to_string(config).unwrap_or_default();
        if let Ok(mut document) = Document::parse("", &text) {
            // What cannot be replaced names no file that there is.
            let _ = document.expand_env(|it| std::env::var(it).ok());
            let found = named(&document.value("").unwrap_or_default());
            let look = |(setting, file)| Named::look(setting, base.join::<String>(file));
            files.extend(found.into_iter().map(look));
        }
        Self(files)
    }

    /// Looks at them, and reads what `read` does; `None` where one of them was changed meanwhile, so
    /// that nobody knows which of its states was read, or whether half of each. Blocks.
    pub fn look_and<T>(config: &Path, read: impl FnOnce() -> T) -> (Self, Option<T>) {
        let files = Self::look(config);
        let it = read();
        let is_known = files == files.again();
        (files, is_known.then_some(it))
    }

    /// Looks at the same files again. Blocks.
    #[must_use]
    pub fn again(&self) -> Self {
        let look = |it: &Named| Named::look(it.setting.clone(), it.path.clone());
        Self(self.0.iter().map(look).collect())
    }

    /// Digests what stands in those that verdicts depend on. Blocks.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let depended = self.0.iter().skip(1);
        for it in depended.filter(|it| !APART.contains(&&*it.setting)) {
            let mut add = |part: &[u8]| {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            };
            add(it.setting.as_bytes());
            add(&contents(&it.path).unwrap_or_default());
        }
        digest.finalize().into()
    }
}

impl Named {
    fn look(setting: String, path: PathBuf) -> Self {
        let stamp = fs::metadata(&path).ok().map(|it| Stamp {
            file: (it.dev(), it.ino()),
            bytes: it.len(),
            modified: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        });
        Self {
            setting,
            path,
            stamp,
        }
    }
}

/// Reads what a key, a secret or certificates can have; a pipe or a device is none, and might not end.
fn contents(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    // As large as it becomes, so that no part of a secret is left behind by growing.
    let mut contents = Zeroizing::new(Vec::with_capacity(bytes.min(MAX_BYTES) as usize + 1));
    let file = fs::File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut contents).ok()?;
    Some(contents)
}

/// Finds the settings that name files, as JSON pointers, and the files as they are named there.
pub(super) fn named(config: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    find(config, "", &mut found);
    found
}

fn find(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let at = format!("{at}/{key}");
                match value {
                    Value::String(file) if key.ends_with("_file") => found.push((at, file.clone())),
                    Value::Array(files) if key.ends_with("_files") => {
                        let files = files.iter().filter_map(Value::as_str);
                        found.extend(files.map(|it| (at.clone(), it.to_owned())));
                    }
                    _ => find(value, &at, found),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::schema::schema;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn every_setting_that_names_a_file_is_found_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("c.yaml");
        let text = "store: { pepper_files: [a, b], password_file: /p }\n\
                    platforms: [{ hmac_key_files: [c], schemes: { s: { keys: [{ secret_file: d }] } } }]";
        fs::write(&config, text).unwrap();
        let found = Files::look(&config).0;
        let found: Vec<_> = found.into_iter().map(|it| it.path).collect();
        let at = |it: &str| folder.path().join(it);
        let want = ["c.yaml", "a", "b", "/p", "c", "d"].map(at);
        assert_eq!(found, want);
    }

    /// The names alone tell; so they must.
    #[test]
    fn no_setting_that_names_a_file_is_called_otherwise() {
        fn walk(value: &Value, misnamed: &mut Vec<String>) {
            let properties = value.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                let told = property.get("description").and_then(Value::as_str);
                let told = told.unwrap_or_default().to_lowercase();
                let file = ["a file", "files ", "files with", "pem file", "file of"];
                let is_file = file.iter().any(|it| told.starts_with(it));
                if is_file && !name.ends_with("_file") && !name.ends_with("_files") {
                    misnamed.push(name.clone());
                }
            }
            match value {
                Value::Object(it) => it.values().for_each(|it| walk(it, misnamed)),
                Value::Array(it) => it.iter().for_each(|it| walk(it, misnamed)),
                _ => {}
            }
        }
        let mut misnamed = Vec::new();
        walk(&schema(), &mut misnamed);
        assert_eq!(misnamed, Vec::<String>::new());
    }

    #[test]
    fn what_is_read_while_it_is_written_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &[("c.yaml", "a_file: key"), ("key", "secret")],
        );
        let config = folder.path().join("c.yaml");
        let read = || fs::read_to_string(&config).unwrap();
        assert_eq!(Files::look_and(&config, read).1.unwrap(), "a_file: key");
        for (name, text) in [("key", "se"), ("c.yaml", "a_file: k")] {
            let (files, read) = Files::look_and(&config, || {
                write(folder.path(), &[(name, text)]);
                read()
            });
            assert_eq!(read, None, "{name}");
            assert_ne!(files, files.again(), "so that the change is seen");
        }
    }

    #[test]
    fn a_link_that_is_turned_elsewhere_is_a_change_of_what_stands_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |it: &str| folder.path().join(it);
        for version in ["..one", "..two"] {
            fs::create_dir(at(version)).unwrap();
            write(
                &at(version),
                &[("c.yaml", "a_file: key"), ("key", "secret")],
            );
        }
        symlink("..one", at("..data")).unwrap();
        symlink("..data/c.yaml", at("c.yaml")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        let before = Files::look(&at("c.yaml"));
        assert_eq!(before, before.again());
        let digest = before.digest();
        symlink("..two", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_ne!(before, before.again());
        // Nothing that a verdict depends on is another.
        assert_eq!(digest, before.again().digest());
        write(&at("..two"), &[("key", "another")]);
        assert_ne!(digest, before.again().digest());
        let before = before.again();
        fs::remove_file(at("..two/key")).unwrap();
        assert_ne!(before, before.again(), "one that has gone");
    }
}
