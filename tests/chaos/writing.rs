//! Whoever revokes and restores: what a command is, at its own pace for each credential.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::config::store::StoreKind;
use portcullis::directory::operations::words::{Clear, Operation};
use portcullis::directory::records::RecordKind;
use portcullis::serve::opening::{Opened, open};
use portcullis::telemetry::Metrics;
use tokio::sync::RwLock;
use tokio::sync::mpsc::{UnboundedSender, channel};
use tokio::time::{sleep, timeout};

use super::draw::Draw;
use super::estate::Estate;
use super::history::Write;
use super::run::Until;
use super::site::{By, PEPPER, config, directory, switched_by};

/// How long one attempt may take: a frozen server answers in the end.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// How long a credential stays as it is: long enough that what is remembered of before must be forgotten, mostly.
const STAYS: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_millis(5000);

/// Who writes, on a way of its own to the store.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    opened: Arc<Opened>,
    begun: Instant,
    writing: Arc<RwLock<()>>,
    writes: UnboundedSender<Write>,
    /// What no replica has may be lost with its primary, and is not yet acknowledged.
    has_replicas: bool,
}

impl Writer {
    /// Fills the directory.
    ///
    /// # Panics
    /// Where that cannot be done.
    pub(crate) async fn new(
        estate: &Estate,
        begun: Instant,
        writing: Arc<RwLock<()>>,
        writes: UnboundedSender<Write>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("pepper"), PEPPER).expect("a file");
        let text = config(&estate.writers, false)
            .replace("{grpc}", "1")
            .replace("{admin}", "2");
        let config = Config::parse("chaos", &text, dir.path(), |_| None);
        let mut config = config.expect("a configuration");
        config.store.watch_grace = None;
        if let StoreKind::Redis(settings) = &mut config.store.kind {
            settings.timeout = PATIENCE;
        }
        let opened = open(
            config,
            None,
            Clock::system(),
            &Arc::new(Metrics::default()),
            None,
        )
        .await;
        let writer = Self {
            opened: Arc::new(opened.expect("a directory")),
            begun,
            writing,
            writes,
            has_replicas: estate.has_replicas(),
        };
        let import = Operation::Import {
            source: "chaos".to_owned(),
            text: Clear::new(directory()),
            dry_run: false,
        };
        assert!(writer.perform(import).await, "no directory was imported");
        writer
    }

    /// Has times count from here.
    pub(crate) fn begin(&mut self, begun: Instant) {
        self.begun = begun;
    }

    /// Switches a credential off and on until the end.
    pub(crate) async fn switch(self, credential: usize, mut draw: Draw, until: Until) {
        let mut valid = true;
        while self.begun.elapsed() < *until.borrow() {
            sleep(draw.within(&STAYS)).await;
            valid = !valid;
            let begin = self.begun.elapsed();
            let mut end = None;
            while end.is_none() && self.begun.elapsed() < *until.borrow() {
                let nobody_empties = self.writing.read().await;
                if self.attempt(credential, valid).await {
                    end = Some(self.begun.elapsed());
                }
                drop(nobody_empties);
                if end.is_none() {
                    sleep(PAUSE).await;
                }
            }
            let write = Write {
                credential,
                valid,
                begin,
                end,
            };
            // It is kept as long as anybody writes.
            let _ = self.writes.send(write);
        }
    }

    /// Whether it was acknowledged, also by a replica where there is one.
    async fn attempt(&self, credential: usize, enabled: bool) -> bool {
        let (kind, id) = match switched_by(credential) {
            By::Key => (RecordKind::Key, format!("k-{credential}")),
            By::Account => (RecordKind::Account, format!("a-{credential}")),
        };
        let switch = Operation::Switch {
            kind,
            platform: "mine".to_owned(),
            id,
            enabled,
        };
        self.perform(switch).await && self.is_confirmed().await
    }

    async fn is_confirmed(&self) -> bool {
        let confirmed = timeout(PATIENCE * 2, self.opened.directory.confirm()).await;
        let confirmed = confirmed.expect("an answer, whatever it is: no wait is without an end");
        confirmed.is_ok_and(|it| it.confirmed > 0 || !self.has_replicas)
    }

    async fn perform(&self, operation: Operation) -> bool {
        let (lines, _nobody) = channel(64);
        let performed = self.opened.operations.perform(operation, &lines);
        timeout(PATIENCE, performed)
            .await
            .is_ok_and(|it| it.is_ok())
    }
}
