//! The two servers, each a process of its own, as they are or under callgrind, on a core of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::load::{Answered, End, Shape, ask, load};
use crate::question::{self, Asked};
use crate::support::http::fetch;
use crate::support::process::{Process, command};
use crate::support::{free_port, loopback};

const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// A load that fills buffers and tables before anything is measured.
const WARMING: (Shape, End) = (
    Shape {
        connections: 1,
        streams: 10,
    },
    End::Answers(200),
);

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    Constant,
    Portcullis,
}

/// How a server's process is started: pinned, counted, or neither.
#[derive(Clone, Debug, Default)]
pub struct Wrapping(pub Vec<String>);

/// What every server of a run shares.
#[derive(Debug)]
pub struct Bench {
    pub runtime: Runtime,
    pub asked: Asked,
    pub message: Bytes,
    /// What Portcullis is configured with, but for its ports.
    config: String,
    pub dir: TempDir,
}

/// A running server, warm; dropping it ends it.
#[derive(Debug)]
pub struct Server<'b> {
    bench: &'b Bench,
    process: Process,
    pub grpc: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Bench {
    pub fn new(config: String, asked: Asked) -> Self {
        // One thread: it stays on the core that the servers leave to it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
            asked,
            message: question::message(asked),
            config,
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// The file with the answer of a hit, which c gives to everything.
    pub fn answer(&self) -> PathBuf {
        self.dir.path().join("answer.bin")
    }

    /// Starts a server and waits until it answers rightly, from its cache where it has one.
    ///
    /// c answers with what Portcullis answered, so Portcullis has to be the first that is started.
    pub fn start(&self, which: Which, wrapping: &Wrapping) -> Server<'_> {
        let (grpc, admin) = (loopback(free_port()), loopback(free_port()));
        let mut words = wrapping.0.clone();
        match which {
            Which::Constant => {
                let bench = std::env::current_exe().expect("the path of this program");
                words.push(bench.display().to_string());
                words.extend(["c".to_owned(), grpc.to_string()]);
                words.push(self.answer().display().to_string());
            }
            Which::Portcullis => {
                let config = self.configure(grpc, admin).display().to_string();
                words.extend([PORTCULLIS, "serve", "--config"].map(str::to_owned));
                words.push(config);
            }
        }
        let mut command = command(&words[0]);
        command.args(&words[1..]);
        let server = Server {
            bench: self,
            process: Process::spawn("the server", command),
            grpc,
            admin: (which == Which::Portcullis).then_some(admin),
        };
        server.warm();
        server
    }

    fn configure(&self, grpc: SocketAddr, admin: SocketAddr) -> PathBuf {
        let path = |name: &str| self.dir.path().join(name);
        let config = self
            .config
            .replace("{grpc}", &grpc.port().to_string())
            .replace("{admin}", &admin.port().to_string());
        // Each its own: the next server may start while this one reads.
        let file = path(&format!("portcullis-{}.yaml", grpc.port()));
        fs::write(&file, config).expect("a writable temporary directory");
        fs::write(path("directory.yaml"), question::DIRECTORY).expect("the same");
        file
    }
}

impl Server<'_> {
    /// Loads it, and makes sure that every answer came as it was to.
    pub fn load(&self, shape: Shape, end: End) -> Answered {
        let before = self.hits();
        let question = (self.bench.asked, &self.bench.message);
        let load = load(self.grpc, question, shape, end);
        let answered = self.bench.runtime.block_on(load);
        if let (Some(before), Some(after)) = (before, self.hits()) {
            assert_eq!(
                after - before,
                answered.answers,
                "not every answer was what was asked for"
            );
        }
        answered
    }

    /// Where it shows its metrics; panics for c, which has none.
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("Portcullis, which has an admin listener")
    }

    /// How long it has run on a core so far.
    pub fn busy(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.process.id());
        let tasks = fs::read_dir(tasks).expect("a running process on Linux");
        let nanoseconds = |task: &Path| {
            let text = fs::read_to_string(task.join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        let times = tasks.flatten().filter_map(|it| nanoseconds(&it.path()));
        Duration::from_nanos(times.sum())
    }

    /// Ends it and waits until it has.
    pub fn stop(mut self) {
        self.process.stop();
    }

    fn warm(&self) {
        let ask = || {
            self.bench
                .runtime
                .block_on(ask(self.grpc, &self.bench.message))
        };
        // Under callgrind the first answer may be a fault, since the records were not read in time.
        let answer = self.process.await_start("answering rightly", || {
            std::net::TcpStream::connect(self.grpc).ok()?;
            let first = ask().ok()?;
            let is_right = match self.bench.asked {
                Asked::Hit => question::allows_the_account(&first),
                other => other.is_answered_by(&first),
            };
            is_right.then(ask)?.ok()
        });
        if self.admin.is_some() {
            fs::write(self.bench.answer(), answer).expect("a writable temporary directory");
        }
        self.load(WARMING.0, WARMING.1);
    }

    /// How many answers as these Portcullis has counted; `None` for c, which counts nothing.
    fn hits(&self) -> Option<u64> {
        let metrics = fetch(self.admin?, "/metrics").expect("the metrics");
        let hits = metrics.text().lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let counts = name.starts_with("portcullis_checks_total")
                && name.contains(self.bench.asked.counted_as());
            counts.then(|| value.parse::<u64>().ok())?
        });
        Some(hits.sum())
    }
}
