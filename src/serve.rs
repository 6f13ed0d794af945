//! The running service: wires a configuration to listeners, and stops in order.
//!
//! Listeners are bound once the directory file can be read and before its passwords are hashed, so
//! that a taken port is told at once; they answer when the directory is filled, and are ready once
//! the store was reached. On stop, health says so first, then connections are let finish.

pub mod accept;
mod attempts;
pub mod bounds;
pub mod checks;
mod configured;
pub mod cores;
pub mod grpc;
pub mod http;
mod joining;
pub mod listeners;
pub mod opening;
pub mod reload;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::admin::status::Overview;
use crate::admin::{self, KeySets, Readiness, Standing};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::Served;
use crate::current::Current;
use crate::decision::Fault;
use crate::directory::check::CheckError;
use crate::document::Problem;
use crate::envoy::{Door, SERVICE};
use crate::issue;
use crate::issue::core::Core;
use crate::otlp::Otlp;
use crate::serve::attempts::{count_attempts, look, write_attempts, write_last};
use crate::serve::configured::configured;
use crate::serve::cores::Cores;
use crate::serve::joining::Joining;
use crate::serve::listeners::{HttpRouters, Listeners};
use crate::serve::opening::{Opened, open, read_directory};
use crate::serve::reload::{Calls, Places, Reloader};
use crate::store::StoreError;
use crate::telemetry::Metrics;
use crate::telemetry::audit::Audit;

/// How long open connections may take to finish after a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait before an unreachable store is asked again; doubled up to 64 times.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Why the service did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The audit has nowhere to be written.
    #[error("the audit cannot be written: {0}; see `telemetry.audit`")]
    Audit(io::Error),
    /// A task of the start was aborted.
    #[error("the start was aborted")]
    Aborted,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", listeners::bind_advice(.source))]
    Bind {
        /// As configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The store was written under other peppers.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The directory file cannot be taken.
    #[error("the directory file cannot be taken")]
    Directory(Vec<Problem>),
    /// The directory could not be filled.
    #[error("the directory cannot be filled: {0}")]
    Fault(#[from] Fault),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// Reflection cannot be served.
    #[error("the service's own descriptors cannot be read: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// Where Checks are answered over TCP, ports as bound.
    pub grpc: Vec<SocketAddr>,
    /// Where operators look, port as bound.
    pub admin: Option<SocketAddr>,
    /// Every listener, in words.
    pub listening: Vec<String>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// Where connections live, until all have finished or may no longer.
    _cores: Arc<Cores>,
    issuing: Current<Core>,
    audit: Option<Audit>,
    otlp: Option<Otlp>,
    state: State,
    reloader: Option<Reloader>,
    /// Tells that the store, once reached, turned out to be another's.
    refused: mpsc::Receiver<StartError>,
}

/// Starts the service, whose connections live on `cores`.
///
/// # Errors
/// Why it cannot run with this configuration, here and now.
pub async fn start(
    config: Config,
    clock: Clock,
    cores: impl FnOnce() -> io::Result<Cores>,
) -> Result<Running, StartError> {
    // Before anything else: a directory that cannot be taken starts nothing.
    let file = read_directory(&config)?;
    let listeners = Listeners::bind(&config).await?;
    let cores = Arc::new(cores().map_err(StartError::Threads)?);
    let metrics = Arc::new(Metrics::default());
    let audit = config.audit.as_ref();
    let audit = audit.map(|it| Audit::start(it, clock.clone(), Arc::clone(&metrics)));
    let audit = audit.transpose().map_err(StartError::Audit)?;
    let (deadline, on_fault) = (config.deadline, config.on_fault);
    let key_sets = KeySets::of(&config.platforms, &config.assertion_keys, config.issuers());
    let (key_sets, readiness) = (Current::from(key_sets), Readiness::default());
    let tls = config.tls.clone().map(Current::from);
    let told = config.otlp.clone();
    metrics.note_config(config.hash, clock.unix_seconds());
    let configured = configured(&config, &clock, &metrics);
    let overview = Overview::new(configured, clock.clone());
    let Opened {
        directory,
        cache,
        throttle,
        gate,
        operations,
        explainer,
        issuing,
        instance,
        lasting,
    } = open(config, file, clock.clone(), &metrics, audit.clone()).await?;
    let otlp = told.map(|it| {
        let (counted, cache) = (Arc::clone(&metrics), cache.clone());
        let gather = admin::gather(counted, cache, readiness.clone(), key_sets.clone());
        Otlp::start(&it, instance, gather, &clock, &metrics)
    });
    let door = Door::new(
        gate,
        Arc::clone(&metrics),
        clock,
        (deadline, on_fault),
        instance,
        (audit.clone(), otlp.as_ref().map(Otlp::spans)),
    );
    let joining = Joining {
        directory,
        is_shared: lasting.login.is_some(),
        issues: lasting.config.issue.is_some(),
    };
    let places = Places {
        deciding: door.deciding(),
        issuing: issuing.into(),
        control: Served {
            operations,
            explainer,
        }
        .into(),
        key_sets,
        configured: overview.configured.clone(),
        tls,
        otlp: otlp.as_ref().map(Otlp::trust),
    };
    let issuing = places.issuing.clone();
    let (health, front) = grpc::services(door)?;
    let control = places.control.clone();
    let http = HttpRouters {
        admin: admin::router(
            Arc::clone(&metrics),
            cache,
            readiness.clone(),
            places.key_sets.clone(),
            overview,
        ),
        issue: issue::router(issuing.clone()),
    };
    let state = State {
        readiness,
        health,
        turn: Arc::default(),
    };
    state.set(Standing::Starting).await;
    let (stop, stopped) = watch::channel(false);
    let (grpc, admin_address) = (listeners.grpc_addresses(), listeners.admin_address());
    let listening = listeners.in_words();
    let mut tasks = listeners.serve(
        &(front, Arc::clone(&cores)),
        http,
        control,
        places.tls.as_ref(),
        &stopped,
    );
    tasks.spawn(write_attempts(issuing.clone(), stopped.clone()));
    tasks.spawn(look(metrics, stopped.clone()));
    tasks.spawn(count_attempts(throttle, stopped));
    let refused = mpsc::channel(1).1;
    let mut running = Running {
        grpc,
        admin: admin_address,
        listening,
        stop,
        tasks,
        _cores: cores,
        issuing,
        audit,
        otlp,
        state,
        reloader: Some(Reloader { lasting, places }),
        refused,
    };
    match joining.confirm().await {
        Ok(()) => running.state.set(Standing::Ready).await,
        Err(CheckError::Fault(fault)) => {
            // Why a store is not reached, it tells by itself.
            if joining.directory.store().was_reached() {
                tracing::error!("the store cannot be used yet: {fault}; trying again");
            }
            let standing = Standing::StoreNotReached(fault.to_string());
            running.state.set(standing).await;
            running.confirm_later(joining);
        }
        Err(wrong @ CheckError::Wrong { .. }) => return Err(wrong.into()),
    }
    Ok(running)
}

/// Whether Checks may be sent here, as each kind of health check asks for it.
#[derive(Clone, Debug)]
struct State {
    readiness: Readiness,
    health: HealthReporter,
    /// Held while it is told to all of them, so that the last word is the same for each.
    turn: Arc<Mutex<()>>,
}

impl State {
    /// Says how this process stands. From draining there is no way back.
    async fn set(&self, standing: Standing) {
        let _turn = self.turn.lock().await;
        if self.readiness.get() == Standing::Draining {
            return;
        }
        let status = match &standing {
            Standing::Ready => ServingStatus::Serving,
            Standing::Starting | Standing::StoreNotReached(_) | Standing::Draining => {
                ServingStatus::NotServing
            }
        };
        self.readiness.set(standing);
        for service in ["", SERVICE] {
            self.health.set_service_status(service, status).await;
        }
    }
}

impl Running {
    /// Serves until `end` is over, then says so to health checks and lets connections finish.
    ///
    /// # Errors
    /// Where it turns out that the store cannot be used with this configuration.
    pub async fn until(mut self, end: impl Future<Output = ()>) -> Result<(), StartError> {
        let ended = tokio::select! {
            () = end => Ok(()),
            Some(wrong) = self.refused.recv() => Err(wrong),
        };
        self.state.set(Standing::Draining).await;
        self.stop.send_replace(true);
        let finished = async {
            while self.tasks.join_next().await.is_some() {}
            // Of requests that were still being answered.
            write_last(&Core::clone(&self.issuing.get())).await;
            if let Some(audit) = &self.audit {
                audit.written().await;
            }
        };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!("some connections did not finish in time and are closed");
        }
        if let Some(otlp) = &self.otlp {
            otlp.end().await;
        }
        tracing::info!("stopped");
        ended
    }

    /// Puts another configuration in force from now on whenever that is called for.
    pub fn reload_on(&mut self, calls: Calls) {
        if let Some(reloader) = self.reloader.take() {
            let stopped = self.stop.subscribe();
            self.tasks.spawn(reloader.run(calls, stopped));
        }
    }

    /// Asks the store again until it answers. Until then every check that needs it is a fault.
    fn confirm_later(&mut self, joining: Joining) {
        let (refuse, refused) = mpsc::channel(1);
        self.refused = refused;
        let state = self.state.clone();
        tokio::spawn(async move {
            for wait in (0..).map(|attempt: u32| FIRST_RETRY * 2_u32.pow(attempt.min(6))) {
                // Spread, so that sidecars that lost the store together do not come back together.
                let spread = getrandom::u32().unwrap_or(0) % 1000;
                tokio::time::sleep(wait / 2 + wait.mul_f64(f64::from(spread) / 2000.0)).await;
                match joining.confirm().await {
                    Ok(()) => {
                        tracing::info!("the store is reached");
                        return state.set(Standing::Ready).await;
                    }
                    Err(CheckError::Fault(fault)) => {
                        let standing = Standing::StoreNotReached(fault.to_string());
                        state.set(standing).await;
                    }
                    Err(wrong @ CheckError::Wrong { .. }) => {
                        let _ = refuse.send(wrong.into()).await;
                        return;
                    }
                }
            }
        });
    }
}
