//! Another configuration in the place of the one in force, while Checks go on.
//!
//! On SIGHUP, or where one of its files has changed and stays as it is for a moment. All that it names
//! is read and judged first; what is not as it should be is told, and nothing changes. Then each room
//! gets what it decides by, in one step each. What was verified under settings that stay goes on to
//! count, and so do proofs, failed attempts and issuers' keys, so that nobody who stays feels it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::KeySets;
use crate::admin::status::{Configured, Refused};
use crate::config::Config;
use crate::config::files::Files;
use crate::config::store::StoreKind;
use crate::config::tls::ListenerTls;
use crate::control::Served;
use crate::current::Current;
use crate::decision::Fault;
use crate::directory::check::CheckError;
use crate::directory::file::DirectoryFile;
use crate::directory::pepper::Peppers;
use crate::document::Problem;
use crate::envoy::Deciding;
use crate::issue::core::Core;
use crate::otlp::Trust;
use crate::serve::configured::configured;
use crate::serve::opening::{Deciders, Lasting, forms};
use crate::store::redis::NextLogin;
use crate::telemetry::Metrics;

/// How often files are looked at. One that has changed counts once it is found the same twice, so
/// that none is read while it is written.
const TICK: Duration = Duration::from_millis(500);

/// How many problems are told.
const MAX_TOLD: usize = 100;

/// What calls for a reload.
#[derive(Debug)]
pub struct Calls {
    /// The configuration file.
    pub path: PathBuf,
    /// Its files, as they were looked at before the one in force was read.
    pub files: Files,
    /// SIGHUP.
    pub hangups: Signal,
}

/// Where what decides is in force.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) deciding: Current<Deciding>,
    pub(super) issuing: Current<Core>,
    pub(super) control: Current<Served>,
    pub(super) key_sets: Current<KeySets>,
    pub(super) configured: Current<Configured>,
    /// `None` where no listener has TLS.
    pub(super) tls: Option<Current<ListenerTls>>,
    /// `None` where no collector is told anything.
    pub(super) otlp: Option<Current<Trust>>,
}

/// Puts configurations in force.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) lasting: Lasting,
    pub(super) places: Places,
}

/// Why a configuration is not put in force.
enum Unfit {
    /// It has problems.
    Problems(Vec<Problem>),
    /// It cannot be told now whether it has any.
    Untold(Fault),
}

impl From<Vec<Problem>> for Unfit {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Problems(problems)
    }
}

impl Reloader {
    /// Reloads whenever it is called for, until the service stops.
    pub(super) async fn run(mut self, mut calls: Calls, mut stopped: watch::Receiver<bool>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut changing, mut waits) = (None, false);
        loop {
            let why = tokio::select! {
                _ = calls.hangups.recv() => "SIGHUP",
                _ = ticks.tick() => "a changed file",
                _ = stopped.wait_for(|it| *it) => return,
            };
            if let ("SIGHUP", Some(audit)) = (why, &self.lasting.base.audit) {
                audit.reopen();
            }
            let files = calls.files.clone();
            let now = spawn_blocking(move || files.again()).await;
            let changed = now.ok().filter(|it| *it != calls.files);
            let settled = changed.is_some() && changed == changing;
            changing = changed;
            if why == "SIGHUP" || settled || (waits && changing.is_none()) {
                changing = None;
                waits = self.reload(&mut calls, (why, waits)).await;
            }
        }
    }

    /// Tries to put the configuration in force as it stands now, and tells what came of it. `true`: to
    /// be tried again.
    async fn reload(&mut self, calls: &mut Calls, (why, again): (&str, bool)) -> bool {
        let (config, path) = (Arc::clone(&self.lasting.config), calls.path.clone());
        let read = spawn_blocking(move || Files::look_and(&path, || read(&config, &path)));
        let Ok((files, read)) = read.await else {
            return false;
        };
        calls.files = files;
        let taken = match read {
            Some(Ok((config, file))) => self.take(config, file).await,
            Some(Err(problems)) => Err(problems.into()),
            // A change of which the next looks tell.
            None => return false,
        };
        let metrics = &self.lasting.base.metrics;
        match taken {
            Ok(()) => {
                metrics.count_reload(true);
                tracing::info!(why, "another configuration is in force");
                false
            }
            Err(Unfit::Problems(problems)) => {
                metrics.count_reload(false);
                tell(why, &problems);
                self.show_refused(problems.len());
                false
            }
            Err(Unfit::Untold(fault)) => {
                if !again {
                    metrics.count_reload(false);
                    self.show_refused(1);
                    tracing::error!(
                        why,
                        "the configuration stays as it was until it can be told whether the new one fits: {fault}"
                    );
                }
                true
            }
        }
    }

    /// Shows that a configuration was not put in force, since it has so many problems.
    fn show_refused(&self, problems: usize) {
        let since = self.lasting.base.directory.clock().unix_seconds();
        let place = &self.places.configured;
        let old = Configured::clone(&place.get());
        place.put(Configured {
            refused: Some(Refused { since, problems }),
            ..old
        });
    }

    /// Puts a configuration in force.
    async fn take(&mut self, config: Config, file: Option<DirectoryFile>) -> Result<(), Unfit> {
        let Lasting {
            config: old,
            base,
            login,
            filled,
        } = &mut self.lasting;
        let problem = |key: &str, message: String| Unfit::from(vec![config.problem(key, &message)]);
        let next = match &config.store.kind {
            StoreKind::Redis(settings) => Some(NextLogin::new((**settings).clone())),
            StoreKind::Embedded(_) | StoreKind::Memory => None,
        };
        let next = next.transpose();
        let next = next.map_err(|it| problem("/store", it.to_string()))?;
        let under = base.under(&config);
        if ids(&config.store.peppers) != ids(&old.store.peppers) {
            match under.directory.confirm_further_peppers().await {
                Ok(()) => {}
                Err(CheckError::Fault(fault)) => return Err(Unfit::Untold(fault)),
                Err(wrong @ CheckError::Wrong { .. }) => {
                    return Err(problem("/store/pepper_files", wrong.to_string()));
                }
            }
        }
        if let StoreKind::Memory = config.store.kind {
            let file = file.unwrap_or_else(DirectoryFile::nobody);
            let forms = |name: &str| forms(&config.platforms, name);
            let replaced = file.replace(&under.directory, filled, forms).await;
            let replaced = replaced.map_err(|it| {
                let message = format!("the directory is filled in part only: {it}");
                problem("/store/directory_file", message)
            })?;
            if (replaced.written, replaced.removed) != (0, 0) {
                let (written, removed) = (replaced.written, replaced.removed);
                tracing::info!(written, removed, "the directory is what its file says");
            }
        }
        if let (Some(login), Some(next)) = (login, next) {
            login.change(next);
        }
        for warning in &config.warnings {
            let is_told = |it: &Problem| (&it.key, &it.message) == (&warning.key, &warning.message);
            if !old.warnings.iter().any(is_told) {
                tracing::warn!("{warning}");
            }
        }
        let clock = under.directory.clock();
        under.metrics.note_config(config.hash, clock.unix_seconds());
        let shown = configured(&config, clock, &under.metrics);
        self.places.configured.put(shown);
        let deciders = under.decide_by(&config);
        self.places.put(&config, deciders, &under.metrics);
        *base = under;
        *old = Arc::new(config);
        Ok(())
    }
}

impl Places {
    fn put(&self, config: &Config, deciders: Deciders, metrics: &Arc<Metrics>) {
        let Deciders {
            gate,
            operations,
            explainer,
            issuing,
        } = deciders;
        // First what opens contexts, which Checks then seal under the peppers that it knows.
        let core = self.issuing.get().with(issuing);
        self.issuing.put(core);
        let settings = (config.deadline, config.on_fault);
        self.deciding.put(Deciding::new(gate, settings, metrics));
        let (platforms, keys) = (&config.platforms, &config.assertion_keys);
        self.key_sets
            .put(KeySets::of(platforms, keys, config.issuers()));
        if let (Some(place), Some(tls)) = (&self.tls, &config.tls) {
            place.put(tls.clone());
        }
        if let (Some(place), Some(otlp)) = (&self.otlp, &config.otlp)
            && **place.get() != otlp.trust
        {
            place.put(otlp.trust.clone());
        }
        self.control.put(Served {
            operations,
            explainer,
        });
    }
}

/// Reads a configuration that is to take the place of `old`, and its directory file. Blocks.
fn read(
    old: &Config,
    path: &std::path::Path,
) -> Result<(Config, Option<DirectoryFile>), Vec<Problem>> {
    let config = old.load_again(path)?;
    let file = config.read_directory()?;
    Ok((config, file))
}

fn ids(peppers: &Peppers) -> Vec<String> {
    peppers.iter().map(|it| it.id()).collect()
}

fn tell(why: &str, problems: &[Problem]) {
    for problem in problems.iter().take(MAX_TOLD) {
        let Problem { line, key, .. } = problem;
        tracing::error!(line, key, "{problem}");
    }
    tracing::error!(
        why,
        problems = problems.len(),
        "the configuration stays as it was, since the new one is not fit"
    );
}
