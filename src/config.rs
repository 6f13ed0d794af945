//! The configuration: YAML text to parsed types, every problem at once, each at its key.
//!
//! [`RawConfig`] is what people write; [`Config`] is what the rest of the process uses, in types
//! that cannot hold nonsense. Each platform and each scheme reads its own settings; this is the
//! only place that puts them together. It starts nothing.

mod carried;
mod checked;
pub mod directory;
pub mod files;
mod issuing;
mod listening;
mod open_files;
mod outbound;
mod platforms;
mod problems;
pub mod raw;
pub mod schema;
mod signing;
mod standing;
pub mod store;
mod telemetry;
pub mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::cache::Limits;
use crate::config::carried::Carried;
use crate::config::checked::Checked;
use crate::config::files::Files;
pub use crate::config::listening::ListenAddress;
use crate::config::problems::{told_once, unreadable};
use crate::config::raw::RawConfig;
use crate::config::store::StoreSettings;
use crate::config::tls::ListenerTls;
use crate::document::{Document, Problem};
use crate::envoy::OnFault;
use crate::keys::asserting::AssertionKeys;
use crate::keys::signing::SigningKeys;
use crate::otlp;
use crate::platform::Platforms;
use crate::platform::settings::Surroundings;
use crate::request::ClientAddress;
use crate::telemetry::LogFormat;
use crate::telemetry::audit::AuditSettings;

/// The longest lifetime of an outcome: 30 days, far beyond any sense.
const MAX_TTL_SECONDS: u64 = 2_592_000;

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    /// A command that listens nowhere: it needs no listeners, and not the files of their TLS.
    Command,
    /// The service.
    Service,
}

/// A configuration in force.
#[derive(Debug)]
pub struct Config {
    /// Where Checks are answered.
    pub grpc: Vec<ListenAddress>,
    /// Where operators look.
    pub admin: Option<SocketAddr>,
    /// Where endpoints that issue tokens are served.
    pub issue: Option<SocketAddr>,
    /// The socket by which commands reach the running server.
    pub control: Option<PathBuf>,
    /// TLS of what is reached over TCP, but for the admin listener.
    pub tls: Option<ListenerTls>,
    /// Sizes and lifetimes of the cache.
    pub cache: Limits,
    /// How many proofs are remembered.
    pub proof_capacity: u64,
    /// The store to open.
    pub store: StoreSettings,
    /// How long a decision may take.
    pub deadline: Duration,
    /// What a fault becomes.
    pub on_fault: OnFault,
    /// How the client's address is known.
    pub client_address: Option<ClientAddress>,
    /// The level or directives of the log.
    pub log: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What of decisions is noted, and where; `None`: nothing.
    pub audit: Option<AuditSettings>,
    /// What a collector is told, and where it is; `None`: there is none.
    pub otlp: Option<otlp::Settings>,
    /// The platforms.
    pub platforms: Platforms,
    /// What tokens that are minted here are signed with; empty where nothing was said.
    pub signing: SigningKeys,
    /// What assertions for upstreams are signed with; empty where no platform has any.
    pub assertion_keys: AssertionKeys,
    /// What works and may not be meant so.
    pub warnings: Vec<Problem>,
    /// Everything as it was resolved: presets merged, variables replaced.
    pub resolved: serde_json::Value,
    /// Differs from that of a configuration under which a credential could come to something else, but
    /// for what [`settled`](crate::platform::Platform::settled) tells.
    pub settled: u64,
    /// Tells this text from another, to operators.
    pub hash: u64,
    document: Document,
    carried: Carried,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Every problem, where the configuration cannot be put in force, and those of its directory file.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        Self::load_with(path, Carried::default(), Purpose::Service)
    }

    /// Reads a configuration file for a command that listens nowhere, so that it may say nothing of
    /// listeners.
    ///
    /// # Errors
    /// Every problem, as for the service, but for what only listeners have.
    pub fn load_for_command(path: &Path) -> Result<Self, Vec<Problem>> {
        Self::load_with(path, Carried::default(), Purpose::Command)
    }

    /// Reads a configuration file that is to take the place of this configuration: with the keys that
    /// were made for this run, and what issuers have said.
    ///
    /// # Errors
    /// Every problem, where it cannot take its place.
    pub fn load_again(&self, path: &Path) -> Result<Self, Vec<Problem>> {
        let new = Self::load_with(path, self.carried.clone(), Purpose::Service)?;
        let problems = standing::changed(self, &new);
        if problems.is_empty() {
            Ok(new)
        } else {
            Err(problems)
        }
    }

    /// The file that it was read from, and those that it names, as they are named there.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let named = files::named(&self.resolved).into_iter();
        let own = self.document.problem("", "").source;
        std::iter::once(own).chain(named.map(|it| it.1)).collect()
    }

    /// A problem with the setting at this JSON pointer.
    #[must_use]
    pub fn problem(&self, pointer: &str, message: &str) -> Problem {
        self.document.problem(pointer, message)
    }

    fn load_with(path: &Path, carried: Carried, purpose: Purpose) -> Result<Self, Vec<Problem>> {
        let files = Files::look(path);
        let before = files.digest();
        let source = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|it| vec![unreadable(&source, &it)])?;
        let base = path.parent().unwrap_or(Path::new("."));
        let variable = |name: &str| std::env::var(name).ok();
        let read = Self::parse_with((&source, &text), base, variable, carried, purpose);
        let mut config = read.map_err(|it| directory::with_problems_of(path, it))?;
        // Of files that were changed meanwhile, nobody knows what was read.
        let is_known = files == Files::look(path) && before == files.digest();
        let of_files = if is_known { before } else { unlike_any() };
        config.settled = config.settled_with(&of_files);
        Ok(config)
    }

    /// Names everything around the platforms that a verdict may stand on, and more.
    fn settled_with(&self, files: &[u8; 32]) -> u64 {
        let mut around = self.resolved.clone();
        if let Some(around) = around.as_object_mut() {
            around.remove("platforms");
        }
        number(&[files, around.to_string().as_bytes()])
    }

    /// Reads a configuration from text. Relative paths in it are taken from `base`; `variable`
    /// gives what stands behind `${NAME}`.
    ///
    /// # Errors
    /// Every problem, where the configuration cannot be put in force.
    pub fn parse(
        source: &str,
        text: &str,
        base: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Problem>> {
        let carried = Carried::default();
        Self::parse_with((source, text), base, variable, carried, Purpose::Service)
    }

    /// As [`Config::parse`], for a command that listens nowhere.
    ///
    /// # Errors
    /// As [`Config::load_for_command`].
    pub fn parse_for_command(
        source: &str,
        text: &str,
        base: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Problem>> {
        let carried = Carried::default();
        Self::parse_with((source, text), base, variable, carried, Purpose::Command)
    }

    fn parse_with(
        (source, text): (&str, &str),
        base: &Path,
        variable: impl Fn(&str) -> Option<String>,
        mut carried: Carried,
        purpose: Purpose,
    ) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(source, text)?;
        let mut problems = document.expand_env(variable);
        let unset = problems.len();
        let mut resolved = document.value("").unwrap_or_default();
        let mut rest = document.clone();
        rest.take("", "platforms");
        let raw = rest.read_rest::<RawConfig>("", &mut problems);
        let mut warnings = Vec::new();
        let signing = raw.as_ref().map(|raw| {
            let carried = &mut carried;
            signing::read(raw, base, &document, carried, &mut problems, &mut warnings)
        });
        let signing = signing.unwrap_or_default();
        let store = raw.as_ref().and_then(|raw| {
            let mut store = StoreSettings::read(&raw.store, base, &document, &mut problems)?;
            if raw.store.pepper_files.is_empty() {
                let made = carried.peppers.get_or_insert_with(|| store.peppers.clone());
                store.peppers = made.clone();
            }
            Some(store)
        });
        let outbound = raw.as_ref().and_then(|raw| {
            outbound::read(&raw.outbound, base, &document, &mut carried, &mut problems)
        });
        let around = Surroundings {
            base,
            signing: &signing,
            outbound: &outbound.unwrap_or_default(),
            key_sets: &carried.key_sets,
            peppers: store.as_ref().map(|it| &it.peppers),
            issuing: raw.as_ref().is_some_and(|it| it.listen.issue.is_some()),
        };
        let platforms = platforms::read(&document, around, &mut resolved, &mut problems);
        let Some(raw) = raw else {
            return Err(told_once(problems, unset));
        };
        if document.count("/platforms") == 0 {
            problems.push(document.problem("", "`platforms` needs at least one platform"));
        }
        if purpose == Purpose::Service && raw.listen.grpc.is_empty() {
            let message = "name at least one address, such as \"127.0.0.1:9001\"";
            problems.push(document.problem("/listen/grpc", message));
        }
        let checked = Checked::of(&document, &raw, &platforms, &mut problems, &mut warnings);
        issuing::check(
            &document,
            &raw,
            &signing,
            &platforms,
            &mut problems,
            &mut warnings,
        );
        let tls = raw.listen.tls.as_ref();
        let tls = tls.filter(|_| purpose == Purpose::Service);
        let tls = tls.and_then(|it| tls::read(it, base, &document, &mut problems));
        let otlp = telemetry::read(&raw, base, &document, &mut problems, &mut warnings);
        open_files::warn(&resolved, base, &document, &mut warnings);
        let assertion_keys = signing::assertion_keys(
            &raw,
            base,
            &document,
            &platforms,
            &mut carried,
            &mut problems,
            &mut warnings,
        );
        let Some(store) = store.filter(|_| problems.is_empty()) else {
            return Err(told_once(problems, unset));
        };
        Ok(Self {
            grpc: checked.grpc,
            admin: checked.admin,
            issue: checked.issue,
            control: checked.control.map(|it| base.join(it)),
            tls,
            cache: Limits {
                capacity: raw.cache.capacity,
                ttl: Duration::from_secs(raw.cache.ttl_seconds),
                denial_capacity: raw.cache.denial_capacity,
                denial_ttl: Duration::from_secs(raw.cache.denial_ttl_seconds),
                stale_if_fault: Duration::from_secs(raw.cache.stale_if_fault_seconds),
            },
            proof_capacity: raw.cache.proof_capacity,
            store,
            deadline: Duration::from_millis(raw.check.deadline_ms),
            on_fault: raw.check.on_fault,
            client_address: checked.client_address,
            log: raw.telemetry.log,
            log_format: raw.telemetry.log_format,
            audit: checked.audit.map(|it| it.beside(base)),
            otlp,
            platforms: Platforms::new(platforms, raw.platform_from),
            signing,
            assertion_keys,
            warnings,
            resolved,
            settled: 0,
            hash: number(&[text.as_bytes()]),
            document,
            carried,
        })
    }
}

/// Gives a number that other parts do not give.
fn number(parts: &[&[u8]]) -> u64 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Gives a digest that no files have; without randomness, what was verified is verified anew once.
fn unlike_any() -> [u8; 32] {
    let mut digest = [0; 32];
    let _ = getrandom::fill(&mut digest);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::settings::{Bucket, Limits};

    fn parse(base: &Path, platforms: &str) -> Result<Config, Vec<Problem>> {
        let text = format!(
            "listen: {{ grpc: [\"127.0.0.1:0\"] }}\nclient_address: {{ from: peer }}\nplatforms:\n{platforms}"
        );
        Config::parse("c.yaml", &text, base, |_| None)
    }

    #[test]
    fn two_listeners_do_not_share_an_address() {
        let (one, two) = ("127.0.0.1:9001", "127.0.0.1:9002");
        for (grpc, admin, issue, wrong) in [
            (one, two, "127.0.0.1:9003", ""),
            (one, two, one, "listen.issue"),
            (one, two, two, "listen.issue"),
            (one, one, two, "listen.admin"),
            (one, two, "localhost:1", "listen.issue"),
            ("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", ""),
        ] {
            let text = format!(
                "listen: {{ grpc: [\"{grpc}\"], admin: \"{admin}\", issue: \"{issue}\" }}\n\
                 platforms:\n  - {{ name: p, preset: opentact }}"
            );
            let parsed = Config::parse("c.yaml", &text, Path::new("/"), |_| None);
            match (parsed, wrong) {
                (Ok(config), "") => assert_eq!(config.issue, issue.parse().ok()),
                (Ok(_), wrong) => panic!("{grpc} {admin} {issue} is taken; {wrong} is not good"),
                (Err(found), wrong) => {
                    let keys: Vec<_> = found.iter().map(|it| &*it.key).collect();
                    assert_eq!(keys, [wrong], "{grpc} {admin} {issue}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn an_audit_goes_beside_the_configuration_and_has_a_part_of_the_allows() {
        use crate::telemetry::audit::{Share, Target};
        let parse = |audit: &str| {
            let telemetry = format!("telemetry:\n  audit:\n    {audit}\n");
            let text = format!(
                "listen: {{ grpc: [\"127.0.0.1:0\"] }}\n{telemetry}platforms:\n  - {{ name: p, preset: opentact }}\n"
            );
            Config::parse("c.yaml", &text, Path::new("/etc/p"), |_| None)
        };
        let file = Target::File("/etc/p/audit.jsonl".into());
        for (audit, to, allows) in [
            ("{}", Target::Stdout, Share::of(0.01)),
            ("allows: none", Target::Stdout, Some(Share::NONE)),
            ("{ to: audit.jsonl, allows: all }", file, Some(Share::ALL)),
            ("allows: 1", Target::Stdout, Some(Share::ALL)),
            ("allows: 0.5", Target::Stdout, Share::of(0.5)),
        ] {
            let found = parse(audit).unwrap().audit.unwrap();
            assert_eq!((found.to, Some(found.allows)), (to, allows), "{audit}");
        }
        for (wrong, want) in [
            ("allows: 1.5", "c.yaml:4: telemetry.audit.allows: a part"),
            ("allows: some", "c.yaml:4: telemetry.audit.allows: "),
            ("to: \"\"", "c.yaml:4: telemetry.audit.to: write `stdout`"),
            ("nmae: 1", "c.yaml:4: telemetry.audit.nmae: "),
        ] {
            let told = parse(wrong).unwrap_err();
            assert!(told[0].to_string().starts_with(want), "{wrong}: {told:?}");
        }
    }

    #[test]
    fn limits_are_the_usual_ones_where_a_platform_does_not_say_others() {
        let limits = |text: &str| {
            let text = format!("  - {{ name: p, preset: {text} }}\n");
            let config = parse(Path::new("/"), &text)?;
            let platform = config.platforms.iter().next().unwrap();
            Ok::<_, Vec<Problem>>(platform.throttle)
        };
        let usual = Limits::default();
        assert_eq!((usual.failures, usual.window.as_secs()), (20, 300));
        let bucket = Some(Bucket::default());
        for (text, want) in [
            ("opentact", usual),
            ("opentact, throttle: null", usual),
            ("crossbar", Limits { bucket, ..usual }),
            ("crossbar, throttle: { bucket: null }", usual),
            (
                "crossbar, throttle: { failures: 5 }",
                Limits {
                    failures: 5,
                    bucket,
                    ..usual
                },
            ),
        ] {
            assert_eq!(limits(text).unwrap(), want, "{text}");
        }
        for (wrong, key) in [
            ("failures: 0", "failures"),
            ("window_seconds: 0", "window_seconds"),
            ("window_seconds: 86401", "window_seconds"),
            ("scheme: { failures: 0 }", "scheme.failures"),
            ("scheme: { window_seconds: 86401 }", "scheme.window_seconds"),
            ("bucket: { cost: 101 }", "bucket.cost"),
            ("bucket: { cost: 0 }", "bucket.cost"),
            ("bucket: { per_second: 0 }", "bucket.per_second"),
        ] {
            let found = limits(&format!("opentact, throttle: {{ {wrong} }}")).unwrap_err();
            let keys: Vec<_> = found.iter().map(|it| &*it.key).collect();
            assert_eq!(keys, [format!("platforms[0].throttle.{key}")], "{wrong}");
        }
    }

    #[test]
    fn a_rule_leads_to_the_issue_listener_only_where_the_platform_has_a_dialect() {
        let rules = "schemes: { key: { kind: api_key, from: [{ header: x-key }] } }, rules: [{ \
                     paths: [/login], allow: public, issue: true }, { paths: [\"/**\"] }]";
        let with = format!("  - {{ name: p, issue: {{ dialect: crossbar }}, {rules} }}\n");
        let config = parse(Path::new("/"), &with).unwrap();
        let platform = config.platforms.iter().next().unwrap();
        assert_eq!(platform.issue.as_ref().unwrap().dialect, "crossbar");
        for (name, issue, key) in [
            ("absent", "", "platforms[0].rules[0].issue"),
            ("null", "issue: null, ", "platforms[0].rules[0].issue"),
            (
                "unknown",
                "issue: { dialect: some }, ",
                "platforms[0].issue.dialect",
            ),
            ("nameless", "issue: {}, ", "platforms[0].issue.dialect"),
            (
                "more",
                "issue: { dialect: some, nmae: 1 }, ",
                "platforms[0].issue.nmae",
            ),
        ] {
            let text = format!("  - {{ name: p, {issue}{rules} }}\n");
            let found = parse(Path::new("/"), &text).unwrap_err();
            assert!(found.iter().any(|it| it.key == key), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_rule_asks_for_claims_only_of_schemes_that_know_them() {
        let keys = "keys: [{ algorithm: HS256, secret_file: secret }], required_claims: [exp]";
        let schemes = format!(
            "schemes: {{ key: {{ kind: api_key, from: [{{ header: x-key }}] }}, jwt: {{ kind: jwt, \
             from: [{{ header: x-token }}], {keys} }} }}"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), [b'k'; 32]).unwrap();
        for (accepted, fits) in [
            ("", true),
            (", schemes: [key, jwt]", true),
            (", schemes: [key]", false),
        ] {
            let rule = format!("{{ paths: [/a], claims: {{ tier: {{ equals: 1 }} }} {accepted} }}");
            let text = format!("  - {{ name: p, {schemes}, rules: [{rule}] }}\n");
            let found = parse(folder.path(), &text)
                .map(|_| ())
                .map_err(|all| all.into_iter().map(|it| it.key).collect::<Vec<_>>());
            let want = if fits {
                Ok(())
            } else {
                Err(vec!["platforms[0].rules[0].claims".to_owned()])
            };
            assert_eq!(found, want, "{accepted}");
        }
    }

    #[test]
    fn a_preset_asks_for_the_keys_of_its_tokens_and_takes_them_from_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), [b'k'; 32]).unwrap();
        let keyless = |config: &Config| {
            let about = config.warnings.iter().map(ToString::to_string);
            about.filter(|it| it.contains("has no `keys`")).count()
        };
        let presets = "  - { name: crossbar, preset: crossbar }\n  - { name: opentact, preset: opentact }\n  \
                       - { name: infobip, preset: infobip }\n";
        assert_eq!(keyless(&parse(folder.path(), presets).unwrap()), 3);

        let keys = "  - { name: o, preset: opentact, schemes: { jwt: { keys: [{ algorithm: HS256, \
                    secret_file: secret }] } } }\n";
        assert_eq!(keyless(&parse(folder.path(), keys).unwrap()), 0);
        let off = "  - { name: o, preset: opentact, schemes: { jwt: null } }\n";
        assert_eq!(keyless(&parse(folder.path(), off).unwrap()), 0);

        let problems = parse(Path::new("/nonexistent"), keys).unwrap_err();
        assert_eq!(
            problems[0].key,
            "platforms[0].schemes.jwt.keys[0].secret_file"
        );
    }
}
