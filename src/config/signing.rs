//! The keys that tokens are signed with: from their files, or made for this run.

use std::path::Path;

use crate::config::raw::RawConfig;
use crate::document::{Document, Problem};
use crate::keys::signing::{Loaded, SigningKeys};

/// The URL of the store that ends with the process, and may so take its keys along.
const IN_MEMORY: &str = "memory:";

/// Loads the keys; what is wrong with them, or may not be meant so, is added. Without files there
/// are none, save where tokens are minted into a store that ends with the process.
pub(super) fn read(
    raw: &RawConfig,
    base: &Path,
    document: &Document,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> SigningKeys {
    let at_file = |index: usize, message: &str| {
        document.problem(&format!("/signing/key_files/{index}"), message)
    };
    let files: Vec<_> = raw
        .signing
        .key_files
        .iter()
        .map(|it| base.join(it))
        .collect();
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
    match SigningKeys::load(&files) {
        Ok(Loaded {
            keys,
            warnings: found,
        }) => {
            warnings.extend(found.iter().map(|it| at_file(it.index, &it.message)));
            keys
        }
        Err(found) => {
            problems.extend(found.iter().map(|it| at_file(it.index, &it.message)));
            SigningKeys::default()
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
}
