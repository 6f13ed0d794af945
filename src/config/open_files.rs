//! Files with secrets that more people can reach than need to.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::config::files;
use crate::document::{Document, Problem};

/// Settings whose files hold nothing to hide. Whatever a setting to come names is taken for a secret.
const PUBLIC: [&str; 5] = [
    "ca_file",
    "cert_file",
    "client_ca_file",
    "client_cert_file",
    "public_key_file",
];

/// Whose files are looked at where their keys are read.
const APART: &str = "/signing/";

/// Warns of each file with a secret that everyone on this machine may read or change.
pub(super) fn warn(
    resolved: &Value,
    base: &Path,
    document: &Document,
    warnings: &mut Vec<Problem>,
) {
    for (setting, file) in files::named(resolved) {
        let name = setting.rsplit('/').next().unwrap_or_default();
        if PUBLIC.contains(&name) || setting.starts_with(APART) {
            continue;
        }
        let path = base.join(file);
        if let Some(what) = everyone_may(&path) {
            let message = format!(
                "everyone on this machine may {what} {}; `chmod o=` it",
                path.display()
            );
            warnings.push(document.problem(&setting, &message));
        }
    }
}

/// Tells what everyone may do to a file. What the group may is left alone: Kubernetes has it so under
/// `fsGroup`. Behind a folder that not everyone may enter, nobody may do anything.
fn everyone_may(path: &Path) -> Option<&'static str> {
    let mode = |it: &Path| Some(std::fs::metadata(it).ok()?.permissions().mode());
    let path = path.canonicalize().ok()?;
    let is_open = |folder: &Path| mode(folder).is_some_and(|it| it & 0o001 != 0);
    if !path.ancestors().skip(1).all(is_open) {
        return None;
    }
    match mode(&path)? & 0o006 {
        0o002 => Some("change"),
        0o004 => Some("read"),
        0o006 => Some("read and change"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_secret_that_everyone_can_reach_is_warned_of_at_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        for name in ["pepper", "password", "ca.pem", "jwt.secret"] {
            std::fs::write(base.join(name), [b'k'; 32]).unwrap();
            set_permissions(base.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        let text = "client_address: { from: peer }\nlisten: { grpc: [\"127.0.0.1:0\"] }\n\
                    store: { url: \"embedded:s.redb\", pepper_files: [pepper] }\nplatforms:\n  - { name: p, \
                    preset: opentact, schemes: { jwt: { keys: [{ algorithm: HS256, secret_file: jwt.secret }] } } }\n";
        let told = |file: &str, folder_mode: u32, mode: u32| {
            set_permissions(base, Permissions::from_mode(folder_mode)).unwrap();
            set_permissions(base.join(file), Permissions::from_mode(mode)).unwrap();
            let config = Config::parse("c.yaml", text, base, |_| None).unwrap();
            set_permissions(base.join(file), Permissions::from_mode(0o600)).unwrap();
            let told = config.warnings.into_iter().map(|it| it.to_string());
            told.filter(|it| it.contains("everyone"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        for (mode, word) in [
            (0o604, "may read "),
            (0o602, "may change "),
            (0o666, "may read and change "),
            (0o640, ""),
            (0o660, ""),
            (0o600, ""),
        ] {
            let found = told("pepper", 0o755, mode);
            assert_eq!(found.is_empty(), word.is_empty(), "{mode:o}: {found}");
            assert!(found.contains(word), "{mode:o}: {found}");
        }
        let found = told("pepper", 0o755, 0o644);
        assert!(
            found.starts_with("c.yaml:3: store.pepper_files: "),
            "{found}"
        );
        let found = told("jwt.secret", 0o755, 0o644);
        assert!(
            found.starts_with("c.yaml:5: platforms[0].schemes.jwt.keys[0].secret_file: "),
            "{found}"
        );
        assert_eq!(told("pepper", 0o750, 0o644), "", "nobody else gets there");
    }

    #[test]
    fn certificates_and_public_keys_are_for_everyone() {
        let folder = tempfile::tempdir().unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let document = Document::parse("c.yaml", "a: b").unwrap();
        for (setting, count) in [
            ("ca_file", 0),
            ("client_cert_file", 0),
            ("public_key_file", 0),
            ("client_key_file", 1),
            ("some_file", 1),
        ] {
            let path = folder.path().join(setting);
            std::fs::write(&path, "x").unwrap();
            set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            let mut warnings = Vec::new();
            let resolved = serde_json::json!({ "any": { setting: setting } });
            warn(&resolved, folder.path(), &document, &mut warnings);
            assert_eq!(warnings.len(), count, "{setting}: {warnings:?}");
        }
    }
}
