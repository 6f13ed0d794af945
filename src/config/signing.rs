//! The keys that tokens and assertions are signed with: from their files, or made for this run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::raw::RawConfig;
use crate::document::{Document, Problem};
use crate::keys::asserting::AssertionKeys;
use crate::keys::signing::SigningKeys;
use crate::keys::{KeyProblem, Loaded};
use crate::platform::Platform;

/// The URL of the store that ends with the process, and may so take its keys along.
const IN_MEMORY: &str = "memory:";

/// Loads the keys of tokens; what is wrong with them, or may not be meant so, is added. Without
/// files there are none, save where tokens are minted into a store that ends with the process.
pub(super) fn read(
    raw: &RawConfig,
    base: &Path,
    document: &Document,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> SigningKeys {
    let files = paths(&raw.signing.key_files, base);
    if files.is_empty() {
        let for_this_run = raw.listen.issue.is_some() && raw.store.url == IN_MEMORY;
        if !for_this_run {
            return SigningKeys::default();
        }
        return SigningKeys::generate().unwrap_or_else(|message| {
            problems.push(document.problem("/signing", &message));
            SigningKeys::default()
        });
    }
    let loaded = SigningKeys::load(&files);
    take(loaded, "key_files", document, problems, warnings)
}

/// Loads the keys of assertions, alike. Without files there are none, save where a platform asserts
/// and the store ends with the process.
pub(super) fn assertion_keys(
    raw: &RawConfig,
    base: &Path,
    document: &Document,
    platforms: &[Arc<Platform>],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> AssertionKeys {
    let asserting = platforms.iter().position(|it| it.assertion.is_some());
    let files = paths(&raw.signing.assertion_key_files, base);
    match asserting.map(|it| format!("/platforms/{it}/assertion")) {
        None if files.is_empty() => return AssertionKeys::default(),
        // A platform that has problems may be the one.
        None if problems.is_empty() => {
            let message = "no platform has `assertion`, so nothing is signed with these";
            warnings.push(document.problem("/signing/assertion_key_files", message));
        }
        Some(place) if raw.listen.admin.is_none() => {
            let message =
                "without `listen.admin`, nobody can fetch the keys that verify assertions";
            warnings.push(document.problem(&place, message));
        }
        None | Some(_) => {}
    }
    if !files.is_empty() {
        let loaded = AssertionKeys::load(&files);
        return take(loaded, "assertion_key_files", document, problems, warnings);
    }
    let place = format!("/platforms/{}/assertion", asserting.unwrap_or_default());
    if raw.store.url != IN_MEMORY {
        let message = "there is no key to sign it with: write `signing: { assertion_key_files: \
                       [assertion.pem] }`, and make one with `openssl genpkey -algorithm EC \
                       -pkeyopt ec_paramgen_curve:P-256 -out assertion.pem`";
        problems.push(document.problem(&place, message));
        return AssertionKeys::default();
    }
    AssertionKeys::generate().unwrap_or_else(|message| {
        problems.push(document.problem(&place, &message));
        AssertionKeys::default()
    })
}

fn paths(files: &[String], base: &Path) -> Vec<PathBuf> {
    files.iter().map(|it| base.join(it)).collect()
}

/// Takes keys that were loaded from the files of this setting, or tells why there are none.
fn take<K: Default>(
    loaded: Result<Loaded<K>, Vec<KeyProblem>>,
    setting: &str,
    document: &Document,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> K {
    let told = |it: &KeyProblem| {
        document.problem(&format!("/signing/{setting}/{}", it.index), &it.message)
    };
    match loaded {
        Ok(loaded) => {
            warnings.extend(loaded.warnings.iter().map(told));
            loaded.keys
        }
        Err(found) => {
            problems.extend(found.iter().map(told));
            K::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::document::Problem;
    use crate::keys::samples;

    fn parse(base: &std::path::Path, rest: &str) -> Result<Config, Vec<Problem>> {
        let platform = "platforms:\n  - { name: p, preset: crossbar }\n";
        Config::parse("c.yaml", &format!("{rest}\n{platform}"), base, |_| None)
    }

    const QUIET: &str = "client_address: { from: peer }\nlisten: { grpc: [\"127.0.0.1:0\"] }";
    const ISSUING: &str = "client_address: { from: peer }\nlisten: { grpc: [\"127.0.0.1:0\"], issue: \"127.0.0.1:0\" }";

    #[test]
    fn keys_come_from_files_beside_the_configuration_or_are_made_where_tokens_are_issued_from_memory()
     {
        let folder = tempfile::tempdir().unwrap();
        let pem = samples::private_pem();
        std::fs::write(folder.path().join("signing.pem"), pem).unwrap();
        let pepper = folder.path().join("pepper");
        std::fs::write(&pepper, [b'k'; 32]).unwrap();
        let embedded = "store: { url: \"embedded:s.redb\", pepper_files: [pepper] }";
        let files = "signing: { key_files: [signing.pem] }";
        for (name, text, keys, keyless) in [
            ("no issuing", QUIET.to_owned(), 0, 1),
            ("issuing from memory", ISSUING.to_owned(), 1, 0),
            ("keys from files", format!("{QUIET}\n{files}"), 1, 0),
        ] {
            let config = parse(folder.path(), &text).unwrap();
            assert_eq!(config.signing.verifying("p").len(), keys, "{name}");
            let told = config.warnings.iter().map(ToString::to_string);
            let told = told.filter(|it| it.contains("has no `keys`")).count();
            assert_eq!(told, keyless, "{name}");
        }
        let stays = parse(folder.path(), &format!("{ISSUING}\n{embedded}")).unwrap_err();
        let told = stays.iter().map(ToString::to_string).collect::<String>();
        assert!(told.contains("no key to sign"), "{told}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_at_its_place_and_what_everyone_may_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        std::fs::write(&path, samples::private_pem()).unwrap();
        let text = format!("{QUIET}\nsigning: {{ key_files: [signing.pem, gone.pem] }}");
        let problems = parse(folder.path(), &text).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|it| &*it.key).collect();
        assert_eq!(keys, ["signing.key_files[1]"]);

        let text = format!("{QUIET}\nsigning: {{ key_files: [signing.pem] }}");
        for (mode, warned) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let config = parse(folder.path(), &text).unwrap();
            let about = config.warnings.iter();
            let about = about.filter(|it| it.key == "signing.key_files[0]").count();
            assert_eq!(about, warned, "{mode:o}");
        }
    }

    /// A platform that asserts, on this store.
    fn asserting(base: &std::path::Path, rest: &str) -> Result<Config, Vec<Problem>> {
        let platform = "platforms:\n  - { name: p, preset: crossbar, assertion: { issuer: us, \
                        audience: [them] } }\n";
        let listen = "client_address: { from: peer }\nlisten: { grpc: [\"127.0.0.1:0\"], admin: \"127.0.0.1:0\" }";
        Config::parse(
            "c.yaml",
            &format!("{listen}\n{rest}\n{platform}"),
            base,
            |_| None,
        )
    }

    #[test]
    fn whoever_asserts_has_a_key_of_a_kind_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("rsa.pem", samples::private_pem()),
            ("ec.pem", samples::ec_private_pem()),
            ("ed.pem", samples::ed_private_pem()),
            ("pepper", "k".repeat(32)),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let embedded = "store: { url: \"embedded:s.redb\", pepper_files: [pepper] }";
        let files = |it: &str| format!("{embedded}\nsigning: {{ assertion_key_files: [{it}] }}");
        for (text, keys) in [
            (String::new(), 1),
            (files("ec.pem"), 1),
            (files("ed.pem, ec.pem"), 2),
        ] {
            let config = asserting(folder.path(), &text).unwrap();
            let set = config.assertion_keys.jwks("p");
            assert_eq!(set["keys"].as_array().unwrap().len(), keys, "{text}");
            assert!(config.signing.is_empty(), "{text}");
        }
        for (text, key, telling) in [
            (
                embedded.to_owned(),
                "platforms[0].assertion",
                "assertion_key_files",
            ),
            (
                format!("{embedded}\nsigning: {{ key_files: [rsa.pem] }}"),
                "platforms[0].assertion",
                "assertion_key_files",
            ),
            (files("rsa.pem"), "signing.assertion_key_files[0]", "P-256"),
            (
                files("ec.pem, gone.pem"),
                "signing.assertion_key_files[1]",
                "gone.pem",
            ),
            (
                files("ec.pem, ec.pem"),
                "signing.assertion_key_files[1]",
                "another file",
            ),
            (
                files("ec.pem, ed.pem, ec.pem, ed.pem, ec.pem"),
                "signing.assertion_key_files[4]",
                "at most 4",
            ),
            (
                format!("{embedded}\nsigning: {{ key_files: [ec.pem] }}"),
                "signing.key_files[0]",
                "not an RSA key",
            ),
        ] {
            let problems = asserting(folder.path(), &text).unwrap_err();
            let found = problems.iter().find(|it| it.key == key);
            let found = found.unwrap_or_else(|| panic!("{text}: {problems:?}"));
            assert!(found.message.contains(telling), "{text}: {found}");
        }
    }

    #[test]
    fn keys_of_assertions_that_everyone_may_read_that_nobody_uses_or_can_fetch_are_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ec.pem");
        std::fs::write(&path, samples::ec_private_pem()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let files = "signing: { assertion_key_files: [ec.pem] }";
        let told = |config: Config| {
            let told = config.warnings.into_iter().map(|it| it.key);
            told.filter(|it| it.contains("assert")).collect::<Vec<_>>()
        };
        let open = told(asserting(folder.path(), files).unwrap());
        assert_eq!(open, ["signing.assertion_key_files[0]"]);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(told(asserting(folder.path(), files).unwrap()).is_empty());
        let unused = told(parse(folder.path(), &format!("{QUIET}\n{files}")).unwrap());
        assert_eq!(unused, ["signing.assertion_key_files"]);

        let platform = "platforms: [{ name: p, preset: crossbar, assertion: { issuer: us, audience: [them] } }]";
        let text = format!("{QUIET}\n{files}\n{platform}");
        let unreached = Config::parse("c.yaml", &text, folder.path(), |_| None).unwrap();
        assert_eq!(told(unreached), ["platforms[0].assertion"]);
    }
}
