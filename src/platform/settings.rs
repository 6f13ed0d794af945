//! From settings to a [`Platform`]: the preset, what the configuration overrides, compiled.
//!
//! Each part is read by its own type, and each problem is told at its key, all at once.

mod assertion;
mod checks;
mod headers;
mod issuing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::decision::Reason;
use crate::directory::pepper::Peppers;
use crate::document::{Document, Problem};
use crate::keys::sets::KeySets;
use crate::keys::signing::SigningKeys;
use crate::outbound::Outbound;
use crate::platform::errors::{ErrorTable, RawErrorRow};
use crate::platform::https::{Https, Mode, RawHttps};
pub use crate::platform::settings::assertion::AssertionSettings;
use crate::platform::settings::checks::{check_claims, check_names, check_rules};
pub use crate::platform::settings::headers::IdentityHeaders;
use crate::platform::settings::issuing::hmac_keys;
pub use crate::platform::settings::issuing::{IssueSettings, Served, SessionEnd, SessionLife};
use crate::platform::{NamedScheme, Platform, Site, presets};
use crate::policy::tunnel::MethodOverride;
use crate::policy::{Extras, Policy, RawRule};
use crate::scheme::{self, Base64, Conflict, Context, Reading, SchemeCase, Source, parse_places};
use crate::throttle::settings::RawLimits;

/// A platform as a configuration writes it, without its schemes, which read their own settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPlatform {
    /// What metrics, records and `x-auth-platform` call it: letters, digits, `-` and `_`.
    name: String,
    /// The preset to start from: `portcullis config presets` lists them.
    #[serde(rename = "preset")]
    _preset: Option<String>,
    /// Read by the schemes themselves.
    #[serde(rename = "schemes")]
    #[schemars(skip)]
    _schemes: Option<serde::de::IgnoredAny>,
    /// Exact names, `*.suffix`, or `*` for any; a port in the request's host is ignored.
    #[serde(default)]
    hosts: Vec<String>,
    /// Only paths under this prefix.
    prefix: Option<String>,
    /// What may be done, by whom; the first rule that matches decides, no match denies.
    rules: Vec<RawRule>,
    /// How denials and faults are answered; the first row that fits is taken.
    #[serde(default)]
    errors: Vec<RawErrorRow>,
    /// Names of the headers that tell the upstream who is calling.
    #[serde(default)]
    identity_headers: IdentityHeaders,
    /// A signed assertion of who was admitted, for the upstream; absent: none.
    assertion: Option<AssertionSettings>,
    /// What is made of plain HTTP: `off`, `deny`, `redirect`.
    https: Option<RawHttps>,
    /// What several credentials on one request mean.
    #[serde(default)]
    conflict: Conflict,
    /// Whether the word of `Authorization` must be spelled exactly.
    #[serde(default)]
    scheme_case: SchemeCase,
    /// Which base64 is taken.
    #[serde(default)]
    base64: Base64,
    /// Places where the upstream reads credentials that no scheme here does. What stands there is
    /// refused: it would be another credential than the one that was judged.
    #[serde(default)]
    unread: Vec<Source>,
    /// Whether a 401 carries `WWW-Authenticate` (RFC 9110 §15.5.2 wants it).
    #[serde(default = "yes")]
    challenge: bool,
    /// A header that names the account acted for; it must be the credential's own.
    account_header: Option<String>,
    /// What the platform's endpoints that issue tokens speak, behind rules with `issue: true`.
    issue: Option<IssueSettings>,
    /// Files of secrets that the platform's HS256 tokens are signed with, the current one first, 4 at
    /// most, 32 bytes or more each: to share them with an issuer that is there already. Absent: derived
    /// from the peppers.
    #[serde(default)]
    hmac_key_files: Vec<String>,
    /// How many attempts at the platform's logins and schemes may fail.
    #[serde(default)]
    throttle: Option<RawLimits>,
    /// Where a client may name another method.
    #[serde(default)]
    method_override: MethodOverride,
    /// Scopes that a role grants.
    #[serde(default)]
    role_scopes: BTreeMap<String, Vec<String>>,
}

fn yes() -> bool {
    true
}

/// What a platform is told of the configuration around it.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What files are relative to: where the configuration stands.
    pub base: &'a Path,
    /// What RS256 tokens that are minted here are signed with.
    pub signing: &'a SigningKeys,
    /// What asks servers on the internet.
    pub outbound: &'a Outbound,
    /// The key sets of issuers.
    pub key_sets: &'a KeySets,
    /// What keys of platforms are derived from; `None` where they have problems, which were told.
    pub peppers: Option<&'a Peppers>,
    /// Whether this process serves endpoints that issue tokens.
    pub issuing: bool,
}

/// Puts the preset that the settings name underneath them. Settings without one stay as they are.
pub fn with_preset(settings: Document, problems: &mut Vec<Problem>) -> Document {
    let Some(name) = settings.value("/preset") else {
        return settings;
    };
    let Some(text) = name.as_str().and_then(presets::text) else {
        let known: Vec<_> = presets::ALL.iter().map(|it| it.0).collect();
        problems.push(settings.problem(
            "/preset",
            &format!("no such preset; there are {}", known.join(", ")),
        ));
        return settings;
    };
    match Document::parse("preset", text) {
        Ok(preset) => Document::merge(preset, settings),
        Err(mut found) => {
            problems.append(&mut found);
            settings
        }
    }
}

/// Compiles a platform from its settings, the preset already merged; `None` where they have
/// problems, which are added.
pub fn build(
    mut settings: Document,
    around: Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Platform> {
    let before = problems.len();
    let whole = settings.value("").unwrap_or_default();
    let schemes = settings.take("", "schemes");
    let raw: RawPlatform = settings.read_rest("", problems)?;
    check_names(&settings, &raw, problems);
    let reading = Reading {
        scheme_case: raw.scheme_case,
        base64: raw.base64,
        conflict: raw.conflict,
    };
    let Some(schemes) = schemes else {
        problems.push(settings.problem("", "missing field `schemes`"));
        return None;
    };
    // With those that are switched off: a preset's rule may go on naming them.
    let named: Vec<_> = schemes.entries("").into_iter().map(|it| it.0).collect();
    check_rules(&settings, &raw.rules, &named, raw.issue.is_some(), problems);
    let issuing = raw
        .issue
        .as_ref()
        .is_some_and(|it| around.issuing || it.served == Served::Elsewhere);
    let hmac = hmac_keys(&settings, &raw, issuing, around, problems);
    let claims = raw.rules.iter().flat_map(|it| it.claims.keys().cloned());
    let claims: Vec<_> = claims.collect::<BTreeSet<_>>().into_iter().collect();
    let context = Context {
        platform: &raw.name,
        name: "",
        reading,
        base: around.base,
        signing: around.signing,
        outbound: around.outbound,
        key_sets: around.key_sets,
        hmac: &hmac,
        claims: &claims,
    };
    let found = problems.len();
    let schemes = build_schemes(context, &schemes, problems);
    if problems.len() == found {
        check_claims(&settings, &raw.rules, &schemes, problems);
    }
    let unread = parse_places(&raw.unread).unwrap_or_else(|message| {
        if !raw.unread.is_empty() {
            problems.push(settings.problem("/unread", message));
        }
        Vec::new()
    });
    let places = schemes.iter().flat_map(|it| it.scheme.places());
    assertion::check(&settings, &raw, places.chain(&unread), problems);
    let https: Https = raw.https.map_or(
        Https {
            mode: Mode::Off,
            status: 302,
            from: crate::platform::https::Proto::default(),
        },
        Https::from,
    );
    if ![301, 302, 307, 308].contains(&https.status) {
        problems.push(settings.problem("/https/status", "a redirect is 301, 302, 307 or 308"));
    }
    let reasons: Vec<_> = Reason::ALL.iter().map(|it| it.name()).collect();
    let errors = ErrorTable::compile(&raw.errors, &reasons)
        .map_err(|found| {
            problems.extend(found.iter().map(|it| {
                settings.problem(&format!("/errors/{}", it.row), &it.problem.to_string())
            }));
        })
        .ok();
    let extras = Extras {
        account_header: raw.account_header.map(|it| it.to_ascii_lowercase()),
        method_override: raw.method_override,
        role_scopes: raw.role_scopes,
        issuing,
    };
    let throttle = raw.throttle.unwrap_or_default();
    throttle.check(&mut |pointer, message| {
        problems.push(settings.problem(&format!("/throttle{pointer}"), message));
    });
    let policy =
        Policy::build(raw.rules, extras)
            .map_err(|found| {
                problems.extend(found.iter().map(|it| {
                    settings.problem(&format!("/rules/{}/paths", it.rule), &it.to_string())
                }));
            })
            .ok();
    if problems.len() > before {
        return None;
    }
    Some(Platform {
        settled: settled(whole, &claims),
        unread,
        challenges: if raw.challenge {
            challenges(&raw.name, &schemes)
        } else {
            Vec::new()
        },
        name: raw.name.into(),
        schemes,
        conflict: raw.conflict,
        policy: policy?,
        errors: errors?,
        identity_headers: raw.identity_headers,
        assertion: raw.assertion,
        issue: raw.issue,
        hmac,
        of_scheme: throttle.of_scheme(),
        throttle: throttle.into(),
        https,
        site: Site {
            hosts: raw.hosts.iter().map(|it| it.to_ascii_lowercase()).collect(),
            prefix: raw.prefix.unwrap_or_else(|| "/".to_owned()),
        },
    })
}

/// Names all that schemes were told, and more: of the rules only the claims that they ask about, and
/// nothing of how denials look and attempts are limited.
fn settled(mut whole: Value, claims: &[String]) -> u64 {
    if let Some(whole) = whole.as_object_mut() {
        for name in ["rules", "errors", "https", "throttle"] {
            whole.remove(name);
        }
    }
    let digest: [u8; 32] = Sha256::digest(json!([whole, claims]).to_string()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn build_schemes(
    context: Context<'_>,
    settings: &Document,
    problems: &mut Vec<Problem>,
) -> Vec<NamedScheme> {
    let mut built = Vec::new();
    // `basic: null` switches a preset's scheme off.
    let entries = settings
        .entries("")
        .into_iter()
        .filter(|it| it.1.value("").is_some_and(|v| !v.is_null()));
    for (name, mut settings) in entries {
        let kind = settings
            .take("", "kind")
            .and_then(|it| Some(it.value("")?.as_str()?.to_owned()));
        let Some(kind) = scheme::ALL
            .iter()
            .find(|it| Some(it.name) == kind.as_deref())
        else {
            let known: Vec<_> = scheme::ALL.iter().map(|it| it.name).collect();
            problems.push(settings.problem("", &format!("`kind` is one of {}", known.join(", "))));
            continue;
        };
        if !is_name(&name) {
            problems
                .push(settings.problem("", "a scheme's name holds letters, digits, `-` and `_`"));
        }
        let context = Context {
            name: &name,
            ..context
        };
        if let Some(scheme) = (kind.build)(&context, &settings, problems) {
            built.push(NamedScheme {
                name: name.as_str().into(),
                scheme,
            });
        }
    }
    built
}

/// RFC 9110 §11.6.1: one challenge for each scheme that a client could answer with.
fn challenges(platform: &str, schemes: &[NamedScheme]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for challenge in schemes.iter().filter_map(|it| it.scheme.challenge()) {
        let mut text = format!("{} realm=\"{platform}\"", challenge.scheme);
        if !challenge.parameters.is_empty() {
            text.push_str(", ");
            text.push_str(challenge.parameters);
        }
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn is_name(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}
