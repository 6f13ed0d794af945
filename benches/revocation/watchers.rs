//! Processes that watch, but for the process: each opens what `serve` opens, with connections, a cache and generations
//! of its own, and is asked through its gate. A hundred servers would wait for two cores and not for Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::decision::CacheUse;
use portcullis::decision::Failure;
use portcullis::directory::operations::Operations;
use portcullis::directory::operations::words::{Clear, Operation};
use portcullis::directory::records::RecordKind;
use portcullis::gate::Decision;
use portcullis::request::query::Query;
use portcullis::request::{Headers, RequestView};
use portcullis::serve::opening::{Opened, open};
use portcullis::store::Change;
use portcullis::telemetry::Metrics;
use portcullis::trace::Untraced;
use tokio::sync::mpsc::{UnboundedReceiver, channel, unbounded_channel};

use crate::support::redis::RedisServer;
use crate::{CONFIG, DIRECTORY, KEY, PEPPER, RECORD};

/// Gives how long after the revocation began each of them refused, round by round.
pub async fn measure(redis: &RedisServer, count: usize, rounds: usize) -> Vec<Vec<Duration>> {
    let writer = Writer::new(redis).await;
    let (sender, mut told) = unbounded_channel();
    let mut watching = Vec::new();
    for index in 0..count {
        let opened = opened(redis, true).await;
        let sender = sender.clone();
        // After the directory's own, so that from here on a Check is a miss.
        let sink = move |change: Change<'_>| {
            if change == Change::Key(RECORD) {
                let _ = sender.send((index, Instant::now()));
            }
        };
        opened.directory.store().watch(Arc::new(sink));
        watching.push(opened);
    }
    let mut measured = Vec::new();
    for _ in 0..rounds {
        for it in &watching {
            let decision = await_allowed(it).await;
            assert_eq!(decision.cache, CacheUse::Hit);
        }
        while told.try_recv().is_ok() {}
        let begun = Instant::now();
        writer.switch(false).await;
        measured.push(await_all(&mut told, count, begun).await);
        for it in &watching {
            let verdict = decide(it).await.verdict;
            assert!(matches!(verdict, Err(Failure::Denied(_))), "{verdict:?}");
        }
        writer.switch(true).await;
    }
    measured
}

/// Waits until each was told, and gives how long after `begun` that was the first time.
async fn await_all(
    told: &mut UnboundedReceiver<(usize, Instant)>,
    count: usize,
    begun: Instant,
) -> Vec<Duration> {
    let mut took = vec![None; count];
    while took.contains(&None) {
        let (index, heard) = told.recv().await.expect("word from everybody");
        took[index].get_or_insert(heard - begun);
    }
    took.into_iter().flatten().collect()
}

/// Asks until the key is let in from memory.
async fn await_allowed(opened: &Opened) -> Decision {
    loop {
        let decision = decide(opened).await;
        if decision.verdict.is_ok() && decision.cache == CacheUse::Hit {
            return decision;
        }
        tokio::task::yield_now().await;
    }
}

async fn decide(opened: &Opened) -> Decision {
    let headers: Headers<'_> = [(KEY.0, KEY.1.as_bytes())].into_iter().collect();
    let view = RequestView {
        method: "GET",
        authority: "mine.example",
        scheme: "https",
        path: "/",
        query: Query::default(),
        headers,
        peer: None,
        principal: None,
        route_platform: None,
    };
    opened.gate.decide(&view, &Untraced).await
}

async fn opened(redis: &RedisServer, watches: bool) -> Opened {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("pepper"), PEPPER).expect("a file");
    let text = CONFIG
        .replace("{url}", &redis.url())
        .replace("{grpc}", "1")
        .replace("{admin}", "2");
    let config = Config::parse("bench", &text, dir.path(), |_| None);
    let mut config = config.expect("a configuration");
    if !watches {
        config.store.watch_grace = None;
    }
    let opened = open(
        config,
        None,
        Clock::system(),
        &Arc::new(Metrics::default()),
        None,
    )
    .await;
    let opened = opened.expect("a directory");
    let confirmed = opened.directory.confirm_peppers().await;
    confirmed.expect("a store under the same pepper");
    opened
}

/// Who revokes: what a command is.
#[derive(Debug)]
pub struct Writer(Operations);

impl Writer {
    /// Fills the directory.
    pub async fn new(redis: &RedisServer) -> Self {
        let writer = Self(opened(redis, false).await.operations);
        let import = Operation::Import {
            source: "bench".to_owned(),
            text: Clear::new(DIRECTORY.to_owned()),
            dry_run: false,
        };
        writer.perform(import).await;
        writer
    }

    /// Switches the key on or off.
    pub async fn switch(&self, enabled: bool) {
        let switch = Operation::Switch {
            kind: RecordKind::Key,
            platform: "mine".to_owned(),
            id: "k-1".to_owned(),
            enabled,
        };
        self.perform(switch).await;
    }

    async fn perform(&self, operation: Operation) {
        let (lines, _nobody) = channel(64);
        self.0.perform(operation, &lines).await.expect("it is done");
    }
}
