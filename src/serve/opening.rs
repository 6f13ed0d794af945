//! From a configuration to an open store, a directory and a gate: what every command that decides
//! or manages needs, with listeners or without.

use std::sync::Arc;
use std::time::Duration;

use crate::assertion::Assertions;
use crate::authenticator::Authenticator;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::store::StoreKind;
use crate::credential::Fingerprinter;
use crate::directory::file::replace::Filled;
use crate::directory::file::{DirectoryFile, Forms};
use crate::directory::operations::Operations;
use crate::directory::upgrades::Upgrades;
use crate::directory::{self, Directory, spread};
use crate::explain::Explainer;
use crate::gate::Gate;
use crate::issue::core::{Core, Parts};
use crate::issue::dialect;
use crate::platform::Platforms;
use crate::proof::Prover;
use crate::scheme::StoredForm;
use crate::serve::StartError;
use crate::store::Store;
use crate::store::embedded::Embedded;
use crate::store::metered::Metered;
use crate::store::redis::{self, Login, Redis, Watched};
use crate::telemetry::Metrics;
use crate::telemetry::audit::Audit;
use crate::throttle::Throttle;

/// How many clients and targets failed attempts are counted of; a few hundred bytes each.
const ATTEMPTS_KNOWN: u64 = 50_000;

/// What decides, ready to be asked.
#[derive(Debug)]
pub struct Opened {
    /// The directory in its store.
    pub directory: Directory,
    /// The cache before it.
    pub cache: Cache,
    /// What limits failed attempts.
    pub throttle: Throttle,
    /// The platforms, behind their gate.
    pub gate: Gate,
    /// Names this process, in answers and ids.
    pub instance: u64,
    /// What gives clients what they present later.
    pub issuing: Core,
    /// What operators may ask of the directory.
    pub operations: Operations,
    /// What tells them why something is decided.
    pub explainer: Explainer,
    /// What another configuration goes on from.
    pub(super) lasting: Lasting,
}

/// What outlives configurations.
#[derive(Debug)]
pub(super) struct Lasting {
    /// The configuration in force.
    pub(super) config: Arc<Config>,
    pub(super) base: Base,
    /// How the store is logged in to, where that is so.
    pub(super) login: Option<Login>,
    /// What a store that begins empty was filled with.
    pub(super) filled: Filled,
}

/// What decides under a configuration stands on this.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) directory: Directory,
    pub(super) cache: Cache,
    pub(super) throttle: Throttle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Option<Audit>,
    fingerprinter: Fingerprinter,
    instance: u64,
}

/// What decides under one configuration.
#[derive(Debug)]
pub(super) struct Deciders {
    pub(super) gate: Gate,
    pub(super) operations: Operations,
    pub(super) explainer: Explainer,
    pub(super) issuing: Parts,
}

impl Base {
    /// Has the directory kept under the peppers of this configuration.
    #[must_use]
    pub(super) fn under(&self, config: &Config) -> Self {
        let directory = self.directory.under(config.store.peppers.clone());
        let directory = directory.upgrading(upgrades(config, &self.metrics));
        Self {
            cache: self.cache.before(directory.clone()),
            throttle: self.throttle.before(directory.clone()),
            directory,
            ..self.clone()
        }
    }

    /// Puts together what decides.
    pub(super) fn decide_by(&self, config: &Config) -> Deciders {
        let Self {
            directory,
            cache,
            throttle,
            metrics,
            audit,
            fingerprinter,
            instance,
        } = self.clone();
        let platforms = &config.platforms;
        let names = platforms.iter().map(|it| it.name.to_string());
        let forms = names.map(|it| {
            let forms = forms(platforms, &it);
            (it, forms)
        });
        let operations = Operations::new(directory.clone(), forms.collect());
        let explainer = Explainer {
            directory: directory.clone(),
            platforms: platforms.clone(),
            fingerprinter: fingerprinter.clone(),
            client_address: config.client_address,
            assertion_keys: config.assertion_keys.clone(),
            on_fault: config.on_fault,
        };
        let assertions = Assertions::new(
            config.assertion_keys.clone(),
            fingerprinter.clone(),
            platforms,
            config.cache.capacity,
        );
        let authenticator = Authenticator::new(
            directory.clone(),
            cache,
            fingerprinter,
            (platforms, config.settled),
            Some(throttle.clone()),
        );
        let client_address = config.client_address;
        let gate = Gate::new(platforms.clone(), authenticator, client_address, assertions);
        let issuing = Parts {
            directory,
            operations: operations.clone(),
            platforms: platforms.clone(),
            throttle,
            signing: config.signing.clone(),
            metrics,
            audit,
            instance,
        };
        Deciders {
            gate,
            operations,
            explainer,
            issuing,
        }
    }
}

/// Reads the directory file of a configuration that names one.
///
/// # Errors
/// Every problem of the file.
pub fn read_directory(config: &Config) -> Result<Option<DirectoryFile>, StartError> {
    config.read_directory().map_err(StartError::Directory)
}

/// Opens the store of a configuration, fills it where it begins empty, and puts the gate before it.
/// Whether a remote store can be reached is not asked here. `audit` takes note of what endpoints do.
///
/// # Errors
/// Why that cannot be done, here and now.
pub async fn open(
    config: Config,
    file: Option<DirectoryFile>,
    clock: Clock,
    metrics: &Arc<Metrics>,
    audit: Option<Audit>,
) -> Result<Opened, StartError> {
    let fingerprinter = Fingerprinter::random()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let prover = Prover::new(fingerprinter.clone(), config.proof_capacity, cores)?;
    let watched = config.store.watch_grace;
    let stale = config.cache.stale_if_fault;
    let watched = watched.map(|grace| watched_by((grace, stale), clock.clone(), metrics));
    let (store, login) = open_store(config.store.kind.clone(), clock.clone(), watched).await?;
    let store = Arc::new(Metered::new(store, Arc::clone(metrics)));
    let directory = Directory::new(store, config.store.peppers.clone(), prover, clock);
    let mut filled = Filled::new(fingerprinter.clone());
    if let Some(file) = file {
        let forms = |name: &str| forms(&config.platforms, name);
        let records = file.replace(&directory, &mut filled, forms).await?.records;
        tracing::info!(records, "the directory is filled");
    }
    let directory = directory.upgrading(upgrades(&config, metrics));
    let base = Base {
        cache: Cache::new(config.cache, directory.clone()),
        throttle: Throttle::new(directory.clone(), fingerprinter.clone(), ATTEMPTS_KNOWN),
        metrics: Arc::clone(metrics),
        audit,
        instance: getrandom::u64()?,
        fingerprinter,
        directory,
    };
    let Deciders {
        gate,
        operations,
        explainer,
        issuing,
    } = base.decide_by(&config);
    Ok(Opened {
        directory: base.directory.clone(),
        cache: base.cache.clone(),
        throttle: base.throttle.clone(),
        gate,
        operations,
        explainer,
        issuing: Core::new(issuing),
        instance: base.instance,
        lasting: Lasting {
            config: Arc::new(config),
            base,
            login,
            filled,
        },
    })
}

/// What a server that several processes share is to tell of.
fn watched_by(
    (grace, stale): (Duration, Duration),
    clock: Clock,
    metrics: &Arc<Metrics>,
) -> Watched {
    let metrics = Arc::clone(metrics);
    Watched {
        prefix: directory::TRACKED,
        canary_prefix: spread::CANARIES,
        call_prefix: spread::CALLS,
        grace,
        stale,
        clock,
        lag: Arc::new(move |lag| metrics.note_revocation_lag(lag)),
    }
}

async fn open_store(
    kind: StoreKind,
    clock: Clock,
    watched: Option<Watched>,
) -> Result<(Arc<dyn Store>, Option<Login>), StartError> {
    Ok(match kind {
        StoreKind::Embedded(path) => {
            let opened = tokio::task::spawn_blocking(move || Embedded::open(&path, clock)).await;
            (Arc::new(opened.map_err(|_| StartError::Aborted)??), None)
        }
        StoreKind::Memory => (Arc::new(Embedded::memory(clock)?), None),
        StoreKind::Redis(settings) => {
            let redis = Redis::new(redis::Settings {
                watched,
                ..*settings
            })?;
            let login = redis.login();
            (Arc::new(redis), Some(login))
        }
    })
}

fn upgrades(config: &Config, metrics: &Arc<Metrics>) -> Upgrades {
    let names = config.platforms.iter().map(|it| it.name.to_string());
    let needed = names.map(|it| {
        let forms = forms(&config.platforms, &it);
        (it, forms)
    });
    Upgrades::new(needed.collect(), Arc::clone(metrics))
}

/// The forms of passwords that a platform's schemes and logins verify against; others are not stored.
#[must_use]
pub fn forms(platforms: &Platforms, name: &str) -> Forms {
    let mut forms = Forms::default();
    for platform in platforms.iter().filter(|it| &*it.name == name) {
        let by_schemes = platform.schemes.iter();
        let by_schemes = by_schemes.filter_map(|it| it.scheme.stored_form());
        let speaks = platform.issue.as_ref().filter(|_| platform.policy.issues());
        let speaks = speaks.and_then(|it| dialect(&it.dialect));
        let by_logins = speaks.into_iter().flat_map(|it| it.forms).copied();
        for form in by_schemes.chain(by_logins) {
            match form {
                StoredForm::Argon2 => forms.argon2 = true,
                StoredForm::Ha1b => forms.ha1b = true,
                StoredForm::Md5 => forms.md5 = true,
                StoredForm::Sha1 => forms.sha1 = true,
            }
        }
    }
    forms
}
