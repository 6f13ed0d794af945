//! Whole ways through the gate: what floods cost, and what an answer tells by its time.

mod abuse;
mod budgets;
// Stands with the dialects whose endpoints it asks.
#[path = "../issue/likeness.rs"]
mod likeness;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::file::DirectoryFile;
use crate::document::Document;
use crate::serve::opening::{Opened, open};
use crate::telemetry::Metrics;
use crate::trace::Untraced;

/// A gate before a directory in memory, whose clock goes when it is told to.
struct Bench {
    opened: Opened,
    metrics: Arc<Metrics>,
    seconds: Arc<AtomicU64>,
}

/// What is asked: with a header, or a certificate where that has no name.
struct Ask<'a> {
    path: &'a str,
    header: (&'a str, &'a str),
    from: IpAddr,
}

impl Bench {
    async fn open(config: &str, directory: &str, base: &Path) -> Self {
        let config = Config::parse("c.yaml", config, base, |_| None).unwrap();
        let names: Vec<_> = config.platforms.iter().map(|it| it.name.clone()).collect();
        let names: Vec<_> = names.iter().map(|it| &**it).collect();
        let document = Document::parse("d.yaml", directory).unwrap();
        let file = DirectoryFile::parse(&document, &names).unwrap();
        let seconds = Arc::new(AtomicU64::new(1_800_000_000));
        let shared = Arc::clone(&seconds);
        let now = move || UNIX_EPOCH + Duration::from_secs(shared.load(Ordering::SeqCst));
        let metrics = Arc::new(Metrics::default());
        let opened = open(config, Some(file), Clock::from_fn(now), &metrics, None).await;
        Self {
            opened: opened.unwrap(),
            metrics,
            seconds,
        }
    }

    async fn decide(&self, ask: &Ask<'_>) -> Decision {
        let (name, value) = ask.header;
        let header = Some((name, value.as_bytes())).filter(|it| !it.0.is_empty());
        let view = RequestView {
            method: "GET",
            authority: "any.example",
            path: ask.path,
            headers: header.into_iter().collect(),
            peer: Some(ask.from),
            principal: Some(value).filter(|_| name.is_empty()),
            ..RequestView::default()
        };
        self.opened.gate.decide(&view, &Untraced).await
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// How often the store was asked for records.
    fn gets(&self) -> u64 {
        self.operations("get")
    }

    fn operations(&self, which: &str) -> u64 {
        let begin = format!(r#"portcullis_store_duration_seconds_count{{operation="{which}"}} "#);
        let text = self.metrics.render();
        let line = text.lines().find_map(|it| it.strip_prefix(&begin));
        line.map_or(0, |it| it.parse().unwrap())
    }

    /// How many passwords were hashed.
    fn hashed(&self) -> u64 {
        self.opened.directory.prover().computed()
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn basic(name: &str, secret: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{name}:{secret}"))
    )
}

/// 200, or the status of the refusal; 503 for a fault.
fn status(decision: &Decision) -> u16 {
    match &decision.verdict {
        Ok(_) => 200,
        Err(Failure::Denied(denial)) => denial.status(),
        Err(Failure::Fault(_)) => 503,
    }
}
