//! The audit: one line of JSON for each decision that matters, for whoever asks later who was let in.
//!
//! What a line may say is the closed list of [`Entry`]; no credential is among it, and what a client
//! sent is escaped and cut. A thread of its own writes. Whoever decides hands a line over if there is
//! room for it and never waits: where there is none, the line is lost, counted and told.

mod line;
mod path;
mod queue;
mod sent;
mod writer;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock::Clock;
use crate::telemetry::Metrics;
use crate::telemetry::audit::line::line;
use crate::telemetry::audit::queue::{Batches, Lines};
use crate::telemetry::audit::writer::Writer;

pub use path::{Marks, without_tokens};
pub use sent::{Sent, trace_id};

/// The odd number nearest to 2^64 divided by the golden ratio. Its multiples are spread so evenly that
/// of any run of decisions the share that was asked for is taken, give or take three.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is audited, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditSettings {
    /// Where lines are written.
    pub to: Target,
    /// How many of the allows have a line; all else has one always.
    pub allows: Share,
}

impl AuditSettings {
    /// Takes a relative path from here.
    #[must_use]
    pub fn beside(self, base: &Path) -> Self {
        let to = match self.to {
            Target::File(path) => Target::File(base.join(path)),
            Target::Stdout => Target::Stdout,
        };
        Self { to, ..self }
    }
}

/// Where lines are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// To the end of a file, which is made with mode 0600 where there is none.
    File(PathBuf),
    /// To standard output; the log is on standard error.
    Stdout,
}

/// A share of the whole, in 2^-64.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share(u128);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1 << 64);
    /// Nothing of it.
    pub const NONE: Self = Self(0);

    /// Gives a share from 0 to 1; `None` for what is none.
    #[must_use]
    pub fn of(part: f64) -> Option<Self> {
        // Exact: to multiply by a power of two only shifts the exponent.
        let whole = Self::ALL.0 as f64;
        (0.0..=1.0)
            .contains(&part)
            .then_some(Self((part * whole) as u128))
    }

    /// Tells whether it takes the decision of this number.
    #[inline]
    #[must_use]
    pub fn takes(self, number: u64) -> bool {
        u128::from(number.wrapping_mul(GOLDEN)) < self.0
    }
}

/// What a line says: all of it. What is empty is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// `check`, or what an endpoint was asked for: `token`, `session`, `api_key`, `security`.
    pub event: &'static str,
    /// `allow`, `deny` or `fault`; of an endpoint `issued`, `changed`, `revoked`,
    /// `refused` or `fault`.
    pub outcome: &'static str,
    /// Why it was denied.
    pub reason: &'static str,
    /// What of ours failed.
    pub fault: &'static str,
    /// Names the decision, as dynamic metadata and the log do.
    pub decision_id: &'a str,
    /// The platform, by its name in the configuration.
    pub platform: &'a str,
    /// The scheme whose credential counted, by its name in the platform.
    pub scheme: &'a str,
    /// The rule that let it pass, or that did not.
    pub rule: &'a str,
    /// The account's id, where it is known who was let in, or who was not.
    pub account: Sent<'a>,
    /// The user's id, likewise.
    pub user: Sent<'a>,
    /// The id of the API key that was presented, or that it is about.
    pub key: Sent<'a>,
    /// The method.
    pub method: Sent<'a>,
    /// The path, without the query and [without tokens](without_tokens).
    pub path: Sent<'a>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's name for the request (`x-request-id`).
    pub request_id: Sent<'a>,
    /// The trace that the request belongs to, see [`trace_id`].
    pub trace_id: Sent<'a>,
    /// How the outcome was come by.
    pub cache: &'static str,
    /// How long the decision took, in microseconds.
    pub took_us: Option<u64>,
}

/// Takes note of decisions. Clones share one queue and one writer.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: Lines,
    allows: Share,
    losses: Arc<Losses>,
    /// Whether the file is to be opened anew before the next line.
    reopen: Arc<AtomicBool>,
}

impl Audit {
    /// Opens what is written to, and begins to write.
    ///
    /// # Errors
    /// Where the file cannot be opened, or the system gives no thread.
    pub fn start(
        settings: &AuditSettings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let (audit, batches) = Self::queue(settings.allows, clock, metrics);
        let (losses, reopen) = (Arc::clone(&audit.0.losses), Arc::clone(&audit.0.reopen));
        let writer = Writer::open(settings.to.clone(), losses, reopen)?;
        let thread = std::thread::Builder::new().name("audit".to_owned());
        thread.spawn(move || writer.run(batches))?;
        Ok(audit)
    }

    fn queue(allows: Share, clock: Clock, metrics: Arc<Metrics>) -> (Self, Batches) {
        let (lines, batches) = queue::queue();
        let losses = Arc::new(Losses {
            clock,
            metrics,
            told: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        });
        let audit = Self(Arc::new(Inner {
            lines,
            allows,
            losses,
            reopen: Arc::default(),
        }));
        (audit, batches)
    }

    /// Tells whether the allow of this number has a line.
    #[inline]
    #[must_use]
    pub fn wants_allow(&self, number: u64) -> bool {
        self.0.allows.takes(number)
    }

    /// Hands a line over to be written; where too many wait, it is lost. Never waits for any to be written.
    pub fn note(&self, entry: &Entry<'_>) {
        let losses = &self.0.losses;
        if !self.0.lines.add(&line(losses.clock.now(), entry)) {
            losses.note(1, &"too many wait to be written");
        }
    }

    /// Has the file opened anew before the next line, for whoever has moved it away.
    pub fn reopen(&self) {
        self.0.reopen.store(true, Ordering::Relaxed);
    }

    /// Waits until everything is written that was noted before.
    pub async fn written(&self) {
        let _ = self.0.lines.written().await;
    }
}

/// Counts lines that were lost, and tells of them once a second at most.
#[derive(Debug)]
struct Losses {
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The second in which it was last told.
    told: AtomicU64,
    untold: AtomicU64,
}

impl Losses {
    fn note(&self, lines: usize, why: &dyn fmt::Display) {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.metrics.count_audit_dropped(lines);
        self.untold.fetch_add(lines, Ordering::Relaxed);
        let now = self.clock.unix_seconds();
        if self.told.swap(now, Ordering::Relaxed) != now {
            let lost = self.untold.swap(0, Ordering::Relaxed);
            tracing::error!(lost, "lines of the audit are lost: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::audit::queue::QUEUE_BYTES;
    use std::time::{Duration, UNIX_EPOCH};

    fn settings(path: &Path) -> AuditSettings {
        AuditSettings {
            to: Target::File(path.to_owned()),
            allows: Share::ALL,
        }
    }

    #[test]
    fn of_any_run_of_decisions_the_share_is_taken_that_was_asked_for() {
        for (part, of) in [(0.0, 1000), (0.01, 1000), (0.5, 1000), (1.0, 1000)] {
            let share = Share::of(part).unwrap();
            for first in [0, 12_345, u64::MAX - 500] {
                let numbers = (0..of).map(|it: u64| first.wrapping_add(it));
                let taken = numbers.filter(|it| share.takes(*it)).count();
                let want = part * of as f64;
                assert!((taken as f64 - want).abs() <= 3.0, "{part}: {taken}");
            }
        }
        assert_eq!(Share::of(1.0), Some(Share::ALL));
        assert_eq!(Share::of(0.0), Some(Share::NONE));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn where_nobody_writes_nothing_waits_and_each_line_that_is_lost_is_counted() {
        let metrics = Arc::new(Metrics::default());
        let clock = Clock::from_fn(|| UNIX_EPOCH + Duration::from_secs(1));
        let (audit, mut batches) = Audit::queue(Share::ALL, clock.clone(), Arc::clone(&metrics));
        let room = QUEUE_BYTES / line(clock.now(), &Entry::default()).len();
        for _ in 0..room + 7 {
            audit.note(&Entry::default());
        }
        let dropped = "portcullis_audit_dropped_total 7";
        assert!(metrics.render().contains(dropped), "{}", metrics.render());
        let kept = String::from_utf8(batches.next().unwrap().to_vec()).unwrap();
        assert_eq!(kept.lines().count(), room);
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_made_anew_when_told_and_no_line_is_lost() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let metrics = Arc::new(Metrics::default());
        let audit = Audit::start(&settings(&path), Clock::system(), Arc::clone(&metrics)).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let noted = |reason| Entry {
            reason,
            ..Entry::default()
        };
        audit.note(&noted("first"));
        audit.written().await;
        std::fs::rename(&path, &moved).unwrap();
        audit.note(&noted("second"));
        audit.written().await;
        audit.reopen();
        audit.note(&noted("third"));
        audit.written().await;
        let reasons = |path: &Path| -> Vec<String> {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.ends_with('\n'));
            let of = |it: &str| {
                let line: serde_json::Value = serde_json::from_str(it).unwrap();
                line["reason"].as_str().unwrap().to_owned()
            };
            text.lines().map(of).collect()
        };
        assert_eq!(reasons(&moved), ["first", "second"]);
        assert_eq!(reasons(&path), ["third"]);
        assert!(
            metrics
                .render()
                .contains("portcullis_audit_dropped_total 0")
        );

        let elsewhere = settings(&folder.path().join("none/audit"));
        let refused = Audit::start(&elsewhere, Clock::system(), Arc::clone(&metrics));
        assert!(refused.is_err());
    }
}
